//! `agent.toml`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringfort_device::Slot;
use serde::Deserialize;

use crate::AgentError;
use crate::proxy::{Proxies, ProxyConfig};

/// What the product's maker chose for the agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The state directory; the directory of `agent.toml` when it is left out. Relative paths in
    /// the file start there.
    #[serde(default)]
    pub state: PathBuf,
    /// Where the keys live.
    #[serde(default)]
    pub key_store: KeyStoreConfig,
    /// When to ask the hub.
    #[serde(default)]
    pub poll: PollConfig,
    /// The HTTP proxy on the way to the hub, the spare address and the payloads.
    #[serde(default)]
    pub proxy: ProxyConfig,
    /// How to install and judge updates.
    pub update: UpdateConfig,
    /// The declared health checks: all have to pass before a release is confirmed.
    #[serde(default)]
    pub health: Vec<HealthCheck>,
    /// What the commands of people do here.
    #[serde(default)]
    pub commands: CommandsConfig,
    /// What the sandbox leaves open besides.
    #[serde(default)]
    pub sandbox: SandboxConfig,
    /// The file that this was read from.
    #[serde(skip)]
    pub file: PathBuf,
    /// The way to each host.
    #[serde(skip)]
    pub(crate) proxies: Proxies,
}

/// Where the keys live.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeyStoreConfig {
    /// Files in a directory.
    SealedFile {
        /// The directory; `keystore` in the state directory by default.
        #[serde(default = "keystore_directory")]
        directory: PathBuf,
        /// A file of 32 bytes from elsewhere that opens the store, such as a credential of the
        /// service manager. Without it the secret lies in the directory.
        secret_file: Option<PathBuf>,
    },
    /// A PKCS#11 token.
    Pkcs11 {
        /// Path of the module.
        module: PathBuf,
        /// The token's label.
        token: String,
        /// The token's serial number, where the label alone does not tell.
        serial: Option<String>,
        /// A file (0600) with the user PIN.
        pin_file: PathBuf,
        /// Is the token hardware that does not give keys out? What the hub is told.
        #[serde(default)]
        hardware: bool,
    },
    /// A TPM 2.0, in an agent that is built with the feature `tpm`.
    Tpm {
        /// How the TPM is reached; `device:/dev/tpmrm0` by default.
        #[serde(default = "tpm_device")]
        tcti: String,
        /// The directory of the wrapped keys; `keystore` in the state directory by default.
        #[serde(default = "keystore_directory")]
        directory: PathBuf,
        /// The SHA-256 PCRs (0 to 23) that have to be the same when the state is opened.
        #[serde(default)]
        pcrs: Vec<u8>,
    },
}

/// When to ask the hub.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollConfig {
    /// Seconds between check-ins; what the hub says when it is left out.
    pub interval_seconds: Option<u32>,
}

/// How to install and judge updates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateConfig {
    /// What a payload is.
    #[serde(default)]
    pub payload: PayloadKind,
    /// What restarts the payload after the switch.
    #[serde(default)]
    pub restart: RestartConfig,
    /// Where releases lie, and who tells the machine which one to start.
    #[serde(default)]
    pub slots: SlotsConfig,
    /// A program that is told the slot (`a`, `b` or `none`) after the switch, to set a boot
    /// loader's variables for instance.
    pub slot_command: Option<Vec<String>>,
    /// How often an unconfirmed release may be started: 1 to 20.
    #[serde(default = "three")]
    pub trial_attempts: u8,
    /// How long the health checks may take to pass, all together.
    #[serde(default = "sixty")]
    pub health_grace_seconds: u64,
    /// The slowest transfer that is not given up, in bytes a second.
    #[serde(default = "one_kib")]
    pub minimum_rate_bytes_per_second: u64,
    /// Over how many milliseconds the rate is taken.
    #[serde(default = "half_a_minute")]
    pub rate_window_ms: u64,
    /// The largest payload that is fetched, in bytes.
    #[serde(default = "four_gib")]
    pub max_payload_bytes: u64,
    /// The largest size of an unpacked tar, in bytes.
    #[serde(default = "four_gib")]
    pub max_unpacked_bytes: u64,
    /// The most entries of a tar.
    #[serde(default = "hundred_thousand")]
    pub max_entries: u64,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadKind {
    /// One file, taken as it is, executable.
    #[default]
    File,
    /// A tar archive, unpacked.
    Tar,
}

