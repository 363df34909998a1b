//! The rules: which call does what in which state.

use boot::{Ecdsa, Identity, Memory, Part, SlotHeader, admit, examine, write_header};
use psa::Status;
use ringfort_cose::{Reason, Sha256Digest};
use ringfort_trust::ids::{AnchorsVersion, DeviceId, Nonce, UnixTime};
use ringfort_trust::{Anchors, Channel, Content, Role, Situation, Task, TimeFloor, Token};
use slots::{Hardware, Sha256, SlotId, SlotState, Store, hmac, wipe};

use crate::journal::Journal;
use crate::refused::Refused;

/// Where the component stands. The numbers are those of PSA Firmware Update 1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// An update can start.
    Ready = 0,
    /// An image is being written; a reset brings back `Ready`.
    Writing = 1,
    /// A whole, verified image waits for its installation.
    Candidate = 2,
    /// It is tried at the next boot.
    Staged = 3,
    /// It was given up.
    Failed = 4,
    /// It runs, and is not confirmed.
    Trial = 5,
    /// It runs, and the next boot goes back.
    Rejected = 6,
    /// It runs and is confirmed.
    Updated = 7,
}

/// What this device is, and how it was started.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What the device is.
    pub identity: Identity,
    /// The slot that runs.
    pub slot: SlotId,
    /// Whether it runs on trial.
    pub trial: bool,
    /// What nonces are made of: nobody else can tell them.
    pub nonce_seed: [u8; 32],
    /// The two sectors of the journal.
    pub orders: [u32; 2],
}

/// One device's updates.
pub struct Device<H> {
    store: Store<H>,
    journal: Journal,
    facts: Facts,
    writing: Option<Writing>,
    is_rejected: bool,
    is_updated: bool,
    nonce: Option<Nonce>,
    nonces: u32,
}

#[derive(Clone, Copy)]
struct Writing {
    id: SlotId,
    total: u32,
    done: u32,
}

impl<H: Hardware> Device<H> {
    /// Mounts slots and journal, and ends an order whose update has ended.
    ///
    /// # Errors
    /// `not-found` for a device without records; `storage-failed`.
    pub fn open(hardware: H, facts: Facts) -> Result<Self, Reason> {
        let mut store = Store::mount(hardware)?;
        let journal = Journal::open(store.hardware(), &facts.orders)?;
        let mut device = Self {
            store,
            journal,
            facts,
            writing: None,
            is_rejected: false,
            is_updated: false,
            nonce: None,
            nonces: 0,
        };
        let state = device.store.state();
        let ended = [SlotId::A, SlotId::B].into_iter().any(|id| {
            let slot = state.slot(id);
            let is_over = matches!(slot.state, SlotState::Confirmed | SlotState::Reverted);
            is_over && device.journal.names(&slot.pin.digest)
        });
        if ended {
            let error = device.journal.error;
            device.end_order(error)?;
        }
        Ok(device)
    }

    /// Where the component stands.
    #[inline(never)]
    pub fn state(&mut self) -> State {
        if self.is_updated {
            return State::Updated;
        }
        if self.is_rejected {
            return State::Rejected;
        }
        let state = *self.store.state();
        if self.facts.trial && state.slot(self.facts.slot).state == SlotState::Trial {
            return State::Trial;
        }
        let spare = state.spare();
        match state.slot(spare).state {
            SlotState::Writing if self.writing.is_some() => State::Writing,
            SlotState::Written => State::Candidate,
            SlotState::Trial => State::Staged,
            SlotState::Reverted if !self.is_clean(spare) => State::Failed,
            _ => State::Ready,
        }
    }

    /// Why the last update was given up, while it is `Failed` or `Rejected`.
    pub fn failure(&mut self) -> Option<Refused> {
        let id = match self.state() {
            State::Failed => self.store.state().spare(),
            State::Rejected => self.facts.slot,
            _ => return None,
        };
        let reason = Reason::from_number(self.store.state().slot(id).reason)?;
        let refused = Refused::from(reason);
        match self.journal.error {
            0 => Some(refused),
            error => Some(Refused { status: Status(error), ..refused }),
        }
    }

    /// Bytes of the image: what is written, and what there will be.
    pub fn progress(&self) -> (u32, u32) {
        self.writing.map_or((0, 0), |writing| (writing.done, writing.total))
    }

    /// Most bytes that an image can have.
    pub fn room(&mut self) -> u32 {
        let layout = *self.store.hardware().layout();
        let [a, b] = layout.slots;
        a.len.min(b.len) - layout.envelope_max
    }

    /// Boots that the running trial has spent.
    pub fn attempts(&self) -> u32 {
        self.store.state().slot(self.facts.slot).attempts
    }

