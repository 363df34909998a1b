//! `ringfort pki anchors`.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::output::conclude;

pub mod inspect;
pub mod new;
pub mod publish;
pub mod sign;

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Start the next version from the newest one
    New(Box<new::Options>),
    /// Add one person's signature
    Sign(sign::Options),
    /// Show what a document says and who signed it
    Inspect(inspect::Options),
    /// Hand a signed document to the hub
    Publish(publish::Options),
}

impl Command {
    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::New(options) => conclude(new::run(&options), json),
            Command::Sign(options) => conclude(sign::run(&options), json),
            Command::Inspect(options) => conclude(inspect::run(&options), json),
            Command::Publish(options) => conclude(publish::run(&options, dir), json),
        }
    }
}

/// The version before this file's, which lies beside it; none for version 1.
fn before(
    file: &crate::anchors::AnchorsFile,
) -> crate::failure::Outcome<Option<crate::anchors::AnchorsFile>> {
    let version = file.document()?.version().0;
    if version == 1 {
        return Ok(None);
    }
    let path = file.path.with_file_name(format!("{}.cbor", version - 1));
    let before = crate::anchors::AnchorsFile::read(&path).map_err(|failure| {
        failure.next("Put the version before into the same directory, named by its number.")
    })?;
    Ok(Some(before))
}
