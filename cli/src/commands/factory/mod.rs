//! `ringfort factory`: a site that gives devices their identity, on line or not.

use std::process::ExitCode;

use clap::Subcommand;

use crate::output::conclude;

pub mod accept;
pub mod export;
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
    /// Sign the devices provisioned since the last export as one batch for the hub
    Export(export::Options),
}

impl Command {
    /// Runs the command and shows what came of it.
    pub fn run(self, json: bool) -> ExitCode {
        match self {
            Command::Init(options) => conclude(init::run(&options), json),
            Command::Accept(options) => conclude(accept::run(&options), json),
            Command::Provision(options) => conclude(provision::run(&options), json),
            Command::Export(options) => conclude(export::run(&options), json),
        }
    }
}
