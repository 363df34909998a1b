//! The device API: CBOR over HTTPS.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{HeaderMap, StatusCode};
use ringfort_cose::{Reason, Sha256Digest};
use ringfort_http::{BodyBounds, Refused, Seen, read_body};
use ringfort_messages::{AnchorsVersion, CheckIn, MEDIA_TYPE, Report, TimeRequest};

use crate::peer::{Takes, refused};
use crate::range::{Asked, asked};
use crate::{Gateway, Peer};

/// Signed time, for a device that has no clock it can trust.
pub(crate) async fn time(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(seen): Extension<Seen>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let session = gateway.session(&peer, Takes::Either, &seen).await?;
    let body = gateway.read_cbor(&headers, body, TimeRequest::MAX_LEN).await?;
    let request = TimeRequest::decode(&body)?;
    let token = gateway.fleet.signed_time(&session, request.nonce).await.map_err(refused)?;
    Ok(cbor(token))
}

/// One version of the anchors document, for ever; it proves itself.
pub(crate) async fn anchors(
    State(gateway): State<Arc<Gateway>>,
    Path(version): Path<String>,
) -> Result<Response, Refused> {
    let version = version.parse().map_err(|_| Refused::from(Reason::NotFound))?;
    let document = gateway.fleet.anchors(AnchorsVersion(version)).await.map_err(refused)?;
    Ok(cbor(document))
}

pub(crate) async fn check_in(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(seen): Extension<Seen>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let session = gateway.session(&peer, Takes::Ldevid, &seen).await?;
    let body = gateway.read_cbor(&headers, body, CheckIn::MAX_LEN).await?;
    let check_in = CheckIn::decode(&body)?;
    let answer = gateway.fleet.check_in(&session, &check_in).await.map_err(refused)?;
    Ok(cbor(answer.encode().map_err(refused)?))
}

pub(crate) async fn report(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(seen): Extension<Seen>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refused> {
    let session = gateway.session(&peer, Takes::Ldevid, &seen).await?;
    let body = gateway.read_cbor(&headers, body, Report::MAX_LEN).await?;
    let report = Report::decode(&body)?;
    gateway.fleet.report(&session, &report).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The envelope whose manifest has this digest.
pub(crate) async fn manifest(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(seen): Extension<Seen>,
    Path(digest): Path<String>,
) -> Result<Response, Refused> {
    let session = gateway.session(&peer, Takes::Ldevid, &seen).await?;
    let digest = Sha256Digest::from_hex(&digest)?;
    let envelope = gateway.fleet.manifest(&session, &digest).await.map_err(refused)?;
    Ok(([(CONTENT_TYPE, "application/suit-envelope+cose")], envelope).into_response())
}

/// A payload, or a part of it.
pub(crate) async fn object(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(seen): Extension<Seen>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let session = gateway.session(&peer, Takes::Ldevid, &seen).await?;
    let digest = Sha256Digest::from_hex(&digest)?;
    let whole = gateway.fleet.object(&session, &digest, None).await.map_err(refused)?;
    let size_bytes = whole.size_bytes;
    let etag = format!("\"{digest}\"");
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // An object never changes under its name; If-Range can only be for another one.
    let range = match text(IF_RANGE) {
        Some(condition) if condition != etag => None,
        _ => text(RANGE),
    };
    let (status, range, stream) = match asked(range, size_bytes) {
        Asked::All => (StatusCode::OK, 0..size_bytes, whole),
        Asked::Part(range) => {
            let part = gateway.fleet.object(&session, &digest, Some(range.clone())).await;
            (StatusCode::PARTIAL_CONTENT, range, part.map_err(refused)?)
        }
        Asked::Nothing => return Ok(not_satisfiable(size_bytes)),
    };
    let mut response = Response::new(Body::from_stream(stream.bytes));
    *response.status_mut() = status;
    let mut set = |name, value: String| {
        // Digits, hexadecimal digits and a few ASCII words are header values.
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    };
    set(CONTENT_TYPE, "application/octet-stream".to_owned());
    set(CONTENT_LENGTH, (range.end - range.start).to_string());
    set(ACCEPT_RANGES, "bytes".to_owned());
    set(ETAG, etag);
    if status == StatusCode::PARTIAL_CONTENT {
        set(CONTENT_RANGE, format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1));
    }
    Ok(response)
}

/// Refuses a body of another type; parameters are passed over.
pub(crate) fn check_content_type(headers: &HeaderMap, expected: &str) -> Result<(), Refused> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    match media_type.eq_ignore_ascii_case(expected) {
        true => Ok(()),
        false => Err(Refused::new(
            Reason::WrongContentType,
            format!("expected {expected}, got \"{}\"", given.escape_default()),
        )),
    }
}

impl Gateway {
    async fn read_cbor(
        &self,
        headers: &HeaderMap,
        body: Body,
        size_bytes: usize,
    ) -> Result<Bytes, Refused> {
        check_content_type(headers, MEDIA_TYPE)?;
        let bounds = BodyBounds { size_bytes, time: self.config.body_time };
        Ok(read_body(body, bounds).await?)
    }
}

fn cbor(body: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, MEDIA_TYPE)], body.into()).into_response()
}

fn not_satisfiable(size_bytes: u64) -> Response {
    let refused = Refused::new(Reason::Malformed, "the range is beyond the end of the object");
    let range = [(CONTENT_RANGE, format!("bytes */{size_bytes}"))];
    (StatusCode::RANGE_NOT_SATISFIABLE, range, Extension(refused)).into_response()
}
