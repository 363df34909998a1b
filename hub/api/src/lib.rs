//! What operators talk to: REST and JSON over mutual TLS, and a client for it.
//!
//! [`router`] answers; who is calling comes as an [`OperatorPeer`] in the request's extensions.
//! Roles are the fleet's rules. [`openapi`] describes every path; the description is checked in as
//! `docs/openapi.json` and compared in a test. To add an address: a handler in `handlers/` with its
//! `#[utoipa::path]`, a route below, a line in `openapi.rs` and one in `roles.rs`, a method in
//! `client.rs`.
#![forbid(unsafe_code)]

pub mod client;
pub mod model;

mod handlers;
mod openapi;
mod problem;
pub mod roles;
mod signing_key;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};
use ringfort_cose::Reason;
use ringfort_fleet::{Fleet, Operator, OperatorAuthority};
use ringfort_http::{
    BodyBounds, Hosts, Refused, Seen, Shares, exchange, fair_share, hear_out, own_host,
};
use tokio::sync::Notify;

use handlers::{
    audit, deployments, device_ca, devices, invitations, operators, releases, renewal, sites,
    statements, status,
};

pub use openapi::openapi;

/// What the operator interface needs besides the fleet.
#[derive(Clone)]
pub struct ApiConfig {
    /// The names that the listener answers to.
    pub hosts: Hosts,
    /// How much each sender may ask for.
    pub shares: Arc<Shares>,
    /// Certifies the keys of people.
    pub operator_authority: OperatorAuthority,
    /// How long the body of a request may take that is read whole.
    pub body_time: Duration,
    /// Is notified when a site or the anchors have changed.
    pub trust_changed: Arc<Notify>,
    /// The certificate of the Device CA, DER.
    pub device_ca: Vec<u8>,
    /// What is above the Device CA, DER.
    pub roots: Vec<Vec<u8>>,
    /// Renders the metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Who is at the other end of a connection, as the handshake showed.
#[derive(Clone, Debug)]
pub struct OperatorPeer {
    /// Its address.
    pub address: SocketAddr,
    /// SHA-256 of its certificate, which the Operator CA issued.
    pub fingerprint: Option<[u8; 32]>,
}

/// The routes of the operator listener.
pub fn router(fleet: Fleet, config: ApiConfig) -> Router {
    let hosts = Arc::new(config.hosts.clone());
    let api = Arc::new(Api { fleet, config });
    let v1 = Router::new()
        .route("/status", get(status::status))
        .route("/openapi.json", get(status::description))
        .route("/restore/acknowledge", post(status::acknowledge_restore))
        .route("/devices", get(devices::list))
        .route("/devices/{id}", get(devices::one))
        .route("/devices/{id}/history", get(devices::history))
        .route("/devices/{id}/move", post(devices::move_to))
        .route("/devices/{id}/commands", post(devices::give_command))
        .route("/devices/{id}/offline-order", post(devices::offline_order))
        .route(
            "/developer-products",
            get(devices::developer_products).post(devices::add_developer_product),
        )
        .route("/devices/{id}/statements", post(statements::add))
        .route("/device-ca", get(device_ca::certificates))
        .route("/device-ca/crl", get(device_ca::crl))
        .route("/sites", get(sites::list).post(sites::add))
        .route("/sites/{id}/revoke", post(sites::revoke))
        .route("/factory/batches", post(sites::import_batch))
        .route("/anchors", post(sites::add_anchors))
        .route("/anchors/{version}", get(sites::anchors))
        .route("/objects/{digest}", put(releases::put_object))
        .route("/releases", get(releases::list).post(releases::add))
        .route("/deployments", get(deployments::list).post(deployments::create))
        .route("/deployments/{id}", get(deployments::one))
        .route("/deployments/{id}/targets", get(deployments::targets))
        .route("/deployments/{id}/pause", post(deployments::pause))
        .route("/deployments/{id}/resume", post(deployments::resume))
        .route("/deployments/{id}/halt", post(deployments::halt))
        .route("/audit/checkpoint", get(audit::checkpoint))
        .route("/audit/entries", get(audit::entries))
        .route("/operators", get(operators::list).post(operators::add))
        .route("/operators/{fingerprint}", delete(operators::remove))
        .route("/operators/self/renew", post(renewal::renew))
        .route("/operators/self/settle", post(renewal::settle))
        .route("/approvals", get(invitations::approvals))
        .route("/invitations", get(invitations::list).post(invitations::invite))
        .route("/invitations/{name}", delete(invitations::withdraw))
        .route("/login", post(invitations::login));
    Router::new()
        .nest("/api/v1", v1)
        .route("/healthz", get(status::healthy))
        .route("/metrics", get(status::metrics))
        .fallback(async || Refused::from(Reason::NotFound))
        .method_not_allowed_fallback(async || Refused::from(Reason::WrongMethod))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(api.clone(), roles::admit))
        .layer(from_fn_with_state(hosts, own_host))
        .layer(from_fn_with_state(api.config.shares.clone(), fair_share))
        .layer(from_fn_with_state(HEAR_OUT, hear_out))
        .layer(from_fn(problem::render))
        .layer(from_fn_with_state("operator", exchange))
        .with_state(api)
}

pub(crate) struct Api {
    fleet: Fleet,
    config: ApiConfig,
}

impl Api {
    /// The registry's word on the caller, asked at every request.
    async fn operator(&self, peer: &OperatorPeer, seen: &Seen) -> Result<Operator, Refused> {
        let fingerprint = peer.fingerprint.ok_or(Refused::from(Reason::NoClientCertificate))?;
        let operator = self.fleet.operator(&fingerprint).await.map_err(refused)?;
        seen.set(operator.name());
        Ok(operator)
    }
}

/// The content type of refusals (RFC 9457).
pub(crate) const PROBLEM: &str = "application/problem+json";

/// A refusal of the fleet as an answer.
pub(crate) fn refused(refusal: ringfort_fleet::Refusal) -> Refused {
    Refused::new(refusal.reason, refusal.detail)
}

/// How much of a request is still taken in after it was refused.
const HEAR_OUT: BodyBounds =
    BodyBounds { size_bytes: 64 * 1024 * 1024, time: Duration::from_secs(5) };
