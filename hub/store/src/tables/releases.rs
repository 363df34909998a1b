use sqlx::FromRow;

use super::Exactly;
use crate::{Hash, Read, StoreError, Write};

/// A release: a signed manifest that was taken.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ReleaseRow {
    /// Digest of the manifest.
    #[sqlx(try_from = "Exactly<32>")]
    pub manifest: Hash,
    /// The SUIT envelope as devices get it.
    pub envelope: Vec<u8>,
    /// The vendor.
    #[sqlx(try_from = "Exactly<16>")]
    pub vendor: [u8; 16],
    /// The class.
    #[sqlx(try_from = "Exactly<16>")]
    pub class: [u8; 16],
    /// The sequence number.
    pub sequence: i64,
    /// The version that people read.
    pub version: String,
    /// Size of all payloads together in bytes.
    pub size_bytes: i64,
    /// Who published it.
    pub published_by: String,
    /// When.
    pub published_ms: i64,
}

/// A release to enter.
#[derive(Clone, Debug)]
pub struct NewRelease {
    /// Digest of the manifest.
    pub manifest: Hash,
    /// The SUIT envelope.
    pub envelope: Vec<u8>,
    /// Digest of the envelope.
    pub envelope_digest: Hash,
    /// The vendor.
    pub vendor: [u8; 16],
    /// The class.
    pub class: [u8; 16],
    /// The sequence number.
    pub sequence: i64,
    /// The version that people read.
    pub version: String,
    /// Its payloads.
    pub objects: Vec<ReleaseObject>,
    /// Who publishes it.
    pub published_by: String,
    /// Now.
    pub published_ms: i64,
}

/// A payload of a release.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ReleaseObject {
    /// Its digest.
    #[sqlx(try_from = "Exactly<32>")]
    pub digest: Hash,
    /// Its size in bytes.
    pub size_bytes: i64,
}

impl Read {
    /// A release by the digest of its manifest.
    pub async fn release(&mut self, manifest: &Hash) -> Result<Option<ReleaseRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM releases WHERE manifest = $1")
            .bind(&manifest[..])
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// The release of a class with this sequence number.
    pub async fn release_by_sequence(
        &mut self,
        class: &[u8; 16],
        sequence: i64,
    ) -> Result<Option<ReleaseRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM releases WHERE class = $1 AND sequence = $2")
            .bind(&class[..])
            .bind(sequence)
            .fetch_optional(self.connection().await?)
            .await?)
    }

    /// Every release, newest first.
    pub async fn releases(&mut self, limit: i64) -> Result<Vec<ReleaseRow>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM releases ORDER BY published_ms DESC, manifest LIMIT $1")
            .bind(limit)
            .fetch_all(self.connection().await?)
            .await?)
    }

    /// The payloads of a release.
    pub async fn release_objects(
        &mut self,
        manifest: &Hash,
    ) -> Result<Vec<ReleaseObject>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT digest, size_bytes FROM release_objects WHERE manifest = $1 ORDER BY digest",
        )
        .bind(&manifest[..])
        .fetch_all(self.connection().await?)
        .await?)
    }
}

impl Write {
    /// Notes an object that the directory holds. False when it was noted before.
    pub async fn put_object(
        &mut self,
        digest: &Hash,
        size_bytes: i64,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO objects (digest, size_bytes, stored_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (digest) DO NOTHING",
        )
        .bind(&digest[..])
        .bind(size_bytes)
        .bind(at_ms)
        .execute(self.change().await?)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Enters a release and its payloads. [`StoreError::Exists`] when the manifest, or its class
    /// and sequence number, is taken.
    pub async fn insert_release(&mut self, new: &NewRelease) -> Result<(), StoreError> {
        let size: i64 = new.objects.iter().map(|object| object.size_bytes).sum();
        sqlx::query(
            "INSERT INTO releases (manifest, envelope, envelope_digest, vendor, class, sequence, \
             version, size_bytes, published_by, published_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&new.manifest[..])
        .bind(&new.envelope)
        .bind(&new.envelope_digest[..])
        .bind(&new.vendor[..])
        .bind(&new.class[..])
        .bind(new.sequence)
        .bind(&new.version)
        .bind(size)
        .bind(&new.published_by)
        .bind(new.published_ms)
        .execute(self.change().await?)
        .await?;
        for object in &new.objects {
            sqlx::query(
                "INSERT INTO release_objects (manifest, digest, size_bytes) VALUES ($1, $2, $3)",
            )
            .bind(&new.manifest[..])
            .bind(&object.digest[..])
            .bind(object.size_bytes)
            .execute(self.change().await?)
            .await?;
        }
        Ok(())
    }
}
