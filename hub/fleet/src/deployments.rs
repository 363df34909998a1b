//! Deployments: offering a release to a device or a class, watching it, stopping it.

use std::time::Duration;

use ringfort_cose::{Reason, Sha256Digest};
use ringfort_lifecycle::{Right, State};
use ringfort_store::{DeploymentRow, NewDeployment as DeploymentToStore, Read};
use ringfort_trust::ids::{ClassId, DeviceId, SequenceNumber};
use uuid::Uuid;

use crate::fleet::{Change, Policy};
use crate::registry::page;
use crate::releases::without_dropped_signers;
use crate::targets::{digest_text, first_state, updatable_states};
use crate::{
    Created, Deadlines, DeploymentState, DeploymentView, Fleet, NewDeployment, Operator,
    Permission, Refusal, Target, TargetView, UpdateState, commands,
};

impl Fleet {
    /// Offers a release. Whatever was offered to the same devices before is superseded, except
    /// where a trial is under way: such a device joins when its trial has ended.
    ///
    /// A deployment to more than a tenth of the fleet takes as many people as the policy says; each
    /// asks for the same. So does one to a device when the release has been offered to that many
    /// one by one.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`; `wrong-device` when the device is of another class;
    /// `lifecycle-forbids` when it takes no updates; `threshold-not-met`, `release-revoked` when
    /// the newest anchors no longer stand behind the release; `malformed` for a deadline of nought
    /// or beyond ten years.
    pub async fn create_deployment(
        &self,
        who: &Operator,
        new: &NewDeployment,
    ) -> Result<Created, Refusal> {
        who.require(Permission::Deploy)?;
        let deadlines_ms = deadlines_to_ms(&new.deadlines)?;
        let release = self.read().await?.release(&new.manifest.0).await?;
        let release = release.ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("no release is called {}", new.manifest))
        })?;
        let anchors = self.newest_anchors()?;
        without_dropped_signers(release.envelope, &ClassId(release.class), &anchors.open()?)?;
        let wanted = Wanted {
            manifest: new.manifest.0,
            class: ClassId(release.class),
            target: new.target,
            deadlines_ms,
            who: who.clone(),
        };
        let policy = self.inner.policy.clone();
        let outcome = self
            .change_by(who, move |change| {
                Box::pin(async move { wanted.create(change, &policy).await })
            })
            .await?;
        match outcome {
            Ok(id) => Ok(Created::Done(self.deployment(who, &id).await?)),
            Err((given, required)) => Ok(Created::Waiting { given, required }),
        }
    }

    /// Deployments, newest first.
    ///
    /// # Errors
    /// `role-forbids`.
    pub async fn deployments(
        &self,
        who: &Operator,
        limit: u32,
    ) -> Result<Vec<DeploymentView>, Refusal> {
        who.require(Permission::View)?;
        let mut read = self.read().await?;
        let mut views = Vec::new();
        for row in read.deployments(page(limit)).await? {
            views.push(view(&mut read, row, self.now_ms()).await?);
        }
        Ok(views)
    }

    /// A deployment.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`.
    pub async fn deployment(&self, who: &Operator, id: &str) -> Result<DeploymentView, Refusal> {
        who.require(Permission::View)?;
        let mut read = self.read().await?;
        let row = find(&mut read, id).await?;
        view(&mut read, row, self.now_ms()).await
    }

    /// The devices of a deployment, by id, after `after`.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`.
    pub async fn targets(
        &self,
        who: &Operator,
        id: &str,
        after: Option<&DeviceId>,
        limit: u32,
    ) -> Result<Vec<TargetView>, Refusal> {
        who.require(Permission::View)?;
        let mut read = self.read().await?;
        find(&mut read, id).await?;
        let after = after.map_or("", |device| device.as_str());
        let rows = read.targets_of_deployment(id, after, page(limit)).await?;
        rows.into_iter().map(TargetView::from_row).collect()
    }

    /// Offers it to no device that has not begun; their deadlines stand still.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`; `illegal-move` unless it runs.
    pub async fn pause(&self, who: &Operator, id: &str) -> Result<DeploymentView, Refusal> {
        self.set_state(who, id, &[DeploymentState::Running], DeploymentState::Paused).await
    }

    /// Offers it again.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`; `illegal-move` unless it is paused or halted;
    /// `threshold-not-met`, `release-revoked` when the newest anchors no longer stand behind it.
    pub async fn resume(&self, who: &Operator, id: &str) -> Result<DeploymentView, Refusal> {
        who.require(Permission::Deploy)?;
        let mut read = self.read().await?;
        let row = find(&mut read, id).await?;
        let release = read.release(&row.manifest).await?.ok_or(Reason::NotFound)?;
        drop(read);
        let anchors = self.newest_anchors()?;
        without_dropped_signers(release.envelope, &ClassId(release.class), &anchors.open()?)?;
        const FROM: &[DeploymentState] = &[DeploymentState::Paused, DeploymentState::Halted];
        self.set_state(who, id, FROM, DeploymentState::Running).await
    }

    /// Offers it to nobody. Devices that are not yet on trial give it up at their next check-in.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`; `illegal-move` when it is halted already.
    pub async fn halt(&self, who: &Operator, id: &str) -> Result<DeploymentView, Refusal> {
        const FROM: &[DeploymentState] = &[DeploymentState::Running, DeploymentState::Paused];
        self.set_state(who, id, FROM, DeploymentState::Halted).await
    }

    /// Ends every target whose deadline has passed, and every command that has expired: silence is
    /// failure. To be called often; returns
    /// how many ended.
    ///
    /// # Errors
    /// What the store says.
    pub async fn tick(&self) -> Result<u64, Refusal> {
        let mut ended = 0;
        // No device can be heard before a restored hub is acknowledged: that is not silence.
        if self.require_acknowledged().is_err() {
            return Ok(ended);
        }
        while !self.read().await?.commands_ended(self.now_ms(), 1).await?.is_empty() {
            ended += self
                .change("hub", |change| Box::pin(commands::end_expired(change, DUE_AT_ONCE)))
                .await?;
        }
        loop {
            let now_ms = self.now_ms();
            if self.read().await?.targets_due(now_ms, 1).await?.is_empty() {
                return Ok(ended);
            }
            ended += self
                .change("hub", |change| {
                    Box::pin(async move {
                        let now_ms = change.now_ms;
                        let due = change.targets_due(now_ms, DUE_AT_ONCE).await?;
                        for target in &due {
                            change.fail_target(target, Reason::DeadlinePassed).await?;
                            let device = DeviceId::new(&target.device)?;
                            let row = change.device(&target.device).await?;
                            let class = ClassId(row.ok_or(Reason::NotFound)?.class);
                            change.join_deployment(&device, &class).await?;
                        }
                        Ok(due.len() as u64)
                    })
                })
                .await?;
        }
    }

    async fn set_state(
        &self,
        who: &Operator,
        id: &str,
        from: &'static [DeploymentState],
        to: DeploymentState,
    ) -> Result<DeploymentView, Refusal> {
        who.require(Permission::Deploy)?;
        let deployment = id.to_owned();
        self.change_by(who, move |change| {
            Box::pin(async move {
                let now_ms = change.now_ms;
                let row = find(change, &deployment).await?;
                let state = DeploymentState::from_name(&row.state).ok_or(Reason::Malformed)?;
                if !from.contains(&state) {
                    return Err(Refusal::new(
                        Reason::IllegalMove,
                        format!("the deployment is {}", state.name()),
                    ));
                }
                change.set_deployment_state(&deployment, to.name(), now_ms).await?;
                let offered = UpdateState::Offered.name();
                if to == DeploymentState::Running {
                    let deadline_ms = now_ms.saturating_add(row.offered_ms);
                    change.start_deadlines(&deployment, offered, deadline_ms).await?;
                } else {
                    change.stop_deadlines(&deployment, Some(offered)).await?;
                }
                let details = [("from", state.name()), ("to", to.name())];
                change.log("deployment", &format!("deployment/{deployment}"), &details).await
            })
        })
        .await?;
        self.deployment(who, id).await
    }
}

