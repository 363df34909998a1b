//! Attacks, each with its positive twin.

use ringfort_cose::{AwsLc, Reason, SoftSigner};
use ringfort_device::{Action, Event, Record};
use ringfort_messages::UpdateState;
use ringfort_trust::ids::{AnchorsVersion, DeviceId, FleetId, Nonce};

use crate::kit::*;

/// Offers an envelope; returns the reason of its refusal, if it was refused.
fn offer(bench: &mut Bench, number: u64, envelope: &[u8]) -> Option<Reason> {
    let order = bench.fleet.order(number, manifest_of(envelope));
    bench.answer(&order);
    let actions = bench.give(Event::Manifest { envelope });
    match names(&actions).as_str() {
        "Persist ReportProgress PrepareSlot FetchPayload" => None,
        "Persist ReportResult" => {
            let last = bench.stored.last.unwrap();
            assert_eq!(last.state, UpdateState::Refused);
            last.reason
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_wrong_signer_too_few_signers_and_none() {
    let mut bench = Bench::new();
    let release = |bench: &Bench, sequence, signers: &[usize]| {
        bench.fleet.release_with(sequence, &[b"p"], |_| {}, signers)
    };
    let stranger = SoftSigner::generate_p256().unwrap();
    let mut forged = release(&bench, 100, &[]);
    for key in [&stranger, &SoftSigner::generate_p256().unwrap()] {
        forged = ringfort_suit::sign(&AwsLc, key, &forged).unwrap();
    }
    assert_eq!(offer(&mut bench, 1, &forged), Some(Reason::UntrustedSigner));
    let none = release(&bench, 101, &[]);
    assert_eq!(offer(&mut bench, 2, &none), Some(Reason::ThresholdNotMet));
    let one = release(&bench, 102, &[0]);
    assert_eq!(offer(&mut bench, 3, &one), Some(Reason::ThresholdNotMet));
    let twice_the_same = release(&bench, 103, &[0, 0]);
    assert_eq!(offer(&mut bench, 4, &twice_the_same), Some(Reason::ThresholdNotMet));
    let spare = release(&bench, 104, &[0, 1]);
    let spare = ringfort_suit::sign(&AwsLc, &stranger, &spare).unwrap();
    assert_eq!(offer(&mut bench, 5, &spare), Some(Reason::UntrustedSigner));
    let two = release(&bench, 105, &[0, 2]);
    assert_eq!(offer(&mut bench, 6, &two), None);
}

#[test]
fn an_older_version_an_equal_one_and_a_far_one() {
    let mut bench = Bench::new();
    bench.install(1, 1000);
    let offered = |bench: &mut Bench, number, sequence| {
        let envelope = bench.fleet.release(sequence, &[b"p"]);
        offer(bench, number, &envelope)
    };
    assert_eq!(offered(&mut bench, 2, 999), Some(Reason::SequenceTooLow));
    assert_eq!(offered(&mut bench, 3, 1000), Some(Reason::SequenceReused));
    assert_eq!(offered(&mut bench, 4, 1001 + (1 << 32)), Some(Reason::SequenceJump));
    assert_eq!(offered(&mut bench, 5, 1001), None);
}

#[test]
fn another_product_or_class() {
    let mut bench = Bench::new();
    for (number, vendor, class) in [(1, [9; 16], [3; 16]), (2, [2; 16], [9; 16])] {
        let envelope = bench.fleet.release_with(
            100,
            &[b"p"],
            |release| (release.components[0].vendor, release.components[0].class) = (vendor, class),
            &[0, 1],
        );
        assert_eq!(offer(&mut bench, number, &envelope), Some(Reason::WrongDevice));
    }
    let envelope = bench.fleet.release(100, &[b"p"]);
    assert_eq!(offer(&mut bench, 3, &envelope), None);
}

#[test]
fn a_revoked_release() {
    let mut bench = Bench::new();
    let envelope = bench.fleet.release(100, &[b"p"]);
    let document = bench.fleet.next(|spec| spec.revoked.push(manifest_of(&envelope)));
    bench.give(Event::Anchors { document: &document });
    assert_eq!(offer(&mut bench, 1, &envelope), Some(Reason::ReleaseRevoked));
    let other = bench.fleet.release(101, &[b"p"]);
    assert_eq!(offer(&mut bench, 2, &other), None);
}

#[test]
fn a_release_key_that_newer_anchors_dropped() {
    let mut bench = Bench::new();
    let before = bench.fleet.release_with(100, &[b"p"], |_| {}, &[0, 2]);
    let key = ringfort_cose::Sign::public_key(&SoftSigner::generate_p256().unwrap());
    let document = bench.fleet.next(|spec| spec.products[0].keys[2].key = key);
    bench.give(Event::Anchors { document: &document });
    assert_eq!(offer(&mut bench, 1, &before), Some(Reason::UntrustedSigner));
    let after = bench.fleet.release(101, &[b"p"]);
    assert_eq!(offer(&mut bench, 2, &after), None);
}

/// Gives a token in a check-in answer; returns why it was refused, if it was.
fn refused(bench: &mut Bench, token: &[u8]) -> Option<Reason> {
    bench.answer(token).iter().find_map(|action| match action {
        Action::Refused(reason) => Some(reason),
        _ => None,
    })
}

#[test]
fn orders_that_are_not_for_this_device_this_request_or_this_time() {
    let mut bench = Bench::new();
    let base = bench.fleet.order_claims(1, digest(1));
    type Change<'a> = &'a dyn Fn(&mut ringfort_trust::TokenClaims);
    let changes: [(Change<'_>, Reason); 5] = [
        (&|claims| claims.device = DeviceId::new("dev-b").unwrap(), Reason::WrongRecipient),
        (&|claims| claims.nonce = Some(Nonce([8; 16])), Reason::NonceMismatch),
        (&|claims| claims.nonce = None, Reason::NonceMismatch),
        (&|claims| claims.fleet = FleetId([9; 16]), Reason::WrongIssuer),
        (
            &|claims| {
                // Below the floor of the anchors.
                claims.issued.0 = 1_800_000_000;
                claims.expires.0 = 1_800_000_100;
            },
            Reason::Expired,
        ),
    ];
    for (change, reason) in changes {
        let mut claims = base;
        change(&mut claims);
        let token = bench.fleet.sign(&claims);
        assert_eq!(refused(&mut bench, &token), Some(reason));
        assert!(bench.stored.update.is_none());
    }
    let stranger = SoftSigner::generate_p256().unwrap();
    let forged = base.sign(&AwsLc, &stranger).unwrap();
    assert_eq!(refused(&mut bench, &forged), Some(Reason::UntrustedSigner));
    let token = bench.fleet.sign(&base);
    assert_eq!(refused(&mut bench, &token), None);
    assert!(bench.stored.update.is_some());
}

#[test]
fn an_order_that_needs_newer_anchors_waits_for_them() {
    let mut bench = Bench::new();
    let mut claims = bench.fleet.order_claims(1, digest(1));
    if let ringfort_trust::Content::Order(order) = &mut claims.content {
        order.min_anchors = AnchorsVersion(2);
    }
    let token = bench.fleet.sign(&claims);
    let actions = bench.answer(&token);
    assert_eq!(names(&actions), "Persist Refused(AnchorsTooOld) FetchAnchors");
    assert!(bench.device.refusal_report().is_none());
    let document = bench.fleet.next(|_| {});
    bench.give(Event::Anchors { document: &document });
    assert_eq!(names(&bench.answer(&token)), "Persist ReportProgress FetchManifest");
}

#[test]
fn a_refused_order_reaches_the_hub_with_its_reason() {
    let mut bench = Bench::new();
    bench.install(5, 100);
    let replayed = bench.fleet.order(4, digest(1));
    let actions = bench.answer(&replayed);
    assert!(actions.iter().any(|action| action == Action::ReportRefusal));
    let report = bench.device.refusal_report().unwrap();
    assert_eq!(report.state, UpdateState::Refused);
    assert_eq!(report.reason.unwrap().reason(), Some(Reason::OrderReplayed));
    assert!(report.encode().is_ok());
}

#[test]
fn anchors_that_skip_go_back_or_are_forged() {
    let mut bench = Bench::new();
    let first = bench.anchors.clone();
    let second = bench.fleet.next(|_| {});
    let third = bench.fleet.next(|_| {});
    let reason = |bench: &mut Bench, document: &[u8]| {
        bench.give(Event::Anchors { document }).iter().find_map(|action| match action {
            Action::Refused(reason) => Some(reason),
            _ => None,
        })
    };
    assert_eq!(reason(&mut bench, &third), Some(Reason::AnchorsNotSequential));
    let mut flipped = second.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(reason(&mut bench, &flipped), Some(Reason::BadSignature));
    assert_eq!(reason(&mut bench, &second), None);
    assert_eq!(reason(&mut bench, &first), Some(Reason::AnchorsNotSequential));
    assert_eq!(reason(&mut bench, &second), Some(Reason::AnchorsNotSequential));
    assert_eq!(reason(&mut bench, &third), None);
    assert_eq!(bench.stored.anchors.version, AnchorsVersion(3));
    assert_eq!(bench.stored.counter, 2);
}

#[test]
fn a_record_with_any_bit_flipped_or_cut_never_panics() {
    let mut bench = Bench::new();
    bench.install(1, 100);
    let envelope = bench.fleet.release(200, &[b"p"]);
    offer(&mut bench, 2, &envelope);
    let mut buffer = [0; Record::MAX_LEN];
    let bytes = bench.stored.encode_into(&mut buffer).unwrap().to_vec();
    assert_eq!(Record::decode(&bytes), Ok(bench.stored));
    for len in 0..bytes.len() {
        assert!(Record::decode(&bytes[..len]).is_err());
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // It may still be a record, of another content; the key store's seal is what tells.
        assert_ne!(Record::decode(&flipped), Ok(bench.stored));
    }
}

#[test]
fn the_longest_record_fits_its_bound() {
    let bench = Bench::new();
    let mut record = bench.stored;
    for byte in 0..8 {
        let mut ledger = ringfort_trust::OrderLedger::new(ringfort_cose::Thumbprint([byte; 32]));
        ledger.last_finished.0 = u64::MAX;
        ledger.last_time.0 = u64::MAX;
        ledger.in_progress = Some(ringfort_trust::InProgress {
            number: ringfort_trust::ids::OrderNumber(u64::MAX),
            token: digest(1),
            task: ringfort_trust::Task::Install { manifest: digest(2) },
        });
        record.ledgers.put(ledger).unwrap();
    }
    let version = ringfort_trust::ids::Text::new(&"v".repeat(64)).unwrap();
    let slot = ringfort_device::SlotRecord {
        manifest: digest(1),
        sequence: ringfort_trust::ids::SequenceNumber(u64::MAX),
        anchors: AnchorsVersion(u64::MAX),
        version,
    };
    record.slots = [Some(slot); 2];
    let detail = ringfort_device::Detail::new(&"d".repeat(120)).unwrap();
    record.update = Some(ringfort_device::Update {
        order: ringfort_trust::ids::OrderNumber(u64::MAX),
        signer: ringfort_cose::Thumbprint([1; 32]),
        expires: ringfort_trust::ids::UnixTime(u64::MAX),
        offline: true,
        manifest: digest(1),
        sequence: ringfort_trust::ids::SequenceNumber(u64::MAX),
        version,
        slot: ringfort_device::Slot::B,
        phase: ringfort_device::Phase::Reverting { reason: Reason::HealthCheckFailed, detail },
    });
    record.last = Some(ringfort_device::Finished {
        order: ringfort_trust::ids::OrderNumber(u64::MAX),
        manifest: digest(1),
        sequence: ringfort_trust::ids::SequenceNumber(u64::MAX),
        state: UpdateState::Reverted,
        reason: Some(Reason::HealthCheckFailed),
        detail,
        reported: true,
    });
    record.floor = Some(ringfort_device::Floor {
        sequence: ringfort_trust::ids::SequenceNumber(u64::MAX),
        manifest: digest(1),
    });
    record.link = Some(link(u64::MAX));
    record.audit = Some(ringfort_trust::AuditHead { size: u64::MAX, root: digest(1) });
    record.active = Some(ringfort_device::Slot::A);
    record.counter = u64::MAX;
    for byte in 0..8 {
        let ledger = ringfort_trust::CommandLedger {
            key: ringfort_cose::Thumbprint([byte; 32]),
            last: ringfort_trust::ids::OrderNumber(u64::MAX),
        };
        record.command_ledgers.put(ledger).unwrap();
    }
    record.command = Some(ringfort_device::CommandInProgress {
        order: ringfort_trust::ids::OrderNumber(u64::MAX),
        signer: ringfort_cose::Thumbprint([1; 32]),
        action: ringfort_trust::CommandAction::Decommission,
        command: digest(1),
        phase: ringfort_device::CommandPhase::LastWord,
    });
    record.debug_nonce = Some(ringfort_trust::ids::Nonce([1; 16]));
    record.decommissioned = true;
    let mut buffer = [0; Record::MAX_LEN];
    let bytes = record.encode_into(&mut buffer).unwrap();
    assert_eq!(Record::decode(bytes), Ok(record));
}
