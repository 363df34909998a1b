use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use ringfort_cose::Reason;
use ringfort_fleet::Permission;
use ringfort_http::Refused;
use ringfort_messages::{AnchorsVersion, SiteId};
use ringfort_pki::{CERTIFICATE, from_pem, to_pem};

use super::{Caller, Json, PageQuery, Parameters, read};
use crate::model::{AnchorsTaken, BatchTaken, Binary, NewSite, Page, Problem, Site};
use crate::{Api, PROBLEM, refused};

/// Factory sites.
#[utoipa::path(get, path = "/api/v1/sites", operation_id = "list_sites", tag = "factory", params(PageQuery), responses(
    (status = 200, description = "Done", body = Page<Site>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<Site>>, Refused> {
    let sites = api.fleet.sites(&who).await.map_err(refused)?;
    let sites = sites.into_iter().map(site).collect::<Result<_, _>>()?;
    Ok(axum::Json(query.cut(sites, |site: &Site| site.id.clone())?))
}

/// Adds a factory site.
#[utoipa::path(post, path = "/api/v1/sites", operation_id = "add_site", tag = "factory", request_body = NewSite, responses(
    (status = 201, description = "It was added"), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn add(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Json(new): Json<NewSite>,
) -> Result<StatusCode, Refused> {
    who.require(Permission::Administer).map_err(refused)?;
    let site = ringfort_fleet::NewSite {
        id: SiteId::new(&new.id)?,
        factory_ca: from_pem(CERTIFICATE, &new.factory_ca)
            .map_err(|error| Refused::new(error.reason(), error.to_string()))?,
        serial_prefix: new.serial_prefix,
        quota: new.quota,
        not_after_ms: new.not_after_ms,
    };
    api.fleet.add_site(&who, &site).await.map_err(refused)?;
    api.config.trust_changed.notify_one();
    Ok(StatusCode::CREATED)
}

/// Ends a site: nothing of it is taken any more.
#[utoipa::path(post, path = "/api/v1/sites/{id}/revoke", operation_id = "revoke_site", tag = "factory",
    params(("id" = String, Path, description = "The site's name")), responses(
    (status = 204, description = "It was revoked"), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    api.fleet.revoke_site(&who, &SiteId::new(&id)?).await.map_err(refused)?;
    api.config.trust_changed.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// Hands in a factory batch.
#[utoipa::path(post, path = "/api/v1/factory/batches", operation_id = "import_batch", tag = "factory",
    request_body(content = Binary, content_type = "application/cbor"), responses(
    (status = 201, description = "Done", body = BatchTaken), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn import_batch(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, axum::Json<BatchTaken>), Refused> {
    who.require(Permission::ImportBatches).map_err(refused)?;
    let batch = read(&api, &headers, body, CBOR, MAX_BATCH_BYTES).await?;
    let taken = api.fleet.import_batch(&who, &batch).await.map_err(refused)?;
    Ok((StatusCode::CREATED, axum::Json(taken.into())))
}

/// Adds the next version of the anchors.
#[utoipa::path(post, path = "/api/v1/anchors", operation_id = "add_anchors", tag = "anchors",
    request_body(content = Binary, content_type = "application/cbor"), responses(
    (status = 201, description = "Done", body = AnchorsTaken), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn add_anchors(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, axum::Json<AnchorsTaken>), Refused> {
    who.require(Permission::Administer).map_err(refused)?;
    let document = read(&api, &headers, body, CBOR, MAX_ANCHORS_BYTES).await?;
    let version = api.fleet.add_anchors(&who, &document).await.map_err(refused)?;
    api.config.trust_changed.notify_one();
    Ok((StatusCode::CREATED, axum::Json(AnchorsTaken { version: version.0 })))
}

/// One version of the anchors.
#[utoipa::path(get, path = "/api/v1/anchors/{version}", operation_id = "get_anchors", tag = "anchors",
    params(("version" = u64, Path, description = "The version")), responses(
    (status = 200, description = "Done", body = Binary, content_type = "application/cbor"),
    (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn anchors(
    State(api): State<Arc<Api>>,
    Caller(_): Caller,
    Path(version): Path<String>,
) -> Result<Response, Refused> {
    let version = version.parse().map_err(|_| Refused::from(Reason::NotFound))?;
    let document = api.fleet.anchors(AnchorsVersion(version)).await.map_err(refused)?;
    Ok(([(CONTENT_TYPE, CBOR)], document).into_response())
}

fn site(view: ringfort_fleet::SiteView) -> Result<Site, Refused> {
    Ok(Site {
        id: view.id.to_string(),
        factory_ca: to_pem(CERTIFICATE, &view.factory_ca)
            .map_err(|error| Refused::new(Reason::Internal, error.to_string()))?,
        serial_prefix: view.serial_prefix,
        quota: view.quota,
        devices: view.devices,
        not_after_ms: view.not_after_ms,
        last_batch: view.last_batch,
        revoked_ms: view.revoked_ms,
    })
}

const CBOR: &str = ringfort_messages::MEDIA_TYPE;
/// A batch of some ten thousand devices.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Anchors are at most 8 KiB; a little more is read so that the fleet says what is wrong.
const MAX_ANCHORS_BYTES: usize = 16 * 1024;
