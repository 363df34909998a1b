//! One device's way through one deployment: joining, hearing, ending.

use ringfort_cose::{Reason, Sha256Digest};
use ringfort_lifecycle::{Right, State};
use ringfort_messages::{ReasonCode, UpdateState as Reported};
use ringfort_store::{DeploymentRow, Running, TargetChange, TargetRow};
use ringfort_trust::ids::{ClassId, DeviceId, OrderNumber};

use crate::fleet::Change;
use crate::{DeviceSession, Grade, Refusal, Step, TargetView, UpdateState};

/// What a device says about an update.
pub(crate) struct Said {
    pub(crate) state: Reported,
    pub(crate) reason: Option<ReasonCode>,
    pub(crate) detail: Option<String>,
}

/// Hears a device. What has ended stays as it ended. True when this confirmed the release: from
/// here on the device runs something else than it said before.
pub(crate) async fn hear(
    change: &mut Change<'_>,
    session: &DeviceSession,
    target: &TargetRow,
    said: &Said,
) -> Result<bool, Refusal> {
    let from = UpdateState::from_name(&target.state)?;
    if from.after_report(said.state) == Step::Keep {
        return Ok(false);
    }
    let deployment = change.deployment(&target.deployment).await?.ok_or(Reason::NotFound)?;
    let to = UpdateState::from(said.state);
    let written = TargetChange {
        state: to.name(),
        open: !to.is_terminal(),
        grade: (to == UpdateState::Confirmed).then_some(Grade::Reported.name()),
        reason: said.reason.as_ref().map(ReasonCode::as_str),
        detail: said.detail.as_deref(),
        deadline_ms: deadline(&deployment, to, change.now_ms),
        at_ms: change.now_ms,
    };
    move_on(change, session, target, from, &written).await?;
    Ok(to == UpdateState::Confirmed)
}

/// Notes what a device runs from its report that it confirmed a release. What it says at its next
/// check-in is then judged anew, also where it says the same as before the update.
pub(crate) async fn confirmed(
    change: &mut Change<'_>,
    device: &DeviceId,
    deployment: &DeploymentRow,
) -> Result<(), Refusal> {
    let release = change.release(&deployment.manifest).await?.ok_or(Reason::NotFound)?;
    let running = Running {
        class: deployment.class,
        sequence: release.sequence,
        manifest: Some(deployment.manifest),
        version: release.version,
        // Confirming makes the release the floor.
        floor: release.sequence,
        since_ms: change.now_ms,
    };
    change.put_running(device.as_str(), &running).await?;
    Ok(change.forget_reported(device.as_str()).await?)
}

/// Ends a device's open target with a success that its check-in proved.
pub(crate) async fn end(
    change: &mut Change<'_>,
    session: &DeviceSession,
    deployment: &str,
    to: UpdateState,
    grade: Grade,
) -> Result<(), Refusal> {
    let target = change.target(deployment, session.device.as_str()).await?;
    let target = target.ok_or(Reason::NotFound)?;
    let from = UpdateState::from_name(&target.state)?;
    let written = TargetChange {
        state: to.name(),
        open: false,
        grade: Some(grade.name()),
        reason: None,
        detail: None,
        deadline_ms: None,
        at_ms: change.now_ms,
    };
    move_on(change, session, &target, from, &written).await
}

async fn move_on(
    change: &mut Change<'_>,
    session: &DeviceSession,
    target: &TargetRow,
    from: UpdateState,
    written: &TargetChange<'_>,
) -> Result<(), Refusal> {
    change.write_target(target, from, written).await?;
    match written.open {
        true => Ok(()),
        false => change.join_deployment(&session.device, &session.class).await,
    }
}

