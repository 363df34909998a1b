use sqlx::{FromRow, QueryBuilder, Sqlite};

use super::{Exactly, MaybeHash};
use crate::{Hash, Read, StoreError, Write};

/// What the hub remembers of a device's last check-in.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct Contact {
    /// When the device was heard last; 0 for never.
    pub last_seen_ms: i64,
    /// Counter of the newest link.
    pub link_counter: i64,
    /// The newest link.
    pub link_current: Option<Vec<u8>>,
    /// The link before it.
    pub link_previous: Option<Vec<u8>>,
    /// The highest order number ever given to the device or heard from it.
    pub last_order: i64,
    /// The anchors version that it holds.
    pub anchors_version: i64,
    /// What it says its agent is.
    pub agent_version: String,
    /// The size of the newest audit head that it holds.
    pub audit_size: i64,
    /// Digest of what it said it runs.
    pub reported: Option<Vec<u8>>,
    /// Whether it has an open target. Read with the rest, never written.
    pub open: bool,
    /// Whether it has an open command. Read with the rest, never written.
    pub commanded: bool,
}

/// What a device says it runs, per class.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Running {
    /// The class.
    #[sqlx(try_from = "Exactly<16>")]
    pub class: [u8; 16],
    /// Sequence number of the release.
    pub sequence: i64,
    /// Digest of its manifest; absent for the factory's first image where there was none.
    #[sqlx(try_from = "MaybeHash")]
    pub manifest: Option<Hash>,
    /// The version that people read.
    pub version: String,
    /// The device's floor.
    pub floor: i64,
    /// When the device said so first.
    pub since_ms: i64,
}

impl Read {
    /// A device's last contact.
    pub async fn contact(&mut self, device: &str) -> Result<Option<Contact>, StoreError> {
        if let Some(read) = self.batch().contact(device) {
            return Ok(read);
        }
        let mut query = contacts_of(&[device.to_owned()]);
        let row = query.build().fetch_optional(self.connection().await?).await?;
        Ok(row.as_ref().map(ContactOf::from_row).transpose()?.map(|row| row.contact))
    }

    /// What a device says it runs.
    pub async fn running(&mut self, device: &str) -> Result<Vec<Running>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT class, sequence, manifest, version, floor, since_ms FROM running \
             WHERE device = $1 ORDER BY class",
        )
        .bind(device)
        .fetch_all(self.connection().await?)
        .await?)
    }
}

impl Write {
    /// Writes a device's contact: with the batch, or before anything else is read.
    pub fn put_contact(&mut self, device: &str, contact: &Contact) {
        self.batch_mut().owe_contact(device, contact);
    }

    /// Forgets what a device said it runs, so that its next word is taken as new.
    pub async fn forget_reported(&mut self, device: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE contacts SET reported = NULL WHERE device = $1")
            .bind(device)
            .execute(self.change().await?)
            .await?;
        Ok(())
    }

    /// Writes what a device says it runs for one class.
    pub async fn put_running(&mut self, device: &str, row: &Running) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO running (device, class, sequence, manifest, version, floor, since_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (device, class) DO UPDATE SET sequence = excluded.sequence, \
             manifest = excluded.manifest, version = excluded.version, \
             floor = excluded.floor, since_ms = CASE WHEN running.manifest IS excluded.manifest \
             THEN running.since_ms ELSE excluded.since_ms END",
        )
        .bind(device)
        .bind(&row.class[..])
        .bind(row.sequence)
        .bind(row.manifest.as_ref().map(|hash| &hash[..]))
        .bind(&row.version)
        .bind(row.floor)
        .bind(row.since_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }
}

impl Write {
    /// Forgets what a device said it runs for other classes than these, of which there is one at
    /// least.
    pub async fn keep_running(
        &mut self,
        device: &str,
        classes: &[[u8; 16]],
    ) -> Result<(), StoreError> {
        let mut query = QueryBuilder::new("DELETE FROM running WHERE device = ");
        query.push_bind(device).push(" AND class NOT IN (");
        let mut list = query.separated(", ");
        classes.iter().for_each(|class| {
            list.push_bind(&class[..]);
        });
        query.push(")");
        query.build().execute(self.change().await?).await?;
        Ok(())
    }
}

/// A contact with its device.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct ContactOf {
    pub(crate) device: String,
    #[sqlx(flatten)]
    pub(crate) contact: Contact,
}

/// Reads the contacts of several devices.
pub(crate) fn contacts_of(devices: &[String]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "SELECT device, last_seen_ms, link_counter, link_current, link_previous, last_order, \
         anchors_version, agent_version, audit_size, reported, \
         EXISTS (SELECT 1 FROM targets t WHERE t.device = o.device AND t.open = 1) AS open, \
         EXISTS (SELECT 1 FROM commands c WHERE c.device = o.device AND c.open = 1) AS commanded \
         FROM contacts o WHERE o.device IN (",
    );
    let mut list = query.separated(", ");
    devices.iter().for_each(|device| {
        list.push_bind(device);
    });
    query.push(")");
    query
}

/// Writes the contacts of several devices, none twice.
pub(crate) fn upsert_contacts(contacts: &[(String, Contact)]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "INSERT INTO contacts (device, last_seen_ms, link_counter, link_current, link_previous, \
         last_order, anchors_version, agent_version, audit_size, reported) ",
    );
    query.push_values(contacts, |mut row, (device, contact)| {
        row.push_bind(device)
            .push_bind(contact.last_seen_ms)
            .push_bind(contact.link_counter)
            .push_bind(&contact.link_current)
            .push_bind(&contact.link_previous)
            .push_bind(contact.last_order)
            .push_bind(contact.anchors_version)
            .push_bind(&contact.agent_version)
            .push_bind(contact.audit_size)
            .push_bind(&contact.reported);
    });
    query.push(
        " ON CONFLICT (device) DO UPDATE SET last_seen_ms = excluded.last_seen_ms, \
         link_counter = excluded.link_counter, link_current = excluded.link_current, \
         link_previous = excluded.link_previous, last_order = excluded.last_order, \
         anchors_version = excluded.anchors_version, agent_version = excluded.agent_version, \
         audit_size = excluded.audit_size, reported = excluded.reported",
    );
    query
}
