//! What devices talk to: EST (RFC 7030, 8951, 9908), the device API, and CRLs for whoever wants them.
//!
//! [`router`] answers; who is calling comes as a [`Peer`] in the request's extensions, put there by
//! whoever ended TLS. Every request asks the registry again. The rules are the fleet's: here are
//! only formats, bounds and which certificate goes with which path.
#![forbid(unsafe_code)]

mod crl;
mod device_api;
mod est;
mod health;
mod peer;
mod problem;
mod range;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use ringfort_cose::Reason;
use ringfort_fleet::Fleet;
use ringfort_http::{BodyBounds, Hosts, Refused, Shares, exchange, fair_share, hear_out, own_host};

pub use crl::CrlShelf;
pub use peer::{ConnectionHandle, DeviceCertificate, Peer};
pub use problem::render;

/// What the gateway needs besides the fleet.
#[derive(Clone)]
pub struct GatewayConfig {
    /// What EST's cacerts answers: the Device CA and what is above it, DER. It never changes what
    /// a device trusts for TLS; only anchors do.
    pub ca_certificates: Vec<Vec<u8>>,
    /// The CRLs that are served.
    pub crls: Arc<CrlShelf>,
    /// The names that the listener answers to.
    pub hosts: Hosts,
    /// How long a request's body may take.
    pub body_time: Duration,
    /// How much each sender may ask for.
    pub shares: Arc<Shares>,
}

/// The routes of the device listener.
pub fn router(fleet: Fleet, config: GatewayConfig) -> Router {
    let hosts = Arc::new(config.hosts.clone());
    let gateway = Arc::new(Gateway { fleet, config });
    Router::new()
        .route("/.well-known/est/cacerts", get(est::ca_certificates))
        .route("/.well-known/est/csrattrs", get(est::csr_attributes))
        .route("/.well-known/est/simpleenroll", post(est::enrol))
        .route("/.well-known/est/simplereenroll", post(est::re_enrol))
        .route("/.well-known/est/serverkeygen", post(est::server_key_generation))
        .route("/.well-known/est/fullcmc", post(est::full_cmc))
        .route("/crl/{name}", get(crl::shard))
        .route("/healthz", get(health::healthy))
        .route("/v1/time", post(device_api::time))
        .route("/v1/anchors/{version}", get(device_api::anchors))
        .route("/v1/check-in", post(device_api::check_in))
        .route("/v1/manifests/{digest}", get(device_api::manifest))
        .route("/v1/objects/{digest}", get(device_api::object))
        .route("/v1/report", post(device_api::report))
        .fallback(async || Refused::from(Reason::NotFound))
        .method_not_allowed_fallback(async || Refused::from(Reason::WrongMethod))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(hosts, own_host))
        .layer(from_fn_with_state(gateway.config.shares.clone(), fair_share))
        .layer(from_fn_with_state(HEAR_OUT, hear_out))
        .layer(from_fn(problem::render))
        .layer(from_fn_with_state("device", exchange))
        .with_state(gateway)
}

struct Gateway {
    fleet: Fleet,
    config: GatewayConfig,
}

/// How much of a request is still taken in after it was refused.
const HEAR_OUT: BodyBounds = BodyBounds { size_bytes: 256 * 1024, time: Duration::from_secs(5) };
