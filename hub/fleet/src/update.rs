//! The states of a device's way through a deployment, and which moves between them count.

use std::fmt;

use ringfort_cose::Reason;

use crate::Refusal;

/// How far a device is with a deployment. The device has the first eight; the last two are the
/// hub's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UpdateState {
    /// The hub offers it; the device has not begun.
    Offered,
    /// The device downloads and writes.
    Downloading,
    /// It is in the inactive slot. Not a success.
    Written,
    /// The slot is armed for its first boot, or booted and not confirmed. Not a success.
    Trial,
    /// The device booted it and confirmed. The only success.
    Confirmed,
    /// The device would not take it.
    Refused,
    /// It did not get as far as a trial, or nothing was heard in time.
    Failed,
    /// The device went back to what it had.
    Reverted,
    /// A newer deployment took its place.
    Superseded,
    /// The device ran that release before it was offered.
    AlreadyInstalled,
}

impl UpdateState {
    /// Every state.
    pub const ALL: [UpdateState; 10] = [
        UpdateState::Offered,
        UpdateState::Downloading,
        UpdateState::Written,
        UpdateState::Trial,
        UpdateState::Confirmed,
        UpdateState::Refused,
        UpdateState::Failed,
        UpdateState::Reverted,
        UpdateState::Superseded,
        UpdateState::AlreadyInstalled,
    ];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            UpdateState::Offered => "offered",
            UpdateState::Downloading => "downloading",
            UpdateState::Written => "written",
            UpdateState::Trial => "trial",
            UpdateState::Confirmed => "confirmed",
            UpdateState::Refused => "refused",
            UpdateState::Failed => "failed",
            UpdateState::Reverted => "reverted",
            UpdateState::Superseded => "superseded",
            UpdateState::AlreadyInstalled => "already-installed",
        }
    }

    /// The state with this name.
    ///
    /// # Errors
    /// `malformed`.
    pub fn from_name(name: &str) -> Result<UpdateState, Refusal> {
        let found = UpdateState::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| Refusal::new(Reason::Malformed, format!("no state is called {name}")))
    }

    /// Terminal is terminal: nothing follows.
    pub const fn is_terminal(self) -> bool {
        match self {
            UpdateState::Offered
            | UpdateState::Downloading
            | UpdateState::Written
            | UpdateState::Trial => false,
            UpdateState::Confirmed
            | UpdateState::Refused
            | UpdateState::Failed
            | UpdateState::Reverted
            | UpdateState::Superseded
            | UpdateState::AlreadyInstalled => true,
        }
    }

    /// What a device's word does to a target in this state. Reports may be lost, so phases may be
    /// skipped; none is taken back; nothing leaves a trial but its end.
    pub fn after_report(self, reported: Reported) -> Step {
        match Reported::from_hub(self) {
            Some(current) if current.may_become(reported) => Step::Take,
            _ => Step::Keep,
        }
    }
}

/// The same states as a device names them.
pub use ringfort_messages::UpdateState as Reported;

/// The states that both sides have.
trait FromHub: Sized {
    fn from_hub(state: UpdateState) -> Option<Self>;
}

impl FromHub for Reported {
    fn from_hub(state: UpdateState) -> Option<Reported> {
        match state {
            UpdateState::Offered => Some(Reported::Offered),
            UpdateState::Downloading => Some(Reported::Downloading),
            UpdateState::Written => Some(Reported::Written),
            UpdateState::Trial => Some(Reported::Trial),
            UpdateState::Confirmed => Some(Reported::Confirmed),
            UpdateState::Refused => Some(Reported::Refused),
            UpdateState::Failed => Some(Reported::Failed),
            UpdateState::Reverted => Some(Reported::Reverted),
            UpdateState::Superseded | UpdateState::AlreadyInstalled => None,
        }
    }
}

impl From<Reported> for UpdateState {
    fn from(state: Reported) -> UpdateState {
        match state {
            Reported::Offered => UpdateState::Offered,
            Reported::Downloading => UpdateState::Downloading,
            Reported::Written => UpdateState::Written,
            Reported::Trial => UpdateState::Trial,
            Reported::Confirmed => UpdateState::Confirmed,
            Reported::Refused => UpdateState::Refused,
            Reported::Failed => UpdateState::Failed,
            Reported::Reverted => UpdateState::Reverted,
        }
    }
}

impl fmt::Display for UpdateState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a report does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It becomes the state.
    Take,
    /// It is heard and changes nothing: a repetition, or late.
    Keep,
}

/// What a success rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grade {
    /// The device's word, with the version in it.
    Reported,
    /// A measurement in an attestation token that equals the manifest.
    Attested,
}

impl Grade {
    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Grade::Reported => "reported",
            Grade::Attested => "attested",
        }
    }

    /// The grade with this name.
    pub fn from_name(name: &str) -> Option<Grade> {
        [Grade::Reported, Grade::Attested].into_iter().find(|grade| grade.name() == name)
    }
}

/// The state of a deployment as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeploymentState {
    /// Offered to its devices.
    Running,
    /// Not offered to devices that have not begun; those on their way go on.
    Paused,
    /// Offered to nobody; a device that is not yet on trial gives it up.
    Halted,
}

impl DeploymentState {
    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            DeploymentState::Running => "running",
            DeploymentState::Paused => "paused",
            DeploymentState::Halted => "halted",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<DeploymentState> {
        use DeploymentState::{Halted, Paused, Running};
        [Running, Paused, Halted].into_iter().find(|state| state.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_report_moves_a_terminal_state() {
        for from in UpdateState::ALL.into_iter().filter(|state| state.is_terminal()) {
            for to in Reported::ALL {
                assert_eq!(from.after_report(to), Step::Keep, "{from} → {to}");
            }
        }
    }

    #[test]
    fn every_open_state_can_be_confirmed_and_reverted() {
        for from in UpdateState::ALL.into_iter().filter(|state| !state.is_terminal()) {
            for to in [Reported::Confirmed, Reported::Reverted] {
                assert_eq!(from.after_report(to), Step::Take, "{from} → {to}");
            }
        }
    }

    #[test]
    fn nothing_but_its_end_leaves_a_trial() {
        for to in [Reported::Offered, Reported::Downloading, Reported::Written, Reported::Trial] {
            assert_eq!(UpdateState::Trial.after_report(to), Step::Keep);
        }
    }

    #[test]
    fn a_report_taken_is_the_state_it_names() {
        assert_eq!(UpdateState::Offered.after_report(Reported::Written), Step::Take);
        assert_eq!(UpdateState::from(Reported::Written), UpdateState::Written);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for state in UpdateState::ALL {
            assert_eq!(UpdateState::from_name(state.name()), Ok(state));
        }
        assert_eq!(UpdateState::from_name("done").unwrap_err().reason, Reason::Malformed);
    }
}
