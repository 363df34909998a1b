//! The command line: which commands there are, in which group, and who does their work.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{audit, deploy, device, factory, hub, pki, release};
use crate::failure::Failure;
use crate::output::{self, conclude_quietly};

/// Reads the arguments, runs the command, shows what came of it.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let parsed = Ringfort::command()
        .help_template(help_template())
        .try_get_matches_from(arguments)
        .and_then(|matches| Ringfort::from_arg_matches(&matches));
    let Ringfort { json, operator_dir, command } = match parsed {
        Ok(ringfort) => ringfort,
        Err(error) => return usage(&error),
    };
    match command {
        Command::Device { dir, command } => command.run(dir.or(operator_dir).as_deref(), json),
        Command::Deploy { dir, command } => command.run(dir.or(operator_dir).as_deref(), json),
        Command::Audit { dir, command } => command.run(dir.or(operator_dir).as_deref(), json),
        Command::Release { command } => command.run(operator_dir.as_deref(), json),
        _ if operator_dir.is_some() => conclude_quietly(Err(no_operator_here()), json),
        Command::Pki { command } => command.run(json),
        Command::Hub { command } => command.run(json),
        Command::Factory { command } => command.run(json),
    }
}

fn no_operator_here() -> Failure {
    Failure::usage(
        "--dir before the command names an operator's folder",
        "This command does not talk to a hub as an operator.",
        "Put --dir behind the command; there it names the command's own directory.",
    )
}

/// Device security for connected products: identities, signed updates, a hub to run them.
#[derive(Parser)]
#[command(name = "ringfort", version, arg_required_else_help = true)]
struct Ringfort {
    /// Print one JSON value on standard output
    #[arg(long, global = true)]
    json: bool,

    /// The operator's folder, for commands that talk to a hub [default: ~/.config/ringfort]
    #[arg(long = "dir", value_name = "DIR")]
    operator_dir: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make and keep the roots, the authorities and the anchors
    Pki {
        #[command(subcommand)]
        command: pki::Command,
    },
    /// Set up and run a hub
    Hub {
        #[command(subcommand)]
        command: hub::Command,
    },
    /// Run a factory site: give devices their identity
    Factory {
        #[command(subcommand)]
        command: factory::Command,
    },
    /// Make, sign, check and publish releases
    Release {
        #[command(subcommand)]
        command: release::Command,
    },
    /// See devices and move them through their lifecycle
    Device {
        /// The operator's folder [default: ~/.config/ringfort]
        #[arg(long, global = true, value_name = "DIR")]
        dir: Option<PathBuf>,

        #[command(subcommand)]
        command: device::Command,
    },
    /// Offer releases to devices, and see how far they are
    Deploy {
        /// The operator's folder [default: ~/.config/ringfort]
        #[arg(long, global = true, value_name = "DIR")]
        dir: Option<PathBuf>,

        #[command(subcommand)]
        command: deploy::Command,
    },
    /// Take the audit log away, and check it offline
    Audit {
        /// The operator's folder [default: ~/.config/ringfort]
        #[arg(long, global = true, value_name = "DIR")]
        dir: Option<PathBuf>,

        #[command(subcommand)]
        command: audit::Command,
    },
}

/// Shows help, version or what is wrong with the command line: exit code 0 or 2.
fn usage(error: &clap::Error) -> ExitCode {
    // A reader that went away is no failure of the command.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

fn help_template() -> String {
    let mut groups = String::new();
    let command = Ringfort::command();
    for (heading, names) in GROUPS {
        let mut table = output::Table::plain();
        for name in *names {
            let about = command.find_subcommand(name).and_then(|c| c.get_about());
            table.row(["  ", name, &about.map(ToString::to_string).unwrap_or_default()]);
        }
        groups.push_str(&format!("{heading}:\n{table}\n\n"));
    }
    format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}\n\n{EXIT_CODES}"
    )
}

/// The groups of commands in order of use.
const GROUPS: &[(&str, &[&str])] = &[
    ("Set up", &["pki", "hub", "factory"]),
    ("Build and sign", &["release"]),
    ("Operate", &["device", "deploy", "audit"]),
];

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 refused, failed or findings · 2 wrong usage
Passphrases are asked for on a terminal or read from a file of mode 0600, never from arguments.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Ringfort::command().debug_assert();
    }

    #[test]
    fn an_operators_folder_is_taken_before_and_behind_the_command() {
        for line in ["ringfort --dir q device list", "ringfort device list --dir q"] {
            let parsed = Ringfort::try_parse_from(line.split(' ')).unwrap();
            let Command::Device { dir, .. } = parsed.command else { panic!("{line}") };
            assert_eq!(dir.or(parsed.operator_dir), Some(PathBuf::from("q")), "{line}");
        }
    }

    #[test]
    fn every_command_stands_in_exactly_one_group() {
        for command in Ringfort::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&command.get_name()));
            assert_eq!(groups.count(), 1, "{}", command.get_name());
        }
        for name in GROUPS.iter().flat_map(|(_, names)| *names) {
            assert!(Ringfort::command().find_subcommand(name).is_some(), "{name}");
        }
    }
}
