use std::ops::Range;

use sqlx::{FromRow, QueryBuilder, Sqlite};

use super::Exactly;
use crate::{Hash, Read, StoreError, Write};

/// A certificate that the registry knows.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CertificateRow {
    /// SHA-256 of the DER.
    #[sqlx(try_from = "Exactly<32>")]
    pub fingerprint: Hash,
    /// Whose it is.
    pub device: String,
    /// `idevid` or `ldevid`.
    pub kind: String,
    /// The serial number, big-endian.
    pub serial: Vec<u8>,
    /// SHA-256 of the public key (DER SubjectPublicKeyInfo).
    #[sqlx(try_from = "Exactly<32>")]
    pub key_digest: Hash,
    /// Start of validity.
    pub not_before_ms: i64,
    /// End of validity.
    pub not_after_ms: i64,
    /// The certificate.
    pub der: Vec<u8>,
    /// When it entered the registry.
    pub issued_ms: i64,
    /// When it was first used on a connection.
    pub first_used_ms: Option<i64>,
    /// Since when it is revoked.
    pub revoked_ms: Option<i64>,
    /// Why, a name of RFC 5280 section 5.3.1.
    pub revoked_reason: Option<String>,
}

/// A certificate to enter.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// SHA-256 of the DER.
    pub fingerprint: Hash,
    /// Whose it is.
    pub device: String,
    /// `idevid` or `ldevid`.
    pub kind: &'static str,
    /// The serial number, big-endian.
    pub serial: Vec<u8>,
    /// SHA-256 of the public key.
    pub key_digest: Hash,
    /// Start of validity.
    pub not_before_ms: i64,
    /// End of validity.
    pub not_after_ms: i64,
    /// The certificate.
    pub der: Vec<u8>,
    /// Now.
    pub issued_ms: i64,
}

/// What a fingerprint stands for: the certificate and its device in one row.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct IdentityRow {
    /// Whose it is.
    pub device: String,
    /// `idevid` or `ldevid`.
    pub kind: String,
    /// SHA-256 of the public key.
    #[sqlx(try_from = "Exactly<32>")]
    pub key_digest: Hash,
    /// End of validity.
    pub not_after_ms: i64,
    /// When it was first used on a connection.
    pub first_used_ms: Option<i64>,
    /// Since when it is revoked.
    pub revoked_ms: Option<i64>,
    /// Why.
    pub revoked_reason: Option<String>,
    /// The device's lifecycle state.
    pub state: String,
    /// The device's class.
    #[sqlx(try_from = "Exactly<16>")]
    pub class: [u8; 16],
    /// The device's UEID.
    pub ueid: Vec<u8>,
    /// An alarm that nobody has settled.
    pub alarm: Option<String>,
    /// Whether its class is a product for developers, which none becomes that has devices.
    pub developer: bool,
}

/// Where a public key was seen first.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct KnownKey {
    /// At this device; absent for keys of people and authorities.
    pub device: Option<String>,
    /// In this role.
    pub role: String,
}

/// What an enrolment is judged by, read at once: what a device is, and where a key was seen.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct EnrolmentRow {
    /// The device's lifecycle state.
    pub state: String,
    /// An alarm of it that nobody has settled.
    pub alarm: Option<String>,
    /// Whether a key of it waits for people.
    pub pending: bool,
    /// Whether it holds a link.
    pub linked: bool,
    /// Whether it has an open command.
    pub commanded: bool,
    /// How many LDevIDs of it are not revoked; those on hold count.
    pub standing: i64,
    /// Whether a deployment to its class runs.
    pub deployable: bool,
    /// In which role the key was seen first; absent for a new one.
    pub key_role: Option<String>,
    /// At which device; absent for keys of people and authorities.
    pub key_device: Option<String>,
}

/// A certificate for a CRL.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct RevokedRow {
    /// The serial number, big-endian.
    pub serial: Vec<u8>,
    /// Since when.
    pub revoked_ms: i64,
    /// Why.
    pub revoked_reason: String,
}

