//! Commands: what people signed, brought by an order. The hub alone can do none of it.

use ringfort_cose::{AwsLc, Reason, SoftSigner};
use ringfort_device::{Actions, Detail, Device, Event, Phase, Record, RolledBack, Slot};
use ringfort_messages::UpdateState;
use ringfort_trust::CommandAction::{self, DebugUnlock, Decommission, WipeOperational};
use ringfort_trust::ids::{DeviceId, Nonce, OrderNumber, UnixTime};
use ringfort_trust::{CommandClaims, Task};

use crate::kit::*;

/// A device with a confirmed release in slot A.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.install(10, 100);
    bench
}

fn sign(bench: &Bench, claims: &CommandClaims) -> Vec<u8> {
    claims.sign(&AwsLc, &[&bench.fleet.command_keys[0]]).unwrap()
}

/// The hub orders what the command says, and hands it over.
fn order(bench: &mut Bench, number: u64, action: CommandAction, command: &[u8]) -> Actions {
    let token = bench.fleet.command_order(number, action, command);
    bench.answer_with(&token, Some(command))
}

/// The device refuses, says why, and nothing is wiped.
#[track_caller]
fn refused(bench: &mut Bench, actions: &Actions, reason: Reason) {
    assert_eq!(names(actions), format!("Persist Refused({reason:?}) ReportRefusal"));
    let report = bench.device.refusal_report().unwrap();
    assert_eq!((report.state, report.reason), (UpdateState::Refused, Some(reason.into())));
    let record = bench.device.record();
    assert_eq!((record.command, record.decommissioned), (None, false));
    assert_eq!(record.active, Some(Slot::A));
}

const TAKEN_WIPE: &str = "Persist AdvanceCounter ReportProgress WipeOperational";

#[test]
fn a_wipe_is_taken_once_carried_out_and_reported_at_the_next_check_in() {
    let mut bench = bench();
    let command = sign(&bench, &bench.fleet.command_claims(1, WipeOperational));
    let actions = order(&mut bench, 20, WipeOperational, &command);
    assert_eq!(names(&actions), TAKEN_WIPE);
    let report = bench.device.progress_report().unwrap();
    assert_eq!((report.order, report.state), (OrderNumber(20), UpdateState::Written));
    assert_eq!(report.manifest, ringfort_cose::Verify::sha256(&AwsLc, &[&command]));
    assert_eq!(names(&bench.give(Event::CommandDone { failed: None })), "Persist");
    let record = bench.device.record();
    assert_eq!(record.link, None, "what the old operator's hub gave is gone");
    assert_eq!(record.active, Some(Slot::A), "the release stays, and with it the floor");
    assert_eq!(record.floor.unwrap().sequence.0, 100);
    let status = bench.device.update_status().unwrap();
    assert_eq!((status.order, status.state), (OrderNumber(20), UpdateState::Confirmed));
    assert_eq!(bench.device.result_report().unwrap().state, UpdateState::Confirmed);
    // The same command under a new order: its number is used up.
    let again = order(&mut bench, 30, WipeOperational, &command);
    refused(&mut bench, &again, Reason::OrderReplayed);
}

#[test]
fn a_decommissioned_device_has_its_last_word_and_then_nothing() {
    let mut bench = bench();
    let command = sign(&bench, &bench.fleet.command_claims(1, Decommission));
    let actions = order(&mut bench, 20, Decommission, &command);
    assert_eq!(names(&actions), "Persist AdvanceCounter ReportProgress DestroyIdentity");
    assert_eq!(bench.device.record().active, None);
    let last_word = bench.give(Event::CommandDone { failed: None });
    assert_eq!(names(&last_word), "Persist ReportResult WipeOperational");
    assert_eq!(bench.device.result_report().unwrap().state, UpdateState::Confirmed);
    assert_eq!(names(&bench.give(Event::CommandDone { failed: None })), "Persist End");
    assert_eq!(names(&bench.restart()), "End");
    let install = bench.fleet.order(40, digest(9));
    assert_eq!(names(&bench.answer(&install)), "End");
}

#[test]
fn debugging_is_unlocked_for_the_nonce_that_was_read_and_once() {
    let mut bench = bench();
    let mut device = bench.device.clone();
    device.offer_debug_nonce(Nonce([9; 16]));
    device.offer_debug_nonce(Nonce([8; 16]));
    assert_eq!(device.debug_nonce(), Some(Nonce([9; 16])), "an unused one stays");
    (bench.device, bench.stored) = (device.clone(), *device.record());
    let mut claims = bench.fleet.command_claims(1, DebugUnlock);
    claims.nonce = Some(Nonce([7; 16]));
    let command = sign(&bench, &claims);
    let actions = order(&mut bench, 20, DebugUnlock, &command);
    refused(&mut bench, &actions, Reason::NonceMismatch);
    claims.nonce = Some(Nonce([9; 16]));
    let command = sign(&bench, &claims);
    let actions = order(&mut bench, 20, DebugUnlock, &command);
    assert_eq!(names(&actions), "Persist AdvanceCounter ReportProgress UnlockDebug");
    assert_eq!(bench.device.debug_nonce(), None);
    assert_eq!(names(&bench.give(Event::CommandDone { failed: None })), "Persist ReportResult");
    assert_eq!(bench.device.result_report().unwrap().state, UpdateState::Confirmed);
}

