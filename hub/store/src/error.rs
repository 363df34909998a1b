//! What can go wrong below the rules.

use std::io;

/// Why the store did not do what it was asked. Whenever one of these comes back from
/// [`crate::Store::write`], nothing of that operation was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No space is left on the disk, or a quota is used up.
    #[error("the disk is full")]
    Full,
    /// Another process holds the database.
    #[error("the database is locked by another process")]
    Locked,
    /// A row with this key exists already. The text names the constraint.
    #[error("exists already: {0}")]
    Exists(String),
    /// The database or a row in it cannot be read as what it should be.
    #[error("damaged data: {0}")]
    Damaged(String),
    /// The disk did not read or write.
    #[error("disk input or output failed: {0}")]
    Io(String),
    /// The database was written by a newer program. It never goes back.
    #[error("the database has schema {held}, and this program knows {known}")]
    Newer {
        /// The newest version that the database has.
        held: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// A migration failed, or one that was applied is not what this program knows.
    #[error("the schema could not be brought up to date: {0}")]
    Schema(String),
    /// A range that begins behind the end of its object.
    #[error("the range begins behind the end of the object, which has {size_bytes} bytes")]
    Range {
        /// The size of the object.
        size_bytes: u64,
    },
    /// The store was closed before the operation was made durable.
    #[error("the store is closed")]
    Closed,
    /// The operation itself broke off; it was undone.
    #[error("the operation broke off")]
    BrokeOff,
    /// Anything else that the database said.
    #[error("database: {0}")]
    Database(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0);
                // Primary result code: the low byte of the extended one.
                match code & 0xff {
                    SQLITE_FULL => StoreError::Full,
                    SQLITE_BUSY | SQLITE_LOCKED => StoreError::Locked,
                    SQLITE_CONSTRAINT if error.is_unique_violation() => {
                        StoreError::Exists(error.message().to_owned())
                    }
                    SQLITE_CORRUPT | SQLITE_NOTADB => {
                        StoreError::Damaged(error.message().to_owned())
                    }
                    SQLITE_IOERR | SQLITE_CANTOPEN | SQLITE_READONLY => {
                        StoreError::Io(error.message().to_owned())
                    }
                    _ => StoreError::Database(error.message().to_owned()),
                }
            }
            sqlx::Error::Io(error) => StoreError::from(error),
            sqlx::Error::ColumnDecode { index, source } => {
                StoreError::Damaged(format!("column {index}: {source}"))
            }
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => StoreError::Closed,
            error => StoreError::Database(error.to_string()),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => StoreError::Io(error.to_string()),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> StoreError {
        match error {
            sqlx::migrate::MigrateError::Execute(error) => StoreError::from(error),
            error => StoreError::Schema(error.to_string()),
        }
    }
}

// Result codes of SQLite, https://sqlite.org/rescode.html
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_READONLY: u32 = 8;
const SQLITE_IOERR: u32 = 10;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;
const SQLITE_CONSTRAINT: u32 = 19;
const SQLITE_NOTADB: u32 = 26;
