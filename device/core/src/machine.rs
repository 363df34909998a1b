//! The state machine.

mod command;
mod orders;
mod update;

use ringfort_cose::{Reason, Sha256Digest};
use ringfort_messages::{
    CheckIn, CheckInAnswer, ClassStatus, List, Protection, Report, Running, UpdateState,
    UpdateStatus,
};
use ringfort_suit::limits;
use ringfort_trust::ids::{AnchorsVersion, Nonce, OrderNumber, SequenceNumber, Text};
use ringfort_trust::{Anchors, Channel, OrderLedger, TimeFloor};

use crate::action::{Action, Actions};
use crate::clock::Clock;
use crate::event::{Env, Event};
use crate::record::{Detail, Identity, Phase, Record, Settings, Slot};

/// One device: its identity, its durable record, and what it is doing now.
#[derive(Clone, Debug)]
pub struct Device {
    identity: Identity,
    settings: Settings,
    record: Record,
    clock: Clock,
    /// The payloads of the update in progress, once its manifest was judged.
    plan: List<Payload, { limits::COMPONENTS }>,
    /// The anchors that the device held when it last asked for newer ones before anything else.
    asked_from: AnchorsVersion,
    /// The counter's advance that a power cut came before.
    cut_advance: bool,
    /// An order that was not accepted, for its report.
    refused: Option<Report>,
}

/// The key store's counter contradicts the record: the device's state was put back to an older
/// copy, or belongs to another key store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// What the record says.
    pub record: u64,
    /// What the key store's counter says.
    pub counter: u64,
}

impl Device {
    /// Takes up a record. `counter` is the key store's counter; one advance may have been cut, and
    /// then [`Event::Started`] asks for it.
    ///
    /// # Errors
    /// [`RolledBack`] when the record is not the latest one.
    pub fn new(
        identity: Identity,
        settings: Settings,
        record: Record,
        counter: u64,
    ) -> Result<Device, RolledBack> {
        let cut = counter.checked_add(1) == Some(record.counter);
        if record.counter != counter && !cut {
            return Err(RolledBack { record: record.counter, counter });
        }
        Ok(Device {
            identity,
            settings,
            record,
            clock: Clock::new(),
            plan: List::EMPTY,
            asked_from: AnchorsVersion(0),
            cut_advance: cut,
            refused: None,
        })
    }

    /// What is to be stored at [`Action::Persist`].
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Notes the slot that the machine runs from, where a boot loader decides that: the factory's
    /// image before the first update, or what the boot loader fell back to by itself. The next
    /// update goes into the other one. While a trial is under way nothing is noted. True when the
    /// record named another slot: what was confirmed does not run.
    pub fn runs_from(&mut self, slot: Slot) -> bool {
        if self.record.update.is_some_and(|update| update.phase.is_switched()) {
            return false;
        }
        self.record.active.replace(slot).is_some_and(|noted| noted != slot)
    }

    /// Who the device is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Forgets signed time, so that it is asked for again before anything else: the host's counter
    /// may have stood still, and the hub's new certificate would seem not yet valid.
    pub fn forget_time(&mut self) {
        self.clock = Clock::new();
    }

    /// The time floor under these anchors.
    pub fn time_floor(&self, anchors: &Anchors<'_>) -> TimeFloor {
        TimeFloor {
            build: self.settings.built,
            anchors: anchors.time_floor(),
            orders: self.record.ledgers.latest_time(),
        }
    }

    /// The check-in that the device sends now.
    ///
    /// # Errors
    /// `too-large`, never with the bounds as they are.
    pub fn check_in(
        &self,
        nonce: Nonce,
        agent: Text<64>,
        protection: Protection,
    ) -> Result<CheckIn, Reason> {
        let number = |ledger: &OrderLedger| {
            let current = ledger.in_progress.map_or(OrderNumber(0), |order| order.number);
            ledger.last_finished.max(current)
        };
        let running = self.record.running().map(|slot| Running {
            sequence: slot.sequence,
            manifest: slot.manifest,
            version: slot.version,
        });
        let status = ClassStatus {
            class: self.identity.class,
            floor: self.record.floor.map_or(SequenceNumber(0), |floor| floor.sequence),
            running,
        };
        Ok(CheckIn {
            nonce,
            last_order: self.record.ledgers.iter().map(number).max().unwrap_or_default(),
            link: self.record.link,
            anchors: self.record.anchors.version,
            agent,
            protection,
            classes: List::from_slice(&[status])?,
            update: self.update_status(),
            audit: self.record.audit,
        })
    }

    /// The update in progress, or how the last one ended.
    pub fn update_status(&self) -> Option<UpdateStatus> {
        let current = self.record.update.map(|update| UpdateStatus {
            order: update.order,
            state: update.phase.state(),
            reason: None,
        });
        current.or_else(|| self.command_status()).or_else(|| {
            self.record.last.map(|last| UpdateStatus {
                order: last.order,
                state: last.state,
                reason: last.reason.map(Into::into),
            })
        })
    }

    /// The report of the update or of the command in progress.
    pub fn progress_report(&self) -> Option<Report> {
        self.command_report().or_else(|| self.update_report())
    }

    fn update_report(&self) -> Option<Report> {
        self.record.update.map(|update| Report {
            order: update.order,
            class: self.identity.class,
            sequence: update.sequence,
            manifest: update.manifest,
            state: update.phase.state(),
            reason: None,
            detail: Text::EMPTY,
            version: self.running_version(),
        })
    }