#[test]
fn what_a_restart_cut_is_not_unlocked_any_more() {
    let mut bench = bench();
    let mut device = bench.device.clone();
    device.offer_debug_nonce(Nonce([9; 16]));
    (bench.device, bench.stored) = (device.clone(), *device.record());
    let mut claims = bench.fleet.command_claims(1, DebugUnlock);
    claims.nonce = Some(Nonce([9; 16]));
    let command = sign(&bench, &claims);
    order(&mut bench, 20, DebugUnlock, &command);
    assert_eq!(names(&bench.restart()), "Persist ReportResult");
    let report = bench.device.result_report().unwrap();
    assert_eq!(report.reason, Some(Reason::CommandFailed.into()));
}

#[test]
fn a_host_that_cannot_unlock_says_so() {
    let mut bench = bench();
    let settings = ringfort_device::Settings { debug_unlock: false, ..settings() };
    let record = *bench.device.record();
    bench.device = Device::new(identity(), settings, record, record.counter).unwrap();
    bench.device.offer_debug_nonce(Nonce([9; 16]));
    assert_eq!(bench.device.debug_nonce(), None);
    let mut claims = bench.fleet.command_claims(1, DebugUnlock);
    claims.nonce = Some(Nonce([9; 16]));
    let command = sign(&bench, &claims);
    let actions = order(&mut bench, 20, DebugUnlock, &command);
    refused(&mut bench, &actions, Reason::NonceMismatch);
}

#[test]
fn whatever_cuts_a_command_it_goes_on_after_a_restart() {
    let mut bench = bench();
    let command = sign(&bench, &bench.fleet.command_claims(1, WipeOperational));
    order(&mut bench, 20, WipeOperational, &command);
    for _ in 0..2 {
        assert_eq!(names(&bench.restart()), "ReportProgress WipeOperational");
    }
    bench.give(Event::CommandDone { failed: None });
    assert_eq!(names(&bench.restart()), "ReportResult");
    let command = sign(&bench, &bench.fleet.command_claims(2, Decommission));
    order(&mut bench, 30, Decommission, &command);
    assert_eq!(names(&bench.restart()), "ReportProgress DestroyIdentity");
    bench.give(Event::CommandDone { failed: None });
    assert_eq!(names(&bench.restart()), "ReportResult WipeOperational");
    bench.give(Event::ResultReported { order: OrderNumber(30) });
    assert_eq!(names(&bench.restart()), "ReportResult WipeOperational");
    bench.give(Event::CommandDone { failed: None });
    assert_eq!(names(&bench.restart()), "End");
}

#[test]
fn the_state_from_before_a_command_is_not_taken_up_again() {
    let mut bench = bench();
    let before = *bench.device.record();
    let command = sign(&bench, &bench.fleet.command_claims(1, WipeOperational));
    order(&mut bench, 20, WipeOperational, &command);
    let counter = bench.stored.counter;
    assert_eq!(counter, before.counter + 1);
    let back = Device::new(identity(), settings(), before, counter);
    assert_eq!(back.unwrap_err(), RolledBack { record: before.counter, counter });
    assert!(Device::new(identity(), settings(), bench.stored, counter).is_ok());
}

#[test]
fn while_a_command_is_carried_out_nothing_else_begins() {
    let mut bench = bench();
    let command = sign(&bench, &bench.fleet.command_claims(1, WipeOperational));
    order(&mut bench, 20, WipeOperational, &command);
    let install = bench.fleet.order(40, digest(9));
    assert_eq!(names(&bench.answer(&install)), "Persist");
    let other = sign(&bench, &bench.fleet.command_claims(2, Decommission));
    assert_eq!(names(&order(&mut bench, 50, Decommission, &other)), "Persist");
    assert_eq!(bench.device.record().command.unwrap().action, WipeOperational);
}

