//! What can go wrong with the agent.

use std::path::PathBuf;

use ringfort_cose::Reason;

/// Why the agent did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// A setting is missing, unknown, or not usable.
    #[error("{file}: setting `{setting}`: {problem}", file = .file.display())]
    Setting {
        /// The configuration file.
        file: PathBuf,
        /// The setting, as a dotted path.
        setting: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// The configuration file is not TOML, or has unknown settings.
    #[error("{file}: {problem}", file = .file.display())]
    Config {
        /// The configuration file.
        file: PathBuf,
        /// What is wrong, with line and setting.
        problem: String,
    },
    /// The key store failed.
    #[error(transparent)]
    KeyStore(#[from] ringfort_keystore::Error),
    /// Durable storage failed.
    #[error("{path}: {source}", path = .path.display())]
    Storage {
        /// The file or directory.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The state is an older copy, or another device's.
    #[error("the device's state is number {record} and its key store has counted {counter}")]
    RolledBack {
        /// The number of the state.
        record: u64,
        /// What the key store has counted.
        counter: u64,
    },
    /// The state is damaged.
    #[error("the device's state cannot be used: {0}")]
    State(String),
    /// Another agent runs on the same state.
    #[error("another agent is running with the state in {path}", path = .0.display())]
    Busy(PathBuf),
    /// The device has no identity yet.
    #[error(
        "the device has no identity yet: run `identity request`, let the factory answer, then `identity install`"
    )]
    NoIdentity,
    /// The device has an identity already.
    #[error("the device has an identity already; it is given once")]
    HasIdentity,
    /// A file from the factory, or what it holds, does not fit this device.
    #[error("the identity file is refused ({reason}): {detail}")]
    Identity {
        /// The reason code.
        reason: Reason,
        /// More.
        detail: &'static str,
    },
    /// The hub refused, with its reason code.
    #[error("the hub refused ({code}){}{detail}", if .detail.is_empty() { "" } else { ": " })]
    Refused {
        /// The reason code.
        code: String,
        /// More; may be empty.
        detail: String,
    },
    /// An order from a medium, or what it names, is refused. Nothing was done.
    #[error("the order is refused ({0})")]
    Order(Reason),
    /// The hub's answer is not one.
    #[error("the hub's answer is refused ({reason}): {detail}")]
    Answer {
        /// The reason code.
        reason: Reason,
        /// More.
        detail: String,
    },
    /// A slot does not hold what it should, or was not written.
    #[error("the slot ({reason}): {detail}")]
    Slot {
        /// The reason code.
        reason: Reason,
        /// More.
        detail: String,
    },
    /// The hub's certificate is not trusted.
    #[error("the hub's certificate is not trusted: {0}")]
    ServerNotTrusted(String),
    /// The hub cannot be reached.
    #[error("{address} cannot be reached: {problem}")]
    Unreachable {
        /// Where the agent tried.
        address: String,
        /// What happened.
        problem: String,
    },
    /// A command has put the device out of use for ever.
    #[error("the device was decommissioned: it has no keys any more")]
    Decommissioned,
    /// The HTTP proxy does not open the way.
    #[error("the proxy {address} does not open the way ({reason}): {detail}")]
    Proxy {
        /// The proxy, without its credentials.
        address: String,
        /// The reason code: `proxy-refused`, `proxy-auth-required`, `malformed`, `too-large`.
        reason: Reason,
        /// What it said.
        detail: String,
    },
    /// The runner ended or does not answer.
    #[error("the runner: {0}")]
    Runner(String),
}

impl AgentError {
    /// The reason code to report or to log.
    pub fn reason(&self) -> Reason {
        match self {
            AgentError::Storage { .. } | AgentError::KeyStore(_) | AgentError::State(_) => {
                Reason::StorageFailed
            }
            AgentError::RolledBack { .. } => Reason::RolledBack,
            AgentError::Order(reason)
            | AgentError::Identity { reason, .. }
            | AgentError::Answer { reason, .. }
            | AgentError::Proxy { reason, .. }
            | AgentError::Slot { reason, .. } => *reason,
            AgentError::Refused { code, .. } => Reason::from_code(code).unwrap_or(Reason::Internal),
            AgentError::Unreachable { .. } | AgentError::ServerNotTrusted(_) => {
                Reason::TransferFailed
            }
            AgentError::Decommissioned => Reason::Decommissioned,
            AgentError::Runner(_) => Reason::RestartFailed,
            _ => Reason::Internal,
        }
    }

    pub(crate) fn slot(reason: Reason, detail: impl Into<String>) -> AgentError {
        AgentError::Slot { reason, detail: detail.into() }
    }

    pub(crate) fn answer(reason: Reason, detail: impl Into<String>) -> AgentError {
        AgentError::Answer { reason, detail: detail.into() }
    }
}
