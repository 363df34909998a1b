//! The store: one writer, many readers, a directory of objects.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::batch::{Batch, Want};
use crate::lookups::Lookups;
use crate::queue::Op;
use crate::readers::{Lent, Readers};
use crate::writer::{Write, WriterHandle};
use crate::{Hash, IdentityRow, Objects, StoreError, upgrade};

/// Where the data lies.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The database file; made when it does not exist.
    pub database: PathBuf,
    /// The directory of objects; made when it does not exist.
    pub objects: PathBuf,
    /// How long to wait for another process that holds the database.
    pub lock_wait: Duration,
    /// How many connections read at once.
    pub readers: u32,
    /// The database grows no further than this; absent for as far as the disk goes.
    pub database_limit_bytes: Option<u64>,
}

impl StoreConfig {
    /// `hub.db` and `objects/` under this directory, four readers, five seconds of patience.
    pub fn in_directory(directory: impl Into<PathBuf>) -> StoreConfig {
        let directory = directory.into();
        StoreConfig {
            database: directory.join("hub.db"),
            objects: directory.join("objects"),
            lock_wait: Duration::from_secs(5),
            readers: 4,
            database_limit_bytes: None,
        }
    }
}

/// The database and the objects. Cheap to clone; the last clone that is dropped ends the writer,
/// after everything that was handed to it is on disk.
#[derive(Clone, Debug)]
pub struct Store {
    readers: Readers,
    lookups: Lookups,
    writer: WriterHandle,
    objects: Objects,
}

impl Store {
    /// Opens the store, brings the schema up to date and starts the writer task. A database of an
    /// older schema is copied beside itself first ([`crate::copy_of`]).
    ///
    /// # Errors
    /// [`StoreError::Newer`] when the database is of a newer version, else what the disk or the
    /// database said.
    pub async fn open(config: StoreConfig) -> Result<Store, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(&config.database)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(config.lock_wait)
            .foreign_keys(true)
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        let objects = Objects::open(&config.objects)?;
        let mut writer_options = options.clone().pragma("cache_size", WRITER_CACHE);
        if let Some(limit) = config.database_limit_bytes {
            writer_options =
                writer_options.pragma("max_page_count", (limit / PAGE_BYTES).to_string());
        }
        let mut own = SqliteConnection::connect_with(&writer_options).await?;
        upgrade::prepare(&mut own, &config.database).await?;
        MIGRATOR.run(&mut own).await?;
        let reading = options.read_only(true).create_if_missing(false);
        let readers = Readers::open(reading, config.readers).await?;
        let writer = WriterHandle::start(Lent::own(own)).await?;
        Ok(Store { readers, lookups: Lookups::default(), writer, objects })
    }

    /// Runs an operation in the writer, inside a transaction that it may share with others.
    /// Returns when the result is on disk. An operation that returns an error is undone, all of
    /// it, and nothing else is.
    ///
    /// Dropping the returned future does not take the operation back.
    ///
    /// # Errors
    /// What the operation returned; or, as `E`, that it could not be made durable, in which case
    /// nothing of it was kept.
    pub async fn write<T, E, F>(&self, operation: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'w> FnOnce(&'w mut Write) -> Op<'w, T, E> + Send + 'static,
    {
        self.writer.run(None, operation).await
    }

    /// The same for an operation that begins with a row which is read for its whole batch at once.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_wanting<T, E, F>(&self, want: Want, operation: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'w> FnOnce(&'w mut Write) -> Op<'w, T, E> + Send + 'static,
    {
        self.writer.run(Some(want), operation).await
    }

    /// A connection to read with. It sees everything that was committed before each of its
    /// queries.
    ///
    /// # Errors
    /// [`StoreError::Closed`], or [`StoreError::Database`] when none came free in time.
    pub async fn read(&self) -> Result<Read, StoreError> {
        Ok(Read::new(self.readers.lend().await?))
    }

    /// What a certificate's fingerprint stands for, with everything that was committed before this
    /// was asked.
    ///
    /// # Errors
    /// As [`Store::read`], and what the database said to the query.
    pub async fn identity(&self, fingerprint: &Hash) -> Result<Option<IdentityRow>, StoreError> {
        self.lookups.identity(&self.readers, fingerprint).await
    }

    /// The objects.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Finishes what was handed to the writer, then closes everything. Later calls fail with
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

/// A connection with every query that changes nothing.
#[derive(Debug)]
pub struct Read {
    connection: Lent,
    /// The writer's transaction; empty for everyone else.
    batch: Batch,
}

impl Read {
    pub(crate) fn new(connection: Lent) -> Read {
        Read { connection, batch: Batch::default() }
    }

    /// The connection, with everything written that is still owed.
    pub(crate) async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let (batch, database) = self.parts();
        batch.write_owed(database).await?;
        Ok(database)
    }

    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The connection as it is.
    pub(crate) fn parts(&mut self) -> (&mut Batch, &mut SqliteConnection) {
        (&mut self.batch, self.connection.get())
    }

    pub(crate) async fn close(self) {
        self.connection.close().await;
    }
}

/// A writer can read what it has written.
impl Deref for Write {
    type Target = Read;

    fn deref(&self) -> &Read {
        self.reader()
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Read {
        self.reader_mut()
    }
}

pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
const STATEMENTS: usize = 128;
/// Of the writer, in KiB below nought (PRAGMA cache_size): the upper levels of every table of a
/// hundred thousand devices.
const WRITER_CACHE: &str = "-8192";
/// SQLite's own page size.
const PAGE_BYTES: u64 = 4096;
