//! An operator's own folder: which hub, with which certificate, signed by which key.
//!
//! ```text
//! DIR/
//!   operator.toml   the settings
//!   server-ca.pem   what the hub's certificate must come from
//!   operator.pem    the operator's certificate
//!   operator.sealed the operator's key, unless it is in a token
//!   evidence.pub    signs the heads of the audit log; evidence-N.pub did so before
//!   audit-seen.json what was seen of that log
//! ```

use std::cell::Cell;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfort_api::client::{Client, ClientError, ClientOptions};
use ringfort_api::model::Checkpoint;
use ringfort_cose::{AwsLc, Reason, Sign, SignError};
use ringfort_fleet::audit;
use ringfort_messages::{DeviceId, Statement, UnixTime};
use ringfort_pki::validity;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::evidence_keys::EvidenceKeys;
use crate::failure::{Failure, Outcome};
use crate::invitation::SYSTEM;
use crate::log_seen::{self, Alarm, Seen, Step};
use crate::{clock, files, keys, output, runtime};

/// What stands in `operator.toml`. Paths are relative to the folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Host and port of the hub's operator address.
    pub hub: String,
    /// The Server CA's certificates, PEM; or `system` for whatever this machine trusts.
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
    settings: Settings,
    key: Arc<dyn Sign>,
    client: Client,
    runtime: Runtime,
    /// Whether this command has compared the audit log with what was seen of it.
    followed: Cell<bool>,
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
        warn_of_end(&certificate);
        let server_cas = trusted(&server_ca(&folder, &settings)?)?;
        let address = settings.hub.clone();
        let options = ClientOptions { address, server_cas, certificate, key };
        let signer = Arc::clone(&options.key);
        let client = Client::new(options).map_err(client_failure)?;
        let (runtime, followed) = (runtime::new()?, Cell::new(false));
        Ok(Operator { folder, key: signer, settings, client, runtime, followed })
    }

    /// What stands in the folder's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the hub's certificate must come from: certificates in PEM, or `system`.
    pub fn server_ca(&self) -> Outcome<String> {
        server_ca(&self.folder, &self.settings)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for a request's answer. The first one of a command is followed by a look at the audit
    /// log: if it is not the one that was seen before, that is said on standard error.
    pub fn wait<T>(&self, request: impl Future<Output = Result<T, ClientError>>) -> Outcome<T> {
        let answer = self.runtime.block_on(request).map_err(client_failure)?;
        if !self.followed.replace(true)
            && let Some(alarm) = self.follow_log()
        {
            output::progress(format!(
                "warning: the hub's audit log is not the one that was seen from here: {alarm}\n  \
                 why:  The hub was restored from a backup, or somebody rewrote its past.\n  \
                 next: After a restore: ringfort audit accept. Else compare {} and an earlier \
                 `ringfort audit export` with a new one.",
                self.folder.join(log_seen::FILE).display()
            ));
        }
        Ok(answer)
    }

    /// Follows the audit log from where it was seen last. What cannot be asked or kept is left for
    /// the next time; an alarm stays until somebody accepts the log.
    pub fn follow_log(&self) -> Option<Alarm> {
        let known = EvidenceKeys::read(&self.folder).ok()?;
        let shown = self.shown()?;
        let keys = known.with(&shown.hand_overs);
        let seen = Seen::read(&self.folder);
        let mut step = log_seen::follow(seen.as_ref(), &shown, &[], keys.all());
        if let Step::Needs { from } = step {
            let entries = self.entries(from)?;
            step = log_seen::follow(seen.as_ref(), &shown, &entries, keys.all());
        }
        match step {
            Step::Alarm(alarm) => Some(alarm),
            Step::Remember(new) if seen.as_ref() != Some(&new) => {
                // A folder that cannot be written, an automation's for instance, remembers nothing.
                let _ = keys.write(&self.folder).and_then(|()| new.write(&self.folder));
                None
            }
            Step::Remember(_) | Step::Needs { .. } => None,
        }
    }

    /// Takes the audit log as the hub shows it now for the one to follow from here on.
    pub fn accept_log(&self) -> Outcome<u64> {
        self.followed.set(true);
        let shown = self.wait(self.client.audit_head())?;
        let known = EvidenceKeys::read(&self.folder)?.with(&shown.hand_overs);
        let keys = known.with_signer_last(&shown.checkpoint);
        match log_seen::follow(None, &shown, &[], keys.all()) {
            Step::Remember(seen) => {
                keys.write(&self.folder)?;
                seen.write(&self.folder)?;
                Ok(log_seen::size(&shown.frontier))
            }
            Step::Alarm(alarm) => Err(Failure::failed(
                "the audit log is not accepted",
                format!("{alarm}."),
                "Ask who replaced the hub's evidence key; a new one comes with new invitations.",
            )),
            Step::Needs { .. } => Ok(0),
        }
    }

    fn shown(&self) -> Option<Checkpoint> {
        self.runtime.block_on(self.client.audit_head()).ok()
    }

    /// Entries from a place on, not more than a command should wait for.
    fn entries(&self, from: u64) -> Option<Vec<Vec<u8>>> {
        let mut entries = Vec::new();
        let mut next = Some(from);
        for _ in 0..PAGES {
            let Some(from) = next else { break };
            let page = self.runtime.block_on(self.client.audit_entries(from, PAGE)).ok()?;
            for entry in &page.entries {
                entries.push(hex::decode(entry).ok()?);
            }
            next = page.next;
        }
        Some(entries)
    }

    /// Signs with the operator's own key to which state a device is to go, and has the hub keep
    /// it in the audit log: an export of that log tells it to a hub in this one's place.
    pub fn state(&self, device: &str, to: &str, note: &str) -> Outcome<()> {
        let unsigned = |reason: Reason| {
            Failure::refused(reason, format!("nothing can be signed about {device}"))
        };
        let checkpoint = self.wait(self.client.audit_checkpoint())?;
        let statement = Statement {
            fleet: audit::fleet_of(&checkpoint).ok_or_else(|| unsigned(Reason::Malformed))?,
            device: DeviceId::new(device).map_err(unsigned)?,
            to,
            at: UnixTime(clock::now()),
            note,
            key: self.key.public_key(),
        };
        let signed = statement.sign(&AwsLc, self.key.as_ref()).map_err(|error| match error {
            SignError::Object(reason) => unsigned(reason),
            other => Failure::failed("nothing was signed", format!("{other}."), "Check the key."),
        })?;
        self.wait(self.client.add_statement(device, &hex::encode(signed)))
    }

    /// The keys that sign, or signed, the heads of the audit log.
    pub fn evidence_keys(&self) -> Outcome<EvidenceKeys> {
        EvidenceKeys::read(&self.folder)
    }
}

