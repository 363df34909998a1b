//! `hub.toml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ringfort_keystore::Passphrase;
use ringfort_pki::{CrlPolicy, ServerName};
use serde::{Deserialize, Serialize};

use super::tpm_pin;
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
    /// What opens the hub's keys: `file:NAME` in the hub's directory, `credential:NAME` of systemd,
    /// or `tpm:NAME`, a file in the hub's directory that only this machine's TPM opens.
    pub pin: String,
    /// Into how many shards the CRL of the Device CA is cut; never to be lowered.
    pub crl_shards: u16,
    /// Where devices connect.
    pub devices: Listener,
    /// Where operators connect.
    pub operators: Listener,
    /// How much one sender may ask for, where it is not the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Shares>,
    /// The TPM that opens the PIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<Tpm>,
}

/// A TPM 2.0, and the state of the machine that it asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tpm {
    /// How it is reached: `device:/dev/tpmrm0`.
    pub tcti: String,
    /// The SHA-256 PCRs whose values must be what they were when the PIN was sealed.
    #[serde(default)]
    pub pcrs: Vec<u8>,
}

/// How much one sender may ask for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// With one certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Share>,
    /// From one address. A site behind one address translator is one; a handshake counts as ten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Share>,
}

/// A share.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Requests a second.
    pub per_second: u32,
    /// Requests at once after a time of silence.
    pub burst: u32,
}

/// A listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// What the other side connects to: HOST or HOST:PORT.
    pub address: String,
    /// What the hub listens on. Devices and operators may share a port; then the names in their
    /// addresses must differ.
    pub listen: SocketAddr,
    /// Operators only: a certificate chain (PEM) that a public authority issued, in place of one
    /// of the Server CA. A path in the hub's directory, an absolute one, or `credential:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The key for it (PEM, mode 0600), named in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Operators only, in place of both: an authority that issues a certificate by ACME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
}

/// An authority that issues certificates by ACME (RFC 8555).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// The address of its directory, https.
    pub directory: String,
    /// The address of its terms of service: who writes it here agrees to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// Where the authority may write to, `mailto:people@example.com` for instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// What the authority's own address is certified by, where the machine does not trust it
    /// anyway: a file with certificates (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
}

impl HubConfig {
    /// Reads the configuration of a hub's directory.
    pub fn read(directory: &Path) -> Outcome<HubConfig> {
        let path = path(directory);
        let text = files::read_text(&path, MAX_BYTES)
            .map_err(|f| f.next("Set the hub up with `ringfort hub init`."))?;
        let config: HubConfig = toml::from_str(&text).map_err(|e| {
            Failure::failed(
                format!("cannot read {}", path.display()),
                e.to_string().trim_end().replace('\n', "\n        "),
                "Correct the line; the hub's documentation lists every setting.",
            )
        })?;
        config.check().map_err(|why| {
            let what = format!("{} makes no sense", path.display());
            Failure::failed(what, why, "Correct it; docs/operate.md shows whole examples.")
        })?;
        Ok(config)
    }

    /// Whether the settings make sense together; why not, in a sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        let Listener { certificate, key, acme, .. } = &self.devices;
        if certificate.is_some() || key.is_some() || acme.is_some() {
            return Err("Devices trust the Server CA alone: no other certificate can be theirs.");
        }
        if self.operators.certificate.is_some() != self.operators.key.is_some() {
            return Err("A certificate for operators needs its key beside it, and the other way \
                        round.");
        }
        if !(1..=CrlPolicy::MAX_SHARDS).contains(&self.crl_shards) {
            return Err("The CRL has 1 to 4096 shards.");
        }
        let Some(acme) = &self.operators.acme else { return Ok(()) };
        if self.operators.certificate.is_some() {
            return Err("Operators' certificate comes from files or from an authority, not both.");
        }
        if !acme.directory.starts_with("https://") {
            return Err("The address of an ACME directory begins with https://.");
        }
        let reached = Address::parse(&self.operators.address).ok();
        if self.loopback_only || !reached.is_some_and(|at| at.port == 443 && at.ip().is_none()) {
            return Err(
                "An authority looks for operators' host name on port 443, so their address \
                        has to be a name without another port (RFC 8737).",
            );
        }
        Ok(())
    }

    /// Whether devices and operators share a port.
    pub fn one_port(&self) -> bool {
        self.devices.listen == self.operators.listen
    }

    /// Puts other settings in the place of those that are there.
    pub fn replace(&self, directory: &Path) -> Outcome<()> {
        let text = toml::to_string(self)
            .map_err(|e| Failure::failed("cannot write hub.toml", e.to_string(), "Report this."))?;
        files::replace(&path(directory), text.as_bytes(), files::PUBLIC)
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
            Some(("tpm", name)) => {
                return tpm_pin::open(directory, &directory.join(name), self.tpm.as_ref());
            }
            _ => {
                return Err(Failure::failed(
                    format!("hub.toml: pin = \"{}\" says nothing", self.pin),
                    "It is file:NAME, credential:NAME or tpm:NAME.",
                    "Write pin = \"file:pin\", or name a credential of systemd.",
                ));
            }
        };
        passphrase::existing(Some(&place), "the hub's keys")
    }
}

impl Listener {
    /// A listener with a certificate of the Server CA.
    pub fn new(address: String, listen: SocketAddr) -> Listener {
        Listener { address, listen, certificate: None, key: None, acme: None }
    }

    /// Whether it shows a certificate that a public authority issued.
    pub fn has_public_certificate(&self) -> bool {
        self.certificate.is_some() || self.acme.is_some()
    }

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

/// A file that is named in hub.toml: in the hub's directory, somewhere else, or a credential.
pub fn file(directory: &Path, named: &str) -> Outcome<PathBuf> {
    match named.strip_prefix("credential:") {
        Some(name) => credential(name),
        None => Ok(directory.join(named)),
    }
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
