//! The update partition: PSA Firmware Update 1.0 for one component, the release, which holds the
//! secure and the non-secure image.
//!
//! - [`Device`] is the rules: what may be installed, tried and confirmed. It is free of hardware
//!   and runs in the host's tests.
//! - [`Journal`] is what the device remembers of orders over resets.
//! - [`Refused`] is a refusal: the status for the caller, the reason code for everyone.
//! - `entry` (on the target only) takes messages, asks the declared health checks, and owns flash,
//!   hand-off and watchdog.
//!
//! Principles:
//! 1. The application can start, feed and ask. What may be installed is decided here, by the same
//!    code as in the boot loader: anchors, release signatures, class, floor; and by the hub's order.
//! 2. What was judged cannot change: the envelope is judged in this partition's memory and written
//!    from there, the image is read back from flash and hashed before the slot counts as written.
//! 3. An order is remembered before anything is erased for it, and ends with its update.
//! 4. A trial is confirmed only when every declared health check holds, whatever the application
//!    says.

#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]

mod device;
#[cfg(target_os = "none")]
mod entry;
mod journal;
mod refused;

pub use device::{Device, Facts, MAX_WRITE, SCRATCH, State, device_name, nonce};
pub use journal::Journal;
pub use refused::Refused;