impl Change<'_> {
    /// Halts a deployment by the hub's own rules.
    pub(crate) async fn halt_deployment(
        &mut self,
        deployment: &str,
        reason: Reason,
    ) -> Result<(), Refusal> {
        let (now_ms, to) = (self.now_ms, DeploymentState::Halted.name());
        self.set_deployment_state(deployment, to, now_ms).await?;
        self.stop_deadlines(deployment, Some(UpdateState::Offered.name())).await?;
        let details = [("to", to), ("reason", reason.code())];
        self.log("deployment", &format!("deployment/{deployment}"), &details).await
    }
}

struct Wanted {
    manifest: [u8; 32],
    class: ClassId,
    target: Target,
    deadlines_ms: [i64; 4],
    who: Operator,
}

impl Wanted {
    /// The new deployment's id, or how many people agree and how many have to.
    async fn create(
        self,
        change: &mut Change<'_>,
        policy: &Policy,
    ) -> Result<Result<String, (u8, u8)>, Refusal> {
        let device = match self.target {
            Target::Class => None,
            Target::Device(device) => {
                self.check_device(change, &device).await?;
                Some(device.as_str().to_owned())
            }
        };
        let manifest = digest_text(&self.manifest);
        let (large, action) = match &device {
            None => (self.is_large(change).await?, "deploy".to_owned()),
            Some(device) => {
                (self.completes_large(change, device).await?, format!("deploy to {device}"))
            }
        };
        if large {
            let subject = format!("release/{manifest}");
            let approvals = change.approve(&subject, &action, &self.who, policy).await?;
            if approvals.given < approvals.required {
                change.log("deployment-approved", &subject, &[]).await?;
                return Ok(Err((approvals.given, approvals.required)));
            }
            change.clear_approvals(&subject).await?;
        }
        let deployment = Uuid::new_v4().to_string();
        let created_ms = change.now_ms;
        change
            .insert_deployment(&DeploymentToStore {
                deployment: deployment.clone(),
                manifest: self.manifest,
                class: self.class.0,
                target_device: device.clone(),
                state: DeploymentState::Running.name(),
                deadlines_ms: self.deadlines_ms,
                created_by: self.who.name().to_owned(),
                created_ms,
            })
            .await?;
        let devices = self.offer_to_all(change, &deployment, device.as_deref()).await?.to_string();
        // One entry for all of its offers: a class may have very many devices.
        let details = [
            ("release", &*manifest),
            ("target", device.as_deref().unwrap_or("the class")),
            ("devices", &*devices),
        ];
        change.log("deployment-created", &format!("deployment/{deployment}"), &details).await?;
        Ok(Ok(deployment))
    }

