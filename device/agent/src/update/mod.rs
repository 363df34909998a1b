//! Carries out what the state machine asks for.

mod commands;
mod download;
mod slots;
mod unpack;

use std::collections::VecDeque;

use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_device::{Action, Actions, Detail, Event, Record, Slot};
use ringfort_messages::{CheckInAnswer, Report};
use ringfort_suit::Envelope;
use ringfort_trust::ids::{AnchorsVersion, OrderNumber};
use tracing::{error, info, warn};

use crate::hub::{Hub, fetch_anchors_unauthenticated};
use crate::runner::Runner;
use crate::session::Session;
use crate::slot_verb::{SlotVerb, slot_named};
use crate::state::boot_id;
use crate::{AgentError, keys};

pub(crate) use commands::mark_end;
pub(crate) use slots::Slots;

/// The agent's hands: session, hub and runner.
pub(crate) struct Driver<'a, H, R> {
    pub(crate) session: &'a mut Session,
    pub(crate) hub: &'a mut H,
    pub(crate) runner: &'a mut R,
    queue: VecDeque<Action>,
    /// The envelope of the update in progress.
    envelope: Option<Vec<u8>>,
    /// Check-ins since the poll began.
    check_ins: u32,
    /// What the hub last said about the next check-in.
    interval_seconds: Option<u32>,
    /// The last order whose end was logged.
    logged: Option<OrderNumber>,
    /// Has a command destroyed the key that the hub is spoken to with?
    wiped: bool,
    /// Why the last thing that was handed over was refused.
    refused: Option<Reason>,
}

impl<'a, H: Hub, R: Runner> Driver<'a, H, R> {
    pub(crate) fn new(session: &'a mut Session, hub: &'a mut H, runner: &'a mut R) -> Self {
        Driver {
            session,
            hub,
            runner,
            queue: VecDeque::new(),
            envelope: None,
            check_ins: 0,
            interval_seconds: None,
            logged: None,
            wiped: false,
            refused: None,
        }
    }

    /// Takes up what was cut.
    ///
    /// # Errors
    /// What cannot be stored ends the agent: the next start takes up from what was stored.
    pub(crate) async fn start(&mut self) -> Result<(), AgentError> {
        let slots = self.slots();
        slots.create()?;
        let current = self.current().await?;
        if let (true, Some(slot)) = (slots.are_images(), current)
            && self.session.device.runs_from(slot)
        {
            error!(slot = slot.name(), "the boot loader runs another slot than was confirmed");
        }
        let booted = self.session.booted(current);
        let actions = self.session.give(Event::Started { booted })?;
        self.perform(actions).await?;
        self.confirm_slot().await;
        Ok(())
    }

    /// One check-in and all that follows from it. Returns the seconds that the hub asks for until
    /// the next one.
    ///
    /// It ends whatever the hub answers: between two polls the spare address is asked, where a hub
    /// that was stolen finds its own dismissal.
    pub(crate) async fn poll(&mut self) -> Result<Option<u32>, AgentError> {
        self.check_ins = 0;
        self.check_in().await?;
        self.work().await?;
        if self.wiped {
            // There is no key any more to speak with.
            return Ok(Some(1));
        }
        if self.session.device.result_report().is_some() {
            self.report_result().await?;
            self.work().await?;
        }
        Ok(self.interval_seconds)
    }

    /// Takes newer anchors, then an order that came on a medium, and carries it out.
    ///
    /// # Errors
    /// As [`Driver::start`]; [`AgentError::Decommissioned`] when the device is at its end.
    pub(crate) async fn apply(
        &mut self,
        token: &[u8],
        command: Option<&[u8]>,
    ) -> Result<(), AgentError> {
        self.start().await?;
        self.fetch_anchors().await?;
        self.work().await?;
        self.refused = None;
        self.give(Event::OfflineOrder { token, command })?;
        self.work().await
    }

    /// Why the order of [`Driver::apply`] was refused, if it was.
    pub(crate) fn refused(&self) -> Option<Reason> {
        self.refused
    }

