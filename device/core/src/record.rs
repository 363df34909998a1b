//! What survives a power cut.

use ringfort_cose::{Reason, Sha256Digest, Thumbprint};
use ringfort_messages::{Link, UpdateState};
use ringfort_trust::ids::{
    AnchorsVersion, ClassId, DeviceId, Nonce, OrderNumber, SequenceNumber, Text, Ueid, UnixTime,
    VendorId,
};
use ringfort_trust::{AuditHead, CommandAction, CommandLedgers, OrderLedgers};

/// A short text about a reason.
pub type Detail = Text<120>;

/// Who the device is. It never changes after the factory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub device: DeviceId,
    /// Its UEID.
    pub ueid: Ueid,
    /// Vendor id of its product.
    pub vendor: VendorId,
    /// Class id of its product.
    pub class: ClassId,
}

/// What the host chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When the host's software was built: a part of the time floor.
    pub built: UnixTime,
    /// How often an unconfirmed release may be started before the device goes back; at least 1.
    pub trial_attempts: u8,
    /// Can the host unlock debugging? Where it cannot, such a command is `unsupported`.
    pub debug_unlock: bool,
}

/// The durable state, stored whole by one atomic replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The anchors in force.
    pub anchors: HeldAnchors,
    /// What is remembered of each order key.
    pub ledgers: OrderLedgers,
    /// The highest confirmed sequence number of the device's class; none before the first.
    pub floor: Option<Floor>,
    /// The slot of the confirmed release; none before the first.
    pub active: Option<Slot>,
    /// What each slot holds; none where it holds nothing whole.
    pub slots: [Option<SlotRecord>; 2],
    /// The update in progress.
    pub update: Option<Update>,
    /// How the last one ended.
    pub last: Option<Finished>,
    /// The link to present at the next check-in.
    pub link: Option<Link>,
    /// The latest head of the hub's audit log.
    pub audit: Option<AuditHead>,
    /// What the key store's counter says, or will say after the advance that this record announced.
    pub counter: u64,
    /// What is remembered of each command key.
    pub command_ledgers: CommandLedgers,
    /// The command that is being carried out.
    pub command: Option<CommandInProgress>,
    /// The nonce that a command to unlock debugging has to name; used once.
    pub debug_nonce: Option<Nonce>,
    /// A command has put the device out of use for ever.
    pub decommissioned: bool,
}

/// A command that was taken. There is no way back from it: whatever cuts it, it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandInProgress {
    /// The order that brought it.
    pub order: OrderNumber,
    /// The order key that gave it.
    pub signer: Thumbprint,
    /// What it does.
    pub action: CommandAction,
    /// SHA-256 of the command.
    pub command: Sha256Digest,
    /// How far it is.
    pub phase: CommandPhase,
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandPhase {
    /// Its number is used up; it is being carried out.
    Taken,
    /// Decommissioning: nothing is left but the operational key, with which the hub is told.
    LastWord,
}

/// Which anchors the device holds. The document itself is stored beside the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldAnchors {
    /// Their version.
    pub version: AnchorsVersion,
    /// SHA-256 of the document.
    pub digest: Sha256Digest,
}

/// The highest confirmed sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The number.
    pub sequence: SequenceNumber,
    /// The manifest that had it.
    pub manifest: Sha256Digest,
}

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Slot {
    A,
    B,
}

impl Slot {
    /// The other one.
    pub const fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// `a` or `b`.
    pub const fn name(self) -> &'static str {
        match self {
            Slot::A => "a",
            Slot::B => "b",
        }
    }
}

/// What a slot holds: judged once, at install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRecord {
    /// The manifest.
    pub manifest: Sha256Digest,
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// The anchors under which it was judged, and stays valid.
    pub anchors: AnchorsVersion,
    /// The version that people read; may be empty.
    pub version: Text<64>,
}

/// An update in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// The order.
    pub order: OrderNumber,
    /// The order key that gave it.
    pub signer: Thumbprint,
    /// When the order expires; it is judged until the switch, and never after.
    pub expires: UnixTime,
    /// Whether it came on an offline medium, so that nobody is asked again before the switch.
    pub offline: bool,
    /// The manifest that it names.
    pub manifest: Sha256Digest,
    /// The manifest's sequence number; 0 until it was read.
    pub sequence: SequenceNumber,
    /// The version that people read; empty until the manifest was read.
    pub version: Text<64>,
    /// The slot that is written.
    pub slot: Slot,
    /// How far it is.
    pub phase: Phase,
}

/// How far an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The order was accepted.
    Offered,
    /// The manifest was judged, the slot is being written.
    Downloading,
    /// The slot is written, with its slot record.
    Written,
    /// The slot is armed.
    Trial {
        /// How often it was started.
        attempts: u8,
    },
    /// The device is going back.
    Reverting {
        /// Why.
        reason: Reason,
        /// More, for people.
        detail: Detail,
    },
}

impl Phase {
    /// The state that reports show.
    pub const fn state(&self) -> UpdateState {
        match self {
            Phase::Offered => UpdateState::Offered,
            Phase::Downloading => UpdateState::Downloading,
            Phase::Written => UpdateState::Written,
            Phase::Trial { .. } | Phase::Reverting { .. } => UpdateState::Trial,
        }
    }

    /// Has the switch happened? From then on nothing but the trial decides.
    pub const fn is_switched(&self) -> bool {
        matches!(self, Phase::Trial { .. } | Phase::Reverting { .. })
    }
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The order.
    pub order: OrderNumber,
    /// The manifest (of a command: the command).
    pub manifest: Sha256Digest,
    /// Its sequence number; 0 if it was never read.
    pub sequence: SequenceNumber,
    /// A terminal state.
    pub state: UpdateState,
    /// Why, unless it was confirmed.
    pub reason: Option<Reason>,
    /// More, for people.
    pub detail: Detail,
    /// Does the hub know?
    pub reported: bool,
}

impl Record {
    /// The record of a device that comes from the factory.
    pub fn new(anchors: HeldAnchors, counter: u64) -> Record {
        Record {
            anchors,
            ledgers: OrderLedgers::default(),
            floor: None,
            active: None,
            slots: [None; 2],
            update: None,
            last: None,
            link: None,
            audit: None,
            counter,
            command_ledgers: CommandLedgers::default(),
            command: None,
            debug_nonce: None,
            decommissioned: false,
        }
    }

    /// What a slot holds.
    pub fn slot(&self, slot: Slot) -> Option<&SlotRecord> {
        self.slots[slot as usize].as_ref()
    }

    /// The confirmed release.
    pub fn running(&self) -> Option<&SlotRecord> {
        self.active.and_then(|slot| self.slot(slot))
    }

    pub(crate) fn set_slot(&mut self, slot: Slot, record: Option<SlotRecord>) {
        self.slots[slot as usize] = record;
    }
}
