//! `ringfort release`: keys of people who sign, and what they sign.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::output::conclude;

pub mod inspect;
pub mod keygen;
pub mod new;
pub mod publish;
pub mod sign;
pub mod verify;

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Make a key for signing releases: one sealed file and its public half
    Keygen(keygen::Options),
    /// Make an unsigned release from payload files
    New(new::Options),
    /// Add one signature to a release
    Sign(sign::Options),
    /// Judge a release, or any SUIT envelope: exit code 0 or 1
    Verify(verify::Options),
    /// Show what is in a release
    Inspect(inspect::Options),
    /// Hand a signed release to the hub
    Publish(publish::Options),
}

impl Command {
    /// Does it need an operator's folder?
    pub fn talks_to_hub(&self) -> bool {
        matches!(self, Command::Publish(_))
    }

    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::Publish(options) => conclude(publish::run(&options, dir), json),
            Command::Keygen(options) => conclude(keygen::run(&options), json),
            Command::New(options) => conclude(new::run(&options), json),
            Command::Sign(options) => conclude(sign::run(&options), json),
            Command::Verify(options) => conclude(verify::run(&options), json),
            Command::Inspect(options) => conclude(inspect::run(&options), json),
        }
    }
}
