//! Looking at devices, and moving them through their lifecycle.

use ringfort_cose::Reason;
use ringfort_lifecycle::{Actor, Proof, Proofs, Request, State, judge};
use ringfort_store::{CertificateRow, Contact, DeviceFilter, DeviceRow, Read};
use ringfort_trust::CommandAction;
use ringfort_trust::ids::{AnchorsVersion, ClassId, DeviceId, SequenceNumber, Ueid, VendorId};

use crate::audit::Entry;
use crate::commands::{check_note, was_wiped_since};
use crate::fleet::{Change, IDEVID, LDEVID};
use crate::{
    CertificateKind, CertificateView, CommandView, DeviceDetails, DeviceQuery, DeviceView, Fleet,
    FleetStatus, Moved, Operator, PAGE_MAX, Permission, Refusal, RunningView, TargetView, Wish,
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
        let commands = read.commands_of_device(id.as_str(), i64::from(PAGE_MAX)).await?;
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
            commands: commands
                .into_iter()
                .map(CommandView::from_row)
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
    /// # Errors
    /// As [`Fleet::move_device_with`].
    pub async fn move_device(
        &self,
        who: &Operator,
        id: &DeviceId,
        to: State,
        note: &str,
    ) -> Result<Moved, Refusal> {
        self.move_device_with(who, id, &Wish { to, note, command: None, owner: None }).await
    }

    /// The same with what else goes with a move.
    ///
    /// What the rules ask to be proven is taken from what the hub has seen itself: possession, when
    /// the device spoke under mutual TLS since it is in its state; new operational keys, when it
    /// asked for a certificate for one; wiped keys, when it carried out a command since.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`, `illegal-move`, `proof-missing`; `malformed` for a note beyond
    /// 256 bytes or an owner where there is none to name; those of [`Fleet::give_command`];
    /// `unsupported` for a command that does not go with the move.
    pub async fn move_device_with(
        &self,
        who: &Operator,
        id: &DeviceId,
        wish: &Wish<'_>,
    ) -> Result<Moved, Refusal> {
        who.require(Permission::MoveDevices)?;
        check_note(wish.note)?;
        let to = wish.to;
        let owner = owner_of(wish)?;
        let command = wish.command.map(|document| self.check_command(id, document)).transpose()?;
        let fits = command.as_ref().is_none_or(|command| {
            matches!(
                (to, command.action),
                (State::Transfer, CommandAction::WipeOperational)
                    | (State::Retired, CommandAction::Decommission)
            )
        });
        if !fits {
            let detail = format!("no command of this kind goes with a move to {to}");
            return Err(Refusal::new(Reason::Unsupported, detail));
        }
        let (who, device, note) = (who.clone(), *id, wish.note.to_owned());
        let mut policy = self.inner.policy.clone();
        let person = who.clone();
        self.change_by(&person, move |change| {
            Box::pin(async move {
                let id = device.as_str();
                let row = find(change, &device).await?;
                let from = State::from_name(&row.state)?;
                let proofs = proofs_of(change, &row).await?;
                let mut action = format!("move {from} {to}");
                if let Some(command) = &command {
                    command.check_against(change, from).await?;
                    action = format!("{action} {}", ringfort_cose::Sha256Digest(command.digest));
                }
                if to == State::Retired {
                    policy.approvals = change.people_to_retire(policy.approvals).await?;
                }
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
                // A device that is to be retired by its own hand has to be heard until then.
                if to != State::Retired || command.is_none() {
                    change.apply_move(&device, &made, None, &note).await?;
                }
                if let Some(command) = command {
                    command.keep(change, approvals.given, who.name(), &note).await?;
                }
                match to {
                    State::Deployed => back_in_the_field(change, &device, &row).await?,
                    State::Provisioned => hand_over(change, &device, &row, owner).await?,
                    _ => {}
                }
                let row = find(change, &device).await?;
                Ok(Moved::Done(view(change, row).await?))
            })
        })
        .await
    }
}

/// The owner that a wish names, where there is one to name.
fn owner_of(wish: &Wish<'_>) -> Result<Option<String>, Refusal> {
    let Some(owner) = wish.owner else { return Ok(None) };
    let long = owner.is_empty() || owner.len() > 64;
    if wish.to != State::Provisioned || long || owner.chars().any(char::is_control) {
        return Err(Refusal::new(
            Reason::Malformed,
            "an owner has 1 to 64 bytes and is named with the move to provisioned",
        ));
    }
    Ok(Some(owner.to_owned()))
}

/// What goes with a device's being handed over: nothing of the old owner's is left with it.
async fn hand_over(
    change: &mut Change<'_>,
    device: &DeviceId,
    row: &DeviceRow,
    owner: Option<String>,
) -> Result<(), Refusal> {
    let id = device.as_str();
    if row.pending_key.is_some() {
        // It asks again; then it is a first enrolment.
        change.set_pending_key(id, None).await?;
    }
    if let Some(owner) = owner {
        change.set_device_owner(id, &owner).await?;
        change.log("device-handed-over", id, &[("owner", &owner)]).await?;
    }
    let mut contact = change.contact(id).await?.unwrap_or_default();
    contact.link_current = None;
    contact.link_previous = None;
    change.put_contact(id, &contact);
    Ok(())
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
    change.put_contact(id, &contact);
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
    if change.live_certificates(&row.device, LDEVID, now_ms).await? == 0
        && was_wiped_since(change, &row.device, row.state_since_ms).await?
    {
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
        grade: row.grade,
        owner: row.owner,
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
