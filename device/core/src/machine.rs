//! The state machine.

mod command;

use ringfort_cose::{Reason, Sha256Digest, Thumbprint};
use ringfort_messages::{
    CheckIn, CheckInAnswer, ClassStatus, List, Protection, Report, Running, UpdateState,
    UpdateStatus,
};
use ringfort_suit::limits;
use ringfort_trust::ids::{AnchorsVersion, Nonce, OrderNumber, SequenceNumber, Text, UnixTime};
use ringfort_trust::{
    Accepted, Anchors, AuditHead, Channel, Content, InProgress, Order, OrderLedger, Outcome,
    Situation, Standing, Task, TimeFloor, Token,
};

use self::command::subject;
use crate::action::{Action, Actions, Alarm};
use crate::clock::Clock;
use crate::event::{Env, Event};
use crate::judge::judge_release;
use crate::record::{
    Detail, Finished, Floor, HeldAnchors, Identity, Phase, Record, Settings, Slot, SlotRecord,
    Update,
};

/// One device: its identity, its durable record, and what it is doing now.
#[derive(Clone, Debug)]
pub struct Device {
    identity: Identity,
    settings: Settings,
    record: Record,
    clock: Clock,
    /// The payloads of the update in progress, once its manifest was judged.
    plan: List<Payload, { limits::COMPONENTS }>,
    /// The newest anchors that were asked for since the host started.
    asked_anchors: AnchorsVersion,
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
            asked_anchors: AnchorsVersion(0),
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
            Event::Started { booted } => self.on_started(booted),
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
                self.on_payload(component, digest, size_bytes)
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
        if newer && answer.newest_anchors != self.asked_anchors {
            // First what the device is to believe, then what it is to do. Asked once for each
            // version: a hub that promises anchors which do not exist cannot stop orders by that.
            self.asked_anchors = answer.newest_anchors;
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

    fn on_started(&mut self, booted: Option<Slot>) -> Actions {
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
            Phase::Written if update.offline => actions.extend(self.arm()),
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

    fn on_token(
        &mut self,
        token: &[u8],
        command: Option<&[u8]>,
        channel: Channel,
        env: &Env<'_>,
    ) -> Actions {
        let judged = Token::verify(token, env.anchors, &env.verifier).map(|token| {
            let ledger = self.record.ledgers.of(&token.signer());
            let floor = self.time_floor(env.anchors);
            let situation = Situation {
                device: self.identity.device,
                channel,
                now: self.clock.now(&floor, env.uptime),
                floor,
                anchors_version: self.record.anchors.version,
            };
            (token, token.accept(&situation, &ledger))
        });
        match judged {
            Ok((token, Ok(accepted))) => self.on_accepted(&token, accepted, command, channel, env),
            Ok((token, Err(reason))) => self.on_not_accepted(&token, reason),
            Err(reason) => Actions::of(&[Action::Refused(reason)]),
        }
    }

    /// The token is the hub's, but not one to act on.
    fn on_not_accepted(&mut self, token: &Token, reason: Reason) -> Actions {
        let mut actions = Actions::of(&[Action::Refused(reason)]);
        if reason == Reason::AnchorsTooOld {
            actions.push(Action::FetchAnchors(self.next_anchors()));
            return actions;
        }
        let claims = token.claims();
        let Content::Order(order) = claims.content else { return actions };
        let known = |number| number == order.number;
        let is_known = self.record.update.map(|update| update.order).is_some_and(known)
            || self.record.last.map(|last| last.order).is_some_and(known);
        // A report would end what is in progress, or be about another device, or be forged.
        if is_known || matches!(reason, Reason::WrongRecipient | Reason::NonceMismatch) {
            return actions;
        }
        actions.extend(self.refuse(&order, reason));
        actions
    }

    /// Tells the hub that an order is not followed.
    fn refuse(&mut self, order: &Order, reason: Reason) -> Actions {
        self.refused = Some(Report {
            order: order.number,
            class: self.identity.class,
            sequence: SequenceNumber(0),
            manifest: subject(&order.task),
            state: UpdateState::Refused,
            reason: Some(reason.into()),
            detail: Text::EMPTY,
            version: self.running_version(),
        });
        Actions::of(&[Action::ReportRefusal])
    }

    fn on_accepted(
        &mut self,
        token: &Token,
        accepted: Accepted,
        command: Option<&[u8]>,
        channel: Channel,
        env: &Env<'_>,
    ) -> Actions {
        if let Some(time) = accepted.time {
            self.clock.set(time, env.uptime);
        }
        let signer = token.signer();
        self.note_time(signer, accepted.ledger.last_time);
        match accepted.outcome {
            Outcome::Time { audit } => self.on_time(audit, env),
            Outcome::Order { order, standing } => {
                let offer = Offer {
                    order,
                    standing,
                    signer,
                    expires: token.claims().expires,
                    offline: channel == Channel::Offline,
                    in_progress: accepted.ledger.in_progress,
                };
                self.on_order(&offer, command, env)
            }
        }
    }

    fn on_time(&mut self, audit: AuditHead, env: &Env<'_>) -> Actions {
        let mut actions = Actions::of(&[Action::Persist]);
        match self.record.audit {
            Some(held) if audit.size < held.size || (audit.size == held.size && audit != held) => {
                actions.push(Action::Alarm(Alarm::AuditForked));
            }
            _ => self.record.audit = Some(audit),
        }
        // The hub does not repeat the order. It may again; until it expires there is time.
        let now = self.clock.now(&self.time_floor(env.anchors), env.uptime);
        let expired = |update: &Update| !update.phase.is_switched() && update.expires <= now;
        if self.record.update.as_ref().is_some_and(expired) {
            self.finish(UpdateState::Failed, Some(Reason::Expired), Detail::EMPTY);
            actions.push(Action::ReportResult);
        }
        actions
    }

    fn on_order(&mut self, offer: &Offer, command: Option<&[u8]>, env: &Env<'_>) -> Actions {
        let switched = self.record.update.is_some_and(|update| update.phase.is_switched());
        if switched || self.record.command.is_some() {
            // The trial or the command ends first. The hub offers again what was not taken.
            return Actions::of(&[Action::Persist]);
        }
        if matches!(offer.order.task, Task::Command { .. }) {
            return self.on_command(offer, command, env);
        }
        let current = self
            .record
            .update
            .filter(|update| offer.standing != Standing::New && update.order == offer.order.number);
        let Some(mut update) = current else { return self.begin(offer) };
        update.expires = offer.expires;
        self.record.update = Some(update);
        self.note_in_progress(offer);
        match update.phase {
            Phase::Written => self.arm(),
            _ => Actions::of(&[Action::Persist, Action::FetchManifest(update.manifest)]),
        }
    }

    fn begin(&mut self, offer: &Offer) -> Actions {
        let mut actions = Actions::of(&[Action::Persist]);
        if self.record.update.is_some() {
            self.finish(UpdateState::Failed, Some(Reason::Superseded), Detail::EMPTY);
            actions.push(Action::ReportResult);
        }
        self.note_in_progress(offer);
        let manifest = subject(&offer.order.task);
        self.record.update = Some(Update {
            order: offer.order.number,
            signer: offer.signer,
            expires: offer.expires,
            offline: offer.offline,
            manifest,
            sequence: SequenceNumber(0),
            version: Text::EMPTY,
            slot: self.record.active.map_or(Slot::A, Slot::other),
            phase: Phase::Offered,
        });
        if let Some(running) = self.record.running().filter(|slot| slot.manifest == manifest) {
            let (sequence, version) = (running.sequence, running.version);
            self.change_update(|update| (update.sequence, update.version) = (sequence, version));
            return self.end(UpdateState::Confirmed, None, Detail::EMPTY);
        }
        actions.push(Action::ReportProgress);
        actions.push(Action::FetchManifest(manifest));
        actions
    }

    fn on_anchors(&mut self, document: &[u8], env: &Env<'_>) -> Actions {
        let next = match env.anchors.verify_next(document, &env.verifier) {
            Ok(next) => next,
            Err(reason) => return Actions::of(&[Action::Refused(reason)]),
        };
        self.record.anchors =
            HeldAnchors { version: next.version(), digest: env.verifier.sha256(&[document]) };
        let keys = self.record.ledgers.iter().count();
        self.record.ledgers.keep_only(&next, &env.verifier);
        self.record.command_ledgers.keep_only(&next, &env.verifier);
        if self.record.ledgers.iter().count() < keys {
            // The hub that is in the place of the one that was dropped has a log of its own.
            self.record.audit = None;
        }
        let mut actions = Actions::of(&[Action::StoreAnchors(next.version()), Action::Persist]);
        self.announce_counter(&mut actions);
        if self.record.running().is_some_and(|slot| next.is_revoked(&slot.manifest)) {
            actions.push(Action::Alarm(Alarm::RunningRevoked));
        }
        match self.record.update {
            Some(update) if !update.phase.is_switched() => {
                if next.order_key(&update.signer, &env.verifier).is_err() {
                    let reason = Some(Reason::UntrustedSigner);
                    self.finish(UpdateState::Failed, reason, Detail::EMPTY);
                    actions.push(Action::ReportResult);
                } else {
                    // Judged again under the new anchors; what was downloaded stays.
                    self.record.set_slot(update.slot, None);
                    self.set_phase(Phase::Offered);
                    self.plan = List::EMPTY;
                    actions.push(Action::FetchManifest(update.manifest));
                }
            }
            _ => {}
        }
        actions
    }

    fn on_manifest(&mut self, envelope: &[u8], env: &Env<'_>) -> Actions {
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

    fn on_payload(&mut self, component: u8, digest: Sha256Digest, size_bytes: u64) -> Actions {
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
            actions.extend(self.arm());
            return actions;
        }
        Actions::of(&[Action::Persist, Action::ReportProgress, Action::CheckIn])
    }

    fn on_payload_failed(&mut self, reason: Reason, detail: Detail) -> Actions {
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

    fn on_damaged(&mut self, reason: Reason) -> Actions {
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

    fn on_restarted(&mut self) -> Actions {
        match self.record.update.map(|update| update.phase) {
            Some(Phase::Trial { .. }) => Actions::of(&[Action::RunHealthChecks]),
            Some(Phase::Reverting { reason, detail }) => {
                self.end(UpdateState::Reverted, Some(reason), detail)
            }
            _ => Actions::default(),
        }
    }

    fn on_restart_failed(&mut self, detail: Detail) -> Actions {
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

    fn on_health(&mut self, failed: Option<Detail>) -> Actions {
        let Some(update) = self.record.update else { return Actions::default() };
        match (update.phase, failed) {
            (Phase::Trial { .. }, None) => self.confirm(&update),
            (Phase::Trial { .. }, Some(detail)) => self.go_back(Reason::HealthCheckFailed, detail),
            _ => Actions::default(),
        }
    }

    fn on_reported(&mut self, order: OrderNumber) -> Actions {
        match &mut self.record.last {
            Some(last) if last.order == order && !last.reported => {
                last.reported = true;
                Actions::of(&[Action::Persist])
            }
            _ => Actions::default(),
        }
    }

    /// The switch to trial, in one record; what follows can be cut anywhere.
    fn arm(&mut self) -> Actions {
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
    fn confirm(&mut self, update: &Update) -> Actions {
        self.record.floor = Some(Floor { sequence: update.sequence, manifest: update.manifest });
        self.record.active = Some(update.slot);
        self.record.set_slot(update.slot.other(), None);
        self.finish(UpdateState::Confirmed, None, Detail::EMPTY);
        let mut actions = Actions::of(&[Action::Persist]);
        self.announce_counter(&mut actions);
        actions.push(Action::ReportResult);
        actions
    }

    fn go_back(&mut self, reason: Reason, detail: Detail) -> Actions {
        self.set_phase(Phase::Reverting { reason, detail });
        if let Some(update) = self.record.update {
            self.record.set_slot(update.slot, None);
        }
        Actions::of(&[Action::Persist, Action::Activate(self.record.active), Action::Restart])
    }

    fn end(&mut self, state: UpdateState, reason: Option<Reason>, detail: Detail) -> Actions {
        self.finish(state, reason, detail);
        Actions::of(&[Action::Persist, Action::ReportResult])
    }

    /// Ends the update: its order is never accepted again.
    fn finish(&mut self, state: UpdateState, reason: Option<Reason>, detail: Detail) {
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

    fn fetch(&self, slot: Slot, component: u8) -> Actions {
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

    /// The record names the counter's next value, then the counter moves.
    fn announce_counter(&mut self, actions: &mut Actions) {
        self.record.counter = self.record.counter.saturating_add(1);
        actions.push(Action::AdvanceCounter);
    }

    fn note_time(&mut self, signer: Thumbprint, time: UnixTime) {
        let mut ledger = self.record.ledgers.of(&signer);
        ledger.last_time = ledger.last_time.max(time);
        // A ninth key cannot be: anchors name at most eight, and the others were forgotten.
        let _ = self.record.ledgers.put(ledger);
    }

    fn note_in_progress(&mut self, offer: &Offer) {
        self.change_ledger(&offer.signer, |ledger| ledger.in_progress = offer.in_progress);
    }

    fn change_ledger(&mut self, key: &Thumbprint, change: impl FnOnce(&mut OrderLedger)) {
        let known = self.record.ledgers.iter().any(|ledger| ledger.key == *key);
        if known {
            let mut ledger = self.record.ledgers.of(key);
            change(&mut ledger);
            let _ = self.record.ledgers.put(ledger);
        }
    }

    fn change_update(&mut self, change: impl FnOnce(&mut Update)) {
        if let Some(update) = &mut self.record.update {
            change(update);
        }
    }

    fn set_phase(&mut self, phase: Phase) {
        self.change_update(|update| update.phase = phase);
    }

    fn attempts(&self) -> u8 {
        self.settings.trial_attempts.max(1)
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

/// An order that was accepted, and how it came.
struct Offer {
    order: Order,
    standing: Standing,
    signer: Thumbprint,
    expires: UnixTime,
    offline: bool,
    in_progress: Option<InProgress>,
}

/// A release that is turned down before anything was written is refused; later it has failed.
fn refusal(phase: &Phase) -> UpdateState {
    match phase {
        Phase::Offered => UpdateState::Refused,
        _ => UpdateState::Failed,
    }
}
