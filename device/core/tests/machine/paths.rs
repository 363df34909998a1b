//! Whole updates, and what is left after each.

use ringfort_cose::Reason;
use ringfort_device::{Action, Alarm, Device, Event, Record, RolledBack, Slot};
use ringfort_messages::{Protection, StoreKind, UpdateState};
use ringfort_trust::Content;
use ringfort_trust::ids::{OrderNumber, SequenceNumber, Text, UnixTime};

use crate::kit::*;

#[test]
fn two_updates_alternate_the_slots_and_raise_the_floor() {
    let mut bench = Bench::new();
    let first = bench.install(1, 100);
    assert_eq!(bench.stored.active, Some(Slot::A));
    let second = bench.install(2, 200);
    let record = bench.stored;
    assert_eq!(record.active, Some(Slot::B));
    assert_eq!(record.slot(Slot::A), None, "the old slot never boots by itself again");
    assert_eq!(record.floor.unwrap().sequence, SequenceNumber(200));
    assert_eq!(record.floor.unwrap().manifest, manifest_of(&second));
    assert_ne!(manifest_of(&first), manifest_of(&second));
    assert_eq!(record.running().unwrap().version.as_str(), "v200");
    assert_eq!(record.counter, 2);
    assert_eq!(record.last.unwrap().state, UpdateState::Confirmed);
}

#[test]
fn written_and_booted_is_trial_and_not_confirmed() {
    let mut bench = Bench::new();
    let envelope = bench.fleet.release(100, &[b"p"]);
    let order = bench.fleet.order(1, manifest_of(&envelope));
    bench.answer(&order);
    bench.give(Event::Manifest { envelope: &envelope });
    bench.payload_written(0, b"p");
    assert_eq!(bench.device.progress_report().unwrap().state, UpdateState::Written);
    bench.answer(&order);
    bench.give(Event::Restarted);
    assert_eq!(bench.device.progress_report().unwrap().state, UpdateState::Trial);
    assert!(bench.stored.floor.is_none());
    let check_in = check_in(&bench);
    assert!(check_in.classes.iter().all(|class| class.running.is_none()));
    bench.give(Event::Health { failed: None });
    assert_eq!(bench.device.result_report().unwrap().state, UpdateState::Confirmed);
}

#[test]
fn c38_a_release_of_two_payloads_is_written_only_when_both_are() {
    let mut bench = Bench::new();
    let envelope = bench.fleet.release(100, &[b"one", b"two"]);
    bench.answer(&bench.fleet.order(1, manifest_of(&envelope)));
    bench.give(Event::Manifest { envelope: &envelope });
    let actions = bench.payload_written(0, b"one");
    assert_eq!(names(&actions), "FetchPayload");
    assert!(bench.stored.slot(Slot::A).is_none());
    assert_eq!(names(&bench.payload_written(1, b"two")), "Persist ReportProgress CheckIn");
    assert!(bench.stored.slot(Slot::A).is_some());
}

#[test]
fn writing_starts_with_an_invalid_slot() {
    let mut bench = Bench::new();
    bench.install(1, 100);
    // A release that is written, then superseded, leaves a slot without a record.
    let envelope = bench.fleet.release(200, &[b"p"]);
    bench.answer(&bench.fleet.order(2, manifest_of(&envelope)));
    bench.give(Event::Manifest { envelope: &envelope });
    bench.payload_written(0, b"p");
    assert!(bench.stored.slot(Slot::B).is_some());
    let next = bench.fleet.release(300, &[b"q"]);
    bench.answer(&bench.fleet.order(3, manifest_of(&next)));
    assert!(bench.stored.slot(Slot::B).is_none());
    assert_eq!(bench.stored.last.unwrap().reason, Some(Reason::Superseded));
    assert_eq!(bench.stored.running().unwrap().version.as_str(), "v100");
}

