//! Strict CBOR (RFC 8949), COSE (RFC 9052, 9053, 9864) and the reason codes of every refusal.
//!
//! - [`Reason`] is the one definition of every reason code: wire, log, command line and
//!   documents all take theirs from it.
//! - [`cbor`] reads two dialects and writes one. [`cbor::Deterministic`] is for objects of our own,
//!   [`cbor::WellFormed`] for objects that other makers write. What we write is deterministic.
//! - [`Sign1`] and [`MultiSign`] are COSE_Sign1 and COSE_Sign: parsed without allocation,
//!   verified through [`Verify`], made (feature `alloc`) through [`Sign`].
//! - Feature `aws-lc` brings [`AwsLc`] and [`SoftSigner`].
//!
//! Without features the crate is `no_std` and neither decoding nor verifying allocates. Nothing
//! here panics on any input; every bound stands in [`cbor::Limits`].
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod cbor;

mod crypto;
mod header;
mod key;
mod multi_sign;
mod object;
mod reason;
mod sign1;

#[cfg(feature = "aws-lc")]
mod aws_lc;

pub use crypto::Verify;
#[cfg(feature = "alloc")]
pub use crypto::{Sign, SignError};
pub use header::{ContentType, Header};
pub use key::{Algorithm, PublicKey, Sha256Digest, Thumbprint, TrustedKey};
pub use multi_sign::{Entries, Entry, MultiSign, Signers};
#[cfg(feature = "alloc")]
pub use multi_sign::{add_signature, multi_sign};
pub use object::ObjectType;
pub use reason::Reason;
pub use sign1::{Sign1, Tagging};
#[cfg(feature = "alloc")]
pub use sign1::{sign1, sign1_detached};

#[cfg(feature = "aws-lc")]
pub use aws_lc::{AwsLc, SoftSigner};
