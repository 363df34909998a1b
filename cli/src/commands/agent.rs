//! `ringfort-agent`: the agent of a Linux device.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ringfort_agent::{AgentConfig, AgentError, Enrolled, Installed, Medium, Status};
use ringfort_cose::Reason;
use ringfort_messages::{IdentityAnswer, IdentityRequest};
use ringfort_trust::Token;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::keys::key_failure;
use crate::output::{Table, conclude, conclude_quietly};
use crate::runtime::{self, Stop};
use crate::{clock, files, logging};

/// The commands of the agent.
#[derive(Subcommand)]
pub enum Command {
    /// Print an agent.toml to start from
    Example,
    /// Ask the factory for an identity, and take it
    Identity {
        #[command(subcommand)]
        command: IdentityCommand,
    },
    /// Enrol at the hub: get the operational certificate
    Enrol,
    /// Run: enrol if need be, poll, update, renew, until told to stop
    Run,
    /// Carry out an order that came on a medium, where no hub is reached
    Apply(Apply),
    /// Show what the agent knows about its device
    Status,
    /// Start programs for `run`, which cannot do it from its sandbox
    #[command(hide = true)]
    Runner,
}

/// What lies on the medium.
#[derive(Args)]
pub struct Apply {
    /// The order, made for this device by `ringfort device order`
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
    /// The command that it names [default: `command` beside the order, if it is there]
    #[arg(long, value_name = "FILE")]
    command: Option<PathBuf>,
    /// The release that it names, a directory [default: `release` beside the order]
    #[arg(long, value_name = "DIR")]
    release: Option<PathBuf>,
    /// Newer anchors, a directory of N.cbor [default: `anchors` beside the order]
    #[arg(long, value_name = "DIR")]
    anchors: Option<PathBuf>,
}

/// The two steps at the factory.
#[derive(Subcommand)]
pub enum IdentityCommand {
    /// Make the device's keys and write the request for the factory's station
    Request {
        /// Where to write the request
        #[arg(long, value_name = "FILE", default_value = "identity.request")]
        out: PathBuf,
    },
    /// Take the identity file that the station made; it is done once
    Install {
        /// The identity file
        file: PathBuf,
    },
}

impl Command {
    /// Runs the command and shows what came of it. `place` is `agent.toml` or its directory.
    pub fn run(self, place: &Path, json: bool) -> ExitCode {
        let file = if place.is_dir() { place.join("agent.toml") } else { place.to_owned() };
        match self {
            Command::Example => conclude(Ok(Example { agent_toml: EXAMPLE }), json),
            Command::Identity { command: IdentityCommand::Request { out } } => {
                conclude(request(&file, &out), json)
            }
            Command::Identity { command: IdentityCommand::Install { file: identity } } => {
                conclude(install(&file, &identity), json)
            }
            Command::Enrol => {
                logging::start(json);
                conclude(enrol(&file), json)
            }
            Command::Run => {
                logging::start(json);
                conclude_quietly(run(&file), json)
            }
            Command::Apply(medium) => {
                logging::start(json);
                conclude(apply(&file, &medium), json)
            }
            Command::Status => conclude(status(&file), json),
            Command::Runner => {
                logging::start(json);
                conclude_quietly(runner(&file), json)
            }
        }
    }
}

/// Where the agent's configuration is looked for.
pub const DEFAULT_CONFIG: &str = "/var/lib/ringfort/agent.toml";

fn request(file: &Path, out: &Path) -> Outcome<Requested> {
    let config = configuration(file)?;
    files::must_be_absent(out)?;
    let bytes = ringfort_agent::identity_request(&config).map_err(agent_failure)?;
    files::write_new(out, &bytes, files::PUBLIC)?;
    let request = IdentityRequest::decode(&bytes)
        .map_err(|reason| Failure::refused(reason, "the request cannot be read back"))?;
    Ok(Requested {
        ueid: request.ueid.to_string(),
        key_store: request.protection.store.name(),
        hardware_keys: request.protection.hardware_keys,
        request: out.to_owned(),
    })
}

