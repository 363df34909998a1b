//! Keeps the certificate new, for as long as the hub runs.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use instant_acme::{Account, CertificateIdentifier, HttpClient};
use rustls_pki_types::Der;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use zeroize::Zeroizing;

use crate::error::Failed;
use crate::https::Listening;
use crate::schedule::{self, Patience};
use crate::{AcmeError, Challenges, Obtained, account, order};

/// Which authority, for which name.
pub struct Config {
    /// The address of the authority's directory, https.
    pub directory: String,
    /// The host name of the operators' address.
    pub name: String,
    /// The address of the terms of service that somebody agreed to.
    pub terms: Option<String>,
    /// Where the authority may write to: `mailto:` addresses.
    pub contacts: Vec<String>,
    /// What the account's key is made from.
    pub secret: Zeroizing<[u8; 32]>,
    /// How long to wait after failures.
    pub patience: Patience,
}

/// Where certificates and the state of affairs go.
pub trait Shelf: Send + 'static {
    /// Keeps a certificate with its key, and puts it in force.
    ///
    /// # Errors
    /// Why it could not; the one before stays in force.
    fn put(&self, obtained: &Obtained) -> Result<(), String>;

    /// Notes how things stand, for those who look from outside. What cannot be noted is not worth
    /// stopping for.
    fn note(&self, state: &State);
}

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The authority's directory.
    pub directory: String,
    /// The name that the certificate is for.
    pub name: String,
    /// How often it failed since it last went well.
    pub failures: u32,
    /// When that began, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<u64>,
    /// When it is tried next, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// The last failure's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

/// Obtains the certificate and renews it.
pub struct Keeper<S> {
    config: Config,
    http: Listening,
    challenges: Arc<Challenges>,
    shelf: S,
    held: Option<Held>,
    state: State,
    account: Option<Account>,
    advice: Option<Advice>,
    /// When this keeper itself obtained what is held, Unix seconds.
    obtained_at: Option<u64>,
}

/// What matters of the certificate in force.
struct Held {
    not_before: u64,
    not_after: u64,
    leaf: Vec<u8>,
    /// Between 0 and 1, another one for each certificate.
    chance: f64,
}

/// What the authority advises (RFC 9773).
struct Advice {
    window: (u64, u64),
    /// When to ask again, Unix seconds.
    until: u64,
}

impl<S: Shelf> Keeper<S> {
    /// A keeper of what was obtained before, and of how things stood then, if it is of the same
    /// authority and name.
    pub fn new(
        config: Config,
        http: Arc<dyn HttpClient>,
        challenges: Arc<Challenges>,
        shelf: S,
        held: Option<&Obtained>,
        state: Option<State>,
    ) -> Keeper<S> {
        let same = |state: &State| state.directory == config.directory && state.name == config.name;
        let fresh = || State {
            directory: config.directory.clone(),
            name: config.name.clone(),
            ..State::default()
        };
        let mut state = state.filter(same).unwrap_or_else(fresh);
        // Whoever has mended something and starts the hub anew does not wait long; an authority
        // that asked for patience gets it.
        if state.code.as_deref() != Some(RATE_LIMITED) {
            let soon = unix_now().saturating_add(config.patience.first.as_secs());
            state.next = state.next.map(|next| next.min(soon));
        }
        let held = held.map(Held::of);
        let http = Listening::to(http);
        let (account, advice, obtained_at) = (None, None, None);
        Keeper { config, http, challenges, shelf, held, state, account, advice, obtained_at }
    }

