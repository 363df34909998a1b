use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use ringfort_cose::Reason;
use ringfort_fleet::{Agreed, Role, SECRET_BYTES};
use ringfort_http::{Refused, Seen};
use ringfort_pki::{CERTIFICATE, Csr, from_pem, to_pem};

use super::{Caller, Json, PageQuery, Parameters};
use crate::model::{
    Approval, Invitation, Login, NewInvitation, NewLogin, OpenInvitation, Outcome, Page, Problem,
    Registered,
};
use crate::{Api, PROBLEM, refused};

/// Registers the key of somebody who was invited. The only call without a certificate; connections
/// without one are let in only while an invitation is open.
#[utoipa::path(post, path = "/api/v1/login", operation_id = "login", tag = "operators", request_body = NewLogin, responses(
    (status = 201, description = "The key is registered", body = Login), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn login(
    State(api): State<Arc<Api>>,
    axum::Extension(seen): axum::Extension<Seen>,
    Json(new): Json<NewLogin>,
) -> Result<(StatusCode, axum::Json<Login>), Refused> {
    let mut secret = [0; SECRET_BYTES];
    hex::decode_to_slice(&new.secret, &mut secret)
        .map_err(|_| Refused::new(Reason::Malformed, "the secret is not 32 hexadecimal digits"))?;
    let csr = request(&new.request)?;
    let authority = &api.config.operator_authority;
    let registered = api.fleet.redeem(authority, &secret, &csr).await.map_err(refused)?;
    seen.set(registered.name.as_str());
    let login = Login {
        name: registered.name,
        role: registered.role.name().to_owned(),
        certificate: pem(&registered.certificate)?,
        not_after_ms: registered.not_after_ms,
    };
    Ok((StatusCode::CREATED, axum::Json(login)))
}

/// Invites somebody to register a key, or asks for it where two people are needed. It works once,
/// for an hour.
#[utoipa::path(post, path = "/api/v1/invitations", operation_id = "invite", tag = "operators", request_body = NewInvitation, responses(
    (status = 201, description = "The invitation", body = Outcome<Invitation>),
    (status = 202, description = "It waits for another person", body = Outcome<Invitation>),
    (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn invite(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Json(new): Json<NewInvitation>,
) -> Result<(StatusCode, axum::Json<Outcome<Invitation>>), Refused> {
    let role = Role::from_name(&new.role).map_err(refused)?;
    let invited = api.fleet.invite(&who, &new.name, role).await.map_err(refused)?;
    answer(invited, |invitation| {
        Ok(Invitation {
            name: invitation.name,
            role: invitation.role.name().to_owned(),
            secret: hex::encode(invitation.secret),
            ends_ms: invitation.ends_ms,
        })
    })
}

/// Invitations that can still be used.
#[utoipa::path(get, path = "/api/v1/invitations", operation_id = "list_invitations", tag = "operators", params(PageQuery), responses(
    (status = 200, description = "Done", body = Page<OpenInvitation>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<OpenInvitation>>, Refused> {
    let open = api.fleet.invitations(&who).await.map_err(refused)?;
    let open = open.into_iter().map(OpenInvitation::from).collect();
    Ok(axum::Json(query.cut(open, |invitation: &OpenInvitation| invitation.name.clone())?))
}

/// Takes back the invitations of a name.
#[utoipa::path(delete, path = "/api/v1/invitations/{name}", operation_id = "withdraw_invitation", tag = "operators",
    params(("name" = String, Path, description = "Who was invited")), responses(
    (status = 204, description = "They work no more"), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn withdraw(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Refused> {
    api.fleet.withdraw(&who, &name).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What waits for a second person: who agrees to what.
#[utoipa::path(get, path = "/api/v1/approvals", operation_id = "list_approvals", tag = "operators", params(PageQuery), responses(
    (status = 200, description = "Done", body = Page<Approval>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn approvals(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<Approval>>, Refused> {
    let open = api.fleet.approvals(&who).await.map_err(refused)?;
    let open = open.into_iter().map(Approval::from).collect();
    let name = |a: &Approval| format!("{} {} {}", a.subject, a.action, a.operator);
    Ok(axum::Json(query.cut(open, name)?))
}

/// What came of something that may take two people.
pub(super) fn answer<T, U>(
    agreed: Agreed<T>,
    result: impl FnOnce(T) -> Result<U, Refused>,
) -> Result<(StatusCode, axum::Json<Outcome<U>>), Refused> {
    Ok(match agreed {
        Agreed::Done(done) => {
            (StatusCode::CREATED, axum::Json(Outcome::Done { result: result(done)? }))
        }
        Agreed::Waiting { given, required } => {
            (StatusCode::ACCEPTED, axum::Json(Outcome::Waiting { given, required }))
        }
    })
}

/// A certificate request in PEM, whose sender holds the key.
pub(super) fn request(text: &str) -> Result<Csr, Refused> {
    let unreadable = |error: ringfort_pki::Error| Refused::new(error.reason(), error.to_string());
    let der = from_pem(REQUEST, text).map_err(unreadable)?;
    Csr::parse(&der).map_err(unreadable)
}

pub(super) fn pem(certificate: &[u8]) -> Result<String, Refused> {
    to_pem(CERTIFICATE, certificate)
        .map_err(|error| Refused::new(Reason::Internal, error.to_string()))
}

/// The entry of somebody who was added.
pub(super) fn registered(registered: ringfort_fleet::Registered) -> Result<Registered, Refused> {
    Ok(Registered {
        name: registered.name,
        role: registered.role.name().to_owned(),
        fingerprint: hex::encode(registered.fingerprint),
        certificate: pem(&registered.certificate)?,
        not_after_ms: registered.not_after_ms,
    })
}

/// The PEM label of a request (RFC 7468, section 7).
const REQUEST: &str = "CERTIFICATE REQUEST";
