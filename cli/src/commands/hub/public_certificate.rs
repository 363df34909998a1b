//! A certificate for operators that others issue: read from files, and again when they change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ringfort_cose::Reason;
use ringfort_keystore::read_private;
use ringfort_server::PublicIdentity;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::config::{self, HubConfig};
use crate::failure::{Failure, Outcome};
use crate::files;
use crate::keys::key_failure;

/// The two files.
#[derive(Clone)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Where hub.toml says that they are; none where it names none.
    pub fn named(directory: &Path, config: &HubConfig) -> Outcome<Option<Files>> {
        let (Some(certificate), Some(key)) = (&config.operators.certificate, &config.operators.key)
        else {
            return Ok(None);
        };
        let file = |named: &str| config::file(directory, named);
        Ok(Some(Files { certificate: file(certificate)?, key: file(key)? }))
    }

    /// Reads both.
    pub fn read(&self) -> Outcome<PublicIdentity> {
        let refused = |why: String| {
            let what = format!("the certificate {} is refused", self.certificate.display());
            Failure::refused(Reason::Malformed, what)
                .why(why)
                .next("Put a chain in PEM and the key that belongs to it there.")
        };
        let text = files::read_text(&self.certificate, MAX_CHAIN)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes())
            .map(|certificate| certificate.map(|der| der.to_vec()))
            .collect();
        let chain = chain.map_err(|error| refused(format!("{error}.")))?;
        let key = read_private(&self.key, MAX_KEY).map_err(key_failure)?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| refused(format!("Its key cannot be read: {error}.")))?;
        PublicIdentity::new(chain, key).map_err(|error| refused(format!("{error}.")))
    }

    /// Reads them now, and again whenever they change. What cannot be read is logged once, and what
    /// is in force stays.
    pub fn watch(self) -> Outcome<watch::Receiver<Option<PublicIdentity>>> {
        let (sender, receiver) = watch::channel(Some(self.read()?));
        tokio::spawn(async move {
            let mut ticks = interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut said = String::new();
            while !sender.is_closed() {
                ticks.tick().await;
                match self.read() {
                    Ok(new) => {
                        said.clear();
                        sender.send_if_modified(|held| {
                            let changed = held.as_ref() != Some(&new);
                            *held = Some(new);
                            changed
                        });
                    }
                    Err(failure) if failure.summary() != said => {
                        said = failure.summary();
                        tracing::error!(why = said, "the operators' certificate stays as it was");
                    }
                    Err(_) => {}
                }
            }
        });
        Ok(receiver)
    }
}

const PERIOD: Duration = Duration::from_secs(5);
const MAX_CHAIN: usize = 256 * 1024;
const MAX_KEY: usize = 64 * 1024;
