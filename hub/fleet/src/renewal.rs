//! People renew their own certificates: a new key in the name and role that they have.
//!
//! The old certificate serves until the new one has been used: whoever shows the new one settles on
//! it, and only then the old one ends.

use ringfort_cose::Reason;
use ringfort_pki::{CertificateInfo, Csr};
use ringfort_store::OperatorRow;

use crate::enrol::hex;
use crate::factory::seconds_to_ms;
use crate::fleet::Change;
use crate::{Fleet, Operator, OperatorAuthority, Permission, Refusal, Registered};

impl Fleet {
    /// Certifies a new key for the operator who shows this certificate. What was issued in the
    /// same way before and never settled on ends.
    ///
    /// # Errors
    /// `certificate-revoked`, `certificate-expired` for the certificate that is shown;
    /// `key-already-known` for any key that was seen before, the present one included.
    pub async fn renew_operator(
        &self,
        who: &Operator,
        shown: &[u8; 32],
        authority: &OperatorAuthority,
        csr: &Csr,
    ) -> Result<Registered, Refusal> {
        who.require(Permission::View)?;
        let certificate = authority.issue(who.name(), csr, self.now_ms())?;
        let (own, shown) = (who.clone(), *shown);
        self.change_by(who, move |change| {
            Box::pin(async move {
                let held = held(change, &own, &shown).await?;
                let info = CertificateInfo::parse(&certificate)?;
                let key = info.key.fingerprint();
                if let Some(known) = change.known_key(&key).await? {
                    let seen = format!("it is known as {}; make a new one", known.role);
                    return Err(Refusal::new(Reason::KeyAlreadyKnown, seen));
                }
                end_others(change, &held, |other| other.added_ms > held.added_ms).await?;
                change.note_keys(&[(key, "operator".to_owned())]).await?;
                let row = OperatorRow {
                    fingerprint: info.fingerprint,
                    key_digest: key,
                    // The newest is told by its time.
                    added_ms: change.now_ms.max(held.added_ms + 1),
                    removed_ms: None,
                    not_after_ms: Some(seconds_to_ms(info.not_after)),
                    ..held
                };
                change.insert_operator(&row).await?;
                let (old, new) = (hex(&shown), hex(&row.fingerprint));
                let details = [("role", &*row.role), ("certificate", &*new), ("by", &*old)];
                change.log("operator-renewed", &subject(&row.name), &details).await?;
                Ok(Registered {
                    name: row.name,
                    role: own.role(),
                    fingerprint: row.fingerprint,
                    not_after_ms: seconds_to_ms(info.not_after),
                    certificate,
                })
            })
        })
        .await
    }

    /// Ends the certificates that an operator had before the one that is shown, and the
    /// connections with them. How many ended.
    ///
    /// # Errors
    /// As for the certificate that is shown.
    pub async fn settle_operator(&self, who: &Operator, shown: &[u8; 32]) -> Result<u32, Refusal> {
        who.require(Permission::View)?;
        let (own, shown) = (who.clone(), *shown);
        self.change_by(who, move |change| {
            Box::pin(async move {
                let held = held(change, &own, &shown).await?;
                end_others(change, &held, |other| other.added_ms < held.added_ms).await
            })
        })
        .await
    }
}

/// The entry of the certificate that is shown, which has to be in force inside the writer too.
async fn held(
    change: &mut Change<'_>,
    who: &Operator,
    shown: &[u8; 32],
) -> Result<OperatorRow, Refusal> {
    let row = change.operator(shown).await?.ok_or(Reason::UnknownCertificate)?;
    if row.removed_ms.is_some() || row.name != who.name() {
        return Err(Refusal::new(Reason::CertificateRevoked, row.name));
    }
    if row.not_after_ms.is_some_and(|end| end <= change.now_ms) {
        return Err(Refusal::new(Reason::CertificateExpired, row.name));
    }
    Ok(row)
}

/// Ends those of a person's certificates that are chosen.
async fn end_others(
    change: &mut Change<'_>,
    held: &OperatorRow,
    chosen: impl Fn(&OperatorRow) -> bool,
) -> Result<u32, Refusal> {
    let now_ms = change.now_ms;
    let mut ended = 0;
    for other in change.operators().await? {
        let theirs = other.name == held.name && other.fingerprint != held.fingerprint;
        if !theirs || other.removed_ms.is_some() || !chosen(&other) {
            continue;
        }
        if change.remove_operator(&other.fingerprint, now_ms).await? {
            change.close_connections_of_operator(other.fingerprint);
            let fingerprint = hex(&other.fingerprint);
            let details = [("certificate", &*fingerprint), ("reason", "superseded")];
            change.log("operator-certificate-ended", &subject(&held.name), &details).await?;
            ended += 1;
        }
    }
    Ok(ended)
}

fn subject(name: &str) -> String {
    format!("operator/{name}")
}