impl Settings {
    /// Puts these settings in the place of those before.
    pub fn replace(&self, folder: &Path) -> Outcome<()> {
        // Text and paths that came in as text always serialise.
        let text = toml::to_string(self).unwrap_or_default();
        files::replace(&folder.join(FILE), text.as_bytes(), 0o600)
    }

    fn read(folder: &Path) -> Outcome<Settings> {
        let path = folder.join(FILE);
        let text = files::read_text(&path, MAX_BYTES)?;
        toml::from_str(&text).map_err(|error| {
            Failure::failed(
                format!("{} cannot be used", path.display()),
                error.message().to_owned(),
                "Mend that line; `ringfort login` writes a whole one.",
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
                // One line: it may not pass for the next step.
                detail => format!("the hub refused: {}", output::one_line(detail)),
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
            "Name the folder with --dir, or make one with `ringfort login INVITATION`.",
        )
    })
}

/// The user's own folder.
pub fn own_folder() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(base.join("ringfort"))
}

/// In the last two weeks of an operator's certificate every command says so: afterwards nobody
/// but an administrator can help.
fn warn_of_end(certificate: &[u8]) {
    let Ok((not_before, not_after)) = validity(certificate) else { return };
    let (now, life) = (clock::now(), not_after.saturating_sub(not_before));
    let left = not_after.saturating_sub(now);
    // One that was made for a short time is not warned about from the start.
    if left < WARN_DAYS * clock::DAY_S && left < life / 3 {
        let (when, next) = match left {
            0 => ("ended", "ask an administrator for an invitation (ringfort user add)"),
            _ => ("ends", "ringfort user renew"),
        };
        let at = clock::text(not_after);
        output::progress(format!("warning: your certificate {when} {at}\n  next: {next}"));
    }
}

fn certificates(path: &Path) -> Outcome<Vec<Vec<u8>>> {
    certificates_in(&files::read_text(path, MAX_BYTES)?).ok_or_else(|| no_certificate(path))
}

/// The certificates in a PEM text, DER; none where there is none.
pub fn certificates_in(text: &str) -> Option<Vec<Vec<u8>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes())
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect();
    found.ok().filter(|found| !found.is_empty())
}

fn no_certificate(path: &Path) -> Failure {
    Failure::failed(
        format!("{} holds no certificate", path.display()),
        "It should hold certificates in PEM.",
        "Copy it again from where it was made.",
    )
}

fn server_ca(folder: &Path, settings: &Settings) -> Outcome<String> {
    match settings.server_ca.as_os_str() == SYSTEM {
        true => Ok(SYSTEM.to_owned()),
        false => files::read_text(&folder.join(&settings.server_ca), MAX_BYTES),
    }
}

/// What a hub's certificate must come from, DER: the certificates in a text, or what this machine
/// trusts.
pub fn trusted(server_ca: &str) -> Outcome<Vec<Vec<u8>>> {
    if server_ca != SYSTEM {
        return certificates_in(server_ca)
            .ok_or_else(|| no_certificate(Path::new("the text for the Server CA")));
    }
    let bundle = BUNDLES.iter().map(Path::new).find(|path| path.is_file());
    let bundle = bundle.ok_or_else(|| {
        Failure::failed(
            "this machine trusts no authorities",
            format!("None of these files is there: {}.", BUNDLES.join(", ")),
            "Install the package ca-certificates, or put the authority's certificate into the \
             operator's folder and name it as server_ca in operator.toml.",
        )
    })?;
    certificates_in(&files::read_text(bundle, MAX_BUNDLE)?).ok_or_else(|| no_certificate(bundle))
}

const WARN_DAYS: u64 = 14;
/// The settings' file name.
const FILE: &str = "operator.toml";
const MAX_BYTES: usize = 64 * 1024;
/// Where systems keep the authorities that they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const MAX_BUNDLE: usize = 4 * 1024 * 1024;
/// Entries of a page.
const PAGE: u32 = 1000;
/// Pages of the audit log that one command reads at most; the next one goes on.
const PAGES: usize = 10;
