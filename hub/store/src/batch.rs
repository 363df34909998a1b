//! What the operations of one transaction have read at once, and what they write at once.
//!
//! A statement costs two changes of thread, as much as the database's own work on one row. So the
//! rows that operations begin with are read for all of them in one statement, and rows that nobody
//! reads before the commit are written in one. Nobody can tell: whoever reads or changes anything
//! else finds what is owed written first.
//!
//! An operation that fails leaves nothing. What it owes is dropped; what it has written stands
//! under a savepoint, which is set before its first row goes to the database.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{FromRow, SqliteConnection};

use crate::tables::{
    ContactOf, DeviceState, EnrolmentOf, NewKey, contacts_of, enrolments_of, insert_certificates,
    insert_known_keys, update_device_states, upsert_contacts,
};
use crate::{Contact, EnrolmentRow, Hash, NewCertificate, StoreError};

/// What an operation reads first; said with it, it is read for many operations at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// The last contact of this device.
    Contact(String),
    /// What an enrolment of this device with this key is judged by.
    Enrolment {
        /// The device.
        device: String,
        /// The kind of certificates that count as standing.
        kind: &'static str,
        /// SHA-256 of the key.
        key_digest: Hash,
    },
}

/// The transaction under way.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    ahead: Ahead,
    /// What operations owe that have ended.
    settled: Owed,
    /// What the one under way owes.
    own: Owed,
    savepoint: Savepoint,
    /// Devices that an operation of this transaction has changed.
    changed: HashSet<String>,
    /// Something that was owed could not be written.
    failed: Option<StoreError>,
}

/// Rows that were read ahead and that nothing has changed since.
#[derive(Debug, Default)]
struct Ahead {
    contacts: HashMap<String, Option<Contact>>,
    enrolments: HashMap<(String, &'static str, Hash), Option<EnrolmentRow>>,
}

/// Rows to write.
#[derive(Debug, Default)]
struct Owed {
    keys: Vec<NewKey>,
    certificates: Vec<NewCertificate>,
    /// By device, as contacts are: the last word counts.
    states: BTreeMap<String, DeviceState>,
    contacts: BTreeMap<String, Contact>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Savepoint {
    #[default]
    None,
    /// Of an operation that has ended: the next one takes its place.
    Earlier,
    /// Of the operation under way.
    Own,
}

impl Batch {
    /// A device's contact, if it was read ahead and still holds.
    pub(crate) fn contact(&self, device: &str) -> Option<Option<Contact>> {
        self.ahead.contacts.get(device).cloned()
    }

    /// What an enrolment is judged by, if it was read ahead and still holds.
    pub(crate) fn enrolment(
        &self,
        device: &str,
        kind: &'static str,
        key_digest: &Hash,
    ) -> Option<Option<EnrolmentRow>> {
        self.ahead.enrolments.get(&(device.to_owned(), kind, *key_digest)).cloned()
    }

    /// A device is not what it was before this transaction, as far as anyone knows of it.
    pub(crate) fn note_changed(&mut self, device: &str) {
        self.changed.insert(device.to_owned());
    }

    /// Has an operation of this transaction noted that?
    pub(crate) fn is_changed(&self, device: &str) -> bool {
        self.changed.contains(device)
    }

    /// Reads what several operations want. What this cannot read each reads for itself.
    pub(crate) async fn read_ahead(
        &mut self,
        wants: Vec<Want>,
        database: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        self.write_owed(database).await?;
        self.ahead.read(wants, database).await
    }

    /// A key is to be noted.
    pub(crate) fn owe_key(&mut self, key: NewKey) {
        self.ahead.enrolments.retain(|(.., other), _| *other != key.key_digest);
        self.own.keys.push(key);
    }

    /// A certificate is to be entered.
    pub(crate) fn owe_certificate(&mut self, new: NewCertificate) {
        self.ahead.enrolments.retain(|(device, ..), _| *device != new.device);
        self.own.certificates.push(new);
    }

    /// A device's state is to be written.
    pub(crate) fn owe_state(&mut self, device: &str, state: DeviceState) {
        self.ahead.enrolments.retain(|(other, ..), _| other != device);
        self.own.states.insert(device.to_owned(), state);
    }

    /// A device's contact is to be written.
    pub(crate) fn owe_contact(&mut self, device: &str, contact: &Contact) {
        self.ahead.contacts.remove(device);
        self.ahead.enrolments.retain(|(other, ..), _| other != device);
        self.own.contacts.insert(device.to_owned(), contact.clone());
    }

    /// Everything that is owed is written: the operation under way reads.
    pub(crate) async fn write_owed(
        &mut self,
        database: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        match (self.settled.is_empty(), self.own.is_empty()) {
            (true, true) => Ok(()),
            (_, own_is_empty) => self.write(!own_is_empty, database).await,
        }
    }

    /// The operation under way changes something, of which it is not known what it touches.
    pub(crate) async fn begin_change(
        &mut self,
        database: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        self.ahead = Ahead::default();
        self.write(true, database).await
    }

