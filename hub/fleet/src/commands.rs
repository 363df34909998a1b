//! Commands: what people signed away from the hub, kept here, and brought to the device by an
//! order. The hub can withhold a command and can make none.

use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_lifecycle::{Actor, Approvals, Proofs, Request, Right, State, judge};
use ringfort_messages::ReasonCode;
use ringfort_store::{CommandRow, Read};
use ringfort_trust::ids::{DeviceId, OrderNumber};
use ringfort_trust::{Command, CommandAction, Task};

use crate::factory::seconds_to_ms;
use crate::fleet::{Change, LDEVID};
use crate::targets::Said;
use crate::{Fleet, Operator, Permission, Refusal, Step, UpdateState};

/// A command that the hub keeps, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandView {
    /// SHA-256 of it.
    pub digest: [u8; 32],
    /// What it does.
    pub action: String,
    /// Its number among those of its key.
    pub number: u64,
    /// Until when the device takes it.
    pub expires_ms: i64,
    /// How far it is: offered, written (taken, being carried out), confirmed, or why not.
    pub state: UpdateState,
    /// Why it is in that state, a reason code.
    pub reason: Option<String>,
    /// What the device said about it.
    pub detail: Option<String>,
    /// The number of the order that the device was given last.
    pub order: Option<OrderNumber>,
    /// Who handed it in.
    pub given_by: String,
    /// Since when it is in that state.
    pub since_ms: i64,
}

/// The result of handing in a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commanded {
    /// The device gets it at its next check-in.
    Done(CommandView),
    /// It waits for another person to hand in the same.
    Waiting {
        /// Different people who did so far.
        given: u8,
        /// How many it takes.
        required: u8,
    },
}

impl Fleet {
    /// Takes a command for a device, or notes that this person agrees to it. The device gets it at
    /// its next check-in. A device that has carried out a decommission is retired.
    ///
    /// # Errors
    /// `role-forbids`, `not-found`; those of [`Command::verify`]; `wrong-recipient` for another
    /// device's; `expired`; `order-replayed` when the device took this number of this key or a
    /// higher one; `already-exists` for a command that was handed in before, or while another is
    /// being carried out; `lifecycle-forbids` where the device cannot be told.
    pub async fn give_command(
        &self,
        who: &Operator,
        id: &DeviceId,
        document: &[u8],
        note: &str,
    ) -> Result<Commanded, Refusal> {
        who.require(Permission::MoveDevices)?;
        check_note(note)?;
        let command = self.check_command(id, document)?;
        let (who, device, note) = (who.clone(), *id, note.to_owned());
        let policy = self.inner.policy.clone();
        let person = who.clone();
        self.change_by(&person, move |change| {
            Box::pin(async move {
                let id = device.as_str();
                let row = change.device(id).await?;
                let row = row.ok_or_else(|| {
                    Refusal::new(Reason::NotFound, format!("no device is called {id}"))
                })?;
                let state = State::from_name(&row.state)?;
                command.check_against(change, state).await?;
                let action = format!("command {}", Sha256Digest(command.digest));
                let mut required = policy;
                if command.action == CommandAction::Decommission {
                    required.approvals = change.people_to_retire(required.approvals).await?;
                }
                let approvals = change.approve(id, &action, &who, &required).await?;
                if approvals.given < approvals.required {
                    let details = [("action", command.action.name())];
                    change.log("command-approved", id, &details).await?;
                    let Approvals { given, required } = approvals;
                    return Ok(Commanded::Waiting { given, required });
                }
                change.clear_approvals(id).await?;
                command.keep(change, approvals.given, who.name(), &note).await.map(Commanded::Done)
            })
        })
        .await
    }

    /// A command whose signature and address are right, at this time.
    pub(crate) fn check_command(&self, id: &DeviceId, document: &[u8]) -> Result<Signed, Refusal> {
        let anchors = self.newest_anchors()?;
        let command = Command::verify(document, &anchors.open()?, &AwsLc)
            .map_err(|reason| Refusal::new(reason, "the command"))?;
        let claims = command.claims();
        if claims.device != *id {
            let detail = format!("the command is for {}", claims.device);
            return Err(Refusal::new(Reason::WrongRecipient, detail));
        }
        let expires_ms = seconds_to_ms(claims.expires.0);
        if expires_ms <= self.now_ms() {
            return Err(Refusal::new(Reason::Expired, "the command"));
        }
        Ok(Signed {
            device: *id,
            digest: command.digest().0,
            action: claims.action,
            signers: command.signers().iter().map(|signer| signer.0).collect(),
            number: i64::try_from(claims.number.0).map_err(|_| Reason::TooLarge)?,
            expires_ms,
            document: document.to_vec(),
        })
    }
}

