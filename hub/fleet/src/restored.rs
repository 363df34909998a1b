//! A hub that was restored from a backup.
//!
//! It does not know what happened after the backup: which orders were given, which certificates
//! issued, which devices retired. So it gives no order and issues no certificate until an
//! administrator has looked and acknowledges. From then on, once per device, it adopts what only
//! the lost hub can have made: a link whose MAC verifies and whose counter is higher, and an
//! operational certificate of its own Device CA that is newer than the backup.

use std::sync::PoisonError;

use ringfort_cose::Reason;
use ringfort_lifecycle::{Actor, Approvals, Proof, Proofs, Request, State, judge};
use ringfort_pki::CertificateInfo;
use ringfort_store::{Frontier, NewCertificate, Read, Store, leaf_hash};
use ringfort_trust::ids::DeviceId;

use crate::enrol::hex;
use crate::evidence::CRL_NUMBER;
use crate::factory::seconds_to_ms;
use crate::fleet::{Access, Change, LDEVID};
use crate::session::HOLD;
use crate::{
    Agreed, CertificateKind, ClientCertificate, Fleet, Operator, PAGE_MAX, Permission, Refusal,
};

/// What a hub knows about its being restored. Times are Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was made.
    pub backup_ms: i64,
    /// When it was restored; later than everything in the backup, whatever the clock says.
    pub restored_ms: i64,
    /// When an administrator acknowledged it; absent while the hub waits for that.
    pub acknowledged_ms: Option<i64>,
    /// New order numbers lie above this one.
    pub(crate) order_floor: i64,
}

impl Restored {
    /// Name of the row in the store's `meta` that holds it.
    pub const META: &str = "restored";

    /// Marks a store that was just put back: for the program that does so, before any hub runs on
    /// it. The audit log notes the break; order and CRL numbers jump ahead.
    ///
    /// # Errors
    /// `storage-failed` when the audit log does not fit its head; what the store says.
    pub async fn mark(store: &Store, backup_ms: i64, now_ms: i64) -> Result<Restored, Refusal> {
        store
            .write(move |write| {
                Box::pin(async move {
                    check_log(write).await?;
                    let newest_ms = write.newest_ms().await?;
                    let restored_ms = now_ms.max(backup_ms).max(newest_ms.saturating_add(1));
                    let highest = write.highest_order().await?.max(restored_ms);
                    let crl =
                        write.meta(CRL_NUMBER).await?.and_then(|number| number.try_into().ok());
                    let crl = crl.map_or(0, i64::from_be_bytes).max(restored_ms);
                    let crl = crl.saturating_add(JUMP).to_be_bytes();
                    write.put_meta(CRL_NUMBER, &crl).await?;
                    let restored = Restored {
                        backup_ms,
                        restored_ms,
                        acknowledged_ms: None,
                        order_floor: highest.saturating_add(JUMP),
                    };
                    write.put_meta(Restored::META, &restored.to_bytes()).await?;
                    let who = Operator::at_the_host("hub").name().to_owned();
                    let mut change = Change::new(write, restored_ms, who, Access::new());
                    let (backup, floor) = (backup_ms.to_string(), restored.order_floor.to_string());
                    let kept = change.audit_tree().size().to_string();
                    let details = [
                        ("backup-ms", &*backup),
                        ("entries-kept", &*kept),
                        ("order-floor", &*floor),
                    ];
                    change.log("hub-restored", "hub", &details).await?;
                    Ok(restored)
                })
            })
            .await
    }

    fn to_bytes(self) -> Vec<u8> {
        [self.backup_ms, self.restored_ms, self.acknowledged_ms.unwrap_or(0), self.order_floor]
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect()
    }

    /// Reads what the store holds under [`Restored::META`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Restored> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let [backup_ms, restored_ms, acknowledged_ms, order_floor] =
            <[[u8; 8]; 4]>::try_from(numbers).ok()?.map(i64::from_be_bytes);
        rest.is_empty().then_some(Restored {
            backup_ms,
            restored_ms,
            acknowledged_ms: (acknowledged_ms > 0).then_some(acknowledged_ms),
            order_floor,
        })
    }
}

