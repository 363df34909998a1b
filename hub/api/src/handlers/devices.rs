use std::sync::Arc;

use axum::extract::{Path, State};
use ringfort_fleet::{DeviceQuery, Moved, State as Lifecycle};
use ringfort_http::Refused;
use ringfort_messages::DeviceId;
use serde::Deserialize;

use super::{Caller, Json, Parameters, page, page_limit};
use crate::model::{Device, DeviceDetails, Event, Move, Outcome, Page, Problem};
use crate::{Api, PROBLEM, refused};

/// Which devices to list. Everything that is given has to fit.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeviceParameters {
    /// Lifecycle state.
    state: Option<String>,
    /// Class, a UUID.
    class: Option<String>,
    /// Factory site.
    site: Option<String>,
    /// Only those with an alarm.
    #[serde(default)]
    alarmed: bool,
    /// Only ids after this one: the `next` of the page before.
    after: Option<String>,
    /// At most so many, 1 to 1000; 100 if it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryParameters {
    /// At most so many, 1 to 1000; 100 if it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Devices, by id.
#[utoipa::path(get, path = "/api/v1/devices", operation_id = "list_devices", tag = "devices", params(DeviceParameters), responses(
    (status = 200, description = "Done", body = Page<Device>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Parameters(given): Parameters<DeviceParameters>,
) -> Result<axum::Json<Page<Device>>, Refused> {
    let limit = page_limit(given.limit)?;
    let query = DeviceQuery {
        state: given.state.as_deref().map(Lifecycle::from_name).transpose()?,
        class: given.class.as_deref().map(str::parse).transpose()?,
        site: given.site,
        alarmed: given.alarmed,
        after: given.after.as_deref().map(DeviceId::new).transpose()?,
        limit,
    };
    let devices = api.fleet.devices(&who, &query).await.map_err(refused)?;
    let devices = devices.into_iter().map(Device::from).collect();
    Ok(axum::Json(page(devices, limit, |device| device.id.clone())))
}

/// One device with everything about it.
#[utoipa::path(get, path = "/api/v1/devices/{id}", operation_id = "get_device", tag = "devices",
    params(("id" = String, Path, description = "The device's id")), responses(
    (status = 200, description = "Done", body = DeviceDetails), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn one(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<DeviceDetails>, Refused> {
    let details = api.fleet.device(&who, &DeviceId::new(&id)?).await.map_err(refused)?;
    Ok(axum::Json(details.into()))
}

/// What happened to a device: the newest entries of the audit log about it, oldest first.
#[utoipa::path(get, path = "/api/v1/devices/{id}/history", operation_id = "get_device_history", tag = "devices",
    params(("id" = String, Path, description = "The device's id"), HistoryParameters), responses(
    (status = 200, description = "Done", body = Vec<Event>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn history(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Parameters(given): Parameters<HistoryParameters>,
) -> Result<axum::Json<Vec<Event>>, Refused> {
    let (id, limit) = (DeviceId::new(&id)?, page_limit(given.limit)?);
    let entries = api.fleet.history(&who, &id, limit).await.map_err(refused)?;
    Ok(axum::Json(entries.into_iter().map(Event::from).collect()))
}

/// Moves a device to another lifecycle state, or asks for it where two people are needed.
#[utoipa::path(post, path = "/api/v1/devices/{id}/move", operation_id = "move_device", tag = "devices", request_body = Move,
    params(("id" = String, Path, description = "The device's id")), responses(
    (status = 200, description = "Done", body = Outcome<Device>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn move_to(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Json(wanted): Json<Move>,
) -> Result<axum::Json<Outcome<Device>>, Refused> {
    let (id, to) = (DeviceId::new(&id)?, Lifecycle::from_name(&wanted.to)?);
    let moved = api.fleet.move_device(&who, &id, to, &wanted.note).await.map_err(refused)?;
    Ok(axum::Json(match moved {
        Moved::Done(device) => Outcome::Done { result: device.into() },
        Moved::Waiting { given, required } => Outcome::Waiting { given, required },
    }))
}
