//! Commands: what people consented to, brought by an order of the hub.
//!
//! Taking a command is one record: its number is used up, what it ends is ended, and what it asks
//! for is in progress. From there it only goes forward; [`crate::Event::Started`] takes it up
//! wherever it was cut.

use ringfort_cose::{Reason, Thumbprint};
use ringfort_messages::{Report, UpdateState, UpdateStatus};
use ringfort_trust::ids::{Nonce, SequenceNumber, Text};
use ringfort_trust::{Command, CommandAction, CommandLedgers, Task};

use super::Device;
use super::orders::Offer;
use crate::action::{Action, Actions};
use crate::event::Env;
use crate::record::{CommandInProgress, CommandPhase, Detail, Finished, Slot};

impl Device {
    /// The nonce that a command to unlock debugging has to name; none before one was offered.
    pub fn debug_nonce(&self) -> Option<Nonce> {
        self.record.debug_nonce
    }

    /// Gives the device a fresh nonce for unlocking, unless it has one that was not used. The
    /// host stores the record before anyone sees the nonce.
    pub fn offer_debug_nonce(&mut self, fresh: Nonce) {
        if self.settings.debug_unlock && !self.record.decommissioned {
            self.record.debug_nonce.get_or_insert(fresh);
        }
    }

    /// Takes a command that an accepted order names, or refuses it. What is refused changes
    /// nothing but the order key's time.
    pub(super) fn on_command(
        &mut self,
        offer: &Offer,
        bytes: Option<&[u8]>,
        env: &Env<'_>,
    ) -> Actions {
        let now = self.clock.now(&self.time_floor(env.anchors), env.uptime);
        let judged = bytes.ok_or(Reason::CommandDigest).and_then(|bytes| {
            let command = Command::verify(bytes, env.anchors, &env.verifier)?;
            let (device, nonce) = (&self.identity.device, self.record.debug_nonce.as_ref());
            let ledgers = &self.record.command_ledgers;
            let ledgers = command.accept(&offer.order.task, device, now, nonce, ledgers)?;
            match command.claims().action {
                CommandAction::DebugUnlock if !self.settings.debug_unlock => {
                    Err(Reason::Unsupported)
                }
                action => Ok((action, command.digest(), ledgers)),
            }
        });
        match judged {
            Ok((action, digest, ledgers)) => {
                let command = CommandInProgress {
                    order: offer.order.number,
                    signer: offer.signer,
                    action,
                    command: digest,
                    phase: CommandPhase::Taken,
                };
                self.take(offer, command, ledgers)
            }
            Err(reason) => {
                let mut actions = Actions::of(&[Action::Persist, Action::Refused(reason)]);
                actions.extend(self.refuse(&offer.order, reason));
                actions
            }
        }
    }

    /// The one record after which there is no way back.
    fn take(
        &mut self,
        offer: &Offer,
        command: CommandInProgress,
        ledgers: CommandLedgers,
    ) -> Actions {
        let mut actions = Actions::of(&[Action::Persist]);
        let superseded = self.record.update.is_some();
        self.finish(UpdateState::Failed, Some(Reason::Superseded), Detail::EMPTY);
        self.note_in_progress(offer);
        self.record.command_ledgers = ledgers;
        self.record.command = Some(command);
        match command.action {
            CommandAction::WipeOperational => {
                self.record.link = None;
                let other = self.record.active.map(Slot::other);
                [Slot::A, Slot::B]
                    .into_iter()
                    .filter(|slot| other.is_none_or(|other| other == *slot))
                    .for_each(|slot| self.record.set_slot(slot, None));
            }
            CommandAction::Decommission => {
                self.record.link = None;
                self.record.active = None;
                self.record.slots = [None; 2];
            }
            CommandAction::DebugUnlock => self.record.debug_nonce = None,
        }
        // An older copy of the state, put back, is not the device's any more.
        self.announce_counter(&mut actions);
        if superseded {
            actions.push(Action::ReportResult);
        }
        actions.extend(carry_out(&command));
        actions
    }

