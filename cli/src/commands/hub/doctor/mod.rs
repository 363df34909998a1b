//! `ringfort hub doctor`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use self::fault::Finding;
use crate::commands::pki::record::Record;
use crate::failure::Outcome;
use crate::output::{self, conclude, conclude_quietly};

mod data;
mod fault;
mod keys;
mod online;
mod settings;
mod trust;

/// What to look at.
#[derive(Args)]
pub struct Options {
    /// The hub's directory; the hub may be serving
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,

    /// Ask the running hub too, as the operator whose folder this is
    #[arg(long, value_name = "DIR")]
    pub operator: Option<PathBuf>,

    /// Only show every fault that is looked for, as a table
    #[arg(long)]
    pub list: bool,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    directory: PathBuf,
    running: bool,
    findings: Vec<Finding>,
}

/// Looks a hub over. Exit code 1 when there is a finding.
pub fn run(options: &Options, json: bool) -> ExitCode {
    if options.list {
        output::line(fault::table().trim_end());
        return ExitCode::SUCCESS;
    }
    match examine(options) {
        Err(failure) => conclude_quietly(Err(failure), json),
        Ok(report) => {
            let healthy = report.findings.is_empty();
            let shown = conclude(Ok(report), json);
            if healthy { shown } else { ExitCode::FAILURE }
        }
    }
}

fn examine(options: &Options) -> Outcome<Report> {
    let directory = &options.dir;
    // Without this file it is no hub's directory, and there is nothing to look over.
    let record = Record::read(directory)?;
    let running = super::lock::is_held(directory);
    let mut findings = Vec::new();
    let config = settings::examine(directory, &record, running, &mut findings);
    keys::examine(directory, config.as_ref(), &mut findings);
    trust::examine(directory, &record, config.as_ref(), &mut findings);
    data::examine(directory, config.as_ref(), &mut findings)?;
    if let Some(operator) = &options.operator {
        online::examine(directory, operator, &mut findings);
    }
    Ok(Report { directory: directory.clone(), running, findings })
}

/// A path as it is shown: below the hub's directory.
fn shown(directory: &Path, path: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.running { "running" } else { "not running" };
        write!(f, "The hub in {} ({state}): ", self.directory.display())?;
        match self.findings.len() {
            0 => return f.write_str("no findings."),
            1 => f.write_str("1 finding")?,
            count => write!(f, "{count} findings")?,
        }
        for finding in &self.findings {
            write!(f, "\n\n{}  {}", finding.fault, finding.at)?;
            if !finding.seen.is_empty() {
                write!(f, "\n  seen: {}", finding.seen)?;
            }
            write!(f, "\n  why:  {}\n  next: {}", finding.meaning, finding.next_step)?;
        }
        Ok(())
    }
}
