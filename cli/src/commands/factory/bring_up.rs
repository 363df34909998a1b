//! `ringfort factory bring-up`: a device whose files are at hand gets its identity and comes into
//! stock, by the steps that station, device and hub take.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_agent::AgentConfig;
use serde::Serialize;

use super::{STATION_PIN, export, import, provision};
use crate::commands::agent::agent_failure;
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::{files, output, words};

/// Which device, and how it runs its product.
#[derive(Args)]
pub struct Options {
    /// The device's directory: of this machine, or a board's that is mounted; made where it is not
    pub directory: PathBuf,

    /// The device's name, its serial number: unique in the fleet, for life
    #[arg(long, value_name = "NAME")]
    pub device: String,

    /// What restarts the product, for agent.toml; runs in the device's directory
    #[arg(long, value_name = "COMMAND", requires = "health")]
    pub restart: Option<String>,

    /// What says by exit code 0 that the product is well, for agent.toml; runs there too
    #[arg(long, value_name = "COMMAND", requires = "restart")]
    pub health: Option<String>,

    /// The device's product [default: the only one in the anchors]
    #[arg(long, value_name = "VENDOR/CLASS")]
    pub product: Option<String>,

    /// The station's directory
    #[arg(long, value_name = "DIR", default_value = "station")]
    pub station: PathBuf,

    /// Take the passphrase of the station's keys from this file [default: pin in its directory]
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,

    /// The operator's folder [default: ~/.config/ringfort]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The device that is in stock now.
#[derive(Serialize)]
pub struct Report {
    device: String,
    directory: PathBuf,
    batch: PathBuf,
    hub: String,
}

/// Makes the device's keys in its directory, its identity, its batch, and hands that in.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let operator = options.dir.as_deref().or(dir);
    // Asked first, so that nothing is begun for a hub that is not there.
    let hub = Operator::open(operator)?;
    hub.wait(hub.client().status())?;
    let config = configuration(options)?;
    let (request, identity) =
        (options.directory.join("identity.request"), options.directory.join("identity"));
    for file in [&request, &identity] {
        files::must_be_absent(file)?;
    }
    let bytes = ringfort_agent::identity_request(&config).map_err(agent_failure)?;
    files::write_new(&request, &bytes, files::PUBLIC)?;
    output::progress("The device's keys are made, and stay in its directory.");

    let station = text(&options.station)?;
    let pin = options.pin_file.clone().unwrap_or_else(|| options.station.join(STATION_PIN));
    let mut access = vec!["--dir", &station];
    let pin = text(&pin)?;
    if options.pin_file.is_some() || Path::new(&pin).exists() {
        access.extend(["--pin-file", &pin]);
    }
    let (request, answer) = (text(&request)?, text(&identity)?);
    let mut step = vec![&*request, "--device", &options.device, "--out", &answer];
    step.extend(options.product.iter().flat_map(|product| ["--product", product]));
    step.extend(&access);
    provision::run(&words::options(&step)?)?;
    let bytes = files::read(&identity, ringfort_messages::IdentityAnswer::MAX_LEN)?;
    let installed = ringfort_agent::identity_install(&config, &bytes).map_err(agent_failure)?;

    let batch = options.station.join(format!("{}.batch", options.device));
    let file = text(&batch)?;
    let mut step = vec!["--out", &*file];
    step.extend(&access);
    export::run(&words::options(&step)?)?;
    import::run(&words::options(&[&*file])?, operator).map_err(|failure| {
        failure.next(format!("When that is mended: ringfort factory import {file}"))
    })?;
    Ok(Report {
        device: installed.device.to_string(),
        directory: options.directory.clone(),
        batch,
        hub: installed.hub,
    })
}

/// The agent's configuration: the one that is there, or a new one.
fn configuration(options: &Options) -> Outcome<AgentConfig> {
    let file = options.directory.join("agent.toml");
    match (&options.restart, &options.health, file.exists()) {
        (None, _, false) | (_, None, false) => {
            return Err(Failure::usage(
                format!("there is no {}", file.display()),
                "The agent has to be told how to restart the product and how to see that it is well.",
                "Give --restart COMMAND and --health COMMAND, or write the file: `ringfort-agent \
                 example` shows one.",
            ));
        }
        (Some(_), _, true) => {
            return Err(Failure::usage(
                format!("{} is there", file.display()),
                "It says how the product is restarted, and is not overwritten.",
                "Leave out --restart and --health, or move the file away.",
            ));
        }
        (None, _, true) => {}
        (Some(restart), Some(health), false) => {
            if !options.directory.is_dir() {
                files::new_directory(&options.directory)?;
            }
            let place = std::path::absolute(&options.directory).map_err(|error| {
                Failure::failed(
                    "the directory has no path",
                    files::sentence(&error),
                    "Name another.",
                )
            })?;
            let text = agent_toml(&text(&place)?, restart, health);
            files::write_new(&file, text.as_bytes(), 0o600)?;
        }
    }
    AgentConfig::read(&file).map_err(agent_failure)
}

fn agent_toml(place: &str, restart: &str, health: &str) -> String {
    let quoted = |command: &str| {
        toml::Value::from(format!("cd '{}' && {command}", place.replace('\'', r"'\''"))).to_string()
    };
    format!(
        "# The agent of this device, written by `ringfort factory bring-up`.\n\
         # `ringfort-agent example` shows what else there is.\n\
         [key_store]\nkind = \"sealed-file\"\n\n\
         [poll]\n# For a bench. Without this line the hub says how often.\ninterval_seconds = 5\n\n\
         [update.restart]\ncommand = [\"/bin/sh\", \"-c\", {}]\n\n\
         [[health]]\ncommand = [\"/bin/sh\", \"-c\", {}]\n",
        quoted(restart),
        quoted(health)
    )
}

fn text(path: &Path) -> Outcome<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::usage("a folder's name is not text", "It is not UTF-8.", "Name another one.")
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} has its identity and is in stock at {}", self.device, self.hub)?;
        write!(f, "Next: ringfort-agent --config {} run", self.directory.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_whatever_the_commands_hold() {
        let text = agent_toml("/srv/it's", "printf \"%s\\n\" 'a b' > started", "test -s started");
        let config = AgentConfig::parse(&text, Path::new("/srv/agent.toml")).unwrap();
        let command = config.update.restart.command.unwrap();
        assert_eq!(command[2], r#"cd '/srv/it'\''s' && printf "%s\n" 'a b' > started"#);
        assert_eq!(config.health.len(), 1);
    }
}
