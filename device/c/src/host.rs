//! A device on a platform: what its caller sees.

use ringfort_cose::{Sha256Digest, Verify};
use ringfort_device::{
    Detail, Device, Env, Event, HeldAnchors, Identity, Record, Settings, Uptime,
};
use ringfort_messages::Protection;
use ringfort_trust::ids::{DeviceId, UnixTime};
use ringfort_trust::{Anchors, Document};

use crate::port::{Area, Failure, Port, Severity};
use crate::queue::Queue;
use crate::state::{self, Image, Place, Stored};
use crate::verifier::RustCrypto;

/// What the host waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Condition {
    /// The next poll.
    Idle = 0,
    /// A new image runs on trial: [`Host::health`] has to say whether it is well.
    OnTrial = 1,
    /// The restart of the machine that was asked for.
    Rebooting = 2,
    /// Nothing, ever: a command has put the device out of use.
    Decommissioned = 3,
}

/// What a factory gives a device.
#[derive(Clone, Copy, Debug)]
pub struct Provisioning<'f> {
    /// Who it is.
    pub identity: Identity,
    /// The first anchors that it believes.
    pub anchors: &'f [u8],
    /// SHA-256 of them, as the factory knows it.
    pub anchors_digest: Sha256Digest,
}

/// A device on a platform. It is large and holds every buffer that it needs.
pub struct Host<P> {
    pub(crate) port: P,
    pub(crate) device: Device,
    pub(crate) protection: Protection,
    pub(crate) images: [Option<Image>; 2],
    pub(crate) place: Place,
    pub(crate) queue: Queue,
    pub(crate) condition: Condition,
    pub(crate) interval_seconds: u32,
    /// How far a payload has been written since the start.
    pub(crate) written: Option<Written>,
    pub(crate) anchors: [u8; Document::MAX_LEN],
    pub(crate) anchors_len: usize,
    /// What comes and goes: answers, envelopes, records.
    pub(crate) buffer: [u8; BUFFER],
}

/// Progress of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) area: Area,
    pub(crate) manifest: Sha256Digest,
    pub(crate) bytes: u32,
}

impl<P: Port> Host<P> {
    /// Writes a new device into flash, at the factory. What was there is gone.
    ///
    /// # Errors
    /// [`Failure::Argument`] for areas that are too small or anchors that are not these;
    /// [`Failure::Flash`].
    pub fn provision(port: &mut P, new: &Provisioning<'_>) -> Result<(), Failure> {
        state::check_geometry(port)?;
        let anchors = Anchors::verify_first(new.anchors, &new.anchors_digest, &RustCrypto)
            .map_err(|_| Failure::Argument)?;
        let held = HeldAnchors { version: anchors.version(), digest: new.anchors_digest };
        for area in [Area::State, Area::Anchors] {
            port.flash_erase(area, 0, port.geometry(area).size_bytes)?;
        }
        state::store_anchors(port, held.version, new.anchors)?;
        let record = Record::new(held, 0);
        let stored = Stored { identity: new.identity, record, images: [None; 2] };
        let mut buffer = [0; BUFFER];
        state::store(port, &stored, None, &mut buffer).map(drop)
    }