/// A command that was checked.
pub(crate) struct Signed {
    device: DeviceId,
    pub(crate) digest: [u8; 32],
    pub(crate) action: CommandAction,
    signers: Vec<[u8; 32]>,
    number: i64,
    expires_ms: i64,
    document: Vec<u8>,
}

impl Signed {
    /// Refuses what the device would refuse, or cannot be told.
    pub(crate) async fn check_against(
        &self,
        change: &mut Change<'_>,
        state: State,
    ) -> Result<(), Refusal> {
        let id = self.device.as_str();
        if !reaches(state, self.action) {
            return Err(Refusal::new(
                Reason::LifecycleForbids,
                format!("{id} is {state}: it cannot be told to {}", self.action.name()),
            ));
        }
        if change.command(&self.digest).await?.is_some() {
            return Err(Refusal::new(Reason::AlreadyExists, "this command was handed in before"));
        }
        let taken = [UpdateState::Written.name(), UpdateState::Confirmed.name()];
        for signer in &self.signers {
            let last = change.last_command_number(id, signer, taken).await?;
            if self.number <= last {
                let key = Sha256Digest(*signer);
                return Err(Refusal::new(
                    Reason::OrderReplayed,
                    format!("{id} took number {last} of the command key {key}"),
                ));
            }
        }
        if let Some(open) = change.open_command(id).await?
            && open.state == UpdateState::Written.name()
        {
            return Err(Refusal::new(
                Reason::AlreadyExists,
                format!("{id} is carrying out a command: {}", open.action),
            ));
        }
        Ok(())
    }

    /// Keeps it for the device, in place of one that was not taken yet.
    pub(crate) async fn keep(
        self,
        change: &mut Change<'_>,
        approvals: u8,
        who: &str,
        note: &str,
    ) -> Result<CommandView, Refusal> {
        let (id, now_ms) = (self.device.as_str(), change.now_ms);
        if let Some(open) = change.open_command(id).await? {
            end(change, &open, UpdateState::Superseded, Some(Reason::Superseded.code())).await?;
        }
        let row = CommandRow {
            digest: self.digest,
            device: id.to_owned(),
            action: self.action.name().to_owned(),
            number: self.number,
            document: self.document,
            expires_ms: self.expires_ms,
            state: UpdateState::Offered.name().to_owned(),
            open: true,
            reason: None,
            detail: None,
            first_order: 0,
            last_order: 0,
            entered: false,
            approvals: i64::from(approvals),
            given_by: who.to_owned(),
            given_ms: now_ms,
            since_ms: now_ms,
        };
        change.insert_command(&row, &self.signers).await?;
        let (digest, number) = (Sha256Digest(self.digest).to_string(), self.number.to_string());
        let keys: Vec<String> =
            self.signers.iter().map(|signer| Sha256Digest(*signer).to_string()).collect();
        let keys = keys.join(" ");
        let mut details = vec![
            ("action", &*row.action),
            ("command", &digest),
            ("number", &number),
            ("keys", &keys),
        ];
        if !note.is_empty() {
            details.push(("note", note));
        }
        change.log("command-given", id, &details).await?;
        CommandView::from_row(row)
    }
}

/// Can a device in this state be told to do this?
pub(crate) fn reaches(state: State, action: CommandAction) -> bool {
    match state {
        // Between two owners it is wiped or ended, and nothing else.
        State::Transfer => action != CommandAction::DebugUnlock,
        state => state.may(Right::CheckIn),
    }
}

/// Hears a device about a command. What has ended stays as it ended.
pub(crate) async fn hear(
    change: &mut Change<'_>,
    device: &DeviceId,
    row: &CommandRow,
    said: &Said,
) -> Result<(), Refusal> {
    let from = UpdateState::from_name(&row.state)?;
    if from.after_report(said.state) == Step::Keep {
        return Ok(());
    }
    let to = UpdateState::from(said.state);
    let reason = said.reason.as_ref().map(ReasonCode::as_str);
    let (now_ms, open) = (change.now_ms, !to.is_terminal());
    change
        .set_command_state(&row.digest, to.name(), open, reason, said.detail.as_deref(), now_ms)
        .await?;
    log_step(change, row, from, to, reason).await?;
    if to == UpdateState::Confirmed {
        carried_out(change, device, row).await?;
    }
    Ok(())
}

/// What follows from a command that was carried out.
async fn carried_out(
    change: &mut Change<'_>,
    device: &DeviceId,
    row: &CommandRow,
) -> Result<(), Refusal> {
    if row.action == CommandAction::WipeOperational.name() && !row.entered {
        // It said so with the key that it had, as its last use: the next one is new.
        wiped(change, device, row).await?;
    }
    if row.action == CommandAction::Decommission.name() {
        let state = change.device(device.as_str()).await?.ok_or(Reason::NotFound)?.state;
        let people = u8::try_from(row.approvals).unwrap_or(u8::MAX);
        let request = Request {
            actor: Actor::Operator,
            approvals: Approvals { given: people, required: people.max(1) },
            proofs: Proofs::NONE,
        };
        if let Ok(made) = judge(State::from_name(&state)?, State::Retired, &request) {
            let reason = Some(Reason::Decommissioned);
            change.apply_move(device, &made, reason, "it carried out the command").await?;
        }
    }
    Ok(())
}

