//! `ringfort pki`: the roots, the authorities and the anchors, away from any network.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::release::keygen;
use crate::output::conclude;

pub mod add_site;
pub mod anchors;
pub mod authorities;
pub mod export;
pub mod first_fleet;
pub mod init;
pub mod record;
pub mod rotate;

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Make the roots, the hub's keys and version 1 of the anchors
    Init(Box<init::Options>),
    /// Make all that a first fleet needs, on one machine: keys of people, roots, hub, station
    FirstFleet(Box<first_fleet::Options>),
    /// Make a key for signing anchors or commands: one sealed file and its public half
    Keygen(keygen::Options),
    /// Answer a factory site's request: certify its Factory CA, name its station in the anchors
    AddSite(add_site::Options),
    /// Replace the hub's keys: in time, after its theft, or as a drill that changes nothing
    Rotate(rotate::Options),
    /// Change, sign and look at anchors documents: what devices believe
    Anchors {
        #[command(subcommand)]
        command: anchors::Command,
    },
    /// Write what others need to know the fleet's devices: a broker, for instance
    Export(export::Options),
}

impl Command {
    /// Does it need an operator's folder?
    pub fn talks_to_hub(&self) -> bool {
        matches!(
            self,
            Command::Export(_) | Command::Anchors { command: anchors::Command::Publish(_) }
        )
    }

    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::Init(options) => conclude(init::run(&options), json),
            Command::FirstFleet(options) => conclude(first_fleet::run(&options), json),
            Command::Keygen(options) => conclude(keygen::run(&options), json),
            Command::AddSite(options) => conclude(add_site::run(&options), json),
            Command::Rotate(options) => conclude(rotate::run(&options), json),
            Command::Anchors { command } => command.run(dir, json),
            Command::Export(options) => conclude(export::run(&options, dir), json),
        }
    }
}
