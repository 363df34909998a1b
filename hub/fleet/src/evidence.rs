//! What leaves the hub signed: heads of the audit log, and CRLs.

use ringfort_cose::Reason;
use ringfort_pki::{Crl, RevocationReason, Revoked, SerialNumber};

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
        let frontier = self.read().await?.audit_frontier().await?;
        let head = Head { size: frontier.size(), root: frontier.root() };
        Ok(audit::checkpoint(&self.inner.fleet, &head, &*self.inner.evidence_key)?)
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

    /// Signs the full CRLs of the Device CA, one per shard: every operational certificate that is
    /// revoked, or on hold, and has not ended.
    ///
    /// # Errors
    /// What the store or the CA's key says.
    pub async fn crls(&self) -> Result<Vec<Crl>, Refusal> {
        let number = self
            .change("hub", |change| {
                Box::pin(async move {
                    let last = change.meta(CRL_NUMBER).await?;
                    let last = last.and_then(|bytes| bytes.try_into().ok());
                    let last = last.map_or(0, i64::from_be_bytes);
                    let number = last.saturating_add(1).max(change.now_ms);
                    change.put_meta(CRL_NUMBER, &number.to_be_bytes()).await?;
                    Ok(number.unsigned_abs())
                })
            })
            .await?;
        let now_ms = self.now_ms();
        let now = now_ms.unsigned_abs() / 1000;
        let next = now.saturating_add(self.inner.policy.crl_life_s);
        let authority = &self.inner.device_ca;
        let shards = authority.crl_policy().map_or(1, |policy| policy.shards.max(1));
        let mut by_shard: Vec<Vec<Revoked>> = vec![Vec::new(); usize::from(shards)];
        for row in self.read().await?.revoked_certificates(LDEVID, now_ms).await? {
            let serial = SerialNumber::from_bytes(&row.serial)?;
            let shard = match shards {
                1 => 0,
                shards => serial.shard(shards),
            };
            let revoked = Revoked {
                serial,
                revoked_at: row.revoked_ms.unsigned_abs() / 1000,
                reason: revocation_reason(&row.revoked_reason),
            };
            by_shard.get_mut(usize::from(shard)).ok_or(Reason::Internal)?.push(revoked);
        }
        (0..shards)
            .zip(by_shard)
            .map(|(shard, revoked)| Ok(Crl::sign(authority, shard, revoked, number, now, next)?))
            .collect()
    }
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

const CRL_NUMBER: &str = "crl-number";
