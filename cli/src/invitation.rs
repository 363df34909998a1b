//! An invitation as a file: what somebody needs to reach the hub for the first time, and the secret
//! that lets in one key, once, within an hour.

use std::path::Path;

use ringfort_api::model::NewLogin;
use ringfort_cose::{PublicKey, Reason, Sign};
use ringfort_keystore::{public_key_to_pem, read_private};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
use crate::keys::key_failure;
use crate::{clock, csr, files};

/// What stands in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Host and port of the hub's operator address.
    pub hub: String,
    /// Who is invited.
    pub name: String,
    /// The role.
    pub role: String,
    /// 32 hexadecimal digits.
    pub secret: String,
    /// Until when it works.
    pub until: String,
    /// What the hub's certificate must come from: certificates in PEM, or `system` for what this
    /// machine trusts.
    pub server_ca: String,
    /// Signs the heads of the audit log, PEM.
    pub evidence_key: String,
}

impl Invitation {
    /// Reads one that only its owner can read.
    pub fn read(path: &Path) -> Outcome<Invitation> {
        let bytes = read_private(path, MAX_BYTES).map_err(key_failure)?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        toml::from_str(text).map_err(|error| {
            Failure::refused(Reason::Malformed, format!("{} is no invitation", path.display()))
                .why(format!("{}.", error.message()))
                .next("Take the file as `ringfort user add` or `ringfort hub init` made it.")
        })
    }

    /// Writes it for its owner alone.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        let Invitation { name, until, .. } = self;
        // Text always serialises.
        let text = toml::to_string(self).unwrap_or_default();
        let text = format!(
            "# Whoever has this file can become {name} at the hub: once, until {until}.\n\
             # Hand it over so that nobody else sees it; then: ringfort login FILE\n{text}"
        );
        files::write_new(path, text.as_bytes(), 0o600)
    }

    /// The request by which the key is registered. The key itself stays where it is.
    pub fn login(&self, key: &dyn Sign) -> Outcome<NewLogin> {
        Ok(NewLogin { secret: self.secret.clone(), request: csr::request_pem(key)? })
    }
}

/// A public key as it stands in an invitation.
pub fn public_pem(key: &PublicKey) -> String {
    public_key_to_pem(key)
}

/// Until when an invitation works, for people.
pub fn until(ends_ms: i64) -> String {
    clock::text(ends_ms.unsigned_abs() / 1000)
}

/// In place of certificates: whatever this machine trusts.
pub const SYSTEM: &str = "system";
const MAX_BYTES: usize = 64 * 1024;
