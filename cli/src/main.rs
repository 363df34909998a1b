//! The `ringfort` executable: every command, no rules of its own.
//!
//! Called as `ringfort-agent` (or as `ringfort agent`) it is the agent of a Linux device.
//!
//! [`command_line`] names the commands and their groups, one module of [`commands`] does each
//! group's work, and [`output`] shows what came of it. Everything else here is shared by them.
#![forbid(unsafe_code)]

mod address;
mod anchors;
mod ask;
mod clock;
mod command_line;
mod commands;
mod csr;
mod envelope_file;
mod evidence_keys;
mod failure;
mod files;
mod invitation;
mod keys;
mod log_seen;
mod logging;
mod operator;
mod output;
mod passphrase;
mod product;
mod quickstart;
mod runtime;
mod site_files;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    command_line::run(std::env::args_os().collect())
}