/// An update that has not switched gives way; a trial ends first.
#[test]
fn a_command_ends_a_download_and_waits_for_a_trial() {
    let payload: &[u8] = b"payload of the new release";
    for on_trial in [false, true] {
        let mut bench = bench();
        let envelope = bench.fleet.release(200, &[payload]);
        let install = bench.fleet.order(20, manifest_of(&envelope));
        bench.answer(&install);
        bench.give(Event::Manifest { envelope: &envelope });
        if on_trial {
            bench.payload_written(0, payload);
            bench.answer(&install);
        }
        let command = sign(&bench, &bench.fleet.command_claims(1, WipeOperational));
        let actions = order(&mut bench, 30, WipeOperational, &command);
        let update = bench.device.record().update;
        if on_trial {
            assert_eq!(names(&actions), "Persist");
            assert!(matches!(update.unwrap().phase, Phase::Trial { .. }));
        } else {
            let expected = "Persist AdvanceCounter ReportResult ReportProgress WipeOperational";
            assert_eq!(names(&actions), expected);
            let report = bench.device.result_report().unwrap();
            assert_eq!(report.reason, Some(Reason::Superseded.into()));
            assert_eq!(update, None);
        }
    }
}

/// One attack: what is changed about an order and a command that would be taken.
struct Attack {
    name: &'static str,
    reason: Reason,
    make: fn(&mut Bench) -> Actions,
}

const ATTACKS: [Attack; 11] = [
    Attack {
        name: "an order without its command",
        reason: Reason::CommandDigest,
        make: |bench| {
            let command = sign(bench, &bench.fleet.command_claims(1, WipeOperational));
            let token = bench.fleet.command_order(20, WipeOperational, &command);
            bench.answer_with(&token, None)
        },
    },
    Attack {
        name: "another command than the one that the order names",
        reason: Reason::CommandDigest,
        make: |bench| {
            let command = sign(bench, &bench.fleet.command_claims(1, WipeOperational));
            let token = bench.fleet.command_order(20, WipeOperational, b"another");
            bench.answer_with(&token, Some(&command))
        },
    },
    Attack {
        name: "an order for more than the command says",
        reason: Reason::CommandDigest,
        make: |bench| {
            let command = sign(bench, &bench.fleet.command_claims(1, WipeOperational));
            order(bench, 20, Decommission, &command)
        },
    },
    Attack {
        name: "a command that the hub made up with its own key",
        reason: Reason::UntrustedSigner,
        make: |bench| {
            let claims = bench.fleet.command_claims(1, Decommission);
            let command = claims.sign(&AwsLc, &[&bench.fleet.order_key]).unwrap();
            order(bench, 20, Decommission, &command)
        },
    },
    Attack {
        name: "a release key as a command key",
        reason: Reason::UntrustedSigner,
        make: |bench| {
            let claims = bench.fleet.command_claims(1, WipeOperational);
            let command = claims.sign(&AwsLc, &[&bench.fleet.release_keys[0]]).unwrap();
            order(bench, 20, WipeOperational, &command)
        },
    },
    Attack {
        name: "a key that nobody named",
        reason: Reason::UntrustedSigner,
        make: |bench| {
            let stranger = SoftSigner::generate_p256().unwrap();
            let claims = bench.fleet.command_claims(1, WipeOperational);
            let command = claims.sign(&AwsLc, &[&stranger]).unwrap();
            order(bench, 20, WipeOperational, &command)
        },
    },
    Attack {
        name: "a command changed by one bit",
        reason: Reason::BadSignature,
        make: |bench| {
            let mut command = sign(bench, &bench.fleet.command_claims(1, WipeOperational));
            *command.last_mut().unwrap() ^= 1;
            order(bench, 20, WipeOperational, &command)
        },
    },
    Attack {
        name: "another device's command",
        reason: Reason::WrongRecipient,
        make: |bench| {
            let mut claims = bench.fleet.command_claims(1, WipeOperational);
            claims.device = DeviceId::new("dev-b").unwrap();
            let command = sign(bench, &claims);
            order(bench, 20, WipeOperational, &command)
        },
    },
    Attack {
        name: "another fleet's command",
        reason: Reason::WrongIssuer,
        make: |bench| {
            let mut claims = bench.fleet.command_claims(1, WipeOperational);
            claims.fleet.0[0] ^= 1;
            let command = sign(bench, &claims);
            order(bench, 20, WipeOperational, &command)
        },
    },
    Attack {
        name: "an expired command",
        reason: Reason::Expired,
        make: |bench| {
            let mut claims = bench.fleet.command_claims(1, WipeOperational);
            (claims.issued, claims.expires) = (UnixTime(NOW - 60), UnixTime(NOW));
            let command = sign(bench, &claims);
            order(bench, 20, WipeOperational, &command)
        },
    },
    Attack {
        name: "an old number of the same command key",
        reason: Reason::OrderReplayed,
        make: |bench| {
            let newer = sign(bench, &bench.fleet.command_claims(5, WipeOperational));
            order(bench, 20, WipeOperational, &newer);
            bench.give(Event::CommandDone { failed: None });
            bench.give(Event::ResultReported { order: OrderNumber(20) });
            let older = sign(bench, &bench.fleet.command_claims(4, WipeOperational));
            order(bench, 30, WipeOperational, &older)
        },
    },
];

