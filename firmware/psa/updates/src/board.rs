//! Vectors, UART1, memory.

use core::arch::global_asm;
use core::ptr::{read_volatile, write_volatile};

global_asm!(
    ".section .vectors, \"a\"",
    ".word __stack_top",
    ".word nonsecure_reset",
    ".rept 14",
    ".word nonsecure_trap",
    ".endr",
    ".section .text.reset, \"ax\"",
    ".thumb",
    ".global nonsecure_reset",
    ".type nonsecure_reset, %function",
    "nonsecure_reset:",
    "ldr r0, =__bss_start",
    "ldr r1, =__bss_end",
    "movs r2, #0",
    "1: cmp r0, r1",
    "bhs 2f",
    "str r2, [r0], #4",
    "b 1b",
    "2: bl main",
    ".type nonsecure_trap, %function",
    "nonsecure_trap:",
    "b nonsecure_trap",
);

const UART1: u32 = 0x4020_1000;

/// Reads a word of non-secure memory.
pub fn load(at: u32) -> u32 {
    // SAFETY: callers name memory and registers of the non-secure side.
    unsafe { read_volatile(at as *const u32) }
}

/// Writes a word of non-secure memory.
pub fn store(at: u32, value: u32) {
    // SAFETY: as above.
    unsafe { write_volatile(at as *mut u32, value) }
}

/// Text on UART1.
pub fn say(text: &str) {
    store(UART1 + 16, 16);
    store(UART1 + 8, 1);
    for byte in text.bytes() {
        while load(UART1 + 4) & 1 != 0 {}
        store(UART1, u32::from(byte));
    }
}

/// A number in hexadecimal, and a blank.
pub fn say_number(number: u32) {
    for shift in (0..8).rev() {
        let digit = (number >> (shift * 4) & 15) as usize;
        say("0123456789abcdef".get(digit..=digit).unwrap_or_default());
    }
    say(" ");
}

/// The end of a run: of the emulator, where the build lets it.
pub fn end(code: u32) -> ! {
    say("end\n");
    #[cfg(feature = "semihosting")]
    mps2::semihosting::exit(code);
    #[cfg(not(feature = "semihosting"))]
    {
        let _ = code;
        loop {
            core::hint::spin_loop();
        }
    }
}