    /// Fetches anchors from the hub, from version to version, as long as there are newer ones.
    async fn fetch_anchors(&mut self) -> Result<(), AgentError> {
        loop {
            let version = self.next_anchors();
            match self.hub.anchors(version).await {
                Ok(Some(document)) if self.take_anchors(&document)? => {}
                Ok(_) => return Ok(()),
                Err(error) if is_of_the_hub(&error) => {
                    warn!(%error, "no newer anchors from the hub");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Fetches anchors, and nothing else, from a hub whose certificate is not believed, and from
    /// the spare address.
    pub(crate) async fn fetch_anchors_of_anyone(&mut self) -> Result<(), AgentError> {
        warn!("the hub's certificate is not trusted; asking for newer anchors only");
        loop {
            match self.unauthenticated_anchors(self.next_anchors(), true).await {
                Ok(Some(document)) if self.take_anchors(&document)? => {}
                Ok(_) => break,
                Err(error) if is_of_the_hub(&error) => {
                    warn!(%error, "no newer anchors");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.work().await
    }

    /// Asks the spare address for newer anchors, whatever the hub says.
    pub(crate) async fn fetch_spare_anchors(&mut self) -> Result<(), AgentError> {
        loop {
            match self.unauthenticated_anchors(self.next_anchors(), false).await {
                Ok(Some(document)) if self.take_anchors(&document)? => {}
                Ok(_) => break,
                Err(error) if is_of_the_hub(&error) => {
                    warn!(%error, "the spare address did not answer");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.work().await
    }

    async fn unauthenticated_anchors(
        &self,
        version: AnchorsVersion,
        hub_first: bool,
    ) -> Result<Option<Vec<u8>>, AgentError> {
        let (hub, spare) = self.session.with_anchors(|anchors| {
            (anchors.hub().to_owned(), anchors.spare().map(str::to_owned))
        })?;
        let proxies = &self.session.config.proxies;
        if hub_first {
            match fetch_anchors_unauthenticated(&hub, true, version, proxies).await {
                Ok(Some(document)) => return Ok(Some(document)),
                Ok(None) => {}
                Err(error) => info!(%error, "no anchors from the hub"),
            }
        }
        match spare {
            Some(spare) => fetch_anchors_unauthenticated(&spare, false, version, proxies).await,
            None => Ok(None),
        }
    }

    /// Takes a document if it is the next version; what is durable about it is done at once, the
    /// rest after what is already waiting.
    fn take_anchors(&mut self, document: &[u8]) -> Result<bool, AgentError> {
        let actions = self.session.give(Event::Anchors { document })?;
        let mut taken = false;
        for action in actions.iter() {
            match action {
                Action::StoreAnchors(version) => {
                    taken = true;
                    self.session.store_anchors(version)?;
                    info!(%version, "new anchors");
                }
                Action::Persist => self.session.persist()?,
                Action::AdvanceCounter => self.advance_counter()?,
                Action::Refused(reason) => warn!(%reason, "anchors refused"),
                other => self.queue.push_back(other),
            }
        }
        Ok(taken)
    }

    async fn perform(&mut self, actions: Actions) -> Result<(), AgentError> {
        self.add(actions);
        self.work().await
    }

    /// What an event asks for comes before what was asked for earlier.
    fn add(&mut self, actions: Actions) {
        let actions: Vec<Action> = actions.iter().collect();
        actions.into_iter().rev().for_each(|action| self.queue.push_front(action));
    }

    fn give(&mut self, event: Event<'_>) -> Result<(), AgentError> {
        let actions = self.session.give(event)?;
        self.add(actions);
        Ok(())
    }

    async fn work(&mut self) -> Result<(), AgentError> {
        while let Some(action) = self.queue.pop_front() {
            self.act(action).await?;
        }
        Ok(())
    }

    async fn act(&mut self, action: Action) -> Result<(), AgentError> {
        match action {
            // Only `take_anchors` gives the event that leads here.
            Action::StoreAnchors(version) => self.session.store_anchors(version),
            Action::Persist => self.session.persist(),
            Action::AdvanceCounter => self.advance_counter(),
            Action::FetchAnchors(_) => self.fetch_anchors().await,
            Action::FetchManifest(manifest) => self.fetch_manifest(&manifest).await,
            Action::PrepareSlot { slot, manifest } => self.prepare(slot, &manifest),
            Action::FetchPayload { slot, component, digest, size_bytes } => {
                self.fetch_payload(slot, component, &digest, size_bytes).await
            }
            // Whatever the hub has to say next it says at the next poll.
            Action::CheckIn if self.check_ins >= MAX_CHECK_INS => {
                warn!("the hub answers every check-in with something new; the rest waits");
                Ok(())
            }
            Action::CheckIn => match self.check_in().await {
                // It is tried again at the next poll.
                Err(error) if is_of_the_hub(&error) => {
                    warn!(%error, "the check-in before the switch failed");
                    Ok(())
                }
                other => other,
            },
            Action::Activate(slot) => self.activate(slot).await,
            Action::Restart => self.restart().await,
            Action::RunHealthChecks => {
                info!("health checks begin");
                let failed = self.runner.health().await.err();
                match &failed {
                    None => info!("all health checks passed"),
                    Some(detail) => warn!(detail, "a health check failed"),
                }
                self.give(Event::Health { failed: failed.as_deref().map(Detail::lossy) })
            }
            Action::ReportProgress => {
                if let Some(report) = self.session.device.progress_report() {
                    self.send(&report).await;
                }
                Ok(())
            }
            Action::ReportResult if self.has_last_word() => self.last_word().await,
            Action::ReportResult => self.report_result().await,
            Action::ReportRefusal => {
                if let Some(report) = self.session.device.refusal_report() {
                    self.send(&report).await;
                }
                Ok(())
            }
            Action::WipeOperational => self.wipe_operational().await,
            Action::DestroyIdentity => self.destroy_identity().await,
            Action::UnlockDebug => self.unlock_debug().await,
            Action::End => self.end(),
            Action::Alarm(alarm) => {
                error!(alarm = alarm.text(), "alarm");
                Ok(())
            }
            Action::Refused(reason) => {
                self.refused = Some(reason);
                warn!(%reason, meaning = reason.meaning(), next = reason.next_step(), "refused");
                Ok(())
            }
        }
    }

    async fn check_in(&mut self) -> Result<(), AgentError> {
        self.check_ins += 1;
        let check_in = self.session.check_in()?;
        let answer = self.hub.check_in(&check_in).await?;
        let answer = CheckInAnswer::decode(&answer)
            .map_err(|reason| AgentError::answer(reason, "the check-in's answer"))?;
        self.interval_seconds = Some(answer.interval_seconds);
        self.give(Event::Answer { answer: &answer, nonce: check_in.nonce })
    }

    async fn fetch_manifest(&mut self, manifest: &Sha256Digest) -> Result<(), AgentError> {
        let kept = self.slots().envelope(manifest);
        let envelope = match kept {
            Some(envelope) => envelope,
            None => match self.hub.manifest(manifest).await {
                Ok(envelope) => envelope,
                Err(error) => {
                    warn!(%error, %manifest, "the manifest could not be fetched");
                    return self.give(Event::ManifestUnavailable);
                }
            },
        };
        let actions = self.session.give(Event::Manifest { envelope: &envelope })?;
        self.envelope = Some(envelope);
        self.add(actions);
        Ok(())
    }

    fn prepare(&mut self, slot: Slot, manifest: &Sha256Digest) -> Result<(), AgentError> {
        let slots = self.slots();
        slots.prepare(slot, manifest)?;
        match &self.envelope {
            Some(envelope) => slots.store_envelope(slot, envelope),
            None => Ok(()),
        }
    }

    async fn fetch_payload(
        &mut self,
        slot: Slot,
        component: u8,
        digest: &Sha256Digest,
        size_bytes: u64,
    ) -> Result<(), AgentError> {
        let slots = self.slots();
        let store = self.session.store.clone();
        let mut written = slots.write(self.hub, &*store, slot, component, digest, size_bytes).await;
        if slots.are_images() && written.is_ok() {
            written = self.write_image(slot, component, digest, size_bytes).await;
        }
        match written {
            Ok(()) => {
                info!(component, size_bytes, "payload written");
                self.give(Event::PayloadWritten { component, digest: *digest, size_bytes })
            }
            Err(error) => {
                warn!(%error, component, "payload not written");
                let (reason, detail) = (error.reason(), Detail::lossy(&error.to_string()));
                self.give(Event::PayloadFailed { component, reason, detail })
            }
        }
    }

    /// Has the program put an image onto its slot, and reads it back.
    async fn write_image(
        &mut self,
        slot: Slot,
        component: u8,
        digest: &Sha256Digest,
        size_bytes: u64,
    ) -> Result<(), AgentError> {
        let refused = |reason, detail: &str| Err(AgentError::slot(reason, detail));
        if component > 0 {
            return refused(Reason::Unsupported, "a second image for one slot");
        }
        if self.current().await? == Some(slot) {
            return refused(Reason::StorageFailed, "the machine runs from this slot");
        }
        if self.session.config.fetched_image(slot).exists()
            && let Err(detail) = self.runner.slots(SlotVerb::Write(slot)).await
        {
            return refused(Reason::StorageFailed, &detail);
        }
        self.slots().settle_image(slot, digest, size_bytes)
    }

    /// The slot that runs: what the link points at, or the boot loader's word.
    async fn current(&mut self) -> Result<Option<Slot>, AgentError> {
        let slots = self.slots();
        if !slots.are_images() {
            return Ok(slots.current());
        }
        let said = self.runner.slots(SlotVerb::Current).await.map_err(AgentError::Runner)?;
        Ok(slot_named(&said))
    }

    /// Tells the boot loader that the slot which runs is to stay, once nothing is on trial. False
    /// when it did not hear it: then the result waits too, for a boot loader that was not told
    /// goes back.
    async fn confirm_slot(&mut self) -> bool {
        let record = self.session.device.record();
        let on_trial = record.update.is_some_and(|update| update.phase.is_switched());
        let Some(active) = record.active.filter(|_| self.slots().are_images() && !on_trial) else {
            return true;
        };
        match self.runner.slots(SlotVerb::Confirm(active)).await {
            Ok(_) => true,
            Err(detail) => {
                warn!(detail, slot = active.name(), "the slot is not confirmed at the boot loader");
                false
            }
        }
    }

    async fn activate(&mut self, slot: Option<Slot>) -> Result<(), AgentError> {
        let slots = self.slots();
        // The factory's image has no record: nothing says what it should be.
        let is_factorys = |record: &Record, slot: Slot| {
            slots.are_images() && record.active == Some(slot) && record.slot(slot).is_none()
        };
        if let Some(slot) = slot.filter(|slot| !is_factorys(self.session.device.record(), *slot)) {
            let record = self.session.device.record().slot(slot).copied();
            let store = self.session.store.clone();
            let intact = match record {
                Some(record) => slots.verify(slot, &record.manifest, &*store),
                None => Err(AgentError::answer(Reason::ImageDigest, "no slot record")),
            };
            if let Err(error) = intact {
                error!(%error, slot = slot.name(), "the slot is damaged");
                // The rest of this list would start what is damaged.
                self.queue.retain(|action| !matches!(action, Action::Restart));
                return self.give(Event::SlotDamaged { reason: error.reason() });
            }
        }
        let boot = boot_id();
        if self.session.config.update.restart.reboots && self.session.installed.activated_in != boot
        {
            self.session.installed.activated_in = boot;
            self.session.persist()?;
        }
        if slots.are_images() {
            if let Err(detail) = self.runner.slots(SlotVerb::Activate(slot)).await {
                warn!(detail, "the slot was not activated");
                self.queue.retain(|action| !matches!(action, Action::Restart));
                return self.give(Event::RestartFailed { detail: Detail::lossy(&detail) });
            }
        } else {
            slots.activate(slot)?;
        }
        info!(slot = slot.map_or("none", Slot::name), "slot activated");
        if self.session.config.update.slot_command.is_some()
            && let Err(detail) = self.runner.slot(slot.map_or("none", Slot::name)).await
        {
            warn!(detail, "the slot command failed");
            self.queue.retain(|action| !matches!(action, Action::Restart));
            return self.give(Event::RestartFailed { detail: Detail::lossy(&detail) });
        }
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), AgentError> {
        let reboots = self.session.config.update.restart.reboots;
        let slots = self.slots();
        if reboots && !slots.are_images() && slots.current().is_none() {
            // There is nothing to boot into.
            return self.give(Event::Restarted);
        }
        match self.runner.restart().await {
            Ok(()) => {
                info!("restarted");
                self.give(Event::Restarted)?;
            }
            Err(detail) => {
                warn!(detail, "restart failed");
                self.give(Event::RestartFailed { detail: Detail::lossy(&detail) })?;
            }
        }
        Ok(())
    }

    async fn report_result(&mut self) -> Result<(), AgentError> {
        let Some(report) = self.session.device.result_report() else { return Ok(()) };
        self.log_result();
        if !self.confirm_slot().await {
            return Ok(());
        }
        if self.send(&report).await {
            self.give(Event::ResultReported { order: report.order })?;
        }
        Ok(())
    }

    /// Did the hub take the report? A report that it refuses is not sent again either.
    async fn send(&mut self, report: &Report) -> bool {
        if !self.hub.is_there() {
            return false;
        }
        match self.hub.report(report).await {
            Ok(()) => true,
            Err(AgentError::Refused { code, detail }) => {
                warn!(code, detail, state = %report.state, "the hub refused the report");
                true
            }
            Err(error) => {
                warn!(%error, state = %report.state, "the report did not arrive");
                false
            }
        }
    }

    fn advance_counter(&mut self) -> Result<(), AgentError> {
        let counter = keys::label(keys::COUNTER)?;
        self.session.disk.step(&self.session.config.state_file())?;
        self.session.store.advance_counter(&counter)?;
        self.session.disk.step(&self.session.config.state_file())
    }

    /// Logs how the last update ended, once however often its report is sent.
    fn log_result(&mut self) {
        let record = self.session.device.record();
        if let (None, Some(last)) = (&record.update, &record.last)
            && !last.reported
            && self.logged != Some(last.order)
        {
            self.logged = Some(last.order);
            let reason = last.reason.map_or("", Reason::code);
            let detail = last.detail.as_str();
            info!(order = %last.order, state = %last.state, reason, detail, "update ended");
        }
    }

    fn next_anchors(&self) -> AnchorsVersion {
        AnchorsVersion(self.session.device.record().anchors.version.0.saturating_add(1))
    }

    fn slots(&self) -> Slots {
        Slots::new(&self.session.config, &self.session.disk)
    }
}

/// Is it the hub's or the network's doing, so that a later try may succeed?
pub(crate) fn is_of_the_hub(error: &AgentError) -> bool {
    matches!(
        error,
        AgentError::Refused { .. }
            | AgentError::Answer { .. }
            | AgentError::ServerNotTrusted(_)
            | AgentError::Unreachable { .. }
            | AgentError::Proxy { .. }
    )
}

/// Check-ins of one poll: the first, one after new anchors, one before the switch, and some more.
const MAX_CHECK_INS: u32 = 8;

/// The manifest digest of an envelope, if it is one.
pub(crate) fn manifest_of(envelope: &[u8]) -> Option<Sha256Digest> {
    Envelope::parse(envelope, &AwsLc).ok().map(|envelope| envelope.manifest_digest())
}

#[cfg(test)]
mod tests;
