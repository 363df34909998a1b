//! What each address asks of its caller: one table, asked before anything of a request is read.
//! The fleet judges every call again; this is the outer door.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ringfort_cose::Reason;
use ringfort_fleet::Permission;
use ringfort_http::{Refused, Seen};

use crate::{Api, OperatorPeer, refused};

/// What somebody has to show who calls an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A connection: whoever has one may ask.
    Connection,
    /// An invitation, in the request itself.
    Invitation,
    /// A certificate of somebody whose role has this permission.
    Role(Permission),
}

/// One address of the operator interface.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// The HTTP method.
    pub method: &'static str,
    /// The path as in the description.
    pub path: &'static str,
    /// What it asks of its caller.
    pub asks: Asks,
}

/// Every address.
pub const ADDRESSES: &[Address] = &[
    connection("GET", "/healthz"),
    role("GET", "/metrics", Permission::View),
    Address { method: "POST", path: "/api/v1/login", asks: Asks::Invitation },
    role("GET", "/api/v1/status", Permission::View),
    role("GET", "/api/v1/openapi.json", Permission::View),
    role("POST", "/api/v1/restore/acknowledge", Permission::Administer),
    role("GET", "/api/v1/devices", Permission::View),
    role("GET", "/api/v1/devices/{id}", Permission::View),
    role("GET", "/api/v1/devices/{id}/history", Permission::View),
    role("POST", "/api/v1/devices/{id}/move", Permission::MoveDevices),
    role("POST", "/api/v1/devices/{id}/commands", Permission::MoveDevices),
    role("POST", "/api/v1/devices/{id}/offline-order", Permission::Deploy),
    role("POST", "/api/v1/devices/{id}/statements", Permission::MoveDevices),
    role("GET", "/api/v1/developer-products", Permission::View),
    role("POST", "/api/v1/developer-products", Permission::Administer),
    role("GET", "/api/v1/device-ca", Permission::View),
    role("GET", "/api/v1/device-ca/crl", Permission::View),
    role("GET", "/api/v1/sites", Permission::View),
    role("POST", "/api/v1/sites", Permission::Administer),
    role("POST", "/api/v1/sites/{id}/revoke", Permission::Administer),
    role("POST", "/api/v1/factory/batches", Permission::ImportBatches),
    role("POST", "/api/v1/anchors", Permission::Administer),
    role("GET", "/api/v1/anchors/{version}", Permission::View),
    role("PUT", "/api/v1/objects/{digest}", Permission::Publish),
    role("GET", "/api/v1/releases", Permission::View),
    role("POST", "/api/v1/releases", Permission::Publish),
    role("GET", "/api/v1/deployments", Permission::View),
    role("POST", "/api/v1/deployments", Permission::Deploy),
    role("GET", "/api/v1/deployments/{id}", Permission::View),
    role("GET", "/api/v1/deployments/{id}/targets", Permission::View),
    role("POST", "/api/v1/deployments/{id}/pause", Permission::Deploy),
    role("POST", "/api/v1/deployments/{id}/resume", Permission::Deploy),
    role("POST", "/api/v1/deployments/{id}/halt", Permission::Deploy),
    role("GET", "/api/v1/audit/checkpoint", Permission::View),
    role("GET", "/api/v1/audit/entries", Permission::View),
    role("GET", "/api/v1/approvals", Permission::View),
    role("GET", "/api/v1/operators", Permission::View),
    role("POST", "/api/v1/operators", Permission::Administer),
    role("DELETE", "/api/v1/operators/{fingerprint}", Permission::Administer),
    role("POST", "/api/v1/operators/self/renew", Permission::View),
    role("POST", "/api/v1/operators/self/settle", Permission::View),
    role("GET", "/api/v1/invitations", Permission::View),
    role("POST", "/api/v1/invitations", Permission::Administer),
    role("DELETE", "/api/v1/invitations/{name}", Permission::Administer),
];

/// Middleware: finds out who calls, and refuses those whose role does not reach.
pub(crate) async fn admit(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(asks) = asks(&request) else {
        // Unknown paths and methods have their own refusals, and nothing behind them.
        return next.run(request).await;
    };
    if let Asks::Role(permission) = asks {
        let (peer, seen) = {
            let extensions = request.extensions();
            (extensions.get::<OperatorPeer>().cloned(), extensions.get::<Seen>().cloned())
        };
        let (Some(peer), Some(seen)) = (peer, seen) else {
            return Refused::new(Reason::Internal, "no peer in the request").into_response();
        };
        let operator = match api.operator(&peer, &seen).await {
            Ok(operator) => operator,
            Err(refused) => return refused.into_response(),
        };
        if let Err(refusal) = operator.require(permission) {
            return refused(refusal).into_response();
        }
        request.extensions_mut().insert(operator);
    }
    next.run(request).await
}

/// What the address of a request asks; none for one that there is not.
fn asks(request: &Request) -> Option<Asks> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    let method = match request.method().as_str() {
        "HEAD" => "GET",
        method => method,
    };
    let found = ADDRESSES.iter().find(|address| address.path == route && address.method == method);
    found.map(|address| address.asks)
}

const fn role(method: &'static str, path: &'static str, permission: Permission) -> Address {
    Address { method, path, asks: Asks::Role(permission) }
}

const fn connection(method: &'static str, path: &'static str) -> Address {
    Address { method, path, asks: Asks::Connection }
}
