//! Durable steps. Everything that has to survive a power cut goes through here, so that tests can
//! cut the power at each of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::AgentError;

/// The disk. In tests it can be told to lose power after a number of steps; from then on every
/// step fails.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    steps_left: Option<Arc<AtomicI64>>,
}

impl Disk {
    #[cfg(test)]
    pub(crate) fn with_power_for(steps: i64) -> Disk {
        Disk { steps_left: Some(Arc::new(AtomicI64::new(steps))) }
    }

    /// A point at which the power may go.
    pub(crate) fn step(&self, path: &Path) -> Result<(), AgentError> {
        match &self.steps_left {
            Some(left) if left.fetch_sub(1, Ordering::SeqCst) <= 0 => {
                Err(storage(path)(io::Error::other(POWER_CUT)))
            }
            _ => Ok(()),
        }
    }

    /// Writes a file in place of the one that may be there: after a cut the old or the new is
    /// there, whole.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), AgentError> {
        let draft = path.with_extension("draft");
        self.step(path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&draft)
            .map_err(storage(&draft))?;
        // Half of it, so that a cut leaves a torn draft behind.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all(first).map_err(storage(&draft))?;
        self.step(path)?;
        file.write_all(second).and_then(|()| file.sync_all()).map_err(storage(&draft))?;
        self.rename(&draft, path)
    }

    /// Renames, durably.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), AgentError> {
        self.step(to)?;
        fs::rename(from, to).map_err(storage(to))?;
        self.sync_parent(to)?;
        self.step(to)
    }

    /// Points a symbolic link at a name in the same directory, by one rename.
    pub(crate) fn point(&self, link: &Path, target: &str) -> Result<(), AgentError> {
        let draft = link.with_extension("draft");
        self.step(link)?;
        remove_any(&draft)?;
        symlink(target, &draft).map_err(storage(&draft))?;
        self.rename(&draft, link)
    }

    /// Removes a file, a link or a directory with all that is in it, durably.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), AgentError> {
        self.step(path)?;
        remove_any(path)?;
        self.sync_parent(path)?;
        self.step(path)
    }

    /// Makes a directory and those above it, durably.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<(), AgentError> {
        if path.is_dir() {
            return Ok(());
        }
        self.step(path)?;
        fs::create_dir_all(path).map_err(storage(path))?;
        self.sync_parent(path)
    }

    /// Makes what a file holds durable.
    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<(), AgentError> {
        self.step(path)?;
        file.sync_all().map_err(storage(path))
    }

    fn sync_parent(&self, path: &Path) -> Result<(), AgentError> {
        let parent = path.parent().unwrap_or(Path::new("."));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(storage(parent))
    }
}

pub(crate) fn storage(path: &Path) -> impl FnOnce(io::Error) -> AgentError + use<> {
    let path = path.to_owned();
    move |source| AgentError::Storage { path, source }
}

fn remove_any(path: &Path) -> Result<(), AgentError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(storage(path)(error)),
        _ => Ok(()),
    }
}

const POWER_CUT: &str = "the power was cut";
