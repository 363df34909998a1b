//! `ringfort hub`: set up and run a hub.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::output::conclude;

pub mod acknowledge;
mod acme;
pub mod add_site;
mod archive;
pub mod backup;
pub mod config;
pub mod doctor;
pub mod earlier;
mod evidence_key;
pub mod init;
pub mod invite;
mod lock;
pub mod open;
mod public_certificate;
pub mod restore;
pub mod revoke_site;
pub mod rotate;
pub mod seal_pin;
pub mod serve;
mod tpm_pin;

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Set up the directory that `pki init` made, with its first administrator
    Init(Box<init::Options>),
    /// Invite an administrator at a hub that is stopped: when nobody has a key any more
    Invite(invite::Options),
    /// Run the hub until it is told to stop
    Serve(serve::Options),
    /// Tell a running hub of a factory site that `pki add-site` approved
    AddSite(add_site::Options),
    /// End a factory site: a running hub takes no further batch of it
    RevokeSite(revoke_site::Options),
    /// Copy a hub, which may be serving, into a directory
    Backup(backup::Options),
    /// Put a hub back from a backup; it waits until an administrator acknowledges
    Restore(restore::Options),
    /// Hand the PIN of the hub's keys to this machine's TPM
    SealPin(seal_pin::Options),
    /// Take the keys that `pki rotate` made, or replace the evidence key; the hub has to be stopped
    Rotate(rotate::Options),
    /// Look a hub over: find what is wrong or will be, and say what to do
    Doctor(doctor::Options),
    /// Tell a restored hub that you have looked: it serves as before from then on
    Acknowledge(acknowledge::Options),
}

impl Command {
    /// Does it need an operator's folder?
    pub fn talks_to_hub(&self) -> bool {
        matches!(self, Command::AddSite(_) | Command::RevokeSite(_) | Command::Acknowledge(_))
    }

    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::Init(options) => conclude(init::run(&options), json),
            Command::Invite(options) => conclude(invite::run(&options), json),
            Command::Serve(options) => serve::run(&options, json),
            Command::AddSite(options) => conclude(add_site::run(&options, dir), json),
            Command::RevokeSite(options) => conclude(revoke_site::run(&options, dir), json),
            Command::Backup(options) => conclude(backup::run(&options), json),
            Command::Restore(options) => conclude(restore::run(&options), json),
            Command::SealPin(options) => conclude(seal_pin::run(&options), json),
            Command::Rotate(options) => conclude(rotate::run(&options), json),
            Command::Doctor(options) => doctor::run(&options, json),
            Command::Acknowledge(options) => conclude(acknowledge::run(&options, dir), json),
        }
    }
}
