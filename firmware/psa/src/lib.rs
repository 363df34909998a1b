//! The Firmware Framework for M 1.1, for Rust: [`client`] for everyone, [`service`] for partitions,
//! and [`update`], PSA Firmware Update 1.0, for whoever may call that service.
//!
//! The feature `partition` or `nonsecure` says which side the crate is built for. Unsafe code is in
//! `trap.rs` and `gateway.rs`, the two ways into the manager, in `service.rs`, where the manager
//! writes a message, and in `memory.rs`, which copies and fills.

#![no_std]
#![deny(unsafe_code)]

pub mod client;
#[cfg(all(feature = "nonsecure", target_os = "none"))]
mod gateway;
#[cfg(all(feature = "partition", target_os = "none"))]
mod memory;
#[cfg(all(feature = "partition", target_os = "none"))]
mod panic;
#[cfg(all(feature = "partition", target_os = "none"))]
pub mod service;
#[cfg(all(feature = "partition", target_os = "none"))]
mod trap;
pub mod update;

pub use client::{Handle, Status};
