//! What travels between device, hub and factory: the bodies of the device API, the files of the
//! factory line, and the batch that a site hands to the hub.
//!
//! Every message is one deterministic CBOR data item. It is read by `decode` and written by
//! `encode_into` (a caller's buffer) or `encode` (feature `alloc`). A message that exists is valid.
//!
//! - [`CheckIn`], [`CheckInAnswer`], [`Report`], [`TimeRequest`], [`Problem`]: the device API.
//! - [`Link`] and [`LinkState`]: how the hub notices two holders of one identity.
//! - [`IdentityRequest`], [`IdentityAnswer`]: between a device and the station of its factory.
//! - [`Batch`]: what a station made, signed by its key.
//! - [`Statement`]: what an operator says about a device, signed by the operator's key.
//!
//! `no_std`; decoding and verifying never allocate. Nothing panics on any input.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod answer;
mod batch;
mod check_in;
mod identity;
mod link;
mod list;
mod problem;
mod report;
mod statement;
mod status;
mod wire;

pub use answer::CheckInAnswer;
pub use batch::{Batch, Record, Records};
#[cfg(feature = "alloc")]
pub use batch::{BatchSpec, RecordSpec};
pub use check_in::{CheckIn, TimeRequest};
pub use identity::{Chain, IdentityAnswer, IdentityRequest};
pub use link::{Link, LinkId, LinkState, LinkVerdict};
pub use list::List;
pub use problem::Problem;
pub use report::Report;
pub use statement::{STATEMENT, Statement};
pub use status::{
    ClassStatus, Protection, ReasonCode, Running, StoreKind, UpdateState, UpdateStatus,
};

pub use ringfort_trust::AuditHead;
pub use ringfort_trust::ids::{
    AnchorsVersion, ClassId, DeviceId, FleetId, Nonce, OrderNumber, SequenceNumber, SiteId, Text,
    Ueid, UnixTime, VendorId,
};

/// The content type of request and answer bodies.
pub const MEDIA_TYPE: &str = "application/cbor";
/// The content type of an error (RFC 9290).
pub const PROBLEM_MEDIA_TYPE: &str = "application/concise-problem-details+cbor";
/// The type of a factory batch.
pub const BATCH: ringfort_cose::ObjectType = ringfort_cose::ObjectType::new("factory-batch");
