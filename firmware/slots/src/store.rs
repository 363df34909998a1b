//! The record log in two sectors, and the writing of slots and anchors under it.

use ringfort_cose::Reason;

use crate::flash::{Area, Hardware};
use crate::planted::{self, Bug};
use crate::record::{MAGIC, RECORD_BYTES, decode, encode};
use crate::sha256::Sha256;
use crate::state::{AnchorsPin, Candidate, SlotId, SlotState, State};

/// The device's state with the log that holds it.
pub struct Store<H> {
    hardware: H,
    state: State,
    generation: u64,
    /// Which sector holds the newest record.
    sector: SlotId,
    /// Where the next record goes in that sector; `None` forces the other sector.
    next: Option<u32>,
}

impl<H: Hardware> Store<H> {
    /// Finds the newest record, makes sure that it is settled, and finishes a counter move that
    /// was cut.
    ///
    /// # Errors
    /// `not-found` when the device holds no record of its own; `storage-failed`.
    pub fn mount(mut hardware: H) -> Result<Self, Reason> {
        let floor = hardware.counter();
        let mut now = State::blank();
        let mut store = Self { hardware, state: now, generation: 0, sector: SlotId::A, next: None };
        let (mut index, mut settled, mut found) = (0, false, false);
        let mut counted = [false; 2];
        for sector in &SlotId::BOTH {
            for position in 0..positions(&store.hardware) {
                let seen = look(&mut store.hardware, *sector, position, &mut now)?;
                let Some((generation, marked)) = seen else { continue };
                if now.counter < floor && !planted::is(Bug::OldestWins) {
                    continue;
                }
                *sector.of_mut(&mut counted) = true;
                if found && (generation > store.generation) == planted::is(Bug::OldestWins) {
                    continue;
                }
                (found, settled, index) = (true, marked, position);
                (store.generation, store.sector, store.state) = (generation, *sector, now);
            }
        }
        if !found {
            return Err(Reason::NotFound);
        }
        // A record above this one is there and was not read: what it spent is spent.
        let chosen =
            store.sector.of(&store.hardware.layout().metadata) + index * stride(&store.hardware);
        if is_outdone(&mut store.hardware, chosen)? && !planted::is(Bug::LostTrusted) {
            let spent = store.hardware.layout().budget + 1;
            for slot in &mut store.state.slots {
                if slot.state == SlotState::Trial {
                    slot.attempts = spent;
                }
            }
        }
        store.next = planted::is(Bug::SectorContinued).then_some(index + 1);
        if !settled && !planted::is(Bug::UnsettledTrusted) {
            // The last settled record must outlive the copying: it stands before this one, or,
            // when this one is the first of its sector, in the other sector. Where nothing counts
            // there, this one itself must: its mark may have been read before, and the counter moved.
            let other = *store.sector.other().of(&counted) || planted::is(Bug::MarkReadOnce);
            if index == 0 && other && !planted::is(Bug::SettledErased) {
                store.sector = store.sector.other();
            }
            now = store.state;
            store.append(&now)?;
        }
        if !planted::is(Bug::CounterNotFinished) {
            store.hardware.advance(store.state.counter)?;
        }
        Ok(store)
    }

    /// Writes the first record of a device: the anchors it left provisioning with.
    ///
    /// # Errors
    /// `already-exists` when there is a record; `storage-failed`.
    pub fn provision(mut hardware: H, anchors: &[u8], version: u32) -> Result<Self, Reason> {
        let counter = hardware.counter();
        for sector in SlotId::BOTH {
            for index in 0..positions(&hardware) {
                if look(&mut hardware, sector, index, &mut State::blank())?.is_some() {
                    return Err(Reason::AlreadyExists);
                }
            }
        }
        let pin = write_anchors(&mut hardware, SlotId::A, anchors, version)?;
        Self::begin_life(hardware, counter, pin)
    }

    /// Writes the first record of a device whose factory put anchors version 1 into the first
    /// anchors area, and length and digest into fuses. `scratch` takes them.
    ///
    /// # Errors
    /// `anchors-digest` when other bytes lie there; `lifecycle-forbids` when the counter has moved,
    /// so that there was a record once.
    pub fn adopt_anchors(
        mut hardware: H,
        len: u32,
        digest: &[u8; 32],
        scratch: &mut [u8],
    ) -> Result<Self, Reason> {
        let counter = hardware.counter();
        if counter != 0 {
            return Err(Reason::LifecycleForbids);
        }
        let area = *SlotId::A.of(&hardware.layout().anchors);
        let bytes = scratch.get_mut(..len as usize).ok_or(Reason::TooLarge)?;
        hardware.read(area.at, bytes)?;
        if Sha256::digest(bytes) != *digest {
            return Err(Reason::AnchorsDigest);
        }
        let pin = AnchorsPin { version: 1, digest: *digest, len, area: SlotId::A };
        Self::begin_life(hardware, counter, pin)
    }

