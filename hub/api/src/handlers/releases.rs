use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use ringfort_cose::Sha256Digest;
use ringfort_fleet::Permission;
use ringfort_http::{Pace, Refused, paced};
use ringfort_store::Put;

use super::{Caller, PageQuery, Parameters, check_media_type, read};
use crate::model::{Binary, ObjectStored, Page, Problem, Release};
use crate::{Api, PROBLEM, refused};

/// Uploads an object under its SHA-256. One that is there already is not read.
#[utoipa::path(put, path = "/api/v1/objects/{digest}", operation_id = "put_object", tag = "releases",
    params(("digest" = String, Path, description = "SHA-256 of the object, hexadecimal")),
    request_body(content = Binary, content_type = "application/octet-stream"), responses(
    (status = 200, description = "It was there", body = ObjectStored),
    (status = 201, description = "It is stored now", body = ObjectStored),
    (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn put_object(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(digest): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, axum::Json<ObjectStored>), Refused> {
    check_media_type(&headers, "application/octet-stream")?;
    let digest = Sha256Digest::from_hex(&digest)?;
    let mut stream = Box::pin(paced(body, UPLOAD_PACE).fuse());
    let put = api
        .fleet
        .put_object(&who, &digest, MAX_OBJECT_BYTES, stream.as_mut())
        .await
        .map_err(refused)?;
    // A client that is still sending when the connection is closed never sees the answer.
    while let Some(Ok(_)) = stream.next().await {}
    let (status, present) = match put {
        Put::Stored(_) => (StatusCode::CREATED, false),
        Put::Present(_) => (StatusCode::OK, true),
    };
    let stored = ObjectStored { digest: digest.to_string(), size_bytes: put.size_bytes(), present };
    Ok((status, axum::Json(stored)))
}

/// Releases, newest first.
#[utoipa::path(get, path = "/api/v1/releases", operation_id = "list_releases", tag = "releases", params(PageQuery), responses(
    (status = 200, description = "Done", body = Page<Release>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<Release>>, Refused> {
    let releases = api.fleet.releases(&who).await.map_err(refused)?;
    let releases = releases.into_iter().map(Release::from).collect();
    Ok(axum::Json(query.cut(releases, |release: &Release| release.manifest.clone())?))
}

/// Publishes a release: a signed SUIT envelope whose payloads are uploaded already.
#[utoipa::path(post, path = "/api/v1/releases", operation_id = "add_release", tag = "releases",
    request_body(content = Binary, content_type = "application/suit-envelope+cose"), responses(
    (status = 201, description = "Done", body = Release), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn add(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, axum::Json<Release>), Refused> {
    who.require(Permission::Publish).map_err(refused)?;
    let envelope = read(&api, &headers, body, ENVELOPE, MAX_ENVELOPE_BYTES).await?;
    let release = api.fleet.add_release(&who, &envelope).await.map_err(refused)?;
    Ok((StatusCode::CREATED, axum::Json(release.into())))
}

pub(crate) const ENVELOPE: &str = "application/suit-envelope+cose";
const MAX_ENVELOPE_BYTES: usize = 1024 * 1024;
const MAX_OBJECT_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// An upload may take hours, but not stand still.
const UPLOAD_PACE: Pace =
    Pace { idle: Duration::from_secs(20), min_bytes_per_s: 4096, grace: Duration::from_secs(30) };
