//! SQL and objects: the only place of the hub that knows a database or a directory.
//!
//! - One task writes. Operations queue up and share a transaction and its disk flush (group
//!   commit); each has a savepoint of its own, so one that fails spoils no other. Those that come
//!   most often share statements too. Nobody is told of success before the commit is on disk (WAL,
//!   `synchronous = FULL`).
//! - Many read, over connections that are lent out. Whom certificates stand for is read for many
//!   requests at once.
//! - Every state change can leave an entry in the audit log within the same transaction; the log
//!   is a Merkle tree with the hashing of RFC 9162 section 2.1.
//! - Objects (payloads) lie in a directory under their SHA-256.
//!
//! The rows are plain data. What they mean is for the fleet crate to say.
#![forbid(unsafe_code)]

mod batch;
mod error;
mod lookups;
mod merkle;
mod objects;
mod outside;
mod queue;
mod readers;
mod store;
mod tables;
mod upgrade;
mod writer;

pub use batch::Want;
pub use error::StoreError;
pub use merkle::{Frontier, Hash, leaf_hash, root};
pub use objects::{ObjectStream, Objects, Put, PutError};
pub use outside::{Outside, Schema, object_file};
pub use queue::Op;
pub use store::{Read, Store, StoreConfig};
pub use tables::*;
pub use upgrade::copy_of;
pub use writer::Write;
