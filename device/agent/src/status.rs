//! What the agent knows about its device, for people and programs.

use ringfort_device::{Record, Slot};
use serde::Serialize;

use crate::session::Lock;
use crate::state::State;
use crate::update::Slots;
use crate::{AgentConfig, AgentError, SlotsConfig, disk::Disk, keys};

/// The state of a device, as the agent on it sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The UEID, in hexadecimal.
    pub ueid: String,
    /// The device's name; none before the factory gave one.
    pub device: Option<String>,
    /// The hub's address, from the anchors.
    pub hub: Option<String>,
    /// The HTTP proxy on the way there, as this process would take it; none where the way is
    /// direct.
    pub proxy: Option<String>,
    /// Does an agent run now?
    pub running: bool,
    /// What keeps the keys.
    pub keys: KeyStatus,
    /// The anchors version; none before the factory.
    pub anchors: Option<u64>,
    /// Is there an operational certificate?
    pub enrolled: bool,
    /// When it ends, Unix seconds.
    pub certificate_ends: Option<u64>,
    /// The floor: the highest confirmed sequence number.
    pub floor: Option<u64>,
    /// The confirmed release.
    pub release: Option<ReleaseStatus>,
    /// The slot that `current` points at.
    pub current_slot: Option<&'static str>,
    /// The update in progress, or how the last one ended.
    pub update: Option<UpdateSummary>,
    /// The command that is being carried out: `wipe-operational`, `decommission`, `debug-unlock`.
    pub command: Option<&'static str>,
    /// The nonce that a command to unlock debugging has to name, in hexadecimal.
    pub debug_nonce: Option<String>,
    /// Has a command put the device out of use for ever?
    pub decommissioned: bool,
}

/// What keeps the keys.
#[derive(Clone, Debug, Serialize)]
pub struct KeyStatus {
    /// `sealed-file`, `pkcs11`, …
    pub store: &'static str,
    /// Do the keys live in hardware?
    pub hardware_keys: bool,
    /// Does a hardware counter keep the floor?
    pub hardware_counter: bool,
}

/// A release in a slot.
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseStatus {
    /// The version that people read.
    pub version: String,
    /// Its sequence number.
    pub sequence: u64,
    /// Its manifest digest, in hexadecimal.
    pub manifest: String,
    /// `a` or `b`.
    pub slot: &'static str,
}

/// An update.
#[derive(Clone, Debug, Serialize)]
pub struct UpdateSummary {
    /// The order's number.
    pub order: u64,
    /// Its state: `offered` to `reverted`.
    pub state: &'static str,
    /// The reason code, for a state that has one.
    pub reason: Option<String>,
    /// More about the reason; may be empty.
    pub detail: String,
}

/// Reads the state. An agent may be running.
///
/// # Errors
/// [`AgentError::NoIdentity`] where nothing is there yet; [`AgentError::KeyStore`],
/// [`AgentError::State`], [`AgentError::Storage`].
pub fn status(config: &AgentConfig) -> Result<Status, AgentError> {
    if !config.state.is_dir() {
        return Err(AgentError::NoIdentity);
    }
    let running = Lock::is_taken(config);
    let store = keys::open_store(config)?;
    let state = State::load(&config.state_file(), &*store)?.ok_or(AgentError::NoIdentity)?;
    let protection = keys::protection(config, &*store);
    let mut status = Status {
        ueid: state.ueid.to_string(),
        device: None,
        hub: None,
        proxy: None,
        running,
        keys: KeyStatus {
            store: protection.store.name(),
            hardware_keys: protection.hardware_keys,
            hardware_counter: protection.hardware_counter,
        },
        anchors: None,
        enrolled: false,
        certificate_ends: None,
        floor: None,
        release: None,
        current_slot: None,
        update: None,
        command: None,
        debug_nonce: None,
        decommissioned: false,
    };
    let Some(installed) = state.installed else { return Ok(status) };
    let record = installed.record;
    status.device = Some(installed.device.to_string());
    status.anchors = Some(record.anchors.version.0);
    status.hub = hub_address(config, &record);
    let hub = status.hub.as_deref();
    status.proxy = hub.and_then(|hub| config.proxies.on_the_way_to(hub));
    if let Some(number) = installed.operational {
        let chain = store.certificates(&keys::operational(number)?)?;
        let validity = chain.first().and_then(|leaf| keys::read_certificate(leaf));
        status.enrolled = validity.is_some();
        status.certificate_ends = validity.map(|(validity, _)| validity.to.0);
    }
    status.floor = record.floor.map(|floor| floor.sequence.0);
    status.release = record.active.zip(record.running()).map(|(slot, running)| ReleaseStatus {
        version: running.version.to_string(),
        sequence: running.sequence.0,
        manifest: running.manifest.to_string(),
        slot: slot.name(),
    });
    let current = match config.update.slots {
        SlotsConfig::Directory => Slots::new(config, &Disk::default()).current(),
        SlotsConfig::Command { .. } => record.active,
    };
    status.current_slot = current.map(Slot::name);
    status.update = summary(&record);
    status.command = record.command.map(|command| command.action.name());
    status.debug_nonce = record
        .debug_nonce
        .filter(|_| config.commands.debug_unlock.is_some())
        .map(|nonce| nonce.0.iter().map(|byte| format!("{byte:02x}")).collect());
    status.decommissioned = record.decommissioned;
    Ok(status)
}

fn summary(record: &Record) -> Option<UpdateSummary> {
    let current = record.update.map(|update| UpdateSummary {
        order: update.order.0,
        state: update.phase.state().name(),
        reason: None,
        detail: String::new(),
    });
    current.or_else(|| {
        record.last.map(|last| UpdateSummary {
            order: last.order.0,
            state: last.state.name(),
            reason: last.reason.map(|reason| reason.code().to_owned()),
            detail: last.detail.to_string(),
        })
    })
}

fn hub_address(config: &AgentConfig, record: &Record) -> Option<String> {
    let path = config.anchors_dir().join(format!("{}.cbor", record.anchors.version));
    let bytes = std::fs::read(path).ok()?;
    ringfort_trust::Document::parse(&bytes).ok().map(|document| document.hub().to_owned())
}
