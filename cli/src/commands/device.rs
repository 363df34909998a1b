//! `ringfort device`: the fleet, seen and moved by an operator.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use ringfort_api::client::{After, DeviceFilter};
use ringfort_api::model::{self, Device, DeviceDetails, Event, Outcome as Asked};
use serde::Serialize;

use crate::clock;
use crate::failure::Outcome;
use crate::operator::Operator;
use crate::output::{Table, conclude};

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
            Command::Move { id, to, note } => conclude(move_device(dir, &id, &to, &note), json),
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

fn move_device(dir: Option<&Path>, id: &str, to: &str, note: &str) -> Outcome<MoveAnswer> {
    let operator = Operator::open(dir)?;
    operator.wait(operator.client().move_device(id, to, note)).map(MoveAnswer)
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
                &device.state,
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
        let DeviceDetails { device, running, certificates, updates } = self.0.as_ref();
        let mut table = Table::plain();
        table.row(["device", &device.id]);
        let why = device.state_reason.as_deref().map(|code| format!(" [{code}]"));
        let since = time_of(device.state_since_ms);
        table.row(["state", &format!("{}{} since {since}", device.state, why.unwrap_or_default())]);
        if let Some(alarm) = &device.alarm {
            table.row(["alarm", alarm]);
        }
        table.row(["keys", &device.protection]);
        table.row(["made at", &device.site]);
        table.row(["UEID", &device.ueid]);
        let seen = device.last_seen_ms.map_or_else(|| "never".into(), time_of);
        table.row(["last seen", &seen]);
        table.row(["anchors", &format!("version {}", device.anchors_version)]);
        for runs in running {
            table.row(["runs", &format!("{} (sequence {})", runs.version, runs.sequence)]);
        }
        for target in updates {
            table.row(["update", &target_text(target)]);
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
struct MoveAnswer(Asked<Device>);

impl fmt::Display for MoveAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Asked::Done { result } => write!(f, "{} is {}", result.id, result.state),
            Asked::Waiting { given, required } => waiting(f, *given, *required),
        }
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

/// Unix milliseconds for people.
pub fn time_of(unix_ms: i64) -> String {
    clock::text(u64::try_from(unix_ms / 1000).unwrap_or(0))
}

const PAGE: u32 = 500;
