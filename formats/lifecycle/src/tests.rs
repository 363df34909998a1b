//! The table of section "lifecycle" in docs/formats.md, held pair by pair.

extern crate std;
use std::string::String;
use std::vec::Vec;

use super::*;
use ringfort_cose::Reason;

/// Every legal move. The other 48 pairs are refused.
const LEGAL: [(State, State); 16] = [
    (State::Created, State::Manufacturing),
    (State::Manufacturing, State::Provisioned),
    (State::Provisioned, State::Deployed),
    (State::Deployed, State::Suspended),
    (State::Deployed, State::Service),
    (State::Deployed, State::Transfer),
    (State::Suspended, State::Deployed),
    (State::Service, State::Deployed),
    (State::Transfer, State::Provisioned),
    (State::Created, State::Retired),
    (State::Manufacturing, State::Retired),
    (State::Provisioned, State::Retired),
    (State::Deployed, State::Retired),
    (State::Suspended, State::Retired),
    (State::Service, State::Retired),
    (State::Transfer, State::Retired),
];

const ACTORS: [Actor; 4] = [Actor::Factory, Actor::Device, Actor::Hub, Actor::Operator];

fn request(actor: Actor, given: u8, proofs: Proofs) -> Request {
    Request { actor, approvals: Approvals { given, required: 2 }, proofs }
}

#[test]
fn every_pair_has_its_rule_or_its_refusal() {
    for from in State::ALL {
        for to in State::ALL {
            let anyone = ACTORS.map(|actor| judge(from, to, &request(actor, 2, Proofs::ALL)));
            if LEGAL.contains(&(from, to)) {
                let moved = anyone.iter().flatten().next().expect("someone may make the move");
                assert_eq!((moved.from, moved.to), (from, to));
                assert!(anyone.iter().flatten().count() >= 1);
            } else {
                assert_eq!(anyone, [Err(Reason::IllegalMove); 4], "{from} to {to}");
            }
        }
    }
}

#[test]
fn nothing_leads_out_of_retired_or_back_to_manufacturing() {
    for state in State::ALL {
        assert!(rule(State::Retired, state).is_none());
        if state != State::Created {
            assert!(rule(state, State::Manufacturing).is_none());
        }
        assert!(rule(state, state).is_none());
        assert!(rule(state, State::Created).is_none());
    }
}

/// Each way of each rule needs its actor, each of its proofs, and its approvals.
#[test]
fn every_way_needs_all_that_it_asks_for() {
    for (from, to) in LEGAL {
        let rule = rule(from, to).expect("legal");
        for way in rule.ways {
            let people = way.approval.required(2);
            let enough = request(way.actor, people, way.proofs);
            assert!(judge(from, to, &enough).is_ok(), "{from} to {to}");
            if people > 0 {
                let fewer = request(way.actor, people - 1, way.proofs);
                assert_eq!(judge(from, to, &fewer), Err(Reason::ApprovalRequired));
            }
            for proof in Proof::ALL.into_iter().filter(|proof| way.proofs.has(*proof)) {
                let rest: Vec<Proof> = Proof::ALL.into_iter().filter(|p| *p != proof).collect();
                let without = judge(from, to, &request(way.actor, 2, Proofs::of(&rest)));
                // Restoring has another way, by the proof that is left.
                let other_way = rule.ways.iter().any(|other| {
                    other.actor == way.actor && Proofs::of(&rest).missing(other.proofs).is_none()
                });
                assert_eq!(without.is_ok(), other_way, "{from} to {to} without {}", proof.name());
                if !other_way {
                    assert_eq!(without, Err(Reason::ProofMissing));
                }
            }
        }
        for actor in ACTORS {
            let listed = rule.ways.iter().any(|way| way.actor == actor);
            let judged = judge(from, to, &request(actor, 2, Proofs::ALL));
            assert_eq!(judged.is_ok(), listed, "{from} to {to} by {actor:?}");
            if !listed {
                assert_eq!(judged, Err(Reason::RoleForbids));
            }
        }
    }
}

#[test]
fn a_suspended_device_comes_back_attested_or_visibly_not() {
    let back = |actor, given, proof| {
        judge(State::Suspended, State::Deployed, &request(actor, given, Proofs::of(proof)))
    };
    let grade = |judged: Result<Move, Reason>| judged.map(|moved| moved.grade);
    assert_eq!(grade(back(Actor::Hub, 0, &[Proof::Attested])), Ok(Grade::Attested));
    assert_eq!(grade(back(Actor::Operator, 1, &[Proof::Attested])), Ok(Grade::Attested));
    let possession = &[Proof::Possession];
    assert_eq!(grade(back(Actor::Operator, 2, possession)), Ok(Grade::NotAttested));
    assert_eq!(grade(back(Actor::Operator, 1, possession)), Err(Reason::ApprovalRequired));
    assert_eq!(grade(back(Actor::Hub, 0, possession)), Err(Reason::ProofMissing));
    assert_eq!(grade(back(Actor::Device, 0, possession)), Err(Reason::RoleForbids));
}

