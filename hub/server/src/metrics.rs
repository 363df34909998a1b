//! Prometheus metrics. There is one recorder in a process.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use crate::{StartError, gauges};

/// The recorder's handle; installs the recorder when called first.
pub(crate) fn recorder() -> Result<PrometheusHandle, StartError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let failed = |error: String| StartError::Metrics(error);
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .map_err(|error| failed(error.to_string()))?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| failed(error.to_string()))?;
    describe();
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Counts durations into their buckets until the hub stops. The recorder keeps each by itself until
/// somebody reads the metrics: a hub that nobody scrapes would grow without end.
pub(crate) async fn count(recorder: PrometheusHandle, stopping: CancellationToken) {
    let mut ticks = tokio::time::interval(COUNTING);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => recorder.run_upkeep(),
        }
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("ringfort_handshakes_total", "TLS handshakes that were completed.");
    describe_counter!("ringfort_connections_refused_total", "Connections that were not served.");
    describe_counter!("ringfort_exchanges_total", "Requests and their answers.");
    describe_histogram!("ringfort_exchange_seconds", "How long an answer took.");
    describe_gauge!("ringfort_device_connections", "Open connections of devices.");
    describe_gauge!(gauges::DEVICES, "Devices in each lifecycle state.");
    describe_gauge!(gauges::ALARMED, "Devices with an alarm that nobody has settled.");
    describe_gauge!(gauges::SHARED_KEYS, "Public keys held by more than one device.");
    describe_gauge!(gauges::ANCHORS_VERSION, "The newest version of the anchors.");
    describe_gauge!(gauges::AUDIT_ENTRIES, "Entries of the audit log.");
    describe_gauge!(
        gauges::DEPLOYMENT_DEVICES,
        "Devices in each update state, over the newest deployments that run."
    );
    describe_gauge!(gauges::CERTIFICATE_EXPIRY, "When a certificate ends, Unix time.");
    describe_counter!(
        ringfort_acme::ATTEMPTS,
        "Attempts to obtain the operators' certificate, by outcome."
    );
    describe_gauge!(
        ringfort_acme::FAILURES,
        "Failures to renew the operators' certificate since it last went well."
    );
    describe_gauge!(gauges::CRL_NEXT_UPDATE, "When the first CRL that is served ends, Unix time.");
}

/// Between one counting and the next.
const COUNTING: Duration = Duration::from_secs(5);

/// Buckets of durations, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];