fn install(file: &Path, identity: &Path) -> Outcome<InstalledReport> {
    let config = configuration(file)?;
    let bytes = files::read(identity, IdentityAnswer::MAX_LEN)?;
    let Installed { device, fleet, hub } =
        ringfort_agent::identity_install(&config, &bytes).map_err(agent_failure)?;
    Ok(InstalledReport { device: device.to_string(), fleet: fleet.to_string(), hub })
}

fn enrol(file: &Path) -> Outcome<EnrolledReport> {
    let config = configuration(file)?;
    let enrolled = runtime::new()?.block_on(ringfort_agent::enrol(&config));
    let Enrolled { device, certificate_ends } = enrolled.map_err(agent_failure)?;
    let certificate_ends = clock::text(certificate_ends.0);
    Ok(EnrolledReport { device: device.to_string(), certificate_ends })
}

fn apply(file: &Path, given: &Apply) -> Outcome<AppliedReport> {
    let config = configuration(file)?;
    let beside = |name: &str| Some(given.order.with_file_name(name)).filter(|path| path.exists());
    let command = given.command.clone().or_else(|| beside("command"));
    let medium = Medium {
        order: files::read(&given.order, Token::MAX_LEN)?,
        command: command
            .map(|path| files::read(&path, ringfort_trust::Command::MAX_LEN))
            .transpose()?,
        release: given.release.clone().or_else(|| beside("release")),
        anchors: given.anchors.clone().or_else(|| beside("anchors")),
    };
    let applied = runtime::new()?.block_on(ringfort_agent::apply(&config, &medium));
    let applied = applied.map_err(agent_failure)?;
    let what = format!("order {} is {}", applied.order, applied.state);
    match (applied.state, applied.reason) {
        ("confirmed" | "trial" | "written", _) => Ok(AppliedReport {
            device: applied.device.to_string(),
            order: applied.order.0,
            action: applied.action,
            state: applied.state,
        }),
        (_, Some(reason)) => {
            let detail = match &*applied.detail {
                "" => String::new(),
                detail => format!(": {detail}"),
            };
            Err(Failure::refused(reason, format!("{what}{detail}")))
        }
        _ => Err(Failure::failed(
            what,
            "The release that it names is not whole on the medium.",
            "Put it beside the order as `release`, or name it with --release, and apply the same \
             order again.",
        )),
    }
}

fn run(file: &Path) -> Outcome<()> {
    let config = configuration(file)?;
    let executable = std::env::current_exe().map_err(|e| {
        Failure::failed(
            "the agent cannot find its own executable",
            files::sentence(&e),
            "Start it by its full path.",
        )
    })?;
    let mut runner = std::process::Command::new(executable);
    runner.arg("agent").arg("--config").arg(&config.file).arg("runner");
    let stop = || async {
        match Stop::new() {
            Ok(mut stop) => stop.wait().await,
            // Without signals the agent runs until it is killed, which it survives.
            Err(_) => std::future::pending().await,
        }
    };
    ringfort_agent::run_sandboxed(&config, runner, stop).map_err(agent_failure)
}

fn runner(file: &Path) -> Outcome<()> {
    ringfort_agent::runner::serve(&configuration(file)?).map_err(agent_failure)
}

fn status(file: &Path) -> Outcome<StatusReport> {
    ringfort_agent::status(&configuration(file)?).map(StatusReport).map_err(agent_failure)
}

fn configuration(file: &Path) -> Outcome<AgentConfig> {
    if !file.exists() {
        return Err(Failure::failed(
            format!("there is no {}", file.display()),
            "The agent has to be told how to restart the product and how to see that it is well.",
            format!("Start from the example: ringfort-agent example > {}", file.display()),
        ));
    }
    AgentConfig::read(file).map_err(agent_failure)
}

