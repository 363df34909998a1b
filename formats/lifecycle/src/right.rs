//! What a device may do in each state.

use crate::State;

/// Something that a device asks of the hub. Every request is one of these.
///
/// Which certificate goes with it is the caller's check: [`Right::Enrol`] and
/// [`Right::ReEnter`] need the IDevID, [`Right::Time`] takes either, the others need the LDevID.
/// Anchors and EST's cacerts need no right: they are the same for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Right {
    /// Be named in a factory batch.
    Provision,
    /// Claim: the first enrolment of a UEID on the owner's list.
    Enrol,
    /// Enrol again with the IDevID (the operational certificate expired, or repair made new keys).
    /// In `deployed` it is granted, unless an earlier LDevID is alive: that is a clone alarm and
    /// waits for approval. In `suspended`, `service` and `transfer` it is heard: recorded,
    /// and granted only with the move that leads on.
    ReEnter,
    /// Renew the operational certificate.
    Renew,
    /// Get signed time.
    Time,
    /// Check in; the answer may hold an order.
    CheckIn,
    /// Be offered a release, fetch its manifest and objects, report how it went.
    Update,
    /// Hand in attestation evidence.
    Attest,
    /// Use the service endpoints: be given an order to unlock debugging, for instance.
    Service,
}

impl Right {
    /// Every right.
    pub const ALL: [Right; 9] = [
        Right::Provision,
        Right::Enrol,
        Right::ReEnter,
        Right::Renew,
        Right::Time,
        Right::CheckIn,
        Right::Update,
        Right::Attest,
        Right::Service,
    ];

    /// The name in logs and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Right::Provision => "provision",
            Right::Enrol => "enrol",
            Right::ReEnter => "re-enter",
            Right::Renew => "renew",
            Right::Time => "time",
            Right::CheckIn => "check-in",
            Right::Update => "update",
            Right::Attest => "attest",
            Right::Service => "service",
        }
    }
}

impl State {
    /// May a device in this state do this? A refusal is `lifecycle-forbids`.
    pub const fn may(self, right: Right) -> bool {
        match self {
            State::Created | State::Retired => false,
            // It is given the command to wipe, and then asks to enter: nothing else.
            State::Transfer => matches!(right, Right::ReEnter | Right::Time | Right::CheckIn),
            State::Manufacturing => matches!(right, Right::Provision),
            State::Provisioned => matches!(right, Right::Enrol | Right::Time),
            State::Deployed => matches!(
                right,
                Right::ReEnter
                    | Right::Renew
                    | Right::Time
                    | Right::CheckIn
                    | Right::Update
                    | Right::Attest
            ),
            State::Suspended => matches!(
                right,
                Right::ReEnter | Right::Time | Right::CheckIn | Right::Update | Right::Attest
            ),
            State::Service => matches!(right, Right::ReEnter | Right::Time | Right::Service),
        }
    }
}
