use sqlx::{FromRow, QueryBuilder, Sqlite};

use super::Exactly;
use crate::{Hash, Read, StoreError, Write};

/// A device in the registry.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct DeviceRow {
    /// Its id.
    pub device: String,
    /// Its UEID.
    pub ueid: Vec<u8>,
    /// The factory site that made it.
    pub site: String,
    /// The batch that announced it.
    pub batch_number: i64,
    /// The vendor.
    #[sqlx(try_from = "Exactly<16>")]
    pub vendor: [u8; 16],
    /// The class.
    #[sqlx(try_from = "Exactly<16>")]
    pub class: [u8; 16],
    /// The kind of key store.
    pub protection: String,
    /// Lifecycle state.
    pub state: String,
    /// Since when.
    pub state_since_ms: i64,
    /// Why, a reason code.
    pub reason: Option<String>,
    /// An alarm that nobody has settled, a reason code.
    pub alarm: Option<String>,
    /// Since when.
    pub alarm_ms: Option<i64>,
    /// SHA-256 of the public key that asked to re-enter and was not granted.
    pub pending_key: Option<Vec<u8>>,
    /// When it entered the registry.
    pub added_ms: i64,
    /// Whom it was handed to; none for its first owner.
    pub owner: Option<String>,
    /// What its state rests on.
    pub grade: Option<String>,
}

/// A device to enter.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Its id.
    pub device: String,
    /// Its UEID.
    pub ueid: Vec<u8>,
    /// The factory site that made it.
    pub site: String,
    /// The batch that announces it.
    pub batch_number: i64,
    /// The vendor.
    pub vendor: [u8; 16],
    /// The class.
    pub class: [u8; 16],
    /// The kind of key store.
    pub protection: String,
    /// Lifecycle state.
    pub state: &'static str,
    /// Now.
    pub added_ms: i64,
}

/// Which devices to list. Everything that is given has to fit.
#[derive(Clone, Debug, Default)]
pub struct DeviceFilter {
    /// Lifecycle state.
    pub state: Option<String>,
    /// Class.
    pub class: Option<[u8; 16]>,
    /// Site.
    pub site: Option<String>,
    /// Only those with an alarm.
    pub alarmed: bool,
    /// Ids after this one.
    pub after: Option<String>,
}

/// How many devices are in a state.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct StateCount {
    /// The state.
    pub state: String,
    /// How many.
    pub devices: i64,
}

impl Read {
    /// A device by id.
    pub async fn device(&mut self, device: &str) -> Result<Option<DeviceRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM devices WHERE device = $1")
            .bind(device)
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// A device by UEID.
    pub async fn device_by_ueid(&mut self, ueid: &[u8]) -> Result<Option<DeviceRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM devices WHERE ueid = $1")
            .bind(ueid)
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// At most `limit` devices by id.
    pub async fn devices(
        &mut self,
        filter: &DeviceFilter,
        limit: i64,
    ) -> Result<Vec<DeviceRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM devices WHERE 1 = 1");
        if let Some(state) = &filter.state {
            query.push(" AND state = ").push_bind(state.clone());
        }
        if let Some(class) = &filter.class {
            query.push(" AND class = ").push_bind(class.to_vec());
        }
        if let Some(site) = &filter.site {
            query.push(" AND site = ").push_bind(site.clone());
        }
        if filter.alarmed {
            query.push(" AND alarm IS NOT NULL");
        }
        if let Some(after) = &filter.after {
            query.push(" AND device > ").push_bind(after.clone());
        }
        query.push(" ORDER BY device LIMIT ").push_bind(limit);
        Ok(query.build_query_as().fetch_all(self.connection().await?).await?)
    }

    /// How many devices are in each state that has any.
    pub async fn device_counts(&mut self) -> Result<Vec<StateCount>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT state, COUNT(*) AS devices FROM devices GROUP BY state ORDER BY state",
        )
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// How many devices have an alarm that nobody has settled.
    pub async fn alarmed_devices(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM devices WHERE alarm IS NOT NULL")
            .fetch_one(self.connection().await?)
            .await?)
    }
}

impl Write {
    /// Enters a device. [`StoreError::Exists`] when its id or UEID is taken.
    pub async fn insert_device(&mut self, new: &NewDevice) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO devices (device, ueid, site, batch_number, vendor, class, protection, \
             state, state_since_ms, added_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        )
        .bind(&new.device)
        .bind(&new.ueid)
        .bind(&new.site)
        .bind(new.batch_number)
        .bind(&new.vendor[..])
        .bind(&new.class[..])
        .bind(&new.protection)
        .bind(new.state)
        .bind(new.added_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Writes a device's lifecycle state, and what that rests on: with the batch.
    pub fn set_device_state(
        &mut self,
        device: &str,
        state: &str,
        reason: Option<&'static str>,
        grade: Option<&'static str>,
        at_ms: i64,
    ) {
        let state = DeviceState { state: state.to_owned(), reason, grade, since_ms: at_ms };
        self.batch_mut().owe_state(device, state);
    }

    /// Raises an alarm, or settles it.
    pub async fn set_device_alarm(
        &mut self,
        device: &str,
        alarm: Option<&str>,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE devices SET alarm = $2, alarm_ms = $3 WHERE device = $1")
            .bind(device)
            .bind(alarm)
            .bind(alarm.map(|_| at_ms))
            .execute(self.change().await?)
            .await?;
        Ok(())
    }

    /// Writes what protects a device's keys.
    pub async fn set_device_protection(
        &mut self,
        device: &str,
        protection: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE devices SET protection = $2 WHERE device = $1 AND protection <> $2")
            .bind(device)
            .bind(protection)
            .execute(self.change().await?)
            .await?;
        Ok(())
    }

    /// Notes the key with which a device asks to re-enter, or that nobody asks.
    pub async fn set_pending_key(
        &mut self,
        device: &str,
        key_digest: Option<&Hash>,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE devices SET pending_key = $2 WHERE device = $1")
            .bind(device)
            .bind(key_digest.map(|hash| &hash[..]))
            .execute(self.change().await?)
            .await?;
        Ok(())
    }
}

/// What a device's lifecycle state becomes.
#[derive(Debug)]
pub(crate) struct DeviceState {
    pub(crate) state: String,
    pub(crate) reason: Option<&'static str>,
    pub(crate) grade: Option<&'static str>,
    pub(crate) since_ms: i64,
}

/// Writes the states of several devices, none twice.
pub(crate) fn update_device_states(states: &[(String, DeviceState)]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("WITH new (device, state, reason, grade, since_ms) AS (");
    query.push_values(states, |mut row, (device, new)| {
        row.push_bind(device)
            .push_bind(&new.state)
            .push_bind(new.reason)
            .push_bind(new.grade)
            .push_bind(new.since_ms);
    });
    query.push(
        ") UPDATE devices SET state = new.state, reason = new.reason, grade = new.grade, \
         state_since_ms = new.since_ms FROM new WHERE devices.device = new.device",
    );
    query
}
