//! Objects and releases: what people upload, what devices fetch.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use ringfort_cose::{AwsLc, Reason, Sha256Digest, Thumbprint, Verify};
use ringfort_lifecycle::Right;
use ringfort_store::{NewRelease, ObjectStream, Put, ReleaseObject, ReleaseRow};
use ringfort_suit::{Envelope, Release};
use ringfort_trust::Anchors;
use ringfort_trust::ids::{ClassId, SequenceNumber, VendorId};

use crate::{DeviceSession, Fleet, Operator, PAGE_MAX, Permission, Refusal, ReleaseView};

impl Fleet {
    /// Stores an object under its digest. The bytes are read as they come and stop at the bound.
    ///
    /// # Errors
    /// `role-forbids`, `too-large`; `image-digest` when the bytes do not have the digest;
    /// `transfer-failed` when the sender broke off; `storage-failed` when the disk is full.
    pub async fn put_object<S, E>(
        &self,
        who: &Operator,
        digest: &Sha256Digest,
        limit_bytes: u64,
        stream: S,
    ) -> Result<Put, Refusal>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: fmt::Display,
    {
        who.require(Permission::Publish)?;
        let put = self.inner.store.objects().put(&digest.0, limit_bytes, stream).await?;
        let size = i64::try_from(put.size_bytes()).map_err(|_| Reason::TooLarge)?;
        let digest = *digest;
        self.change_by(who, move |change| {
            Box::pin(async move {
                let now_ms = change.now_ms;
                if change.put_object(&digest.0, size, now_ms).await? {
                    let (subject, size) = (format!("object/{digest}"), size.to_string());
                    change.log("object-stored", &subject, &[("size", &size)]).await?;
                }
                Ok(put)
            })
        })
        .await
    }

    /// Takes a release: an envelope that enough release keys of its class have signed, and whose
    /// payloads are all here. The same envelope again is the same release.
    ///
    /// # Errors
    /// `role-forbids`; those of [`Envelope::parse`], [`Release::of`] and
    /// [`Envelope::verify_threshold`]; `wrong-device` for a class that the anchors do not name, or
    /// for two at once; `release-revoked`; `sequence-reused` when the class has another release
    /// with this number; `not-found` for a payload that was not uploaded; `image-size`.
    pub async fn add_release(
        &self,
        who: &Operator,
        envelope: &[u8],
    ) -> Result<ReleaseView, Refusal> {
        who.require(Permission::Publish)?;
        let anchors = self.newest_anchors()?;
        let new = read_release(envelope, &anchors.open()?, who.name(), self.now_ms())?;
        for object in &new.objects {
            self.check_object(object).await?;
        }
        self.change_by(who, move |change| {
            Box::pin(async move {
                let now_ms = change.now_ms;
                if let Some(row) = change.release(&new.manifest).await? {
                    return view(row);
                }
                let manifest = Sha256Digest(new.manifest).to_string();
                if change.release_by_sequence(&new.class, new.sequence).await?.is_some() {
                    return Err(Refusal::new(
                        Reason::SequenceReused,
                        format!("the class has another release with number {}", new.sequence),
                    ));
                }
                for object in &new.objects {
                    change.put_object(&object.digest, object.size_bytes, now_ms).await?;
                }
                change.insert_release(&new).await?;
                let (class, number) = (ClassId(new.class).to_string(), new.sequence.to_string());
                let details =
                    [("class", &*class), ("sequence", &*number), ("version", &*new.version)];
                change.log("release-added", &format!("release/{manifest}"), &details).await?;
                view(change.release(&new.manifest).await?.ok_or(Reason::NotFound)?)
            })
        })
        .await
    }

    /// Releases, newest first.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn releases(&self, who: &Operator) -> Result<Vec<ReleaseView>, Refusal> {
        who.require(Permission::View)?;
        let rows = self.read().await?.releases(i64::from(PAGE_MAX)).await?;
        rows.into_iter().map(view).collect()
    }

    /// The envelope of a release, for a device that has an open order for it. Blocks of signers
    /// that the newest anchors dropped are taken off; they are not part of what is signed.
    ///
    /// # Errors
    /// `wrong-certificate-kind`, `lifecycle-forbids`; `not-found` without such an order.
    pub async fn manifest(
        &self,
        session: &DeviceSession,
        digest: &Sha256Digest,
    ) -> Result<Vec<u8>, Refusal> {
        session.require(Right::Update)?;
        let mut read = self.read().await?;
        if !read.device_may_fetch(session.device.as_str(), &digest.0).await? {
            return Err(Reason::NotFound.into());
        }
        let row = read.release(&digest.0).await?.ok_or(Reason::NotFound)?;
        let anchors = self.newest_anchors()?;
        without_dropped_signers(row.envelope, &ClassId(row.class), &anchors.open()?)
    }

    /// A payload, or a range of it (bytes, the end exclusive), for a device that has an open order
    /// that names it. Writes nothing.
    ///
    /// # Errors
    /// `wrong-certificate-kind`, `lifecycle-forbids`; `not-found` without such an order, or for a
    /// range that begins behind the end.
    pub async fn object(
        &self,
        session: &DeviceSession,
        digest: &Sha256Digest,
        range: Option<Range<u64>>,
    ) -> Result<ObjectStream, Refusal> {
        session.require(Right::Update)?;
        if !self.read().await?.device_may_fetch(session.device.as_str(), &digest.0).await? {
            return Err(Reason::NotFound.into());
        }
        let found = self.inner.store.objects().get(&digest.0, range).await?;
        Ok(found.ok_or(Reason::NotFound)?)
    }

    async fn check_object(&self, object: &ReleaseObject) -> Result<(), Refusal> {
        let digest = Sha256Digest(object.digest);
        match self.inner.store.objects().size(&object.digest).await? {
            Some(size) if i64::try_from(size) == Ok(object.size_bytes) => Ok(()),
            Some(size) => Err(Refusal::new(
                Reason::ImageSize,
                format!("{digest} has {size} bytes, the manifest says {}", object.size_bytes),
            )),
            None => Err(Refusal::new(Reason::NotFound, format!("{digest} was not uploaded"))),
        }
    }
}

