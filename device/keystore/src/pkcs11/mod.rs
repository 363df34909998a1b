//! PKCS#11 tokens: a device's key store, and single keys named by URI.
//!
//! Modules misbehave when several threads call them, so each has one thread of its own
//! ([`module`]), for as long as the process lives.

mod module;
mod objects;
mod store;
mod uri;

pub use store::{Pkcs11Settings, Pkcs11Store};
pub use uri::Pkcs11Uri;