    /// The report of the last result, until the hub has it.
    pub fn result_report(&self) -> Option<Report> {
        self.record.last.filter(|last| !last.reported).map(|last| Report {
            order: last.order,
            class: self.identity.class,
            sequence: last.sequence,
            manifest: last.manifest,
            state: last.state,
            reason: last.reason.map(Into::into),
            detail: Text::lossy(last.reason.map_or("", |_| last.detail.as_str())),
            version: self.running_version(),
        })
    }

    /// The report of the last order that was not accepted.
    pub fn refusal_report(&self) -> Option<Report> {
        self.refused
    }

    /// Takes an event; returns what the host is to do, in order.
    pub fn handle(&mut self, event: Event<'_>, env: &Env<'_>) -> Actions {
        if self.record.decommissioned {
            return Actions::of(&[Action::End]);
        }
        match event {
            Event::Started { booted } => self.on_started(booted, env),
            Event::SignedTime { token, nonce } => {
                self.on_token(token, None, Channel::Online { nonce }, env)
            }
            Event::Answer { answer, nonce } => self.on_answer(answer, nonce, env),
            Event::OfflineOrder { token, command } => {
                self.on_token(token, command, Channel::Offline, env)
            }
            Event::Anchors { document } => self.on_anchors(document, env),
            Event::Manifest { envelope } => self.on_manifest(envelope, env),
            Event::ManifestUnavailable => Actions::default(),
            Event::PayloadWritten { component, digest, size_bytes } => {
                self.on_payload(component, digest, size_bytes, env)
            }
            Event::PayloadFailed { component: _, reason, detail } => {
                self.on_payload_failed(reason, detail)
            }
            Event::SlotDamaged { reason } => self.on_damaged(reason),
            Event::Restarted => self.on_restarted(),
            Event::RestartFailed { detail } => self.on_restart_failed(detail),
            Event::Health { failed } => self.on_health(failed),
            Event::CommandDone { failed } => self.on_command_done(failed),
            Event::ResultReported { order } => self.on_reported(order),
        }
    }

    fn on_answer(&mut self, answer: &CheckInAnswer<'_>, nonce: Nonce, env: &Env<'_>) -> Actions {
        // The link is stored before anything else: the hub counts on it.
        self.record.link = Some(answer.link);
        let mut actions = Actions::of(&[Action::Persist]);
        let newer = answer.newest_anchors > self.record.anchors.version;
        if newer && self.record.anchors.version != self.asked_from {
            // First what the device is to believe, then what it is to do. Asked once from each
            // version that the device holds: a hub that promises anchors which do not exist, ever
            // higher ones, neither stops orders by that nor keeps the device at asking.
            self.asked_from = self.record.anchors.version;
            actions.push(Action::FetchAnchors(self.next_anchors()));
            actions.push(Action::CheckIn);
            return actions;
        }
        let channel = Channel::Online { nonce };
        let judged = self.on_token(answer.token, answer.command, channel, env);
        judged.iter().filter(|action| *action != Action::Persist).for_each(|action| {
            actions.push(action);
        });
        if newer {
            actions.push(Action::FetchAnchors(self.next_anchors()));
        }
        actions
    }

    fn on_started(&mut self, booted: Option<Slot>, env: &Env<'_>) -> Actions {
        let mut actions = Actions::default();
        if core::mem::take(&mut self.cut_advance) {
            actions.push(Action::AdvanceCounter);
        }
        if let Some(command) = self.record.command {
            actions.extend(self.resume_command(&command));
            return actions;
        }
        let unreported = self.record.last.is_some_and(|last| !last.reported);
        if unreported {
            actions.push(Action::ReportResult);
        }
        let Some(update) = self.record.update else { return actions };
        match update.phase {
            Phase::Offered | Phase::Downloading => {
                actions.push(Action::FetchManifest(update.manifest));
            }
            Phase::Written if update.offline => actions.extend(self.arm_unasked(env)),
            Phase::Written => actions.push(Action::CheckIn),
            // A machine that booted the slot has started it now, not when it was armed.
            Phase::Trial { attempts }
                if attempts > self.attempts()
                    || (attempts == self.attempts() && booted != Some(update.slot)) =>
            {
                actions.extend(self.go_back(Reason::TrialBudgetSpent, Detail::EMPTY));
            }
            Phase::Trial { attempts } => {
                self.set_phase(Phase::Trial { attempts: attempts.saturating_add(1) });
                actions.push(Action::Persist);
                if booted == Some(update.slot) {
                    actions.push(Action::RunHealthChecks);
                } else {
                    actions.push(Action::Activate(Some(update.slot)));
                    actions.push(Action::Restart);
                }
            }
            Phase::Reverting { reason, detail }
                if booted.is_some() && booted == self.record.active =>
            {
                actions.extend(self.end(UpdateState::Reverted, Some(reason), detail));
            }
            Phase::Reverting { .. } => {
                actions.push(Action::Activate(self.record.active));
                actions.push(Action::Restart);
            }
        }
        actions
    }

    /// The record names the counter's next value, then the counter moves.
    fn announce_counter(&mut self, actions: &mut Actions) {
        self.record.counter = self.record.counter.saturating_add(1);
        actions.push(Action::AdvanceCounter);
    }

    fn next_anchors(&self) -> AnchorsVersion {
        AnchorsVersion(self.record.anchors.version.0.saturating_add(1))
    }

    fn running_version(&self) -> Text<64> {
        self.record.running().map_or(Text::EMPTY, |slot| slot.version)
    }
}

/// A payload of the manifest that was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Payload {
    digest: Sha256Digest,
    size_bytes: u64,
}