#[test]
fn c21_a_spent_budget_reverts_and_the_release_may_be_offered_again() {
    let mut bench = Bench::new();
    bench.install(1, 100);
    let envelope = bench.fleet.release(200, &[b"p"]);
    let order = bench.fleet.order(2, manifest_of(&envelope));
    bench.answer(&order);
    bench.give(Event::Manifest { envelope: &envelope });
    bench.payload_written(0, b"p");
    bench.answer(&order);
    assert_eq!(names(&bench.restart()), "Persist Activate(Some(B)) Restart");
    assert_eq!(names(&bench.restart()), "Persist Activate(Some(A)) Restart");
    bench.give(Event::Restarted);
    assert_eq!(bench.stored.last.unwrap().reason, Some(Reason::TrialBudgetSpent));
    assert_eq!(bench.stored.last.unwrap().state, UpdateState::Reverted);
    assert_eq!(bench.stored.floor.unwrap().sequence, SequenceNumber(100));
    let again = bench.fleet.order(3, manifest_of(&envelope));
    assert_eq!(names(&bench.answer(&again)), "Persist ReportProgress FetchManifest");
    assert_eq!(
        names(&bench.give(Event::Manifest { envelope: &envelope })),
        "Persist ReportProgress PrepareSlot FetchPayload"
    );
}

#[test]
fn restarts_of_a_confirmed_device_spend_nothing() {
    let mut bench = Bench::new();
    bench.install(1, 100);
    for _ in 0..10 {
        assert!(bench.restart().is_empty());
    }
    assert_eq!(bench.stored.active, Some(Slot::A));
}

#[test]
fn the_first_release_reverts_to_nothing() {
    let mut bench = Bench::new();
    let envelope = bench.fleet.release(100, &[b"p"]);
    let order = bench.fleet.order(1, manifest_of(&envelope));
    bench.answer(&order);
    bench.give(Event::Manifest { envelope: &envelope });
    bench.payload_written(0, b"p");
    bench.answer(&order);
    let failed = Some(ringfort_device::Detail::lossy("down"));
    assert_eq!(names(&bench.give(Event::Health { failed })), "Persist Activate(None) Restart");
    bench.give(Event::Restarted);
    let report = bench.device.result_report().unwrap();
    assert_eq!(report.state, UpdateState::Reverted);
    assert_eq!(report.detail.as_str(), "down");
}

#[test]
fn the_running_release_ordered_again_is_confirmed_at_once() {
    let mut bench = Bench::new();
    let envelope = bench.install(1, 100);
    let actions = bench.answer(&bench.fleet.order(2, manifest_of(&envelope)));
    assert_eq!(names(&actions), "Persist ReportResult");
    assert_eq!(bench.device.result_report().unwrap().state, UpdateState::Confirmed);
    assert_eq!(bench.device.result_report().unwrap().order, OrderNumber(2));
}

#[test]
fn the_link_is_stored_with_the_order_before_anything_else() {
    let mut bench = Bench::new();
    let order = bench.fleet.order(1, digest(1));
    let actions = bench.answer(&order);
    assert_eq!(actions.iter().next(), Some(Action::Persist));
    assert_eq!(bench.stored.link, Some(link(1)));
    assert_eq!(check_in(&bench).link, Some(link(1)));
    assert_eq!(check_in(&bench).last_order, OrderNumber(1));
    // Also with a token that is refused.
    let mut bench = Bench::new();
    let actions = bench.answer(b"not a token");
    assert_eq!(names(&actions), "Persist Refused(Malformed)");
    assert_eq!(bench.stored.link, Some(link(1)));
}

#[test]
fn newer_anchors_come_before_orders_and_a_promise_of_them_does_not_stop_orders() {
    let mut bench = Bench::new();
    let token = bench.fleet.order(1, digest(1));
    let answer = answer(&token, 9);
    let next = Action::FetchAnchors(ringfort_trust::ids::AnchorsVersion(2));
    let actions = bench.give(Event::Answer { answer: &answer, nonce: NONCE });
    assert_eq!(names(&actions), "Persist FetchAnchors CheckIn");
    assert!(actions.iter().any(|action| action == next));
    assert!(bench.stored.update.is_none());
    // They did not come: the order counts, and they are asked for again.
    let actions = bench.give(Event::Answer { answer: &answer, nonce: NONCE });
    assert_eq!(names(&actions), "Persist ReportProgress FetchManifest FetchAnchors");
}

