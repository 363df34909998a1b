//! The way of an update: manifest, payloads, trial, confirmation, and back.

use ringfort_cose::{Reason, Sha256Digest};
use ringfort_messages::{List, UpdateState};
use ringfort_trust::ids::{OrderNumber, SequenceNumber, Text};

use super::{Device, Payload};
use crate::action::{Action, Actions, Alarm};
use crate::event::Env;
use crate::judge::judge_release;
use crate::record::{Detail, Finished, Floor, Phase, Slot, SlotRecord, Update};

impl Device {
    pub(super) fn on_manifest(&mut self, envelope: &[u8], env: &Env<'_>) -> Actions {
        let Some(update) = self.record.update else { return Actions::default() };
        if !matches!(update.phase, Phase::Offered | Phase::Downloading) {
            return Actions::default();
        }
        let judged = judge_release(
            envelope,
            &update.manifest,
            &self.identity,
            self.record.floor.as_ref(),
            env.anchors,
            env.verifier,
        );
        let release = match judged {
            Ok(release) => release,
            Err(reason) => {
                return self.end(refusal(&update.phase), Some(reason), Detail::EMPTY);
            }
        };
        self.plan = List::EMPTY;
        for component in release.components() {
            let payload = Payload { digest: component.digest, size_bytes: component.size_bytes };
            if let Err(reason) = self.plan.push(payload) {
                return self.end(refusal(&update.phase), Some(reason), Detail::EMPTY);
            }
        }
        let version = Text::lossy(release.version.unwrap_or_default());
        self.change_update(|update| {
            update.sequence = SequenceNumber(release.sequence_number);
            update.version = version;
            update.phase = Phase::Downloading;
        });
        // The start of writing invalidates the slot, durably.
        self.record.set_slot(update.slot, None);
        let mut actions = Actions::of(&[
            Action::Persist,
            Action::ReportProgress,
            Action::PrepareSlot { slot: update.slot, manifest: update.manifest },
        ]);
        actions.extend(self.fetch(update.slot, 0));
        actions
    }

    pub(super) fn on_payload(
        &mut self,
        component: u8,
        digest: Sha256Digest,
        size_bytes: u64,
        env: &Env<'_>,
    ) -> Actions {
        let Some(update) = self.record.update else { return Actions::default() };
        let planned = self.plan.iter().nth(component.into()).copied();
        let (Phase::Downloading, Some(planned)) = (update.phase, planned) else {
            return Actions::default();
        };
        if size_bytes != planned.size_bytes {
            return self.end(UpdateState::Failed, Some(Reason::ImageSize), Detail::EMPTY);
        }
        if digest != planned.digest {
            return self.end(UpdateState::Failed, Some(Reason::ImageDigest), Detail::EMPTY);
        }
        let next = component.saturating_add(1);
        if usize::from(next) < self.plan.len() {
            return self.fetch(update.slot, next);
        }
        let slot = SlotRecord {
            manifest: update.manifest,
            sequence: update.sequence,
            anchors: self.record.anchors.version,
            version: update.version,
        };
        self.record.set_slot(update.slot, Some(slot));
        self.set_phase(Phase::Written);
        if update.offline {
            let mut actions = Actions::of(&[Action::Persist, Action::ReportProgress]);
            actions.extend(self.arm_unasked(env));
            return actions;
        }
        Actions::of(&[Action::Persist, Action::ReportProgress, Action::CheckIn])
    }

    pub(super) fn on_payload_failed(&mut self, reason: Reason, detail: Detail) -> Actions {
        match (self.record.update.map(|update| update.phase), reason) {
            // What a later try may bring is tried again at the next check-in.
            (Some(Phase::Downloading), Reason::TransferFailed | Reason::SlowTransfer) => {
                Actions::default()
            }
            (Some(Phase::Downloading), reason) => {
                self.end(UpdateState::Failed, Some(reason), detail)
            }
            _ => Actions::default(),
        }
    }

    pub(super) fn on_damaged(&mut self, reason: Reason) -> Actions {
        match self.record.update.map(|update| update.phase) {
            Some(Phase::Trial { .. }) => self.go_back(reason, Detail::EMPTY),
            // Nothing better is left to go back to.
            Some(Phase::Reverting { reason, detail }) => {
                let mut actions = self.end(UpdateState::Reverted, Some(reason), detail);
                actions.push(Action::Alarm(Alarm::ActiveSlotDamaged));
                actions
            }
            _ => Actions::of(&[Action::Alarm(Alarm::ActiveSlotDamaged)]),
        }
    }

    pub(super) fn on_restarted(&mut self) -> Actions {
        match self.record.update.map(|update| update.phase) {
            Some(Phase::Trial { .. }) => Actions::of(&[Action::RunHealthChecks]),
            Some(Phase::Reverting { reason, detail }) => {
                self.end(UpdateState::Reverted, Some(reason), detail)
            }
            _ => Actions::default(),
        }
    }

