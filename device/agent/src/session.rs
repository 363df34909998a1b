//! One agent at work: configuration, key store, state, and the state machine between them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use ringfort_cose::{AwsLc, Verify};
use ringfort_device::{Actions, Device, Env, Event, Settings, Slot, Uptime};
use ringfort_keystore::KeyStore;
use ringfort_messages::{CheckIn, Protection};
use ringfort_trust::ids::{AnchorsVersion, Nonce, Text, UnixTime};
use ringfort_trust::{Anchors, TimeFloor};
use rustix::fs::FlockOperation;

use crate::disk::{Disk, storage};
use crate::state::{InstalledState, State, boot_id};
use crate::{AGENT, AgentConfig, AgentError, keys};

/// The state directory, for one agent at a time.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; waits a moment for one who only looks whether it is taken.
    pub(crate) fn take(config: &AgentConfig) -> Result<Lock, AgentError> {
        for _ in 0..9 {
            match Lock::try_take(config) {
                Err(AgentError::Busy(_)) => std::thread::sleep(A_MOMENT),
                other => return other,
            }
        }
        Lock::try_take(config)
    }

    /// Does another agent have it?
    pub(crate) fn is_taken(config: &AgentConfig) -> bool {
        matches!(Lock::try_take(config), Err(AgentError::Busy(_)))
    }

    fn try_take(config: &AgentConfig) -> Result<Lock, AgentError> {
        let path = config.state.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(storage(&path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(AgentError::Busy(config.state.clone())),
            Err(error) => Err(storage(&path)(error.into())),
        }
    }
}

pub(crate) struct Session {
    pub(crate) config: AgentConfig,
    pub(crate) disk: Disk,
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) installed: InstalledState,
    pub(crate) device: Device,
    /// The anchors document in force.
    pub(crate) anchors: Arc<[u8]>,
    protection: Protection,
    state: State,
    started: Instant,
    _lock: Lock,
}

impl Session {
    /// Opens the state of a device that has its identity.
    pub(crate) fn open(config: &AgentConfig, disk: Disk) -> Result<Session, AgentError> {
        if !config.state.is_dir() {
            return Err(AgentError::NoIdentity);
        }
        let lock = Lock::take(config)?;
        let store = keys::open_store(config)?;
        let state = State::load(&config.state_file(), &*store)?.ok_or(AgentError::NoIdentity)?;
        let (Some(installed), Some(identity)) = (state.installed.clone(), state.identity()) else {
            return Err(AgentError::NoIdentity);
        };
        let record = installed.record;
        let anchors = read_anchors(config, record.anchors.version)?;
        if AwsLc.sha256(&[&anchors]) != record.anchors.digest {
            return Err(AgentError::State("the anchors are not the ones that were taken".into()));
        }
        let settings = Settings {
            built: built(),
            trial_attempts: config.update.trial_attempts,
            debug_unlock: config.commands.debug_unlock.is_some(),
        };
        let counter = store.counter(&keys::label(keys::COUNTER)?)?;
        let device = Device::new(identity, settings, record, counter).map_err(|found| {
            AgentError::RolledBack { record: found.record, counter: found.counter }
        })?;
        Ok(Session {
            protection: keys::protection(config, &*store),
            config: config.clone(),
            disk,
            store,
            installed,
            device,
            anchors: anchors.into(),
            state,
            started: Instant::now(),
            _lock: lock,
        })
    }

    pub(crate) fn uptime(&self) -> Uptime {
        Uptime(self.started.elapsed().as_secs())
    }