    /// Takes up what flash holds and what was cut. To be called once after each start of the
    /// machine, before [`Host::poll`]; the hub need not be there.
    ///
    /// # Errors
    /// [`Failure::State`] where no device was provisioned; [`Failure::Flash`],
    /// [`Failure::BootLoader`].
    pub fn start(mut port: P, settings: Settings, protection: Protection) -> Result<Self, Failure> {
        state::check_geometry(&port)?;
        let mut buffer = [0; BUFFER];
        let (stored, place) = state::load(&mut port, &mut buffer)?;
        let digest = stored.record.anchors.digest;
        let mut anchors = [0; Document::MAX_LEN];
        let anchors_len = state::load_anchors(&mut port, &digest, &mut anchors)?;
        // No counter in hardware: the record is believed.
        let counter = stored.record.counter;
        let device = Device::new(stored.identity, settings, stored.record, counter)
            .map_err(|_| Failure::State)?;
        let mut host = Host {
            port,
            device,
            protection,
            images: stored.images,
            place,
            queue: Queue::default(),
            condition: Condition::Idle,
            interval_seconds: FIRST_INTERVAL_S,
            written: None,
            anchors,
            anchors_len,
            buffer,
        };
        let current = host.port.current()?;
        if host.device.runs_from(current) {
            host.port.log(Severity::Alarm, "the boot loader runs another slot than was confirmed");
        }
        host.give(Event::Started { booted: Some(current) })?;
        host.work()?;
        if host.condition == Condition::Idle {
            host.confirm_slot();
        }
        Ok(host)
    }

    /// Asks the hub and does what follows from its answer: may fetch and write a whole image.
    /// Returns when there is nothing more to do now.
    ///
    /// # Errors
    /// [`Failure::Hub`]: try again later. [`Failure::Argument`] while the host waits for something
    /// else than a poll. After any other restart the machine, or start anew.
    pub fn poll(&mut self) -> Result<Condition, Failure> {
        if self.condition != Condition::Idle {
            return Err(Failure::Argument);
        }
        if !self.device.clock().is_trusted() {
            self.time_first()?;
        }
        self.check_in()?;
        self.work()?;
        if self.condition == Condition::Idle && self.device.result_report().is_some() {
            self.report_result()?;
            self.work()?;
        }
        Ok(self.condition)
    }

    /// Says whether the image on trial is well: nothing when every check has passed, else what is
    /// wrong.
    ///
    /// # Errors
    /// [`Failure::Argument`] where nothing is on trial; [`Failure::Flash`].
    pub fn health(&mut self, failed: Option<&str>) -> Result<Condition, Failure> {
        if self.condition != Condition::OnTrial {
            return Err(Failure::Argument);
        }
        self.condition = Condition::Idle;
        self.give(Event::Health { failed: failed.map(Detail::lossy) })?;
        self.work()?;
        Ok(self.condition)
    }

    /// Takes an order that came on a medium: the device judges it as ever, and does what follows.
    /// What it asks for then, manifest and payloads, the platform may answer from the medium; what
    /// it tells the hub is told later. An order that is refused is logged, and is not the one that
    /// the device has.
    ///
    /// # Errors
    /// [`Failure::Argument`] while the host waits for something else than a poll. After any other
    /// restart the machine, or start anew.
    pub fn offline_order(
        &mut self,
        token: &[u8],
        command: Option<&[u8]>,
    ) -> Result<Condition, Failure> {
        if self.condition != Condition::Idle {
            return Err(Failure::Argument);
        }
        self.give(Event::OfflineOrder { token, command })?;
        self.work()?;
        Ok(self.condition)
    }

    /// Takes the next anchors, wherever they came from: the document proves itself. One that does
    /// not, or is not the next, changes nothing and is logged.
    ///
    /// # Errors
    /// [`Failure::Argument`] while the host waits for something else than a poll;
    /// [`Failure::TooLarge`]. After any other restart the machine, or start anew.
    pub fn take_anchors(&mut self, document: &[u8]) -> Result<Condition, Failure> {
        if self.condition != Condition::Idle {
            return Err(Failure::Argument);
        }
        let place = self.buffer.get_mut(..document.len()).ok_or(Failure::TooLarge)?;
        place.copy_from_slice(document);
        self.give(Event::Anchors { document })?;
        self.keep_anchors(document.len());
        self.work()?;
        Ok(self.condition)
    }

    /// The state machine, to look at.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The platform.
    pub fn port(&mut self) -> &mut P {
        &mut self.port
    }

    /// What the host waits for.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Seconds until the next poll should come, by the hub's word.
    pub fn interval_seconds(&self) -> u32 {
        self.interval_seconds
    }