#[test]
fn a_machine_that_boots_the_slot_gets_as_many_boots_as_the_budget_says() {
    let mut bench = Bench::new();
    bench.install(1, 100);
    let envelope = bench.fleet.release(200, &[b"p"]);
    let order = bench.fleet.order(2, manifest_of(&envelope));
    bench.answer(&order);
    bench.give(Event::Manifest { envelope: &envelope });
    bench.payload_written(0, b"p");
    bench.answer(&order);
    for _ in 0..settings().trial_attempts {
        let actions = bench.give(Event::Started { booted: Some(Slot::B) });
        assert_eq!(names(&actions), "Persist RunHealthChecks");
    }
    let actions = bench.give(Event::Started { booted: Some(Slot::B) });
    assert_eq!(names(&actions), "Persist Activate(Some(A)) Restart");
    // The machine restarts into the old slot, and is not restarted again.
    let actions = bench.give(Event::Started { booted: Some(Slot::A) });
    assert_eq!(names(&actions), "Persist ReportResult");
    assert_eq!(bench.stored.last.unwrap().reason, Some(Reason::TrialBudgetSpent));
}

#[test]
fn an_audit_log_that_shrinks_or_forks_raises_an_alarm() {
    let mut bench = Bench::new();
    bench.answer(&bench.fleet.time(5));
    assert_eq!(bench.stored.audit.unwrap().size, 5);
    for size in [5, 6] {
        assert_eq!(names(&bench.answer(&bench.fleet.time(size))), "Persist");
    }
    let actions = bench.answer(&bench.fleet.time(4));
    assert!(actions.iter().any(|action| action == Action::Alarm(Alarm::AuditForked)));
    let forked =
        bench.fleet.claims(Content::Time(ringfort_trust::AuditHead { size: 6, root: digest(99) }));
    let actions = bench.answer(&bench.fleet.sign(&forked));
    assert!(actions.iter().any(|action| action == Action::Alarm(Alarm::AuditForked)));
    assert_eq!(bench.stored.audit.unwrap().root, digest(6));
}

#[test]
fn anchors_that_drop_a_hubs_key_let_go_of_its_audit_log_and_others_do_not() {
    for drops in [false, true] {
        let mut bench = Bench::new();
        bench.answer(&bench.fleet.time(5));
        let other = ringfort_cose::SoftSigner::generate_p256().unwrap();
        let document = bench.fleet.next(|spec| {
            if drops {
                let last = spec.keys.len() - 1;
                spec.keys[last].key = ringfort_cose::Sign::public_key(&other);
            }
        });
        bench.give(Event::Anchors { document: &document });
        assert_eq!(bench.stored.audit.map(|head| head.size), (!drops).then_some(5));
    }
}

#[test]
fn signed_time_sets_the_clock_both_ways_and_an_unsigned_one_never() {
    let mut bench = Bench::new();
    assert!(!bench.device.clock().is_trusted());
    let forged = bench.fleet.time(1)[1..].to_vec();
    bench.give(Event::SignedTime { token: &forged, nonce: NONCE });
    assert!(!bench.device.clock().is_trusted());
    bench.give(Event::SignedTime { token: &bench.fleet.time(1), nonce: NONCE });
    assert!(bench.device.clock().is_trusted());
    assert_eq!(bench.stored.ledgers.latest_time().0, NOW);
    bench.device.forget_time();
    assert!(!bench.device.clock().is_trusted());
    assert_eq!(bench.device.record().ledgers.latest_time().0, NOW, "the floor stays");
}

#[test]
fn a_revoked_running_release_raises_an_alarm_and_runs_on() {
    let mut bench = Bench::new();
    let envelope = bench.install(1, 100);
    let document = bench.fleet.next(|spec| spec.revoked.push(manifest_of(&envelope)));
    let actions = bench.give(Event::Anchors { document: &document });
    assert!(actions.iter().any(|action| action == Action::Alarm(Alarm::RunningRevoked)));
    assert_eq!(bench.stored.active, Some(Slot::A));
}