    /// The anchors in force.
    pub(crate) fn with_anchors<T>(
        &self,
        use_them: impl FnOnce(&Anchors<'_>) -> T,
    ) -> Result<T, AgentError> {
        let digest = self.device.record().anchors.digest;
        let anchors = Anchors::verify_pinned(&self.anchors, &digest, &AwsLc)
            .map_err(|reason| AgentError::State(format!("the anchors: {reason}")))?;
        Ok(use_them(&anchors))
    }

    pub(crate) fn time_floor(&self) -> Result<TimeFloor, AgentError> {
        self.with_anchors(|anchors| self.device.time_floor(anchors))
    }

    /// The best time there is.
    pub(crate) fn now(&self) -> Result<UnixTime, AgentError> {
        Ok(self.device.clock().now(&self.time_floor()?, self.uptime()))
    }

    /// Gives an event to the state machine.
    pub(crate) fn give(&mut self, event: Event<'_>) -> Result<Actions, AgentError> {
        let bytes = Arc::clone(&self.anchors);
        let digest = self.device.record().anchors.digest;
        let anchors = Anchors::verify_pinned(&bytes, &digest, &AwsLc)
            .map_err(|reason| AgentError::State(format!("the anchors: {reason}")))?;
        let env = Env { anchors: &anchors, verifier: &AwsLc, uptime: self.uptime() };
        let actions = self.device.handle(event, &env);
        if let Event::Anchors { document } = event
            && AwsLc.sha256(&[document]) == self.device.record().anchors.digest
        {
            self.anchors = document.into();
        }
        Ok(actions)
    }

    /// Has a command wiped the operational keys since the last enrolment?
    pub(crate) fn is_wiped(&self) -> bool {
        self.installed.operational.is_none()
    }

    /// Has a command ended the device for good?
    pub(crate) fn is_decommissioned(&self) -> bool {
        self.device.record().decommissioned
    }

    /// Gives the device a nonce for unlocking debugging, if it can be unlocked and has none.
    pub(crate) fn offer_debug_nonce(&mut self) -> Result<(), AgentError> {
        let before = self.device.debug_nonce();
        let fresh = self.nonce()?;
        self.device.offer_debug_nonce(fresh);
        match before == self.device.debug_nonce() {
            true => Ok(()),
            false => self.persist(),
        }
    }

    /// Stores the record, durably.
    pub(crate) fn persist(&mut self) -> Result<(), AgentError> {
        self.installed.record = *self.device.record();
        self.state.installed = Some(self.installed.clone());
        self.state.store(&self.config.state_file(), &*self.store, &self.disk)
    }

    /// Stores the anchors in force under their version.
    pub(crate) fn store_anchors(&self, version: AnchorsVersion) -> Result<(), AgentError> {
        let path = self.config.anchors_dir().join(format!("{version}.cbor"));
        self.disk.replace(&path, &self.anchors, 0o644)
    }

    pub(crate) fn check_in(&self) -> Result<CheckIn, AgentError> {
        self.device
            .check_in(self.nonce()?, Text::lossy(AGENT), self.protection)
            .map_err(|reason| AgentError::State(reason.to_string()))
    }

    pub(crate) fn nonce(&self) -> Result<Nonce, AgentError> {
        let mut nonce = Nonce([0; 16]);
        rand::fill(&mut nonce.0).map_err(|_| ringfort_keystore::Error::Crypto)?;
        Ok(nonce)
    }

    /// The slot that the machine has booted into since it was activated, where booting is what
    /// starts the payload.
    pub(crate) fn booted(&self, current: Option<Slot>) -> Option<Slot> {
        let boot = boot_id();
        let same_boot = !boot.is_empty() && boot == self.installed.activated_in;
        current.filter(|_| self.config.update.restart.reboots && !same_boot)
    }
}

fn read_anchors(config: &AgentConfig, version: AnchorsVersion) -> Result<Vec<u8>, AgentError> {
    let path = config.anchors_dir().join(format!("{version}.cbor"));
    std::fs::read(&path).map_err(storage(&path))
}

/// When this agent was built.
fn built() -> UnixTime {
    UnixTime(env!("RINGFORT_BUILT").parse().unwrap_or_default())
}

const A_MOMENT: Duration = Duration::from_millis(20);
