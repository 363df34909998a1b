//! A device's flash made of fuzz input: two sectors of records, and one slot.

use boot::{Identity, Memory, Part};
use ringfort_cose::Reason;
use slots::{Area, Flash, FlashError, Hardware, Layout, TAG_BYTES};

/// Flash in memory, erased where nothing was put.
#[derive(Clone)]
pub struct Ram {
    /// Everything.
    pub bytes: Vec<u8>,
    /// The counter.
    pub counter: u32,
}

/// Where the slot is.
pub const SLOT: Area = Area { at: 0x8000, len: 0x4000 };

/// How the flash is divided.
pub static LAYOUT: Layout = Layout {
    sector: 0x1000,
    unit: 8,
    metadata: [0, 0x1000],
    anchors: [Area { at: 0x2000, len: 0x2000 }, Area { at: 0x4000, len: 0x2000 }],
    slots: [SLOT, Area { at: 0xc000, len: 0x4000 }],
    envelope_max: 0x3000,
    budget: 3,
    counter_max: u32::MAX,
};

impl Ram {
    /// A flash with these bytes at `at`, as many as there is room for.
    pub fn holding(at: u32, bytes: &[u8]) -> Ram {
        let mut ram = Ram { bytes: vec![0xff; 0x1_0000], counter: 0 };
        for (to, from) in ram.bytes[at as usize..].iter_mut().zip(bytes) {
            *to = *from;
        }
        ram
    }
}

/// What the device is: the one of [`crate::fleet`].
pub const IDENTITY: Identity = Identity { vendor: [1; 16], class: [2; 16], device: [3; 16] };

impl Flash for Ram {
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        let at = at as usize;
        into.copy_from_slice(self.bytes.get(at..at + into.len()).ok_or(FlashError)?);
        Ok(())
    }

    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let at = at as usize;
        let place = self.bytes.get_mut(at..at + bytes.len()).ok_or(FlashError)?;
        if place.iter().any(|byte| *byte != 0xff) {
            return Err(FlashError);
        }
        place.copy_from_slice(bytes);
        Ok(())
    }

    fn erase(&mut self, at: u32) -> Result<(), FlashError> {
        let at = at as usize;
        self.bytes.get_mut(at..at + 0x1000).ok_or(FlashError)?.fill(0xff);
        Ok(())
    }
}

impl Hardware for Ram {
    fn layout(&self) -> &Layout {
        &LAYOUT
    }

    fn counter(&mut self) -> u32 {
        self.counter
    }

    fn advance(&mut self, value: u32) -> Result<(), FlashError> {
        self.counter = self.counter.max(value);
        Ok(())
    }

    /// Always the same: whoever wrote the record, it is believed to be this device's.
    fn tag(&self, _: &[u8]) -> [u8; TAG_BYTES] {
        [0; TAG_BYTES]
    }
}

/// Memory where every component has the digest that [`crate::Agreeable`] computes.
pub struct Zeros;

impl Memory<Ram> for Zeros {
    fn load(&mut self, flash: &mut Ram, _: Part, at: u32, size: u32) -> Result<[u8; 32], Reason> {
        let mut bytes = vec![0; size as usize];
        flash.read(at, &mut bytes)?;
        Ok([0; 32])
    }
}