#[test]
fn a_restored_record_is_refused_where_the_counter_was_not_restored() {
    let mut bench = Bench::new();
    bench.install(1, 100);
    let old = bench.stored;
    bench.install(2, 200);
    let open = |record: Record, counter| Device::new(identity(), settings(), record, counter);
    assert_eq!(old.counter, 1);
    assert_eq!(open(old, 2).map(|_| ()), Err(RolledBack { record: 1, counter: 2 }));
    assert!(open(bench.stored, 2).is_ok());
    // A cut between the record and the counter's advance is finished at the next start.
    let mut cut = open(bench.stored, 1).unwrap();
    let anchors = bench.anchors.clone();
    let digest = ringfort_cose::Verify::sha256(&ringfort_cose::AwsLc, &[&anchors]);
    let anchors =
        ringfort_trust::Anchors::verify_pinned(&anchors, &digest, &ringfort_cose::AwsLc).unwrap();
    let env = ringfort_device::Env {
        anchors: &anchors,
        verifier: &ringfort_cose::AwsLc,
        uptime: ringfort_device::Uptime(0),
    };
    let mut starts = || names(&cut.handle(Event::Started { booted: None }, &env));
    assert_eq!(starts(), "AdvanceCounter");
    assert_eq!(starts(), "");
    assert!(open(bench.stored, 0).is_err());
}

#[test]
fn an_order_from_a_medium_needs_no_nonce_and_no_second_word() {
    let mut bench = Bench::new();
    let envelope = bench.fleet.release(100, &[b"p"]);
    let mut claims = bench.fleet.order_claims(1, manifest_of(&envelope));
    claims.nonce = None;
    let order = bench.fleet.sign(&claims);
    assert_eq!(
        names(&bench.give(Event::OfflineOrder { token: &order, command: None })),
        "Persist ReportProgress FetchManifest"
    );
    assert!(!bench.device.clock().is_trusted(), "a medium only raises the floor");
    bench.give(Event::Manifest { envelope: &envelope });
    assert_eq!(
        names(&bench.payload_written(0, b"p")),
        "Persist ReportProgress Persist ReportProgress Activate(Some(A)) Restart"
    );
}

fn check_in(bench: &Bench) -> ringfort_messages::CheckIn {
    let protection =
        Protection { store: StoreKind::SealedFile, hardware_keys: false, hardware_counter: false };
    let check_in = bench.device.check_in(NONCE, Text::lossy("agent"), protection).unwrap();
    let bytes = check_in.encode().unwrap();
    ringfort_messages::CheckIn::decode(&bytes).unwrap()
}

#[test]
fn ever_higher_promises_of_anchors_do_not_keep_a_device_at_asking() {
    let mut bench = Bench::new();
    let time = bench.fleet.time(1);
    let mut promise = |newest| {
        let answer = answer(&time, newest);
        names(&bench.give(Event::Answer { answer: &answer, nonce: NONCE }))
    };
    assert_eq!(promise(5), "Persist FetchAnchors CheckIn", "first what it is to believe");
    for newest in 6..20 {
        assert_eq!(promise(newest), "Persist FetchAnchors", "then the answer counts");
    }
}

#[test]
fn an_order_from_a_medium_that_is_proven_to_have_expired_is_not_switched_to() {
    for expired in [false, true] {
        let mut bench = Bench::new();
        let envelope = bench.fleet.release(100, &[b"p"]);
        let mut claims = bench.fleet.order_claims(1, manifest_of(&envelope));
        claims.nonce = None;
        let token = bench.fleet.sign(&claims);
        bench.give(Event::OfflineOrder { token: &token, command: None });
        // While its release is not there yet, people sign anchors, long after it.
        let end = claims.expires;
        let next = bench.fleet.next(|spec| {
            spec.time_floor = UnixTime(if expired { end.0 } else { end.0 - 1 });
        });
        bench.give(Event::Anchors { document: &next });
        bench.give(Event::Manifest { envelope: &envelope });
        let actions = names(&bench.payload_written(0, b"p"));
        let update = bench.stored.update.map(|update| update.phase.is_switched());
        match expired {
            true => {
                assert_eq!(actions, "Persist ReportProgress Persist ReportResult");
                let last = bench.stored.last.unwrap();
                assert_eq!((update, last.reason), (None, Some(Reason::Expired)));
            }
            false => assert_eq!(update, Some(true), "{actions}"),
        }
    }
}
