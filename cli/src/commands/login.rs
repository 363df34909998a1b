//! `ringfort login`: make a key here and register it with an invitation.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ringfort_api::client::Client;
use ringfort_cose::{Algorithm, Sign};
use serde::Serialize;

use crate::evidence_keys::EVIDENCE_KEY;
use crate::failure::{Failure, Outcome};
use crate::invitation::{Invitation, SYSTEM};
use crate::operator::{Settings, client_failure, own_folder, trusted};
use crate::{clock, files, keys, passphrase, runtime};

/// Which invitation, and where the key goes.
#[derive(Args)]
pub struct Options {
    /// The invitation: made by `ringfort hub init` or `ringfort user add`
    #[arg(value_name = "FILE")]
    pub invitation: PathBuf,

    /// The operator's folder, to be made: key, certificate, the hub's address
    /// [default: ~/.config/ringfort]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Seal the new key under the passphrase in this file (mode 0600) [default: a new one, kept
    /// beside the key in a file of mode 0600]
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub pin_file: Option<PathBuf>,

    /// Use a key that exists, a pkcs11: URI for instance, instead of making one
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// Somebody who is known to a hub now.
#[derive(Serialize)]
pub struct Report {
    name: String,
    role: String,
    hub: String,
    folder: PathBuf,
    certificate_until: String,
}

/// Makes the key, has it certified, and keeps what is needed from then on.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let invitation = Invitation::read(&options.invitation)?;
    let folder = options
        .dir
        .clone()
        .or_else(|| dir.map(Path::to_owned))
        .or_else(own_folder)
        .ok_or_else(no_folder)?;
    let mut place = Folder::begin(&folder, options.pin_file.as_deref(), options.key.as_deref())?;
    let registered = register(&invitation, place.key.as_ref());
    let login = match registered {
        Ok(login) => login,
        Err(failure) => {
            place.take_back();
            return Err(failure);
        }
    };
    place.finish(&invitation, &login.certificate)?;
    // It works no more, and holds a secret: better gone. That it stays is no failure.
    let _ = std::fs::remove_file(&options.invitation);
    Ok(Report {
        name: login.name,
        role: login.role,
        hub: invitation.hub,
        folder,
        certificate_until: clock::text(login.not_after_ms.unsigned_abs() / 1000),
    })
}

fn register(invitation: &Invitation, key: &dyn Sign) -> Outcome<ringfort_api::model::Login> {
    let runtime = runtime::new()?;
    let server_cas = trusted(&invitation.server_ca)?;
    let client = Client::invited(invitation.hub.clone(), server_cas).map_err(client_failure)?;
    let login = invitation.login(key)?;
    runtime.block_on(client.login(&login)).map_err(|error| {
        let unreachable = error.reason().is_none();
        let failure = client_failure(error);
        match unreachable {
            true => failure.next(
                "Check that the hub runs and the invitation has not ended: without an open \
                 invitation the hub hears nobody new.",
            ),
            false => failure,
        }
    })
}

/// An operator's folder in the making.
pub struct Folder {
    path: PathBuf,
    existed: bool,
    /// The key, opened.
    pub key: Arc<dyn Sign>,
    location: String,
    pin_file: Option<PathBuf>,
}

impl Folder {
    /// Makes the folder and a key in it, or opens the key that is named.
    pub fn begin(path: &Path, pin_file: Option<&Path>, key: Option<&str>) -> Outcome<Folder> {
        let existed = files::must_be_absent_or_empty(path)?;
        files::new_directory(path)?;
        let made = Folder::key(path, pin_file, key);
        if made.is_err() {
            remove(path, existed);
        }
        let (key, location, pin_file) = made?;
        Ok(Folder { path: path.to_owned(), existed, key, location, pin_file })
    }

    fn key(
        path: &Path,
        pin_file: Option<&Path>,
        key: Option<&str>,
    ) -> Outcome<(Arc<dyn Sign>, String, Option<PathBuf>)> {
        if let Some(location) = key {
            return Ok((keys::open(location, None)?, location.to_owned(), None));
        }
        let (passphrase, pin_file) = match pin_file {
            Some(pin_file) => (passphrase::new(Some(pin_file), "the new key")?, None),
            None => (passphrase::new_pin_file(&path.join(PIN))?, Some(PIN.into())),
        };
        let made = keys::make(&path.join("operator"), Algorithm::Esp256, &passphrase)?;
        Ok((made.key, "operator.sealed".to_owned(), pin_file))
    }

    /// Writes what makes it an operator's folder; the settings last.
    pub fn finish(&mut self, invitation: &Invitation, certificate: &str) -> Outcome<()> {
        let settings = Settings {
            hub: invitation.hub.clone(),
            server_ca: match invitation.server_ca.as_str() {
                SYSTEM => SYSTEM.into(),
                _ => "server-ca.pem".into(),
            },
            certificate: "operator.pem".into(),
            key: self.location.clone(),
            pin_file: self.pin_file.take(),
        };
        let public = |name: &Path, text: &str| {
            files::write_new(&self.path.join(name), text.as_bytes(), files::PUBLIC)
        };
        public(Path::new(EVIDENCE_KEY), &invitation.evidence_key)?;
        if invitation.server_ca != SYSTEM {
            public(&settings.server_ca, &invitation.server_ca)?;
        }
        public(&settings.certificate, certificate)?;
        settings.write(&self.path)
    }

    /// Takes back what was begun, so that the same command can be run again.
    pub fn take_back(&self) {
        remove(&self.path, self.existed);
    }
}

fn remove(path: &Path, existed: bool) {
    // A folder that cannot be removed is named by the next attempt.
    let _ = std::fs::remove_dir_all(path);
    if existed {
        let _ = files::new_directory(path);
    }
}

fn no_folder() -> Failure {
    Failure::usage(
        "there is no folder for the key",
        "Neither XDG_CONFIG_HOME nor HOME is set.",
        "Name one with --dir.",
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { name, role, hub, folder, certificate_until } = self;
        let folder = folder.display();
        writeln!(f, "You are {name} ({role}) at {hub}, until {certificate_until}.")?;
        writeln!(f, "  {folder}  your key, which was made here and stays here")?;
        write!(f, "Next: ringfort --dir {folder} device list")
    }
}

/// Opens the key where no passphrase was chosen.
const PIN: &str = "pin";
