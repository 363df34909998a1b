//! PSRAM as NOR flash, and fuses in its last sector.

use core::ptr::{read_volatile, write_volatile};

use slots::{Flash, FlashError, Hardware, Layout, TAG_BYTES, hmac};

use crate::map::{FUSES, LAYOUT};

const FLASH_AT: u32 = 0x8000_0000;
/// The counter's sector is no flash to write to.
const FLASH_LEN: u32 = 0xff_f000;
const ERASED: u32 = u32::MAX;

/// The board's flash and counter, with this device's record key.
pub struct Board {
    record_key: [u8; 32],
}

impl Board {
    /// The board of the device with this record key.
    pub fn new(record_key: [u8; 32]) -> Self {
        Self { record_key }
    }

    /// The record key, for whoever keeps the records after boot.
    pub fn record_key(&self) -> &[u8; 32] {
        &self.record_key
    }
}

/// 1 if the counter stands above `value`, else 0: the fuse that follows is burnt. Shares nothing
/// with the counting.
#[inline(never)]
pub fn stands_above(value: u32) -> u32 {
    !word(FUSES.at + value / 32 % (FUSES.len / 4) * 4) >> (value % 32) & 1
}

/// Whether `len` bytes at `at` lie in the flash.
fn inside(at: u32, len: usize) -> Result<(), FlashError> {
    let offset = at.wrapping_sub(FLASH_AT);
    let fits = offset < FLASH_LEN && len as u32 <= FLASH_LEN - offset && len <= FLASH_LEN as usize;
    if fits { Ok(()) } else { Err(FlashError) }
}

fn word(at: u32) -> u32 {
    // SAFETY: callers have checked that `at` lies in the PSRAM; it is aligned.
    unsafe { read_volatile((at & !3) as *const u32) }
}

fn set_word(at: u32, value: u32) {
    // SAFETY: as above, and only the flash driver writes there.
    unsafe { write_volatile((at & !3) as *mut u32, value) }
}

impl Flash for Board {
    #[inline(never)]
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        inside(at, into.len())?;
        let mut at = at;
        if at % 4 == 0 {
            let (words, rest) = into.as_chunks_mut::<4>();
            for bytes in words {
                *bytes = word(at).to_le_bytes();
                at += 4;
            }
            for byte in rest {
                *byte = (word(at) >> (at % 4 * 8)) as u8;
                at += 1;
            }
        } else {
            for byte in into {
                *byte = (word(at) >> (at % 4 * 8)) as u8;
                at += 1;
            }
        }
        Ok(())
    }

    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        inside(at, bytes.len())?;
        let (words, rest) = bytes.as_chunks::<4>();
        if at % LAYOUT.unit != 0 || !rest.is_empty() || words.len() % 2 != 0 {
            return Err(FlashError);
        }
        for (index, bytes) in words.iter().enumerate() {
            let at = at + index as u32 * 4;
            if word(at) != ERASED {
                return Err(FlashError);
            }
            set_word(at, u32::from_le_bytes(*bytes));
        }
        Ok(())
    }

    fn erase(&mut self, at: u32) -> Result<(), FlashError> {
        inside(at, LAYOUT.sector as usize)?;
        if at % LAYOUT.sector != 0 {
            return Err(FlashError);
        }
        for offset in (0..LAYOUT.sector).step_by(4) {
            set_word(at + offset, ERASED);
        }
        Ok(())
    }
}

impl Hardware for Board {
    fn layout(&self) -> &Layout {
        &LAYOUT
    }

    #[inline(never)]
    fn counter(&mut self) -> u32 {
        let mut count = 0;
        for offset in (0..FUSES.len).step_by(4) {
            let zeros = word(FUSES.at + offset).count_zeros();
            count += zeros;
            if zeros < 32 {
                break;
            }
        }
        count
    }

    fn advance(&mut self, value: u32) -> Result<(), FlashError> {
        let mut now = self.counter();
        while now < value {
            let at = FUSES.at + now / 32 * 4;
            if at >= FUSES.at + FUSES.len {
                return Err(FlashError);
            }
            set_word(at, word(at) & !(1 << (now % 32)));
            now += 1;
        }
        Ok(())
    }

    fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let full = hmac(&self.record_key, &[bytes]);
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(full) {
            *to = from;
        }
        tag
    }
}
