//! Arm MPS2 with the AN505 or AN521 image, as QEMU models it.
//!
//! Nothing here has run on silicon. The 16 MB PSRAM, kept in a host file, stands for NOR flash;
//! its last sector stands for fuses. The unsafe code of the firmware is in this crate, in
//! `boot/src/main.rs` and in `app`: each block touches a fixed address of the map below.

#![no_std]
#![allow(unsafe_code)]
// A remainder is shorter code than the call.
#![allow(clippy::manual_is_multiple_of)]

mod console;
mod flash;
pub mod map;
pub mod nonsecure;
#[cfg(feature = "semihosting")]
pub mod semihosting;
mod watchdog;

pub use console::{Console, receive, send};
pub use flash::{Board, stands_above};
pub use watchdog::Watchdog;
