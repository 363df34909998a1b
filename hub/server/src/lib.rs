//! Wiring: TLS, listeners, bounds, tasks, metrics.
//!
//! [`Server::start`] takes a [`Fleet`] and two bound sockets and serves them until
//! [`Running::shutdown`]: devices on one, operators on the other.
#![forbid(unsafe_code)]

mod client_auth;
mod connections;
mod error;
mod gauges;
mod listener;
mod metrics;
mod tasks;
mod tls;
mod trust;
mod watched_io;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ringfort_api::ApiConfig;
use ringfort_fleet::Fleet;
use ringfort_gateway::{CrlShelf, GatewayConfig};
use ringfort_http::Hosts;
use ringfort_pki::{Issuer, ServerName};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connections::{Caps, Connections};
use crate::listener::{Listener, is_loopback};
use crate::tls::TlsMaker;
use crate::trust::Trust;

pub use crate::error::StartError;
pub use crate::listener::Limits;

/// What the server needs besides the fleet and its sockets.
#[derive(Clone)]
pub struct ServerConfig {
    /// The names and addresses of the device listener; they stand in its certificate.
    pub device_names: Vec<ServerName>,
    /// The port under which devices reach it, where that is not the one it listens on.
    pub device_port: Option<u16>,
    /// The names and addresses of the operator listener.
    pub operator_names: Vec<ServerName>,
    /// The port under which operators reach it, where that is not the one it listens on.
    pub operator_port: Option<u16>,
    /// Issues the certificates of both listeners.
    pub server_ca: Issuer,
    /// How long those are valid.
    pub server_lifetime_days: u32,
    /// The certificate of the Operator CA, DER.
    pub operator_ca: Vec<u8>,
    /// The certificate of the Device CA, DER.
    pub device_ca: Vec<u8>,
    /// What is above the Device CA, DER, for EST's cacerts: the root.
    pub roots: Vec<Vec<u8>>,
    /// Refuses to listen on, and to talk to, anything but this machine.
    pub loopback_only: bool,
    /// Bounds.
    pub limits: Limits,
}

/// Starts servers.
pub struct Server;

/// A server that runs.
pub struct Running {
    /// Where devices connect.
    pub device_address: SocketAddr,
    /// Where operators connect.
    pub operator_address: SocketAddr,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Starts serving. The sockets are bound by the caller, who also decides about the runtime.
    ///
    /// # Errors
    /// A socket that is not on this machine while `loopback_only`, certificates that are not what
    /// they should be, a fleet that does not answer.
    pub async fn start(
        config: ServerConfig,
        fleet: Fleet,
        devices: TcpListener,
        operators: TcpListener,
    ) -> Result<Running, StartError> {
        let (device_address, operator_address) = (devices.local_addr()?, operators.local_addr()?);
        for address in [device_address, operator_address] {
            if config.loopback_only && !is_loopback(address.ip()) {
                return Err(StartError::NotLoopback(address));
            }
        }
        let metrics = metrics::recorder()?;
        gauges::authorities(&config)?;
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let trust_changed = Arc::new(Notify::new());
        let limits = config.limits;
        let caps = Caps { all: limits.connections, per_address: limits.connections_per_address };
        let connections = Connections::new(caps);
        let crls = Arc::new(CrlShelf::default());

        let days = config.server_lifetime_days;
        let trust = Arc::new(
            Trust::load(
                fleet.clone(),
                TlsMaker::new(config.server_ca.clone(), config.device_names.clone(), days)?,
                TlsMaker::new(config.server_ca.clone(), config.operator_names.clone(), days)?,
                config.device_ca.clone(),
                config.operator_ca.clone(),
            )
            .await?,
        );
        let listener =
            |name, tls: &Arc<ArcSwap<rustls::ServerConfig>>, router, meet, connections| {
                Arc::new(Listener {
                    name,
                    tls: tls.clone(),
                    router,
                    meet,
                    limits,
                    connections,
                    loopback_only: config.loopback_only,
                    stopping: stopping.clone(),
                    tasks: tasks.clone(),
                })
            };
        let ca_certificates = [vec![config.device_ca.clone()], config.roots.clone()].concat();
        let device_router = ringfort_gateway::router(
            fleet.clone(),
            GatewayConfig {
                ca_certificates,
                crls: crls.clone(),
                hosts: hosts(&config.device_names, device_address, config.device_port),
                body_time: limits.body,
            },
        );
        let operator_router = ringfort_api::router(
            fleet.clone(),
            ApiConfig {
                hosts: hosts(&config.operator_names, operator_address, config.operator_port),
                body_time: limits.body,
                trust_changed: trust_changed.clone(),
                device_ca: config.device_ca.clone(),
                roots: config.roots.clone(),
                metrics: Arc::new(move || metrics.render()),
            },
        );
        let devices_open = connections.clone();
        let device_listener = listener(
            "device",
            &trust.device_tls,
            device_router,
            trust::meet_device(trust.clone()),
            devices_open,
        );
        let operator_listener = listener(
            "operator",
            &trust.operator_tls,
            operator_router,
            trust::meet_operator(),
            Connections::new(caps),
        );
        tasks.spawn(device_listener.run(devices));
        tasks.spawn(operator_listener.run(operators));
        let work = tasks::Work { fleet, trust, trust_changed, connections, crls };
        work.sign_crls().await?;
        tasks.spawn(gauges::watch(work.fleet.clone(), stopping.clone()));
        work.spawn(&tasks, &stopping);
        tracing::info!(%device_address, %operator_address, "serving");
        Ok(Running { device_address, operator_address, stopping, tasks })
    }
}

impl Running {
    /// Stops: accepts nothing more, lets what is in progress finish (within the limit for that),
    /// and returns when every task has ended. What was answered before is durable already.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        tracing::info!("stopped");
    }
}

fn hosts(names: &[ServerName], listening: SocketAddr, public_port: Option<u16>) -> Hosts {
    let mut ports = vec![listening.port()];
    ports.extend(public_port);
    Hosts { names: names.iter().map(|name| name.to_string().to_ascii_lowercase()).collect(), ports }
}
