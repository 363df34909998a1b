//! `hub.toml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ringfort_keystore::Passphrase;
use ringfort_pki::ServerName;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::failure::{Failure, Outcome};
use crate::{files, passphrase};

/// What a hub is told in `hub.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubConfig {
    /// How many people have to agree to what cannot be undone: 1 or 2.
    pub approvals: u8,
    /// Seconds between two check-ins of a device.
    pub poll_seconds: u32,
    /// Serves this machine only.
    pub loopback_only: bool,
    /// What opens the hub's keys: `file:NAME` in the hub's directory, or `credential:NAME` of
    /// systemd.
    pub pin: String,
    /// Into how many shards the CRL of the Device CA is cut; never to be lowered.
    pub crl_shards: u16,
    /// Where devices connect.
    pub devices: Listener,
    /// Where operators connect.
    pub operators: Listener,
}

/// A listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// What the other side connects to: HOST or HOST:PORT.
    pub address: String,
    /// What the hub listens on.
    pub listen: SocketAddr,
}

impl HubConfig {
    /// Reads the configuration of a hub's directory.
    pub fn read(directory: &Path) -> Outcome<HubConfig> {
        let path = path(directory);
        let text = files::read_text(&path, MAX_BYTES)
            .map_err(|f| f.next("Set the hub up with `ringfort hub init`."))?;
        toml::from_str(&text).map_err(|e| {
            Failure::failed(
                format!("cannot read {}", path.display()),
                e.to_string().trim_end().replace('\n', "\n        "),
                "Correct the line; the hub's documentation lists every setting.",
            )
        })
    }

    /// Writes the configuration of a new hub.
    pub fn write(&self, directory: &Path) -> Outcome<()> {
        let text = toml::to_string(self)
            .map_err(|e| Failure::failed("cannot write hub.toml", e.to_string(), "Report this."))?;
        files::write_new(&path(directory), text.as_bytes(), files::PUBLIC)
    }

    /// What opens the hub's keys.
    pub fn passphrase(&self, directory: &Path) -> Outcome<Passphrase> {
        let place = match self.pin.split_once(':') {
            Some(("file", name)) => directory.join(name),
            Some(("credential", name)) => credential(name)?,
            _ => {
                return Err(Failure::failed(
                    format!("hub.toml: pin = \"{}\" says nothing", self.pin),
                    "It is file:NAME or credential:NAME.",
                    "Write pin = \"file:pin\", or name a credential of systemd.",
                ));
            }
        };
        passphrase::existing(Some(&place), "the hub's keys")
    }
}

impl Listener {
    /// The address that the other side connects to.
    pub fn address(&self) -> Outcome<Address> {
        Address::parse(&self.address)
    }

    /// The name that stands in the listener's certificate.
    pub fn server_name(&self) -> Outcome<ServerName> {
        let address = self.address()?;
        Ok(match address.ip() {
            Some(ip) => ServerName::Ip(ip),
            None => ServerName::Dns(address.host),
        })
    }
}

/// Where the configuration lies.
pub fn path(directory: &Path) -> PathBuf {
    directory.join("hub.toml")
}

/// systemd hands credentials over as files in a directory (systemd.exec(5), LoadCredential=).
fn credential(name: &str) -> Outcome<PathBuf> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    directory.map(|directory| directory.join(name)).ok_or_else(|| {
        Failure::failed(
            format!("the credential {name} is not there"),
            "No service manager handed credentials over (CREDENTIALS_DIRECTORY is not set).",
            "Start the hub as a systemd service with LoadCredential=, or use pin = \"file:pin\".",
        )
    })
}

const MAX_BYTES: usize = 64 * 1024;
