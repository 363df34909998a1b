//! The Secure watchdog (CMSDK APB watchdog, 20 MHz): a first expiry is a non-maskable interrupt,
//! the second resets.

use core::ptr::write_volatile;

const WATCHDOG: usize = 0x5008_1000;
const LOAD: *mut u32 = WATCHDOG as *mut u32;
const CONTROL: *mut u32 = (WATCHDOG + 8) as *mut u32;
const CLEAR: *mut u32 = (WATCHDOG + 12) as *mut u32;
const LOCK: *mut u32 = (WATCHDOG + 0xc00) as *mut u32;
const KEY: u32 = 0x1acc_e551;

/// The watchdog.
pub struct Watchdog;

impl Watchdog {
    /// Starts it, or starts it anew: a reset follows after twice this many milliseconds.
    pub fn arm(milliseconds: u32) {
        // SAFETY: registers of the Secure watchdog, which Secure code owns.
        unsafe {
            write_volatile(LOCK, KEY);
            write_volatile(LOAD, milliseconds.saturating_mul(20_000));
            write_volatile(CLEAR, 1);
            write_volatile(CONTROL, 3);
            write_volatile(LOCK, 0);
        }
    }

    /// Stops it.
    pub fn disarm() {
        // SAFETY: as above.
        unsafe {
            write_volatile(LOCK, KEY);
            write_volatile(CONTROL, 0);
            write_volatile(CLEAR, 1);
            write_volatile(LOCK, 0);
        }
    }
}
