//! Crystal-box assessment of source, firmware and fleet.
#![forbid(unsafe_code)]

pub mod blob;
pub mod unpack;
