//! Looking at devices, and moving them through their lifecycle.

use ringfort_cose::Reason;
use ringfort_lifecycle::{Actor, Proof, Proofs, Request, State, judge};
use ringfort_store::{CertificateRow, Contact, DeviceFilter, DeviceRow, Read};
use ringfort_trust::ids::{AnchorsVersion, ClassId, DeviceId, SequenceNumber, Ueid, VendorId};

use crate::audit::Entry;
use crate::fleet::{Change, IDEVID, LDEVID};
use crate::{
    CertificateKind, CertificateView, DeviceDetails, DeviceQuery, DeviceView, Fleet, FleetStatus,
    Moved, Operator, PAGE_MAX, Permission, Refusal, RunningView, TargetView,
};

impl Fleet {
    /// The fleet at a glance.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn status(&self, who: &Operator) -> Result<FleetStatus, Refusal> {
        who.require(Permission::View)?;
        let mut read = self.read().await?;
        let devices = read
            .device_counts()
            .await?
            .into_iter()
            .map(|count| Ok((State::from_name(&count.state)?, count.devices.unsigned_abs())))
            .collect::<Result<_, Refusal>>()?;
        Ok(FleetStatus {
            devices,
            alarmed: read.alarmed_devices().await?.unsigned_abs(),
            shared_keys: read.shared_keys().await?.unsigned_abs(),
            anchors_version: self.anchors_version().unwrap_or_default(),
            audit_size: read.audit_frontier().await?.size(),
            restored: self.restored(),
        })
    }

    /// Devices by id.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn devices(
        &self,
        who: &Operator,
        query: &DeviceQuery,
    ) -> Result<Vec<DeviceView>, Refusal> {
        who.require(Permission::View)?;
        let filter = DeviceFilter {
            state: query.state.map(|state| state.name().to_owned()),
            class: query.class.map(|class| class.0),
            site: query.site.clone(),
            alarmed: query.alarmed,
            after: query.after.map(|device| device.as_str().to_owned()),
        };
        let mut read = self.read().await?;
        let rows = read.devices(&filter, page(query.limit)).await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            views.push(view(&mut read, row).await?);
        }
        Ok(views)
    }

    /// A device with everything about it.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`.
    pub async fn device(&self, who: &Operator, id: &DeviceId) -> Result<DeviceDetails, Refusal> {
        who.require(Permission::View)?;
        let mut read = self.read().await?;
        let row = find(&mut read, id).await?;
        let mut certificates = read.certificates_of(id.as_str(), IDEVID).await?;
        certificates.extend(read.certificates_of(id.as_str(), LDEVID).await?);
        let running = read.running(id.as_str()).await?;
        let updates = read.targets_of_device(id.as_str(), i64::from(PAGE_MAX)).await?;
        Ok(DeviceDetails {
            device: view(&mut read, row).await?,
            running: running
                .into_iter()
                .map(|row| RunningView {
                    class: ClassId(row.class),
                    sequence: SequenceNumber(row.sequence.unsigned_abs()),
                    manifest: row.manifest.map(ringfort_cose::Sha256Digest),
                    version: row.version,
                    floor: SequenceNumber(row.floor.unsigned_abs()),
                    since_ms: row.since_ms,
                })
                .collect(),
            certificates: certificates
                .into_iter()
                .map(certificate_view)
                .collect::<Result<_, Refusal>>()?,
            updates: updates
                .into_iter()
                .map(TargetView::from_row)
                .collect::<Result<_, Refusal>>()?,
        })
    }

    /// The newest entries of the audit log about a device, oldest first.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`.
    pub async fn history(
        &self,
        who: &Operator,
        id: &DeviceId,
        limit: u32,
    ) -> Result<Vec<Entry>, Refusal> {
        who.require(Permission::View)?;
        let mut read = self.read().await?;
        find(&mut read, id).await?;
        let rows = read.audit_entries_about(id.as_str(), page(limit)).await?;
        rows.iter().map(|row| Ok(Entry::decode(&row.entry)?)).collect()
    }

    /// Moves a device to another lifecycle state, or notes that this person agrees to it.
    ///
    /// What the rules ask to be proven is taken from what the hub has seen itself: possession, when
    /// the device spoke under mutual TLS since it is in its state; new operational keys, when it
    /// asked for a certificate for one.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`, `illegal-move`, `proof-missing`; `malformed` for a note beyond
    /// 256 bytes.
    pub async fn move_device(
        &self,
        who: &Operator,
        id: &DeviceId,
        to: State,
        note: &str,
    ) -> Result<Moved, Refusal> {
        who.require(Permission::MoveDevices)?;
        if note.len() > 256 {
            return Err(Refusal::new(Reason::Malformed, "a note has at most 256 bytes"));
        }
        let (who, device, note) = (who.clone(), *id, note.to_owned());
        let policy = self.inner.policy.clone();
        let name = who.name().to_owned();
        self.change(&name, move |change| {
            Box::pin(async move {
                let id = device.as_str();
                let row = find(change, &device).await?;
                let from = State::from_name(&row.state)?;
                let proofs = proofs_of(change, &row).await?;
                let action = format!("move {from} {to}");
                let approvals = change.approve(id, &action, &who, &policy).await?;
                let request = Request { actor: Actor::Operator, approvals, proofs };
                let made = match judge(from, to, &request) {
                    Ok(made) => made,
                    Err(Reason::ApprovalRequired) => {
                        change.log("move-approved", id, &[("to", to.name())]).await?;
                        return Ok(Moved::Waiting {
                            given: approvals.given,
                            required: approvals.required,
                        });
                    }
                    Err(reason) => {
                        return Err(Refusal::new(reason, format!("{id} from {from} to {to}")));
                    }
                };
                change.clear_approvals(id).await?;
                change.apply_move(&device, &made, None, &note).await?;
                if to == State::Deployed {
                    back_in_the_field(change, &device, &row).await?;
                }
                let row = find(change, &device).await?;
                Ok(Moved::Done(view(change, row).await?))
            })
        })
        .await
    }
}