    /// A nonce for the next order; an earlier one is forgotten.
    pub fn challenge(&mut self) -> Nonce {
        self.nonces = self.nonces.wrapping_add(1);
        let nonce = nonce(&self.facts.nonce_seed, self.nonces);
        self.nonce = Some(nonce);
        nonce
    }

    /// Starts an update: `scratch` begins with the envelope. The order and the envelope are judged;
    /// nothing is erased before both were found good and the order was remembered.
    ///
    /// # Errors
    /// `order-missing` without an order; what [`Token::verify`], [`Token::accept`] and [`admit`]
    /// find; `wrong-type` for a token that is no order, `manifest-digest` for an order to install
    /// something else.
    #[inline(never)]
    pub fn start(
        &mut self,
        order: &[u8],
        envelope: u32,
        scratch: &mut [u8],
    ) -> Result<(), Refused> {
        self.expect(State::Ready)?;
        if order.is_empty() {
            return Err(Reason::OrderMissing.into());
        }
        let layout = *self.store.hardware().layout();
        let state = *self.store.state();
        let header = SlotHeader { envelope, anchors: state.anchors.len };
        let room = layout.envelope_max - SlotHeader::LEN as u32;
        if envelope.checked_add(header.anchors).is_none_or(|total| total > room) {
            return Err(Reason::TooLarge.into());
        }
        let verifier = Ecdsa::new([0; 32]);
        let anchors = self.read_anchors(scratch, envelope as usize)?;
        let anchors =
            Anchors::verify_pinned(anchors, &Sha256Digest(state.anchors.digest), &verifier)?;
        let mut journal = self.journal;
        journal.keep_only(&anchors.trusted_keys(Role::Order, &verifier));
        let wanted = self.judge_order(order, &anchors, &mut journal, &verifier)?;
        let (candidate, _) =
            admit(&state, &layout, header, &self.facts.identity, &verifier, scratch)?;
        if candidate.pin.digest != wanted.0 {
            return Err(Reason::ManifestDigest.into());
        }
        let area = *state.spare().of(&layout.slots);
        if candidate.len > area.len {
            return Err(Reason::ImageSize.into());
        }
        journal.save(self.store.hardware(), &self.facts.orders)?;
        self.journal = journal;
        self.nonce = None;
        let id = self.store.begin(&candidate)?;
        write_header(&mut self.store, id, header, scratch)?;
        let total = candidate.len - layout.envelope_max;
        self.writing = Some(Writing { id, total, done: 0 });
        Ok(())
    }

    /// Writes a block at `offset` of the image: the components in order, each filled up to whole
    /// write units.
    ///
    /// # Errors
    /// `malformed` for a block that is empty, longer than [`MAX_WRITE`] or out of line;
    /// `image-size` beyond the image that the manifest states; `storage-failed`.
    #[inline(never)]
    pub fn write(&mut self, offset: u32, block: &[u8]) -> Result<(), Refused> {
        self.expect(State::Writing)?;
        let Some(writing) = self.writing else { return Err(Refused::STATE) };
        let layout = *self.store.hardware().layout();
        if block.is_empty() || block.len() > MAX_WRITE || !offset.is_multiple_of(layout.unit) {
            return Err(Refused::ARGUMENT);
        }
        let whole = layout.whole_units(block.len() as u32);
        let end = offset.checked_add(whole).filter(|end| *end <= writing.total);
        if end.is_none() {
            return Err(Reason::ImageSize.into());
        }
        self.store.write(writing.id, layout.envelope_max + offset, block)?;
        self.writing = Some(Writing { done: writing.done.saturating_add(whole), ..writing });
        Ok(())
    }

    /// Ends the writing: the slot is read back and judged whole, as boot will judge it.
    ///
    /// # Errors
    /// `image-size` before all of it was written; what [`examine`] finds. The update has then
    /// failed.
    #[inline(never)]
    pub fn finish(&mut self, scratch: &mut [u8]) -> Result<(), Refused> {
        self.expect(State::Writing)?;
        let Some(Writing { id, total, done }) = self.writing else { return Err(Refused::STATE) };
        let identity = self.facts.identity;
        let judged = if done == total {
            self.store.finish(id, |hardware, state| {
                let area = *id.of(&hardware.layout().slots);
                let pin = state.slot(id).pin;
                let verifier = Ecdsa::new([0; 32]);
                examine(hardware, area, &pin, &identity, &verifier, &mut InSlot, scratch).map(drop)
            })
        } else {
            Err(Reason::ImageSize)
        };
        self.writing = None;
        if let Err(reason) = judged {
            self.give_up(id, reason, 0)?;
            return Err(reason.into());
        }
        Ok(())
    }

    /// Gives an update up that is not installed yet.
    ///
    /// # Errors
    /// When there is none; `storage-failed`.
    pub fn cancel(&mut self) -> Result<(), Refused> {
        if !matches!(self.state(), State::Writing | State::Candidate) {
            return Err(Refused::STATE);
        }
        self.writing = None;
        let spare = self.store.state().spare();
        self.give_up(spare, Reason::Halted, 0)
    }

