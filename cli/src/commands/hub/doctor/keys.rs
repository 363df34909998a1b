//! The hub's keys, and who may read what.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ringfort_keystore::{Error, Passphrase, SealedKey, SealedSecret};
use ringfort_pki::{CertificateInfo, SubjectKey};

use super::super::acme;
use super::super::archive;
use super::super::backup::DATABASE;
use super::super::config::HubConfig;
use super::fault::{Fault, Finding};
use super::shown;
use crate::commands::pki::authorities::read_certificate;

/// Looks at modes, at what opens the keys, and at every key.
pub fn examine(directory: &Path, config: Option<&HubConfig>, findings: &mut Vec<Finding>) {
    modes(directory, config, findings);
    let Some(config) = config else { return };
    let passphrase = match config.passphrase(directory) {
        Ok(passphrase) => Some(passphrase),
        Err(failure) => {
            let at = format!("hub.toml, pin = \"{}\"", config.pin);
            findings.push(Finding::new(Fault::PinMissing, at, failure.summary()));
            None
        }
    };
    for name in KEYS {
        findings.extend(key(directory, name, passphrase.as_ref()));
    }
    // A hub that has never asked an authority has no account there.
    if directory.join(acme::ACCOUNT).exists() {
        findings.extend(key(directory, ACME_ACCOUNT, passphrase.as_ref()));
    }
}

fn modes(directory: &Path, config: Option<&HubConfig>, findings: &mut Vec<Finding>) {
    let mut places = vec![directory.to_owned(), directory.join("keys"), directory.join(DATABASE)];
    let sealed = archive::names(directory, "keys", &[".sealed"]);
    places.extend(sealed.iter().map(|path| directory.join(path)));
    places.push(acme::certificate(directory));
    if let Some(name) = config.and_then(|config| config.pin.strip_prefix("file:")) {
        places.push(directory.join(name));
    }
    // In a directory that others cannot enter, the database's own mode does not matter.
    let closed = std::fs::metadata(directory).is_ok_and(|meta| meta.mode() & 0o077 == 0);
    for place in places {
        let Ok(meta) = std::fs::metadata(&place) else { continue };
        let (mode, wanted) = (meta.mode() & 0o777, if meta.is_dir() { 0o700 } else { 0o600 });
        let is_database = place.file_name().is_some_and(|name| name == DATABASE);
        if mode & 0o077 != 0 && !(is_database && closed) {
            let seen = format!("mode {mode:04o}: chmod {wanted:o} {}", place.display());
            let at = match place == directory {
                true => place.display().to_string(),
                false => shown(directory, &place),
            };
            findings.push(Finding::new(Fault::ModeTooWide, at, seen));
        }
    }
}

fn key(directory: &Path, name: &str, passphrase: Option<&Passphrase>) -> Option<Finding> {
    let path = directory.join("keys").join(format!("{name}.sealed"));
    let at = shown(directory, &path);
    if !path.exists() {
        return Some(Finding::new(Fault::KeyMissing, at, "no such file"));
    }
    if name == "link" || name == ACME_ACCOUNT {
        let opened = SealedSecret::read(&path)
            .and_then(|sealed| passphrase.map_or(Ok(()), |given| sealed.open(given).map(drop)));
        return opened.err().and_then(|error| does_not_open(at, &error));
    }
    let sealed = match SealedKey::read(&path) {
        Ok(sealed) => sealed,
        Err(error) => return does_not_open(at, &error),
    };
    if let Some(Err(error)) = passphrase.map(|given| sealed.open(given)) {
        return does_not_open(at, &error);
    }
    let certificate = directory.join("certs").join(format!("{name}.pem"));
    // One that is missing or damaged is found with the other certificates.
    let info = read_certificate(&certificate).ok().and_then(|d| CertificateInfo::parse(&d).ok())?;
    let own = SubjectKey::try_from(&sealed.public_key()).ok()?;
    (info.key.fingerprint() != own.fingerprint()).then(|| {
        let seen = format!("{at} holds another key");
        Finding::new(Fault::CertificateDoesNotFit, shown(directory, &certificate), seen)
    })
}

/// A mode that is too wide is a finding of its own.
fn does_not_open(at: String, error: &Error) -> Option<Finding> {
    match error {
        Error::ModeTooWide { .. } => None,
        error => Some(Finding::new(Fault::KeyDoesNotOpen, at, error.to_string())),
    }
}

const ACME_ACCOUNT: &str = "acme-account";
const KEYS: [&str; 6] = ["device-ca", "server-ca", "operator-ca", "order", "evidence", "link"];