/// What the agent refused, as a person reads it.
pub fn agent_failure(error: AgentError) -> Failure {
    match error {
        AgentError::KeyStore(error) => key_failure(error),
        AgentError::Setting { .. } | AgentError::Config { .. } => Failure::failed(
            "the agent's configuration cannot be used",
            error.to_string().trim_end().replace('\n', "\n        "),
            "Correct the setting; `ringfort-agent example` shows a whole file.",
        ),
        AgentError::Storage { path, source } => Failure::failed(
            format!("cannot use {}", path.display()),
            files::sentence(&source),
            "Check free space and who may write there.",
        ),
        AgentError::Refused { code, detail } => {
            let what = if detail.is_empty() {
                "the hub refused".to_owned()
            } else {
                format!("the hub refused: {detail}")
            };
            match Reason::from_code(&code) {
                Some(reason) => Failure::refused(reason, what),
                None => Failure::failed(what, format!("Its reason is {code}."), "Look at its log."),
            }
        }
        AgentError::Identity { reason, detail } => {
            Failure::refused(reason, "the identity file is refused").why(format!("{detail}."))
        }
        AgentError::Answer { reason, detail } => {
            Failure::refused(reason, format!("the hub's answer is refused: {detail}"))
        }
        AgentError::Order(reason) => Failure::refused(reason, "the order is refused"),
        AgentError::RolledBack { .. } => Failure::refused(error.reason(), error.to_string()),
        AgentError::State(_) => Failure::failed(
            error.to_string(),
            "The state is damaged, or its key store is not the one that it was made with.",
            "Put state and key store of this device back together; where they are gone, give it a \
             new identity.",
        ),
        AgentError::Proxy { address, reason, detail } => {
            Failure::refused(reason, format!("the proxy {address} does not open the way"))
                .why(format!("{detail}."))
        }
        AgentError::NoIdentity => Failure::refused(Reason::NotFound, "the device has no identity")
            .why("The factory has not given it one.")
            .next(
                "Run `ringfort-agent identity request`, have the station answer, then \
                 `ringfort-agent identity install`.",
            ),
        AgentError::HasIdentity => {
            Failure::refused(Reason::AlreadyExists, "the device has an identity")
                .why("It is given once, at the factory.")
                .next("Use the device as it is; a new identity needs an empty state directory.")
        }
        AgentError::Decommissioned => {
            Failure::refused(Reason::Decommissioned, "the device was decommissioned")
                .why("A command that people signed has destroyed its keys and its software.")
        }
        AgentError::Busy(_) => Failure::failed(
            error.to_string(),
            "Two agents on one state would undo each other's work.",
            "Stop the other one first; `ringfort-agent status` works beside it.",
        ),
        AgentError::Unreachable { .. } => Failure::failed(
            error.to_string(),
            "The hub's address stands in the anchors.",
            "Check the network and that the hub runs, then try again.",
        ),
        AgentError::ServerNotTrusted(_) => Failure::failed(
            error.to_string(),
            "Only the Server CAs in the anchors are trusted.",
            "Check that this address leads to the fleet's own hub, and the device's clock.",
        ),
        error => {
            Failure::failed(error.to_string(), error.reason().meaning(), error.reason().next_step())
        }
    }
}

#[derive(Serialize)]
struct Example {
    agent_toml: &'static str,
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.agent_toml.trim_end())
    }
}

#[derive(Serialize)]
struct Requested {
    ueid: String,
    key_store: &'static str,
    hardware_keys: bool,
    request: PathBuf,
}

impl fmt::Display for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hardware = if self.hardware_keys { "in hardware" } else { "not in hardware" };
        writeln!(f, "The device's keys are made: {}, {hardware}", self.key_store)?;
        writeln!(f, "  UEID {}", self.ueid)?;
        write!(
            f,
            "Next, at the station: ringfort factory provision --device NAME {}",
            self.request.display()
        )
    }
}

#[derive(Serialize)]
struct InstalledReport {
    device: String,
    fleet: String,
    hub: String,
}

impl fmt::Display for InstalledReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "This device is {} of fleet {}", self.device, self.fleet)?;
        write!(f, "Next: when the hub at {} has its batch, ringfort-agent run", self.hub)
    }
}

#[derive(Serialize)]
struct EnrolledReport {
    device: String,
    certificate_ends: String,
}

impl fmt::Display for EnrolledReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is enrolled; its certificate ends {}", self.device, self.certificate_ends)
    }
}

#[derive(Serialize)]
struct AppliedReport {
    device: String,
    order: u64,
    action: &'static str,
    state: &'static str,
}

