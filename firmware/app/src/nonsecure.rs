//! The non-secure component: says a line on UART1 and ends.

#![no_std]
#![no_main]
#![allow(unsafe_code)]

use mps2::nonsecure::{load, say, say_number};

mps2::nonsecure_start!();

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let ticks = load(COUNTER);
    say("nonsecure: hello, ticks ");
    say_number(ticks);
    say("\n");
    #[cfg(feature = "semihosting")]
    mps2::semihosting::exit(load(CODE));
    #[cfg(not(feature = "semihosting"))]
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// FPGAIO's counter: 20 MHz since reset. The secure component has opened it to this side.
const COUNTER: u32 = 0x4030_2018;
/// Where the secure component leaves the exit code of a test.
#[cfg(feature = "semihosting")]
const CODE: u32 = 0x2820_0004;
