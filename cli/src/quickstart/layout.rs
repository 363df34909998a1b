//! Where everything of a quickstart lies: one folder, one sub-folder for each party that would be
//! a different person or machine in earnest.

use std::path::{Path, PathBuf};

/// The folder given by `--dir`.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`, made absolute so that child processes agree about it.
    pub fn new(root: &Path) -> std::io::Result<Layout> {
        Ok(Layout { root: std::path::absolute(root)? })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was built and with which ports; written last, so that its presence means "complete".
    pub fn record(&self) -> PathBuf {
        self.root.join("quickstart.json")
    }

    /// Every command that was run, to be read or run again by hand.
    pub fn transcript(&self) -> PathBuf {
        self.root.join("commands.sh")
    }

    /// The offline root's folder.
    pub fn root_ca(&self) -> PathBuf {
        self.root.join("pki/root")
    }

    /// The backup root's folder: never the same as the root's.
    pub fn backup_root(&self) -> PathBuf {
        self.root.join("pki/backup-root")
    }

    /// A person who holds one key: `anchor-1`, `release-2`, `attacker`, …
    pub fn person(&self, name: &str) -> PathBuf {
        self.root.join("people").join(name)
    }

    /// The hub's folder.
    pub fn hub(&self) -> PathBuf {
        self.root.join("hub")
    }

    /// The operator's own key and certificate.
    pub fn operator(&self) -> PathBuf {
        self.root.join("operator")
    }

    /// The factory site's station.
    pub fn station(&self) -> PathBuf {
        self.root.join("factory/site-1")
    }

    /// The file with the passphrase of the station's keys.
    pub fn station_pin(&self) -> PathBuf {
        self.root.join("factory/site-1.pin")
    }

    /// One device's state folder.
    pub fn device(&self, id: &str) -> PathBuf {
        self.root.join("devices").join(id)
    }

    /// Release envelopes and their payloads.
    pub fn release(&self, version: &str) -> PathBuf {
        self.root.join("releases").join(version)
    }

    /// What a child process printed.
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("log").join(format!("{name}.log"))
    }
}