    async fn check_device(
        &self,
        change: &mut Change<'_>,
        device: &DeviceId,
    ) -> Result<(), Refusal> {
        let row = change.device(device.as_str()).await?;
        let row = row.ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("no device is called {device}"))
        })?;
        if row.class != self.class.0 {
            return Err(Refusal::new(
                Reason::WrongDevice,
                format!("{device} is of class {}", ClassId(row.class)),
            ));
        }
        let state = State::from_name(&row.state)?;
        match state.may(Right::Update) {
            true => Ok(()),
            false => Err(Refusal::new(Reason::LifecycleForbids, format!("{device} is {state}"))),
        }
    }

    /// More than a tenth of the fleet, and more than one device?
    async fn is_large(&self, change: &mut Change<'_>) -> Result<bool, Refusal> {
        let states = updatable_states();
        let reached = change.count_devices_in(Some(&self.class.0), states).await?;
        let all = change.count_devices_in(None, states).await?;
        Ok(reached > 1 && reached.saturating_mul(10) > all)
    }

    /// With those to which this release was offered one by one: more than a tenth of the fleet?
    /// Where it was offered to the class as a whole, that was judged already.
    async fn completes_large(
        &self,
        change: &mut Change<'_>,
        device: &str,
    ) -> Result<bool, Refusal> {
        let (whole, others) =
            change.devices_deployed_to(&self.class.0, &self.manifest, device).await?;
        let all = change.count_devices_in(None, updatable_states()).await?;
        let reached = others.saturating_add(1);
        Ok(!whole && reached > 1 && reached.saturating_mul(10) > all)
    }

    async fn offer_to_all(
        &self,
        change: &mut Change<'_>,
        deployment: &str,
        device: Option<&str>,
    ) -> Result<u64, Refusal> {
        let trial = UpdateState::Trial.name();
        for open in change.open_targets_for(&self.class.0, device).await? {
            if open.state != trial {
                change.fail_target(&open, Reason::Superseded).await?;
            }
        }
        let row = find(change, deployment).await?;
        let offered = first_state(&row, UpdateState::Offered, change.now_ms);
        let installed = first_state(&row, UpdateState::AlreadyInstalled, change.now_ms);
        let states = updatable_states();
        Ok(change.insert_targets(&row, device, states, &offered, &installed).await?)
    }
}