    /// Runs until it is stopped. What is in force stays so whatever fails.
    pub async fn run(mut self, stopping: CancellationToken) {
        metrics::gauge!(FAILURES).set(f64::from(self.state.failures));
        loop {
            let now = unix_now();
            let due = self.due(now, &stopping).await;
            if due > now {
                // The clock may be set meanwhile, and advice may change.
                let wait = Duration::from_secs(due - now).min(LOOK_AGAIN);
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = sleep(wait) => continue,
                }
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                tried = self.attempt() => self.settle(tried),
            }
        }
    }

    /// When the next attempt is due, Unix seconds.
    async fn due(&mut self, now: u64, stopping: &CancellationToken) -> u64 {
        let Some(held) = &self.held else { return self.state.next.unwrap_or(0) };
        if self.state.failures > 0
            && let Some(next) = self.state.next
        {
            return next;
        }
        let Held { not_before, not_after, chance, .. } = *held;
        let usual = schedule::due(not_before, not_after, chance);
        // An authority is asked for advice while there is time, not by a hub that just begins.
        if usual > now && self.advice.as_ref().is_none_or(|advice| now >= advice.until) {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = self.ask_advice(now) => {}
            }
        }
        match self.advice.as_ref().map(|advice| advice.window) {
            Some((start, end)) if start < end => {
                // Advice that never ends does not make the hub ask without end.
                let soonest = self.obtained_at.map_or(0, |at| at.saturating_add(ASK_AGAIN_S));
                schedule::advised((start, end), not_before, not_after, chance).max(soonest)
            }
            _ => usual,
        }
    }

    /// Asks when to renew. That there is no advice, or none to be had now, is nothing to complain
    /// about.
    async fn ask_advice(&mut self, now: u64) {
        let none = Advice { window: (0, 0), until: now + ASK_AGAIN_S };
        let Some(id) = self.held.as_ref().and_then(|held| identifier(&held.leaf)) else {
            self.advice = Some(none);
            return;
        };
        let advised = async {
            let account = self.sign_in().await.ok()?;
            account.renewal_info(&id).await.ok()
        };
        self.advice = Some(match advised.await {
            None => none,
            Some((info, again)) => {
                let seconds = |at: i64| u64::try_from(at).unwrap_or(0);
                let window = info.suggested_window;
                Advice {
                    window: (
                        seconds(window.start.unix_timestamp()),
                        seconds(window.end.unix_timestamp()),
                    ),
                    until: now + again.as_secs().clamp(ASK_SOONEST_S, ASK_AGAIN_S),
                }
            }
        });
    }

    async fn sign_in(&mut self) -> Result<Account, AcmeError> {
        if let Some(account) = &self.account {
            return Ok(account.clone());
        }
        let Config { directory, terms, contacts, secret, .. } = &self.config;
        let http = Arc::new(self.http.clone());
        let account = account::sign_in(http, directory, terms.as_deref(), contacts, secret).await?;
        self.account = Some(account.clone());
        Ok(account)
    }

    async fn attempt(&mut self) -> Result<Obtained, Failed> {
        let _ = self.http.take();
        // Directory, terms and account are looked at anew each time.
        self.account = None;
        let obtained = async {
            let account = self.sign_in().await?;
            let obtained =
                order::order(&account, &self.config.name, &self.challenges, unix_now).await?;
            self.shelf.put(&obtained).map_err(AcmeError::NotKept)?;
            Ok(obtained)
        };
        let obtained: Result<Obtained, AcmeError> = obtained.await;
        obtained.map_err(|error| Failed { error, retry_after: self.http.take() })
    }

    fn settle(&mut self, tried: Result<Obtained, Failed>) {
        let now = unix_now();
        let outcome = match &tried {
            Ok(_) => "renewed",
            Err(failed) => failed.error.code(),
        };
        metrics::counter!(ATTEMPTS, "outcome" => outcome).increment(1);
        match tried {
            Ok(obtained) => {
                tracing::info!(
                    name = self.config.name,
                    not_after = obtained.not_after,
                    "the operators' certificate was obtained"
                );
                self.held = Some(Held::of(&obtained));
                self.advice = None;
                self.obtained_at = Some(now);
                self.state.failures = 0;
                self.state.failing_since = None;
                self.state.next = None;
                self.state.code = None;
                self.state.why = None;
                self.state.next_step = None;
            }
            Err(Failed { error, retry_after }) => {
                self.state.failures = self.state.failures.saturating_add(1);
                let wait = self.config.patience.after(self.state.failures, random()).as_secs();
                let allowed = retry_after
                    .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
                    .map_or(0, |at| at.as_secs());
                let next = (now + wait.max(1)).max(allowed);
                tracing::error!(
                    name = self.config.name,
                    reason = error.code(),
                    why = %error,
                    next = error.next_step(),
                    failures = self.state.failures,
                    tried_again_at = next,
                    not_after = self.held.as_ref().map(|held| held.not_after),
                    "the operators' certificate could not be renewed"
                );
                self.state.failing_since.get_or_insert(now);
                self.state.next = Some(next);
                self.state.code = Some(error.code().to_owned());
                self.state.why = Some(error.to_string());
                self.state.next_step = Some(error.next_step().to_owned());
            }
        }
        metrics::gauge!(FAILURES).set(f64::from(self.state.failures));
        self.shelf.note(&self.state);
    }
}

impl Held {
    fn of(obtained: &Obtained) -> Held {
        let leaf = obtained.chain.first().cloned().unwrap_or_default();
        let mut first = [0; 4];
        first.copy_from_slice(&digest(&SHA256, &leaf).as_ref()[..4]);
        Held {
            not_before: obtained.not_before,
            not_after: obtained.not_after,
            leaf,
            chance: share(first),
        }
    }
}

/// How a certificate is named when advice about it is asked for (RFC 9773, section 4.1).
fn identifier(leaf: &[u8]) -> Option<CertificateIdentifier<'static>> {
    let certificate = Certificate::from_der(leaf).ok()?;
    let tbs = certificate.tbs_certificate();
    let (_, authority) = tbs.get_extension::<AuthorityKeyIdentifier>().ok()??;
    let authority = authority.key_identifier?;
    let serial = tbs.serial_number().to_der().ok()?;
    // Tag and length are left out; a serial number is shorter than 128 bytes.
    let serial = serial.get(2..)?;
    let id =
        CertificateIdentifier::new(Der::from_slice(authority.as_bytes()), Der::from_slice(serial));
    Some(id.into_owned())
}

fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness everybody waits the same time.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    share(bytes)
}

/// A number between 0 and 1.
fn share(bytes: [u8; 4]) -> f64 {
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How often it failed since it last went well.
pub const FAILURES: &str = "ringfort_acme_failures";
/// Attempts by outcome.
pub const ATTEMPTS: &str = "ringfort_acme_attempts_total";
const RATE_LIMITED: &str = "rate-limited";
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
const ASK_AGAIN_S: u64 = 6 * 3600;
const ASK_SOONEST_S: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_named_as_the_standard_names_it() {
        // Key identifier and serial number of the example in RFC 9773, section 4.1.
        let authority = hex("69885b6b87464041e1b37b847ba0ae2cde01c8d4");
        let serial = hex("0087654321");
        let id = CertificateIdentifier::new(Der::from_slice(&authority), Der::from_slice(&serial));
        assert_eq!(id.to_string(), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }
}
