//! What the host is to do.

use ringfort_cose::Reason;
use ringfort_cose::Sha256Digest;
use ringfort_trust::ids::AnchorsVersion;

use crate::record::Slot;

/// One thing for the host to do. Actions are done in order; if one fails and its text names no
/// event for that, the host stops and starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Store the anchors document of [`crate::Event::Anchors`], durably, under its version.
    StoreAnchors(AnchorsVersion),
    /// Store [`crate::Device::record`] durably, by one atomic replacement.
    Persist,
    /// Advance the key store's counter by one: the record stored just before names that value.
    AdvanceCounter,
    /// Fetch this anchors version: from the spare address too. Then [`crate::Event::Anchors`].
    FetchAnchors(AnchorsVersion),
    /// Fetch the envelope with this manifest digest, or take it from the slot where it lies
    /// already. Then [`crate::Event::Manifest`] or [`crate::Event::ManifestUnavailable`].
    FetchManifest(Sha256Digest),
    /// Make the slot ready for the payloads of this manifest. What lies there from an earlier try
    /// of the same manifest may stay; anything else is removed, durably.
    PrepareSlot {
        /// The slot. It is never the active one.
        slot: Slot,
        /// The manifest.
        manifest: Sha256Digest,
    },
    /// Fetch a payload into the slot: at most `size_bytes`, checked against the digest, durably.
    /// Then [`crate::Event::PayloadWritten`] or [`crate::Event::PayloadFailed`].
    FetchPayload {
        /// The slot.
        slot: Slot,
        /// Position of the component in the manifest.
        component: u8,
        /// SHA-256 of the payload, which also names it at the hub.
        digest: Sha256Digest,
        /// Its exact size.
        size_bytes: u64,
    },
    /// Check in at once: the order is to be confirmed just before the switch.
    CheckIn,
    /// Let the next start run this slot, by one atomic step; none where nothing was installed
    /// before. What the slot holds is compared with its digests first;
    /// [`crate::Event::SlotDamaged`] if it differs.
    Activate(Option<Slot>),
    /// Restart what runs the payload. Then [`crate::Event::Restarted`] or
    /// [`crate::Event::RestartFailed`]; or the whole machine restarts.
    Restart,
    /// Run the declared health checks. Then [`crate::Event::Health`].
    RunHealthChecks,
    /// Send [`crate::Device::progress_report`]. If it fails, it fails.
    ReportProgress,
    /// Send [`crate::Device::result_report`] until it arrives. Then
    /// [`crate::Event::ResultReported`].
    ReportResult,
    /// Send [`crate::Device::refusal_report`]. If it fails, it fails.
    ReportRefusal,
    /// Destroy the operational keys, their certificates, and the data of whoever operates the
    /// device; what is gone already is no error. Then [`crate::Event::CommandDone`]. After it the
    /// device enters again with its factory identity, unless it is being decommissioned.
    WipeOperational,
    /// Destroy everything but the operational key: factory identity, attestation key, slots, data.
    /// Then [`crate::Event::CommandDone`].
    DestroyIdentity,
    /// Unlock debugging until the next reset. Then [`crate::Event::CommandDone`].
    UnlockDebug,
    /// The device is out of use for ever: the host ends and says so.
    End,
    /// Log it, loudly.
    Alarm(Alarm),
    /// What was handed over is refused, for this reason, and nothing has changed by it.
    Refused(Reason),
}

/// Something that people should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// The running release is revoked by the current anchors. It runs on until another one is
    /// installed.
    RunningRevoked,
    /// The hub's audit log got shorter, or another one of the same length.
    AuditForked,
    /// After going back, the old release could not be restarted.
    OldReleaseDown,
    /// What the active slot holds is not what was installed.
    ActiveSlotDamaged,
}

impl Alarm {
    /// What happened, in one sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Alarm::RunningRevoked => "the running release is revoked by the current anchors",
            Alarm::AuditForked => "the hub's audit log is shorter than before, or another one",
            Alarm::OldReleaseDown => "after going back, the old release could not be restarted",
            Alarm::ActiveSlotDamaged => "the active slot no longer holds what was installed",
        }
    }
}

/// Up to eight actions, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    items: [Option<Action>; Actions::MAX],
    len: usize,
}

impl Actions {
    /// Actions at most.
    pub const MAX: usize = 8;

    pub(crate) fn of(actions: &[Action]) -> Actions {
        let mut out = Actions::default();
        actions.iter().for_each(|action| out.push(*action));
        out
    }

    pub(crate) fn push(&mut self, action: Action) {
        // The longest list that the machine makes is asserted in its tests.
        if let Some(slot) = self.items.get_mut(self.len) {
            *slot = Some(action);
            self.len += 1;
        }
    }

    pub(crate) fn extend(&mut self, more: Actions) {
        more.iter().for_each(|action| self.push(action));
    }

    /// The actions.
    pub fn iter(&self) -> impl Iterator<Item = Action> + use<> {
        self.items.into_iter().flatten()
    }

    /// Is there nothing to do?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
