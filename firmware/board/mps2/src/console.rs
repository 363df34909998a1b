//! UART0 (CMSDK APB UART), through its Secure alias.

use core::ptr::{read_volatile, write_volatile};

const UART0: usize = 0x5020_0000;
const DATA: *mut u32 = UART0 as *mut u32;
const STATE: *mut u32 = (UART0 + 4) as *mut u32;
const CONTROL: *mut u32 = (UART0 + 8) as *mut u32;
const DIVIDER: *mut u32 = (UART0 + 16) as *mut u32;

/// The console, opened.
pub struct Console;

impl Console {
    /// Switches transmitter and receiver on.
    pub fn open() -> Self {
        // SAFETY: registers of UART0, which Secure code owns.
        unsafe {
            write_volatile(DIVIDER, 16);
            write_volatile(CONTROL, 3);
        }
        Self
    }

    /// Sends text.
    #[inline(never)]
    pub fn text(&self, text: &str) {
        for byte in text.bytes() {
            send(byte);
        }
    }

    /// Sends a number in hexadecimal, eight digits.
    #[inline(never)]
    pub fn hex(&self, number: u32) {
        for shift in (0..8).rev() {
            let digit = (number >> (shift * 4) & 15) as u8;
            send(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
}

/// Sends one byte.
#[inline(never)]
pub fn send(byte: u8) {
    // SAFETY: registers of UART0, which Secure code owns.
    unsafe {
        while read_volatile(STATE) & 1 != 0 {}
        write_volatile(DATA, u32::from(byte));
    }
}

/// Takes a byte if one has come.
pub fn receive() -> Option<u8> {
    // SAFETY: registers of UART0, which Secure code owns.
    unsafe { (read_volatile(STATE) & 2 != 0).then(|| read_volatile(DATA) as u8) }
}
