use sqlx::FromRow;

use super::{Exactly, MaybeHash};
use crate::{Hash, Read, StoreError, Write};

/// A factory site.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct SiteRow {
    /// Its name.
    pub site: String,
    /// Its Factory CA certificate, DER.
    pub factory_ca: Vec<u8>,
    /// What every serial number of it starts with; empty for anything.
    pub serial_prefix: String,
    /// How many devices it may make.
    pub quota: i64,
    /// Until when its batches are taken.
    pub not_after_ms: i64,
    /// How many devices it has made.
    pub devices: i64,
    /// Number of its last batch; 0 before the first.
    pub last_batch_number: i64,
    /// Digest of its last batch.
    #[sqlx(try_from = "MaybeHash")]
    pub last_batch_digest: Option<Hash>,
    /// When it was added.
    pub added_ms: i64,
    /// Since when nothing of it is taken any more.
    pub revoked_ms: Option<i64>,
}

/// A site to enter.
#[derive(Clone, Debug)]
pub struct NewSite {
    /// Its name.
    pub site: String,
    /// Its Factory CA certificate, DER.
    pub factory_ca: Vec<u8>,
    /// What every serial number of it starts with; empty for anything.
    pub serial_prefix: String,
    /// How many devices it may make.
    pub quota: i64,
    /// Until when its batches are taken.
    pub not_after_ms: i64,
    /// Now.
    pub added_ms: i64,
}

impl Read {
    /// A site.
    pub async fn site(&mut self, site: &str) -> Result<Option<SiteRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM sites WHERE site = $1")
            .bind(site)
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// Every site, by name.
    pub async fn sites(&mut self) -> Result<Vec<SiteRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM sites ORDER BY site")
            .fetch_all(self.connection().await?)
            .await?)
    }

    /// Digest of a batch that was taken.
    pub async fn batch_digest(
        &mut self,
        site: &str,
        number: i64,
    ) -> Result<Option<Hash>, StoreError> {
        let found: Option<(Exactly<32>,)> =
            sqlx::query_as("SELECT digest FROM batches WHERE site = $1 AND number = $2")
                .bind(site)
                .bind(number)
                .fetch_optional(self.connection().await?)
                .await?;
        Ok(found.map(|(digest,)| digest.into()))
    }
}

impl Write {
    /// Enters a site. [`StoreError::Exists`] when its name is taken.
    pub async fn insert_site(&mut self, new: &NewSite) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO sites (site, factory_ca, serial_prefix, quota, not_after_ms, \
             added_ms) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&new.site)
        .bind(&new.factory_ca)
        .bind(&new.serial_prefix)
        .bind(new.quota)
        .bind(new.not_after_ms)
        .bind(new.added_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Ends a site. False when there was none to end.
    pub async fn revoke_site(&mut self, site: &str, at_ms: i64) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE sites SET revoked_ms = $2 WHERE site = $1 AND revoked_ms IS NULL")
                .bind(site)
                .bind(at_ms)
                .execute(self.change().await?)
                .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Keeps a batch and moves the site on.
    pub async fn insert_batch(
        &mut self,
        site: &str,
        number: i64,
        digest: &Hash,
        devices: i64,
        document: &[u8],
        at_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO batches (site, number, digest, devices, document, taken_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(site)
        .bind(number)
        .bind(&digest[..])
        .bind(devices)
        .bind(document)
        .bind(at_ms)
        .execute(self.change().await?)
        .await?;
        sqlx::query(
            "UPDATE sites SET last_batch_number = $2, last_batch_digest = $3, \
             devices = devices + $4 WHERE site = $1",
        )
        .bind(site)
        .bind(number)
        .bind(&digest[..])
        .bind(devices)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }
}
