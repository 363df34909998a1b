//! Operational certificates: first enrolment, re-entry, renewal.
//!
//! A request is judged twice: before the certificate is signed, so that nothing is signed in vain,
//! and inside the writer, where nothing can change meanwhile. The claim of a device in stock is
//! judged inside the writer only, for there it is hardly ever refused. A certificate that does not
//! make it into the registry is never handed out.

use ringfort_cose::Reason;
use ringfort_lifecycle::{
    Actor, Approvals, Proof, Proofs, Request, Right, State, judge as judge_move,
};
use ringfort_pki::{Csr, Issued, Ldevid, NamesAllowed};
use ringfort_store::{EnrolmentRow, NewCertificate, Read, Want};
use ringfort_trust::ids::DeviceId;

use crate::commands::{told_to_wipe, wiped};
use crate::developer::ldevid_days;
use crate::factory::seconds_to_ms;
use crate::fleet::{Change, LDEVID};
use crate::session::HOLD;
use crate::{CertificateKind, DeviceSession, Fleet, Refusal};

/// What an EST client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The LDevID certificate, DER.
    pub certificate: Vec<u8>,
    /// The certificates above it, without the root, DER.
    pub chain: Vec<Vec<u8>>,
}

impl Fleet {
    /// Enrols a device by its IDevID: the claim of a device in stock, or the re-entry of one whose
    /// operational certificate is gone. The same request again gets the same certificate.
    ///
    /// # Errors
    /// `wrong-certificate-kind`, `lifecycle-forbids`, `csr-names-another`, `key-already-known`;
    /// `clone-suspected` when an operational certificate was still alive: the device is suspended
    /// and an alarm raised; `approval-required` while the re-entry waits for people;
    /// `hub-restored` while a restored hub waits for an administrator.
    pub async fn enrol(&self, session: &DeviceSession, csr: &Csr) -> Result<Enrolled, Refusal> {
        let right = match session.state {
            State::Provisioned => Right::Enrol,
            _ => Right::ReEnter,
        };
        session.require(right)?;
        self.obtain(session, csr).await
    }

    /// Renews the operational certificate, with a new key or the one it has. The old one serves
    /// until the new one is used.
    ///
    /// # Errors
    /// `wrong-certificate-kind`, `lifecycle-forbids`, `csr-names-another`, `key-already-known`;
    /// `certificate-revoked` when it was revoked meanwhile; `too-many-requests` for very many in a
    /// day.
    pub async fn reenrol(&self, session: &DeviceSession, csr: &Csr) -> Result<Enrolled, Refusal> {
        session.require(Right::Renew)?;
        self.obtain(session, csr).await
    }

    async fn obtain(&self, session: &DeviceSession, csr: &Csr) -> Result<Enrolled, Refusal> {
        self.require_acknowledged()?;
        let names = [session.device.as_str()];
        let ueid = session.ueid;
        csr.check_names(NamesAllowed {
            texts: &names,
            hardware_serial: Some(&ueid.as_bytes()[..]),
        })?;
        let request = Enrolment { session: session.clone(), key: csr.key().fingerprint() };
        let verdict = match (session.kind, session.state) {
            (CertificateKind::IDevId, State::Provisioned) => Verdict::Issue,
            _ => request.judge(&mut self.read().await?, self.now_ms()).await?.0,
        };
        let issued = match verdict {
            Verdict::Present(certificate) => return Ok(self.enrolled(certificate)),
            Verdict::Issue => Some(self.inner.device_ca.issue_ldevid(
                csr.key(),
                &Ldevid {
                    device_id: session.device.as_str(),
                    hardware: Some((session.class.0, &ueid.as_bytes()[..])),
                    lifetime_days: ldevid_days(session, self.inner.policy.ldevid_days),
                },
                self.now_ms().unsigned_abs() / 1000,
            )?),
            Verdict::Clone | Verdict::Wait => None,
        };
        let want = Want::Enrolment {
            device: session.device.as_str().to_owned(),
            kind: LDEVID,
            key_digest: request.key,
        };
        let outcome = self
            .change_wanting(want, "device", move |change| {
                Box::pin(async move { request.settle(change, issued).await })
            })
            .await?;
        match outcome {
            Settled::Certificate(certificate) => Ok(self.enrolled(certificate)),
            Settled::Clone => Err(Refusal::new(
                Reason::CloneSuspected,
                "an operational certificate of this device was still alive",
            )),
            Settled::Wait => Err(Refusal::new(
                Reason::ApprovalRequired,
                "the device may enrol again when people have approved",
            )),
        }
    }

