//! `ringfort device`: the fleet, seen and moved by an operator.

mod command;
mod order;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use ringfort_api::client::{After, DeviceFilter};
use ringfort_api::model::{
    self, DeveloperProduct, Device, DeviceCommand, DeviceDetails, Event, Move, NewDeveloperProduct,
    Outcome as Asked,
};
use serde::Serialize;

use crate::clock;
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::output::{Table, conclude};
use crate::product::ProductName;

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// List devices
    List {
        /// Only those in this lifecycle state
        #[arg(long)]
        state: Option<String>,
        /// Only those of this class (UUID)
        #[arg(long)]
        class: Option<String>,
        /// Only those made at this factory site
        #[arg(long)]
        site: Option<String>,
        /// Only those with an alarm that nobody has settled
        #[arg(long)]
        alarmed: bool,
    },
    /// Show one device: what it runs, its certificates, its updates
    Show {
        /// The device's id
        id: String,
    },
    /// Move a device to another lifecycle state
    Move {
        /// The device's id
        id: String,
        /// The state: deployed, suspended, service, retired, …
        #[arg(long)]
        to: String,
        /// Why; it stands in the audit log
        #[arg(long)]
        note: String,
        /// A command that goes with it: wipe-operational with transfer, decommission with retired
        #[arg(long, value_name = "FILE")]
        command: Option<PathBuf>,
        /// Whom the device is handed to, with provisioned
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
    },
    /// Sign, look at and send commands that wipe, unlock or decommission one device
    #[command(name = "command")]
    Consent {
        #[command(subcommand)]
        command: command::Command,
    },
    /// Take the order that waits for a device on a medium, where the device reaches no hub
    Order(order::Options),
    /// List the products for developers, or make a product one of them
    Developer {
        /// The product that becomes one, for ever: 25 devices, certificates of 30 days
        #[arg(long, value_name = "VENDOR/CLASS", conflicts_with = "class")]
        product: Option<ProductName>,
        /// The same by its class (UUID)
        #[arg(long)]
        class: Option<String>,
    },
    /// What happened to a device lately, oldest first
    History {
        /// The device's id
        id: String,
        /// At most so many entries
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
}

impl Command {
    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::List { state, class, site, alarmed } => {
                conclude(list(dir, &DeviceFilter { state, class, site, alarmed }), json)
            }
            Command::Show { id } => conclude(show(dir, &id), json),
            Command::Move { id, to, note, command, owner } => {
                conclude(move_device(dir, id, to, note, command.as_deref(), owner), json)
            }
            Command::Consent { command } => command.run(dir, json),
            Command::Order(options) => conclude(order::run(dir, &options), json),
            Command::Developer { product, class } => {
                let class = product.map(|product| product.class_id().to_string()).or(class);
                conclude(developer(dir, class), json)
            }
            Command::History { id, limit } => conclude(history(dir, &id, limit), json),
        }
    }
}

/// Every device that the filter lets through, page by page.
fn list(dir: Option<&Path>, filter: &DeviceFilter) -> Outcome<Devices> {
    let operator = Operator::open(dir)?;
    let mut devices = Vec::new();
    let mut after = After { after: None, limit: Some(PAGE) };
    loop {
        let page = operator.wait(operator.client().devices(filter, &after))?;
        devices.extend(page.items);
        match page.next {
            Some(next) => after.after = Some(next),
            None => return Ok(Devices(devices)),
        }
    }
}

fn show(dir: Option<&Path>, id: &str) -> Outcome<Details> {
    let operator = Operator::open(dir)?;
    operator.wait(operator.client().device(id)).map(|details| Details(Box::new(details)))
}

fn move_device(
    dir: Option<&Path>,
    id: String,
    to: String,
    note: String,
    command: Option<&Path>,
    owner: Option<String>,
) -> Outcome<MoveAnswer> {
    if note.contains(char::is_control) {
        return Err(Failure::usage(
            "the note has a control character",
            "It stands in the audit log, where everybody reads it.",
            "Write it in one line.",
        ));
    }
    let command = command.map(command::read).transpose()?.map(hex::encode);
    let wanted = Move { to, note, command, owner };
    let operator = Operator::open(dir)?;
    if STATED.contains(&wanted.to.as_str()) {
        operator.state(&id, &wanted.to, &wanted.note)?;
    }
    let answer = operator.wait(operator.client().move_device_with(&id, &wanted))?;
    Ok(MoveAnswer { to: wanted.to, answer })
}

fn developer(dir: Option<&Path>, class: Option<String>) -> Outcome<Developers> {
    let operator = Operator::open(dir)?;
    let products = match class {
        None => operator.wait(operator.client().developer_products())?,
        Some(class) => {
            let wanted = NewDeveloperProduct { class };
            vec![operator.wait(operator.client().add_developer_product(&wanted))?]
        }
    };
    Ok(Developers(products))
}

fn history(dir: Option<&Path>, id: &str, limit: u32) -> Outcome<History> {
    let operator = Operator::open(dir)?;
    operator.wait(operator.client().history(id, limit)).map(History)
}

