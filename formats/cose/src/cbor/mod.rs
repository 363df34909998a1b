//! Strict CBOR (RFC 8949): two dialects to read, one to write.
//!
//! Bytes are first checked as a whole, then read. [`Deterministic`] and [`WellFormed`] do the
//! check and hand out a [`Reader`], which can no longer meet an encoding error, only a type it did
//! not expect. Neither needs memory of its own and neither recurses.

mod check;
mod head;
mod reader;
mod scan;
mod writer;

pub use check::Limits;
pub use reader::{Deterministic, Kind, Reader, WellFormed};
pub use scan::Scan;
pub use writer::Writer;

pub(crate) use head::Head;

/// Which encodings are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 8949 section 4.2.1: shortest heads, definite lengths, map keys sorted bytewise.
    Deterministic,
    /// Definite lengths and no duplicate keys; keys in any order, heads of any length.
    WellFormed,
}
