//! `ringfort factory`: a site that gives devices their identity, on line or not.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::output::conclude;

pub mod accept;
pub mod bring_up;
pub mod export;
pub mod import;
pub mod init;
pub mod provision;
mod station;

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Make a station: its keys, and the request that `pki add-site` answers
    Init(init::Options),
    /// Take in what `pki add-site` answered, and the signed anchors
    Accept(accept::Options),
    /// Give one device its identity
    Provision(provision::Options),
    /// Bring a device whose files are at hand into stock: all steps at once
    BringUp(Box<bring_up::Options>),
    /// Sign the devices provisioned since the last export as one batch for the hub
    Export(export::Options),
    /// Hand a batch to the hub
    Import(import::Options),
}

impl Command {
    /// Does it need an operator's folder?
    pub fn talks_to_hub(&self) -> bool {
        matches!(self, Command::Import(_) | Command::BringUp(_))
    }

    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::Init(options) => conclude(init::run(&options), json),
            Command::Accept(options) => conclude(accept::run(&options), json),
            Command::Provision(options) => conclude(provision::run(&options), json),
            Command::BringUp(options) => conclude(bring_up::run(&options, dir), json),
            Command::Export(options) => conclude(export::run(&options), json),
            Command::Import(options) => conclude(import::run(&options, dir), json),
        }
    }
}

/// The file in a station's directory that opens its keys, where people put one there.
pub const STATION_PIN: &str = "pin";
