//! `ringfort deploy`: offer a release to devices, and see how far they are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use ringfort_api::client::After;
use ringfort_api::model::{Deadlines, Deployment, NewDeployment, Outcome as Asked, Target};
use ringfort_cose::Reason;
use serde::Serialize;

use super::device::{time_of, waiting};
use super::release::publish;
use crate::envelope_file;
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::output::{self, Table, conclude};

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Offer a release to one device, or to every device of its class
    Create(Create),
    /// Show all deployments, or one with its devices
    Status {
        /// The deployment; all of them without it
        id: Option<String>,
        /// Wait until no device is on its way any more, at most so many seconds
        #[arg(long, value_name = "SECONDS", requires = "id")]
        wait: Option<u64>,
    },
    /// Offer it to no further device
    Pause {
        /// The deployment
        id: String,
    },
    /// Go on with a paused deployment
    Resume {
        /// The deployment
        id: String,
    },
    /// End a deployment; devices that are in their trial finish it
    Halt {
        /// The deployment
        id: String,
    },
}

/// What to offer to whom.
#[derive(Args)]
pub struct Create {
    /// The release: its envelope file, or the digest of its manifest
    #[arg(long, value_name = "FILE|DIGEST")]
    release: String,
    /// Only this device; without it every device of the release's class
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Hand the release to the hub first, with its payloads
    #[arg(long)]
    publish: bool,
    /// Wait until every device has ended, at most so many seconds; exit code 0 when all of them,
    /// and at least one, confirmed it
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// How long each phase may take, in seconds: offered, downloading, written, trial
    #[arg(long, value_name = "S,S,S,S", value_delimiter = ',', num_args = 4)]
    deadlines: Option<Vec<u64>>,
}

impl Command {
    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::Create(options) => match options.wait.map(Duration::from_secs) {
                None => conclude(create(dir, &options), json),
                Some(wait) => conclude(confirmed(dir, &options, wait), json),
            },
            Command::Status { id: None, .. } => conclude(list(dir), json),
            Command::Status { id: Some(id), wait } => {
                conclude(status(dir, &id, wait.map(Duration::from_secs)), json)
            }
            Command::Pause { id } => conclude(change(dir, &id, Change::Pause), json),
            Command::Resume { id } => conclude(change(dir, &id, Change::Resume), json),
            Command::Halt { id } => conclude(change(dir, &id, Change::Halt), json),
        }
    }
}

fn create(dir: Option<&Path>, options: &Create) -> Outcome<Created> {
    let operator = Operator::open(dir)?;
    if options.publish {
        let release = PathBuf::from(&options.release);
        publish::run(&publish::Options { release, dir: None }, dir)?;
    }
    let new = NewDeployment {
        manifest: manifest_digest(&options.release)?,
        device: options.device.clone(),
        deadlines: options.deadlines.as_deref().and_then(deadlines),
    };
    operator.wait(operator.client().create_deployment(&new)).map(Created)
}

