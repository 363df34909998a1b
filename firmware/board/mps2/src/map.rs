//! Addresses. The linker scripts hold the same numbers.

use slots::{Area, Layout};

/// The boot loader: SSRAM1 through its Secure alias, where the processor starts.
pub const BOOT: Area = Area { at: 0x1000_0000, len: 0x8000 };
/// The per-device blob, put there at each reset.
pub const OTP: Area = Area { at: 0x1000_f000, len: 0x100 };
/// Where the secure component runs. Of it 64 bytes, 0x400 above its start, are non-secure callable.
pub const SECURE: Area = Area { at: 0x1002_0000, len: 0xe_0000 };
/// Where the non-secure component runs, through the Secure alias.
pub const NONSECURE: Area = Area { at: 0x1010_0000, len: 0x2f_0000 };
/// Envelope and anchors while they are judged: the end of the non-secure destination.
pub const SCRATCH: Area = Area { at: 0x103f_0000, len: ENVELOPE_MAX };
/// The loader's own memory: stack, nothing else.
pub const BOOT_RAM: Area = Area { at: 0x3800_0000, len: 0x3000 };
/// What the loader hands to the secure component.
pub const HANDOFF: Area = Area { at: 0x3800_3000, len: 0x400 };

const FLASH: u32 = 0x8000_0000;
const SECTOR: u32 = 0x1000;
/// Bytes at the start of a slot for the envelope (4 KiB) and the anchors (8 KiB).
pub const ENVELOPE_MAX: u32 = 0x3000;
/// The two sectors of the boot log.
pub const LOG: [u32; 2] = [FLASH + 0x6000, FLASH + 0x7000];
/// The two sectors in which the update partition keeps what it knows of orders.
pub const ORDERS: [u32; 2] = [FLASH + 0x8000, FLASH + 0x9000];
/// The counter: one bit a step, never erased.
pub const FUSES: Area = Area { at: FLASH + 0xff_f000, len: SECTOR };

/// Slots and records.
pub const LAYOUT: Layout = Layout {
    sector: SECTOR,
    unit: 8,
    metadata: [FLASH, FLASH + 0x1000],
    anchors: [Area { at: FLASH + 0x2000, len: 0x2000 }, Area { at: FLASH + 0x4000, len: 0x2000 }],
    slots: [
        Area { at: FLASH + 0x10_0000, len: 0x30_0000 },
        Area { at: FLASH + 0x40_0000, len: 0x30_0000 },
    ],
    envelope_max: ENVELOPE_MAX,
    budget: 3,
    // The last fuse stays: it is looked at for whether the counter stands above.
    counter_max: FUSES.len * 8 - 1,
};