    fn enrolled(&self, certificate: Vec<u8>) -> Enrolled {
        Enrolled { certificate, chain: vec![self.inner.device_ca.certificate_der().to_vec()] }
    }
}

struct Enrolment {
    session: DeviceSession,
    /// SHA-256 of the key that asks.
    key: [u8; 32],
}

/// What the registry says to an enrolment.
enum Verdict {
    /// It was granted before: here is the certificate.
    Present(Vec<u8>),
    /// Grant it.
    Issue,
    /// An earlier certificate is alive: alarm.
    Clone,
    /// It is heard, and waits for people.
    Wait,
}

/// What became of it.
enum Settled {
    Certificate(Vec<u8>),
    Clone,
    Wait,
}

impl Enrolment {
    async fn judge(
        &self,
        registry: &mut Read,
        now_ms: i64,
    ) -> Result<(Verdict, EnrolmentRow), Refusal> {
        let id = self.session.device.as_str();
        let row = registry.enrolment(id, LDEVID, &self.key).await?;
        let row = row.ok_or(Reason::UnknownCertificate)?;
        let verdict = self.judge_row(registry, &row, now_ms).await?;
        Ok((verdict, row))
    }

    async fn judge_row(
        &self,
        registry: &mut Read,
        row: &EnrolmentRow,
        now_ms: i64,
    ) -> Result<Verdict, Refusal> {
        let id = self.session.device.as_str();
        let state = State::from_name(&row.state)?;
        let own = match (&row.key_role, &row.key_device) {
            (None, _) => false,
            (Some(role), Some(device)) if device == id && role == LDEVID => true,
            (Some(role), device) => {
                return Err(Refusal::new(
                    Reason::KeyAlreadyKnown,
                    match device {
                        Some(device) => format!("seen at {device} as {role}"),
                        None => format!("seen as {role}"),
                    },
                ));
            }
        };
        let earlier = match own {
            true => registry.certificate_for_key(id, LDEVID, &self.key).await?,
            false => None,
        };
        if let Some(earlier) = &earlier {
            match earlier.revoked_reason.as_deref() {
                None | Some(HOLD) => {}
                Some(reason) => {
                    return Err(Refusal::new(
                        Reason::KeyAlreadyKnown,
                        format!("its certificate was revoked ({reason}); make a new key"),
                    ));
                }
            }
        }
        let alive =
            earlier.filter(|earlier| earlier.revoked_ms.is_none() && earlier.not_after_ms > now_ms);
        match (self.session.kind, state) {
            (CertificateKind::LDevId, state) if state.may(Right::Renew) => {
                let fresh = alive
                    .filter(|earlier| !is_due(earlier.not_before_ms, earlier.not_after_ms, now_ms));
                Ok(fresh.map_or(Verdict::Issue, |earlier| Verdict::Present(earlier.der)))
            }
            (CertificateKind::IDevId, State::Provisioned) => Ok(Verdict::Issue),
            (CertificateKind::IDevId, State::Deployed) => {
                let others = registry.live_certificates(id, LDEVID, now_ms).await?;
                Ok(match (alive, others) {
                    // It holds the very key: it has lost no more than the certificate.
                    (Some(earlier), _) => Verdict::Present(earlier.der),
                    (None, 0) => Verdict::Issue,
                    // It was told to destroy the key of that certificate.
                    (None, _) if row.commanded && told_to_wipe(registry, id).await?.is_some() => {
                        Verdict::Issue
                    }
                    (None, _) => Verdict::Clone,
                })
            }
            (CertificateKind::IDevId, state) if state.may(Right::ReEnter) => Ok(Verdict::Wait),
            (_, state) => Err(Refusal::new(Reason::LifecycleForbids, format!("{id} is {state}"))),
        }
    }

