//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// What to measure, and with which executable.
pub struct Arguments {
    /// The executable under measurement.
    pub ringfort: PathBuf,
    /// How many devices to register.
    pub devices: usize,
    /// Print one JSON object.
    pub json: bool,
    /// Keep the fleet in this directory, and use the one that is there.
    pub keep: Option<PathBuf>,
    /// The source tree to assess; the sources of the crates that cargo fetched where none is named.
    pub sources: Option<PathBuf>,
    only: Vec<String>,
}

impl Arguments {
    /// Reads the arguments.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Arguments> {
        let mut arguments = Arguments {
            ringfort: PathBuf::from("target/release/ringfort"),
            devices: DEVICES,
            json: false,
            keep: None,
            sources: None,
            only: Vec::new(),
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--json" => arguments.json = true,
                "--ringfort" => arguments.ringfort = value()?.into(),
                "--keep" => arguments.keep = Some(value()?.into()),
                "--sources" => arguments.sources = Some(value()?.into()),
                "--devices" => arguments.devices = value()?.parse().context("--devices")?,
                "--only" => arguments.only.push(value()?),
                _ => bail!("unknown argument '{word}'; {USAGE}"),
            }
        }
        if let Some(unknown) = arguments.only.iter().find(|name| !NAMES.contains(&name.as_str())) {
            bail!("there is no figure '{unknown}'; the names are: {}", NAMES.join(", "));
        }
        arguments.ringfort = std::fs::canonicalize(&arguments.ringfort)
            .with_context(|| format!("no executable {}", arguments.ringfort.display()))?;
        Ok(arguments)
    }

    /// Is this one asked for?
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Is any asked for that stands beside a raw limit, or these themselves?
    pub fn needs_limits(&self) -> bool {
        NAMES.iter().any(|name| *name != "assess" && self.wants(name))
    }

    /// Is any asked for that needs a hub?
    pub fn needs_a_hub(&self) -> bool {
        let without = ["raw", "verify", "assess"];
        NAMES.iter().any(|name| !without.contains(name) && self.wants(name))
    }
}

const USAGE: &str = "usage: [--only NAME]... [--json] [--ringfort FILE] [--devices N] \
                     [--keep DIR] [--sources DIR]";
const NAMES: [&str; 11] = [
    "raw",
    "verify",
    "idle",
    "est",
    "check-in",
    "offered",
    "connections",
    "restart",
    "deploy",
    "revocation",
    "assess",
];
/// A thousand more than are ever revoked: someone has to be left to ask.
const DEVICES: usize = 101_000;
