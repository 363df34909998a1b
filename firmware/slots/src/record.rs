//! A state as bytes: fixed fields, a generation, a tag.

use crate::flash::Hardware;
use crate::planted::{self, Bug};
use crate::sha256::{copy, is_same};
use crate::state::{SlotId, SlotState, State};

/// A record's bytes, without the mark behind it.
pub const RECORD_BYTES: usize = 304;
/// The tag at the end of a record.
pub const TAG_BYTES: usize = 16;

const BODY: usize = RECORD_BYTES - TAG_BYTES;
pub(crate) const MAGIC: u32 = 0x3152_4652;
const NO_SLOT: u32 = 0x0ff0_c33c;
const SLOT_A: u32 = 0x5aa5_3cc3;
const SLOT_B: u32 = 0xa55a_c33c;

/// Writes `state` as the record number `generation`.
#[inline(never)]
pub(crate) fn encode<H: Hardware + ?Sized>(
    hardware: &H,
    generation: u64,
    state: &State,
    bytes: &mut [u8; RECORD_BYTES],
) {
    let mut out = Out { bytes, at: 0 };
    out.u32(MAGIC);
    out.u64(generation);
    out.u32(state.counter);
    out.u64(state.floor.sequence);
    out.put(&state.floor.digest);
    out.slot_id(state.active);
    for slot in &state.slots {
        out.u32(slot.state as u32);
        out.u32(slot.attempts);
        out.u32(slot.reason);
        out.u64(slot.pin.sequence);
        out.put(&slot.pin.digest);
        out.u32(slot.pin.anchors_version);
        out.put(&slot.pin.anchors_digest);
    }
    out.u32(state.anchors.version);
    out.put(&state.anchors.digest);
    out.u32(state.anchors.len);
    out.slot_id(Some(state.anchors.area));
    let (body, tag) = bytes.split_at_mut(BODY);
    copy(tag, &hardware.tag(body));
}

/// Reads a record into `state` and gives its generation; `None` for anything that is not a whole
/// record of this device, and `state` is then worth nothing.
#[inline(never)]
pub(crate) fn decode<H: Hardware + ?Sized>(
    hardware: &H,
    bytes: &[u8; RECORD_BYTES],
    state: &mut State,
) -> Option<u64> {
    let mut input = In { bytes };
    let magic = input.u32();
    let (body, tag) = bytes.split_at_checked(BODY)?;
    let fits = is_same(&hardware.tag(body), tag) || planted::is(Bug::TagNotChecked);
    if magic != MAGIC || !fits {
        return None;
    }
    let generation = input.u64();
    state.counter = input.u32();
    state.floor.sequence = input.u64();
    input.fill(&mut state.floor.digest);
    state.active = input.slot_id()?;
    for slot in &mut state.slots {
        slot.state = SlotState::from_word(input.u32())?;
        slot.attempts = input.u32();
        slot.reason = input.u32();
        slot.pin.sequence = input.u64();
        input.fill(&mut slot.pin.digest);
        slot.pin.anchors_version = input.u32();
        input.fill(&mut slot.pin.anchors_digest);
    }
    state.anchors.version = input.u32();
    input.fill(&mut state.anchors.digest);
    state.anchors.len = input.u32();
    state.anchors.area = input.slot_id()??;
    Some(generation)
}

/// Fields one after the other; all of them together are shorter than a record.
struct Out<'b> {
    bytes: &'b mut [u8; RECORD_BYTES],
    at: usize,
}

impl Out<'_> {
    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        copy(self.bytes.get_mut(self.at..).unwrap_or_default(), bytes);
        self.at += bytes.len();
    }

    #[inline(never)]
    fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    #[inline(never)]
    fn u64(&mut self, value: u64) {
        self.u32(value as u32);
        self.u32((value >> 32) as u32);
    }

    #[inline(never)]
    fn slot_id(&mut self, id: Option<SlotId>) {
        self.u32(match id {
            None => NO_SLOT,
            Some(SlotId::A) => SLOT_A,
            Some(SlotId::B) => SLOT_B,
        });
    }
}

struct In<'b> {
    bytes: &'b [u8],
}

impl In<'_> {
    #[inline(never)]
    fn fill(&mut self, into: &mut [u8]) {
        copy(into, self.bytes);
        self.bytes = self.bytes.get(into.len()..).unwrap_or_default();
    }

    #[inline(never)]
    fn u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[inline(never)]
    fn u64(&mut self) -> u64 {
        let low = self.u32();
        u64::from(self.u32()) << 32 | u64::from(low)
    }

    #[inline(never)]
    fn slot_id(&mut self) -> Option<Option<SlotId>> {
        match self.u32() {
            NO_SLOT => Some(None),
            SLOT_A => Some(Some(SlotId::A)),
            SLOT_B => Some(Some(SlotId::B)),
            _ => None,
        }
    }
}