    async fn settle(
        self,
        change: &mut Change<'_>,
        issued: Option<Issued>,
    ) -> Result<Settled, Refusal> {
        let now_ms = change.now_ms;
        let id = self.session.device.as_str();
        if self.session.kind == CertificateKind::LDevId {
            // What asks may itself have ended since the request began.
            change.still(self.session.clone()).await?.require(Right::Renew)?;
        }
        let (verdict, row) = self.judge(change, now_ms).await?;
        match (verdict, issued) {
            (Verdict::Present(certificate), _) => Ok(Settled::Certificate(certificate)),
            (Verdict::Issue, Some(issued)) => self.enter(change, issued, &row).await,
            // What was judged has changed in between: let the device ask again.
            (Verdict::Issue, None) => Ok(Settled::Wait),
            (Verdict::Clone, _) => {
                change.set_pending_key(id, Some(&self.key)).await?;
                // People see which key they let in.
                change.log("re-entry-asked", id, &[("key", &hex(&self.key))]).await?;
                suspend_as_clone(change, &self.session, "re-entry while a certificate is alive")
                    .await?;
                Ok(Settled::Clone)
            }
            (Verdict::Wait, _) => {
                if let Some(command) = told_to_wipe(change, id).await? {
                    wiped(change, &self.session.device, &command).await?;
                }
                let row = change.device(id).await?.ok_or(Reason::UnknownCertificate)?;
                if row.pending_key.as_deref() != Some(&self.key[..]) {
                    change.set_pending_key(id, Some(&self.key)).await?;
                    change.log("re-entry-asked", id, &[("key", &hex(&self.key))]).await?;
                }
                match row.alarm.as_deref() == Some(Reason::CloneSuspected.code()) {
                    true => Ok(Settled::Clone),
                    false => Ok(Settled::Wait),
                }
            }
        }
    }

    async fn enter(
        self,
        change: &mut Change<'_>,
        issued: Issued,
        row: &EnrolmentRow,
    ) -> Result<Settled, Refusal> {
        let now_ms = change.now_ms;
        let device = self.session.device;
        let id = device.as_str();
        let by = self.session.kind;
        // What is not there needs no statement: a first enrolment takes few.
        if by == CertificateKind::IDevId {
            if row.commanded
                && let Some(command) = told_to_wipe(change, id).await?
            {
                wiped(change, &device, &command).await?;
            }
            if row.standing > 0 {
                change.revoke_certificates(id, LDEVID, None, now_ms, "superseded").await?;
            }
            if row.linked {
                // A new beginning: the next check-in starts a new chain of links.
                let mut contact = change.contact(id).await?.unwrap_or_default();
                contact.link_current = None;
                contact.link_previous = None;
                change.put_contact(id, &contact);
            }
            if row.pending {
                change.set_pending_key(id, None).await?;
            }
        } else {
            let issued = change.certificates_since(id, LDEVID, now_ms - A_DAY_MS).await?;
            if issued >= RENEWALS_A_DAY {
                return Err(Refusal::new(
                    Reason::TooManyRequests,
                    format!("{issued} operational certificates within a day"),
                ));
            }
            if row.standing > 1 {
                // One that was issued and never used was lost on the way.
                let own = &self.session.fingerprint;
                change.revoke_unused_certificates(id, LDEVID, own, now_ms).await?;
            }
        }
        if row.key_role.is_none() {
            change.insert_known_key(&self.key, Some(id), LDEVID, now_ms);
        }
        change.insert_certificate(NewCertificate {
            fingerprint: issued.fingerprint,
            device: id.to_owned(),
            kind: LDEVID,
            serial: issued.serial.as_bytes().to_vec(),
            key_digest: self.key,
            not_before_ms: seconds_to_ms(issued.not_before),
            not_after_ms: seconds_to_ms(issued.not_after),
            der: issued.der.clone(),
            issued_ms: now_ms,
        });
        let (fingerprint, key) = (hex(&issued.fingerprint), hex(&self.key));
        let details = [("certificate", &*fingerprint), ("key", &*key), ("by", by.name())];
        change.log("certificate-issued", id, &details).await?;
        change.touch(&device);
        if State::from_name(&row.state)? == State::Provisioned {
            let request = Request {
                actor: Actor::Device,
                approvals: Approvals { given: 0, required: 1 },
                proofs: Proofs::of(&[Proof::OnOwnersList, Proof::Possession]),
            };
            let made = judge_move(State::Provisioned, State::Deployed, &request)?;
            change.apply_move(&device, &made, None, "first enrolment").await?;
            if row.alarm.is_some() {
                suspend_if_stated(change, &device).await?;
            }
            if row.deployable {
                change.join_deployment(&device, &self.session.class).await?;
            }
        }
        Ok(Settled::Certificate(issued.der))
    }
}

