//! The boot loader's judgement, free of hardware: the same code runs in the boot loader, in the
//! update partition before a slot is recorded as written, in the power-cut simulator and under
//! the fuzzer.
//!
//! - [`examine`] judges a slot: envelope, anchors, signatures, class, digests.
//! - [`Ecdsa`] is the verifier, and keeps evidence of every signature that it saw.
//! - [`entry`] judges the same things a second time, by other code and without branches, and
//!   gives the address to run; where anything differs it gives an address where nothing is.
//! - [`Otp`] is the per-device blob, [`Keys`] what is derived from it.

#![no_std]
#![forbid(unsafe_code)]

mod handoff;
mod image;
mod install;
mod otp;
mod recheck;
mod verifier;

pub use handoff::{HANDOFF_MAGIC, Handoff};
pub use image::{Identity, Image, Memory, Part, SLOT_MAGIC, SlotHeader, examine};
pub use install::{Source, admit, install, write_header};
pub use otp::{Keys, Lifecycle, OTP_BYTES, OTP_MAGIC, Otp};
pub use recheck::{Facts, entry};
pub use verifier::Ecdsa;