    /// Ends an operation: what it wrote and owes stays, or is undone.
    ///
    /// # Errors
    /// The whole transaction has to be undone.
    pub(crate) async fn end_operation(
        &mut self,
        keep: bool,
        database: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let own = std::mem::take(&mut self.own);
        if keep {
            self.settled.append(own);
        }
        self.savepoint = match (self.savepoint, keep) {
            (Savepoint::Own, true) => Savepoint::Earlier,
            (Savepoint::Own, false) => {
                sqlx::query("ROLLBACK TO op; RELEASE op").execute(database).await?;
                Savepoint::None
            }
            (other, _) => other,
        };
        Ok(())
    }

    /// Writes what is owed, what belongs to the operation under way behind its savepoint. Where that
    /// fails the transaction cannot go on: rows of operations that have ended are lost with it.
    async fn write(
        &mut self,
        savepoint: bool,
        database: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let (settled, own) = (std::mem::take(&mut self.settled), std::mem::take(&mut self.own));
        let written = async {
            settled.write(database).await?;
            if savepoint {
                self.set_savepoint(database).await?;
            }
            own.write(database).await
        };
        written.await.map_err(|error| {
            tracing::error!(%error, "rows of several operations cannot be written");
            // Whose row it was that exists is not known here.
            let error = match error {
                StoreError::Exists(_) => StoreError::BrokeOff,
                other => other,
            };
            self.failed = Some(error.clone());
            error
        })
    }

    async fn set_savepoint(&mut self, database: &mut SqliteConnection) -> Result<(), StoreError> {
        // One round trip to the database's thread for both.
        let statement = match self.savepoint {
            Savepoint::None => "SAVEPOINT op",
            Savepoint::Earlier => "RELEASE op; SAVEPOINT op",
            Savepoint::Own => return Ok(()),
        };
        sqlx::query(statement).execute(database).await?;
        self.savepoint = Savepoint::Own;
        Ok(())
    }
}

impl Ahead {
    async fn read(
        &mut self,
        wants: Vec<Want>,
        database: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let mut devices = Vec::new();
        let mut keys: HashMap<&'static str, Vec<(String, Hash)>> = HashMap::new();
        for want in wants {
            match want {
                Want::Contact(device) => devices.push(device),
                Want::Enrolment { device, kind, key_digest } => {
                    keys.entry(kind).or_default().push((device, key_digest));
                }
            }
        }
        for some in in_sizes(&devices) {
            let mut query = contacts_of(some);
            let found = query.build().fetch_all(&mut *database).await?;
            let found = found.iter().map(ContactOf::from_row).collect::<Result<Vec<_>, _>>()?;
            self.contacts.extend(some.iter().map(|device| (device.clone(), None)));
            self.contacts.extend(found.into_iter().map(|row| (row.device, Some(row.contact))));
        }
        for (kind, keys) in keys {
            for some in in_sizes(&keys) {
                let mut query = enrolments_of(kind, some);
                let found = query.build().fetch_all(&mut *database).await?;
                let found = found.iter().map(EnrolmentOf::from_row);
                let found = found.collect::<Result<Vec<_>, _>>()?;
                let asked = some.iter().cloned().map(|(device, key)| ((device, kind, key), None));
                self.enrolments.extend(asked);
                let found = found.into_iter().map(|row| {
                    let EnrolmentOf { device, key_digest, enrolment } = row;
                    ((device, kind, key_digest), Some(enrolment))
                });
                self.enrolments.extend(found);
            }
        }
        Ok(())
    }
}

impl Owed {
    fn is_empty(&self) -> bool {
        let Owed { keys, certificates, states, contacts } = self;
        keys.is_empty() && certificates.is_empty() && states.is_empty() && contacts.is_empty()
    }

    fn append(&mut self, later: Owed) {
        self.keys.extend(later.keys);
        self.certificates.extend(later.certificates);
        self.states.extend(later.states);
        self.contacts.extend(later.contacts);
    }

    /// The tables are independent of each other, so one after the other is written.
    async fn write(self, database: &mut SqliteConnection) -> Result<(), StoreError> {
        for some in in_sizes(&self.keys) {
            insert_known_keys(some).build().execute(&mut *database).await?;
        }
        for some in in_sizes(&self.certificates) {
            insert_certificates(some).build().execute(&mut *database).await?;
        }
        for some in in_sizes(&self.states.into_iter().collect::<Vec<_>>()) {
            update_device_states(some).build().execute(&mut *database).await?;
        }
        for some in in_sizes(&self.contacts.into_iter().collect::<Vec<_>>()) {
            upsert_contacts(some).build().execute(&mut *database).await?;
        }
        Ok(())
    }
}

/// Cut into few different sizes, so that few statements have to be prepared.
pub(crate) fn in_sizes<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let size = 1 << rest.len().checked_ilog2()?;
        let (now, later) = rest.split_at(size.min(ROWS));
        rest = later;
        Some(now)
    })
}

/// Rows of one statement at most.
const ROWS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_few_sizes_and_none_is_lost() {
        for count in [0, 1, 2, 63, 64, 65, 200] {
            let rows: Vec<usize> = (0..count).collect();
            assert_eq!(in_sizes(&rows).flatten().copied().collect::<Vec<_>>(), rows);
            assert!(in_sizes(&rows).all(|some| some.len().is_power_of_two()));
        }
        let sizes: Vec<usize> = in_sizes(&[0; 131]).map(<[i32]>::len).collect();
        assert_eq!(sizes, [64, 64, 2, 1]);
    }
}