    pub(super) fn on_restart_failed(&mut self, detail: Detail) -> Actions {
        match self.record.update.map(|update| update.phase) {
            Some(Phase::Trial { attempts }) if attempts < self.attempts() => {
                self.set_phase(Phase::Trial { attempts: attempts.saturating_add(1) });
                Actions::of(&[Action::Persist, Action::Restart])
            }
            Some(Phase::Trial { .. }) => self.go_back(Reason::RestartFailed, detail),
            Some(Phase::Reverting { reason, detail }) => {
                let mut actions = self.end(UpdateState::Reverted, Some(reason), detail);
                actions.push(Action::Alarm(Alarm::OldReleaseDown));
                actions
            }
            _ => Actions::default(),
        }
    }

    pub(super) fn on_health(&mut self, failed: Option<Detail>) -> Actions {
        let Some(update) = self.record.update else { return Actions::default() };
        match (update.phase, failed) {
            (Phase::Trial { .. }, None) => self.confirm(&update),
            (Phase::Trial { .. }, Some(detail)) => self.go_back(Reason::HealthCheckFailed, detail),
            _ => Actions::default(),
        }
    }

    pub(super) fn on_reported(&mut self, order: OrderNumber) -> Actions {
        match &mut self.record.last {
            Some(last) if last.order == order && !last.reported => {
                last.reported = true;
                Actions::of(&[Action::Persist])
            }
            _ => Actions::default(),
        }
    }

    /// The switch for an order from a medium. Nobody is asked again, so its life is judged here, by
    /// what the device knows of the time now.
    pub(super) fn arm_unasked(&mut self, env: &Env<'_>) -> Actions {
        let now = self.clock.now(&self.time_floor(env.anchors), env.uptime);
        match self.record.update {
            Some(update) if update.expires <= now => {
                self.end(UpdateState::Failed, Some(Reason::Expired), Detail::EMPTY)
            }
            _ => self.arm(),
        }
    }

    /// The switch to trial, in one record; what follows can be cut anywhere.
    pub(super) fn arm(&mut self) -> Actions {
        let Some(update) = self.record.update else { return Actions::default() };
        self.set_phase(Phase::Trial { attempts: 1 });
        Actions::of(&[
            Action::Persist,
            Action::ReportProgress,
            Action::Activate(Some(update.slot)),
            Action::Restart,
        ])
    }

    /// Floor, active slot and result in one record. The other slot never boots by itself again.
    pub(super) fn confirm(&mut self, update: &Update) -> Actions {
        self.record.floor = Some(Floor { sequence: update.sequence, manifest: update.manifest });
        self.record.active = Some(update.slot);
        self.record.set_slot(update.slot.other(), None);
        self.finish(UpdateState::Confirmed, None, Detail::EMPTY);
        let mut actions = Actions::of(&[Action::Persist]);
        self.announce_counter(&mut actions);
        actions.push(Action::ReportResult);
        actions
    }

    pub(super) fn go_back(&mut self, reason: Reason, detail: Detail) -> Actions {
        self.set_phase(Phase::Reverting { reason, detail });
        if let Some(update) = self.record.update {
            self.record.set_slot(update.slot, None);
        }
        Actions::of(&[Action::Persist, Action::Activate(self.record.active), Action::Restart])
    }

    pub(super) fn end(
        &mut self,
        state: UpdateState,
        reason: Option<Reason>,
        detail: Detail,
    ) -> Actions {
        self.finish(state, reason, detail);
        Actions::of(&[Action::Persist, Action::ReportResult])
    }

    /// Ends the update: its order is never accepted again.
    pub(super) fn finish(&mut self, state: UpdateState, reason: Option<Reason>, detail: Detail) {
        let Some(update) = self.record.update.take() else { return };
        self.plan = List::EMPTY;
        if state != UpdateState::Confirmed {
            self.record.set_slot(update.slot, None);
        }
        self.change_ledger(&update.signer, |ledger| *ledger = ledger.finished());
        self.record.last = Some(Finished {
            order: update.order,
            manifest: update.manifest,
            sequence: update.sequence,
            state,
            reason,
            detail,
            reported: false,
        });
    }

    pub(super) fn fetch(&self, slot: Slot, component: u8) -> Actions {
        let planned = self.plan.iter().nth(component.into());
        planned.map_or(Actions::default(), |payload| {
            Actions::of(&[Action::FetchPayload {
                slot,
                component,
                digest: payload.digest,
                size_bytes: payload.size_bytes,
            }])
        })
    }

    pub(super) fn change_update(&mut self, change: impl FnOnce(&mut Update)) {
        if let Some(update) = &mut self.record.update {
            change(update);
        }
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.change_update(|update| update.phase = phase);
    }

    pub(super) fn attempts(&self) -> u8 {
        self.settings.trial_attempts.max(1)
    }
}

/// A release that is turned down before anything was written is refused; later it has failed.
fn refusal(phase: &Phase) -> UpdateState {
    match phase {
        Phase::Offered => UpdateState::Refused,
        _ => UpdateState::Failed,
    }
}