/// What goes with an approved return: the alarm is settled, the chain of links begins again, and
/// where the device asked to enrol again it now may.
async fn back_in_the_field(
    change: &mut Change<'_>,
    device: &DeviceId,
    row: &DeviceRow,
) -> Result<(), Refusal> {
    let (id, now_ms) = (device.as_str(), change.now_ms);
    if let Some(alarm) = &row.alarm {
        change.set_device_alarm(id, None, now_ms).await?;
        change.log("alarm-settled", id, &[("alarm", alarm)]).await?;
    }
    if row.pending_key.is_some() {
        change.revoke_certificates(id, LDEVID, None, now_ms, "keyCompromise").await?;
        change.set_pending_key(id, None).await?;
        change.touch(device);
    }
    let mut contact = change.contact(id).await?.unwrap_or_default();
    contact.link_current = None;
    contact.link_previous = None;
    change.put_contact(id, &contact).await?;
    change.join_deployment(device, &ClassId(row.class)).await
}

async fn proofs_of(change: &mut Change<'_>, row: &DeviceRow) -> Result<Proofs, Refusal> {
    let contact = change.contact(&row.device).await?.unwrap_or_default();
    let mut proofs = Proofs::NONE;
    if row.pending_key.is_some() {
        proofs = proofs.with(Proof::Possession).with(Proof::NewOperationalKeys);
    }
    if contact.last_seen_ms > 0 && contact.last_seen_ms >= row.state_since_ms {
        proofs = proofs.with(Proof::Possession);
    }
    let now_ms = change.now_ms;
    if change.live_certificates(&row.device, LDEVID, now_ms).await? == 0 {
        // The hub refuses keys of revoked certificates for ever, so to it they are wiped.
        proofs = proofs.with(Proof::OperationalKeysWiped);
    }
    Ok(proofs)
}

async fn find(read: &mut Read, id: &DeviceId) -> Result<DeviceRow, Refusal> {
    let row = read.device(id.as_str()).await?;
    row.ok_or_else(|| Refusal::new(Reason::NotFound, format!("no device is called {id}")))
}

async fn view(read: &mut Read, row: DeviceRow) -> Result<DeviceView, Refusal> {
    let contact: Contact = read.contact(&row.device).await?.unwrap_or_default();
    Ok(DeviceView {
        id: DeviceId::new(&row.device)?,
        ueid: Ueid::from_bytes(&row.ueid)?,
        site: row.site,
        vendor: VendorId(row.vendor),
        class: ClassId(row.class),
        protection: row.protection,
        state: State::from_name(&row.state)?,
        state_since_ms: row.state_since_ms,
        state_reason: row.reason,
        alarm: row.alarm,
        added_ms: row.added_ms,
        last_seen_ms: (contact.last_seen_ms > 0).then_some(contact.last_seen_ms),
        agent_version: contact.agent_version,
        anchors_version: AnchorsVersion(contact.anchors_version.unsigned_abs()),
    })
}

fn certificate_view(row: CertificateRow) -> Result<CertificateView, Refusal> {
    let kind = CertificateKind::from_name(&row.kind);
    Ok(CertificateView {
        fingerprint: row.fingerprint,
        key_fingerprint: row.key_digest,
        kind: kind.ok_or_else(|| Refusal::internal("a kind of certificate", row.kind))?,
        not_before_ms: row.not_before_ms,
        not_after_ms: row.not_after_ms,
        first_used_ms: row.first_used_ms,
        revoked_ms: row.revoked_ms,
        revoked_reason: row.revoked_reason,
    })
}

pub(crate) fn page(limit: u32) -> i64 {
    i64::from(limit.clamp(1, PAGE_MAX))
}
