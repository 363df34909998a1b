//! What is measured from time to time: the fleet, and when certificates and CRLs end.

use std::time::Duration;

use metrics::gauge;
use ringfort_fleet::{DeploymentState, Fleet, Operator, Refusal, State, UpdateState};
use ringfort_pki::{CertificateInfo, Crl};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::expiry::Ending;
use crate::{ServerConfig, StartError};

/// When the hub's authorities end. They do not change while it runs. Of those that others have the
/// place of already nobody has to be warned: nothing that they certified outlives them.
pub(crate) fn authorities(config: &ServerConfig) -> Result<Vec<Ending>, StartError> {
    let mut endings = vec![
        certificate("device-ca", &config.device_ca)?,
        certificate("server-ca", config.server_ca.certificate_der())?,
        certificate("operator-ca", config.operator_authority.issuer.certificate_der())?,
    ];
    for root in &config.roots {
        endings.push(certificate("root", root)?);
    }
    Ok(endings)
}

/// When the operator listener's certificate ends that others issued.
pub(crate) fn public_certificate(not_after: u64) {
    gauge!(CERTIFICATE_EXPIRY, "certificate" => "operator-listener", "name" => "")
        .set(not_after as f64);
}

/// When the first of the CRLs that are served ends.
pub(crate) fn crls(crls: &[Crl]) {
    if let Some(next) = crls.iter().map(|crl| crl.next_update).min() {
        gauge!(CRL_NEXT_UPDATE).set(next as f64);
    }
}

/// Measures the fleet until the server stops.
pub(crate) async fn watch(fleet: Fleet, stopping: CancellationToken) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = measure(&fleet).await {
            tracing::error!(%error, "the fleet could not be measured");
        }
    }
}

async fn measure(fleet: &Fleet) -> Result<(), Refusal> {
    let who = Operator::at_the_host("metrics");
    let status = fleet.status(&who).await?;
    for state in State::ALL {
        let found = status.devices.iter().find(|(of, _)| *of == state);
        gauge!(DEVICES, "state" => state.name()).set(found.map_or(0, |(_, n)| *n) as f64);
    }
    gauge!(ALARMED).set(status.alarmed as f64);
    gauge!(SHARED_KEYS).set(status.shared_keys as f64);
    gauge!(ANCHORS_VERSION).set(status.anchors_version.0 as f64);
    gauge!(AUDIT_ENTRIES).set(status.audit_size as f64);
    for site in fleet.sites(&who).await? {
        let name = site.id.to_string();
        // A certificate that nobody trusts any more does not warn of its end.
        let not_after = match site.revoked_ms {
            None => CertificateInfo::parse(&site.factory_ca)?.not_after as f64,
            Some(_) => f64::INFINITY,
        };
        gauge!(CERTIFICATE_EXPIRY, "certificate" => "factory-ca", "name" => name).set(not_after);
    }
    let deployments = fleet.deployments(&who, DEPLOYMENTS).await?;
    for state in UpdateState::ALL {
        let running = deployments.iter().filter(|d| d.state == DeploymentState::Running);
        let counts = running.flat_map(|deployment| &deployment.devices);
        let devices: u64 = counts.filter(|(of, _)| *of == state).map(|(_, n)| n).sum();
        gauge!(DEPLOYMENT_DEVICES, "state" => state.name()).set(devices as f64);
    }
    Ok(())
}

fn certificate(kind: &'static str, der: &[u8]) -> Result<Ending, StartError> {
    let info = CertificateInfo::parse(der)?;
    let name = info.common_name.unwrap_or_default();
    gauge!(CERTIFICATE_EXPIRY, "certificate" => kind, "name" => name.clone())
        .set(info.not_after as f64);
    Ok(Ending { kind, name, not_before: info.not_before, not_after: info.not_after })
}

/// Counting a large fleet takes a moment, and nobody looks more often.
const PERIOD: Duration = Duration::from_secs(60);
/// The newest deployments, of which those that run are counted.
const DEPLOYMENTS: u32 = 10;

pub(crate) const CERTIFICATE_EXPIRY: &str = "ringfort_certificate_expiry_timestamp_seconds";
pub(crate) const CRL_NEXT_UPDATE: &str = "ringfort_crl_next_update_timestamp_seconds";
pub(crate) const DEVICES: &str = "ringfort_devices";
pub(crate) const ALARMED: &str = "ringfort_devices_alarmed";
pub(crate) const SHARED_KEYS: &str = "ringfort_shared_keys";
pub(crate) const ANCHORS_VERSION: &str = "ringfort_anchors_version";
pub(crate) const AUDIT_ENTRIES: &str = "ringfort_audit_entries";
pub(crate) const DEPLOYMENT_DEVICES: &str = "ringfort_deployment_devices";
