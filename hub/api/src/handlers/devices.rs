use std::sync::Arc;

use axum::extract::{Path, State};
use ringfort_cose::Reason;
use ringfort_fleet::{Commanded, DeviceQuery, Moved, Wish};
use ringfort_http::Refused;
use serde::Deserialize;

use super::{Caller, Json, Parameters, class_id, device_id, lifecycle, page, page_limit};
use crate::model::{
    DeveloperProduct, Device, DeviceCommand, DeviceDetails, Event, Move, NewCommand,
    NewDeveloperProduct, NewOfflineOrder, OfflineOrder, Outcome, Page, Problem,
};
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
        state: given.state.as_deref().map(lifecycle).transpose()?,
        class: given.class.as_deref().map(class_id).transpose()?,
        site: given.site,
        alarmed: given.alarmed,
        after: given.after.as_deref().map(device_id).transpose()?,
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
    let details = api.fleet.device(&who, &device_id(&id)?).await.map_err(refused)?;
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
    let (id, limit) = (device_id(&id)?, page_limit(given.limit)?);
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
    let (id, to) = (device_id(&id)?, lifecycle(&wanted.to)?);
    let command = wanted.command.as_deref().map(command_bytes).transpose()?;
    let wish = Wish {
        to,
        note: &wanted.note,
        command: command.as_deref(),
        owner: wanted.owner.as_deref(),
    };
    let moved = api.fleet.move_device_with(&who, &id, &wish).await.map_err(refused)?;
    Ok(axum::Json(match moved {
        Moved::Done(device) => Outcome::Done { result: device.into() },
        Moved::Waiting { given, required } => Outcome::Waiting { given, required },
    }))
}

/// Hands in a command that people signed for a device, or asks for it where two people are needed.
/// The device gets it at its next check-in.
#[utoipa::path(post, path = "/api/v1/devices/{id}/commands", operation_id = "give_command", tag = "devices", request_body = NewCommand,
    params(("id" = String, Path, description = "The device's id")), responses(
    (status = 200, description = "Done", body = Outcome<DeviceCommand>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn give_command(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Json(wanted): Json<NewCommand>,
) -> Result<axum::Json<Outcome<DeviceCommand>>, Refused> {
    let (id, command) = (device_id(&id)?, command_bytes(&wanted.command)?);
    let given = api.fleet.give_command(&who, &id, &command, &wanted.note).await.map_err(refused)?;
    Ok(axum::Json(match given {
        Commanded::Done(command) => Outcome::Done { result: command.into() },
        Commanded::Waiting { given, required } => Outcome::Waiting { given, required },
    }))
}

/// Signs, for a medium, the order that a device would be given at its next check-in. A halt does
/// not reach it any more.
#[utoipa::path(post, path = "/api/v1/devices/{id}/offline-order", operation_id = "make_offline_order", tag = "devices", request_body = NewOfflineOrder,
    params(("id" = String, Path, description = "The device's id")), responses(
    (status = 200, description = "Done", body = OfflineOrder), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn offline_order(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Json(wanted): Json<NewOfflineOrder>,
) -> Result<axum::Json<OfflineOrder>, Refused> {
    let id = device_id(&id)?;
    let order = api.fleet.offline_order(&who, &id, wanted.life_s).await.map_err(refused)?;
    Ok(axum::Json(order.into()))
}

/// The products for developers.
#[utoipa::path(get, path = "/api/v1/developer-products", operation_id = "list_developer_products", tag = "devices", responses(
    (status = 200, description = "Done", body = Vec<DeveloperProduct>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn developer_products(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
) -> Result<axum::Json<Vec<DeveloperProduct>>, Refused> {
    let products = api.fleet.developer_products(&who).await.map_err(refused)?;
    Ok(axum::Json(products.into_iter().map(DeveloperProduct::from).collect()))
}

/// Makes a product one for developers, for ever.
#[utoipa::path(post, path = "/api/v1/developer-products", operation_id = "add_developer_product", tag = "devices", request_body = NewDeveloperProduct, responses(
    (status = 200, description = "Done", body = DeveloperProduct), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn add_developer_product(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Json(wanted): Json<NewDeveloperProduct>,
) -> Result<axum::Json<DeveloperProduct>, Refused> {
    let class =
        wanted.class.parse().map_err(|_| Refused::new(Reason::Malformed, "a class is a UUID"))?;
    let product = api.fleet.mark_developer_product(&who, &class).await.map_err(refused)?;
    Ok(axum::Json(product.into()))
}

fn command_bytes(text: &str) -> Result<Vec<u8>, Refused> {
    hex::decode(text)
        .map_err(|_| Refused::new(Reason::Malformed, "the command is not in hexadecimal"))
}
