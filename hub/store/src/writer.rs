//! The one task that writes: group commit with a savepoint per operation.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::{QueryBuilder, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::{AuditRow, Frontier, Read, StoreError, leaf_hash};

/// What an operation is: a future that borrows the [`Write`] it was given.
pub type Op<'w, T, E> = BoxFuture<'w, Result<T, E>>;

/// The writer's connection, inside the transaction of the batch.
#[derive(Debug)]
pub struct Write {
    read: Read,
    /// The audit tree as this transaction sees it.
    frontier: Frontier,
    /// Entries of the audit log that go to the database together, before the commit.
    entries: Vec<AuditRow>,
    /// How things were before the operation under way wrote anything; present from then on.
    before: Option<Before>,
    /// The savepoint of an operation that has ended is still set: the next one takes its place.
    savepoint_set: bool,
    /// The operation under way has made a change that no savepoint covers.
    bare: bool,
    /// What to run once the batch is on disk.
    hooks: Hooks,
}

/// What is put back when an operation is undone.
#[derive(Debug)]
struct Before {
    frontier: Frontier,
    entries: usize,
    /// It has a savepoint in the database.
    savepoint: bool,
}

/// Things to run after a commit.
#[derive(Default)]
struct Hooks {
    all: Vec<Box<dyn FnOnce() + Send>>,
    /// How many of them belong to operations that have ended.
    settled: usize,
}

impl Write {
    /// The connection for a statement that changes something. The first one of an operation sets
    /// its savepoint.
    pub(crate) async fn change(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if !self.note_before().savepoint {
            // One round trip to the database's thread for both.
            let statement = match self.savepoint_set {
                true => "RELEASE op; SAVEPOINT op",
                false => "SAVEPOINT op",
            };
            sqlx::query(statement).execute(self.read.connection()).await?;
            self.savepoint_set = true;
            self.note_before().savepoint = true;
        }
        Ok(self.read.connection())
    }

    fn note_before(&mut self) -> &mut Before {
        self.before.get_or_insert_with(|| Before {
            frontier: self.frontier.clone(),
            entries: self.entries.len(),
            savepoint: false,
        })
    }

    /// The same for a statement that is, as a rule, the only one of its operation: then it needs
    /// no savepoint, for a statement that fails has changed nothing. Should its operation fail
    /// after it all the same, the whole batch is undone.
    pub(crate) fn change_alone(&mut self) -> &mut SqliteConnection {
        self.bare |= !self.before.as_ref().is_some_and(|before| before.savepoint);
        self.read.connection()
    }

    /// Appends an entry to the audit log: with the commit, for its reading is not a part of any
    /// operation. Returns its position, from 0.
    ///
    /// # Errors
    /// [`StoreError::Full`], in a few hundred million years.
    pub async fn audit(
        &mut self,
        at_ms: i64,
        subject: &str,
        entry: &[u8],
    ) -> Result<u64, StoreError> {
        let position = self.frontier.size();
        self.note_before();
        self.entries.push(AuditRow {
            position: i64::try_from(position).map_err(|_| StoreError::Full)?,
            at_ms,
            subject: subject.to_owned(),
            entry: entry.to_vec(),
        });
        self.frontier.push(leaf_hash(entry));
        Ok(position)
    }

    /// The audit tree, with what this transaction has appended. (That of [`Read`] is the one on
    /// disk.)
    pub fn audit_tree(&self) -> &Frontier {
        &self.frontier
    }

