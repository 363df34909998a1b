//! What operators sign about devices.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use ringfort_cose::Reason;
use ringfort_fleet::Permission;
use ringfort_http::Refused;

use super::{Caller, Json, device_id};
use crate::model::{NewStatement, Problem};
use crate::{Api, PROBLEM, refused};

/// Keeps what an operator signed about a device in the audit log.
#[utoipa::path(post, path = "/api/v1/devices/{id}/statements", operation_id = "add_statement", tag = "devices", request_body = NewStatement,
    params(("id" = String, Path, description = "The device's id")), responses(
    (status = 201, description = "It was added"), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn add(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Json(new): Json<NewStatement>,
) -> Result<StatusCode, Refused> {
    who.require(Permission::MoveDevices).map_err(refused)?;
    let id = device_id(&id)?;
    let statement = hex::decode(&new.statement)
        .map_err(|_| Refused::new(Reason::Malformed, "the statement is not hexadecimal"))?;
    api.fleet.add_statement(&who, &id, &statement).await.map_err(refused)?;
    Ok(StatusCode::CREATED)
}
