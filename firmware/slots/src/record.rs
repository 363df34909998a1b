//! A state as bytes: fixed fields, a generation, a tag.

use crate::flash::Hardware;
use crate::planted::{self, Bug};
use crate::state::{AnchorsPin, Floor, Pin, Slot, SlotId, SlotState, State};

/// A record's bytes, without the mark behind it.
pub const RECORD_BYTES: usize = 304;
/// The tag at the end of a record.
pub const TAG_BYTES: usize = 16;

const BODY: usize = RECORD_BYTES - TAG_BYTES;
const MAGIC: u32 = 0x3152_4652;
const NO_SLOT: u32 = 0x0ff0_c33c;
const SLOT_A: u32 = 0x5aa5_3cc3;
const SLOT_B: u32 = 0xa55a_c33c;

/// Writes `state` as the record number `generation`.
pub(crate) fn encode<H: Hardware + ?Sized>(
    hardware: &H,
    generation: u64,
    state: &State,
) -> [u8; RECORD_BYTES] {
    let mut out = Out { bytes: [0; RECORD_BYTES], at: 0 };
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
    out.at = BODY;
    let tag = hardware.tag(out.bytes.get(..BODY).unwrap_or_default());
    out.put(&tag);
    out.bytes
}

/// The generation and state of a record; `None` for anything that is not a whole record of this
/// device.
pub(crate) fn decode<H: Hardware + ?Sized>(
    hardware: &H,
    bytes: &[u8; RECORD_BYTES],
) -> Option<(u64, State)> {
    let mut input = In { bytes };
    if input.u32()? != MAGIC {
        return None;
    }
    let (body, tag) = bytes.split_at_checked(BODY)?;
    if hardware.tag(body) != *tag && !planted::is(Bug::TagNotChecked) {
        return None;
    }
    let generation = input.u64()?;
    let counter = input.u32()?;
    let floor = Floor { sequence: input.u64()?, digest: input.digest()? };
    let active = input.slot_id()?;
    let slots = [input.slot()?, input.slot()?];
    let anchors = AnchorsPin {
        version: input.u32()?,
        digest: input.digest()?,
        len: input.u32()?,
        area: input.slot_id()??,
    };
    Some((generation, State { counter, floor, active, slots, anchors }))
}

struct Out {
    bytes: [u8; RECORD_BYTES],
    at: usize,
}

impl Out {
    fn put(&mut self, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.at).zip(bytes) {
            *to = *from;
        }
        self.at += bytes.len();
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

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
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn digest(&mut self) -> Option<[u8; 32]> {
        self.take()
    }

    fn slot_id(&mut self) -> Option<Option<SlotId>> {
        match self.u32()? {
            NO_SLOT => Some(None),
            SLOT_A => Some(Some(SlotId::A)),
            SLOT_B => Some(Some(SlotId::B)),
            _ => None,
        }
    }

    fn slot(&mut self) -> Option<Slot> {
        Some(Slot {
            state: SlotState::from_word(self.u32()?)?,
            attempts: self.u32()?,
            reason: self.u32()?,
            pin: Pin {
                sequence: self.u64()?,
                digest: self.digest()?,
                anchors_version: self.u32()?,
                anchors_digest: self.digest()?,
            },
        })
    }
}