    /// Has something run once this operation is on disk, before anyone is told of its success;
    /// even when whoever asked for the operation has gone meanwhile. Not run if it is undone.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.all.push(Box::new(hook));
    }

    pub(crate) fn reader(&self) -> &Read {
        &self.read
    }

    pub(crate) fn reader_mut(&mut self) -> &mut Read {
        &mut self.read
    }

    /// Ends an operation: what it wrote stays in the batch, or is undone. An error here means
    /// that the database gave up the whole transaction.
    async fn settle(&mut self, keep: bool) -> Result<(), StoreError> {
        if !keep {
            self.hooks.all.truncate(self.hooks.settled);
        }
        self.hooks.settled = self.hooks.all.len();
        if std::mem::take(&mut self.bare) && !keep {
            return Err(StoreError::BrokeOff);
        }
        let Some(before) = self.before.take() else { return Ok(()) };
        if !keep {
            self.frontier = before.frontier;
            self.entries.truncate(before.entries);
            if before.savepoint {
                let statement = "ROLLBACK TO op; RELEASE op";
                sqlx::query(statement).execute(self.read.connection()).await?;
                self.savepoint_set = false;
            }
        }
        Ok(())
    }

    /// Writes the entries of the audit log, many to a statement.
    async fn write_entries(&mut self) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut self.entries);
        let mut rest = &entries[..];
        while !rest.is_empty() {
            // Few sizes, so that few statements have to be prepared.
            let size = ROWS.into_iter().find(|size| *size <= rest.len()).unwrap_or(1);
            let (now, later) = rest.split_at(size);
            let mut insert =
                QueryBuilder::new("INSERT INTO audit (position, at_ms, subject, entry) ");
            insert.push_values(now, |mut row, entry| {
                row.push_bind(entry.position).push_bind(entry.at_ms);
                row.push_bind(&entry.subject).push_bind(&entry.entry);
            });
            insert.build().execute(self.read.connection()).await?;
            rest = later;
        }
        Ok(())
    }

    async fn commit(&mut self, before: &Frontier) -> Result<(), StoreError> {
        if self.frontier != *before {
            self.write_entries().await?;
            sqlx::query(
                "INSERT INTO meta (name, value) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(AUDIT_FRONTIER)
            .bind(self.frontier.to_bytes())
            .execute(self.read.connection())
            .await?;
        }
        sqlx::query("COMMIT").execute(self.read.connection()).await?;
        self.savepoint_set = false;
        std::mem::take(&mut self.hooks).all.into_iter().for_each(|hook| hook());
        Ok(())
    }

    async fn roll_back(&mut self, before: Frontier) {
        self.before = None;
        self.savepoint_set = false;
        self.entries.clear();
        self.bare = false;
        self.frontier = before;
        self.hooks = Hooks::default();
        // The database may have rolled back by itself already; then this says so and no harm.
        if let Err(error) = sqlx::query("ROLLBACK").execute(self.read.connection()).await {
            tracing::debug!(%error, "rollback");
        }
    }
}

/// The way to the writer task.
#[derive(Clone)]
pub(crate) struct WriterHandle {
    queue: mpsc::Sender<Message>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl WriterHandle {
    pub(crate) async fn start(pool: SqlitePool) -> Result<WriterHandle, StoreError> {
        let mut read = Read::new(pool.acquire().await?);
        let frontier = read.audit_frontier().await?;
        let write = Write {
            read,
            frontier,
            entries: Vec::new(),
            before: None,
            savepoint_set: false,
            bare: false,
            hooks: Hooks::default(),
        };
        let (queue, messages) = mpsc::channel(QUEUE);
        let task = tokio::spawn(serve(write, messages, pool));
        Ok(WriterHandle { queue, task: Arc::new(Mutex::new(Some(task))) })
    }

    pub(crate) async fn run<T, E, F>(&self, operation: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'w> FnOnce(&'w mut Write) -> Op<'w, T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(TypedJob { operation, answer });
        if self.queue.send(Message::Run(job)).await.is_err() {
            return Err(StoreError::Closed.into());
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::BrokeOff.into()))
    }

    pub(crate) async fn close(&self) {
        let Some(task) = self.task.lock().await.take() else { return };
        // When the queue is gone the task has ended, which is what is wanted.
        let _ = self.queue.send(Message::Close).await;
        if let Err(error) = task.await {
            tracing::error!(%error, "the writer task broke off");
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hooks({})", self.all.len())
    }
}

impl fmt::Debug for WriterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriterHandle")
    }
}

enum Message {
    Run(Box<dyn Job>),
    Close,
}

/// An operation without its types.
trait Job: Send {
    /// Runs it. What comes back waits for the commit; nothing comes back when the operation
    /// refused, which its caller has then been told already.
    fn run<'w>(self: Box<Self>, write: &'w mut Write) -> BoxFuture<'w, Ran>;

    /// It could not even start.
    fn fail(self: Box<Self>, error: StoreError);
}

