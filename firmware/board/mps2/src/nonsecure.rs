//! What a non-secure application starts and speaks with: vectors, start-up code, memory, UART1.

use core::ptr::{read_volatile, write_volatile};

/// Vectors and start-up code of a non-secure image, which has `__stack_top`, `__bss_start` and
/// `__bss_end` in its linker script and `extern "C" fn main`. Names the handlers of SVC, PendSV and
/// SysTick and how many interrupts have a vector, or none of them: what has no handler ends in
/// `nonsecure_trap`, which goes on for ever.
#[macro_export]
macro_rules! nonsecure_start {
    () => {
        $crate::nonsecure_start!(nonsecure_trap, nonsecure_trap, nonsecure_trap, 0);
    };
    ($svc:ident, $pendsv:ident, $systick:ident, $interrupts:literal) => {
        core::arch::global_asm!(
            ".section .vectors, \"a\"",
            ".word __stack_top",
            ".word nonsecure_reset",
            ".rept 9",
            ".word nonsecure_trap",
            ".endr",
            concat!(".word ", stringify!($svc)),
            ".word nonsecure_trap",
            ".word nonsecure_trap",
            concat!(".word ", stringify!($pendsv)),
            concat!(".word ", stringify!($systick)),
            concat!(".rept ", $interrupts),
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
    };
}

const UART1: u32 = 0x4020_1000;

/// Reads a word, whatever lies there.
#[inline(never)]
pub fn load(at: u32) -> u32 {
    // SAFETY: the non-secure side's own memory and registers. Any other address faults, which is
    // what a test of the border is about.
    unsafe { read_volatile(at as *const u32) }
}

/// Writes a word, whatever lies there.
#[inline(never)]
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
