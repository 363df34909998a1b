//! Whether the hub works, told to whoever asks.

use crate::{Fleet, Refusal, Restored};

/// How a hub is that answers. It says nothing about devices or people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    Up,
    /// It was restored from a backup and waits for an administrator: no orders, no certificates.
    Restored,
}

impl Health {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Health::Up => "up",
            Health::Restored => "restored",
        }
    }
}

impl Fleet {
    /// Asks the database.
    ///
    /// # Errors
    /// `storage-failed`, `internal`: it does not answer.
    pub async fn health(&self) -> Result<Health, Refusal> {
        self.read().await?.meta(Restored::META).await?;
        Ok(match self.restored() {
            Some(Restored { acknowledged_ms: None, .. }) => Health::Restored,
            _ => Health::Up,
        })
    }

    /// Finishes what was begun and closes the database, so that all of it lies in one file. Later
    /// calls are refused.
    pub async fn close(&self) {
        self.inner.store.close().await;
    }
}
