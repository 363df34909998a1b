//! Vectors, UART1, the words of the test, the end.

use core::arch::global_asm;
use core::ptr::{read_volatile, write_volatile};

global_asm!(
    ".section .vectors, \"a\"",
    ".word __stack_top",
    ".word nonsecure_reset",
    ".rept 9",
    ".word nonsecure_trap",
    ".endr",
    ".word nonsecure_svc",
    ".word nonsecure_trap",
    ".word nonsecure_trap",
    ".word nonsecure_pendsv",
    ".word nonsecure_systick",
    ".rept 128",
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
    // An SVC calls the function in r0, in handler mode, with r1 and r2, and gives its result back.
    ".type nonsecure_svc, %function",
    "nonsecure_svc:",
    "push {{r4, lr}}",
    "mrs r4, msp",
    "adds r4, #8",
    "mrs r3, control",
    "tst r3, #2",
    "it ne",
    "mrsne r4, psp",
    "ldrd r3, r0, [r4]",
    "ldr r1, [r4, #8]",
    "blx r3",
    "str r0, [r4]",
    "pop {{r4, pc}}",
);

const UART1: usize = 0x4020_1000;

/// What the runner and the application share over restarts: memory that nothing initialises.
pub struct Words;

impl Words {
    /// The case, which every reset loads anew.
    pub fn case() -> u32 {
        load(0x2820_0000)
    }

    /// 0 at power-on.
    pub fn phase() -> u32 {
        load(0x2820_0004)
    }

    /// Kept until the power goes.
    pub fn set_phase(phase: u32) {
        store(0x2820_0004, phase);
    }
}

/// Reads a word, whatever lies there.
#[inline(never)]
pub fn load(at: u32) -> u32 {
    // SAFETY: none; a forbidden address faults, which is what a case is about.
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
    store(UART1 as u32 + 16, 16);
    store(UART1 as u32 + 8, 1);
    for byte in text.bytes() {
        while load(UART1 as u32 + 4) & 1 != 0 {}
        store(UART1 as u32, u32::from(byte));
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

/// The end of a run.
pub fn end(what: &str, code: u32) -> ! {
    say(what);
    say("\n");
    mps2::semihosting::exit(code)
}

/// Calls `function` in handler mode.
pub fn in_handler(function: extern "C" fn(u32, u32) -> u32, a: u32, b: u32) -> u32 {
    let result;
    // SAFETY: the handler above follows the C convention.
    unsafe {
        core::arch::asm!(
            "svc #0",
            inout("r0") function as usize => result,
            inout("r1") a => _,
            inout("r2") b => _,
            out("r3") _, out("r12") _, out("lr") _,
        );
    }
    result
}
