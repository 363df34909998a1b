//! Wiring: TLS, listeners, bounds, tasks, metrics.
//!
//! [`Server::start`] takes a [`Fleet`] and serves until [`Running::shutdown`]: devices on one
//! socket, operators on another, or both on one, told apart by the name that they ask for.
#![forbid(unsafe_code)]

mod client_auth;
mod connections;
mod error;
mod expiry;
mod gauges;
mod listener;
mod metrics;
mod public_identity;
mod tasks;
mod tls;
mod trust;
mod watched_io;

use std::net::SocketAddr;
use std::sync::Arc;

use ringfort_acme::Challenges;
use ringfort_api::ApiConfig;
use ringfort_fleet::{Fleet, OperatorAuthority};
use ringfort_gateway::{CrlShelf, GatewayConfig};
use ringfort_http::{Hosts, Shares};
use ringfort_pki::{Issuer, ServerName};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connections::{Caps, Connections};
use crate::listener::{Lane, Listener, is_loopback};
use crate::tls::TlsMaker;
use crate::trust::Trust;

pub use crate::error::StartError;
pub use crate::listener::Limits;
pub use crate::public_identity::PublicIdentity;
pub use ringfort_http::Rate;

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
    /// A certificate for the operator listener that others issued, and each later one; as long as
    /// there is none the Server CA issues one.
    pub operator_identity: Option<watch::Receiver<Option<PublicIdentity>>>,
    /// What an authority finds that validates the operators' name.
    pub challenges: Option<Arc<Challenges>>,
    /// How long those are valid.
    pub server_lifetime_days: u32,
    /// Certifies the keys of people.
    pub operator_authority: OperatorAuthority,
    /// The certificates of Operator CAs before it, DER: what they certified is met until it ends.
    pub earlier_operator_cas: Vec<Vec<u8>>,
    /// The certificate of the Device CA, DER.
    pub device_ca: Vec<u8>,
    /// Those before it whose certificates devices still show, DER.
    pub earlier_device_cas: Vec<Vec<u8>>,
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
    /// Without a second one operators share the first with devices; the names of the two sides must
    /// differ then.
    ///
    /// # Errors
    /// A socket that is not on this machine while `loopback_only`, one socket for one name,
    /// certificates that are not what they should be, a fleet that does not answer.
    pub async fn start(
        config: ServerConfig,
        fleet: Fleet,
        devices: TcpListener,
        operators: impl Into<Option<TcpListener>>,
    ) -> Result<Running, StartError> {
        let operators: Option<TcpListener> = operators.into();
        let device_address = devices.local_addr()?;
        let operator_address = match &operators {
            Some(operators) => operators.local_addr()?,
            None => device_address,
        };
        let device_hosts = hosts(&config.device_names, device_address, config.device_port);
        let operator_hosts = hosts(&config.operator_names, operator_address, config.operator_port);
        if operators.is_none() && device_hosts.names.iter().any(|n| operator_hosts.has_name(n)) {
            return Err(StartError::OneNameForTwo);
        }
        for address in [device_address, operator_address] {
            if config.loopback_only && !is_loopback(address.ip()) {
                return Err(StartError::NotLoopback(address));
            }
        }
        let metrics = metrics::recorder()?;
        let counting = metrics.clone();
        let authorities = gauges::authorities(&config)?;
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let trust_changed = Arc::new(Notify::new());
        let limits = config.limits;
        let crls = Arc::new(CrlShelf::default());
        let operator_ca = config.operator_authority.issuer.certificate_der().to_vec();
        let operator_cas = [vec![operator_ca], config.earlier_operator_cas.clone()].concat();

        let device_cas =
            [vec![config.device_ca.clone()], config.earlier_device_cas.clone()].concat();
        let days = config.server_lifetime_days;
        let trust = Arc::new(
            Trust::load(
                fleet.clone(),
                TlsMaker::new(config.server_ca.clone(), config.device_names.clone(), days)?,
                TlsMaker::new(config.server_ca.clone(), config.operator_names.clone(), days)?,
                device_cas.clone(),
                operator_cas,
                config.operator_identity.clone(),
            )
            .await?,
        );
        let shares = || Shares::new(limits.per_certificate, limits.per_address);
        let (device_shares, operator_shares) = (shares(), shares());
        let ca_certificates = [device_cas, config.roots.clone()].concat();
        let device_router = ringfort_gateway::router(
            fleet.clone(),
            GatewayConfig {
                ca_certificates,
                crls: crls.clone(),
                hosts: device_hosts.clone(),
                body_time: limits.body,
                shares: device_shares.clone(),
            },
        );
        let operator_router = ringfort_api::router(
            fleet.clone(),
            ApiConfig {
                hosts: operator_hosts.clone(),
                shares: operator_shares.clone(),
                operator_authority: config.operator_authority.clone(),
                body_time: limits.body,
                trust_changed: trust_changed.clone(),
                device_ca: config.device_ca.clone(),
                roots: config.roots.clone(),
                metrics: Arc::new(move || metrics.render()),
            },
        );
        let (of_devices, of_operators) = (trust.clone(), trust.clone());
        let device_lane = Lane {
            name: "device",
            hosts: device_hosts,
            tls: Box::new(move || of_devices.device_tls()),
            router: device_router,
            meet: trust::meet_device(trust.clone()),
            shares: device_shares,
        };
        let operator_lane = Lane {
            name: "operator",
            hosts: operator_hosts,
            tls: Box::new(move || of_operators.operator_tls()),
            router: operator_router,
            meet: trust::meet_operator(),
            shares: operator_shares,
        };
        let challenges = config.challenges.clone();
        let sockets = match operators {
            Some(operators) => vec![
                (devices, vec![device_lane], None),
                (operators, vec![operator_lane], challenges),
            ],
            None => vec![(devices, vec![device_lane, operator_lane], challenges)],
        };
        let caps = Caps { all: limits.connections, per_address: limits.connections_per_address };
        let mut connections = Vec::new();
        for (socket, lanes, challenges) in sockets {
            let open = Connections::new(caps);
            connections.push(open.clone());
            let listener = Arc::new(Listener {
                lanes,
                challenges,
                limits,
                connections: open,
                loopback_only: config.loopback_only,
                stopping: stopping.clone(),
                tasks: tasks.clone(),
            });
            tasks.spawn(listener.run(socket));
        }
        let work = tasks::Work { fleet, trust, trust_changed, connections, crls };
        work.sign_crls().await?;
        tasks.spawn(gauges::watch(work.fleet.clone(), stopping.clone()));
        tasks.spawn(metrics::count(counting, stopping.clone()));
        let public = config.operator_identity;
        let watch = expiry::Watch { fleet: work.fleet.clone(), authorities, public };
        tasks.spawn(watch.run(stopping.clone()));
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