#[derive(Serialize)]
#[serde(transparent)]
struct Devices(Vec<Device>);

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("No device.");
        }
        let mut table = Table::new(&["DEVICE", "STATE", "KEYS", "LAST SEEN", "ALARM"]);
        for device in &self.0 {
            table.row([
                device.id.as_str(),
                &state_text(device),
                &device.protection,
                &device.last_seen_ms.map_or_else(|| "never".into(), time_of),
                device.alarm.as_deref().unwrap_or(""),
            ]);
        }
        table.fmt(f)
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Details(Box<DeviceDetails>);

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeviceDetails { device, running, certificates, updates, commands } = self.0.as_ref();
        let mut table = Table::plain();
        table.row(["device", &device.id]);
        let why = device.state_reason.as_deref().map(|code| format!(" [{code}]"));
        let since = time_of(device.state_since_ms);
        table.row([
            "state",
            &format!("{}{} since {since}", state_text(device), why.unwrap_or_default()),
        ]);
        if let Some(alarm) = &device.alarm {
            table.row(["alarm", alarm]);
        }
        if let Some(owner) = &device.owner {
            table.row(["owner", owner]);
        }
        table.row(["keys", &device.protection]);
        table.row(["made at", &device.site]);
        table.row(["UEID", &device.ueid]);
        let seen = device.last_seen_ms.map_or_else(|| "never".into(), time_of);
        table.row(["last seen", &seen]);
        table.row(["anchors", &format!("version {}", device.anchors_version)]);
        for runs in running {
            let what = match runs.manifest {
                Some(_) => format!("{} (sequence {})", runs.version, runs.sequence),
                None => "what the factory wrote: no release yet".to_owned(),
            };
            table.row(["runs", &what]);
        }
        for target in updates {
            table.row(["update", &target_text(target)]);
        }
        for command in commands {
            table.row(["command", &command_text(command)]);
        }
        for certificate in certificates {
            let end = match certificate.revoked_ms {
                Some(at) => format!("revoked {}", time_of(at)),
                None if certificate.kind == "idevid" => "no end".to_owned(),
                None => format!("until {}", time_of(certificate.not_after_ms)),
            };
            let short: String = certificate.fingerprint.chars().take(16).collect();
            table.row(["certificate", &format!("{} {short}… {end}", certificate.kind)]);
        }
        table.fmt(f)
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct MoveAnswer {
    #[serde(skip)]
    to: String,
    answer: Asked<Device>,
}

impl fmt::Display for MoveAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Asked::Done { result } => {
                write!(f, "{} is {}", result.id, state_text(result))?;
                match result.state == self.to {
                    true => Ok(()),
                    false => {
                        write!(f, "; it becomes {} when it has carried out the command", self.to)
                    }
                }
            }
            Asked::Waiting { given, required } => waiting(f, *given, *required),
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Developers(Vec<DeveloperProduct>);

impl fmt::Display for Developers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("No product for developers.");
        }
        let mut table = Table::new(&["CLASS", "DEVICES", "AT MOST"]);
        for product in &self.0 {
            table.row([&*product.class, &product.devices.to_string(), "25"]);
        }
        table.fmt(f)
    }
}

/// The state, and what it rests on where that is worth saying.
fn state_text(device: &Device) -> String {
    match device.grade.as_deref() {
        Some("not-attested") => format!("{} (not attested)", device.state),
        Some(grade) => format!("{} ({grade})", device.state),
        None => device.state.clone(),
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct History(Vec<Event>);

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["WHEN", "WHO", "WHAT", "DETAILS"]);
        for event in &self.0 {
            let details: Vec<String> =
                event.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
            table.row([&time_of(event.at_ms), &event.who, &event.kind, &details.join(" ")]);
        }
        table.fmt(f)
    }
}

/// "Two people": what is still missing.
pub fn waiting(f: &mut fmt::Formatter<'_>, given: u8, required: u8) -> fmt::Result {
    write!(
        f,
        "Asked for by {given} of {required} people; it is done when another asks for the same."
    )
}

/// One line about a device's way through a deployment.
pub fn target_text(target: &model::Target) -> String {
    let grade = target.grade.as_deref().map(|grade| format!(" ({grade})")).unwrap_or_default();
    let reason = target.reason.as_deref().map(|code| format!(" [{code}]")).unwrap_or_default();
    format!("{}{grade}{reason} since {}", target.state, time_of(target.since_ms))
}

fn command_text(command: &DeviceCommand) -> String {
    let reason = command.reason.as_deref().map(|code| format!(" [{code}]")).unwrap_or_default();
    let since = time_of(command.since_ms);
    let state = match &*command.state {
        "written" => "being carried out",
        "confirmed" => "carried out",
        state => state,
    };
    format!("{} {state}{reason} since {since}", command.action)
}

/// Unix milliseconds for people.
pub fn time_of(unix_ms: i64) -> String {
    clock::text(u64::try_from(unix_ms / 1000).unwrap_or(0))
}

/// States that have to hold at a hub in the place of one that was lost, as do the ways out of
/// them: for these the operator signs.
const STATED: [&str; 3] = ["suspended", "retired", "deployed"];
const PAGE: u32 = 500;