async fn find(read: &mut Read, id: &str) -> Result<DeploymentRow, Refusal> {
    let row = read.deployment(id).await?;
    row.ok_or_else(|| Refusal::new(Reason::NotFound, format!("no deployment is called {id}")))
}

async fn view(read: &mut Read, row: DeploymentRow, now_ms: i64) -> Result<DeploymentView, Refusal> {
    let release = read.release(&row.manifest).await?.ok_or(Reason::NotFound)?;
    let devices = read
        .deployment_counts(&row.deployment)
        .await?
        .into_iter()
        .map(|count| Ok((UpdateState::from_name(&count.state)?, count.devices.unsigned_abs())))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let duration = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let state = DeploymentState::from_name(&row.state).ok_or(Reason::Malformed)?;
    Ok(DeploymentView {
        manifest: Sha256Digest(row.manifest),
        class: ClassId(row.class),
        version: release.version,
        sequence: SequenceNumber(release.sequence.unsigned_abs()),
        target: match &row.target_device {
            None => Target::Class,
            Some(device) => Target::Device(DeviceId::new(device)?),
        },
        deadlines: Deadlines {
            offered: duration(row.offered_ms),
            downloading: duration(row.downloading_ms),
            written: duration(row.written_ms),
            trial: duration(row.trial_ms),
        },
        settled: match devices.is_empty() {
            true => nobody_comes(&row, state, now_ms),
            false => devices.iter().all(|(state, _)| state.is_terminal()),
        },
        state,
        devices,
        created_by: row.created_by,
        created_ms: row.created_ms,
        changed_ms: row.changed_ms,
        id: row.deployment,
    })
}

/// Has the time ended in which a deployment waits for its first device? It takes devices that come
/// later all the same, for as long as it runs; a pause stands still.
fn nobody_comes(row: &DeploymentRow, state: DeploymentState, now_ms: i64) -> bool {
    match state {
        DeploymentState::Running => row.changed_ms.saturating_add(row.offered_ms) <= now_ms,
        DeploymentState::Paused => false,
        DeploymentState::Halted => true,
    }
}

fn deadlines_to_ms(deadlines: &Deadlines) -> Result<[i64; 4], Refusal> {
    let phases = [deadlines.offered, deadlines.downloading, deadlines.written, deadlines.trial];
    let mut out = [0; 4];
    for (ms, phase) in out.iter_mut().zip(phases) {
        *ms = i64::try_from(phase.as_millis()).unwrap_or(i64::MAX);
        if !(1..=TEN_YEARS_MS).contains(ms) {
            return Err(Refusal::new(Reason::Malformed, "a deadline is 1 ms to ten years"));
        }
    }
    Ok(out)
}

const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 3600 * 1000;
/// Targets ended in one operation, so that others are not kept waiting.
const DUE_AT_ONCE: i64 = 500;