impl Read {
    /// A device's certificates of one kind, oldest first.
    pub async fn certificates_of(
        &mut self,
        device: &str,
        kind: &str,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM certificates WHERE device = $1 AND kind = $2 \
             ORDER BY issued_ms, fingerprint",
        )
        .bind(device)
        .bind(kind)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// Where a public key was seen first, if ever.
    pub async fn known_key(&mut self, key_digest: &Hash) -> Result<Option<KnownKey>, StoreError> {
        Ok(sqlx::query_as("SELECT device, role FROM known_keys WHERE key_digest = $1")
            .bind(&key_digest[..])
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// What an enrolment of a device with a key is judged by. `standing` counts certificates of
    /// `kind`.
    pub async fn enrolment(
        &mut self,
        device: &str,
        kind: &'static str,
        key_digest: &Hash,
    ) -> Result<Option<EnrolmentRow>, StoreError> {
        if let Some(read) = self.batch().enrolment(device, kind, key_digest) {
            return Ok(read);
        }
        let asked = (device.to_owned(), *key_digest);
        let mut query = enrolments_of(kind, &[asked]);
        let row = query.build().fetch_optional(self.connection().await?).await?;
        Ok(row.as_ref().map(EnrolmentOf::from_row).transpose()?.map(|row| row.enrolment))
    }

    /// A device's newest certificate of one kind for this key.
    pub async fn certificate_for_key(
        &mut self,
        device: &str,
        kind: &str,
        key_digest: &Hash,
    ) -> Result<Option<CertificateRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT * FROM certificates WHERE device = $1 AND kind = $2 AND key_digest = $3 \
             ORDER BY issued_ms DESC, not_after_ms DESC LIMIT 1",
        )
        .bind(device)
        .bind(kind)
        .bind(&key_digest[..])
        .fetch_optional(self.connection().await?)
        .await?)
    }

    /// How many certificates of one kind of a device are neither revoked nor past `now_ms`. Those
    /// on hold count.
    pub async fn live_certificates(
        &mut self,
        device: &str,
        kind: &str,
        now_ms: i64,
    ) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT COUNT(*) FROM certificates WHERE device = $1 AND kind = $2 \
             AND not_after_ms > $3 AND (revoked_ms IS NULL OR revoked_reason = $4)",
        )
        .bind(device)
        .bind(kind)
        .bind(now_ms)
        .bind(HOLD)
        .fetch_one(self.connection().await?)
        .await?)
    }

    /// What a fingerprint stands for, in the eyes of whoever writes too. Requests ask
    /// [`crate::Store::identity`].
    pub async fn identity(
        &mut self,
        fingerprint: &Hash,
    ) -> Result<Option<IdentityRow>, StoreError> {
        let mut query = identities_of(&[*fingerprint]);
        let row = query.build().fetch_optional(self.connection().await?).await?;
        Ok(row.as_ref().map(IdentityOf::from_row).transpose()?.map(|row| row.identity))
    }

    /// How many certificates of one kind were issued to a device since a time.
    pub async fn certificates_since(
        &mut self,
        device: &str,
        kind: &str,
        since_ms: i64,
    ) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT COUNT(*) FROM certificates WHERE device = $1 AND kind = $2 AND issued_ms > $3",
        )
        .bind(device)
        .bind(kind)
        .bind(since_ms)
        .fetch_one(self.connection().await?)
        .await?)
    }

    /// How many public keys belong to more than one device. The registry refuses such keys, so
    /// anything but 0 means that somebody changed the database.
    pub async fn shared_keys(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT key_digest FROM certificates \
             GROUP BY key_digest HAVING MIN(device) <> MAX(device)) AS shared",
        )
        .fetch_one(self.connection().await?)
        .await?)
    }

    /// How many certificates of a kind whose serial number lies in a range have not ended and are
    /// not revoked for good, and when the last of them all ends.
    pub async fn certificates_between(
        &mut self,
        kind: &str,
        now_ms: i64,
        serials: Range<&[u8]>,
    ) -> Result<(i64, Option<i64>), StoreError> {
        Ok(sqlx::query_as(
            "SELECT COUNT(CASE WHEN not_after_ms > $2 \
             AND (revoked_ms IS NULL OR revoked_reason = $5) THEN 1 END), MAX(not_after_ms) \
             FROM certificates WHERE kind = $1 AND serial >= $3 AND serial < $4",
        )
        .bind(kind)
        .bind(now_ms)
        .bind(serials.start)
        .bind(serials.end)
        .bind(HOLD)
        .fetch_one(self.connection().await?)
        .await?)
    }

    /// The same as [`Read::revoked_certificates`], of those whose serial number lies in a range.
    pub async fn revoked_certificates_between(
        &mut self,
        kind: &str,
        ended_before_ms: i64,
        serials: Range<&[u8]>,
    ) -> Result<Vec<RevokedRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT serial, revoked_ms, revoked_reason FROM certificates \
             WHERE revoked_ms IS NOT NULL AND kind = $1 AND not_after_ms >= $2 \
             AND serial >= $3 AND serial < $4 ORDER BY serial",
        )
        .bind(kind)
        .bind(ended_before_ms)
        .bind(serials.start)
        .bind(serials.end)
        .fetch_all(self.connection().await?)
        .await?)
    }

    /// Every certificate that is revoked or on hold and has not ended before `ended_before_ms`.
    pub async fn revoked_certificates(
        &mut self,
        kind: &str,
        ended_before_ms: i64,
    ) -> Result<Vec<RevokedRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT serial, revoked_ms, revoked_reason FROM certificates \
             WHERE revoked_ms IS NOT NULL AND kind = $1 AND not_after_ms >= $2 ORDER BY serial",
        )
        .bind(kind)
        .bind(ended_before_ms)
        .fetch_all(self.connection().await?)
        .await?)
    }
}

