//! A database looked at from outside the hub, which may be serving meanwhile: for backups and for
//! looking after it. Nothing here changes what is looked at.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::store::MIGRATOR;
use crate::{Hash, StoreError};

/// A database, opened beside the hub.
#[derive(Debug)]
pub struct Outside {
    connection: SqliteConnection,
}

/// How a database's schema stands to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The version that the database has; 0 for none.
    pub held: i64,
    /// The newest version that this program knows.
    pub known: i64,
}

impl Outside {
    /// Opens a database that exists.
    ///
    /// # Errors
    /// [`StoreError::Io`] when there is none, [`StoreError::Damaged`] when it is not one.
    pub async fn open(database: &Path) -> Result<Outside, StoreError> {
        let options =
            SqliteConnectOptions::new().filename(database).create_if_missing(false).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        // The first read finds out whether this is a database at all.
        sqlx::query("SELECT COUNT(*) FROM sqlite_master").execute(&mut connection).await?;
        Ok(Outside { connection })
    }

    /// The version of its schema.
    pub async fn schema(&mut self) -> Result<Schema, StoreError> {
        let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
        let migrated: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
        )
        .fetch_one(&mut self.connection)
        .await?;
        let held = match migrated {
            0 => 0,
            _ => {
                sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
                    .fetch_one(&mut self.connection)
                    .await?
            }
        };
        Ok(Schema { held, known })
    }

    /// Writes a copy of the database as it is at one moment, into a file that does not exist.
    /// Whoever writes meanwhile is not held up.
    ///
    /// # Errors
    /// [`StoreError::Full`], or what the database or the disk said.
    pub async fn copy_to(&mut self, file: &Path) -> Result<(), StoreError> {
        let name = file
            .to_str()
            .ok_or_else(|| StoreError::Io(format!("{} is not a name in UTF-8", file.display())))?;
        // SQLite would take an empty file too; nothing is ever overwritten here.
        if file.symlink_metadata().is_ok() {
            return Err(StoreError::Exists(name.to_owned()));
        }
        sqlx::query("VACUUM INTO $1").bind(name).execute(&mut self.connection).await?;
        Ok(())
    }

    /// What is wrong with the database's pages and indices; empty when nothing is.
    pub async fn damage(&mut self) -> Result<Vec<String>, StoreError> {
        let found: Vec<String> =
            sqlx::query_scalar("PRAGMA quick_check(10)").fetch_all(&mut self.connection).await?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// The objects that the database says are there, with their sizes in bytes.
    pub async fn objects(&mut self) -> Result<Vec<(Hash, u64)>, StoreError> {
        let rows: Vec<(Vec<u8>, i64)> =
            sqlx::query_as("SELECT digest, size_bytes FROM objects ORDER BY digest")
                .fetch_all(&mut self.connection)
                .await?;
        rows.into_iter()
            .map(|(digest, size)| {
                let digest = Hash::try_from(digest)
                    .map_err(|_| StoreError::Damaged("the digest of an object".to_owned()))?;
                Ok((digest, size.unsigned_abs()))
            })
            .collect()
    }

    /// How many people have a role that may approve: now, and counting those whose access ended.
    pub async fn people_who_may_approve(&mut self) -> Result<(i64, i64), StoreError> {
        Ok(sqlx::query_as(
            "SELECT COUNT(DISTINCT CASE WHEN removed_ms IS NULL THEN name END), \
             COUNT(DISTINCT name) FROM operators WHERE role IN ('operator', 'admin')",
        )
        .fetch_one(&mut self.connection)
        .await?)
    }

    /// When the last certificate of a kind ends whose serial number lies in a range; none where
    /// there is none.
    pub async fn last_end_between(
        &mut self,
        kind: &str,
        serials: std::ops::Range<&[u8]>,
    ) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT MAX(not_after_ms) FROM certificates \
             WHERE kind = $1 AND serial >= $2 AND serial < $3",
        )
        .bind(kind)
        .bind(serials.start)
        .bind(serials.end)
        .fetch_one(&mut self.connection)
        .await?)
    }

    /// The classes of the products for developers, each with the number of its devices that are
    /// not in this state. None in a database from before there were any.
    pub async fn developer_products(
        &mut self,
        except_state: &str,
    ) -> Result<Vec<(Vec<u8>, i64)>, StoreError> {
        let known: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'developer_products'",
        )
        .fetch_one(&mut self.connection)
        .await?;
        if known == 0 {
            return Ok(Vec::new());
        }
        Ok(sqlx::query_as(
            "SELECT p.class, (SELECT COUNT(*) FROM devices d WHERE d.class = p.class \
             AND d.state <> $1) FROM developer_products p ORDER BY p.class",
        )
        .bind(except_state)
        .fetch_all(&mut self.connection)
        .await?)
    }

    /// A value that stands alone.
    pub async fn meta(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut self.connection)
            .await?)
    }

    /// When the newest thing was noted that the hub noted by itself, Unix milliseconds; 0 for
    /// never.
    pub async fn newest_ms(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(NEWEST_MS).fetch_one(&mut self.connection).await?)
    }

    /// Ends the connection.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.connection.close().await?)
    }
}

/// Where an object lies, below the directory of objects.
pub fn object_file(objects: &Path, digest: &Hash) -> PathBuf {
    let name = hex::encode(digest);
    objects.join(&name[..2]).join(&name)
}

/// The newest time of the audit log and of the devices' contacts.
pub(crate) const NEWEST_MS: &str = "SELECT COALESCE(MAX(at_ms), 0) FROM (SELECT at_ms FROM audit \
     UNION ALL SELECT last_seen_ms FROM contacts) AS times";