impl fmt::Display for AppliedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AppliedReport { device, order, action, state } = self;
        match *state {
            "confirmed" => write!(f, "{device} has carried out order {order}: {action}")?,
            _ => write!(f, "{device} is at order {order}: {action}, {state}")?,
        }
        match (*action, *state) {
            ("decommission", _) => Ok(()),
            (_, "confirmed") => write!(f, "\nThe hub hears of it when the agent reaches it again."),
            _ => write!(f, "\nIt goes on when the machine has restarted."),
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct StatusReport(Status);

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { keys, update, release, command, debug_nonce, .. } = &self.0;
        let none = "none";
        let mut table = Table::plain();
        table.row(["device", self.0.device.as_deref().unwrap_or("no name yet")]);
        table.row(["UEID", &self.0.ueid]);
        table.row(["agent", if self.0.running { "running" } else { "not running" }]);
        let hardware = if keys.hardware_keys { "in hardware" } else { "not in hardware" };
        let counter =
            if keys.hardware_counter { "hardware counter" } else { "no hardware counter" };
        table.row(["keys", &format!("{}, {hardware}, {counter}", keys.store)]);
        table.row(["hub", self.0.hub.as_deref().unwrap_or(none)]);
        if let Some(proxy) = &self.0.proxy {
            table.row(["through", &format!("the proxy {proxy}")]);
        }
        let anchors = self.0.anchors.map_or_else(|| none.to_owned(), |v| format!("version {v}"));
        table.row(["anchors", &anchors]);
        let ends = self.0.certificate_ends.map(clock::text);
        let enrolled = match (self.0.enrolled, ends) {
            (true, Some(ends)) => format!("yes, until {ends}"),
            (true, None) => "yes".to_owned(),
            (false, _) => "no".to_owned(),
        };
        table.row(["enrolled", &enrolled]);
        let release = release.as_ref().map_or_else(
            || none.to_owned(),
            |r| format!("{}, sequence {}, slot {}", r.version, r.sequence, r.slot),
        );
        table.row(["release", &release]);
        if let Some(update) = update {
            let reason = update.reason.as_ref().map(|code| format!(" [{code}]"));
            let text = format!("{}{} {}", update.state, reason.unwrap_or_default(), update.detail);
            table.row(["update", &text]);
        }
        if let Some(command) = command {
            table.row(["command", &format!("{command} is being carried out")]);
        }
        if let Some(nonce) = debug_nonce {
            table.row(["debug nonce", nonce]);
        }
        if self.0.decommissioned {
            table.row(["out of use", "for ever, by a command; it has no keys any more"]);
        }
        table.fmt(f)
    }
}

/// A whole configuration; a test reads it with the agent's own reader.
const EXAMPLE: &str = r#"# The agent of this device. Relative paths start in the directory of this file.

# Where the keys live: files here, or a PKCS#11 token.
[key_store]
kind = "sealed-file"
# kind = "pkcs11"
# module = "/usr/lib/softhsm/libsofthsm2.so"
# token = "device"
# pin_file = "token-pin"        # mode 0600
# hardware = false              # true where the token gives no key out

# The HTTP proxy on the way to the hub; without this section HTTPS_PROXY and NO_PROXY count.
# [proxy]
# address = "http://proxy.example:3128"     # empty: no proxy, whatever the environment says
# credentials_file = "proxy-credentials"    # one line user:password, mode 0600
# direct = ["files.example", "10.0.0.0/8"]  # reached without it, as in NO_PROXY

[update]
payload = "file"                # or "tar", unpacked
trial_attempts = 3              # starts before an unconfirmed release is given up
health_grace_seconds = 60       # how long the health checks may take to pass

# What restarts the product after the switch of slots/current.
[update.restart]
command = ["/usr/bin/systemctl", "restart", "product.service"]

# What commands that people sign do here. Wiping empties these; the product keeps its data there.
[commands]
data = ["data"]
# debug_unlock = ["/usr/lib/product/unlock-debug"]

# All health checks have to pass before a release is confirmed. Each is one of: command, http,
# pid_file with alive_seconds.
[[health]]
http = "http://127.0.0.1:8080/health"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_configuration() {
        let config = AgentConfig::parse(EXAMPLE, Path::new("/var/lib/ringfort/agent.toml"));
        assert_eq!(config.unwrap().health.len(), 1);
    }
}