/// Raises the clone alarm and suspends the device, and so every holder of its identity.
pub(crate) async fn suspend_as_clone(
    change: &mut Change<'_>,
    session: &DeviceSession,
    note: &str,
) -> Result<(), Refusal> {
    let (id, now_ms) = (session.device.as_str(), change.now_ms);
    let row = change.device(id).await?.ok_or(Reason::UnknownCertificate)?;
    let code = Reason::CloneSuspected.code();
    if row.alarm.as_deref() != Some(code) {
        change.set_device_alarm(id, Some(code), now_ms).await?;
        change.log("alarm-raised", id, &[("alarm", code), ("note", note)]).await?;
    }
    let request = Request {
        actor: Actor::Hub,
        approvals: Approvals { given: 0, required: 1 },
        proofs: Proofs::NONE,
    };
    match judge_move(State::from_name(&row.state)?, State::Suspended, &request) {
        Ok(made) => {
            let reason = Some(Reason::CloneSuspected);
            change.apply_move(&session.device, &made, reason, note).await
        }
        // It is suspended, or worse, already.
        Err(_) => Ok(()),
    }
}

/// A device that people stated to be suspended before it came: it is suspended from the start.
async fn suspend_if_stated(change: &mut Change<'_>, device: &DeviceId) -> Result<(), Refusal> {
    let row = change.device(device.as_str()).await?.ok_or(Reason::UnknownCertificate)?;
    if row.alarm.as_deref() != Some(Reason::ApprovalRequired.code()) {
        return Ok(());
    }
    let request = Request {
        actor: Actor::Hub,
        approvals: Approvals { given: 0, required: 1 },
        proofs: Proofs::NONE,
    };
    let made = judge_move(State::Deployed, State::Suspended, &request)?;
    let reason = Some(Reason::ApprovalRequired);
    change.apply_move(device, &made, reason, "people stated so before it came").await
}

/// Every certificate stays in the registry, and a revoked one in the CRLs: one device may not fill
/// them. Keys that were lost on the way are far fewer, and old ones are renewed once in months.
const RENEWALS_A_DAY: i64 = 24;
const A_DAY_MS: i64 = 24 * 3600 * 1000;

/// From two thirds of its life on a certificate may be renewed for the key it has.
fn is_due(not_before_ms: i64, not_after_ms: i64, now_ms: i64) -> bool {
    let life = not_after_ms.saturating_sub(not_before_ms);
    now_ms >= not_before_ms.saturating_add(life / 3 * 2)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}
