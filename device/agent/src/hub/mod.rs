//! The hub, as the agent meets it: HTTPS with the anchors as the only trust.

mod connection;
mod est;
mod https;
mod tls;
mod tunnel;

use std::future::Future;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use ringfort_cose::Sha256Digest;
use ringfort_messages::{CheckIn, Report};
use ringfort_trust::ids::AnchorsVersion;

use crate::AgentError;

pub(crate) use https::{Credentials, HttpsHub, fetch_anchors_unauthenticated};
pub(crate) use tls::Trust;

/// What the update needs of a hub.
pub(crate) trait Hub: Send {
    /// May anyone hear what is said to it?
    fn is_there(&self) -> bool {
        true
    }

    /// Checks in; returns the answer's bytes.
    fn check_in(
        &mut self,
        check_in: &CheckIn,
    ) -> impl Future<Output = Result<Vec<u8>, AgentError>> + Send;

    /// The envelope with this manifest digest.
    fn manifest(
        &mut self,
        manifest: &Sha256Digest,
    ) -> impl Future<Output = Result<Vec<u8>, AgentError>> + Send;

    /// An object from a position on.
    fn object(
        &mut self,
        digest: &Sha256Digest,
        from: u64,
    ) -> impl Future<Output = Result<ObjectBody, AgentError>> + Send;

    /// An anchors version; nothing above the newest.
    fn anchors(
        &mut self,
        version: AnchorsVersion,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, AgentError>> + Send;

    /// Sends a report.
    fn report(&mut self, report: &Report) -> impl Future<Output = Result<(), AgentError>> + Send;
}

/// An object on its way.
pub(crate) struct ObjectBody {
    /// The position of its first byte: the one asked for, or 0.
    pub(crate) from: u64,
    /// The bytes. Its length is not to be believed.
    pub(crate) body: UnsyncBoxBody<Bytes, BodyError>,
}

pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests;
