use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use ringfort_cose::Sha256Digest;
use ringfort_fleet::{Created, PAGE_MAX};
use ringfort_http::Refused;

use super::{Caller, Json, PageQuery, Parameters, device_id, page, page_limit};
use crate::model::{Deployment, NewDeployment, Outcome, Page, Problem, Target};
use crate::{Api, PROBLEM, refused};

/// Deployments, newest first.
#[utoipa::path(get, path = "/api/v1/deployments", operation_id = "list_deployments", tag = "deployments", params(PageQuery), responses(
    (status = 200, description = "Done", body = Page<Deployment>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<Deployment>>, Refused> {
    let deployments = api.fleet.deployments(&who, PAGE_MAX).await.map_err(refused)?;
    let deployments = deployments.into_iter().map(Deployment::from).collect();
    Ok(axum::Json(query.cut(deployments, |deployment: &Deployment| deployment.id.clone())?))
}

/// Creates a deployment, or asks for it where two people are needed.
#[utoipa::path(post, path = "/api/v1/deployments", operation_id = "create_deployment", tag = "deployments",
    request_body = NewDeployment, responses(
    (status = 201, description = "It runs", body = Outcome<Deployment>),
    (status = 202, description = "It waits for another person", body = Outcome<Deployment>),
    (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Json(new): Json<NewDeployment>,
) -> Result<(StatusCode, axum::Json<Outcome<Deployment>>), Refused> {
    let new = ringfort_fleet::NewDeployment {
        manifest: Sha256Digest::from_hex(&new.manifest)?,
        target: match &new.device {
            Some(id) => ringfort_fleet::Target::Device(device_id(id)?),
            None => ringfort_fleet::Target::Class,
        },
        deadlines: new.deadlines.map(Into::into).unwrap_or_default(),
    };
    Ok(match api.fleet.create_deployment(&who, &new).await.map_err(refused)? {
        Created::Done(view) => {
            (StatusCode::CREATED, axum::Json(Outcome::Done { result: view.into() }))
        }
        Created::Waiting { given, required } => {
            (StatusCode::ACCEPTED, axum::Json(Outcome::Waiting { given, required }))
        }
    })
}

/// One deployment.
#[utoipa::path(get, path = "/api/v1/deployments/{id}", operation_id = "get_deployment", tag = "deployments",
    params(("id" = String, Path, description = "The deployment's id")), responses(
    (status = 200, description = "Done", body = Deployment), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn one(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Deployment>, Refused> {
    let deployment = api.fleet.deployment(&who, &id).await.map_err(refused)?;
    Ok(axum::Json(deployment.into()))
}

/// The devices of a deployment, by id, and how far each is.
#[utoipa::path(get, path = "/api/v1/deployments/{id}/targets", operation_id = "list_targets", tag = "deployments",
    params(("id" = String, Path, description = "The deployment's id"), PageQuery), responses(
    (status = 200, description = "Done", body = Page<Target>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn targets(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<Target>>, Refused> {
    let limit = page_limit(query.limit)?;
    let after = query.after.as_deref().map(device_id).transpose()?;
    let targets = api.fleet.targets(&who, &id, after.as_ref(), limit).await.map_err(refused)?;
    let targets = targets.into_iter().map(Target::from).collect();
    Ok(axum::Json(page(targets, limit, |target: &Target| target.device.clone())))
}

/// Stops offering it to devices that have not begun.
#[utoipa::path(post, path = "/api/v1/deployments/{id}/pause", operation_id = "pause_deployment", tag = "deployments",
    params(("id" = String, Path, description = "The deployment's id")), responses(
    (status = 200, description = "Done", body = Deployment), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn pause(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Deployment>, Refused> {
    let deployment = api.fleet.pause(&who, &id).await.map_err(refused)?;
    Ok(axum::Json(deployment.into()))
}

/// Offers it again.
#[utoipa::path(post, path = "/api/v1/deployments/{id}/resume", operation_id = "resume_deployment", tag = "deployments",
    params(("id" = String, Path, description = "The deployment's id")), responses(
    (status = 200, description = "Done", body = Deployment), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn resume(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Deployment>, Refused> {
    let deployment = api.fleet.resume(&who, &id).await.map_err(refused)?;
    Ok(axum::Json(deployment.into()))
}

/// Ends it: a device that is not yet on trial gives it up.
#[utoipa::path(post, path = "/api/v1/deployments/{id}/halt", operation_id = "halt_deployment", tag = "deployments",
    params(("id" = String, Path, description = "The deployment's id")), responses(
    (status = 200, description = "Done", body = Deployment), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn halt(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Deployment>, Refused> {
    let deployment = api.fleet.halt(&who, &id).await.map_err(refused)?;
    Ok(axum::Json(deployment.into()))
}
