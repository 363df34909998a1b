use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use ringfort_fleet::{Agreed, Permission};
use ringfort_http::Refused;
use serde::Serialize;

use super::Caller;
use crate::model::{Outcome, Problem, Restored, Status};
use crate::{Api, PROBLEM, openapi, refused};

/// What a health check answers.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    /// `up`, or `restored`: the hub waits for an administrator.
    status: &'static str,
}

/// Whether the hub works: the registry answers.
#[utoipa::path(get, path = "/healthz", operation_id = "healthy", tag = "hub", responses(
    (status = 200, description = "Done", body = Health), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn healthy(State(api): State<Arc<Api>>) -> Result<Response, Refused> {
    let health = api.fleet.health().await.map_err(refused)?;
    Ok(Json(Health { status: health.name() }).into_response())
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "hub", responses(
    (status = 200, description = "Done", body = String, content_type = "text/plain"), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn metrics(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
) -> Result<Response, Refused> {
    who.require(Permission::View).map_err(refused)?;
    let text = (api.config.metrics)();
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The fleet at a glance.
#[utoipa::path(get, path = "/api/v1/status", operation_id = "status", tag = "hub", responses(
    (status = 200, description = "Done", body = Status), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn status(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
) -> Result<Json<Status>, Refused> {
    let status = api.fleet.status(&who).await.map_err(refused)?;
    Ok(Json(status.into()))
}

/// Acknowledges that the hub was restored from a backup: from here on it serves as before. It takes
/// two administrators where two exist.
#[utoipa::path(post, path = "/api/v1/restore/acknowledge", operation_id = "acknowledge_restore", tag = "hub", responses(
    (status = 200, description = "Done, or it waits for another person", body = Outcome<Restored>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn acknowledge_restore(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
) -> Result<Json<Outcome<Restored>>, Refused> {
    Ok(Json(match api.fleet.acknowledge_restore(&who).await.map_err(refused)? {
        Agreed::Done(restored) => Outcome::Done { result: restored.into() },
        Agreed::Waiting { given, required } => Outcome::Waiting { given, required },
    }))
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "describe", tag = "hub", responses(
    (status = 200, description = "OpenAPI 3.1"), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn description(Caller(_): Caller) -> Response {
    ([(CONTENT_TYPE, "application/json")], openapi()).into_response()
}
