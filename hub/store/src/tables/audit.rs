use sqlx::FromRow;

use crate::writer::AUDIT_FRONTIER;
use crate::{Frontier, Read, StoreError};

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AuditRow {
    /// Its place in the log, from 0.
    pub position: i64,
    /// When it was made.
    pub at_ms: i64,
    /// What it is about: a device id, or `deployment/…`, `site/…` and the like.
    pub subject: String,
    /// The bytes that are hashed.
    pub entry: Vec<u8>,
}

impl Read {
    /// The audit tree as it is on disk.
    pub async fn audit_frontier(&mut self) -> Result<Frontier, StoreError> {
        match self.meta(AUDIT_FRONTIER).await? {
            None => Ok(Frontier::default()),
            Some(bytes) => Frontier::from_bytes(&bytes)
                .ok_or_else(|| StoreError::Damaged("the head of the audit log".to_owned())),
        }
    }

    /// At most `limit` entries from position `from` on, in order.
    pub async fn audit_entries(
        &mut self,
        from: i64,
        limit: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT position, at_ms, subject, entry FROM audit \
             WHERE position >= $1 ORDER BY position LIMIT $2",
        )
        .bind(from)
        .bind(limit)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// The newest `limit` entries about a subject, in order.
    pub async fn audit_entries_about(
        &mut self,
        subject: &str,
        limit: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let mut rows: Vec<AuditRow> = sqlx::query_as(
            "SELECT position, at_ms, subject, entry FROM audit \
             WHERE subject = $1 ORDER BY position DESC LIMIT $2",
        )
        .bind(subject)
        .bind(limit)
        .fetch_all(self.connection().await?)
        .await?;
        rows.reverse();
        Ok(rows)
    }
}

impl Read {
    /// How many rows each table has, by name. For tests and `doctor`.
    pub async fn row_counts(&mut self) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT 'audit', COUNT(*) FROM audit UNION ALL \
             SELECT 'batches', COUNT(*) FROM batches UNION ALL \
             SELECT 'certificates', COUNT(*) FROM certificates UNION ALL \
             SELECT 'contacts', COUNT(*) FROM contacts UNION ALL \
             SELECT 'deployments', COUNT(*) FROM deployments UNION ALL \
             SELECT 'devices', COUNT(*) FROM devices UNION ALL \
             SELECT 'known_keys', COUNT(*) FROM known_keys UNION ALL \
             SELECT 'objects', COUNT(*) FROM objects UNION ALL \
             SELECT 'releases', COUNT(*) FROM releases UNION ALL \
             SELECT 'running', COUNT(*) FROM running UNION ALL \
             SELECT 'targets', COUNT(*) FROM targets",
        )
        .fetch_all(self.connection().await?)
        .await?)
    }
}