    /// The first record. The counter moves with it, so that no device begins its life twice.
    fn begin_life(hardware: H, counter: u32, anchors: AnchorsPin) -> Result<Self, Reason> {
        let state = State::new(counter.checked_add(1).ok_or(Reason::Internal)?, anchors);
        let mut store = Self { hardware, state, generation: 0, sector: SlotId::B, next: None };
        store.append(&state)?;
        store.hardware.advance(state.counter)?;
        Ok(store)
    }

    /// Takes a slot that was written before there were records, if `check` finds it good.
    ///
    /// # Errors
    /// What [`State::admits`] and `check` find; nothing is recorded then.
    pub fn adopt(
        &mut self,
        candidate: &Candidate,
        check: impl FnOnce(&mut H, &State) -> Result<(), Reason>,
    ) -> Result<SlotId, Reason> {
        let mut next = self.state;
        let id = next.begin(candidate)?;
        next.written(id)?;
        check(&mut self.hardware, &next)?;
        self.append(&next)?;
        Ok(id)
    }

    /// The state, settled.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The hardware, for reading slots and anchors.
    pub fn hardware(&mut self) -> &mut H {
        &mut self.hardware
    }

    /// Gives the hardware back.
    pub fn into_hardware(self) -> H {
        self.hardware
    }

    /// Starts an update: its slot loses its record, then its content.
    ///
    /// # Errors
    /// `sequence-too-low`, `sequence-reused`, `sequence-jump`; `image-size` when it does not fit.
    pub fn begin(&mut self, candidate: &Candidate) -> Result<SlotId, Reason> {
        let id = self.state.spare();
        let area = *id.of(&self.hardware.layout().slots);
        if candidate.len > area.len {
            return Err(Reason::ImageSize);
        }
        let mut next = self.state;
        next.begin(candidate)?;
        if planted::is(Bug::SlotNotInvalidated) {
            self.state = next;
        } else {
            self.append(&next)?;
        }
        wipe(&mut self.hardware, Area { at: area.at, len: candidate.len })?;
        Ok(id)
    }

    /// Writes a piece of the update at `offset` of its slot, in whole units; a last piece may be
    /// shorter and is padded with erased bytes.
    ///
    /// # Errors
    /// `image-size` outside the slot; `trial-not-confirmed` when the slot is not being written.
    pub fn write(&mut self, id: SlotId, offset: u32, bytes: &[u8]) -> Result<(), Reason> {
        if self.state.slot(id).state != SlotState::Writing || self.state.active == Some(id) {
            return Err(Reason::TrialNotConfirmed);
        }
        let area = *id.of(&self.hardware.layout().slots);
        let len = u32::try_from(bytes.len()).map_err(|_| Reason::ImageSize)?;
        if offset.checked_add(len).is_none_or(|end| end > area.len) {
            return Err(Reason::ImageSize);
        }
        program_padded(&mut self.hardware, area.at, offset, bytes)
    }

    /// Ends the writing: what was read back and found whole is recorded.
    ///
    /// # Errors
    /// What `check` finds; the slot then stays as it is, being written.
    pub fn finish(
        &mut self,
        id: SlotId,
        check: impl FnOnce(&mut H, &State) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let mut next = self.state;
        next.written(id)?;
        check(&mut self.hardware, &next)?;
        self.append(&next)
    }

    /// Records a slot as written without looking at it: one of the planted mistakes.
    #[cfg(feature = "planted")]
    pub fn finish_too_early(&mut self, id: SlotId) -> Result<(), Reason> {
        if planted::is(Bug::WrittenTooEarly) {
            let mut next = self.state;
            next.written(id)?;
            self.append(&next)?;
            self.state.begin(&Candidate { pin: next.slot(id).pin, len: 0 })?;
        }
        Ok(())
    }

    /// Begins the trial of a written slot.
    ///
    /// # Errors
    /// `trial-not-confirmed` when the slot is not written, or what [`State::admits`] finds.
    pub fn arm(&mut self, id: SlotId) -> Result<(), Reason> {
        let mut next = self.state;
        next.arm(id)?;
        self.append(&next)
    }

    /// Spends one boot of the trial.
    ///
    /// # Errors
    /// `trial-not-confirmed` when the slot is not on trial.
    pub fn spend(&mut self, id: SlotId) -> Result<(), Reason> {
        let mut next = self.state;
        next.spend(id)?;
        if planted::is(Bug::BudgetNotSpent) {
            return Ok(());
        }
        self.append(&next)
    }

