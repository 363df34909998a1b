use sqlx::FromRow;

use super::Exactly;
use crate::outside::NEWEST_MS;
use crate::{Hash, Read, StoreError, Write};

/// A version of the anchors document.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AnchorsRow {
    /// The version.
    pub version: i64,
    /// SHA-256 of the document.
    #[sqlx(try_from = "Exactly<32>")]
    pub digest: Hash,
    /// The document with its signatures.
    pub document: Vec<u8>,
    /// When it was added.
    pub added_ms: i64,
}

impl Read {
    /// One version of the anchors.
    pub async fn anchors(&mut self, version: i64) -> Result<Option<AnchorsRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM anchors WHERE version = $1")
            .bind(version)
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// The newest version of the anchors.
    pub async fn newest_anchors(&mut self) -> Result<Option<AnchorsRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM anchors ORDER BY version DESC LIMIT 1")
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// A value that stands alone.
    pub async fn meta(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
            .bind(name)
            .fetch_optional(self.connection().await?)
            .await?)
    }
}

impl Write {
    /// Adds a version of the anchors. [`StoreError::Exists`] when it is there.
    pub async fn insert_anchors(&mut self, row: &AnchorsRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO anchors (version, digest, document, added_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(row.version)
        .bind(&row.digest[..])
        .bind(&row.document)
        .bind(row.added_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Writes a value that stands alone.
    pub async fn put_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(value)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }
}

impl Read {
    /// Is there a version of the anchors with this digest?
    pub async fn has_anchors(&mut self, digest: &Hash) -> Result<bool, StoreError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT version FROM anchors WHERE digest = $1")
                .bind(&digest[..])
                .fetch_optional(self.connection().await?)
                .await?;
        Ok(found.is_some())
    }
}

impl Read {
    /// The newest time that the audit log or a device's contact holds, Unix milliseconds.
    pub async fn newest_ms(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(NEWEST_MS).fetch_one(self.connection().await?).await?)
    }

    /// The highest order number that was ever given out or heard of.
    pub async fn highest_order(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT COALESCE(MAX(number), 0) FROM (SELECT last_order AS number FROM contacts \
             UNION ALL SELECT last_order AS number FROM targets) AS numbers",
        )
        .fetch_one(self.connection().await?)
        .await?)
    }
}

impl Write {
    /// Puts off every deadline: for the time in which there was no hub.
    pub async fn put_off_deadlines(&mut self, by_ms: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE targets SET deadline_ms = deadline_ms + $1 WHERE deadline_ms IS NOT NULL",
        )
        .bind(by_ms)
        .execute(self.change().await?)
        .await?;
        Ok(done.rows_affected())
    }
}
