//! `ringfort hub`: set up and run a hub.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::output::conclude;

pub mod add_site;
pub mod config;
pub mod init;
pub mod open;
pub mod serve;

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Set up the directory that `pki init` made, with its first administrator
    Init(init::Options),
    /// Run the hub until it is told to stop
    Serve(serve::Options),
    /// Tell a running hub of a factory site that `pki add-site` approved
    AddSite(add_site::Options),
}

impl Command {
    /// Does it need an operator's folder?
    pub fn talks_to_hub(&self) -> bool {
        matches!(self, Command::AddSite(_))
    }

    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::Init(options) => conclude(init::run(&options), json),
            Command::Serve(options) => serve::run(&options, json),
            Command::AddSite(options) => conclude(add_site::run(&options, dir), json),
        }
    }
}
