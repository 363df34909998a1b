//! What leaves the hub signed: heads of the audit log, and CRLs.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_cose::Reason;
use ringfort_pki::{Crl, CrlPolicy, Issuer, RevocationReason, Revoked, SerialNumber};
use ringfort_store::{Frontier, RevokedRow};
use ringfort_trust::ids::DeviceId;

use crate::audit::{self, Head};
use crate::fleet::LDEVID;
use crate::registry::page;
use crate::{Fleet, Operator, Permission, Refusal};

impl Fleet {
    /// The newest head of the audit log as a signed checkpoint, for anyone who keeps them.
    ///
    /// # Errors
    /// `internal` when the evidence key does not sign.
    pub async fn audit_checkpoint(&self) -> Result<String, Refusal> {
        Ok(self.audit_head().await?.0)
    }

    /// The same with the tree's frontier at that head. Its root is the head's, so it needs no
    /// signature; who keeps it can follow the log from there by its new entries alone.
    ///
    /// # Errors
    /// `internal` when the evidence key does not sign.
    pub async fn audit_head(&self) -> Result<(String, Frontier), Refusal> {
        let frontier = self.read().await?.audit_frontier().await?;
        let head = Head { size: frontier.size(), root: frontier.root() };
        let note = audit::checkpoint(&self.inner.fleet, &head, &*self.inner.evidence_key)?;
        Ok((note, frontier))
    }

    /// The public key that signs the heads.
    pub fn evidence_key(&self) -> ringfort_cose::PublicKey {
        self.inner.evidence_key.public_key()
    }

