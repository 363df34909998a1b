//! EST: enrolment over TLS (RFC 7030, as clarified by RFC 8951 and RFC 9908).
//!
//! Who the device is comes from its TLS certificate; the request brings a key and the proof that
//! its sender holds it. Bodies are base64: white space in what comes is passed over and
//! Content-Transfer-Encoding is ignored (RFC 8951, section 3), but sent, for clients that want it.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};
use ringfort_cose::Reason;
use ringfort_fleet::Enrolled;
use ringfort_http::{BodyBounds, Refused, Seen, read_body};
use ringfort_pki::{Csr, certs_only};

use crate::peer::{Takes, refused};
use crate::{Gateway, Peer};

pub(crate) async fn ca_certificates(
    State(gateway): State<Arc<Gateway>>,
) -> Result<Response, Refused> {
    certificates(&gateway.config.ca_certificates)
}

pub(crate) async fn csr_attributes() -> Result<Response, Refused> {
    let attributes = ringfort_pki::csr_attributes().map_err(internal)?;
    Ok(answer("application/csrattrs", &attributes))
}

/// First enrolment and re-entry, with the factory identity.
pub(crate) async fn enrol(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(seen): Extension<Seen>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let session = gateway.session(&peer, Takes::Idevid, &seen).await?;
    let csr = read_request(&gateway, &headers, body).await?;
    issued(gateway.fleet.enrol(&session, &csr).await)
}

/// Renewal with the same key or another, with the operational certificate.
pub(crate) async fn re_enrol(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(seen): Extension<Seen>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let session = gateway.session(&peer, Takes::Ldevid, &seen).await?;
    let csr = read_request(&gateway, &headers, body).await?;
    issued(gateway.fleet.reenrol(&session, &csr).await)
}

pub(crate) async fn server_key_generation() -> Refused {
    Refused::new(
        Reason::ServerkeygenRefused,
        "a private key never leaves the key store that made it, and none is made here",
    )
}

pub(crate) async fn full_cmc() -> Refused {
    Refused::new(Reason::Unsupported, "full CMC is not offered; use simpleenroll")
}

async fn read_request(gateway: &Gateway, headers: &HeaderMap, body: Body) -> Result<Csr, Refused> {
    crate::device_api::check_content_type(headers, PKCS10)?;
    let bounds = BodyBounds { size_bytes: MAX_BODY_BYTES, time: gateway.config.body_time };
    let body = read_body(body, bounds).await?;
    let compact: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let der = BASE64_STANDARD
        .decode(compact)
        .map_err(|_| Refused::new(Reason::Malformed, "the body is not base64"))?;
    Csr::parse(&der).map_err(|error| Refused::new(error.reason(), error.to_string()))
}

fn issued(result: Result<Enrolled, ringfort_fleet::Refusal>) -> Result<Response, Refused> {
    match result {
        // The certificate alone (RFC 7030, section 4.2.3); cacerts has what is above it.
        Ok(enrolled) => certificates(&[enrolled.certificate]),
        // RFC 7030, section 4.2.3: the request is taken, someone has to approve it.
        Err(refusal) if refusal.reason == Reason::ApprovalRequired => {
            Ok((StatusCode::ACCEPTED, [(RETRY_AFTER, RETRY_AFTER_S)], Extension(refused(refusal)))
                .into_response())
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

fn certificates(certificates: &[Vec<u8>]) -> Result<Response, Refused> {
    let message = certs_only(certificates.iter().map(Vec::as_slice)).map_err(internal)?;
    Ok(answer("application/pkcs7-mime; smime-type=certs-only", &message))
}

fn answer(media_type: &'static str, der: &[u8]) -> Response {
    let headers = [(CONTENT_TYPE, media_type), (CONTENT_TRANSFER_ENCODING, "base64")];
    (headers, base64_lines(der)).into_response()
}

/// In lines of 76 characters (RFC 2045): clients built on OpenSSL's line reader need them.
fn base64_lines(der: &[u8]) -> String {
    let mut text = String::with_capacity(der.len() * 4 / 3 + der.len() / 28 + 8);
    for line in der.chunks(57) {
        BASE64_STANDARD.encode_string(line, &mut text);
        text.push_str("\r\n");
    }
    text
}

fn internal(error: ringfort_pki::Error) -> Refused {
    tracing::error!(%error, "an EST answer could not be made");
    Refused::from(Reason::Internal)
}

const PKCS10: &str = "application/pkcs10";
const CONTENT_TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");
/// A request of 16 KiB in base64 with line ends.
const MAX_BODY_BYTES: usize = 24 * 1024;
/// An hour, in seconds: people approve.
const RETRY_AFTER_S: &str = "3600";
