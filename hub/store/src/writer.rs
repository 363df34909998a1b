//! The one task that writes: group commit with a savepoint per operation.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{QueryBuilder, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::batch::{Batch, Want, in_sizes};
use crate::queue::{Message, Op, Queue, Ran, TypedJob};
use crate::readers::Lent;
use crate::{AuditRow, Frontier, Read, StoreError, leaf_hash};

/// The writer's connection, inside the transaction of the batch.
#[derive(Debug)]
pub struct Write {
    read: Read,
    /// The audit tree as this transaction sees it.
    frontier: Frontier,
    /// Entries of the audit log that go to the database together, before the commit.
    entries: Vec<AuditRow>,
    /// How that was before the operation under way appended to it; present from then on.
    before: Option<Before>,
    /// What to run once the batch is on disk.
    hooks: Hooks,
}

/// The audit log as it is put back when an operation is undone.
#[derive(Debug)]
struct Before {
    frontier: Frontier,
    entries: usize,
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
        let (batch, database) = self.read.parts();
        batch.begin_change(database).await?;
        Ok(database)
    }

    /// Rows that are written with the batch.
    pub(crate) fn batch_mut(&mut self) -> &mut Batch {
        self.read.parts().0
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
        self.before.get_or_insert_with(|| Before {
            frontier: self.frontier.clone(),
            entries: self.entries.len(),
        });
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

    /// Notes that what anyone knows of a device from before this transaction holds no more, until
    /// the transaction ends. That of an operation which is undone is noted too.
    pub fn note_changed(&mut self, device: &str) {
        self.batch_mut().note_changed(device);
    }

    /// Has an operation of this transaction noted that?
    pub fn is_changed(&mut self, device: &str) -> bool {
        self.batch_mut().is_changed(device)
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
        if let (Some(before), false) = (self.before.take(), keep) {
            self.frontier = before.frontier;
            self.entries.truncate(before.entries);
        }
        let (batch, database) = self.read.parts();
        batch.end_operation(keep, database).await
    }

    /// Writes the entries of the audit log, many to a statement.
    async fn write_entries(&mut self) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut self.entries);
        for some in in_sizes(&entries) {
            let mut insert =
                QueryBuilder::new("INSERT INTO audit (position, at_ms, subject, entry) ");
            insert.push_values(some, |mut row, entry| {
                row.push_bind(entry.position).push_bind(entry.at_ms);
                row.push_bind(&entry.subject).push_bind(&entry.entry);
            });
            insert.build().execute(self.read.connection().await?).await?;
        }
        Ok(())
    }

    /// Reads what operations want first. Where that fails each reads for itself.
    async fn read_ahead(&mut self, wants: Vec<Want>) {
        let (batch, database) = self.read.parts();
        if let Err(error) = batch.read_ahead(wants, database).await {
            tracing::debug!(%error, "each operation reads for itself");
        }
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        sqlx::query("BEGIN IMMEDIATE").execute(self.read.connection().await?).await?;
        Ok(())
    }

    async fn commit(&mut self, before: &Frontier) -> Result<(), StoreError> {
        // What is owed is written by whoever asks for the connection.
        match self.frontier == *before {
            true => sqlx::query("COMMIT").execute(self.read.connection().await?).await?,
            false => {
                self.write_entries().await?;
                sqlx::query(
                    "INSERT INTO meta (name, value) VALUES ($1, $2) \
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value; COMMIT",
                )
                .bind(AUDIT_FRONTIER)
                .bind(self.frontier.to_bytes())
                .execute(self.read.connection().await?)
                .await?
            }
        };
        *self.batch_mut() = Batch::default();
        std::mem::take(&mut self.hooks).all.into_iter().for_each(|hook| hook());
        Ok(())
    }

    async fn roll_back(&mut self, before: Frontier) {
        self.before = None;
        self.entries.clear();
        self.frontier = before;
        self.hooks = Hooks::default();
        let (batch, database) = self.read.parts();
        *batch = Batch::default();
        // The database may have rolled back by itself already; then this says so and no harm.
        if let Err(error) = sqlx::query("ROLLBACK").execute(database).await {
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
    pub(crate) async fn start(connection: Lent) -> Result<WriterHandle, StoreError> {
        let mut read = Read::new(connection);
        let frontier = read.audit_frontier().await?;
        let write =
            Write { read, frontier, entries: Vec::new(), before: None, hooks: Hooks::default() };
        let (queue, messages) = mpsc::channel(QUEUE);
        let task = tokio::spawn(serve(write, Queue::new(messages)));
        Ok(WriterHandle { queue, task: Arc::new(Mutex::new(Some(task))) })
    }

    pub(crate) async fn run<T, E, F>(&self, want: Option<Want>, operation: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'w> FnOnce(&'w mut Write) -> Op<'w, T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(TypedJob::new(want, operation, answer));
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

async fn serve(mut write: Write, mut queue: Queue) {
    let mut next_at = Instant::now();
    while queue.wait().await {
        sleep_until(next_at).await;
        // Where several came at once more will come: a flush to the disk is worth waiting for them.
        if run_batch(&mut write, &mut queue).await > 1 {
            next_at = Instant::now() + TOGETHER;
        }
    }
    queue.refuse_the_rest().await;
    // What is left in the log goes into the database's own file: whoever closes last may be a
    // reader, who cannot. If it cannot be done now, the next start does it.
    let (_, database) = write.read.parts();
    let tidied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(database);
    if let Err(error) = tidied.await {
        tracing::debug!(%error, "checkpoint");
    }
    write.read.close().await;
}

/// Runs the operations at hand and whatever else is waiting, in one transaction. Returns how many
/// were kept. Those that did not come to their turn stay in the queue.
async fn run_batch(write: &mut Write, queue: &mut Queue) -> usize {
    if let Err(error) = write.begin().await {
        if let Some(first) = queue.pop() {
            first.fail(error);
        }
        return 0;
    }
    let before = write.frontier.clone();
    let mut waiting = Vec::new();
    let mut outcome = Ok(());
    while outcome.is_ok() && queue.fill(BATCH - waiting.len()) {
        write.read_ahead(queue.wants()).await;
        while let (Ok(()), Some(job)) = (&outcome, queue.pop()) {
            let Ran { answer, keep } = job.run(write).await;
            outcome = write.settle(keep).await;
            match keep {
                true => waiting.push(answer),
                false => answer.send(Ok(())),
            }
        }
    }
    if outcome.is_ok() {
        outcome = write.commit(&before).await;
    }
    if let Err(error) = &outcome {
        tracing::error!(%error, operations = waiting.len(), "a batch could not be committed");
        write.roll_back(before).await;
    }
    let kept = waiting.len();
    waiting.into_iter().for_each(|answer| answer.send(outcome.clone()));
    kept
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

/// Name of the row in `meta` that holds the audit tree.
pub(crate) const AUDIT_FRONTIER: &str = "audit-frontier";
/// Operations that may wait for the writer; more wait outside.
const QUEUE: usize = 1024;
/// How long after a commit of several operations the next one may follow. Whoever comes alone does
/// not wait.
const TOGETHER: Duration = Duration::from_millis(8);
/// Operations that may share a commit.
const BATCH: usize = 512;
