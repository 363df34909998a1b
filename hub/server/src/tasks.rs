//! What runs beside the listeners: deadlines, renewals, CRLs, connections of devices that lost
//! their access.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfort_fleet::{AccessChange, Fleet, Refusal};
use ringfort_gateway::CrlShelf;
use ringfort_messages::DeviceId;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connections::Connections;
use crate::gauges;
use crate::trust::Trust;

#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) fleet: Fleet,
    pub(crate) trust: Arc<Trust>,
    pub(crate) trust_changed: Arc<Notify>,
    /// Of the socket that devices use, and of the other where there are two.
    pub(crate) connections: Vec<Arc<Connections>>,
    pub(crate) crls: Arc<CrlShelf>,
}

impl Work {
    /// Signs every CRL anew and puts them up.
    pub(crate) async fn sign_crls(&self) -> Result<(), Refusal> {
        let crls = self.fleet.crls().await?;
        gauges::crls(&crls);
        self.crls.put(crls);
        Ok(())
    }

    /// Signs the CRLs that a change of access touched.
    async fn sign_changed_crls(&self, changed: Changed) -> Result<(), Refusal> {
        match changed {
            Changed::All => self.sign_crls().await,
            Changed::Devices(devices) => {
                self.crls.put(self.fleet.crls_of(&devices).await?);
                Ok(())
            }
        }
    }

    /// Starts the tasks; they end when the server stops.
    pub(crate) fn spawn(self, tasks: &TaskTracker, stopping: &CancellationToken) {
        let access_changed = Arc::new(AccessChanged::default());
        tasks.spawn(self.clone().close_connections(access_changed.clone(), stopping.clone()));
        tasks.spawn(self.clone().keep_crls_new(access_changed, stopping.clone()));
        tasks.spawn(self.keep_time(stopping.clone()));
    }

    /// Who has other access than before starts anew: his connections are closed.
    async fn close_connections(self, changed: Arc<AccessChanged>, stopping: CancellationToken) {
        let mut changes = self.fleet.access_changes();
        loop {
            let change = tokio::select! {
                () = stopping.cancelled() => return,
                change = changes.recv() => change,
            };
            match change {
                Ok(AccessChange::Device(device)) => {
                    self.connections.iter().for_each(|open| open.close_device(device));
                    changed.note(Some(device));
                }
                Ok(AccessChange::Operator(fingerprint)) => {
                    self.connections.iter().for_each(|open| open.close_operator(fingerprint));
                }
                Err(RecvError::Lagged(_)) => {
                    self.connections.iter().for_each(|open| open.close_all());
                    changed.note(None);
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Signs CRLs in time, and soon after a change; many changes at once make one signing.
    async fn keep_crls_new(self, changed: Arc<AccessChanged>, stopping: CancellationToken) {
        // However much changes: every CRL gets a new time within the hour.
        let mut refresh = interval_at(Instant::now() + CRL_REFRESH, CRL_REFRESH);
        let mut due = async || {
            tokio::select! {
                _ = refresh.tick() => {
                    // What changed meanwhile is among them.
                    let _ = changed.take();
                    Changed::All
                }
                () = changed.notify.notified() => {
                    sleep(CRL_CALM).await;
                    changed.take()
                }
            }
        };
        loop {
            let changed_now = tokio::select! {
                () = stopping.cancelled() => return,
                changed = due() => changed,
            };
            if let Err(error) = self.sign_changed_crls(changed_now).await {
                tracing::error!(%error, "CRLs could not be signed");
                // Whatever they were to say is said at the next try.
                changed.note(None);
            }
        }
    }

    /// Deadlines, and the listeners' own certificates and trust.
    async fn keep_time(self, stopping: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.trust_changed.notified() => {}
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.fleet.tick().await {
                tracing::error!(%error, "deadlines could not be looked at");
            }
            match self.trust.refresh().await {
                // Who a connection is with was judged under the trust of before.
                Ok(true) => self.connections.iter().for_each(|open| open.close_all()),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "trust could not be renewed"),
            }
            let of_devices = self.connections.first().map_or(0, |open| open.of_devices());
            metrics::gauge!("ringfort_device_connections").set(of_devices as f64);
        }
    }
}

/// Whose access changed since the CRLs were signed.
enum Changed {
    Devices(BTreeSet<DeviceId>),
    All,
}

impl Default for Changed {
    fn default() -> Changed {
        Changed::Devices(BTreeSet::new())
    }
}

/// The same, with who waits for it.
#[derive(Default)]
struct AccessChanged {
    changed: Mutex<Changed>,
    notify: Notify,
}

impl AccessChanged {
    /// Notes a device; nothing for one that nobody can name.
    fn note(&self, device: Option<DeviceId>) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *changed, device) {
            (Changed::Devices(devices), Some(device)) if devices.len() < MANY_DEVICES => {
                devices.insert(device);
            }
            _ => *changed = Changed::All,
        }
        drop(changed);
        self.notify.notify_one();
    }

    fn take(&self) -> Changed {
        std::mem::take(&mut self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Deadlines are in minutes and more; this is how late one may be noticed.
const TICK: Duration = Duration::from_secs(5);
/// CRLs are valid for days; a fresh one every hour keeps its number and time moving.
const CRL_REFRESH: Duration = Duration::from_secs(3600);
const CRL_CALM: Duration = Duration::from_secs(2);
/// So many touch nearly every shard: then all are signed at once.
const MANY_DEVICES: usize = 256;
