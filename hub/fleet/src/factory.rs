//! Factory sites and the batches that they hand in.

use std::collections::BTreeSet;

use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_lifecycle::{Actor, Approvals, Proof, Proofs, Request, State, judge};
use ringfort_messages::{Batch, Protection, Record};
use ringfort_pki::{CertificateInfo, Csr};
use ringfort_store::{NewCertificate, NewDevice, NewSite as SiteToStore, SiteRow};
use ringfort_trust::Anchors;
use ringfort_trust::ids::{ClassId, DeviceId, SiteId, Ueid};

use crate::developer::check_developer_quota;
use crate::fleet::{Change, IDEVID};
use crate::{BatchTaken, Fleet, NewSite, Operator, Permission, Refusal, SiteView};

impl Fleet {
    /// Adds a factory site. Its station key stands in the anchors, its Factory CA is given here.
    ///
    /// # Errors
    /// `role-forbids`, `already-exists`, `key-already-known`; `malformed` for a certificate that is
    /// not an authority's.
    pub async fn add_site(&self, who: &Operator, new: &NewSite) -> Result<(), Refusal> {
        who.require(Permission::Administer)?;
        let authority = CertificateInfo::parse(&new.factory_ca)?;
        if !authority.is_authority {
            return Err(Refusal::new(Reason::Malformed, "not the certificate of an authority"));
        }
        let key = (authority.key.fingerprint(), "factory-ca".to_owned());
        let row = SiteToStore {
            site: new.id.as_str().to_owned(),
            factory_ca: new.factory_ca.clone(),
            serial_prefix: new.serial_prefix.clone(),
            quota: i64::try_from(new.quota).map_err(|_| Reason::TooLarge)?,
            not_after_ms: new.not_after_ms,
            added_ms: self.now_ms(),
        };
        self.change_by(who, move |change| {
            Box::pin(async move {
                if change.site(&row.site).await?.is_some() {
                    return Err(Refusal::new(Reason::AlreadyExists, row.site));
                }
                change.note_keys(&[key]).await?;
                change.insert_site(&row).await?;
                let quota = row.quota.to_string();
                change.log("site-added", &format!("site/{}", row.site), &[("quota", &quota)]).await
            })
        })
        .await
    }

    /// Ends a site: no batch of it is taken any more.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`.
    pub async fn revoke_site(&self, who: &Operator, site: &SiteId) -> Result<(), Refusal> {
        who.require(Permission::Administer)?;
        let site = site.as_str().to_owned();
        self.change_by(who, move |change| {
            Box::pin(async move {
                let now_ms = change.now_ms;
                if !change.revoke_site(&site, now_ms).await? {
                    return Err(Refusal::new(Reason::NotFound, site));
                }
                change.log("site-revoked", &format!("site/{site}"), &[]).await
            })
        })
        .await
    }

    /// Every site.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn sites(&self, who: &Operator) -> Result<Vec<SiteView>, Refusal> {
        who.require(Permission::View)?;
        let rows = self.read().await?.sites().await?;
        rows.into_iter()
            .map(|row| {
                Ok(SiteView {
                    id: SiteId::new(&row.site)?,
                    factory_ca: row.factory_ca,
                    serial_prefix: row.serial_prefix,
                    quota: row.quota.unsigned_abs(),
                    devices: row.devices.unsigned_abs(),
                    not_after_ms: row.not_after_ms,
                    last_batch: row.last_batch_number.unsigned_abs(),
                    revoked_ms: row.revoked_ms,
                })
            })
            .collect()
    }

    /// Takes a batch: all of it, or nothing.
    ///
    /// # Errors
    /// `role-forbids`; those of [`Batch::verify`] and [`Batch::follows`]; `not-found` for a site
    /// that was never added; `expired` for one that was revoked or whose time has ended;
    /// `over-quota`, of the site or of a product for developers; `wrong-device` for a class that the anchors do not name; `anchors-digest` for
    /// a device that was given anchors of no version; `bad-proof-of-possession`;
    /// `untrusted-signer` for an IDevID of another authority; `wrong-recipient` for one that names
    /// another device, or a serial number outside the site's range; `key-already-known` for a key,
    /// UEID or id that the registry holds already.
    pub async fn import_batch(
        &self,
        who: &Operator,
        document: &[u8],
    ) -> Result<BatchTaken, Refusal> {
        who.require(Permission::ImportBatches)?;
        let anchors = self.newest_anchors()?;
        let anchors = anchors.open()?;
        let batch = Batch::verify(document, &anchors, &AwsLc)?;
        let site = self.read().await?.site(batch.site.as_str()).await?;
        let site = site.ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("no site is called {}", batch.site))
        })?;
        // The costly checks of certificates and requests are made before the writer is asked.
        let authority = CertificateInfo::parse(&site.factory_ca)?;
        let devices: Vec<Announced> = batch
            .records()
            .map(|record| Announced::check(&record, &site, &authority, &anchors))
            .collect::<Result<_, Refusal>>()?;
        let last = last_batch(&site);
        batch.follows(last).map_err(|reason| {
            let detail = format!(
                "batch {} of {}, where {} was taken last",
                batch.number, batch.site, site.last_batch_number
            );
            Refusal::new(reason, detail)
        })?;
        let header = Header { site: batch.site, number: batch.number, digest: batch.digest, last };
        let taken =
            BatchTaken { site: batch.site, number: batch.number, devices: devices.len() as u64 };
        let document = document.to_vec();
        self.change_by(who, move |change| {
            Box::pin(async move { take(change, &header, &devices, &document).await })
        })
        .await?;
        Ok(taken)
    }
}