    /// The device's name.
    pub fn id(&self) -> DeviceId {
        self.device.identity().device
    }

    /// The best time there is, for judging the hub's certificate.
    ///
    /// # Errors
    /// [`Failure::State`], never with what flash holds.
    pub fn time(&mut self) -> Result<UnixTime, Failure> {
        let uptime = Uptime(self.port.uptime_seconds());
        let anchors = self.read_anchors()?;
        Ok(self.device.clock().now(&self.device.time_floor(&anchors), uptime))
    }

    /// The hub's address.
    ///
    /// # Errors
    /// [`Failure::State`], never with what flash holds.
    pub fn hub(&self) -> Result<&str, Failure> {
        Ok(self.document()?.hub())
    }

    /// The spare address, where the anchors lie too; none where the anchors name none.
    ///
    /// # Errors
    /// [`Failure::State`], never with what flash holds.
    pub fn spare(&self) -> Result<Option<&str>, Failure> {
        Ok(self.document()?.spare())
    }

    /// One of the Server CA certificates that TLS has to trust, and no other: DER.
    ///
    /// # Errors
    /// [`Failure::Argument`] beyond the last.
    pub fn server_ca(&self, index: usize) -> Result<&[u8], Failure> {
        self.document()?.server_cas().nth(index).ok_or(Failure::Argument)
    }

    pub(crate) fn give(&mut self, event: Event<'_>) -> Result<(), Failure> {
        self.with_buffer(|device, _, env| Ok(device.handle(event, env)))
    }

    /// Gives the machine something that lies in the buffer.
    pub(crate) fn with_buffer(
        &mut self,
        handle: impl FnOnce(&mut Device, &[u8], &Env<'_>) -> Result<ringfort_device::Actions, Failure>,
    ) -> Result<(), Failure> {
        let uptime = Uptime(self.port.uptime_seconds());
        let digest = self.device.record().anchors.digest;
        let document = self.anchors.get(..self.anchors_len).ok_or(Failure::State)?;
        let anchors =
            Anchors::verify_pinned(document, &digest, &RustCrypto).map_err(|_| Failure::State)?;
        let env = Env { anchors: &anchors, verifier: &RustCrypto, uptime };
        let actions = handle(&mut self.device, &self.buffer, &env)?;
        if self.queue.put_first(actions) { Ok(()) } else { Err(Failure::TooLarge) }
    }

    pub(crate) fn persist(&mut self) -> Result<(), Failure> {
        let identity = *self.device.identity();
        let stored = Stored { identity, record: *self.device.record(), images: self.images };
        self.place = state::store(&mut self.port, &stored, Some(self.place), &mut self.buffer)?;
        Ok(())
    }

    /// Takes the document in the buffer as the one in force, if the record says so.
    pub(crate) fn keep_anchors(&mut self, length: usize) {
        let wanted = self.device.record().anchors.digest;
        if let (Some(new), Some(kept)) = (self.buffer.get(..length), self.anchors.get_mut(..length))
            && RustCrypto.sha256(&[new]) == wanted
        {
            kept.copy_from_slice(new);
            self.anchors_len = length;
        }
    }

    fn document(&self) -> Result<Document<'_>, Failure> {
        let bytes = self.anchors.get(..self.anchors_len).ok_or(Failure::State)?;
        Document::parse(bytes).map_err(|_| Failure::State)
    }

    fn read_anchors(&self) -> Result<Anchors<'_>, Failure> {
        let bytes = self.anchors.get(..self.anchors_len).ok_or(Failure::State)?;
        let digest = self.device.record().anchors.digest;
        Anchors::verify_pinned(bytes, &digest, &RustCrypto).map_err(|_| Failure::State)
    }
}

/// An envelope, an anchors document or an answer has to fit.
pub(crate) const BUFFER: usize = 8 * 1024;
/// Before the hub has said anything.
const FIRST_INTERVAL_S: u32 = 300;
