//! Carries out the commands of people: wiping, decommissioning, unlocking.
//!
//! Every step may be done again: a start after a cut begins at the first, and what is gone already
//! is no error.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringfort_device::{CommandPhase, Detail, Event, Slot};
use tracing::{info, warn};

use super::Driver;
use crate::disk::storage;
use crate::hub::Hub;
use crate::runner::Runner;
use crate::session::Session;
use crate::{AgentError, keys};

impl<H: Hub, R: Runner> Driver<'_, H, R> {
    /// Takes up a command that was cut. Nothing else goes on beside it.
    ///
    /// # Errors
    /// As [`Driver::start`]; [`AgentError::Decommissioned`] when the device is at its end.
    pub(crate) async fn resume_command(&mut self) -> Result<(), AgentError> {
        let actions = self.session.give(Event::Started { booted: None })?;
        self.perform(actions).await
    }

    /// The operational keys with their certificates, the data of whoever operated the device, and
    /// what was fetched and not installed.
    pub(super) async fn wipe_operational(&mut self) -> Result<(), AgentError> {
        self.empty_data()?;
        let active = self.session.device.record().active;
        for slot in [Slot::A, Slot::B].into_iter().filter(|slot| Some(*slot) != active) {
            self.slots().remove(slot)?;
        }
        for number in operational_numbers(self.session) {
            self.remove_key(&format!("ldevid-{number}"))?;
        }
        self.session.installed.operational = None;
        self.session.installed.pending = None;
        self.session.persist()?;
        self.wiped = true;
        info!("operational keys and data are wiped");
        if active.is_some() {
            self.tell_payload().await;
        }
        self.give(Event::CommandDone { failed: None })
    }

    /// Everything but the operational key, which the last word needs.
    pub(super) async fn destroy_identity(&mut self) -> Result<(), AgentError> {
        let slots = self.slots();
        slots.activate(None)?;
        for slot in [Slot::A, Slot::B] {
            slots.remove(slot)?;
        }
        self.empty_data()?;
        self.remove_key(keys::IDEVID)?;
        self.remove_key(keys::ATTESTATION)?;
        info!("the device's identity and software are destroyed");
        self.tell_payload().await;
        self.give(Event::CommandDone { failed: None })
    }

    /// Restarts the payload, which has lost its data or itself. A machine that would restart as a
    /// whole is left alone: the command is not at its end.
    async fn tell_payload(&mut self) {
        if !self.session.config.update.restart.reboots
            && let Err(detail) = self.runner.restart().await
        {
            info!(detail, "the payload did not start again");
        }
    }

    pub(super) fn has_last_word(&self) -> bool {
        let command = self.session.device.record().command;
        command.is_some_and(|command| command.phase == CommandPhase::LastWord)
    }

    pub(super) async fn unlock_debug(&mut self) -> Result<(), AgentError> {
        let failed = self.runner.unlock().await.err();
        match &failed {
            None => info!("debugging is unlocked until the next reset"),
            Some(detail) => warn!(detail, "debugging was not unlocked"),
        }
        self.give(Event::CommandDone { failed: failed.as_deref().map(Detail::lossy) })
    }

    /// Tells the hub once more; a hub that cannot be reached does not keep the device alive.
    pub(super) async fn last_word(&mut self) -> Result<(), AgentError> {
        let Some(report) = self.session.device.result_report() else { return Ok(()) };
        if !self.hub.is_there() {
            return Ok(());
        }
        for pause in LAST_WORD_PAUSES {
            if self.send(&report).await {
                return self.give(Event::ResultReported { order: report.order });
            }
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// The end: a mark for whoever looks, and nothing more.
    pub(super) fn end(&mut self) -> Result<(), AgentError> {
        mark_end(self.session)?;
        Err(AgentError::Decommissioned)
    }

    fn empty_data(&self) -> Result<(), AgentError> {
        let disk = &self.session.disk;
        for path in &self.session.config.commands.data {
            match fs::symlink_metadata(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(storage(path)(error)),
                // The directory itself stays, with its owner and its rights.
                Ok(found) if found.is_dir() => {
                    for entry in entries(path)? {
                        disk.remove(&entry)?;
                    }
                }
                Ok(_) => disk.remove(path)?,
            }
        }
        Ok(())
    }

    fn remove_key(&self, name: &str) -> Result<(), AgentError> {
        let file = self.session.config.state_file();
        self.session.disk.step(&file)?;
        self.session.store.remove(&keys::label(name)?)?;
        self.session.disk.step(&file)
    }
}

/// Writes the mark by which the service manager knows that there is nothing to start.
pub(crate) fn mark_end(session: &Session) -> Result<(), AgentError> {
    let marker = session.config.end_marker();
    if marker.exists() {
        return Ok(());
    }
    let text = "A command has put this device out of use for ever. It has no keys any more.\n";
    session.disk.replace(&marker, text.as_bytes(), 0o644)
}

/// The key in use, the one that is being made, and the one that a cut may have left before them.
fn operational_numbers(session: &Session) -> impl Iterator<Item = u64> + use<> {
    let installed = &session.installed;
    let newest = installed.operational.max(installed.pending).unwrap_or(0);
    // A number is used once between two wipes, and a key goes when the next is proven.
    newest.saturating_sub(LEFT_BEHIND)..=newest.saturating_add(1)
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, AgentError> {
    fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(storage(path))
}

/// Waits between tries of the last word.
const LAST_WORD_PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];
/// Keys before the newest that are looked for.
const LEFT_BEHIND: u64 = 16;
