//! What the state machine asks for, done.

use core::fmt::Write;

use ringfort_cose::{Reason, Sha256Digest};
use ringfort_device::{Action, Detail, Event, Slot};
use ringfort_messages::{CheckIn, CheckInAnswer, Report, TimeRequest};
use ringfort_trust::ids::{AnchorsVersion, Nonce, Text};
use sha2::{Digest, Sha256};

use crate::host::{Condition, Host, Written};
use crate::port::{Answer, Area, Destroy, Failure, Geometry, Method, Port, Request, Severity};
use crate::state::{self, Image, program};

impl<P: Port> Host<P> {
    /// Does everything that is waiting, until the host has to wait for something.
    pub(crate) fn work(&mut self) -> Result<(), Failure> {
        while self.condition == Condition::Idle {
            let Some(action) = self.queue.pop() else { return Ok(()) };
            if let Err(failure) = self.act(action) {
                self.queue.clear();
                return Err(failure);
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<(), Failure> {
        match action {
            Action::StoreAnchors(version) => {
                let length = self.anchors_len;
                let document = self.anchors.get(..length).ok_or(Failure::State)?;
                state::store_anchors(&mut self.port, version, document)
            }
            Action::Persist => self.persist(),
            // No counter in hardware: the record alone keeps the floor.
            Action::AdvanceCounter => Ok(()),
            Action::FetchAnchors(version) => self.fetch_anchors(version),
            Action::FetchManifest(manifest) => self.fetch_manifest(&manifest),
            Action::PrepareSlot { slot, manifest } => self.prepare(slot, &manifest),
            Action::FetchPayload { slot, component, digest, size_bytes } => {
                self.payload(slot, component, &digest, size_bytes)
            }
            Action::CheckIn => match self.check_in() {
                // It is tried again at the next poll.
                Err(Failure::Hub) => Ok(()),
                other => other,
            },
            Action::Activate(slot) => self.activate(slot),
            Action::Restart => {
                self.condition = Condition::Rebooting;
                self.port.reboot();
                Ok(())
            }
            Action::RunHealthChecks => {
                self.condition = Condition::OnTrial;
                Ok(())
            }
            Action::ReportProgress => {
                let report = self.device.progress_report();
                report.map_or(Ok(()), |report| self.send(&report).map(drop))
            }
            Action::ReportResult => self.report_result(),
            Action::ReportRefusal => {
                let report = self.device.refusal_report();
                report.map_or(Ok(()), |report| self.send(&report).map(drop))
            }
            Action::WipeOperational => self.destroy(Destroy::Operational),
            Action::DestroyIdentity => {
                let running = self.port.current()?;
                let area = Area::of(running.other());
                self.port.flash_erase(area, 0, self.port.geometry(area).size_bytes)?;
                self.destroy(Destroy::Identity)
            }
            Action::UnlockDebug => {
                let failed = Some(Detail::lossy("this host unlocks no debugging"));
                self.give(Event::CommandDone { failed })
            }
            Action::End => {
                self.condition = Condition::Decommissioned;
                Ok(())
            }
            Action::Alarm(alarm) => {
                self.port.log(Severity::Alarm, alarm.text());
                Ok(())
            }
            Action::Refused(reason) => {
                self.port.log(Severity::Warning, reason.code());
                Ok(())
            }
        }
    }

    fn destroy(&mut self, what: Destroy) -> Result<(), Failure> {
        self.port.destroy(what)?;
        self.give(Event::CommandDone { failed: None })
    }

    /// Signed time, before anything else is asked for.
    pub(crate) fn time_first(&mut self) -> Result<(), Failure> {
        let nonce = self.nonce()?;
        let mut body = [0; TimeRequest::MAX_LEN];
        let body = TimeRequest { nonce }.encode_into(&mut body).map_err(|_| Failure::TooLarge)?;
        let answer = self.ask(Method::Post, "/v1/time", body, None)?;
        let length = success(&answer)?;
        self.with_buffer(|device, buffer, env| {
            let token = buffer.get(..length).ok_or(Failure::Hub)?;
            Ok(device.handle(Event::SignedTime { token, nonce }, env))
        })?;
        self.work()?;
        if self.device.clock().is_trusted() { Ok(()) } else { Err(Failure::Hub) }
    }

    pub(crate) fn check_in(&mut self) -> Result<(), Failure> {
        let nonce = self.nonce()?;
        let check_in = self.device.check_in(nonce, Text::lossy(AGENT), self.protection);
        let mut body = [0; CheckIn::MAX_LEN];
        let body = check_in
            .and_then(|check_in| check_in.encode_into(&mut body).map(<[u8]>::len))
            .map_err(|_| Failure::TooLarge)
            .and_then(|length| body.get(..length).ok_or(Failure::TooLarge))?;
        let answer = self.ask(Method::Post, "/v1/check-in", body, None)?;
        let length = success(&answer)?;
        let mut seconds = self.interval_seconds;
        self.with_buffer(|device, buffer, env| {
            let bytes = buffer.get(..length).ok_or(Failure::Hub)?;
            let answer = CheckInAnswer::decode(bytes).map_err(|_| Failure::Hub)?;
            seconds = answer.interval_seconds;
            Ok(device.handle(Event::Answer { answer: &answer, nonce }, env))
        })?;
        self.interval_seconds = seconds;
        Ok(())
    }

    /// One version after the other, for as long as there are newer ones.
    fn fetch_anchors(&mut self, version: AnchorsVersion) -> Result<(), Failure> {
        let mut path = Text::<64>::EMPTY;
        push(&mut path, format_args!("/v1/anchors/{version}"))?;
        let answer = match self.ask(Method::Get, path.as_str(), &[], None) {
            Ok(answer) if answer.status == 200 => answer,
            Ok(_) | Err(Failure::Hub) => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let length = answer.length as usize;
        self.with_buffer(|device, buffer, env| {
            let document = buffer.get(..length).ok_or(Failure::Hub)?;
            Ok(device.handle(Event::Anchors { document }, env))
        })?;
        self.keep_anchors(length);
        if self.device.record().anchors.version == version {
            let next = AnchorsVersion(version.0.saturating_add(1));
            // What the new ones ask for comes first.
            return if self.queue.put_last(Action::FetchAnchors(next)) {
                Ok(())
            } else {
                Err(Failure::TooLarge)
            };
        }
        Ok(())
    }

    fn fetch_manifest(&mut self, manifest: &Sha256Digest) -> Result<(), Failure> {
        let mut path = Text::<96>::EMPTY;
        push(&mut path, format_args!("/v1/manifests/{manifest}"))?;
        match self.ask(Method::Get, path.as_str(), &[], None) {
            Ok(answer) if answer.status == 200 => {
                let length = answer.length as usize;
                self.with_buffer(|device, buffer, env| {
                    let envelope = buffer.get(..length).ok_or(Failure::Hub)?;
                    Ok(device.handle(Event::Manifest { envelope }, env))
                })
            }
            Ok(_) | Err(Failure::Hub) => self.give(Event::ManifestUnavailable),
            Err(failure) => Err(failure),
        }
    }

    /// Its first block goes: what is torn from now on is no image.
    fn prepare(&mut self, slot: Slot, manifest: &Sha256Digest) -> Result<(), Failure> {
        let area = Area::of(slot);
        if self.written.is_some_and(|w| w.area == area && w.manifest == *manifest) {
            return Ok(());
        }
        if self.port.current()? == slot {
            self.written = None;
            return Ok(());
        }
        self.port.flash_erase(area, 0, self.port.geometry(area).erase_bytes)?;
        self.written = Some(Written { area, manifest: *manifest, bytes: 0 });
        Ok(())
    }

    fn payload(
        &mut self,
        slot: Slot,
        component: u8,
        digest: &Sha256Digest,
        size_bytes: u64,
    ) -> Result<(), Failure> {
        let written = match self.write_payload(slot, component, digest, size_bytes) {
            Ok(image) => image,
            Err((reason, detail)) => {
                self.written = self.written.filter(|_| reason == Reason::TransferFailed);
                self.port.log(Severity::Warning, detail);
                let detail = Detail::lossy(detail);
                return self.give(Event::PayloadFailed { component, reason, detail });
            }
        };
        self.written = None;
        self.images[slot as usize] = Some(written);
        let Image { digest, size_bytes } = written;
        self.give(Event::PayloadWritten { component, digest, size_bytes: size_bytes.into() })
    }

    /// Fetches an image part by part, programs each, and hashes what flash then holds.
    fn write_payload(
        &mut self,
        slot: Slot,
        component: u8,
        digest: &Sha256Digest,
        size_bytes: u64,
    ) -> Result<Image, (Reason, &'static str)> {
        let area = Area::of(slot);
        if component > 0 {
            return Err((Reason::Unsupported, "a second image for one slot"));
        }
        let Some(mut written) = self.written.filter(|written| written.area == area) else {
            return Err((Reason::StorageFailed, "the machine runs from this slot"));
        };
        let geometry = self.port.geometry(area);
        let size = u32::try_from(size_bytes).ok().filter(|size| *size <= geometry.size_bytes);
        let Some(size) = size else {
            return Err((Reason::TooLarge, "the image is larger than its slot"));
        };
        let mut path = Text::<96>::EMPTY;
        push(&mut path, format_args!("/v1/objects/{digest}"))
            .map_err(|_| (Reason::TooLarge, "a path"))?;
        while written.bytes < size {
            let part = PART.min(size - written.bytes);
            let range = Some((written.bytes, written.bytes + part - 1));
            let came = self.ask(Method::Get, path.as_str(), &[], range);
            match came {
                Ok(Answer { status: 200 | 206, length }) if length == part => {}
                _ => return Err((Reason::TransferFailed, "a part of the image did not come")),
            }
            self.program_part(area, &geometry, written.bytes, part)
                .map_err(|_| (Reason::StorageFailed, "flash was not written"))?;
            written.bytes += part;
            self.written = Some(written);
        }
        let found = self.hash(area, size).map_err(|_| (Reason::StorageFailed, "flash"))?;
        Ok(Image { digest: found, size_bytes: size })
    }

    /// Erases each block before the first byte of it is programmed.
    fn program_part(
        &mut self,
        area: Area,
        geometry: &Geometry,
        offset: u32,
        length: u32,
    ) -> Result<(), Failure> {
        let first = offset.next_multiple_of(geometry.erase_bytes);
        let end = (offset + length).next_multiple_of(geometry.erase_bytes);
        if end > first {
            self.port.flash_erase(area, first, end - first)?;
        }
        let bytes = self.buffer.get(..length as usize).ok_or(Failure::TooLarge)?;
        program(&mut self.port, area, offset, bytes)
    }

    fn hash(&mut self, area: Area, size: u32) -> Result<Sha256Digest, Failure> {
        let mut hash = Sha256::new();
        let mut offset = 0;
        while offset < size {
            let part = PART.min(size - offset);
            let bytes = self.buffer.get_mut(..part as usize).ok_or(Failure::TooLarge)?;
            self.port.flash_read(area, offset, bytes)?;
            hash.update(bytes);
            offset += part;
        }
        Ok(Sha256Digest(hash.finalize().into()))
    }

    fn activate(&mut self, slot: Option<Slot>) -> Result<(), Failure> {
        if let Some(slot) = slot {
            let record = self.device.record();
            let is_factorys = record.active == Some(slot) && record.slot(slot).is_none();
            if !is_factorys && !self.holds_its_image(slot)? {
                self.queue.without(Action::Restart);
                return self.give(Event::SlotDamaged { reason: Reason::ImageDigest });
            }
        }
        match self.port.activate(slot) {
            Ok(()) => Ok(()),
            Err(_) => {
                self.queue.without(Action::Restart);
                let detail = Detail::lossy("the boot loader did not take the slot");
                self.give(Event::RestartFailed { detail })
            }
        }
    }

    fn holds_its_image(&mut self, slot: Slot) -> Result<bool, Failure> {
        match self.images[slot as usize] {
            Some(image) => Ok(self.hash(Area::of(slot), image.size_bytes)? == image.digest),
            None => Ok(false),
        }
    }

    pub(crate) fn report_result(&mut self) -> Result<(), Failure> {
        let Some(report) = self.device.result_report() else { return Ok(()) };
        // A boot loader that was not told would go back later: first the slot, then the result.
        if self.confirm_slot() && self.send(&report)? {
            return self.give(Event::ResultReported { order: report.order });
        }
        Ok(())
    }

    /// Tells the boot loader that the slot which runs is to stay, once nothing is on trial.
    pub(crate) fn confirm_slot(&mut self) -> bool {
        let record = self.device.record();
        let on_trial = record.update.is_some_and(|update| update.phase.is_switched());
        let Some(active) = record.active.filter(|_| !on_trial) else { return true };
        let confirmed = self.port.confirm(active).is_ok();
        if !confirmed {
            self.port.log(Severity::Warning, "the slot is not confirmed at the boot loader");
        }
        confirmed
    }

    /// Did the hub take the report? One that it refuses is not sent again either.
    fn send(&mut self, report: &Report) -> Result<bool, Failure> {
        let mut body = [0; Report::MAX_LEN];
        let body = report.encode_into(&mut body).map_err(|_| Failure::TooLarge)?;
        match self.ask(Method::Post, "/v1/report", body, None) {
            Ok(answer) => Ok(!matches!(answer.status, 408 | 429 | 500..)),
            Err(Failure::Hub) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: &[u8],
        range: Option<(u32, u32)>,
    ) -> Result<Answer, Failure> {
        let document = self.anchors.get(..self.anchors_len).ok_or(Failure::State)?;
        let document = ringfort_trust::Document::parse(document).map_err(|_| Failure::State)?;
        let request = Request { method, hub: document.hub(), path, body, range };
        let answer = self.port.exchange(&request, &mut self.buffer)?;
        if answer.length as usize > self.buffer.len() {
            return Err(Failure::Hub);
        }
        Ok(answer)
    }

    fn nonce(&mut self) -> Result<Nonce, Failure> {
        let mut nonce = Nonce([0; 16]);
        self.port.random(&mut nonce.0)?;
        Ok(nonce)
    }
}

fn success(answer: &Answer) -> Result<usize, Failure> {
    match answer.status {
        200 => Ok(answer.length as usize),
        _ => Err(Failure::Hub),
    }
}

/// Adds to a text.
fn push<const N: usize>(
    text: &mut Text<N>,
    arguments: core::fmt::Arguments<'_>,
) -> Result<(), Failure> {
    struct Room<const N: usize>([u8; N], usize);
    impl<const N: usize> Write for Room<N> {
        fn write_str(&mut self, more: &str) -> core::fmt::Result {
            let end = self.1 + more.len();
            let room = self.0.get_mut(self.1..end).ok_or(core::fmt::Error)?;
            room.copy_from_slice(more.as_bytes());
            self.1 = end;
            Ok(())
        }
    }
    let mut room = Room([0; N], 0);
    room.write_fmt(arguments).map_err(|_| Failure::TooLarge)?;
    let written = room.0.get(..room.1).and_then(|bytes| core::str::from_utf8(bytes).ok());
    *text = Text::new(written.unwrap_or_default()).map_err(|_| Failure::TooLarge)?;
    Ok(())
}

/// Name and version, as the hub sees them.
const AGENT: &str = concat!("ringfort-device-c ", env!("CARGO_PKG_VERSION"));
/// Bytes of an image that are fetched at once: whole units of every flash.
const PART: u32 = 4096;
