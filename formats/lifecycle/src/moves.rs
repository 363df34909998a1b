//! The moves between states.

use ringfort_cose::Reason;

use crate::{Proof, Proofs, State};

/// Who asks for a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A factory site, by a batch that its station key signed.
    Factory,
    /// The device itself, by enrolling.
    Device,
    /// The hub by its own rules: an alarm, an appraised token.
    Hub,
    /// A person.
    Operator,
}

/// How many different people approved, the one who asks included, and how many the hub's policy
/// asks for (two by default, one where the hub was set up so).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// Different people who approved.
    pub given: u8,
    /// What the policy asks for: at least 1.
    pub required: u8,
}

/// What is put before [`judge`].
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Who asks.
    pub actor: Actor,
    /// Who approved.
    pub approvals: Approvals,
    /// What was shown and checked.
    pub proofs: Proofs,
}

/// A move that the rules allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// From this state.
    pub from: State,
    /// To this state.
    pub to: State,
    /// What the move rests on.
    pub grade: Grade,
    /// What has to happen with it, in the same transaction where it is the hub's to do.
    pub effects: Effects,
}

/// What a move rests on; shown with the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// Nothing about the device's inside had to be shown.
    Plain,
    /// A fresh attestation token.
    Attested,
    /// Proof of possession and approval alone. Shown as "not attested".
    NotAttested,
}

/// Something that has to happen with a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Effect {
    /// Close the device's open connections.
    CloseConnections = 0,
    /// Put its operational certificates on hold (certificateHold in the CRLs).
    HoldCertificates = 1,
    /// Take them off hold.
    ReleaseCertificates = 2,
    /// Revoke them.
    RevokeCertificates = 3,
    /// Note the UEID and every key as never to enrol again.
    BarForever = 4,
    /// End the device's open deployments.
    EndDeployments = 5,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Effect; 6] = [
        Effect::CloseConnections,
        Effect::HoldCertificates,
        Effect::ReleaseCertificates,
        Effect::RevokeCertificates,
        Effect::BarForever,
        Effect::EndDeployments,
    ];
}

/// A set of effects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects(u8);

impl Effects {
    /// The set of these effects.
    pub const fn of(effects: &[Effect]) -> Effects {
        let mut set = 0;
        let mut index = 0;
        while index < effects.len() {
            set |= 1 << effects[index] as u8;
            index += 1;
        }
        Effects(set)
    }

    /// Is it in the set?
    pub const fn has(self, effect: Effect) -> bool {
        self.0 & 1 << effect as u8 != 0
    }
}

/// Judges a move.
///
/// # Errors
/// `illegal-move` when no rule leads from `from` to `to`; `role-forbids` when the rule is for
/// other actors; `proof-missing` when a proof that it asks for was not shown;
/// `approval-required` when too few people approved.
pub fn judge(from: State, to: State, request: &Request) -> Result<Move, Reason> {
    let rule = rule(from, to).ok_or(Reason::IllegalMove)?;
    let way = rule
        .ways
        .iter()
        .find(|way| way.actor == request.actor && request.proofs.missing(way.proofs).is_none())
        .ok_or_else(|| {
            let any = rule.ways.iter().any(|way| way.actor == request.actor);
            if any { Reason::ProofMissing } else { Reason::RoleForbids }
        })?;
    let required = way.approval.required(request.approvals.required);
    if request.approvals.given < required {
        return Err(Reason::ApprovalRequired);
    }
    Ok(Move { from, to, grade: way.grade, effects: rule.effects })
}

/// The rule for a pair of states; none where the move is illegal.
pub const fn rule(from: State, to: State) -> Option<&'static Rule> {
    use State::{
        Created, Deployed, Manufacturing, Provisioned, Retired, Service, Suspended, Transfer,
    };
    match (from, to) {
        (Created, Manufacturing) => Some(&BEGIN),
        (Manufacturing, Provisioned) => Some(&PROVISION),
        (Provisioned, Deployed) => Some(&CLAIM),
        (Deployed, Suspended) => Some(&SUSPEND),
        (Deployed, Service) => Some(&TO_SERVICE),
        (Deployed, Transfer) => Some(&TO_TRANSFER),
        (Suspended, Deployed) => Some(&RESTORE),
        (Service, Deployed) => Some(&BACK_FROM_SERVICE),
        (Transfer, Provisioned) => Some(&HAND_OVER),
        (
            Created | Manufacturing | Provisioned | Deployed | Suspended | Service | Transfer,
            Retired,
        ) => Some(&RETIRE),
        _ => None,
    }
}

