//! An operator's own folder: which hub, with which certificate, signed by which key.
//!
//! ```text
//! DIR/
//!   operator.toml   the settings
//!   server-ca.pem   what the hub's certificate must come from
//!   operator.pem    the operator's certificate
//!   operator.sealed the operator's key, unless it is in a token
//!   evidence.pub    signs the heads of the audit log
//! ```

use std::future::Future;
use std::path::{Path, PathBuf};

use ringfort_api::client::{Client, ClientError, ClientOptions};
use ringfort_cose::PublicKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::failure::{Failure, Outcome};
use crate::{files, keys, runtime};

/// What stands in `operator.toml`. Paths are relative to the folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Host and port of the hub's operator address.
    pub hub: String,
    /// The Server CA's certificates, PEM.
    pub server_ca: PathBuf,
    /// The operator's certificate, PEM.
    pub certificate: PathBuf,
    /// A sealed key file, or a `pkcs11:` URI.
    pub key: String,
    /// The file with the key's passphrase; asked for on the terminal when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
}

/// A connection to a hub as one operator.
pub struct Operator {
    folder: PathBuf,
    client: Client,
    runtime: Runtime,
}

impl Operator {
    /// Opens the folder given by `--dir`, or the user's own, and prepares the connection.
    pub fn open(dir: Option<&Path>) -> Outcome<Operator> {
        let folder = find(dir)?;
        let settings = Settings::read(&folder)?;
        let pin_file = settings.pin_file.as_deref().map(|path| folder.join(path));
        let location = match settings.key.starts_with("pkcs11:") {
            true => settings.key.clone(),
            false => folder.join(&settings.key).display().to_string(),
        };
        let key = keys::open(&location, pin_file.as_deref())?;
        let certificate = certificates(&folder.join(&settings.certificate))?.swap_remove(0);
        let server_cas = certificates(&folder.join(&settings.server_ca))?;
        let options = ClientOptions { address: settings.hub, server_cas, certificate, key };
        let client = Client::new(options).map_err(client_failure)?;
        Ok(Operator { folder, client, runtime: runtime::new()? })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for a request's answer.
    pub fn wait<T>(&self, request: impl Future<Output = Result<T, ClientError>>) -> Outcome<T> {
        self.runtime.block_on(request).map_err(client_failure)
    }

    /// The key that signs the heads of the audit log.
    pub fn evidence_key(&self) -> Outcome<PublicKey> {
        keys::read_public(&self.folder.join(EVIDENCE_KEY))
    }
}

impl Settings {
    fn read(folder: &Path) -> Outcome<Settings> {
        let path = folder.join(FILE);
        let text = files::read_text(&path, MAX_BYTES)?;
        toml::from_str(&text).map_err(|error| {
            Failure::failed(
                format!("{} cannot be used", path.display()),
                error.message().to_owned(),
                "Mend that line; `ringfort hub init` shows a whole one.",
            )
        })
    }

    /// Writes the settings of a new folder.
    pub fn write(&self, folder: &Path) -> Outcome<()> {
        // Text and paths that came in as text always serialise.
        let text = toml::to_string(self).unwrap_or_default();
        files::write_new(&folder.join(FILE), text.as_bytes(), 0o600)
    }
}

/// A refusal by the hub keeps its reason code; anything else says what to look at.
pub fn client_failure(error: ClientError) -> Failure {
    match (&error, error.reason()) {
        (ClientError::Refused(problem), Some(reason)) => {
            let what = match problem.detail.as_str() {
                "" => "the hub refused".to_owned(),
                detail => format!("the hub refused: {detail}"),
            };
            Failure::refused(reason, what).detail("exchange_id", problem.exchange_id.clone())
        }
        (ClientError::Unreachable { .. }, _) => Failure::failed(
            error.to_string(),
            "Nothing answers there, or it is not this operator's hub.",
            "Check that the hub runs (`ringfort hub serve`) and the address in operator.toml.",
        ),
        _ => Failure::failed(
            error.to_string(),
            "",
            "Check that hub and ringfort are of one version.",
        ),
    }
}

/// The folder itself, its `operator` sub-folder (a quickstart has one), or the user's own.
fn find(dir: Option<&Path>) -> Outcome<PathBuf> {
    let candidates = match dir {
        Some(dir) => vec![dir.to_owned(), dir.join("operator")],
        None => own_folder().into_iter().collect(),
    };
    candidates.iter().find(|folder| folder.join(FILE).is_file()).cloned().ok_or_else(|| {
        let place =
            candidates.first().map_or_else(|| "your home".into(), |c| c.display().to_string());
        Failure::failed(
            format!("there is no {FILE} in {place}"),
            "A command that talks to a hub needs an operator's certificate and key.",
            "Name the folder with --dir, for instance --dir ./quickstart.",
        )
    })
}

fn own_folder() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(base.join("ringfort"))
}

fn certificates(path: &Path) -> Outcome<Vec<Vec<u8>>> {
    let text = files::read_text(path, MAX_BYTES)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes())
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect();
    let found = found.unwrap_or_default();
    if found.is_empty() {
        return Err(Failure::failed(
            format!("{} holds no certificate", path.display()),
            "It should hold certificates in PEM.",
            "Copy it again from where it was made.",
        ));
    }
    Ok(found)
}

/// The settings' file name.
const FILE: &str = "operator.toml";
/// The audit log's key, beside them.
pub const EVIDENCE_KEY: &str = "evidence.pub";
const MAX_BYTES: usize = 64 * 1024;
