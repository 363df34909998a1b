//! The agent's life: enrol, renew, poll, for years.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use ringfort_cose::Reason;
use ringfort_device::{Action, Event};
use ringfort_keystore::{Label, StoreKey, public_key_to_der};
use ringfort_messages::DeviceId;
use ringfort_trust::ids::UnixTime;
use sd_notify::NotifyState;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::disk::Disk;
use crate::hub::{Credentials, HttpsHub, Trust};
use crate::runner::{LocalRunner, ProcessRunner, Runner};
use crate::session::Session;
use crate::update::{Driver, is_of_the_hub, mark_end};
use crate::{AgentConfig, AgentError, keys};

/// What [`enrol`] has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The device's name.
    pub device: DeviceId,
    /// When the operational certificate ends.
    pub certificate_ends: UnixTime,
}

/// Makes an operational key and has the hub certify it, over EST with the factory identity. A
/// device that has a certificate keeps it.
///
/// # Errors
/// [`AgentError::NoIdentity`], [`AgentError::Busy`]; [`AgentError::Refused`] with the hub's reason
/// code; [`AgentError::ServerNotTrusted`], [`AgentError::Unreachable`].
pub async fn enrol(config: &AgentConfig) -> Result<Enrolled, AgentError> {
    let mut agent = Agent::open(config)?;
    if agent.session.device.record().command.is_some() {
        return Err(AgentError::State("a command is being carried out: start the agent".into()));
    }
    if agent.session.installed.operational.is_none() {
        agent.enter().await?;
    }
    let (chain, _) = agent.operational_chain()?;
    let validity = chain.first().and_then(|leaf| keys::read_certificate(leaf));
    let (validity, _) =
        validity.ok_or_else(|| AgentError::State("the operational certificate is gone".into()))?;
    let device = agent.session.installed.device;
    Ok(Enrolled { device, certificate_ends: validity.to })
}

/// Runs until `shutdown` is ready: enrols if need be, polls, updates, renews. Programs are run by
/// this process itself; nothing is taken from it.
///
/// It may be dropped, or the process killed, at any moment: the next run goes on.
///
/// # Errors
/// What a later try would not mend: no identity, a damaged or older state, storage that fails. The
/// hub being away or refusing is no error; it is logged and tried again.
pub async fn run(
    config: &AgentConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    let runner = LocalRunner { config: config.clone() };
    run_with(config, runner, shutdown).await
}

/// As [`run`], the way a service does it: starts `runner` (a command that ends up in
/// [`crate::runner::serve`] with the same configuration), takes from this process what it does not
/// need, and runs. What could not be taken is logged. `shutdown` is called inside the runtime.
///
/// # Errors
/// As [`run`]; [`AgentError::Runner`] when the runner does not start.
pub fn run_sandboxed<F: Future<Output = ()>>(
    config: &AgentConfig,
    runner: std::process::Command,
    shutdown: impl FnOnce() -> F,
) -> Result<(), AgentError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AgentError::Runner(error.to_string()))?;
    let runner = runtime.block_on(async { ProcessRunner::start(runner) })?;
    #[cfg(target_os = "linux")]
    for missing in crate::sandbox::apply(config) {
        warn!(missing, "the sandbox is not complete");
    }
    #[cfg(not(target_os = "linux"))]
    warn!(missing = "landlock and seccomp", "the sandbox is not complete");
    runtime.block_on(async { run_with(config, runner, shutdown()).await })
}