    /// Erases what was given up or superseded.
    ///
    /// # Errors
    /// When there is nothing to clean; `storage-failed`.
    #[inline(never)]
    pub fn clean(&mut self) -> Result<(), Refused> {
        if !matches!(self.state(), State::Failed | State::Updated) {
            return Err(Refused::STATE);
        }
        let spare = self.store.state().spare();
        let area = *spare.of(&self.store.hardware().layout().slots);
        wipe(self.store.hardware(), area)?;
        self.is_updated = false;
        Ok(())
    }

    /// Arms the candidate for its trial at the next boot. The order's life is judged once more.
    ///
    /// # Errors
    /// `order-missing` when the order in progress is another one; `expired`; `storage-failed`.
    #[inline(never)]
    pub fn install(&mut self, scratch: &mut [u8]) -> Result<(), Refused> {
        self.expect(State::Candidate)?;
        let state = *self.store.state();
        let id = state.spare();
        if !self.journal.names(&state.slot(id).pin.digest) {
            return Err(Reason::OrderMissing.into());
        }
        let verifier = Ecdsa::new([0; 32]);
        let anchors = self.read_anchors(scratch, 0)?;
        let anchors =
            Anchors::verify_pinned(anchors, &Sha256Digest(state.anchors.digest), &verifier)?;
        if floor(&anchors, &self.journal).proves_expired(self.journal.expires) {
            return Err(Reason::Expired.into());
        }
        self.store.arm(id)?;
        Ok(())
    }

    /// Gives an armed or running trial up; `error` is the caller's own status. `true` when the
    /// device has to boot to be rid of it.
    ///
    /// # Errors
    /// When nothing is armed or on trial; `storage-failed`.
    pub fn reject(&mut self, error: i32) -> Result<bool, Refused> {
        match self.state() {
            State::Staged => {
                let spare = self.store.state().spare();
                self.give_up(spare, Reason::Halted, error)?;
                Ok(false)
            }
            State::Trial => {
                self.give_up(self.facts.slot, Reason::HealthCheckFailed, error)?;
                self.is_rejected = true;
                Ok(true)
            }
            _ => Err(Refused::STATE),
        }
    }

    /// Confirms the running trial, or gives it up when a health check has failed.
    ///
    /// # Errors
    /// When nothing is on trial; `health-check-failed`; `storage-failed`.
    pub fn accept(&mut self, is_healthy: bool) -> Result<(), Refused> {
        self.expect(State::Trial)?;
        if !is_healthy {
            self.give_up(self.facts.slot, Reason::HealthCheckFailed, 0)?;
            self.is_rejected = true;
            return Err(Reason::HealthCheckFailed.into());
        }
        self.store.confirm(self.facts.slot)?;
        self.is_updated = true;
        self.end_order(0)?;
        Ok(())
    }

    /// Whether a reboot has a purpose now.
    pub fn may_reboot(&mut self) -> bool {
        matches!(self.state(), State::Staged | State::Trial | State::Rejected)
    }

    /// Bytes of the current anchors.
    pub fn anchors_len(&self) -> usize {
        self.store.state().anchors.len as usize
    }

    /// Takes the next anchors document, which stands in `scratch` behind room for the current one:
    /// both together can have [`SCRATCH`] bytes.
    /// A release that is being written or waits was admitted by the old ones and is given up.
    ///
    /// # Errors
    /// What [`Anchors::verify_next`] finds; `too-large`; `storage-failed`.
    #[inline(never)]
    pub fn turn_anchors(&mut self, len: usize, scratch: &mut [u8]) -> Result<(), Refused> {
        let state = *self.store.state();
        let (first, rest) =
            scratch.split_at_mut_checked(self.anchors_len()).ok_or(Reason::TooLarge)?;
        let next = rest.get(..len).ok_or(Reason::TooLarge)?;
        let verifier = Ecdsa::new([0; 32]);
        let current = self.read_anchors(first, 0)?;
        let current =
            Anchors::verify_pinned(current, &Sha256Digest(state.anchors.digest), &verifier)?;
        let version = current.verify_next(next, &verifier)?.version().0;
        let version = u32::try_from(version).map_err(|_| Reason::AnchorsNotSequential)?;
        self.store.turn_anchors(next, version)?;
        if matches!(self.state(), State::Writing | State::Candidate) {
            self.writing = None;
            let spare = self.store.state().spare();
            self.give_up(spare, Reason::Superseded, 0)?;
        }
        Ok(())
    }

