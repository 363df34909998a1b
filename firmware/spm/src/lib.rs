//! The rules of the secure partition manager, free of hardware: the same code runs in the secure
//! image and in the host's tests.
//!
//! Principles:
//! 1. Everything is static: partitions, services, callers and memory come from one manifest. No
//!    heap; a pool of message slots is the only thing that can run out, and it answers `busy`.
//! 2. A partition owns its memory and nothing else. All data between two of them goes through
//!    [`Core`], which checks each range against its owner and reads each descriptor once.
//! 3. Who calls is known from the hardware's state, never from what the caller says.
//! 4. A handle names a slot and its generation: what is stale or another's is refused.
//! 5. A partition that fails is restarted from its initial data under a new generation. Whoever
//!    waited for it gets a status, whoever it served as a client is told that the client is gone.
//! 6. Nothing waits for ever: a message has a deadline, and so has a partition that does not wait.

#![no_std]
#![forbid(unsafe_code)]

mod call;
mod core;
mod fail;
mod serve;
pub mod status;
mod tables;

pub use crate::core::{Access, Core, Event, Fate, Machine, Outcome, Span};
pub use crate::fail::Cause;
pub use crate::tables::{
    Interrupt, MPU_REGIONS, Nonsecure, OnError, OnFault, Partition, Service, Tables,
};