    /// Entries of the audit log from position `from` on, in order: the bytes that are hashed, as
    /// [`audit::verify`] takes them.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn audit_entries(
        &self,
        who: &Operator,
        from: u64,
        limit: u32,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        who.require(Permission::View)?;
        let from = i64::try_from(from).map_err(|_| Reason::TooLarge)?;
        let rows = self.read().await?.audit_entries(from, page(limit)).await?;
        Ok(rows.into_iter().map(|row| row.entry).collect())
    }

    /// Signs the full CRLs of the Device CA and of those before it, one per shard: every operational
    /// certificate that is revoked, or on hold, and has not ended, on the CRL of whoever issued it.
    ///
    /// # Errors
    /// What the store or the CA's key says.
    pub async fn crls(&self) -> Result<Vec<Crl>, Refusal> {
        let all = self.device_cas().flat_map(|own| shards(own).map(move |shard| (shard, own)));
        let mut by_shard: BTreeMap<u16, (&Issuer, Vec<Revoked>)> =
            all.map(|(shard, own)| (shard, (own, Vec::new()))).collect();
        for revoked in self.revoked_ldevids().await? {
            // One of an authority that is no more has nobody who could sign it away.
            let Some((_, shard)) = self.issuer_of(&revoked.serial) else { continue };
            by_shard.get_mut(&shard).ok_or(Reason::Internal)?.1.push(revoked);
        }
        let number = self.next_crl_number().await?;
        let (now, next) = self.crl_times();
        by_shard
            .into_iter()
            .map(|(shard, (own, revoked))| Ok(Crl::sign(own, shard, revoked, number, now, next)?))
            .collect()
    }

    /// Signs the CRLs of some devices' certificates alone, as a change of their access asks for:
    /// what it takes does not grow with the number of revoked certificates, for there are as many
    /// shards as keep each one small.
    ///
    /// # Errors
    /// As [`Fleet::crls`].
    pub async fn crls_of(&self, devices: &BTreeSet<DeviceId>) -> Result<Vec<Crl>, Refusal> {
        let mut read = self.read().await?;
        let mut touched = BTreeMap::new();
        for device in devices {
            for row in read.certificates_of(device.as_str(), LDEVID).await? {
                let issuer = self.issuer_of(&SerialNumber::from_bytes(&row.serial)?);
                touched.extend(issuer.map(|(own, shard)| (shard, own)));
            }
        }
        let now_ms = self.now_ms();
        let mut by_shard = Vec::new();
        for (shard, own) in touched {
            let rows = match SerialNumber::range_of_shard(shard) {
                Some((from, until)) => {
                    let range = &from[..]..&until[..];
                    read.revoked_certificates_between(LDEVID, now_ms, range).await?
                }
                None => read.revoked_certificates(LDEVID, now_ms).await?,
            };
            let mut revoked = revoked(rows)?;
            revoked.retain(|revoked| {
                self.issuer_of(&revoked.serial).is_some_and(|(_, found)| found == shard)
            });
            by_shard.push((shard, own, revoked));
        }
        drop(read);
        if by_shard.is_empty() {
            return Ok(Vec::new());
        }
        let number = self.next_crl_number().await?;
        let (now, next) = self.crl_times();
        let sign = |(shard, own, revoked)| Ok(Crl::sign(own, shard, revoked, number, now, next)?);
        by_shard.into_iter().map(sign).collect()
    }

    /// Who issued a certificate of ours, and in which shard of its CRL it would stand.
    fn issuer_of(&self, serial: &SerialNumber) -> Option<(&Issuer, u16)> {
        self.device_cas().find_map(|own| match own.crl_policy() {
            Some(policy) => policy.shard_of(serial).map(|shard| (own, shard)),
            None => Some((own, 0)),
        })
    }

    /// Signs one CRL of the Device CA with all that [`Fleet::crls`] spreads over its shards: for a
    /// relying party that reads one file, such as a broker.
    ///
    /// # Errors
    /// `role-forbids`; what the store or the CA's key says.
    pub async fn whole_crl(&self, who: &Operator) -> Result<Crl, Refusal> {
        who.require(Permission::View)?;
        self.whole_crl_of(&self.inner.device_ca).await
    }

    /// The authorities before the Device CA that have certificates in force, each with its CRL of
    /// all that it issued.
    ///
    /// # Errors
    /// As for [`Fleet::whole_crl`].
    pub async fn earlier_device_cas(
        &self,
        who: &Operator,
    ) -> Result<Vec<EarlierAuthority>, Refusal> {
        who.require(Permission::View)?;
        let mut found = Vec::new();
        for own in &self.inner.earlier_device_cas {
            let first = own.crl_policy().map_or(0, |policy| policy.first);
            let (from, until) = SerialNumber::range_of_issuer(first);
            let (in_force, last_ends_ms) = self
                .read()
                .await?
                .certificates_between(LDEVID, self.now_ms(), &from[..]..&until[..])
                .await?;
            found.push(EarlierAuthority {
                certificate: own.certificate_der().to_vec(),
                crl: self.whole_crl_of(own).await?,
                in_force: in_force.unsigned_abs(),
                last_ends_ms,
            });
        }
        Ok(found)
    }

    async fn whole_crl_of(&self, own: &Issuer) -> Result<Crl, Refusal> {
        let number = self.next_crl_number().await?;
        let (now, next) = self.crl_times();
        let is_of = |serial: &SerialNumber| {
            let issuer = self.issuer_of(serial);
            issuer.is_some_and(|(found, _)| found.certificate_der() == own.certificate_der())
        };
        let mut revoked = self.revoked_ldevids().await?;
        revoked.retain(|revoked| is_of(&revoked.serial));
        Ok(Crl::sign_whole(own, revoked, number, now, next)?)
    }

    async fn next_crl_number(&self) -> Result<u64, Refusal> {
        self.change("hub", |change| {
            Box::pin(async move {
                let last = change.meta(CRL_NUMBER).await?;
                let last = last.and_then(|bytes| bytes.try_into().ok());
                let last = last.map_or(0, i64::from_be_bytes);
                let number = last.saturating_add(1).max(change.now_ms);
                change.put_meta(CRL_NUMBER, &number.to_be_bytes()).await?;
                Ok(number.unsigned_abs())
            })
        })
        .await
    }

    /// thisUpdate and nextUpdate, Unix seconds.
    fn crl_times(&self) -> (u64, u64) {
        let now = self.now_ms().unsigned_abs() / 1000;
        (now, now.saturating_add(self.inner.policy.crl_life_s))
    }

    async fn revoked_ldevids(&self) -> Result<Vec<Revoked>, Refusal> {
        revoked(self.read().await?.revoked_certificates(LDEVID, self.now_ms()).await?)
    }
}

/// An authority that issued operational certificates before the one that does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierAuthority {
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// What it revoked.
    pub crl: Crl,
    /// How many of its certificates are in force.
    pub in_force: u64,
    /// When the last of its certificates ends, Unix milliseconds; none where it issued none.
    pub last_ends_ms: Option<i64>,
}

/// The CRL shards of an authority.
fn shards(own: &Issuer) -> std::ops::Range<u16> {
    own.crl_policy().map_or(0..1, CrlPolicy::all)
}

fn revoked(rows: Vec<RevokedRow>) -> Result<Vec<Revoked>, Refusal> {
    rows.into_iter()
        .map(|row| {
            Ok(Revoked {
                serial: SerialNumber::from_bytes(&row.serial)?,
                revoked_at: row.revoked_ms.unsigned_abs() / 1000,
                reason: revocation_reason(&row.revoked_reason),
            })
        })
        .collect()
}

fn revocation_reason(name: &str) -> RevocationReason {
    match name {
        "certificateHold" => RevocationReason::CertificateHold,
        "superseded" => RevocationReason::Superseded,
        "keyCompromise" => RevocationReason::KeyCompromise,
        "cessationOfOperation" => RevocationReason::CessationOfOperation,
        _ => RevocationReason::Unspecified,
    }
}

pub(crate) const CRL_NUMBER: &str = "crl-number";
