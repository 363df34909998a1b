//! What a device believes, and what the hub may say to it.
//!
//! - [`Document`] is an anchors document as parsed; [`Anchors`] is one whose signatures were
//!   checked, by its pinned digest or by the anchors before it. Only [`Anchors`] answers who may
//!   sign what.
//! - [`Token`] is what the hub's order key signs: an order, or signed time without one. Whether a
//!   device acts on it is [`Token::accept`], a pure judgement over an [`OrderLedger`].
//! - [`Command`] is what a command key signs, offline: the consent of people to wipe, unlock or
//!   decommission one device.
//! - [`TimeFloor`] is the time that is proven to have passed.
//! - [`ids`] are the names of fleets, devices, products and sites.
//!
//! Without features the crate is `no_std` and neither decodes nor verifies with allocation.
//! Feature `alloc` brings the makers: `AnchorsSpec`, `TokenClaims::sign` and
//! `CommandClaims::sign`. Nothing panics on any input; the bounds are constants of each type.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod ids;

mod anchors;
#[cfg(feature = "alloc")]
mod build;
mod claims;
mod command;
mod document;
mod keys;
mod ledger;
mod pinned;
mod time;
mod token;

pub use anchors::Anchors;
#[cfg(feature = "alloc")]
pub use build::{AnchorsSpec, KeySpec, ProductSpec};
pub use command::{Command, CommandAction, CommandClaims, CommandLedger};
pub use document::{Certificates, Document, Keys, Product, Products, Revoked};
pub use keys::{KeyEntry, ReleaseKeys, Role, TrustedKeys};
pub use ledger::{CommandLedgers, InProgress, OrderLedger, OrderLedgers};
pub use pinned::{Pinned, PinnedSigners};
pub use time::{MAX_UNIX_TIME, TimeFloor};
pub use token::{
    Accepted, AuditHead, Channel, Content, Order, Outcome, Situation, Standing, Task, Token,
    TokenClaims,
};

use ringfort_cose::ObjectType;

/// The type of an anchors document.
pub const ANCHORS: ObjectType = ObjectType::new("anchors");
/// The type of an order and of signed time.
pub const ORDER: ObjectType = ObjectType::new("order");
/// The type of a command.
pub const COMMAND: ObjectType = ObjectType::new("command");