    /// Confirms the trial: one record, then the counter.
    ///
    /// # Errors
    /// `trial-not-confirmed` when the slot is not on trial, or what [`State::admits`] finds;
    /// `storage-failed` when the counter has no step left, and nothing is written then.
    pub fn confirm(&mut self, id: SlotId) -> Result<(), Reason> {
        let mut next = self.state;
        next.confirm(id)?;
        self.has_step_to(next.counter)?;
        if planted::is(Bug::CounterBeforeRecord) {
            self.hardware.advance(next.counter)?;
        }
        if planted::is(Bug::ConfirmInTwoRecords) {
            let half = State { slots: next.slots, counter: next.counter, ..self.state };
            self.append(&half)?;
        }
        self.append(&next)?;
        self.hardware.advance(next.counter)?;
        Ok(())
    }

    /// Gives a slot up.
    ///
    /// # Errors
    /// `internal` for the confirmed slot, which can only be replaced.
    pub fn revert(&mut self, id: SlotId, reason: Reason) -> Result<(), Reason> {
        let mut next = self.state;
        next.revert(id, reason)?;
        if planted::is(Bug::RevertNotRecorded) {
            self.state = next;
            return Ok(());
        }
        self.append(&next)
    }

    /// Takes the next anchors document, which the caller has verified.
    ///
    /// # Errors
    /// `anchors-not-sequential`; `too-large` for its area; `storage-failed`, and where the counter has no
    /// step left nothing is written then.
    pub fn turn_anchors(&mut self, anchors: &[u8], version: u32) -> Result<(), Reason> {
        if version != self.state.anchors.version.wrapping_add(1) {
            return Err(Reason::AnchorsNotSequential);
        }
        self.has_step_to(self.state.counter.saturating_add(1))?;
        let mut area = self.state.anchors.area.other();
        if planted::is(Bug::AnchorsInPlace) {
            area = area.other();
        }
        let pin = write_anchors(&mut self.hardware, area, anchors, version)?;
        let mut next = self.state;
        next.turn_anchors(pin)?;
        self.append(&next)?;
        self.hardware.advance(next.counter)?;
        Ok(())
    }

    fn has_step_to(&self, counter: u32) -> Result<(), Reason> {
        let reaches = counter <= self.hardware.layout().counter_max;
        if reaches { Ok(()) } else { Err(Reason::StorageFailed) }
    }

    /// Makes `state` the durable one.
    #[inline(never)]
    fn append(&mut self, state: &State) -> Result<(), Reason> {
        let layout = *self.hardware.layout();
        let count = positions(&self.hardware);
        let (sector, index, step) = match self.next {
            Some(index) if index < count => (self.sector, index, 1),
            _ => {
                let mut other = self.sector.other();
                if planted::is(Bug::NewestErased) {
                    other = self.sector;
                }
                self.hardware.erase(*other.of(&layout.metadata))?;
                // Above every record that may still lie unseen in the sector left behind.
                (other, 0, count)
            }
        };
        let generation =
            self.generation.checked_add(u64::from(step)).ok_or(Reason::StorageFailed)?;
        let mut record = [0; RECORD_BYTES];
        encode(&self.hardware, generation, state, &mut record);
        let at = sector.of(&layout.metadata) + index * stride(&self.hardware);
        program_padded(&mut self.hardware, at, 0, &record)?;
        let mark = [0; MAX_UNIT];
        let mark = mark.get(..layout.whole_units(MARK) as usize).ok_or(Reason::Unsupported)?;
        self.hardware.program(at + layout.whole_units(RECORD_BYTES as u32), mark)?;
        self.generation = generation;
        self.sector = sector;
        self.next = Some(index + 1);
        self.state = *state;
        Ok(())
    }
}

/// Erases every sector that the area touches.
///
/// # Errors
/// When the flash fails.
pub fn wipe<H: Hardware>(hardware: &mut H, area: Area) -> Result<(), Reason> {
    let sector = hardware.layout().sector;
    for index in 0..area.len.div_ceil(sector.max(1)) {
        hardware.erase(area.at + index * sector)?;
    }
    Ok(())
}