#[test]
fn a_hub_alone_can_neither_wipe_nor_decommission() {
    for attack in ATTACKS {
        let mut bench = bench();
        let actions = (attack.make)(&mut bench);
        let found = names(&actions);
        let expected = format!("Persist Refused({:?}) ReportRefusal", attack.reason);
        assert_eq!(found, expected, "{}", attack.name);
        refused(&mut bench, &actions, attack.reason);
        // The same device takes the command of people, and a higher number.
        let command = sign(&bench, &bench.fleet.command_claims(9, WipeOperational));
        let actions = order(&mut bench, 90, WipeOperational, &command);
        assert_eq!(names(&actions), TAKEN_WIPE, "after {}", attack.name);
    }
}

#[test]
fn numbers_are_kept_for_each_command_key_and_dropped_with_it() {
    let mut bench = bench();
    let take = |bench: &mut Bench, order_number, key: usize, number| {
        let claims = bench.fleet.command_claims(number, WipeOperational);
        let command = claims.sign(&AwsLc, &[&bench.fleet.command_keys[key]]).unwrap();
        let actions = order(bench, order_number, WipeOperational, &command);
        bench.give(Event::CommandDone { failed: None });
        names(&actions)
    };
    assert_eq!(take(&mut bench, 20, 0, 100), TAKEN_WIPE);
    assert_eq!(take(&mut bench, 30, 1, 1), TAKEN_WIPE, "another key has numbers of its own");
    assert_eq!(bench.device.record().command_ledgers.iter().count(), 2);
    let dropped = ringfort_cose::Sign::public_key(&bench.fleet.command_keys[0]);
    let document = bench.fleet.next(|spec| spec.keys.retain(|key| key.key != dropped));
    bench.give(Event::Anchors { document: &document });
    assert_eq!(bench.device.record().command_ledgers.iter().count(), 1);
    let actions = take(&mut bench, 40, 0, 200);
    assert_eq!(actions, "Persist Refused(UntrustedSigner) ReportRefusal");
}

#[test]
fn two_people_have_to_consent_where_the_anchors_ask_for_two() {
    let mut bench = bench();
    let alone = sign(&bench, &bench.fleet.command_claims(1, WipeOperational));
    let document = bench.fleet.next(|spec| spec.command_threshold = 2);
    bench.give(Event::Anchors { document: &document });
    let actions = order(&mut bench, 20, WipeOperational, &alone);
    refused(&mut bench, &actions, Reason::ThresholdNotMet);
    let key = &bench.fleet.command_keys[1];
    let both = CommandClaims::add_signature(&alone, &AwsLc, key).unwrap();
    assert_eq!(names(&order(&mut bench, 30, WipeOperational, &both)), TAKEN_WIPE);
    assert_eq!(bench.device.record().command_ledgers.iter().count(), 2);
}

#[test]
fn a_command_on_an_offline_medium_comes_with_its_order() {
    let mut bench = bench();
    let command = sign(&bench, &bench.fleet.command_claims(1, WipeOperational));
    let mut claims = bench.fleet.order_claims(20, digest(0));
    claims.nonce = None;
    if let ringfort_trust::Content::Order(order) = &mut claims.content {
        let command = ringfort_cose::Verify::sha256(&AwsLc, &[&command]);
        order.task = Task::Command { action: WipeOperational, command };
    }
    let token = bench.fleet.sign(&claims);
    let without = bench.give(Event::OfflineOrder { token: &token, command: None });
    refused(&mut bench, &without, Reason::CommandDigest);
    let actions = bench.give(Event::OfflineOrder { token: &token, command: Some(&command) });
    assert_eq!(names(&actions), TAKEN_WIPE);
}

#[test]
fn a_record_of_the_first_format_is_read() {
    let mut bench = bench();
    let mut buffer = [0; Record::MAX_LEN];
    let bytes = bench.stored.encode_into(&mut buffer).unwrap();
    // Format 1 ends at the counter: no ledgers, no command, no nonce, not decommissioned.
    let tail = [0x80, 0xf6, 0xf6, 0xf4];
    let mut first = bytes.strip_suffix(&tail).unwrap().to_vec();
    assert_eq!(first[..2], [0x90, 0x02]);
    first[..2].copy_from_slice(&[0x8c, 0x01]);
    assert_eq!(Record::decode(&first), Ok(bench.stored));
    first[1] = 3;
    assert_eq!(Record::decode(&first), Err(Reason::Unsupported));
    // What is in progress is stored too.
    let command = sign(&bench, &bench.fleet.command_claims(1, Decommission));
    order(&mut bench, 20, Decommission, &command);
    bench.give(Event::CommandDone { failed: None });
    bench.restart();
    assert!(bench.device.record().command.is_some());
    assert_eq!(Detail::EMPTY.as_str(), "");
}
