//! `ringfort user renew`: a new key and certificate for whoever runs it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ringfort_api::client::{Client, ClientOptions};
use ringfort_api::model::NewRenewal;
use ringfort_cose::{Algorithm, Sign};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::operator::{Operator, Settings, certificates_in, client_failure, trusted};
use crate::{clock, csr, files, keys, passphrase};

/// Where the new key lives.
#[derive(Args)]
pub struct Options {
    /// Seal the new key under the passphrase in this file (mode 0600) [default: as the one before]
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub pin_file: Option<PathBuf>,

    /// Use a key that exists and was never used here, a pkcs11: URI for instance
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// The certificate that is in use now.
#[derive(Serialize)]
pub struct Report {
    name: String,
    role: String,
    certificate: PathBuf,
    certificate_until: String,
    key: String,
    /// The certificate before, which hub and statements of the past know.
    previous: PathBuf,
}

/// Makes a key, has it certified over the connection of the present one, tries it, and only then
/// lets the hub end the present one.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let operator = Operator::open(dir)?;
    let (folder, before) = (operator.folder().to_owned(), operator.settings().clone());
    let place = Place::free(&folder);
    let made = place.key(options, &before);
    let renewed = made.and_then(|made| renew(&operator, &place, &before, made));
    if renewed.is_err() {
        place.take_back();
    }
    let (settings, login) = renewed?;
    // From here on the folder is the new one's. What follows can be done again by another renewal.
    let name = login.name.clone();
    let settled = Operator::open(Some(&folder)).and_then(|new| new.wait(new.client().settle()));
    settled.map_err(|failure| {
        failure.next("The new certificate is in use; the old one serves until it ends.")
    })?;
    if !before.key.starts_with("pkcs11:") {
        // It is worth nothing any more. That it stays is no failure.
        let _ = std::fs::remove_file(folder.join(&before.key));
        let _ = std::fs::remove_file(folder.join(&before.key).with_extension("pub"));
    }
    Ok(Report {
        name,
        role: login.role,
        certificate: folder.join(settings.certificate),
        certificate_until: clock::text(login.not_after_ms.unsigned_abs() / 1000),
        key: settings.key,
        previous: folder.join(before.certificate),
    })
}

fn renew(
    operator: &Operator,
    place: &Place,
    before: &Settings,
    made: Made,
) -> Outcome<(Settings, ringfort_api::model::Login)> {
    let renewal = NewRenewal { request: csr::request_pem(made.key.as_ref())? };
    let login = operator.wait(operator.client().renew(&renewal))?;
    let certificate = certificates_in(&login.certificate)
        .ok_or_else(|| {
            Failure::failed(
                "the hub's answer holds no certificate",
                "It should hold one in PEM.",
                "Check that hub and ringfort are of one version.",
            )
        })?
        .swap_remove(0);
    // The new one has to work before anything of the old one is given up.
    let client = Client::new(ClientOptions {
        address: before.hub.clone(),
        server_cas: trusted(&operator.server_ca()?)?,
        certificate,
        key: made.key,
    })
    .map_err(client_failure)?;
    operator.wait(client.status())?;
    let name = format!("{}.pem", place.stem);
    files::write_new(&place.folder.join(&name), login.certificate.as_bytes(), files::PUBLIC)?;
    let settings = Settings {
        certificate: name.into(),
        key: made.location,
        pin_file: made.pin_file,
        ..before.clone()
    };
    settings.replace(&place.folder)?;
    Ok((settings, login))
}

/// Names in the folder that nothing has yet.
struct Place {
    folder: PathBuf,
    stem: String,
}

struct Made {
    key: Arc<dyn Sign>,
    location: String,
    pin_file: Option<PathBuf>,
}

impl Place {
    /// `operator-2`, `operator-3` and so on.
    fn free(folder: &Path) -> Place {
        let is_free = |stem: &String| {
            [".sealed", ".pub", ".pem"]
                .iter()
                .all(|ending| !folder.join(format!("{stem}{ending}")).exists())
        };
        let stem = (2..u32::MAX).map(|number| format!("operator-{number}")).find(is_free);
        // So many there are not in any folder.
        let stem = stem.unwrap_or_else(|| "operator-next".to_owned());
        Place { folder: folder.to_owned(), stem }
    }

    fn key(&self, options: &Options, before: &Settings) -> Outcome<Made> {
        if let Some(location) = &options.key {
            let key = keys::open(location, None)?;
            return Ok(Made { key, location: location.clone(), pin_file: None });
        }
        if before.key.starts_with("pkcs11:") {
            return Err(Failure::usage(
                "the present key is in a token",
                "No command here makes keys in tokens.",
                "Make one there, then name it with --key pkcs11:…",
            ));
        }
        let present = before.pin_file.as_deref();
        let (passphrase, pin_file) = match (&options.pin_file, present) {
            (Some(file), _) => (passphrase::new(Some(file), "the new key")?, None),
            (None, Some(present)) => {
                let file = self.folder.join(present);
                (passphrase::existing(Some(&file), "the new key")?, Some(present.to_owned()))
            }
            (None, None) => (passphrase::new(None, "the new key")?, None),
        };
        let made = keys::make(&self.folder.join(&self.stem), Algorithm::Esp256, &passphrase)?;
        Ok(Made { key: made.key, location: format!("{}.sealed", self.stem), pin_file })
    }

    /// Takes back what was begun, so that the same command can be run again.
    fn take_back(&self) {
        for ending in ["sealed", "pub", "pem"] {
            // What was not made cannot be removed.
            let _ = std::fs::remove_file(self.folder.join(format!("{}.{ending}", self.stem)));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { name, role, certificate_until, key, .. } = self;
        let (certificate, previous) = (self.certificate.display(), self.previous.display());
        writeln!(f, "You are {name} ({role}) until {certificate_until}, with a new key")?;
        writeln!(f, "  {certificate}  the certificate; its key is {key}")?;
        write!(f, "  {previous}  works no more; keep it: it vouches for what you signed before")
    }
}
