//! What happened.

use ringfort_cose::{Reason, Sha256Digest, Verify};
use ringfort_messages::CheckInAnswer;
use ringfort_trust::Anchors;
use ringfort_trust::ids::{Nonce, OrderNumber};

use crate::clock::Uptime;
use crate::record::{Detail, Slot};

/// Something that happened, for [`crate::Device::handle`].
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// The host has started.
    Started {
        /// The slot that the machine booted into, if the machine itself has restarted since the
        /// slot was activated and so runs its payload already. None for a mere restart of the
        /// host's program, and where a hook starts the payload.
        booted: Option<Slot>,
    },
    /// Signed time came in answer to a request with this nonce.
    SignedTime {
        /// The token.
        token: &'e [u8],
        /// The nonce.
        nonce: Nonce,
    },
    /// A check-in with this nonce was answered.
    Answer {
        /// The answer.
        answer: &'e CheckInAnswer<'e>,
        /// The nonce.
        nonce: Nonce,
    },
    /// An order came on an offline medium.
    OfflineOrder {
        /// The token.
        token: &'e [u8],
        /// The command that the order names, if it names one.
        command: Option<&'e [u8]>,
    },
    /// An anchors document was fetched or read.
    Anchors {
        /// The document.
        document: &'e [u8],
    },
    /// The envelope that was asked for.
    Manifest {
        /// The envelope.
        envelope: &'e [u8],
    },
    /// The envelope could not be had now.
    ManifestUnavailable,
    /// A payload is durably in the slot, and its digest and size were computed.
    PayloadWritten {
        /// Position of the component.
        component: u8,
        /// The digest found.
        digest: Sha256Digest,
        /// The size found.
        size_bytes: u64,
    },
    /// A payload could not be written.
    PayloadFailed {
        /// Position of the component.
        component: u8,
        /// Why. `transfer-failed` and `slow-transfer` are tried again at the next check-in.
        reason: Reason,
        /// More, for people.
        detail: Detail,
    },
    /// A slot does not hold what its record says, found when it was to be activated.
    SlotDamaged {
        /// Why.
        reason: Reason,
    },
    /// What runs the payload was restarted.
    Restarted,
    /// What runs the payload could not be restarted.
    RestartFailed {
        /// More, for people.
        detail: Detail,
    },
    /// The health checks have ended: nothing if all passed.
    Health {
        /// What the failed check said.
        failed: Option<Detail>,
    },
    /// What [`crate::Action::WipeOperational`], [`crate::Action::DestroyIdentity`] or
    /// [`crate::Action::UnlockDebug`] asked for is done, durably. Only unlocking may fail; what is
    /// to be destroyed and cannot be is tried again after a restart of the host.
    CommandDone {
        /// What went wrong.
        failed: Option<Detail>,
    },
    /// The hub has the result of this order.
    ResultReported {
        /// The order.
        order: OrderNumber,
    },
}

/// What the machine needs to judge an event.
#[derive(Clone, Copy)]
pub struct Env<'e> {
    /// The anchors that [`crate::Record::anchors`] names.
    pub anchors: &'e Anchors<'e>,
    /// Hashing and verifying.
    pub verifier: &'e dyn Verify,
    /// Seconds since the host started.
    pub uptime: Uptime,
}
