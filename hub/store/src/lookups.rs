//! What every request of a device begins with: whom its certificate stands for.
//!
//! A query costs two changes of thread, several times the database's own work on one row. What is
//! asked while a query runs is therefore answered by the next one together. Nobody is answered by a
//! query that began before he asked: each answer holds all that was committed until then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::FromRow;
use tokio::sync::oneshot;

use crate::batch::in_sizes;
use crate::readers::Readers;
use crate::tables::{IdentityOf, identities_of};
use crate::{Hash, IdentityRow, StoreError};

/// The questions that wait. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookups(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    waiting: Vec<Question>,
    /// Somebody is answering, and will look for more.
    attended: bool,
}

#[derive(Debug)]
struct Question {
    fingerprint: Hash,
    answer: oneshot::Sender<Result<Option<IdentityRow>, StoreError>>,
}

/// Who answers. There is one at most; whoever asks when there is none makes the next.
struct Attendant {
    lookups: Lookups,
    /// It has seen that nobody waits, and is no longer counted on.
    gone: bool,
}

impl Lookups {
    /// What a fingerprint stands for.
    pub(crate) async fn identity(
        &self,
        readers: &Readers,
        fingerprint: &Hash,
    ) -> Result<Option<IdentityRow>, StoreError> {
        let (answer, answered) = oneshot::channel();
        if let Some(attendant) = self.ask(Question { fingerprint: *fingerprint, answer }) {
            tokio::spawn(attendant.answer_all(readers.clone()));
        }
        answered.await.unwrap_or(Err(StoreError::BrokeOff))
    }

    fn ask(&self, question: Question) -> Option<Attendant> {
        let mut asked = self.lock();
        asked.waiting.push(question);
        let attended = std::mem::replace(&mut asked.attended, true);
        (!attended).then(|| Attendant { lookups: self.clone(), gone: false })
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attendant {
    async fn answer_all(mut self, readers: Readers) {
        while let Some(questions) = self.next() {
            let found = look_up(&readers, &questions).await;
            for Question { fingerprint, answer } in questions {
                let found = found.as_ref().map(|rows| rows.get(&fingerprint).cloned());
                // A request that was given up needs no answer.
                let _ = answer.send(found.map_err(Clone::clone));
            }
        }
    }

    /// What waits. Where nothing does it leaves in the same breath, so that nobody counts on one
    /// who has gone.
    fn next(&mut self) -> Option<Vec<Question>> {
        let mut asked = self.lookups.lock();
        let waiting = std::mem::take(&mut asked.waiting);
        self.gone = waiting.is_empty();
        asked.attended = !self.gone;
        (!self.gone).then_some(waiting)
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        if !self.gone {
            // It broke off: those who wait are told so, and the next one finds another.
            let mut asked = self.lookups.lock();
            asked.attended = false;
            asked.waiting.clear();
        }
    }
}

async fn look_up(
    readers: &Readers,
    questions: &[Question],
) -> Result<HashMap<Hash, IdentityRow>, StoreError> {
    let mut reader = readers.lend().await?;
    let fingerprints: Vec<Hash> = questions.iter().map(|asked| asked.fingerprint).collect();
    let mut found = HashMap::with_capacity(fingerprints.len());
    for some in in_sizes(&fingerprints) {
        for row in identities_of(some).build().fetch_all(reader.get()).await? {
            let IdentityOf { fingerprint, identity } = IdentityOf::from_row(&row)?;
            found.insert(fingerprint, identity);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use tempfile::TempDir;

    use super::*;

    fn question(number: u8) -> Question {
        Question { fingerprint: [number; 32], answer: oneshot::channel().0 }
    }

    #[test]
    fn there_is_one_attendant_until_nobody_waits() {
        let lookups = Lookups::default();
        let mut first = lookups.ask(question(1)).expect("nobody attends yet");
        assert!(lookups.ask(question(2)).is_none());
        assert_eq!(first.next().unwrap().len(), 2);
        assert!(lookups.ask(question(3)).is_none(), "the first one looks again");
        assert_eq!(first.next().unwrap().len(), 1);
        assert!(first.next().is_none());
        let second = lookups.ask(question(4));
        drop(first);
        assert!(lookups.ask(question(5)).is_none(), "the first one, gone, takes nobody's place");
        assert_eq!(second.unwrap().next().unwrap().len(), 2);
    }

    #[test]
    fn an_attendant_that_breaks_off_leaves_nobody_waiting() {
        let lookups = Lookups::default();
        let (answer, mut answered) = oneshot::channel();
        let attendant = lookups.ask(Question { fingerprint: [1; 32], answer });
        drop(attendant);
        assert_eq!(answered.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(lookups.ask(question(2)).is_some());
    }

    #[tokio::test]
    async fn a_database_that_fails_is_told_to_everyone_who_waits_and_to_nobody_after() {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("some.db");
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let readers = Readers::open(options, 1).await.unwrap();
        let lookups = Lookups::default();
        // There is no table.
        let (one, other) = tokio::join!(
            lookups.identity(&readers, &[1; 32]),
            lookups.identity(&readers, &[2; 32])
        );
        assert!(one.is_err() && other.is_err());
        readers.close().await;
        assert_eq!(lookups.identity(&readers, &[3; 32]).await, Err(StoreError::Closed));
    }
}