fn read_release(
    bytes: &[u8],
    anchors: &Anchors<'_>,
    published_by: &str,
    published_ms: i64,
) -> Result<NewRelease, Refusal> {
    let envelope = Envelope::parse(bytes, &AwsLc)?;
    let release = Release::of(&envelope)?;
    let first = release.components().first().ok_or(Reason::Unsupported)?;
    let class = ClassId(first.class);
    let vendor = VendorId(first.vendor);
    let alike = release
        .components()
        .iter()
        .all(|component| component.class == first.class && component.vendor == first.vendor);
    let product = anchors.product(&class);
    if !alike || product.is_none_or(|product| product.vendor != vendor) {
        return Err(Refusal::new(
            Reason::WrongDevice,
            "the release is not for one product that the anchors name",
        ));
    }
    check_signers(&envelope, anchors)?;
    let mut objects: Vec<ReleaseObject> = Vec::new();
    for component in release.components() {
        let size_bytes = i64::try_from(component.size_bytes).map_err(|_| Reason::TooLarge)?;
        let object = ReleaseObject { digest: component.digest.0, size_bytes };
        // Two components may hold the same bytes, but not the same digest and two sizes.
        match objects.iter().find(|other| other.digest == object.digest) {
            None => objects.push(object),
            Some(other) if *other == object => {}
            Some(_) => return Err(Reason::ImageSize.into()),
        }
    }
    Ok(NewRelease {
        manifest: release.manifest_digest.0,
        envelope: bytes.to_vec(),
        envelope_digest: AwsLc.sha256(&[bytes]).0,
        vendor: vendor.0,
        class: class.0,
        sequence: i64::try_from(release.sequence_number).map_err(|_| Reason::SequenceJump)?,
        version: release.version.unwrap_or_default().to_owned(),
        objects,
        published_by: published_by.to_owned(),
        published_ms,
    })
}

/// Do enough release keys of the class stand behind the envelope, and has nobody revoked it?
fn check_signers(envelope: &Envelope<'_>, anchors: &Anchors<'_>) -> Result<(), Refusal> {
    let release = Release::of(envelope)?;
    let class = release.components().first().map(|component| ClassId(component.class));
    let keys = anchors.release_keys(&class.ok_or(Reason::Unsupported)?, &AwsLc)?;
    envelope.verify_threshold(&AwsLc, &keys.keys, keys.threshold)?;
    match anchors.is_revoked(&envelope.manifest_digest()) {
        true => Err(Reason::ReleaseRevoked.into()),
        false => Ok(()),
    }
}

/// The envelope as devices with these anchors will take it.
///
/// # Errors
/// `threshold-not-met` when too few of its signers are left, `release-revoked`.
pub(crate) fn without_dropped_signers(
    envelope: Vec<u8>,
    class: &ClassId,
    anchors: &Anchors<'_>,
) -> Result<Vec<u8>, Refusal> {
    let keys = anchors.release_keys(class, &AwsLc)?;
    let parsed = Envelope::parse(&envelope, &AwsLc)?;
    let mut dropped: Vec<Thumbprint> = Vec::new();
    for block in parsed.blocks() {
        let signer = block?.signer()?;
        if keys.keys.find(&signer).is_err() {
            dropped.push(signer);
        }
    }
    let kept = match dropped.is_empty() {
        true => envelope,
        false => ringfort_suit::strip(&AwsLc, &dropped, &envelope)?,
    };
    check_signers(&Envelope::parse(&kept, &AwsLc)?, anchors)?;
    Ok(kept)
}

fn view(row: ReleaseRow) -> Result<ReleaseView, Refusal> {
    Ok(ReleaseView {
        manifest: Sha256Digest(row.manifest),
        vendor: VendorId(row.vendor),
        class: ClassId(row.class),
        sequence: SequenceNumber(row.sequence.unsigned_abs()),
        version: row.version,
        size_bytes: row.size_bytes.unsigned_abs(),
        published_by: row.published_by,
        published_ms: row.published_ms,
    })
}
