//! `ringfort hub`: set up and run a hub.

use std::process::ExitCode;

use clap::Subcommand;

use crate::output::conclude;

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
}

impl Command {
    /// Runs the command and shows what came of it.
    pub fn run(self, json: bool) -> ExitCode {
        match self {
            Command::Init(options) => conclude(init::run(&options), json),
            Command::Serve(options) => serve::run(&options, json),
        }
    }
}
