use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use ringfort_cose::Reason;
use ringfort_http::Refused;

use super::invitations::{pem, request as request_of};
use super::{Caller, Json};
use crate::model::{Login, NewRenewal, Problem, Settled};
use crate::{Api, OperatorPeer, PROBLEM, refused};

/// Certifies a new key of the caller, in the name and role that it has. The certificate that it
/// shows now serves until the new one has settled, or until it ends.
#[utoipa::path(post, path = "/api/v1/operators/self/renew", operation_id = "renew_operator", tag = "operators", request_body = NewRenewal, responses(
    (status = 201, description = "The new certificate", body = Login), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn renew(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    axum::Extension(peer): axum::Extension<OperatorPeer>,
    Json(new): Json<NewRenewal>,
) -> Result<(StatusCode, axum::Json<Login>), Refused> {
    let (authority, csr) = (&api.config.operator_authority, request_of(&new.request)?);
    let shown = shown(&peer)?;
    let registered =
        api.fleet.renew_operator(&who, &shown, authority, &csr).await.map_err(refused)?;
    let login = Login {
        name: registered.name,
        role: registered.role.name().to_owned(),
        certificate: pem(&registered.certificate)?,
        not_after_ms: registered.not_after_ms,
    };
    Ok((StatusCode::CREATED, axum::Json(login)))
}

/// Ends the certificates that the caller had before the one it shows now.
#[utoipa::path(post, path = "/api/v1/operators/self/settle", operation_id = "settle_operator", tag = "operators", responses(
    (status = 200, description = "Done", body = Settled), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn settle(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    axum::Extension(peer): axum::Extension<OperatorPeer>,
) -> Result<axum::Json<Settled>, Refused> {
    let ended = api.fleet.settle_operator(&who, &shown(&peer)?).await.map_err(refused)?;
    Ok(axum::Json(Settled { ended }))
}

/// The certificate of the connection, which the caller was admitted by.
fn shown(peer: &OperatorPeer) -> Result<[u8; 32], Refused> {
    peer.fingerprint.ok_or(Refused::from(Reason::NoClientCertificate))
}
