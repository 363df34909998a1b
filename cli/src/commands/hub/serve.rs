//! `ringfort hub serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ringfort_fleet::Fleet;
use ringfort_server::{Limits, PublicIdentity, Rate, Running, Server, ServerConfig, StartError};
use sd_notify::NotifyState;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::acme::{self, Acme};
use super::config::{HubConfig, Share};
use super::lock;
use super::open::Hub;
use super::public_certificate::Files;
use crate::failure::{Failure, Outcome};
use crate::output::{self, conclude_quietly};
use crate::runtime::{self, Stop};
use crate::{files, logging};

/// Which hub to run.
#[derive(Args)]
pub struct Options {
    /// The hub's directory
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,
}

/// Runs the hub until SIGINT or SIGTERM. When it serves, it says so on standard output; with
/// `json` in one line of JSON, and the log on standard error is JSON too.
pub fn run(options: &Options, json: bool) -> ExitCode {
    logging::start(json);
    let served = runtime::new().and_then(|runtime| runtime.block_on(serve(options, json)));
    conclude_quietly(served, json)
}

async fn serve(options: &Options, json: bool) -> Outcome<()> {
    let config = HubConfig::read(&options.dir)?;
    let _lock = lock::take(&options.dir)?;
    let devices = bind(config.devices.listen).await?;
    let operators = match config.one_port() {
        true => None,
        false => Some(bind(config.operators.listen).await?),
    };
    let mut public = Files::named(&options.dir, &config)?.map(Files::watch).transpose()?;
    let acme = acme::open(&options.dir, &config)?;
    if let Some(acme) = &acme {
        public = Some(acme.certificates.clone());
    }
    let hub = Hub::open(&options.dir, config).await?;
    let mut stop = Stop::new()?;
    let config = server_config(&hub, public, acme.as_ref())?;
    let running = Server::start(config, hub.fleet.clone(), devices, operators)
        .await
        .map_err(|error| not_started(&error))?;
    announce(&hub, &running, json);
    // Without a service manager nobody listens, and that is fine.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    if let Some(patience) = sd_notify::watchdog_enabled() {
        tokio::spawn(reassure(hub.fleet.clone(), patience / 3));
    }
    // The authority looks here, so it is asked only now.
    let acme = acme.map(Acme::run);
    stop.wait().await;
    if let Some(acme) = acme {
        acme.stop().await;
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    running.shutdown().await;
    hub.fleet.close().await;
    Ok(())
}

/// Tells the service manager again and again that the registry answers. When it does not hear that
/// in time, it starts the hub anew (WatchdogSec= in systemd.service(5)).
async fn reassure(fleet: Fleet, period: Duration) {
    let mut ticks = interval(period.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match fleet.health().await {
            Ok(_) => drop(sd_notify::notify(&[NotifyState::Watchdog])),
            Err(refusal) => tracing::error!(%refusal, "the registry does not answer"),
        }
    }
}

fn server_config(
    hub: &Hub,
    operator_identity: Option<watch::Receiver<Option<PublicIdentity>>>,
    acme: Option<&Acme>,
) -> Outcome<ServerConfig> {
    let mut limits = Limits::default();
    let rate = |share: Share| Rate { per_second: share.per_second, burst: share.burst };
    if let Some(shares) = hub.config.limits {
        limits.per_certificate = shares.certificate.map_or(limits.per_certificate, rate);
        limits.per_address = shares.address.map_or(limits.per_address, rate);
    }
    Ok(ServerConfig {
        device_names: hub.device_names()?,
        device_port: Some(hub.config.devices.address()?.port),
        operator_names: vec![hub.config.operators.server_name()?],
        operator_port: Some(hub.config.operators.address()?.port),
        server_ca: hub.server_ca.clone(),
        server_lifetime_days: hub.record.plan().lifetimes.server_days,
        operator_identity,
        challenges: acme.map(|acme| acme.challenges.clone()),
        operator_authority: hub.operator_authority(),
        earlier_operator_cas: hub.earlier_operator_cas.clone(),
        device_ca: hub.device_ca.clone(),
        earlier_device_cas: hub.earlier_device_cas.clone(),
        roots: hub.roots.clone(),
        loopback_only: hub.config.loopback_only,
        limits,
    })
}

async fn bind(address: SocketAddr) -> Outcome<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::failed(
            format!("cannot listen on {address}"),
            files::sentence(&e),
            "Stop what uses the port, or change listen in hub.toml; ports below 1024 need the \
             right CAP_NET_BIND_SERVICE.",
        )
    })
}

fn announce(hub: &Hub, running: &Running, json: bool) {
    let (devices, operators) = (&hub.config.devices.address, &hub.config.operators.address);
    output::line(&if json {
        json!({
            "serving": hub.record.name,
            "devices": devices,
            "device_address": running.device_address.to_string(),
            "operators": operators,
            "operator_address": running.operator_address.to_string(),
            "pid": std::process::id(),
        })
        .to_string()
    } else {
        format!(
            "The hub {} serves devices at {devices} and operators at {operators}. Stop it with Ctrl-C.",
            hub.record.name
        )
    });
}

fn not_started(error: &StartError) -> Failure {
    if let StartError::Fleet(refusal) = error {
        return Failure::refused(refusal.reason, "the hub does not start")
            .why(format!("{}.", refusal.detail));
    }
    Failure::failed(
        "the hub does not start",
        format!("{error}."),
        "Correct hub.toml, then try again.",
    )
}