/// Where releases lie, and who tells the machine which one to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SlotsConfig {
    /// Two directories in the state directory, and a link to the one that runs.
    #[default]
    Directory,
    /// Two places for whole images, two partitions for instance, and a program that knows the boot
    /// loader. A verb is added to its arguments:
    ///
    /// - `write a|b`: the image is on standard input; 0 when it is on the medium.
    /// - `activate a|b|none`: the next boot runs this slot, on trial.
    /// - `confirm a|b`: the slot that runs is to stay.
    /// - `current`: prints the slot that the machine runs from, `a` or `b`.
    ///
    /// Each may be asked for again after a cut.
    Command {
        /// The program and its first arguments.
        command: Vec<String>,
        /// From where the image of slot A is read back.
        a: PathBuf,
        /// From where the image of slot B is read back.
        b: PathBuf,
        /// How long a verb may take.
        #[serde(default = "ten_minutes")]
        timeout_seconds: u64,
    },
}

/// What restarts the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartConfig {
    /// The program and its arguments; none where the payload notices the switch by itself.
    pub command: Option<Vec<String>>,
    /// Does the command restart the machine, this agent included?
    #[serde(default)]
    pub reboots: bool,
    /// How long it may take.
    #[serde(default = "sixty")]
    pub timeout_seconds: u64,
}

/// One health check. Exactly one of `command`, `http` and `pid_file`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// A program that ends with 0 when all is well.
    pub command: Option<Vec<String>>,
    /// An address `http://127.0.0.1:PORT/path` that answers 200 to 299 when all is well.
    pub http: Option<String>,
    /// A file with the number of a process that has to be alive, the same one, for
    /// `alive_seconds`.
    pub pid_file: Option<PathBuf>,
    /// See `pid_file`.
    #[serde(default = "ten")]
    pub alive_seconds: u64,
    /// How long one try may take.
    #[serde(default = "ten")]
    pub timeout_seconds: u64,
}

/// What the commands of people do on this device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandsConfig {
    /// Directories and files with the data of whoever operates the device. Wiping empties the
    /// directories and removes the files. `data` in the state directory by default.
    #[serde(default = "data_directory")]
    pub data: Vec<PathBuf>,
    /// A program that unlocks debugging until the next reset. Without it a command to unlock is
    /// `unsupported`.
    pub debug_unlock: Option<Vec<String>>,
}

impl Default for CommandsConfig {
    fn default() -> CommandsConfig {
        CommandsConfig { data: data_directory(), debug_unlock: None }
    }
}

/// What the sandbox leaves open besides what the agent always needs: the directory of a software
/// token, for instance. Absolute paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// Read, and all below.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// Read and written, and all below.
    #[serde(default)]
    pub write: Vec<PathBuf>,
}

