//! The device's state machines for hosts that are not written in Rust: a vendor's RTOS with its
//! own boot loader. `include/ringfort_device.h` is the interface and says everything about it.
//!
//! [`Host`] drives [`ringfort_device::Device`] over a [`Port`]: flash, random numbers, an exchange
//! with the hub, the boot loader, restart. It blocks, allocates nothing, and keeps what has to
//! survive in flash by records that are whole or absent. [`ffi`] is a [`Port`] of C functions, and
//! the only file with `unsafe` in it.
#![cfg_attr(not(feature = "std"), no_std)]

mod certificate_request;
pub mod ffi;
mod host;
mod port;
mod queue;
mod state;
mod steps;
mod verifier;

pub use certificate_request::certificate_request;
pub use host::{Condition, Host, Provisioning};
pub use port::{Answer, Area, Destroy, Failure, Geometry, Method, Port, Request, Severity};
pub use verifier::RustCrypto;

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    ffi::panicked()
}
