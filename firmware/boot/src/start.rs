//! The parts that no safe code can do: vectors, fixed memory, wiping, the jump.

use core::arch::{asm, global_asm};
use core::ptr::{read_volatile, write_volatile};

use boot::Handoff;
use mps2::map::{self, BOOT_RAM};
use slots::Area;

// Vectors, and a reset handler that sets the stack limit and paints the stack. Every exception
// ends in the same place: nothing is repaired, the watchdog resets.
global_asm!(
    ".section .vectors, \"a\"",
    ".word __stack_top",
    ".word reset",
    ".rept 14",
    ".word trap",
    ".endr",
    ".section .text.reset, \"ax\"",
    ".thumb",
    ".global reset",
    ".type reset, %function",
    "reset:",
    "cpsid i",
    "ldr r0, =__stack_limit",
    "msr msplim, r0",
    "ldr r1, =__stack_top",
    "ldr r2, =0xa5a5a5a5",
    "1: str r2, [r0], #4",
    "cmp r0, r1",
    "blo 1b",
    "bl main",
    "b trap",
    ".type trap, %function",
    "trap:",
    "b {trapped}",
    trapped = sym trapped,
);

extern "C" fn trapped() -> ! {
    // A test asks whether it was a watchdog.
    #[cfg(feature = "test-exit")]
    {
        let exception: u32;
        // SAFETY: reads IPSR.
        unsafe { asm!("mrs {}, ipsr", out(reg) exception) };
        if exception == NMI {
            end(WATCHED)
        }
    }
    end(TRAPPED)
}

const TRAPPED: u32 = 0x3f;
#[cfg(feature = "test-exit")]
const WATCHED: u32 = 0x32;
#[cfg(feature = "test-exit")]
const NMI: u32 = 2;
const PAINT: u32 = 0xa5a5_a5a5;

unsafe extern "C" {
    static __boot_end: u32;
}

/// The loader's own image, from vectors to constants.
pub fn boot_image() -> Area {
    let end = (&raw const __boot_end) as u32;
    Area { at: map::BOOT.at, len: end - map::BOOT.at }
}

/// Memory of the map, to read.
pub fn memory(area: Area) -> &'static [u8] {
    // SAFETY: callers pass areas of the board's map, which are memory, and hold no mutable slice
    // of the same area meanwhile: one processor, no interrupt, one flow.
    unsafe { core::slice::from_raw_parts(area.at as *const u8, area.len as usize) }
}

/// Memory of the map, to write.
pub fn memory_mut(area: Area) -> &'static mut [u8] {
    // SAFETY: as above.
    unsafe { core::slice::from_raw_parts_mut(area.at as *mut u8, area.len as usize) }
}

/// The place for envelope and anchors.
pub fn scratch() -> &'static mut [u8] {
    memory_mut(map::SCRATCH)
}

/// Zeroes memory of the map, whatever the compiler thinks of it.
#[inline(never)]
pub fn wipe(area: Area) {
    for offset in (0..area.len).step_by(4) {
        // SAFETY: the area is memory of the board's map.
        unsafe { write_volatile((area.at + offset) as *mut u32, 0) }
    }
}

/// Zeroes bytes that nobody will read again.
#[inline(never)]
pub fn forget(bytes: &mut [u8]) {
    for byte in bytes {
        // SAFETY: a valid reference.
        unsafe { write_volatile(byte, 0) }
    }
}

/// Paints the stack below the caller anew.
#[inline(never)]
pub fn scrub_stack() {
    let here: u32;
    // SAFETY: reads the stack pointer; what lies below it belongs to nobody.
    unsafe {
        asm!("mov {}, sp", out(reg) here);
        let mut at = BOOT_RAM.at;
        while at < here {
            write_volatile(at as *mut u32, PAINT);
            at += 4;
        }
    }
}

/// Most bytes of stack used so far.
pub fn stack_used() -> u32 {
    let mut at = BOOT_RAM.at;
    // SAFETY: the loader's own stack.
    while at < BOOT_RAM.at + BOOT_RAM.len && unsafe { read_volatile(at as *const u32) } == PAINT {
        at += 4;
    }
    BOOT_RAM.at + BOOT_RAM.len - at
}

/// The hand-off, where the secure component looks for it.
pub fn handoff() -> &'static mut Handoff {
    // SAFETY: the area is reserved for this structure, aligned and large enough, any bytes are a
    // value of it, and there is one flow, which asks once.
    unsafe { &mut *(map::HANDOFF.at as *mut Handoff) }
}

/// Reads a word: an exception where nothing is.
pub fn probe(address: u32) {
    // SAFETY: the word at a vector table, or an address where nothing is.
    let _ = unsafe { read_volatile(address as *const u32) };
}

/// Zeroes the loader's memory and every register, and starts the image whose vector table is at
/// `address`.
///
/// # Safety
/// The address is that of a vector table, or one where nothing is.
#[inline(never)]
pub unsafe fn jump(address: u32) -> ! {
    // SAFETY: nothing returns from here, so nothing misses the stack that is wiped.
    unsafe {
        asm!(
            "ldr r1, =0xe000ed08",
            "ldr r2, =0x38000000",
            "ldr r3, =0x38003000",
            "movs r4, #0",
            "msr msplim, r4",
            "1: str r4, [r2], #4",
            "cmp r2, r3",
            "blo 1b",
            "ldr r5, [r0]",
            "ldr r6, [r0, #4]",
            "str r0, [r1]",
            "dsb",
            "isb",
            "msr msp, r5",
            "mov lr, r6",
            "movs r0, #0",
            "mov r1, r0",
            "mov r2, r0",
            "mov r3, r0",
            "mov r4, r0",
            "mov r5, r0",
            "mov r6, r0",
            "mov r7, r0",
            "mov r8, r0",
            "mov r9, r0",
            "mov r10, r0",
            "mov r11, r0",
            "mov r12, r0",
            "msr apsr_nzcvq, r0",
            "bx lr",
            in("r0") address,
            options(noreturn),
        )
    }
}

/// Resets the system.
#[cfg(feature = "recovery")]
pub fn reset() -> ! {
    // SAFETY: AIRCR, SYSRESETREQ.
    unsafe { write_volatile(0xe000_ed0c as *mut u32, 0x05fa_0004) };
    loop {}
}

/// The end of what boot can do: a test build leaves the emulator, any other waits for the
/// watchdog.
pub fn end(code: u32) -> ! {
    #[cfg(feature = "test-exit")]
    mps2::semihosting::exit(code);
    #[cfg(not(feature = "test-exit"))]
    {
        let _ = code;
        loop {
            core::hint::spin_loop();
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    end(TRAPPED)
}
