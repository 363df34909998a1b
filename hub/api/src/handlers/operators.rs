use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use ringfort_cose::Reason;
use ringfort_fleet::Role;
use ringfort_http::Refused;
use ringfort_pki::{CERTIFICATE, from_pem};

use super::invitations::{answer, registered, request as request_of};
use super::{Caller, Json, PageQuery, Parameters, hash};
use crate::model::{NewOperator, Operator, Outcome, Page, Problem, Registered};
use crate::{Api, PROBLEM, refused};

/// Operators.
#[utoipa::path(get, path = "/api/v1/operators", operation_id = "list_operators", tag = "operators", params(PageQuery), responses(
    (status = 200, description = "Done", body = Page<Operator>), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Parameters(query): Parameters<PageQuery>,
) -> Result<axum::Json<Page<Operator>>, Refused> {
    let operators = api.fleet.operators(&who).await.map_err(refused)?;
    let operators = operators.into_iter().map(Operator::from).collect();
    Ok(axum::Json(query.cut(operators, |operator: &Operator| operator.fingerprint.clone())?))
}

/// Adds an operator by a request for a certificate or by a certificate that the Operator CA issued
/// elsewhere; or asks for it where two people are needed.
#[utoipa::path(post, path = "/api/v1/operators", operation_id = "add_operator", tag = "operators", request_body = NewOperator, responses(
    (status = 201, description = "It was added", body = Outcome<Registered>),
    (status = 202, description = "It waits for another person", body = Outcome<Registered>),
    (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn add(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Json(new): Json<NewOperator>,
) -> Result<(StatusCode, axum::Json<Outcome<Registered>>), Refused> {
    let role = Role::from_name(&new.role).map_err(refused)?;
    let added = match (new.certificate, new.request) {
        (Some(certificate), None) => {
            let certificate = from_pem(CERTIFICATE, &certificate)
                .map_err(|error| Refused::new(error.reason(), error.to_string()))?;
            let operator = ringfort_fleet::NewOperator { name: new.name, role, certificate };
            api.fleet.add_operator(&who, &operator).await
        }
        (None, Some(request)) => {
            let (authority, csr) = (&api.config.operator_authority, request_of(&request)?);
            api.fleet.register(&who, authority, &new.name, role, &csr).await
        }
        _ => {
            return Err(Refused::new(
                Reason::Malformed,
                "either a request or a certificate has to be given",
            ));
        }
    };
    answer(added.map_err(refused)?, registered)
}

/// Ends an operator's access.
#[utoipa::path(delete, path = "/api/v1/operators/{fingerprint}", operation_id = "remove_operator", tag = "operators",
    params(("fingerprint" = String, Path, description = "SHA-256 of the certificate")), responses(
    (status = 204, description = "Access has ended"), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Path(fingerprint): Path<String>,
) -> Result<StatusCode, Refused> {
    let fingerprint = hash(&fingerprint, "the fingerprint")?;
    api.fleet.remove_operator(&who, &fingerprint).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}