impl AgentConfig {
    /// Reads and checks `agent.toml`, and the environment for a proxy.
    ///
    /// # Errors
    /// [`AgentError::Config`] or [`AgentError::Setting`], naming line or setting;
    /// [`AgentError::KeyStore`] for a file of credentials that cannot be read or is not private.
    pub fn read(file: &Path) -> Result<AgentConfig, AgentError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| AgentError::Storage { path: file.to_owned(), source })?;
        AgentConfig::parse_in(&text, file, |name| std::env::var(name).ok())
    }

    /// Checks the text of an `agent.toml` that lies, or would lie, at `file`. The environment is
    /// not asked.
    ///
    /// # Errors
    /// As [`AgentConfig::read`].
    pub fn parse(text: &str, file: &Path) -> Result<AgentConfig, AgentError> {
        AgentConfig::parse_in(text, file, |_| None)
    }

    fn parse_in(
        text: &str,
        file: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<AgentConfig, AgentError> {
        let mut config: AgentConfig = toml::from_str(text).map_err(|error| AgentError::Config {
            file: file.to_owned(),
            problem: error.to_string(),
        })?;
        file.clone_into(&mut config.file);
        let base = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let base = std::path::absolute(base.unwrap_or(Path::new(".")))
            .map_err(|source| AgentError::Storage { path: file.to_owned(), source })?;
        config.state = base.join(&config.state);
        let state = config.state.clone();
        match &mut config.key_store {
            KeyStoreConfig::SealedFile { directory, secret_file } => {
                *directory = state.join(&directory);
                *secret_file = secret_file.as_ref().map(|path| state.join(path));
            }
            KeyStoreConfig::Pkcs11 { pin_file, .. } => *pin_file = state.join(&pin_file),
            KeyStoreConfig::Tpm { directory, .. } => *directory = state.join(&directory),
        }
        for check in &mut config.health {
            check.pid_file = check.pid_file.as_ref().map(|path| state.join(path));
        }
        for path in &mut config.commands.data {
            *path = state.join(&path);
        }
        let credentials = config.proxy.credentials_file.take();
        config.proxy.credentials_file = credentials.map(|path| state.join(path));
        config.proxies = config.proxy.resolve(file, environment)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), AgentError> {
        let refuse = |setting: &str, problem: &str| {
            Err(AgentError::Setting {
                file: self.file.clone(),
                setting: setting.to_owned(),
                problem: problem.to_owned(),
            })
        };
        if matches!(self.key_store, KeyStoreConfig::Tpm { .. }) && !cfg!(feature = "tpm") {
            return refuse("key_store.kind", "this agent was built without the feature `tpm`");
        }
        let update = &self.update;
        if update.restart.command.is_none() && self.health.is_empty() {
            return refuse(
                "health",
                "without update.restart.command and without a health check nothing would show that a release works; declare at least one [[health]]",
            );
        }
        if update.restart.reboots && update.restart.command.is_none() {
            return refuse("update.restart.reboots", "needs update.restart.command");
        }
        for (setting, command) in [
            ("update.restart.command", &update.restart.command),
            ("update.slot_command", &update.slot_command),
            ("commands.debug_unlock", &self.commands.debug_unlock),
        ] {
            if let Some(problem) = command.as_deref().and_then(command_problem) {
                return refuse(setting, problem);
            }
        }
        if let SlotsConfig::Command { command, a, b, .. } = &update.slots {
            if let Some(problem) = command_problem(command) {
                return refuse("update.slots.command", problem);
            }
            if !a.is_absolute() || !b.is_absolute() || a == b {
                return refuse("update.slots.a", "a and b have to be two absolute paths");
            }
            if update.payload != PayloadKind::File {
                return refuse("update.payload", "whole images are not unpacked: leave it out");
            }
            if update.slot_command.is_some() {
                return refuse("update.slot_command", "update.slots.command is told the slot");
            }
        }
        if !(1..=20).contains(&update.trial_attempts) {
            return refuse("update.trial_attempts", "has to be 1 to 20");
        }
        if update.rate_window_ms == 0 {
            return refuse("update.rate_window_ms", "has to be above 0");
        }
        if self.poll.interval_seconds == Some(0) {
            return refuse("poll.interval_seconds", "has to be above 0");
        }
        let keeps = |path: &PathBuf| self.state.starts_with(path) || self.is_own(path);
        if self.commands.data.iter().any(keeps) {
            return refuse("commands.data", "names what the agent itself keeps, or all of it");
        }
        for (index, check) in self.health.iter().enumerate() {
            if let Some((name, problem)) = check.problem() {
                return refuse(&format!("health[{index}].{name}"), problem);
            }
        }
        Ok(())
    }

    /// Does the agent keep its own things there?
    fn is_own(&self, path: &Path) -> bool {
        let keystore = match &self.key_store {
            KeyStoreConfig::SealedFile { directory, .. }
            | KeyStoreConfig::Tpm { directory, .. } => Some(directory.clone()),
            KeyStoreConfig::Pkcs11 { .. } => None,
        };
        [Some(self.anchors_dir()), Some(self.slots_dir()), Some(self.state_file()), keystore]
            .into_iter()
            .flatten()
            .any(|own| own.starts_with(path) || path.starts_with(&own))
    }

    /// Says to whoever looks, the service manager first, that nothing will run here again.
    pub(crate) fn end_marker(&self) -> PathBuf {
        self.state.join("decommissioned")
    }

    pub(crate) fn anchors_dir(&self) -> PathBuf {
        self.state.join("anchors")
    }

    pub(crate) fn slots_dir(&self) -> PathBuf {
        self.state.join("slots")
    }

    /// Where an image lies between the hub and its slot.
    pub(crate) fn fetched_image(&self, slot: Slot) -> PathBuf {
        self.slots_dir().join(slot.name()).join("component-0.part")
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.state.join("state")
    }
}