    /// Judges an order; `journal` is then what has to be remembered before anything is done. Gives
    /// the digest of the manifest to install.
    #[inline(never)]
    fn judge_order(
        &self,
        order: &[u8],
        anchors: &Anchors<'_>,
        journal: &mut Journal,
        verifier: &Ecdsa,
    ) -> Result<Sha256Digest, Reason> {
        let token = Token::verify(order, anchors, verifier)?;
        let Content::Order(content) = token.claims().content else {
            return Err(Reason::WrongType);
        };
        let Task::Install { manifest } = content.task else { return Err(Reason::Unsupported) };
        let floor = floor(anchors, journal);
        let situation = Situation {
            device: device_name(&self.facts.identity)?,
            // A token with a nonce has to have ours; one without comes by an offline medium.
            channel: match (self.nonce, token.claims().nonce) {
                (Some(nonce), Some(_)) => Channel::Online { nonce },
                _ => Channel::Offline,
            },
            // No clock, and none that anyone signed for but the order itself.
            now: floor.value(),
            floor,
            anchors_version: AnchorsVersion(u64::from(self.store.state().anchors.version)),
        };
        let accepted = token.accept(&situation, &journal.ledger(&token.signer()))?;
        journal.put(&accepted.ledger)?;
        journal.expires = token.claims().expires;
        journal.error = 0;
        Ok(manifest)
    }

    fn give_up(&mut self, id: SlotId, reason: Reason, error: i32) -> Result<(), Refused> {
        self.store.revert(id, reason)?;
        self.end_order(error)?;
        Ok(())
    }

    /// The order in progress has ended, whatever came of it: its number is never taken again.
    #[inline(never)]
    fn end_order(&mut self, error: i32) -> Result<(), Reason> {
        let mut after = self.journal;
        after.finish();
        after.error = error;
        if after != self.journal {
            after.save(self.store.hardware(), &self.facts.orders)?;
            self.journal = after;
        }
        Ok(())
    }

    /// The current anchors, read to `offset` of `scratch`.
    fn read_anchors<'s>(
        &mut self,
        scratch: &'s mut [u8],
        offset: usize,
    ) -> Result<&'s [u8], Reason> {
        let pin = self.store.state().anchors;
        let area = *pin.area.of(&self.store.hardware().layout().anchors);
        let end = offset.checked_add(pin.len as usize).ok_or(Reason::TooLarge)?;
        let into = scratch.get_mut(offset..end).ok_or(Reason::TooLarge)?;
        self.store.hardware().read(area.at, into)?;
        Ok(into)
    }

    fn is_clean(&mut self, id: SlotId) -> bool {
        let area = *id.of(&self.store.hardware().layout().slots);
        SlotHeader::read(self.store.hardware(), area) == Err(Reason::NotFound)
    }

    fn expect(&mut self, state: State) -> Result<(), Refused> {
        if self.state() == state { Ok(()) } else { Err(Refused::STATE) }
    }
}

/// The name of a device in orders: its id as a UUID (RFC 9562 section 4).
///
/// # Errors
/// None in truth: a UUID is a name.
pub fn device_name(identity: &Identity) -> Result<DeviceId, Reason> {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in identity.device.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        for digit in [byte >> 4, byte & 15] {
            if let Some(place) = text.get_mut(at) {
                *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
            }
            at += 1;
        }
    }
    DeviceId::new(core::str::from_utf8(&text).map_err(|_| Reason::Internal)?)
}

/// The nonce with this number.
pub fn nonce(seed: &[u8; 32], number: u32) -> Nonce {
    let full = hmac(seed, &[&number.to_le_bytes()]);
    let mut nonce = [0; 16];
    for (to, from) in nonce.iter_mut().zip(full) {
        *to = from;
    }
    Nonce(nonce)
}

fn floor(anchors: &Anchors<'_>, journal: &Journal) -> TimeFloor {
    TimeFloor { build: UnixTime(0), anchors: anchors.time_floor(), orders: journal.latest_time() }
}

/// Hashes a component in its slot: it runs only after the next boot has copied it.
struct InSlot;

impl<H: Hardware> Memory<H> for InSlot {
    fn load(&mut self, hardware: &mut H, _: Part, at: u32, size: u32) -> Result<[u8; 32], Reason> {
        let mut hash = Sha256::new();
        let mut done = 0;
        while done < size {
            let mut chunk = [0; 256];
            let step = (size - done).min(256);
            let chunk = chunk.get_mut(..step as usize).ok_or(Reason::Internal)?;
            hardware.read(at + done, chunk)?;
            hash.update(chunk);
            done += step;
        }
        Ok(hash.finish())
    }
}

/// Bytes of a block at most.
pub const MAX_WRITE: usize = 4096;
/// Room for an envelope and the anchors; an order stands behind it.
pub const ORDER_AT: usize = 0x3000;
/// Bytes of memory that the calls need to work in.
pub const SCRATCH: usize = ORDER_AT + Token::MAX_LEN;
