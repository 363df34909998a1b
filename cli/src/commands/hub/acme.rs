//! The operators' certificate from an ACME authority: where it lies, and what opens its account.
//!
//! ```text
//! HUB/
//!   keys/acme-account.sealed   what the account's key is made from
//!   acme/people.pem            the certificate in force with its key, mode 0600
//!   acme/state.json            how things stand
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfort_acme::{Challenges, Config, Https, Keeper, Obtained, Patience, Shelf, State};
use ringfort_keystore::{Passphrase, SealedSecret, read_private};
use ringfort_server::PublicIdentity;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::config::{self, HubConfig};
use crate::failure::{Failure, Outcome};
use crate::files;
use crate::invitation::SYSTEM;
use crate::keys::key_failure;
use crate::operator::trusted;

/// What keeps the certificate new, not begun yet.
pub struct Acme {
    /// The certificate in force, and each later one.
    pub certificates: watch::Receiver<Option<PublicIdentity>>,
    /// What the authority finds when it looks.
    pub challenges: Arc<Challenges>,
    keeper: Keeper<Place>,
}

/// The same, begun.
pub struct Running {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

/// Opens what hub.toml names; nothing where it names none. A new hub gets an account.
pub fn open(directory: &Path, config: &HubConfig) -> Outcome<Option<Acme>> {
    let Some(acme) = &config.operators.acme else { return Ok(None) };
    let name = config.operators.address()?.host;
    let secret = secret(directory, &config.passphrase(directory)?)?;
    let trust = match &acme.trust {
        Some(file) => files::read_text(&config::file(directory, file)?, MAX_TRUST)?,
        None => SYSTEM.to_owned(),
    };
    let http = Https::new(&trusted(&trust)?).map_err(|error| {
        Failure::failed(
            "the authority's own certificate cannot be checked",
            format!("{error}."),
            "Correct trust under [operators.acme] in hub.toml.",
        )
    })?;
    let folder = directory.join(FOLDER);
    if !folder.is_dir() {
        files::new_directory(&folder)?;
    }
    let held = held(&folder, &name);
    let identity = held.as_ref().and_then(|held| identity(held).ok());
    let (sender, certificates) = watch::channel(identity);
    let challenges = Arc::new(Challenges::default());
    let keeper = Keeper::new(
        Config {
            directory: acme.directory.clone(),
            name,
            terms: acme.terms.clone(),
            contacts: acme.contacts.clone(),
            secret,
            patience: Patience::default(),
        },
        Arc::new(http),
        challenges.clone(),
        Place { folder, certificates: sender },
        held.as_ref(),
        state(directory),
    );
    Ok(Some(Acme { certificates, challenges, keeper }))
}

/// How things stood when it was last tried; nothing where it never was.
pub fn state(directory: &Path) -> Option<State> {
    let text = files::read_text(&directory.join(FOLDER).join(STATE), MAX_STATE).ok()?;
    serde_json::from_str(&text).ok()
}

/// The file with the certificate in force and its key.
pub fn certificate(directory: &Path) -> PathBuf {
    directory.join(FOLDER).join(CERTIFICATE)
}

impl Acme {
    /// Begins, once the listeners are there.
    pub fn run(self) -> Running {
        let stopping = CancellationToken::new();
        let task = tokio::spawn(self.keeper.run(stopping.clone()));
        Running { stopping, task }
    }
}

impl Running {
    /// Ends it. An order in progress is left to the authority, which forgets it.
    pub async fn stop(self) {
        self.stopping.cancel();
        // It has nothing to tell but that it ended.
        let _ = self.task.await;
    }
}

/// The hub's directory, and who waits for certificates.
struct Place {
    folder: PathBuf,
    certificates: watch::Sender<Option<PublicIdentity>>,
}

impl Shelf for Place {
    fn put(&self, obtained: &Obtained) -> Result<(), String> {
        let identity = identity(obtained)?;
        files::replace(&self.folder.join(CERTIFICATE), obtained.text.as_bytes(), PRIVATE)
            .map_err(|failure| failure.summary())?;
        self.certificates.send_replace(Some(identity));
        Ok(())
    }

    fn note(&self, state: &State) {
        // Numbers and text always serialise.
        let text = serde_json::to_string_pretty(state).unwrap_or_default() + "\n";
        if let Err(failure) = files::replace(&self.folder.join(STATE), text.as_bytes(), PRIVATE) {
            tracing::warn!(why = failure.summary(), "how renewal stands could not be noted");
        }
    }
}

fn identity(obtained: &Obtained) -> Result<PublicIdentity, String> {
    let key = obtained.private_key().map_err(|error| error.to_string())?;
    PublicIdentity::new(obtained.chain.clone(), key).map_err(|error| error.to_string())
}

/// What was obtained before; nothing where that is for another name or cannot be read: then a new
/// one is asked for.
fn held(folder: &Path, name: &str) -> Option<Obtained> {
    let file = folder.join(CERTIFICATE);
    if !file.exists() {
        return None;
    }
    let read = read_private(&file, MAX_CERTIFICATE).map_err(|error| error.to_string());
    let text = read.and_then(|bytes| {
        String::from_utf8(bytes.to_vec()).map(Zeroizing::new).map_err(|error| error.to_string())
    });
    let held = text.and_then(|text| Obtained::read(&text, name).map_err(|error| error.to_string()));
    held.inspect_err(|why| tracing::warn!(%why, "the operators' certificate is not used")).ok()
}

fn secret(directory: &Path, passphrase: &Passphrase) -> Outcome<Zeroizing<[u8; 32]>> {
    let path = directory.join(ACCOUNT);
    let secret = match path.exists() {
        true => SealedSecret::read(&path).and_then(|sealed| sealed.open(passphrase)),
        false => SealedSecret::create(&path, passphrase),
    };
    secret.map_err(key_failure)
}

/// What the account's key is made from, below the hub's directory.
pub const ACCOUNT: &str = "keys/acme-account.sealed";
const FOLDER: &str = "acme";
const CERTIFICATE: &str = "people.pem";
const STATE: &str = "state.json";
const PRIVATE: u32 = 0o600;
const MAX_CERTIFICATE: usize = 256 * 1024;
const MAX_STATE: usize = 64 * 1024;
const MAX_TRUST: usize = 4 * 1024 * 1024;