impl UpdateConfig {
    pub(crate) fn rate_window(&self) -> Duration {
        Duration::from_millis(self.rate_window_ms)
    }

    /// Bytes that have to come in one window.
    pub(crate) fn bytes_per_window(&self) -> u64 {
        self.minimum_rate_bytes_per_second.saturating_mul(self.rate_window_ms) / 1000
    }
}

impl HealthCheck {
    /// What is wrong with it, and where.
    fn problem(&self) -> Option<(&'static str, &'static str)> {
        let given = [self.command.is_some(), self.http.is_some(), self.pid_file.is_some()];
        if given.into_iter().filter(|given| *given).count() != 1 {
            return Some(("command", "exactly one of command, http and pid_file has to be set"));
        }
        if let Some(problem) = self.command.as_deref().and_then(command_problem) {
            return Some(("command", problem));
        }
        if self.http.as_deref().is_some_and(|address| loopback_address(address).is_none()) {
            return Some((
                "http",
                "has to be http://127.0.0.1:PORT/path or http://[::1]:PORT/path",
            ));
        }
        None
    }
}

/// Address, port and path of an `http://` address on loopback.
pub(crate) fn loopback_address(address: &str) -> Option<(IpAddr, u16, &str)> {
    let rest = address.strip_prefix("http://")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    let (host, port) = authority.rsplit_once(':')?;
    let host: IpAddr = match host {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        _ => host.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
    };
    (host.is_loopback() && plain).then_some((host, port.parse().ok()?, path))
}

fn command_problem(command: &[String]) -> Option<&'static str> {
    match command.first() {
        None => Some("is empty; write [\"/path/of/program\", \"argument\"]"),
        Some(program) if !program.starts_with('/') => {
            Some("has to begin with the absolute path of a program")
        }
        _ => None,
    }
}

impl Default for KeyStoreConfig {
    fn default() -> KeyStoreConfig {
        KeyStoreConfig::SealedFile { directory: keystore_directory(), secret_file: None }
    }
}

fn keystore_directory() -> PathBuf {
    PathBuf::from("keystore")
}

fn data_directory() -> Vec<PathBuf> {
    vec![PathBuf::from("data")]
}

fn tpm_device() -> String {
    "device:/dev/tpmrm0".to_owned()
}

const fn three() -> u8 {
    3
}

const fn ten() -> u64 {
    10
}

const fn sixty() -> u64 {
    60
}

const fn ten_minutes() -> u64 {
    600
}

const fn one_kib() -> u64 {
    1024
}

const fn half_a_minute() -> u64 {
    30_000
}

const fn four_gib() -> u64 {
    4 << 30
}