async fn run_with<R: Runner>(
    config: &AgentConfig,
    mut runner: R,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    let mut agent = Agent::open(config)?;
    info!(device = %agent.session.installed.device, agent = crate::AGENT, "started");
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let mut shutdown = pin!(shutdown);
    let mut failures = 0_u32;
    loop {
        let ended = tokio::select! {
            ended = agent.cycle(&mut runner) => ended,
            () = &mut shutdown => break,
        };
        let delay = match ended {
            Ok(interval_seconds) => {
                failures = 0;
                agent.interval(interval_seconds)?
            }
            Err(error) if is_of_the_hub(&error) => {
                warn!(%error, "the hub could not be used");
                failures = failures.saturating_add(1);
                agent.back_off(failures)?
            }
            Err(error) => {
                error!(%error, "the agent ends");
                return Err(error);
            }
        };
        tokio::select! {
            rested = agent.rest(delay, &mut runner) => rested?,
            () = &mut shutdown => break,
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    info!("stopped");
    Ok(())
}

struct Agent {
    session: Session,
    hub: Option<HttpsHub>,
    /// Has the work that was cut been taken up?
    taken_up: bool,
    spare_asked: Option<Instant>,
}

impl Agent {
    fn open(config: &AgentConfig) -> Result<Agent, AgentError> {
        let mut session = Session::open(config, Disk::default())?;
        if session.is_decommissioned() {
            mark_end(&session)?;
            return Err(AgentError::Decommissioned);
        }
        session.offer_debug_nonce()?;
        Ok(Agent { session, hub: None, taken_up: false, spare_asked: None })
    }

    /// Everything that is due now.
    async fn cycle<R: Runner>(&mut self, runner: &mut R) -> Result<Option<u32>, AgentError> {
        if self.session.device.record().command.is_some() {
            self.resume_command(runner).await?;
        }
        if self.session.installed.operational.is_none() {
            let entered = self.enter().await;
            if entered.is_err() {
                self.ask_spare(runner).await?;
            }
            self.after(entered, runner).await?;
        }
        let (chain, label) = self.operational_chain()?;
        let timed = self.time_first(&chain, &label).await;
        if !self.taken_up {
            // A trial goes on whether or not the hub can be reached.
            let mut hub = self.hub(&chain, &label)?;
            Driver::new(&mut self.session, &mut hub, runner).start().await?;
            self.taken_up = true;
        }
        // Whatever the hub says, and whether or not it says anything.
        self.ask_spare(runner).await?;
        if let Err(error) = &timed
            && asks_for_re_entry(error)
        {
            // Not even the time is told to this certificate.
            let entered = self.re_enter(error).await;
            return self.after(entered, runner).await;
        }
        self.after(timed, runner).await?;
        let renewed = self.renew().await;
        if let Err(error) = self.after(renewed, runner).await {
            if !is_of_the_hub(&error) {
                return Err(error);
            }
            // The old certificate is still there.
            warn!(%error, "the certificate was not renewed; it is tried again");
        }
        let (chain, label) = self.operational_chain()?;
        let mut hub = match self.hub.take() {
            Some(hub) => hub,
            None => self.hub(&chain, &label)?,
        };
        hub.set_trust(self.trust()?);
        let anchors = self.session.device.record().anchors;
        let polled = Driver::new(&mut self.session, &mut hub, runner).poll().await;
        if self.session.is_wiped() {
            // Nothing of what was opened with the old key is used again.
            return self.after(polled, runner).await;
        }
        if anchors == self.session.device.record().anchors && polled.is_ok() {
            self.hub = Some(hub);
        }
        if let Err(error) = &polled
            && asks_for_re_entry(error)
        {
            return self.re_enter(error).await;
        }
        self.after(polled, runner).await
    }

    /// Goes on with a command that was cut, with the operational key if it is still there.
    async fn resume_command<R: Runner>(&mut self, runner: &mut R) -> Result<(), AgentError> {
        let own = self.operational_chain().ok().filter(|(chain, _)| !chain.is_empty());
        let mut hub = match own {
            Some((chain, label)) => {
                if let Err(error) = self.time_first(&chain, &label).await {
                    warn!(%error, "the hub cannot be told how the command goes");
                }
                self.hub(&chain, &label)?
            }
            None => {
                let address = self.session.with_anchors(|anchors| anchors.hub().to_owned())?;
                HttpsHub::new(&address, self.trust()?, None, &self.session.config.proxies)?
            }
        };
        self.hub = None;
        Driver::new(&mut self.session, &mut hub, runner).resume_command().await
    }

    /// Enters again by the factory identity. The seconds until the next check-in.
    async fn re_enter(&mut self, why: &AgentError) -> Result<Option<u32>, AgentError> {
        warn!(%why, "the operational certificate is not taken; entering with the factory's");
        self.enter().await.map(|()| Some(1))
    }

    /// A server that is not trusted any more may still hand out anchors, which prove themselves.
    async fn after<T, R: Runner>(
        &mut self,
        result: Result<T, AgentError>,
        runner: &mut R,
    ) -> Result<T, AgentError> {
        if let Err(AgentError::ServerNotTrusted(_)) = &result {
            self.session.device.forget_time();
            self.hub = None;
            let (chain, label) = self.newest_chain()?;
            let mut hub = self.hub(&chain, &label)?;
            let mut driver = Driver::new(&mut self.session, &mut hub, runner);
            driver.fetch_anchors_of_anyone().await?;
        }
        result
    }

    /// Waits for the next check-in. The spare address is asked meanwhile as often as ever: a hub
    /// that was stolen may send its devices away for a week, and cannot hide its dismissal by that.
    async fn rest<R: Runner>(&mut self, delay: Duration, runner: &mut R) -> Result<(), AgentError> {
        let ends = Instant::now() + delay;
        loop {
            let spare_due = self.spare_asked.map(|at| at + A_DAY).filter(|due| *due < ends);
            match spare_due {
                None => {
                    tokio::time::sleep_until(ends).await;
                    return Ok(());
                }
                Some(due) => {
                    tokio::time::sleep_until(due).await;
                    self.ask_spare(runner).await?;
                    if self.spare_asked.is_none_or(|at| at < due) {
                        // The newest anchors name none any more.
                        self.spare_asked = None;
                    }
                }
            }
        }
    }

    async fn ask_spare<R: Runner>(&mut self, runner: &mut R) -> Result<(), AgentError> {
        let is_due = self.spare_asked.is_none_or(|at| at.elapsed() >= A_DAY);
        let has_spare = self.session.with_anchors(|anchors| anchors.spare().is_some())?;
        if is_due && has_spare {
            self.spare_asked = Some(Instant::now());
            let (chain, label) = self.newest_chain()?;
            let mut hub = self.hub(&chain, &label)?;
            let before = self.session.device.record().anchors;
            Driver::new(&mut self.session, &mut hub, runner).fetch_spare_anchors().await?;
            if self.session.device.record().anchors != before {
                // The hub may be another one now, at another address.
                self.hub = None;
            }
        }
        Ok(())
    }

    /// Signed time, before anything else is asked for; then every connection is validated at it.
    async fn time_first(&mut self, chain: &[Vec<u8>], label: &Label) -> Result<(), AgentError> {
        if self.session.device.clock().is_trusted() {
            return Ok(());
        }
        let mut hub = self.hub(chain, label)?;
        let nonce = self.session.nonce()?;
        let token = hub.time(nonce).await?;
        let actions = self.session.give(Event::SignedTime { token: &token, nonce })?;
        for action in actions.iter() {
            match action {
                Action::Persist => self.session.persist()?,
                Action::Refused(reason) => {
                    return Err(AgentError::answer(reason, "the signed time"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// First enrolment and re-entry: a new key, by the factory identity.
    async fn enter(&mut self) -> Result<(), AgentError> {
        let (chain, label) = self.idevid_chain()?;
        self.time_first(&chain, &label).await?;
        let mut hub = self.hub(&chain, &label)?;
        let number = self.new_key()?;
        self.certify(&mut hub, "simpleenroll", number).await?;
        self.promote(number)?;
        info!("enrolled");
        Ok(())
    }

    /// From two thirds of its life on the certificate is renewed with a new key; the old one goes
    /// when the new one has worked.
    async fn renew(&mut self) -> Result<(), AgentError> {
        let (chain, label) = self.operational_chain()?;
        let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
        let Some((validity, _)) = keys::read_certificate(leaf) else {
            return Err(AgentError::State("the operational certificate is damaged".into()));
        };
        let now = self.session.now()?;
        // Another byte for each certificate, the same at each look.
        let jitter = leaf.last().copied().unwrap_or_default();
        if now < validity.renewal(jitter) {
            return Ok(());
        }
        if now >= validity.to {
            return self.enter().await;
        }
        let number = self.new_key()?;
        let new_label = keys::operational(number)?;
        keys::key(&self.session.store, &new_label)?;
        if self.session.store.certificates(&new_label)?.is_empty() {
            let mut hub = self.hub(&chain, &label)?;
            self.certify(&mut hub, "simplereenroll", number).await?;
        }
        let new_chain = self.session.store.certificates(&new_label)?;
        let mut hub = self.hub(&new_chain, &new_label)?;
        hub.time(self.session.nonce()?).await?;
        self.promote(number)?;
        info!("certificate renewed");
        Ok(())
    }

    /// The number of the key that is being certified; noted before the key is made.
    fn new_key(&mut self) -> Result<u64, AgentError> {
        if let Some(number) = self.session.installed.pending {
            return Ok(number);
        }
        let number = self.session.installed.operational.unwrap_or(0) + 1;
        self.session.installed.pending = Some(number);
        self.session.persist()?;
        Ok(number)
    }

    async fn certify(
        &mut self,
        hub: &mut HttpsHub,
        operation: &str,
        number: u64,
    ) -> Result<(), AgentError> {
        let label = keys::operational(number)?;
        let key = keys::key(&self.session.store, &label)?;
        let request = keys::certificate_request(&key)?;
        let certificates = match hub.enrol(operation, &request).await {
            // Someone has this key already: the next try makes another.
            Err(AgentError::Refused { code, detail }) if code == Reason::KeyAlreadyKnown.code() => {
                self.session.store.remove(&label)?;
                return Err(AgentError::Refused { code, detail });
            }
            other => other?,
        };
        let own = public_key_to_der(&self.session.store.public_key(&label)?);
        let is_own = |certificate: &Vec<u8>| {
            keys::read_certificate(certificate).is_some_and(|(_, key)| key == own)
        };
        let Some(position) = certificates.iter().position(is_own) else {
            return Err(AgentError::answer(Reason::Malformed, "no certificate for the new key"));
        };
        let mut chain = certificates;
        chain.swap(0, position);
        Ok(self.session.store.put_certificates(&label, &chain)?)
    }

    /// The new key is the one in use; the one before it goes.
    fn promote(&mut self, number: u64) -> Result<(), AgentError> {
        let old = self.session.installed.operational.replace(number);
        self.session.installed.pending = None;
        self.session.persist()?;
        self.hub = None;
        if let Some(old) = old.filter(|old| *old != number) {
            self.session.store.remove(&keys::operational(old)?)?;
        }
        Ok(())
    }

    fn operational_chain(&self) -> Result<(Vec<Vec<u8>>, Label), AgentError> {
        let number = self.session.installed.operational.ok_or(AgentError::NoIdentity)?;
        let label = keys::operational(number)?;
        Ok((self.session.store.certificates(&label)?, label))
    }

    /// The operational identity; before the first enrolment the factory's.
    fn newest_chain(&self) -> Result<(Vec<Vec<u8>>, Label), AgentError> {
        match self.session.installed.operational {
            Some(_) => self.operational_chain(),
            None => self.idevid_chain(),
        }
    }

    fn idevid_chain(&self) -> Result<(Vec<Vec<u8>>, Label), AgentError> {
        let label = keys::label(keys::IDEVID)?;
        Ok((self.session.store.certificates(&label)?, label))
    }

    fn hub(&self, chain: &[Vec<u8>], label: &Label) -> Result<HttpsHub, AgentError> {
        let key = StoreKey::new(Arc::clone(&self.session.store), label.clone())?;
        let credentials = Credentials { chain: chain.to_vec(), key: Arc::new(key) };
        let address = self.session.with_anchors(|anchors| anchors.hub().to_owned())?;
        HttpsHub::new(&address, self.trust()?, Some(credentials), &self.session.config.proxies)
    }

    fn trust(&self) -> Result<Trust, AgentError> {
        let server_cas = self
            .session
            .with_anchors(|anchors| anchors.server_cas().map(<[u8]>::to_vec).collect())?;
        Ok(Trust {
            server_cas,
            clock: *self.session.device.clock(),
            floor: self.session.time_floor()?,
            uptime: self.session.uptime(),
        })
    }

    /// What is configured, or what the hub says and up to a tenth more, so that a fleet that
    /// started at once does not ask at once for ever.
    fn interval(&self, hub_seconds: Option<u32>) -> Result<Duration, AgentError> {
        if let Some(seconds) = self.session.config.poll.interval_seconds {
            return Ok(Duration::from_secs(seconds.into()));
        }
        let seconds = u64::from(hub_seconds.unwrap_or(DEFAULT_INTERVAL_SECONDS));
        let spread = seconds * 100 * u64::from(random_byte()?) / 255;
        Ok(Duration::from_millis(seconds * 1000 + spread))
    }

    /// Longer with each failure, up to a quarter of an hour, and never at one beat.
    fn back_off(&self, failures: u32) -> Result<Duration, AgentError> {
        let longest = self.session.config.poll.interval_seconds.map_or(900, u64::from).max(5);
        let seconds = (1_u64 << failures.min(10)).min(longest);
        let spread = seconds * 500 * u64::from(random_byte()?) / 255;
        Ok(Duration::from_millis(seconds * 500 + spread))
    }
}

fn asks_for_re_entry(error: &AgentError) -> bool {
    let AgentError::Refused { code, .. } = error else { return false };
    RE_ENTRY.iter().any(|reason| reason.code() == code)
}

fn random_byte() -> Result<u8, AgentError> {
    let mut byte = [0];
    rand::fill(&mut byte).map_err(|_| ringfort_keystore::Error::Crypto)?;
    Ok(byte[0])
}

/// What the hub says when an operational certificate is of no use any more.
const RE_ENTRY: [Reason; 3] =
    [Reason::CertificateExpired, Reason::CertificateRevoked, Reason::UnknownCertificate];
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DEFAULT_INTERVAL_SECONDS: u32 = 60;

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