#[test]
fn a_policy_of_one_person_still_needs_that_person() {
    let judge_with = |given, required| {
        let approvals = Approvals { given, required };
        let request = Request { actor: Actor::Operator, approvals, proofs: Proofs::NONE };
        judge(State::Deployed, State::Retired, &request).map(|moved| moved.to)
    };
    assert_eq!(judge_with(1, 1), Ok(State::Retired));
    assert_eq!(judge_with(0, 1), Err(Reason::ApprovalRequired));
    assert_eq!(judge_with(0, 0), Err(Reason::ApprovalRequired));
    assert_eq!(judge_with(1, 2), Err(Reason::ApprovalRequired));
    assert_eq!(judge_with(2, 2), Ok(State::Retired));
}

#[test]
fn rights_are_exactly_the_table() {
    let table = [
        (State::Created, ""),
        (State::Manufacturing, "provision"),
        (State::Provisioned, "enrol time"),
        (State::Deployed, "re-enter renew time check-in update attest"),
        (State::Suspended, "re-enter time check-in update attest"),
        (State::Service, "re-enter time service"),
        (State::Transfer, "re-enter time check-in"),
        (State::Retired, ""),
    ];
    for (state, rights) in table {
        let names: Vec<&str> =
            Right::ALL.into_iter().filter(|right| state.may(*right)).map(Right::name).collect();
        assert_eq!(names.join(" "), rights, "{state}");
    }
}

#[test]
fn leaving_the_field_closes_and_revokes() {
    let effects = |from, to| rule(from, to).expect("legal").effects;
    let transfer = effects(State::Deployed, State::Transfer);
    assert!(transfer.has(Effect::CloseConnections) && transfer.has(Effect::HoldCertificates));
    assert!(effects(State::Transfer, State::Retired).has(Effect::RevokeCertificates));
    for state in [State::Service, State::Retired] {
        let effects = effects(State::Deployed, state);
        assert!(effects.has(Effect::CloseConnections));
        assert!(effects.has(Effect::RevokeCertificates));
        assert_eq!(effects.has(Effect::BarForever), state == State::Retired);
    }
    let suspended = effects(State::Deployed, State::Suspended);
    assert!(suspended.has(Effect::CloseConnections) && suspended.has(Effect::HoldCertificates));
    assert!(!suspended.has(Effect::RevokeCertificates));
    assert!(effects(State::Suspended, State::Deployed).has(Effect::ReleaseCertificates));
}

#[test]
fn a_token_outside_its_row_suspends_or_alarms_and_one_inside_does_neither() {
    let table: [(State, &[u16]); 8] = [
        (State::Created, &[]),
        (State::Manufacturing, &[0x10, 0x20]),
        (State::Provisioned, &[0x30]),
        (State::Deployed, &[0x30]),
        (State::Suspended, &[0x30]),
        (State::Service, &[0x30, 0x40, 0x50]),
        (State::Transfer, &[0x30]),
        (State::Retired, &[0x60]),
    ];
    for (state, row) in table {
        for claim in 0..=u16::MAX {
            let expected = match (row.contains(&(claim >> 8)), state) {
                (true, _) => TokenVerdict::Consistent,
                (false, State::Deployed) => TokenVerdict::Suspend,
                (false, _) => TokenVerdict::Alarm,
            };
            assert_eq!(state.judge_token(claim), expected, "{state} {claim:#06x}");
        }
    }
    assert_eq!(State::Deployed.judge_token(0x3000), TokenVerdict::Consistent);
    assert_eq!(State::Deployed.judge_token(0x4000), TokenVerdict::Suspend);
    assert_eq!(State::Service.judge_token(0x5001), TokenVerdict::Consistent);
    assert_eq!(State::Suspended.judge_token(0x2000), TokenVerdict::Alarm);
}

#[test]
fn names_find_their_states() {
    for state in State::ALL {
        assert_eq!(State::from_name(state.name()), Ok(state));
    }
    assert_eq!(State::from_name(&String::from("Deployed")), Err(Reason::Malformed));
}
