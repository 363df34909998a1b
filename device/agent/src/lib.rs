//! The agent of a Linux device: it keeps the device's identity, asks the hub for orders, and
//! installs updates with a way back.
//!
//! - At the factory: [`identity_request`], then [`identity_install`].
//! - In the field: [`enrol`] once, [`run`] for ever, [`status`] at any time; [`apply`] where no
//!   hub is reached.
//! - [`run_sandboxed`] is what a service starts: it forks the [`runner`] first, which restarts the
//!   payload and checks its health, and then takes from itself what it does not need.
//!
//! What decides is `ringfort-device`; this crate gives it sockets, files and processes. All state
//! lies under one directory ([`AgentConfig::state`]):
//!
//! ```text
//! agent.toml          what the product's maker chose
//! keystore/           keys, if they are kept in files
//! anchors/N.cbor      every version that was taken
//! state               one record, sealed by the key store, replaced by a rename
//! slots/a, slots/b    releases; slots/current points at the one that runs
//! ```
#![forbid(unsafe_code)]

mod config;
mod disk;
mod error;
mod factory;
mod hub;
mod keys;
mod lifecycle;
mod offline;
mod proxy;
pub mod runner;
#[cfg(target_os = "linux")]
mod sandbox;
mod session;
mod slot_verb;
mod state;
mod status;
#[cfg(test)]
mod testing;
mod update;

pub use config::{
    AgentConfig, HealthCheck, KeyStoreConfig, PayloadKind, PollConfig, RestartConfig,
    SandboxConfig, SlotsConfig, UpdateConfig,
};
pub use error::AgentError;
pub use factory::{Installed, identity_install, identity_request};
pub use lifecycle::{Enrolled, enrol, run, run_sandboxed};
pub use offline::{Applied, Medium, apply};
pub use proxy::ProxyConfig;
pub use status::{KeyStatus, ReleaseStatus, Status, UpdateSummary, status};

/// Name and version, as the hub sees them.
pub const AGENT: &str = concat!("ringfort-agent ", env!("CARGO_PKG_VERSION"));