struct Header {
    site: SiteId,
    number: u64,
    digest: Sha256Digest,
    /// The batch that it follows.
    last: Option<(u64, Sha256Digest)>,
}

fn last_batch(site: &SiteRow) -> Option<(u64, Sha256Digest)> {
    let digest = site.last_batch_digest?;
    Some((site.last_batch_number.unsigned_abs(), Sha256Digest(digest)))
}

/// A device of a batch whose certificate and proofs were checked.
struct Announced {
    device: DeviceId,
    ueid: Ueid,
    vendor: [u8; 16],
    class: ClassId,
    protection: String,
    anchors: Sha256Digest,
    certificate: CertificateInfo,
    der: Vec<u8>,
    attestation_key: [u8; 32],
}

impl Announced {
    fn check(
        record: &Record<'_>,
        site: &SiteRow,
        authority: &CertificateInfo,
        anchors: &Anchors<'_>,
    ) -> Result<Announced, Refusal> {
        let device = record.device;
        let refuse = |reason, what: &str| Err(Refusal::new(reason, format!("{device}: {what}")));
        let Some(product) = anchors.product(&record.class) else {
            return refuse(Reason::WrongDevice, "the anchors do not name its class");
        };
        if !device.as_str().starts_with(&site.serial_prefix) {
            return refuse(Reason::WrongRecipient, "its serial number is not in the site's range");
        }
        let certificate = CertificateInfo::parse(record.idevid)?;
        if !certificate.is_signed_by(record.idevid, authority) {
            return refuse(
                Reason::UntrustedSigner,
                "the site's Factory CA did not issue its IDevID",
            );
        }
        if certificate.serial_number.as_deref() != Some(device.as_str())
            || certificate.hardware_serial.as_deref() != Some(&record.ueid.as_bytes()[..])
        {
            return refuse(Reason::WrongRecipient, "its IDevID names another device");
        }
        let identity = Csr::parse(record.idevid_csr)?;
        let attestation = Csr::parse(record.attestation_csr)?;
        if *identity.key() != certificate.key {
            return refuse(Reason::BadProofOfPossession, "the proof is for another key");
        }
        if *attestation.key() == certificate.key {
            return refuse(Reason::KeyAlreadyKnown, "one key in two roles");
        }
        Ok(Announced {
            device,
            ueid: record.ueid,
            vendor: product.vendor.0,
            class: record.class,
            protection: protection_text(&record.protection),
            anchors: record.anchors,
            der: record.idevid.to_vec(),
            attestation_key: attestation.key().fingerprint(),
            certificate,
        })
    }
}

