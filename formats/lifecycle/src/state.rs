//! The states, and the token values that go with each.

use core::fmt;

use ringfort_cose::Reason;

/// Where a device is in its life, as the hub's registry holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Announced, nothing made yet.
    Created,
    /// On the factory line: keys are being made.
    Manufacturing,
    /// In stock: keys recorded, never enrolled by its owner.
    Provisioned,
    /// In the field, with every right.
    Deployed,
    /// Under suspicion: it may prove itself and take updates.
    Suspended,
    /// In repair or debugging.
    Service,
    /// Between two owners inside one fleet.
    Transfer,
    /// Out of use for ever. Its UEID and keys can never enrol again.
    Retired,
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [State; 8] = [
        State::Created,
        State::Manufacturing,
        State::Provisioned,
        State::Deployed,
        State::Suspended,
        State::Service,
        State::Transfer,
        State::Retired,
    ];

    /// The name on the wire, in the store and for people.
    pub const fn name(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Manufacturing => "manufacturing",
            State::Provisioned => "provisioned",
            State::Deployed => "deployed",
            State::Suspended => "suspended",
            State::Service => "service",
            State::Transfer => "transfer",
            State::Retired => "retired",
        }
    }

    /// The state with this name.
    ///
    /// # Errors
    /// `malformed`.
    pub fn from_name(name: &str) -> Result<State, Reason> {
        State::ALL.into_iter().find(|state| state.name() == name).ok_or(Reason::Malformed)
    }

    /// The token values that fit this state. Empty where a device has no token, or may send none.
    pub const fn psa_lifecycles(self) -> &'static [PsaLifecycle] {
        use PsaLifecycle::{
            AssemblyAndTest, Decommissioned, NonPsaRotDebug, RecoverablePsaRotDebug,
            RotProvisioning, Secured,
        };
        match self {
            State::Created => &[],
            State::Manufacturing => &[AssemblyAndTest, RotProvisioning],
            State::Provisioned | State::Deployed | State::Suspended | State::Transfer => &[Secured],
            State::Service => &[Secured, NonPsaRotDebug, RecoverablePsaRotDebug],
            State::Retired => &[Decommissioned],
        }
    }

    /// What a lifecycle claim of this value in a valid token of the device means.
    ///
    /// `claim` is the claim as it stands in the token (RFC 9783: 16 bits, of which the upper eight
    /// name the state and the lower eight are the maker's).
    pub fn judge_token(self, claim: u16) -> TokenVerdict {
        let fits = PsaLifecycle::from_claim(claim)
            .is_some_and(|lifecycle| self.psa_lifecycles().contains(&lifecycle));
        match (fits, self) {
            (true, _) => TokenVerdict::Consistent,
            (false, State::Deployed) => TokenVerdict::Suspend,
            (false, _) => TokenVerdict::Alarm,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the hub does about the lifecycle value in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// The value fits the state.
    Consistent,
    /// It does not: move the device to [`State::Suspended`] as [`crate::Actor::Hub`] and raise an
    /// alarm.
    Suspend,
    /// It does not, and the state holds the device already: refuse the request, raise an alarm,
    /// leave the state.
    Alarm,
}

/// The security lifecycle of RFC 9783 section 4.3.1, by the upper eight bits of its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PsaLifecycle {
    /// 0x00
    Unknown = 0x00,
    /// 0x10
    AssemblyAndTest = 0x10,
    /// 0x20
    RotProvisioning = 0x20,
    /// 0x30
    Secured = 0x30,
    /// 0x40
    NonPsaRotDebug = 0x40,
    /// 0x50
    RecoverablePsaRotDebug = 0x50,
    /// 0x60
    Decommissioned = 0x60,
}

impl PsaLifecycle {
    /// Every value.
    pub const ALL: [PsaLifecycle; 7] = [
        PsaLifecycle::Unknown,
        PsaLifecycle::AssemblyAndTest,
        PsaLifecycle::RotProvisioning,
        PsaLifecycle::Secured,
        PsaLifecycle::NonPsaRotDebug,
        PsaLifecycle::RecoverablePsaRotDebug,
        PsaLifecycle::Decommissioned,
    ];

    /// The value of a claim; none for a number that the RFC leaves unassigned.
    pub fn from_claim(claim: u16) -> Option<PsaLifecycle> {
        let [upper, _] = claim.to_be_bytes();
        PsaLifecycle::ALL.into_iter().find(|lifecycle| *lifecycle as u8 == upper)
    }
}