impl Write {
    /// Notes a public key for ever, with the batch. The operation has seen that it is new; should
    /// it be there all the same, the whole batch is undone.
    pub fn insert_known_key(
        &mut self,
        key_digest: &Hash,
        device: Option<&str>,
        role: &str,
        at_ms: i64,
    ) {
        self.batch_mut().owe_key(NewKey {
            key_digest: *key_digest,
            device: device.map(str::to_owned),
            role: role.to_owned(),
            first_seen_ms: at_ms,
        });
    }

    /// Enters a certificate, with the batch. That it is new is known as with
    /// [`Write::insert_known_key`].
    pub fn insert_certificate(&mut self, new: NewCertificate) {
        self.batch_mut().owe_certificate(new);
    }

    /// Notes the first use of a certificate.
    pub async fn mark_certificate_used(
        &mut self,
        fingerprint: &Hash,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE certificates SET first_used_ms = $2 \
             WHERE fingerprint = $1 AND first_used_ms IS NULL",
        )
        .bind(&fingerprint[..])
        .bind(at_ms)
        .execute(self.change().await?)
        .await?;
        Ok(())
    }

    /// Revokes, or puts on hold, every certificate of one kind of a device besides `except` that
    /// is not revoked for good. Returns how many.
    pub async fn revoke_certificates(
        &mut self,
        device: &str,
        kind: &str,
        except: Option<&Hash>,
        at_ms: i64,
        reason: &str,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE certificates SET revoked_ms = $3, revoked_reason = $4 \
             WHERE device = $1 AND kind = $2 AND (revoked_ms IS NULL OR revoked_reason = $5) \
             AND fingerprint <> $6",
        )
        .bind(device)
        .bind(kind)
        .bind(at_ms)
        .bind(reason)
        .bind(HOLD)
        .bind(except.map_or(&[][..], |hash| &hash[..]))
        .execute(self.change().await?)
        .await?;
        Ok(done.rows_affected())
    }

    /// Revokes the certificates of the same kind and device that came before this one: those that
    /// were used, and those that were issued earlier.
    pub async fn revoke_earlier_certificates(
        &mut self,
        device: &str,
        kind: &str,
        own: &Hash,
        at_ms: i64,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE certificates SET revoked_ms = $4, revoked_reason = 'superseded' \
             WHERE device = $1 AND kind = $2 AND fingerprint <> $3 \
             AND (revoked_ms IS NULL OR revoked_reason = $5) \
             AND (first_used_ms IS NOT NULL OR issued_ms < \
             (SELECT o.issued_ms FROM certificates o WHERE o.fingerprint = $3))",
        )
        .bind(device)
        .bind(kind)
        .bind(&own[..])
        .bind(at_ms)
        .bind(HOLD)
        .execute(self.change().await?)
        .await?;
        Ok(done.rows_affected())
    }

    /// Revokes every certificate of one kind of a device that was never used, besides `except`.
    pub async fn revoke_unused_certificates(
        &mut self,
        device: &str,
        kind: &str,
        except: &Hash,
        at_ms: i64,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE certificates SET revoked_ms = $4, revoked_reason = 'superseded' \
             WHERE device = $1 AND kind = $2 AND fingerprint <> $3 AND first_used_ms IS NULL \
             AND revoked_ms IS NULL",
        )
        .bind(device)
        .bind(kind)
        .bind(&except[..])
        .bind(at_ms)
        .execute(self.change().await?)
        .await?;
        Ok(done.rows_affected())
    }

    /// Takes a device's certificates off hold.
    pub async fn release_certificates(&mut self, device: &str) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "UPDATE certificates SET revoked_ms = NULL, revoked_reason = NULL \
             WHERE device = $1 AND revoked_reason = $2",
        )
        .bind(device)
        .bind(HOLD)
        .execute(self.change().await?)
        .await?;
        Ok(done.rows_affected())
    }
}

