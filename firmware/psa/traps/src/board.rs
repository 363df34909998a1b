//! Vectors, the words of the test, the end.

use core::arch::global_asm;

use mps2::nonsecure::{load, say, store};

mps2::nonsecure_start!(nonsecure_svc, nonsecure_pendsv, nonsecure_systick, 128);

global_asm!(
    ".section .text.svc, \"ax\"",
    ".thumb",
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