/// Reads the record at a position once into memory and judges it there: its generation, and
/// whether it is settled. Its state is in `state`.
#[inline(never)]
fn look<H: Hardware>(
    hardware: &mut H,
    sector: SlotId,
    index: u32,
    state: &mut State,
) -> Result<Option<(u64, bool)>, Reason> {
    let at = sector.of(&hardware.layout().metadata) + index * stride(hardware);
    let mut bytes = [0; RECORD_BYTES];
    hardware.read(at, &mut bytes)?;
    let Some(generation) = decode(hardware, &bytes, state) else { return Ok(None) };
    // Written again it has to be the same: no skipped instruction of the reading passes here.
    let mut again = [0; RECORD_BYTES];
    encode(hardware, generation, state, &mut again);
    if again != bytes && !planted::is(Bug::TagNotChecked) {
        return Ok(None);
    }
    // A mark that was cut may be read as whole once and not the next time. Such a record is copied
    // at its first reading, before anything is done on the strength of it.
    let mark = at + hardware.layout().whole_units(RECORD_BYTES as u32);
    let mut differs = 0;
    for _ in 0..READINGS {
        let mut bytes = [0xff; MARK as usize];
        hardware.read(mark, &mut bytes)?;
        differs |= u32::from_ne_bytes(bytes);
        if planted::is(Bug::MarkReadOnce) {
            break;
        }
    }
    Ok(Some((generation, differs == 0)))
}

/// Whether a whole mark stands behind a generation above that of the record at `chosen`, by the bytes
/// alone: no power cut leaves one whose record cannot be read. Shares nothing with the choice.
#[inline(never)]
fn is_outdone<H: Hardware>(hardware: &mut H, chosen: u32) -> Result<bool, Reason> {
    // One whose erasure was cut may read otherwise now; once as before is enough.
    let mut own = 0;
    for _ in 0..4 * READINGS {
        own = generation(hardware, chosen)?.max(own);
    }
    let mark = hardware.layout().whole_units(RECORD_BYTES as u32);
    let mut outdone = false;
    for sector in hardware.layout().metadata {
        for index in 0..positions(hardware) {
            let at = sector + index * stride(hardware);
            let mut bytes = [0xff; MARK as usize];
            hardware.read(at + mark, &mut bytes)?;
            if u32::from_ne_bytes(bytes) == 0 {
                outdone |= generation(hardware, at)? > own;
            }
        }
    }
    Ok(outdone)
}

/// The bytes of a generation; 0 where no record begins.
#[inline(never)]
fn generation<H: Hardware>(hardware: &mut H, at: u32) -> Result<u64, Reason> {
    let mut head = [0; 12];
    hardware.read(at, &mut head)?;
    let [magic @ .., _, _, _, _, _, _, _, _] = head;
    let [_, _, _, _, generation @ ..] = head;
    let begins = u32::from_le_bytes(magic) == MAGIC;
    Ok(if begins { u64::from_le_bytes(generation) } else { 0 })
}

fn write_anchors<H: Hardware>(
    hardware: &mut H,
    id: SlotId,
    anchors: &[u8],
    version: u32,
) -> Result<AnchorsPin, Reason> {
    let area = *id.of(&hardware.layout().anchors);
    let len = u32::try_from(anchors.len()).map_err(|_| Reason::TooLarge)?;
    if len > area.len {
        return Err(Reason::TooLarge);
    }
    wipe(hardware, Area { at: area.at, len })?;
    program_padded(hardware, area.at, 0, anchors)?;
    Ok(AnchorsPin { version, digest: Sha256::digest(anchors), len, area: id })
}

/// Programs `bytes` at `base + offset`, the last unit padded with erased bytes.
fn program_padded<H: Hardware>(
    hardware: &mut H,
    base: u32,
    offset: u32,
    bytes: &[u8],
) -> Result<(), Reason> {
    let unit = hardware.layout().unit as usize;
    let whole = bytes.len() - bytes.len() % unit.max(1);
    let (units, rest) = bytes.split_at_checked(whole).ok_or(Reason::Internal)?;
    if !units.is_empty() {
        hardware.program(base + offset, units)?;
    }
    if !rest.is_empty() {
        let mut last = [0xff; MAX_UNIT];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let last = last.get(..unit).ok_or(Reason::Unsupported)?;
        hardware.program(base + offset + whole as u32, last)?;
    }
    Ok(())
}

/// Bytes from one record to the next.
fn stride<H: Hardware>(hardware: &H) -> u32 {
    let layout = hardware.layout();
    layout.whole_units(RECORD_BYTES as u32) + layout.whole_units(MARK)
}

/// Records that a sector holds.
fn positions<H: Hardware>(hardware: &H) -> u32 {
    hardware.layout().sector / stride(hardware).max(1)
}

/// Bytes of the mark behind a record.
const MARK: u32 = 4;
/// How often a mark is read at a start.
const READINGS: usize = 16;
/// The largest write unit.
const MAX_UNIT: usize = 256;
