//! The command line: which commands there are, in which group, and who does their work.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    agent, assess, audit, deploy, device, factory, firmware, hub, login, pki, release, user,
};
use crate::failure::Failure;
use crate::output::{self, conclude, conclude_quietly};
use crate::quickstart;

/// Reads the arguments, runs the command, shows what came of it.
pub fn run(mut arguments: Vec<OsString>) -> ExitCode {
    let named_agent = arguments.get(1).is_some_and(|first| first == "agent");
    if named_agent {
        arguments.remove(1);
    }
    if named_agent || called_as_agent(&arguments) {
        return run_agent(arguments);
    }
    let parsed = Ringfort::command()
        .help_template(help_template())
        .try_get_matches_from(arguments)
        .and_then(|matches| Ringfort::from_arg_matches(&matches));
    let Ringfort { json, operator_dir, command } = match parsed {
        Ok(ringfort) => ringfort,
        Err(error) => return usage(&error),
    };
    if operator_dir.is_some() && !command.talks_to_hub() {
        return conclude_quietly(Err(no_operator_here()), json);
    }
    match command {
        Command::Quickstart(options) => quickstart::run(&options, json),
        Command::Assess(options) => assess::run(options, json),
        Command::Pki { command } => command.run(operator_dir.as_deref(), json),
        Command::Hub { command } => command.run(operator_dir.as_deref(), json),
        Command::Login(options) => conclude(login::run(&options, operator_dir.as_deref()), json),
        Command::User { dir, command } => command.run(dir.or(operator_dir).as_deref(), json),
        Command::Factory { command } => command.run(operator_dir.as_deref(), json),
        Command::Release { command } => command.run(operator_dir.as_deref(), json),
        Command::Firmware { command } => command.run(json),
        Command::Device { dir, command } => command.run(dir.or(operator_dir).as_deref(), json),
        Command::Deploy { dir, command } => command.run(dir.or(operator_dir).as_deref(), json),
        Command::Audit { dir, command } => command.run(dir.or(operator_dir).as_deref(), json),
    }
}

fn run_agent(arguments: Vec<OsString>) -> ExitCode {
    match Agent::try_parse_from(arguments) {
        Ok(Agent { json, config, command }) => command.run(&config, json),
        Err(error) => usage(&error),
    }
}

fn called_as_agent(arguments: &[OsString]) -> bool {
    let name = arguments.first().and_then(|first| Path::new(first).file_name());
    name.is_some_and(|name| name.as_encoded_bytes().ends_with(b"ringfort-agent"))
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
    /// See it all at work on this machine: hub, factory, devices, an update, refused attacks
    Quickstart(quickstart::Options),
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
    /// Make a key here and register it at a hub, with an invitation
    Login(login::Options),
    /// Say who may do what at the hub
    User {
        /// The operator's folder [default: ~/.config/ringfort]
        #[arg(long, global = true, value_name = "DIR")]
        dir: Option<PathBuf>,

        #[command(subcommand)]
        command: user::Command,
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
    /// Run the firmware of microcontrollers on an emulated board
    Firmware {
        #[command(subcommand)]
        command: firmware::Command,
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
    /// Say what is inside a source tree or a firmware image, and what is shared
    Assess(assess::Options),
}

/// The agent of a Linux device: its identity, its updates, its way back.
#[derive(Parser)]
#[command(name = "ringfort-agent", bin_name = "ringfort-agent", version)]
#[command(arg_required_else_help = true, after_help = AGENT_HELP)]
struct Agent {
    /// Print one JSON value on standard output
    #[arg(long, global = true)]
    json: bool,

    /// agent.toml, or the directory that holds it
    #[arg(long, global = true, value_name = "PATH", default_value = agent::DEFAULT_CONFIG)]
    config: PathBuf,

    #[command(subcommand)]
    command: agent::Command,
}

impl Command {
    /// Does it need an operator's folder?
    fn talks_to_hub(&self) -> bool {
        match self {
            Command::Quickstart(_) | Command::Assess(_) | Command::Firmware { .. } => false,
            Command::Pki { command } => command.talks_to_hub(),
            Command::Hub { command } => command.talks_to_hub(),
            Command::Factory { command } => command.talks_to_hub(),
            Command::Release { command } => command.talks_to_hub(),
            Command::Login(_) | Command::User { .. } => true,
            Command::Device { .. } | Command::Deploy { .. } | Command::Audit { .. } => true,
        }
    }
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
    ("Try", &["quickstart"]),
    ("Set up", &["pki", "hub", "login", "user", "factory"]),
    ("Build and sign", &["release", "firmware"]),
    ("Operate", &["device", "deploy", "audit"]),
    ("Assess", &["assess"]),
];

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 refused, failed or findings · 2 wrong usage · 3 not tested (assess only)
Passphrases are asked for on a terminal or read from a file of mode 0600, never from arguments.
";

const AGENT_HELP: &str = "\
Exit codes: 0 done · 1 refused or failed · 2 wrong usage
RINGFORT_LOG chooses what is logged: error, warn, info, debug.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Ringfort::command().debug_assert();
        Agent::command().debug_assert();
    }

    #[test]
    fn the_name_it_is_called_by_decides_who_it_is() {
        for name in ["ringfort-agent", "/usr/bin/ringfort-agent", "./my-ringfort-agent"] {
            assert!(called_as_agent(&[name.into()]), "{name}");
        }
        for name in ["ringfort", "/opt/ringfort-agent/ringfort", ""] {
            assert!(!called_as_agent(&[name.into()]), "{name}");
        }
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