impl Change<'_> {
    /// Writes a target and logs the step.
    pub(crate) async fn write_target(
        &mut self,
        target: &TargetRow,
        from: UpdateState,
        written: &TargetChange<'_>,
    ) -> Result<(), Refusal> {
        if !self.change_target(&target.deployment, &target.device, written).await? {
            return Ok(());
        }
        let mut details = vec![
            ("deployment", target.deployment.as_str()),
            ("from", from.name()),
            ("to", written.state),
        ];
        details.extend(written.grade.map(|grade| ("grade", grade)));
        details.extend(written.reason.map(|reason| ("reason", reason)));
        self.log("update", &target.device, &details).await
    }

    /// Ends a device's open target because the device may not go on.
    pub(crate) async fn end_open_target(&mut self, device: &DeviceId) -> Result<(), Refusal> {
        let Some(offer) = self.open_offer(device.as_str()).await? else { return Ok(()) };
        let target = self.target(&offer.deployment, device.as_str()).await?;
        let target = target.ok_or(Reason::NotFound)?;
        self.fail_target(&target, Reason::LifecycleForbids).await
    }

    /// Ends a target without the device's word.
    pub(crate) async fn fail_target(
        &mut self,
        target: &TargetRow,
        reason: Reason,
    ) -> Result<(), Refusal> {
        let to = match reason {
            Reason::Superseded => UpdateState::Superseded,
            _ => UpdateState::Failed,
        };
        let written = TargetChange {
            state: to.name(),
            open: false,
            grade: None,
            reason: Some(reason.code()),
            detail: None,
            deadline_ms: None,
            at_ms: self.now_ms,
        };
        self.write_target(target, UpdateState::from_name(&target.state)?, &written).await
    }

    /// Gives a device that is free its part in the newest running deployment that is for it.
    pub(crate) async fn join_deployment(
        &mut self,
        device: &DeviceId,
        class: &ClassId,
    ) -> Result<(), Refusal> {
        let id = device.as_str();
        let Some(deployment) = self.deployment_to_join(id, &class.0).await? else {
            return Ok(());
        };
        let running = self.running(id).await?;
        let manifest = running.iter().find(|row| row.class == class.0).and_then(|row| row.manifest);
        self.offer(&deployment, id, manifest).await
    }

    /// Enters a device into a deployment.
    pub(crate) async fn offer(
        &mut self,
        deployment: &DeploymentRow,
        device: &str,
        running: Option<[u8; 32]>,
    ) -> Result<(), Refusal> {
        let installed = running == Some(deployment.manifest);
        let state = match installed {
            true => UpdateState::AlreadyInstalled,
            false => UpdateState::Offered,
        };
        let written = first_state(deployment, state, self.now_ms);
        self.insert_target(&deployment.deployment, device, &written).await?;
        let details = [("deployment", deployment.deployment.as_str()), ("to", state.name())];
        self.log("update", device, &details).await
    }
}

/// How a device begins in a deployment: it is offered the release, or has it already.
pub(crate) fn first_state(
    deployment: &DeploymentRow,
    state: UpdateState,
    now_ms: i64,
) -> TargetChange<'static> {
    TargetChange {
        state: state.name(),
        open: !state.is_terminal(),
        grade: state.is_terminal().then_some(Grade::Reported.name()),
        reason: None,
        detail: None,
        deadline_ms: deadline(deployment, state, now_ms),
        at_ms: now_ms,
    }
}

/// When silence in this state counts as failure.
fn deadline(deployment: &DeploymentRow, state: UpdateState, now_ms: i64) -> Option<i64> {
    let allowed_ms = match state {
        UpdateState::Offered => deployment.offered_ms,
        UpdateState::Downloading => deployment.downloading_ms,
        UpdateState::Written => deployment.written_ms,
        UpdateState::Trial => deployment.trial_ms,
        _ => return None,
    };
    Some(now_ms.saturating_add(allowed_ms))
}

impl TargetView {
    pub(crate) fn from_row(row: TargetRow) -> Result<TargetView, Refusal> {
        let state = UpdateState::from_name(&row.state)?;
        // Written and booted are not success, and the view says so.
        let not_yet = matches!(state, UpdateState::Written | UpdateState::Trial)
            .then(|| Reason::TrialNotConfirmed.code().to_owned());
        Ok(TargetView {
            device: DeviceId::new(&row.device)?,
            state,
            grade: row.grade.as_deref().and_then(Grade::from_name),
            reason: row.reason.or(not_yet),
            detail: row.detail,
            order: (row.last_order > 0).then_some(OrderNumber(row.last_order.unsigned_abs())),
            since_ms: row.since_ms,
            deadline_ms: row.deadline_ms,
            deployment: row.deployment,
        })
    }
}

/// The states in which a device takes updates.
pub(crate) fn updatable_states() -> [&'static str; 2] {
    debug_assert!(
        State::ALL
            .into_iter()
            .filter(|state| state.may(Right::Update))
            .eq([State::Deployed, State::Suspended])
    );
    [State::Deployed.name(), State::Suspended.name()]
}

pub(crate) fn digest_text(digest: &[u8; 32]) -> String {
    Sha256Digest(*digest).to_string()
}
