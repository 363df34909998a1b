//! Connections that read, lent out one at a time.
//!
//! The pool that comes with the database library asks each connection that comes back whether it
//! is alive, from a task of its own: three changes of thread for a query that takes two. Here one
//! that comes back is simply laid down again, and asked at most once a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::StoreError;

/// The readers of one database. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    shelf: Arc<Shelf>,
    /// As many as connections may be lent at once.
    places: Arc<Semaphore>,
    most: u32,
    options: Arc<SqliteConnectOptions>,
}

/// Connections that nobody has. The one that came back last goes first: it has the most in memory.
#[derive(Debug)]
struct Shelf(Mutex<Vec<Idle>>);

#[derive(Debug)]
struct Idle {
    connection: SqliteConnection,
    /// When it was last known to answer.
    answered: Instant,
}

/// A connection that goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Lent {
    /// Taken out only by `drop`.
    connection: Option<Idle>,
    shelf: Option<Arc<Shelf>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Readers {
    /// At most so many connections; the first is opened now, so that what is wrong is found now.
    pub(crate) async fn open(
        options: SqliteConnectOptions,
        most: u32,
    ) -> Result<Readers, StoreError> {
        let first = Idle::open(&options).await?;
        let most = most.max(1);
        Ok(Readers {
            shelf: Arc::new(Shelf(Mutex::new(vec![first]))),
            places: Arc::new(Semaphore::new(most as usize)),
            most,
            options: Arc::new(options),
        })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// [`StoreError::Closed`]; [`StoreError::Database`] when none came back in time, or what the
    /// database said to a new one.
    pub(crate) async fn lend(&self) -> Result<Lent, StoreError> {
        let place = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.map_err(|_| StoreError::from(sqlx::Error::PoolTimedOut))?;
        let place = place.map_err(|_| StoreError::Closed)?;
        let idle = match self.shelf.take() {
            Some(idle) => idle.that_answers().await,
            None => None,
        };
        let idle = match idle {
            Some(idle) => idle,
            None => Idle::open(&self.options).await?,
        };
        let shelf = Some(Arc::clone(&self.shelf));
        Ok(Lent { connection: Some(idle), shelf, _place: Some(place) })
    }

    /// Waits until every connection has come back, and closes them. Whoever asks later is told so.
    pub(crate) async fn close(&self) {
        // An error says that this was done before.
        if self.places.acquire_many(self.most).await.is_ok() {
            self.places.close();
        }
        while let Some(idle) = self.shelf.take() {
            if let Err(error) = idle.connection.close().await {
                tracing::debug!(%error, "a reader");
            }
        }
    }
}

impl Shelf {
    fn take(&self) -> Option<Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, idle: Idle) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
    }
}

impl Idle {
    async fn open(options: &SqliteConnectOptions) -> Result<Idle, StoreError> {
        let connection = SqliteConnection::connect_with(options).await?;
        Ok(Idle { connection, answered: Instant::now() })
    }

    /// Itself, unless it is asked and does not answer.
    async fn that_answers(mut self) -> Option<Idle> {
        if self.answered.elapsed() < TRUSTED {
            return Some(self);
        }
        if let Err(error) = self.connection.ping().await {
            tracing::warn!(%error, "a reader is replaced");
            return None;
        }
        self.answered = Instant::now();
        Some(self)
    }
}

impl Lent {
    /// A connection that is nobody else's and is closed when it is dropped.
    pub(crate) fn own(connection: SqliteConnection) -> Lent {
        let idle = Idle { connection, answered: Instant::now() };
        Lent { connection: Some(idle), shelf: None, _place: None }
    }

    /// Closes one that is nobody else's, and returns when the database has let go of it.
    pub(crate) async fn close(mut self) {
        let Some(idle) = self.connection.take() else { return };
        if let Err(error) = idle.connection.close().await {
            tracing::debug!(%error, "a connection");
        }
    }

    pub(crate) fn get(&mut self) -> &mut SqliteConnection {
        // It is there until `drop` takes it.
        &mut self.connection.as_mut().expect("a connection that is lent").connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(idle), Some(shelf)) = (self.connection.take(), &self.shelf) {
            shelf.put(idle);
        }
    }
}

/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection is taken to answer because it did.
const TRUSTED: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};
    use sqlx::Executor;
    use tempfile::TempDir;

    use super::*;

    async fn open(directory: &TempDir, most: u32) -> Readers {
        let file = directory.path().join("some.db");
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        Readers::open(options, most).await.unwrap()
    }

    #[tokio::test]
    async fn one_more_than_there_are_waits_until_one_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let readers = open(&directory, 2).await;
        let (first, _second) = (readers.lend().await.unwrap(), readers.lend().await.unwrap());
        let mut third = Box::pin(readers.lend());
        assert!(poll!(&mut third).is_pending());
        drop(first);
        third.await.unwrap().get().execute("SELECT 1").await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_was_left_in_the_middle_of_a_query_serves_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let readers = open(&directory, 1).await;
        let mut lent = readers.lend().await.unwrap();
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) \
                    SELECT i FROM n";
        assert!(lent.get().fetch_all(many).now_or_never().is_none());
        drop(lent);
        let mut again = readers.lend().await.unwrap();
        let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(again.get()).await.unwrap();
        assert_eq!(one, 1);
    }

    #[tokio::test]
    async fn closing_waits_for_who_reads_and_lends_nothing_more() {
        let directory = tempfile::tempdir().unwrap();
        let readers = open(&directory, 2).await;
        let mut lent = readers.lend().await.unwrap();
        let closing = readers.clone();
        let mut closed = Box::pin(closing.close());
        assert!(poll!(&mut closed).is_pending());
        lent.get().execute("SELECT 1").await.unwrap();
        drop(lent);
        closed.await;
        assert_eq!(readers.lend().await.err(), Some(StoreError::Closed));
        readers.close().await;
    }
}