/// Creates it, and waits for its end.
fn confirmed(dir: Option<&Path>, options: &Create, wait: Duration) -> Outcome<Status> {
    let deadline = Instant::now() + wait;
    let id = match create(dir, options)?.0 {
        Asked::Done { result } => result.id,
        Asked::Waiting { given, required } => {
            return Err(Failure::refused(
                Reason::ApprovalRequired,
                format!("the deployment waits for approval: {given} of {required}"),
            ));
        }
    };
    output::progress(format_args!("Deployment {id}"));
    let operator = Operator::open(dir)?;
    let (mut shown, mut status);
    shown = String::new();
    loop {
        let deployment = operator.wait(operator.client().deployment(&id))?;
        status = Status { targets: all_targets(&operator, &id)?, deployment };
        let now = counts(&status.deployment);
        if now != shown {
            output::progress(format_args!("  {now}"));
            shown = now;
        }
        if status.deployment.settled || Instant::now() >= deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    match status.targets.iter().find(|target| target.state != "confirmed") {
        None if !status.targets.is_empty() => Ok(status),
        None => Err(Failure::failed(
            format!("no device asked for the release within {} s", wait.as_secs()),
            "The deployment is open: a device takes it when it checks in.",
            format!("Look at `ringfort device list`, then `ringfort deploy status {id}`."),
        )),
        Some(target) => {
            let what = format!("{} is {}, not confirmed", target.device, target.state);
            let next = format!("Look again with `ringfort deploy status {id}`.");
            let reason = target.reason.as_deref().and_then(Reason::from_code);
            Err(match reason {
                Some(reason) => Failure::refused(reason, what),
                None => Failure::failed(what, "It is on its way still.", next),
            })
        }
    }
}

fn list(dir: Option<&Path>) -> Outcome<Deployments> {
    let operator = Operator::open(dir)?;
    let after = After { after: None, limit: Some(100) };
    let page = operator.wait(operator.client().deployments(&after))?;
    Ok(Deployments(page.items))
}

fn status(dir: Option<&Path>, id: &str, wait: Option<Duration>) -> Outcome<Status> {
    let operator = Operator::open(dir)?;
    let deadline = wait.map(|wait| Instant::now() + wait);
    loop {
        let deployment = operator.wait(operator.client().deployment(id))?;
        if deployment.settled || deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            let targets = all_targets(&operator, id)?;
            return Ok(Status { deployment, targets });
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

enum Change {
    Pause,
    Resume,
    Halt,
}

fn change(dir: Option<&Path>, id: &str, change: Change) -> Outcome<Status> {
    let operator = Operator::open(dir)?;
    let client = operator.client();
    let deployment = operator.wait(async {
        match change {
            Change::Pause => client.pause(id).await,
            Change::Resume => client.resume(id).await,
            Change::Halt => client.halt(id).await,
        }
    })?;
    Ok(Status { deployment, targets: Vec::new() })
}

fn all_targets(operator: &Operator, id: &str) -> Outcome<Vec<Target>> {
    let mut targets = Vec::new();
    let mut after = After { after: None, limit: Some(500) };
    loop {
        let page = operator.wait(operator.client().targets(id, &after))?;
        targets.extend(page.items);
        match page.next {
            Some(next) => after.after = Some(next),
            None => return Ok(targets),
        }
    }
}

/// A digest as it is, or the one in the envelope file of this name.
fn manifest_digest(release: &str) -> Outcome<String> {
    if release.len() == 64 && release.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(release.to_ascii_lowercase());
    }
    let path = PathBuf::from(release);
    if !path.exists() {
        return Err(Failure::usage(
            format!("{release} is neither a digest nor a file"),
            "A release is named by its envelope file or by the digest of its manifest.",
            "`ringfort release inspect FILE` shows the digest.",
        ));
    }
    envelope_file::manifest_digest(&path).map(|digest| digest.to_string())
}

fn deadlines(seconds: &[u64]) -> Option<Deadlines> {
    let [offered_s, downloading_s, written_s, trial_s] = *seconds else { return None };
    Some(Deadlines { offered_s, downloading_s, written_s, trial_s })
}

#[derive(Serialize)]
#[serde(transparent)]
struct Created(Asked<Deployment>);

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Asked::Done { result } => write!(
                f,
                "Deployment {} offers {} to {}.\nNext: ringfort deploy status {}",
                result.id,
                result.version,
                result.device.as_deref().unwrap_or("every device of its class"),
                result.id
            ),
            Asked::Waiting { given, required } => waiting(f, *given, *required),
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Deployments(Vec<Deployment>);

impl fmt::Display for Deployments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("No deployment.");
        }
        let mut table = Table::new(&["DEPLOYMENT", "RELEASE", "FOR", "STATE", "DEVICES", "SINCE"]);
        for deployment in &self.0 {
            table.row([
                deployment.id.as_str(),
                &deployment.version,
                deployment.device.as_deref().unwrap_or("class"),
                &deployment.state,
                &counts(deployment),
                &time_of(deployment.created_ms),
            ]);
        }
        table.fmt(f)
    }
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    deployment: Deployment,
    targets: Vec<Target>,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deployment = &self.deployment;
        write!(f, "{} {} · {}", deployment.version, deployment.state, counts(deployment))?;
        if self.targets.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["DEVICE", "STATE", "GRADE", "REASON", "SINCE"]);
        for target in &self.targets {
            table.row([
                target.device.as_str(),
                &target.state,
                target.grade.as_deref().unwrap_or(""),
                target.reason.as_deref().unwrap_or(""),
                &time_of(target.since_ms),
            ]);
        }
        write!(f, "\n{table}")
    }
}

fn counts(deployment: &Deployment) -> String {
    let counts: Vec<String> = deployment
        .devices
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    if counts.is_empty() { "no device".to_owned() } else { counts.join(" · ") }
}
