//! SUIT manifests (draft-ietf-suit-manifest-37): read, verify, run; with feature `alloc` build,
//! sign and encode.
//!
//! - [`Envelope::parse`] reads an envelope and checks every digest in it: that of the manifest and
//!   that of each severed part. Nothing is used before its digest was compared.
//! - [`Envelope::verify_threshold`] asks for k of n signers, [`Envelope::verify_single`] for one
//!   key.
//! - [`Release::of`] runs the command sequences and says which component gets which payload. Hub
//!   and device use the same.
//! - [`run`] executes sequences against a [`Platform`]. What no Ringfort device executes is refused
//!   before anything is executed.
//!
//! The crate is `no_std`; decoding, verifying and running do not allocate and do not panic.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod authentication;
mod command;
mod digest;
mod envelope;
mod manifest;
mod outline;
mod parameter;
mod release;
mod run;
mod text;

#[cfg(feature = "alloc")]
mod build;
#[cfg(feature = "alloc")]
mod encode;

pub use authentication::{Block, Blocks};
pub use command::{Action, Command, Commands, Condition, Index, Sequence, TryEach};
pub use envelope::Envelope;
pub use manifest::{ComponentId, Components, Manifest, Member};
pub use outline::{Outline, OutlineComponent};
pub use parameter::{Parameter, Parameters};
pub use release::{Component, Release};
pub use run::{Phase, Platform, Target, check, run};
pub use text::Text;

#[cfg(feature = "alloc")]
pub use build::{NewComponent, NewRelease, sign, strip};
#[cfg(feature = "alloc")]
pub use encode::encode;

/// The bounds of what is read, beside those of [`ringfort_cose::cbor::Limits`].
pub mod limits {
    /// Authentication blocks of one envelope.
    pub const BLOCKS: u64 = 16;
    /// Components of one manifest.
    pub const COMPONENTS: usize = 8;
    /// Parts of a component identifier.
    pub const COMPONENT_ID_PARTS: u64 = 8;
    /// Command sequences inside command sequences.
    pub const NESTING: u8 = 4;
    /// Commands of one manifest, nested ones included.
    pub const COMMANDS: u32 = 512;
    /// Length of a URI in bytes.
    pub const URI: usize = 2048;
}
