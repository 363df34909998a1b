//! One TOML manifest per product, and what follows from it.
//!
//! [`Product::read`] is the only way in: what it returns is free of every mistake that can be seen
//! without compiling. [`Product::place`] then takes the measured sizes of the partitions and gives
//! each its addresses; what does not fit is refused there.

#![forbid(unsafe_code)]

mod border;
pub mod build;
pub mod c;
mod check;
pub mod elf;
pub mod manifest;
pub mod place;
mod refusal;
pub mod rust;
pub mod script;

pub use check::Product;
pub use refusal::Refusal;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
