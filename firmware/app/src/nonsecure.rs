//! The non-secure component: says a line on UART1 and ends.

#![no_std]
#![no_main]
#![allow(unsafe_code)]

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
    "bl main",
    ".type nonsecure_trap, %function",
    "nonsecure_trap:",
    "b nonsecure_trap",
);

fn send(byte: u8) {
    // SAFETY: as above.
    unsafe {
        while read_volatile((UART1 + 4) as *const u32) & 1 != 0 {}
        write_volatile(UART1 as *mut u32, u32::from(byte));
    }
}

const UART1: usize = 0x4020_1000;
/// FPGAIO's counter: 20 MHz since reset.
const COUNTER: *const u32 = 0x4030_2018 as *const u32;
/// Where the secure component leaves the exit code of a test.
#[cfg(feature = "semihosting")]
const CODE: *const u32 = 0x2820_0004 as *const u32;

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    // SAFETY: registers of UART1 and FPGAIO, which the secure component opened to this side.
    let ticks = unsafe {
        write_volatile((UART1 + 16) as *mut u32, 16);
        write_volatile((UART1 + 8) as *mut u32, 1);
        read_volatile(COUNTER)
    };
    for byte in b"nonsecure: hello, ticks " {
        send(*byte);
    }
    for shift in (0..8).rev() {
        let digit = (ticks >> (shift * 4) & 15) as u8;
        send(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    send(b'\n');
    // SAFETY: the first page of non-secure RAM holds what a test put there.
    #[cfg(feature = "semihosting")]
    mps2::semihosting::exit(unsafe { read_volatile(CODE) });
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
