//! The border between Secure and Non-secure: SAU, memory and peripheral protection controllers.

use core::ptr::read_volatile;

use spm::Span;

use crate::product::{BOARD, HANDOFF, TABLES};
use crate::{arch, console};

/// What the generator knows of the board.
pub struct Board {
    /// Non-secure code.
    pub nonsecure_code: Span,
    /// Non-secure RAM.
    pub nonsecure_ram: Span,
    /// RBAR and RLAR of each SAU region: code, RAM, devices, gateway.
    pub sau: &'static [[u32; 2]],
    /// Memory protection controllers: registers, first word of the table that is non-secure,
    /// number of such words.
    pub mpc: &'static [[u32; 3]],
    /// Other registers and what to write there.
    pub words: &'static [[u32; 2]],
    /// Interrupts of the non-secure side.
    pub nonsecure_interrupts: [u32; 4],
    /// MPU regions while non-secure code runs.
    pub agent_mpu: [[u32; 2]; 8],
    /// MPU regions of the idle thread.
    pub idle_mpu: [[u32; 2]; 8],
    /// Five words that a warm reset keeps.
    pub retained: u32,
}

/// What the manager needs of the hand-off.
pub struct Handoff {
    /// PSA security lifecycle; 0, unknown, when no boot loader has started the image.
    pub lifecycle: u32,
}

const HANDOFF_MAGIC: u32 = 0x4f48_4652;
const SECCTL: u32 = 0x5008_0000;
const SAU_CTRL: u32 = 0xe000_edd0;
/// Interrupts of the protection controllers.
const MPC_IRQ: u32 = 9;
const PPC_IRQ: u32 = 10;

/// Reads the hand-off. Its keys stay there for a partition that owns the area; without one they
/// are wiped.
pub fn handoff() -> Handoff {
    // SAFETY: memory of the board's map.
    let words = unsafe { read_volatile(HANDOFF as *const [u32; 6]) };
    let [magic, _, _, _, _, lifecycle] = words;
    let is_owned = TABLES
        .partitions
        .iter()
        .flat_map(|p| p.mpu)
        .any(|[base, limit]| limit & 1 != 0 && (base & !31..=limit | 31).contains(&HANDOFF));
    if !is_owned {
        for offset in (0..HANDOFF_LEN).step_by(4) {
            arch::write(HANDOFF + offset, 0);
        }
    }
    Handoff { lifecycle: if magic == HANDOFF_MAGIC { lifecycle } else { 0 } }
}

/// The boot loader and the generator speak of the same place.
const _: () = assert!(HANDOFF == mps2::map::HANDOFF.at && HANDOFF_LEN == mps2::map::HANDOFF.len);
const HANDOFF_LEN: u32 = 0x400;

/// Draws the border as the manifest says, and locks what can be locked.
pub fn border() {
    arch::configure();
    for (number, [base, limit]) in (0..).zip(BOARD.sau) {
        arch::write(SAU_CTRL + 8, number);
        arch::write(SAU_CTRL + 12, *base);
        arch::write(SAU_CTRL + 16, *limit);
    }
    arch::write(SAU_CTRL, 1);
    // A refused access is an error on the bus, not silence; veneers may lie in code memory.
    arch::write(SECCTL + 0x10, 1);
    arch::write(SECCTL + 0x14, 1);
    for [at, first, count] in BOARD.mpc {
        arch::write(*at, 0x10);
        for word in 0..*count {
            arch::write(at + 0x18, first + word);
            arch::write(at + 0x1c, u32::MAX);
        }
        // Interrupt for refusals; no change until the next reset.
        arch::write(at + 0x28, 1);
        arch::write(*at, 0x8000_0010);
    }
    for [at, value] in BOARD.words {
        arch::write(*at, *value);
    }
    arch::write(SECCTL + 0x28, u32::MAX);
    arch::target_interrupts(&BOARD.nonsecure_interrupts);
    arch::interrupt(MPC_IRQ as u16, true);
    arch::interrupt(PPC_IRQ as u16, true);
    arch::barrier();
}

/// An interrupt of the protection controllers: says which and clears it.
pub fn border_alarm(number: u32) -> bool {
    match number {
        MPC_IRQ => {
            for [at, ..] in BOARD.mpc {
                let (address, who) = (arch::read(at + 0x2c), arch::read(at + 0x30));
                if arch::read(at + 0x20) & 1 != 0 {
                    console::line(
                        "refused at the memory controller",
                        &[("address", address), ("info", who)],
                    );
                    arch::write(at + 0x24, 1);
                }
            }
        }
        PPC_IRQ => {
            let which = arch::read(SECCTL + 0x20);
            if which == 0 {
                // The line stays up without a cause: it has said what it had to say.
                arch::interrupt(PPC_IRQ as u16, false);
                return true;
            }
            console::line("refused at the peripheral controller", &[("which", which)]);
            arch::write(SECCTL + 0x24, which);
            arch::write(SECCTL + 0x24, 0);
        }
        _ => return false,
    }
    true
}