const fn hundred_thousand() -> u64 {
    100_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AgentConfig, AgentError> {
        AgentConfig::parse(text, Path::new("/var/lib/ringfort/agent.toml"))
    }

    const SMALLEST: &str = "[update]\n[[health]]\ncommand = [\"/bin/true\"]\n";

    #[test]
    fn the_smallest_file_has_safe_defaults() {
        let config = parse(SMALLEST).unwrap();
        assert_eq!(config.state, Path::new("/var/lib/ringfort"));
        assert_eq!(config.update.trial_attempts, 3);
        assert_eq!(config.update.payload, PayloadKind::File);
        assert!(matches!(
            &config.key_store,
            KeyStoreConfig::SealedFile { directory, secret_file: None }
                if directory == Path::new("/var/lib/ringfort/keystore")
        ));
        assert_eq!(config.update.bytes_per_window(), 30 * 1024);
    }

    #[test]
    fn a_product_without_hook_and_without_health_check_is_refused() {
        let refused = parse("[update]\n").unwrap_err();
        assert!(matches!(&refused, AgentError::Setting { setting, .. } if setting == "health"));
        let hooked = "[update]\n[update.restart]\ncommand = [\"/bin/true\"]\n";
        assert!(parse(hooked).is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, named) in [
            (
                "[update]\ntrial_attempts = 0\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "update.trial_attempts",
            ),
            (
                "[update]\nslot_command = []\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "update.slot_command",
            ),
            (
                "[commands]\ndata = [\"slots\"]\n[update]\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "commands.data",
            ),
            (
                "[commands]\ndata = [\"/var\"]\n[update]\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "commands.data",
            ),
            (
                "[commands]\ndebug_unlock = [\"unlock\"]\n[update]\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "commands.debug_unlock",
            ),
            ("[update]\n[[health]]\ncommand = [\"true\"]\n", "health[0].command"),
            ("[update]\n[[health]]\n", "health[0].command"),
            ("[update]\n[[health]]\nhttp = \"http://10.0.0.1:80/\"\n", "health[0].http"),
            ("[update]\n[[health]]\nhttp = \"https://127.0.0.1/\"\n", "health[0].http"),
            (
                "[update]\nrestart = { reboots = true }\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "update.restart.reboots",
            ),
            (
                "[poll]\ninterval_seconds = 0\n[update]\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "poll.interval_seconds",
            ),
            (
                "[update]\nrate_window_ms = 0\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "update.rate_window_ms",
            ),
            (
                "[update]\nslots = { kind = \"command\", command = [\"slots\"], a = \"/a\", b = \"/b\" }\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "update.slots.command",
            ),
            (
                "[update]\nslots = { kind = \"command\", command = [\"/slots\"], a = \"/a\", b = \"/a\" }\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "update.slots.a",
            ),
            (
                "[update]\npayload = \"tar\"\nslots = { kind = \"command\", command = [\"/slots\"], a = \"/a\", b = \"/b\" }\n[[health]]\ncommand = [\"/bin/true\"]\n",
                "update.payload",
            ),
        ] {
            let refused = parse(text).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{named}`")), "{refused}");
        }
        let unknown = parse("[update]\nspeed = 1\n").unwrap_err().to_string();
        assert!(unknown.contains("speed") && unknown.contains("line 2"), "{unknown}");
        let unknown = parse("[key_store]\nkind = \"floppy\"\n").unwrap_err().to_string();
        assert!(unknown.contains("floppy"), "{unknown}");
    }

    #[test]
    fn a_tpm_is_taken_only_by_an_agent_that_is_built_for_one() {
        let parsed = parse(&format!("[key_store]\nkind = \"tpm\"\n{SMALLEST}"));
        match cfg!(feature = "tpm") {
            true => assert!(matches!(
                parsed.unwrap().key_store,
                KeyStoreConfig::Tpm { tcti, .. } if tcti == "device:/dev/tpmrm0"
            )),
            false => assert!(parsed.unwrap_err().to_string().contains("`key_store.kind`")),
        }
    }

    #[test]
    fn only_loopback_is_probed() {
        assert!(loopback_address("http://127.0.0.1:8080/health").is_some());
        assert!(loopback_address("http://localhost:80").is_some());
        assert!(loopback_address("http://[::1]:80/x").is_some());
        for bad in [
            "http://example.org:80/",
            "http://127.0.0.1/",
            "ftp://127.0.0.1:1/",
            "http://127.0.0.1:1/a b",
        ] {
            assert!(loopback_address(bad).is_none(), "{bad}");
        }
    }
}