struct Ran {
    answer: Box<dyn Answer>,
    keep: bool,
}

trait Answer: Send {
    fn send(self: Box<Self>, committed: Result<(), StoreError>);
}

struct TypedJob<T, E, F> {
    operation: F,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for TypedJob<T, E, F>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: for<'w> FnOnce(&'w mut Write) -> Op<'w, T, E> + Send + 'static,
{
    fn run<'w>(self: Box<Self>, write: &'w mut Write) -> BoxFuture<'w, Ran> {
        async move {
            let TypedJob { operation, answer } = *self;
            let future = AssertUnwindSafe(async { operation(write).await });
            let result = future.catch_unwind().await.unwrap_or_else(|panic| {
                tracing::error!(panic = panic_text(&*panic), "an operation panicked");
                Err(StoreError::BrokeOff.into())
            });
            let keep = result.is_ok();
            Ran { answer: Box::new(TypedAnswer { answer, result }), keep }
        }
        .boxed()
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error.into()));
    }
}

struct TypedAnswer<T, E> {
    answer: oneshot::Sender<Result<T, E>>,
    result: Result<T, E>,
}

impl<T: Send, E: From<StoreError> + Send> Answer for TypedAnswer<T, E> {
    fn send(self: Box<Self>, committed: Result<(), StoreError>) {
        // A caller that no longer listens is no reason to fail.
        let _ = self.answer.send(self.result.and_then(|value| match committed {
            Ok(()) => Ok(value),
            Err(error) => Err(error.into()),
        }));
    }
}

async fn serve(mut write: Write, mut messages: mpsc::Receiver<Message>, pool: SqlitePool) {
    while let Some(Message::Run(first)) = messages.recv().await {
        if !batch(&mut write, first, &mut messages).await {
            break;
        }
    }
    messages.close();
    while let Some(message) = messages.recv().await {
        if let Message::Run(job) = message {
            job.fail(StoreError::Closed);
        }
    }
    // What is left in the log goes into the database's own file: whoever closes last may be a
    // reader, who cannot. If it cannot be done now, the next start does it.
    let tidied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(write.read.connection());
    if let Err(error) = tidied.await {
        tracing::debug!(%error, "checkpoint");
    }
    drop(write);
    pool.close().await;
}

/// Runs the operation at hand and whatever else is waiting, in one transaction. False when the
/// store was closed meanwhile.
async fn batch(
    write: &mut Write,
    first: Box<dyn Job>,
    messages: &mut mpsc::Receiver<Message>,
) -> bool {
    if let Err(error) = sqlx::query("BEGIN IMMEDIATE").execute(write.read.connection()).await {
        first.fail(error.into());
        return true;
    }
    let before = write.frontier.clone();
    let mut waiting = Vec::new();
    let mut next = Some(first);
    let mut open = true;
    let mut outcome = Ok(());
    while let Some(job) = next.take() {
        let Ran { answer, keep } = job.run(write).await;
        outcome = write.settle(keep).await;
        match keep {
            true => waiting.push(answer),
            false => answer.send(Ok(())),
        }
        if outcome.is_err() || waiting.len() >= BATCH {
            break;
        }
        match messages.try_recv() {
            Ok(Message::Run(job)) => next = Some(job),
            Ok(Message::Close) => open = false,
            Err(_) => {}
        }
    }
    if outcome.is_ok() {
        outcome = write.commit(&before).await;
    }
    if let Err(error) = &outcome {
        tracing::error!(%error, operations = waiting.len(), "a batch could not be committed");
        write.roll_back(before).await;
    }
    waiting.into_iter().for_each(|answer| answer.send(outcome.clone()));
    open
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

/// Name of the row in `meta` that holds the audit tree.
pub(crate) const AUDIT_FRONTIER: &str = "audit-frontier";
/// Operations that may wait for the writer; more wait outside.
const QUEUE: usize = 1024;
/// Entries of the audit log in one statement.
const ROWS: [usize; 3] = [32, 8, 1];
/// Operations that may share a commit.
const BATCH: usize = 512;