/// An identity with what was asked for.
#[derive(Debug, FromRow)]
pub(crate) struct IdentityOf {
    #[sqlx(try_from = "Exactly<32>")]
    pub(crate) fingerprint: Hash,
    #[sqlx(flatten)]
    pub(crate) identity: IdentityRow,
}

/// Reads what several fingerprints stand for.
pub(crate) fn identities_of(fingerprints: &[Hash]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "SELECT c.fingerprint, c.device, c.kind, c.key_digest, c.not_after_ms, c.first_used_ms, \
         c.revoked_ms, c.revoked_reason, d.state, d.class, d.ueid, d.alarm, \
         EXISTS (SELECT 1 FROM developer_products p WHERE p.class = d.class) AS developer \
         FROM certificates c JOIN devices d ON d.device = c.device WHERE c.fingerprint IN (",
    );
    let mut list = query.separated(", ");
    fingerprints.iter().for_each(|fingerprint| {
        list.push_bind(&fingerprint[..]);
    });
    query.push(")");
    query
}

/// An enrolment with what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct EnrolmentOf {
    pub(crate) device: String,
    #[sqlx(try_from = "Exactly<32>")]
    pub(crate) key_digest: Hash,
    #[sqlx(flatten)]
    pub(crate) enrolment: EnrolmentRow,
}

/// Reads what several enrolments are judged by.
pub(crate) fn enrolments_of(kind: &'static str, asked: &[(String, Hash)]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("WITH asked (device, key_digest) AS (");
    query.push_values(asked, |mut row, (device, key_digest)| {
        row.push_bind(device).push_bind(&key_digest[..]);
    });
    // What is asked for is gone through, and each device looked up, in this order.
    query
        .push(
            ") SELECT a.device, a.key_digest, d.state, d.alarm, \
             d.pending_key IS NOT NULL AS pending, \
             EXISTS (SELECT 1 FROM contacts o WHERE o.device = d.device AND \
             (o.link_current IS NOT NULL OR o.link_previous IS NOT NULL)) AS linked, \
             EXISTS (SELECT 1 FROM commands m WHERE m.device = d.device AND m.open = 1) \
             AS commanded, \
             (SELECT COUNT(*) FROM certificates c WHERE c.device = d.device AND c.kind = ",
        )
        .push_bind(kind)
        .push(" AND (c.revoked_ms IS NULL OR c.revoked_reason = ")
        .push_bind(HOLD)
        .push(
            ")) AS standing, EXISTS (SELECT 1 FROM deployments p WHERE p.class = d.class \
             AND p.state = 'running') AS deployable, k.role AS key_role, k.device AS key_device \
             FROM asked a CROSS JOIN devices d \
             LEFT JOIN known_keys k ON k.key_digest = a.key_digest WHERE d.device = a.device",
        );
    query
}

/// A public key that was never seen before.
#[derive(Debug)]
pub(crate) struct NewKey {
    pub(crate) key_digest: Hash,
    pub(crate) device: Option<String>,
    pub(crate) role: String,
    pub(crate) first_seen_ms: i64,
}

/// Writes several keys.
pub(crate) fn insert_known_keys(keys: &[NewKey]) -> QueryBuilder<Sqlite> {
    let mut query =
        QueryBuilder::new("INSERT INTO known_keys (key_digest, device, role, first_seen_ms) ");
    query.push_values(keys, |mut row, key| {
        row.push_bind(&key.key_digest[..])
            .push_bind(&key.device)
            .push_bind(&key.role)
            .push_bind(key.first_seen_ms);
    });
    query
}

/// Writes several certificates.
pub(crate) fn insert_certificates(certificates: &[NewCertificate]) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "INSERT INTO certificates (fingerprint, device, kind, serial, key_digest, \
         not_before_ms, not_after_ms, der, issued_ms) ",
    );
    query.push_values(certificates, |mut row, new| {
        row.push_bind(&new.fingerprint[..])
            .push_bind(&new.device)
            .push_bind(new.kind)
            .push_bind(&new.serial)
            .push_bind(&new.key_digest[..])
            .push_bind(new.not_before_ms)
            .push_bind(new.not_after_ms)
            .push_bind(&new.der)
            .push_bind(new.issued_ms);
    });
    query
}

/// The reason that can be taken back (RFC 5280 section 5.3.1).
const HOLD: &str = "certificateHold";