    /// After a start of the host.
    pub(super) fn resume_command(&mut self, command: &CommandInProgress) -> Actions {
        match (command.action, command.phase) {
            // It held until the reset that has just been.
            (CommandAction::DebugUnlock, _) => {
                let detail = Detail::lossy("the device was restarted before it was done");
                self.end_command(command, Some(detail));
                Actions::of(&[Action::Persist, Action::ReportResult])
            }
            _ => carry_out(command),
        }
    }

    pub(super) fn on_command_done(&mut self, failed: Option<Detail>) -> Actions {
        let Some(command) = self.record.command else { return Actions::default() };
        match (command.action, command.phase) {
            (CommandAction::Decommission, CommandPhase::Taken) => {
                self.end_command(&command, None);
                let last_word = CommandInProgress { phase: CommandPhase::LastWord, ..command };
                self.record.command = Some(last_word);
                let mut actions = Actions::of(&[Action::Persist]);
                actions.extend(carry_out(&last_word));
                actions
            }
            (CommandAction::Decommission, CommandPhase::LastWord) => {
                self.record.command = None;
                self.record.decommissioned = true;
                Actions::of(&[Action::Persist, Action::End])
            }
            // There is no key to report with: the next check-in says it.
            (CommandAction::WipeOperational, _) => {
                self.end_command(&command, None);
                Actions::of(&[Action::Persist])
            }
            (CommandAction::DebugUnlock, _) => {
                self.end_command(&command, failed);
                Actions::of(&[Action::Persist, Action::ReportResult])
            }
        }
    }

    /// The report of a command that is being carried out.
    pub(super) fn command_report(&self) -> Option<Report> {
        self.record.command.map(|command| Report {
            order: command.order,
            class: self.identity.class,
            sequence: SequenceNumber(0),
            manifest: command.command,
            state: UpdateState::Written,
            reason: None,
            detail: Text::EMPTY,
            version: self.running_version(),
        })
    }

    pub(super) fn command_status(&self) -> Option<UpdateStatus> {
        self.record.command.map(|command| UpdateStatus {
            order: command.order,
            state: UpdateState::Written,
            reason: None,
        })
    }

    fn end_command(&mut self, command: &CommandInProgress, failed: Option<Detail>) {
        self.record.command = None;
        let order_key: Thumbprint = command.signer;
        self.change_ledger(&order_key, |ledger| *ledger = ledger.finished());
        self.record.last = Some(Finished {
            order: command.order,
            manifest: command.command,
            sequence: SequenceNumber(0),
            state: match failed {
                None => UpdateState::Confirmed,
                Some(_) => UpdateState::Failed,
            },
            reason: failed.map(|_| Reason::CommandFailed),
            detail: failed.unwrap_or(Detail::EMPTY),
            reported: false,
        });
    }
}

fn carry_out(command: &CommandInProgress) -> Actions {
    match (command.action, command.phase) {
        (CommandAction::WipeOperational, _) => {
            Actions::of(&[Action::ReportProgress, Action::WipeOperational])
        }
        (CommandAction::Decommission, CommandPhase::Taken) => {
            Actions::of(&[Action::ReportProgress, Action::DestroyIdentity])
        }
        (CommandAction::Decommission, CommandPhase::LastWord) => {
            Actions::of(&[Action::ReportResult, Action::WipeOperational])
        }
        (CommandAction::DebugUnlock, _) => {
            Actions::of(&[Action::ReportProgress, Action::UnlockDebug])
        }
    }
}

/// What a report calls the thing that an order is about.
pub(super) fn subject(task: &Task) -> ringfort_cose::Sha256Digest {
    match *task {
        Task::Install { manifest } => manifest,
        Task::Command { command, .. } => command,
    }
}
