//! What the hub orders, what people change about whom to believe, and the ledger of each order key.

use ringfort_cose::{Reason, Thumbprint};
use ringfort_messages::{List, Report, UpdateState};
use ringfort_trust::ids::{SequenceNumber, Text, UnixTime};
use ringfort_trust::{
    Accepted, AuditHead, Channel, Content, InProgress, Order, OrderLedger, Outcome, Situation,
    Standing, Task, Token,
};

use super::Device;
use super::command::subject;
use crate::action::{Action, Actions, Alarm};
use crate::event::Env;
use crate::record::{Detail, HeldAnchors, Phase, Slot, Update};

impl Device {
    pub(super) fn on_token(
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
    pub(super) fn on_not_accepted(&mut self, token: &Token, reason: Reason) -> Actions {
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
    pub(super) fn refuse(&mut self, order: &Order, reason: Reason) -> Actions {
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

    pub(super) fn on_accepted(
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

    pub(super) fn on_time(&mut self, audit: AuditHead, env: &Env<'_>) -> Actions {
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

    pub(super) fn on_order(
        &mut self,
        offer: &Offer,
        command: Option<&[u8]>,
        env: &Env<'_>,
    ) -> Actions {
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

    pub(super) fn begin(&mut self, offer: &Offer) -> Actions {
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

    pub(super) fn on_anchors(&mut self, document: &[u8], env: &Env<'_>) -> Actions {
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

    pub(super) fn note_time(&mut self, signer: Thumbprint, time: UnixTime) {
        let mut ledger = self.record.ledgers.of(&signer);
        ledger.last_time = ledger.last_time.max(time);
        // A ninth key cannot be: anchors name at most eight, and the others were forgotten.
        let _ = self.record.ledgers.put(ledger);
    }

    pub(super) fn note_in_progress(&mut self, offer: &Offer) {
        self.change_ledger(&offer.signer, |ledger| ledger.in_progress = offer.in_progress);
    }

    pub(super) fn change_ledger(
        &mut self,
        key: &Thumbprint,
        change: impl FnOnce(&mut OrderLedger),
    ) {
        let known = self.record.ledgers.iter().any(|ledger| ledger.key == *key);
        if known {
            let mut ledger = self.record.ledgers.of(key);
            change(&mut ledger);
            let _ = self.record.ledgers.put(ledger);
        }
    }
}

/// An order that was accepted, and how it came.
pub(super) struct Offer {
    pub(super) order: Order,
    pub(super) standing: Standing,
    pub(super) signer: Thumbprint,
    pub(super) expires: UnixTime,
    pub(super) offline: bool,
    pub(super) in_progress: Option<InProgress>,
}