impl Fleet {
    /// Whether, when and from when the hub was restored.
    pub fn restored(&self) -> Option<Restored> {
        *self.inner.restored.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// An administrator has seen that the hub was restored, and has brought back what the backup
    /// lacks: retirements and suspensions above all. From here on the hub serves as before, and
    /// deadlines go on from where they stood at the backup.
    ///
    /// It takes two administrators where two exist.
    ///
    /// # Errors
    /// `role-forbids`; `not-found` when the hub was not restored; `already-exists` when it was
    /// acknowledged before.
    pub async fn acknowledge_restore(&self, who: &Operator) -> Result<Agreed<Restored>, Refusal> {
        who.require(Permission::Administer)?;
        let (person, policy) = (who.clone(), self.inner.policy.clone());
        let acknowledged = self
            .change_by(who, move |change| {
                Box::pin(async move {
                    let mut restored =
                        read(change.meta(Restored::META).await?)?.ok_or_else(|| {
                            Refusal::new(Reason::NotFound, "the hub was not restored from a backup")
                        })?;
                    if restored.acknowledged_ms.is_some() {
                        return Err(Refusal::new(
                            Reason::AlreadyExists,
                            "the restore was acknowledged before",
                        ));
                    }
                    let agreed = change
                        .approve_as(Permission::Administer, "hub", ACKNOWLEDGE, &person, &policy)
                        .await?;
                    if agreed.given < agreed.required {
                        change.log("restore-approved", "hub", &[]).await?;
                        let (given, required) = (agreed.given, agreed.required);
                        return Ok(Agreed::Waiting { given, required });
                    }
                    change.clear_approvals("hub").await?;
                    let now_ms = change.now_ms.max(restored.restored_ms);
                    restored.acknowledged_ms = Some(now_ms);
                    change.put_meta(Restored::META, &restored.to_bytes()).await?;
                    change.put_off_deadlines(now_ms.saturating_sub(restored.backup_ms)).await?;
                    change.log("restore-acknowledged", "hub", &[]).await?;
                    Ok(Agreed::Done(restored))
                })
            })
            .await?;
        if let Agreed::Done(restored) = &acknowledged {
            self.keep_restored(Some(*restored));
        }
        Ok(acknowledged)
    }

    pub(crate) async fn load_restored(&self) -> Result<(), Refusal> {
        let restored = read(self.read().await?.meta(Restored::META).await?)?;
        if restored.is_some_and(|restored| restored.acknowledged_ms.is_none()) {
            tracing::warn!("the hub was restored from a backup and waits for an administrator");
        }
        self.keep_restored(restored);
        Ok(())
    }

    fn keep_restored(&self, restored: Option<Restored>) {
        *self.inner.restored.write().unwrap_or_else(PoisonError::into_inner) = restored;
    }

    /// Refuses while the hub waits for an administrator.
    pub(crate) fn require_acknowledged(&self) -> Result<(), Refusal> {
        match self.restored() {
            Some(Restored { acknowledged_ms: None, .. }) => Err(Reason::HubRestored.into()),
            _ => Ok(()),
        }
    }

    /// A certificate that the registry does not know. At a restored hub it may be one that the
    /// lost hub issued after the backup; then it is taken in, once per device.
    ///
    /// # Errors
    /// `unknown-certificate`; `hub-restored` while the hub waits for an administrator.
    pub(crate) async fn adopt_certificate(
        &self,
        certificate: &ClientCertificate<'_>,
    ) -> Result<(), Refusal> {
        let unknown = || Refusal::from(Reason::UnknownCertificate);
        let restored = self.restored().ok_or_else(unknown)?;
        if certificate.kind != CertificateKind::LDevId {
            return Err(unknown());
        }
        let info = CertificateInfo::parse(certificate.der)?;
        let issued_by_own =
            self.device_cas().any(|own| info.is_signed_by(certificate.der, own.info()));
        // The Device CA dates certificates back a little, for devices whose clock is behind.
        let not_before_ms = seconds_to_ms(info.not_before);
        if !issued_by_own || not_before_ms.saturating_add(BACKDATE_MS) < restored.backup_ms {
            return Err(unknown());
        }
        let device = info.serial_number.as_deref().and_then(|id| DeviceId::new(id).ok());
        let device = device.ok_or_else(unknown)?;
        self.require_acknowledged()?;
        let key = info.key.fingerprint();
        let new = NewCertificate {
            fingerprint: certificate.fingerprint,
            device: device.as_str().to_owned(),
            kind: LDEVID,
            serial: info.serial.as_bytes().to_vec(),
            key_digest: key,
            not_before_ms,
            not_after_ms: seconds_to_ms(info.not_after),
            der: certificate.der.to_vec(),
            issued_ms: 0,
        };
        self.change("device", move |change| {
            Box::pin(async move { adopt(change, &device, new, &restored).await })
        })
        .await
    }
}

/// The entries of the log have to make the tree that its head says.
async fn check_log(read: &mut Read) -> Result<(), Refusal> {
    let head = read.audit_frontier().await?;
    let mut found = Frontier::default();
    loop {
        let from = i64::try_from(found.size()).map_err(|_| Reason::TooLarge)?;
        let entries = read.audit_entries(from, i64::from(PAGE_MAX)).await?;
        if entries.is_empty() {
            break;
        }
        entries.iter().for_each(|row| found.push(leaf_hash(&row.entry)));
    }
    match found == head {
        true => Ok(()),
        false => Err(Refusal::new(
            Reason::StorageFailed,
            format!(
                "the audit log does not fit its head: {} entries, {} in the head",
                found.size(),
                head.size()
            ),
        )),
    }
}

async fn adopt(
    change: &mut Change<'_>,
    device: &DeviceId,
    mut new: NewCertificate,
    restored: &Restored,
) -> Result<(), Refusal> {
    let (id, now_ms) = (device.as_str(), change.now_ms);
    let unknown = |why: &str| Refusal::new(Reason::UnknownCertificate, why);
    let row = change.device(id).await?.ok_or_else(|| unknown("of a device that is not known"))?;
    let state = State::from_name(&row.state)?;
    if !matches!(state, State::Provisioned | State::Deployed | State::Suspended) {
        return Err(Refusal::new(Reason::LifecycleForbids, format!("{id} is {state}")));
    }
    let held = change.certificates_of(id, LDEVID).await?;
    if held.iter().any(|certificate| certificate.issued_ms >= restored.restored_ms) {
        return Err(unknown("the device has another one since the hub was restored"));
    }
    match change.known_key(&new.key_digest).await? {
        None => change.insert_known_key(&new.key_digest, Some(id), LDEVID, now_ms),
        Some(known) if known.device.as_deref() == Some(id) && known.role == LDEVID => {
            // A key that was dropped before the backup does not come back.
            let revoked = |reason: &str| reason != HOLD;
            if held.iter().any(|certificate| {
                certificate.key_digest == new.key_digest
                    && certificate.revoked_reason.as_deref().is_some_and(revoked)
            }) {
                return Err(unknown("its key was revoked before the backup"));
            }
        }
        Some(_) => return Err(Reason::KeyAlreadyKnown.into()),
    }
    new.issued_ms = now_ms.max(restored.restored_ms);
    let fingerprint = hex(&new.fingerprint);
    change.insert_certificate(new);
    change.log("certificate-adopted", id, &[("certificate", &*fingerprint)]).await?;
    match state {
        // It was claimed after the backup: this certificate is what a claim gives.
        State::Provisioned => {
            let request = Request {
                actor: Actor::Device,
                approvals: Approvals { given: 0, required: 1 },
                proofs: Proofs::of(&[Proof::OnOwnersList, Proof::Possession]),
            };
            let made = judge(State::Provisioned, State::Deployed, &request)?;
            change.apply_move(device, &made, None, "claimed before the hub was restored").await?;
        }
        State::Suspended => {
            change.revoke_certificates(id, LDEVID, None, now_ms, HOLD).await?;
        }
        _ => {}
    }
    change.touch(device);
    Ok(())
}

fn read(bytes: Option<Vec<u8>>) -> Result<Option<Restored>, Refusal> {
    let Some(bytes) = bytes else { return Ok(None) };
    match Restored::from_bytes(&bytes) {
        Some(restored) => Ok(Some(restored)),
        None => Err(Refusal::internal("what is noted about a restore cannot be read", "")),
    }
}

/// How far numbers that are times jump ahead: a day, more than clocks of servers differ.
const JUMP: i64 = 24 * 3600 * 1000;
/// By how much the Device CA dates certificates back, at most.
const BACKDATE_MS: i64 = 3600 * 1000;
/// What two administrators agree to.
const ACKNOWLEDGE: &str = "acknowledge the restore";
