//! Fleets, releases and signers for tests, shared by the QEMU runs and the power-cut simulator.

#![forbid(unsafe_code)]

pub mod elf;
pub mod release;
pub mod sign;