/// A device that was told to wipe asks to enter with a new key: so the old one is gone, and
/// nothing that comes with it is the device's any more.
pub(crate) async fn wiped(
    change: &mut Change<'_>,
    device: &DeviceId,
    row: &CommandRow,
) -> Result<(), Refusal> {
    let (id, now_ms) = (device.as_str(), change.now_ms);
    change.set_command_entered(&row.digest).await?;
    change.revoke_certificates(id, LDEVID, None, now_ms, "cessationOfOperation").await?;
    change.close_connections(device);
    let digest = Sha256Digest(row.digest).to_string();
    change.log("operational-keys-wiped", id, &[("command", &digest)]).await
}

/// The open command by which a device was told to wipe, if it has not entered since.
pub(crate) async fn told_to_wipe(
    registry: &mut Read,
    device: &str,
) -> Result<Option<CommandRow>, Refusal> {
    let open = registry.open_command(device).await?;
    Ok(open.filter(|row| {
        row.action == CommandAction::WipeOperational.name() && row.last_order > 0 && !row.entered
    }))
}

/// Was the device wiped by a command since this time?
pub(crate) async fn was_wiped_since(
    registry: &mut Read,
    device: &str,
    since_ms: i64,
) -> Result<bool, Refusal> {
    let rows = registry.commands_of_device(device, 16).await?;
    Ok(rows.iter().any(|row| {
        let done = row.entered || row.state == UpdateState::Confirmed.name();
        row.action == CommandAction::WipeOperational.name() && done && row.given_ms >= since_ms
    }))
}

/// Ends commands that no device takes any more; returns how many.
pub(crate) async fn end_expired(change: &mut Change<'_>, limit: i64) -> Result<u64, Refusal> {
    let now_ms = change.now_ms;
    let rows = change.commands_ended(now_ms, limit).await?;
    for row in &rows {
        let (to, reason) = match (row.entered, row.state == UpdateState::Written.name()) {
            (true, _) => (UpdateState::Confirmed, None),
            (false, true) => (UpdateState::Failed, Some(Reason::DeadlinePassed.code())),
            (false, false) => (UpdateState::Failed, Some(Reason::Expired.code())),
        };
        end(change, row, to, reason).await?;
    }
    Ok(rows.len() as u64)
}

/// Ends a command without the device's word.
async fn end(
    change: &mut Change<'_>,
    row: &CommandRow,
    to: UpdateState,
    reason: Option<&str>,
) -> Result<(), Refusal> {
    let (now_ms, from) = (change.now_ms, UpdateState::from_name(&row.state)?);
    change.set_command_state(&row.digest, to.name(), false, reason, None, now_ms).await?;
    log_step(change, row, from, to, reason).await
}

async fn log_step(
    change: &mut Change<'_>,
    row: &CommandRow,
    from: UpdateState,
    to: UpdateState,
    reason: Option<&str>,
) -> Result<(), Refusal> {
    let digest = Sha256Digest(row.digest).to_string();
    let mut details = vec![
        ("action", row.action.as_str()),
        ("command", &digest),
        ("from", from.name()),
        ("to", to.name()),
    ];
    details.extend(reason.map(|reason| ("reason", reason)));
    change.log("command", &row.device, &details).await
}

/// The order of an action.
pub(crate) fn task_of(row: &CommandRow) -> Result<Task, Refusal> {
    let action = CommandAction::ALL.into_iter().find(|action| action.name() == row.action);
    let action = action.ok_or_else(|| Refusal::internal("a kind of command", &row.action))?;
    Ok(Task::Command { action, command: Sha256Digest(row.digest) })
}

impl CommandView {
    pub(crate) fn from_row(row: CommandRow) -> Result<CommandView, Refusal> {
        Ok(CommandView {
            digest: row.digest,
            action: row.action,
            number: row.number.unsigned_abs(),
            expires_ms: row.expires_ms,
            state: UpdateState::from_name(&row.state)?,
            reason: row.reason,
            detail: row.detail,
            order: (row.last_order > 0).then_some(OrderNumber(row.last_order.unsigned_abs())),
            given_by: row.given_by,
            since_ms: row.since_ms,
        })
    }
}

pub(crate) fn check_note(note: &str) -> Result<(), Refusal> {
    // Whoever reads the audit log reads it on a terminal.
    match note.len() <= 256 && !note.contains(char::is_control) {
        true => Ok(()),
        false => Err(Refusal::new(
            Reason::Malformed,
            "a note has at most 256 bytes, none of them a control character",
        )),
    }
}
