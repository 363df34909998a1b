//! `pki.toml`: what a PKI is called and how long it lives. It stands beside each root and in the
//! hub's directory, and holds no secret.

use std::path::Path;

use ringfort_pki::{Lifetimes, Plan};
use ringfort_trust::ids::FleetId;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
use crate::files;

/// The name of a PKI that is only for trying things out: it ends soon, and its hub talks to this
/// machine only.
pub const QUICKSTART: &str = "quickstart";

/// The contents of `pki.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What the authorities are called.
    pub name: String,
    /// The organization in their names.
    pub organisation: String,
    /// The fleet, for life.
    pub fleet: String,
    /// Everything ends after so many days; none for the standard lifetimes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_days: Option<u32>,
}

impl Record {
    /// Reads it from a directory of the PKI.
    pub fn read(directory: &Path) -> Outcome<Record> {
        let path = directory.join(FILE);
        let text = files::read_text(&path, MAX_BYTES)
            .map_err(|f| f.next("Name a directory that `ringfort pki init` made."))?;
        toml::from_str(&text).map_err(|e| {
            Failure::failed(
                format!("cannot read {}", path.display()),
                e.message().to_owned(),
                "Take the file from another directory of the same PKI.",
            )
        })
    }

    /// Writes it into a directory of the PKI.
    pub fn write(&self, directory: &Path) -> Outcome<()> {
        let path = directory.join(FILE);
        let text = toml::to_string(self)
            .map_err(|e| Failure::failed("cannot write pki.toml", e.to_string(), "Report this."))?;
        files::write_new(&path, text.as_bytes(), files::PUBLIC)
    }

    /// How certificates are named and how long they live.
    pub fn plan(&self) -> Plan {
        Plan {
            organisation: self.organisation.clone(),
            name: self.name.clone(),
            lifetimes: self.valid_days.map_or(Lifetimes::STANDARD, Lifetimes::all_end_in),
        }
    }

    /// Is it only for trying things out, on this machine?
    pub fn is_quickstart(&self) -> bool {
        self.name == QUICKSTART
    }

    /// The fleet's id.
    pub fn fleet_id(&self) -> Outcome<FleetId> {
        self.fleet.parse().map_err(|reason| {
            Failure::refused(reason, "pki.toml does not name a fleet")
                .why(format!("\"{}\" is not a UUID.", self.fleet))
                .next("Take the file from another directory of the same PKI.")
        })
    }
}

const FILE: &str = "pki.toml";
const MAX_BYTES: usize = 16 * 1024;