/// One legal move: the ways in which it may be made, and what it brings with it.
#[derive(Debug)]
pub struct Rule {
    /// Any one of these suffices; the first that fits counts.
    pub ways: &'static [Way],
    /// What has to happen with the move.
    pub effects: Effects,
}

/// One way of making a move.
#[derive(Debug)]
pub struct Way {
    /// Who.
    pub actor: Actor,
    /// With which approvals.
    pub approval: Approval,
    /// With which proofs.
    pub proofs: Proofs,
    /// What it then rests on.
    pub grade: Grade,
}

/// How many people have to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Nobody: a rule or a device acts.
    None,
    /// The person who asks.
    One,
    /// As many different people as the hub's policy says.
    Policy,
}

impl Approval {
    /// The number of people, under a policy that asks for `policy`.
    pub fn required(self, policy: u8) -> u8 {
        match self {
            Approval::None => 0,
            Approval::One => 1,
            Approval::Policy => policy.max(1),
        }
    }
}

const fn way(actor: Actor, approval: Approval, proofs: Proofs, grade: Grade) -> Way {
    Way { actor, approval, proofs, grade }
}

const BEGIN: Rule = Rule {
    ways: &[
        way(Actor::Factory, Approval::None, Proofs::NONE, Grade::Plain),
        way(Actor::Operator, Approval::One, Proofs::NONE, Grade::Plain),
    ],
    effects: Effects::of(&[]),
};

const PROVISION: Rule = Rule {
    ways: &[way(
        Actor::Factory,
        Approval::None,
        Proofs::of(&[Proof::KeysRecorded, Proof::UeidUnique, Proof::KeysNeverSeen]),
        Grade::Plain,
    )],
    effects: Effects::of(&[]),
};

const CLAIM: Rule = Rule {
    ways: &[way(
        Actor::Device,
        Approval::None,
        Proofs::of(&[Proof::OnOwnersList, Proof::Possession]),
        Grade::Plain,
    )],
    effects: Effects::of(&[]),
};

const SUSPEND: Rule = Rule {
    ways: &[
        way(Actor::Hub, Approval::None, Proofs::NONE, Grade::Plain),
        way(Actor::Operator, Approval::One, Proofs::NONE, Grade::Plain),
    ],
    effects: Effects::of(&[Effect::CloseConnections, Effect::HoldCertificates]),
};

const TO_SERVICE: Rule = Rule {
    ways: &[way(Actor::Operator, Approval::One, Proofs::NONE, Grade::Plain)],
    effects: Effects::of(&[
        Effect::CloseConnections,
        Effect::RevokeCertificates,
        Effect::EndDeployments,
    ]),
};

/// The certificates are on hold: with them the device is still given the command that wipes their
/// keys, and then they are revoked.
const TO_TRANSFER: Rule = Rule {
    ways: &[way(Actor::Operator, Approval::Policy, Proofs::NONE, Grade::Plain)],
    effects: Effects::of(&[
        Effect::CloseConnections,
        Effect::HoldCertificates,
        Effect::EndDeployments,
    ]),
};

const RESTORE: Rule = Rule {
    ways: &[
        way(Actor::Hub, Approval::None, Proofs::of(&[Proof::Attested]), Grade::Attested),
        way(Actor::Operator, Approval::One, Proofs::of(&[Proof::Attested]), Grade::Attested),
        way(
            Actor::Operator,
            Approval::Policy,
            Proofs::of(&[Proof::Possession]),
            Grade::NotAttested,
        ),
    ],
    effects: Effects::of(&[Effect::ReleaseCertificates]),
};

const BACK_FROM_SERVICE: Rule = Rule {
    ways: &[way(
        Actor::Operator,
        Approval::Policy,
        Proofs::of(&[Proof::NewOperationalKeys]),
        Grade::Plain,
    )],
    effects: Effects::of(&[Effect::CloseConnections]),
};

const HAND_OVER: Rule = Rule {
    ways: &[way(
        Actor::Operator,
        Approval::One,
        Proofs::of(&[Proof::OperationalKeysWiped]),
        Grade::Plain,
    )],
    effects: Effects::of(&[]),
};

const RETIRE: Rule = Rule {
    ways: &[way(Actor::Operator, Approval::Policy, Proofs::NONE, Grade::Plain)],
    effects: Effects::of(&[
        Effect::CloseConnections,
        Effect::RevokeCertificates,
        Effect::BarForever,
        Effect::EndDeployments,
    ]),
};