async fn take(
    change: &mut Change<'_>,
    header: &Header,
    devices: &[Announced],
    document: &[u8],
) -> Result<(), Refusal> {
    let name = header.site.as_str();
    let site = change.site(name).await?.ok_or(Reason::NotFound)?;
    if site.revoked_ms.is_some() {
        return Err(Refusal::new(Reason::Expired, format!("the site {name} was revoked")));
    }
    if site.not_after_ms <= change.now_ms {
        return Err(Refusal::new(Reason::Expired, format!("the time of the site {name} ended")));
    }
    if last_batch(&site) != header.last {
        // Another batch of this site was taken since this one was judged.
        return Err(Refusal::new(Reason::BatchReplayed, format!("batch {}", header.number)));
    }
    let count = i64::try_from(devices.len()).map_err(|_| Reason::TooLarge)?;
    if site.devices.saturating_add(count) > site.quota {
        return Err(Refusal::new(
            Reason::OverQuota,
            format!("{name} made {} of {} and announces {count}", site.devices, site.quota),
        ));
    }
    for device in devices {
        enter(change, header, device).await?;
    }
    for class in devices.iter().map(|device| device.class).collect::<BTreeSet<_>>() {
        check_developer_quota(change, &class).await?;
    }
    let number = i64::try_from(header.number).map_err(|_| Reason::TooLarge)?;
    let now_ms = change.now_ms;
    change.insert_batch(name, number, &header.digest.0, count, document, now_ms).await?;
    let (number, count, digest) =
        (header.number.to_string(), count.to_string(), header.digest.to_string());
    let details = [("number", &*number), ("devices", &*count), ("sha256", &*digest)];
    change.log("batch-taken", &format!("site/{name}"), &details).await
}

/// One device: never seen before by any of its names and keys, or the batch is refused.
async fn enter(change: &mut Change<'_>, header: &Header, new: &Announced) -> Result<(), Refusal> {
    let id = new.device.as_str();
    let known = |what: &str| {
        Err(Refusal::new(Reason::KeyAlreadyKnown, format!("{id}: its {what} is known already")))
    };
    if change.device(id).await?.is_some() {
        return known("id");
    }
    if change.device_by_ueid(new.ueid.as_bytes()).await?.is_some() {
        return known("UEID");
    }
    let identity_key = new.certificate.key.fingerprint();
    for (key, role) in [(identity_key, "idevid"), (new.attestation_key, "attestation")] {
        if let Some(other) = change.known_key(&key).await? {
            let owner = other.device.unwrap_or_else(|| "the hub or its people".to_owned());
            return known(&format!("{role} key (at {owner}, as {})", other.role));
        }
        let now_ms = change.now_ms;
        change.insert_known_key(&key, Some(id), role, now_ms);
    }
    if !change.has_anchors(&new.anchors.0).await? {
        return Err(Refusal::new(
            Reason::AnchorsDigest,
            format!("{id} was given anchors that this fleet does not have"),
        ));
    }
    let request = Request {
        actor: Actor::Factory,
        approvals: Approvals { given: 0, required: 1 },
        proofs: Proofs::of(&[Proof::KeysRecorded, Proof::UeidUnique, Proof::KeysNeverSeen]),
    };
    let made = judge(State::Manufacturing, State::Provisioned, &request)?;
    let added_ms = change.now_ms;
    change
        .insert_device(&NewDevice {
            device: id.to_owned(),
            ueid: new.ueid.as_bytes().to_vec(),
            site: header.site.as_str().to_owned(),
            batch_number: i64::try_from(header.number).map_err(|_| Reason::TooLarge)?,
            vendor: new.vendor,
            class: new.class.0,
            protection: new.protection.clone(),
            state: made.to.name(),
            added_ms,
        })
        .await?;
    let certificate = &new.certificate;
    change.insert_certificate(NewCertificate {
        fingerprint: certificate.fingerprint,
        device: id.to_owned(),
        kind: IDEVID,
        serial: certificate.serial.as_bytes().to_vec(),
        key_digest: identity_key,
        not_before_ms: seconds_to_ms(certificate.not_before),
        not_after_ms: seconds_to_ms(certificate.not_after),
        der: new.der.clone(),
        issued_ms: added_ms,
    });
    let ueid = new.ueid.to_string();
    let details = [("to", made.to.name()), ("ueid", &*ueid), ("site", header.site.as_str())];
    change.log("device-provisioned", id, &details).await
}

/// `sealed-file`, or `pkcs11 hardware-keys hardware-counter`.
pub(crate) fn protection_text(protection: &Protection) -> String {
    let mut text = protection.store.name().to_owned();
    if protection.hardware_keys {
        text.push_str(" hardware-keys");
    }
    if protection.hardware_counter {
        text.push_str(" hardware-counter");
    }
    text
}

pub(crate) fn seconds_to_ms(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)
}
