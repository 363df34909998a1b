use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use ringfort_cose::Reason;
use ringfort_fleet::Permission;
use ringfort_http::Refused;
use ringfort_pki::{CERTIFICATE, CRL as CRL_LABEL, to_pem};

use super::Caller;
use crate::model::{Binary, DeviceAuthority, EarlierDeviceAuthority, Problem};
use crate::{Api, PROBLEM, refused};

/// The authority that issues devices' operational certificates, and what is above it.
#[utoipa::path(get, path = "/api/v1/device-ca", operation_id = "get_device_ca", tag = "authorities", responses(
    (status = 200, description = "Done", body = DeviceAuthority), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn certificates(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
) -> Result<Json<DeviceAuthority>, Refused> {
    who.require(Permission::View).map_err(refused)?;
    let pem = |der: &Vec<u8>| {
        to_pem(CERTIFICATE, der).map_err(|e| Refused::new(Reason::Internal, e.to_string()))
    };
    let mut earlier = Vec::new();
    for own in api.fleet.earlier_device_cas(&who).await.map_err(refused)? {
        let crl = to_pem(CRL_LABEL, &own.crl.der)
            .map_err(|e| Refused::new(Reason::Internal, e.to_string()))?;
        earlier.push(EarlierDeviceAuthority {
            certificate: pem(&own.certificate)?,
            crl,
            in_force: own.in_force,
            last_ends_ms: own.last_ends_ms,
        });
    }
    Ok(Json(DeviceAuthority {
        certificate: pem(&api.config.device_ca)?,
        roots: api.config.roots.iter().map(pem).collect::<Result<_, _>>()?,
        earlier,
    }))
}

/// One CRL of the Device CA with every operational certificate that is revoked or on hold, signed
/// for this answer (RFC 5280, section 5; DER).
#[utoipa::path(get, path = "/api/v1/device-ca/crl", operation_id = "get_device_crl", tag = "authorities", responses(
    (status = 200, description = "Done", body = Binary, content_type = CRL), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn crl(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
) -> Result<Response, Refused> {
    let crl = api.fleet.whole_crl(&who).await.map_err(refused)?;
    Ok(([(CONTENT_TYPE, CRL)], crl.der).into_response())
}

const CRL: &str = "application/pkix-crl";
