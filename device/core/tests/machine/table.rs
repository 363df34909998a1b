//! Every state against every event: what the device does, and where it is afterwards.

use ringfort_cose::{AwsLc, Reason, Verify};
use ringfort_device::{Detail, Event, Phase, Slot};

use crate::kit::*;

/// The states, in the order of the table's columns.
const STATES: [&str; 6] = ["none", "offered", "downloading", "written", "trial", "reverting"];

/// A device in one of the states, with a confirmed release in slot A. The order in progress has
/// number 20 and its release sequence 200.
struct Case {
    bench: Bench,
    envelope: Vec<u8>,
    order: Vec<u8>,
}

const PAYLOAD: &[u8] = b"payload of the new release";

fn case(state: &str) -> Case {
    let mut bench = Bench::new();
    bench.install(10, 100);
    let envelope = bench.fleet.release(200, &[PAYLOAD]);
    let order = bench.fleet.order(20, manifest_of(&envelope));
    let steps = STATES.iter().position(|name| *name == state).unwrap();
    if steps >= 1 {
        bench.answer(&order);
    }
    if steps >= 2 {
        bench.give(Event::Manifest { envelope: &envelope });
    }
    if steps >= 3 {
        bench.payload_written(0, PAYLOAD);
    }
    if steps >= 4 {
        bench.answer(&order);
    }
    if steps >= 5 {
        bench.give(Event::Health { failed: Some(Detail::lossy("no answer")) });
    }
    assert_eq!(place(&bench), state, "the case is set up");
    Case { bench, envelope, order }
}

/// Where the device is: the phase, or how the last update ended.
fn place(bench: &Bench) -> String {
    let record = bench.device.record();
    match (&record.update, &record.last) {
        (Some(update), _) => match update.phase {
            Phase::Offered => "offered".into(),
            Phase::Downloading => "downloading".into(),
            Phase::Written => "written".into(),
            Phase::Trial { attempts: 1 } => "trial".into(),
            Phase::Trial { attempts } => format!("trial{attempts}"),
            Phase::Reverting { .. } => "reverting".into(),
        },
        (None, Some(last)) if last.order.0 == 10 => "none".into(),
        (None, Some(last)) => {
            format!("{}{}", last.state, last.reason.map(|r| format!(":{r}")).unwrap_or_default())
        }
        (None, None) => "new".into(),
    }
}

/// Gives the event to a device in each state; compares actions and the place afterwards.
#[track_caller]
fn row(event: impl Fn(&mut Case) -> ringfort_device::Actions, expected: [(&str, &str); 6]) {
    for (state, (actions, after)) in STATES.iter().zip(expected) {
        let mut case = case(state);
        let found = names(&event(&mut case));
        assert_eq!((found.as_str(), place(&case.bench).as_str()), (actions, after), "in {state}");
    }
}

#[test]
fn started() {
    row(
        |case| case.bench.restart(),
        [
            ("", "none"),
            ("FetchManifest", "offered"),
            ("FetchManifest", "downloading"),
            ("CheckIn", "written"),
            ("Persist Activate(Some(B)) Restart", "trial2"),
            ("Activate(Some(A)) Restart", "reverting"),
        ],
    );
}

#[test]
fn started_after_the_machine_booted_the_new_slot() {
    row(
        |case| case.bench.give(Event::Started { booted: Some(Slot::B) }),
        [
            ("", "none"),
            ("FetchManifest", "offered"),
            ("FetchManifest", "downloading"),
            ("CheckIn", "written"),
            ("Persist RunHealthChecks", "trial2"),
            ("Activate(Some(A)) Restart", "reverting"),
        ],
    );
}

#[test]
fn the_same_order_again() {
    row(
        |case| {
            let order = case.order.clone();
            case.bench.answer(&order)
        },
        [
            ("Persist ReportProgress FetchManifest", "offered"),
            ("Persist FetchManifest", "offered"),
            ("Persist FetchManifest", "downloading"),
            ("Persist ReportProgress Activate(Some(B)) Restart", "trial"),
            ("Persist", "trial"),
            ("Persist", "reverting"),
        ],
    );
}

#[test]
fn the_same_order_signed_again() {
    row(
        |case| {
            let mut claims = case.bench.fleet.order_claims(20, manifest_of(&case.envelope));
            claims.expires.0 += 5;
            let order = case.bench.fleet.sign(&claims);
            case.bench.answer(&order)
        },
        [
            ("Persist ReportProgress FetchManifest", "offered"),
            ("Persist FetchManifest", "offered"),
            ("Persist FetchManifest", "downloading"),
            ("Persist ReportProgress Activate(Some(B)) Restart", "trial"),
            ("Persist", "trial"),
            ("Persist", "reverting"),
        ],
    );
}

#[test]
fn a_newer_order() {
    row(
        |case| {
            let order = case.bench.fleet.order(30, digest(9));
            case.bench.answer(&order)
        },
        [
            ("Persist ReportProgress FetchManifest", "offered"),
            ("Persist ReportResult ReportProgress FetchManifest", "offered"),
            ("Persist ReportResult ReportProgress FetchManifest", "offered"),
            ("Persist ReportResult ReportProgress FetchManifest", "offered"),
            ("Persist", "trial"),
            ("Persist", "reverting"),
        ],
    );
}

#[test]
fn a_finished_order_again() {
    row(
        |case| {
            let order = case.bench.fleet.order(10, digest(9));
            case.bench.answer(&order)
        },
        [
            ("Persist Refused(OrderReplayed)", "none"),
            ("Persist Refused(OrderReplayed)", "offered"),
            ("Persist Refused(OrderReplayed)", "downloading"),
            ("Persist Refused(OrderReplayed)", "written"),
            ("Persist Refused(OrderReplayed)", "trial"),
            ("Persist Refused(OrderReplayed)", "reverting"),
        ],
    );
}

#[test]
fn time_without_an_order() {
    row(
        |case| {
            let token = case.bench.fleet.time(1);
            case.bench.answer(&token)
        },
        STATES.map(|state| ("Persist", state)),
    );
}

#[test]
fn time_after_the_order_expired() {
    let failed = ("Persist ReportResult", "failed:expired");
    row(
        |case| {
            let mut claims =
                case.bench.fleet.claims(ringfort_trust::Content::Time(ringfort_trust::AuditHead {
                    size: 1,
                    root: digest(1),
                }));
            claims.issued.0 += 86_400;
            claims.expires.0 += 86_400;
            let token = case.bench.fleet.sign(&claims);
            case.bench.answer(&token)
        },
        [
            ("Persist", "none"),
            failed,
            failed,
            failed,
            ("Persist", "trial"),
            ("Persist", "reverting"),
        ],
    );
}

#[test]
fn new_anchors() {
    row(
        |case| {
            let document = case.bench.fleet.next(|_| {});
            case.bench.give(Event::Anchors { document: &document })
        },
        [
            ("StoreAnchors Persist AdvanceCounter", "none"),
            ("StoreAnchors Persist AdvanceCounter FetchManifest", "offered"),
            ("StoreAnchors Persist AdvanceCounter FetchManifest", "offered"),
            ("StoreAnchors Persist AdvanceCounter FetchManifest", "offered"),
            ("StoreAnchors Persist AdvanceCounter", "trial"),
            ("StoreAnchors Persist AdvanceCounter", "reverting"),
        ],
    );
}

#[test]
fn new_anchors_that_drop_the_order_key() {
    let failed = ("StoreAnchors Persist AdvanceCounter ReportResult", "failed:untrusted-signer");
    row(
        |case| {
            let other = ringfort_cose::SoftSigner::generate_p256().unwrap();
            let document = case.bench.fleet.next(|spec| {
                let key = ringfort_cose::Sign::public_key(&other);
                let last = spec.keys.len() - 1;
                spec.keys[last].key = key;
            });
            case.bench.give(Event::Anchors { document: &document })
        },
        [
            ("StoreAnchors Persist AdvanceCounter", "none"),
            failed,
            failed,
            failed,
            ("StoreAnchors Persist AdvanceCounter", "trial"),
            ("StoreAnchors Persist AdvanceCounter", "reverting"),
        ],
    );
}

#[test]
fn the_manifest() {
    let fetch = "Persist ReportProgress PrepareSlot FetchPayload";
    row(
        |case| {
            let envelope = case.envelope.clone();
            case.bench.give(Event::Manifest { envelope: &envelope })
        },
        [
            ("", "none"),
            (fetch, "downloading"),
            (fetch, "downloading"),
            ("", "written"),
            ("", "trial"),
            ("", "reverting"),
        ],
    );
}

#[test]
fn another_manifest() {
    row(
        |case| {
            let envelope = case.bench.fleet.release(300, &[PAYLOAD]);
            case.bench.give(Event::Manifest { envelope: &envelope })
        },
        [
            ("", "none"),
            ("Persist ReportResult", "refused:manifest-digest"),
            ("Persist ReportResult", "failed:manifest-digest"),
            ("", "written"),
            ("", "trial"),
            ("", "reverting"),
        ],
    );
}

#[test]
fn no_manifest_now() {
    row(|case| case.bench.give(Event::ManifestUnavailable), STATES.map(|state| ("", state)));
}

#[test]
fn the_payload() {
    row(
        |case| case.bench.payload_written(0, PAYLOAD),
        [
            ("", "none"),
            ("", "offered"),
            ("Persist ReportProgress CheckIn", "written"),
            ("", "written"),
            ("", "trial"),
            ("", "reverting"),
        ],
    );
}

#[test]
fn another_payload_of_the_same_size() {
    row(
        |case| {
            case.bench.give(Event::PayloadWritten {
                component: 0,
                digest: AwsLc.sha256(&[b"other"]),
                size_bytes: PAYLOAD.len() as u64,
            })
        },
        [
            ("", "none"),
            ("", "offered"),
            ("Persist ReportResult", "failed:image-digest"),
            ("", "written"),
            ("", "trial"),
            ("", "reverting"),
        ],
    );
}

#[test]
fn a_payload_that_is_too_long() {
    row(
        |case| {
            case.bench.give(Event::PayloadWritten {
                component: 0,
                digest: AwsLc.sha256(&[PAYLOAD]),
                size_bytes: PAYLOAD.len() as u64 + 1,
            })
        },
        [
            ("", "none"),
            ("", "offered"),
            ("Persist ReportResult", "failed:image-size"),
            ("", "written"),
            ("", "trial"),
            ("", "reverting"),
        ],
    );
}

#[test]
fn a_payload_that_nobody_asked_for() {
    row(|case| case.bench.payload_written(1, PAYLOAD), STATES.map(|state| ("", state)));
}

fn payload_failed(case: &mut Case, reason: Reason) -> ringfort_device::Actions {
    case.bench.give(Event::PayloadFailed { component: 0, reason, detail: Detail::EMPTY })
}

#[test]
fn a_transfer_that_may_be_tried_again() {
    for reason in [Reason::TransferFailed, Reason::SlowTransfer] {
        row(|case| payload_failed(case, reason), STATES.map(|state| ("", state)));
    }
}

#[test]
fn a_payload_that_cannot_be_used() {
    row(
        |case| payload_failed(case, Reason::PayloadUnsafe),
        [
            ("", "none"),
            ("", "offered"),
            ("Persist ReportResult", "failed:payload-unsafe"),
            ("", "written"),
            ("", "trial"),
            ("", "reverting"),
        ],
    );
}

#[test]
fn a_damaged_slot() {
    let alarm = "Alarm(ActiveSlotDamaged)";
    row(
        |case| case.bench.give(Event::SlotDamaged { reason: Reason::ImageDigest }),
        [
            (alarm, "none"),
            (alarm, "offered"),
            (alarm, "downloading"),
            (alarm, "written"),
            ("Persist Activate(Some(A)) Restart", "reverting"),
            ("Persist ReportResult Alarm(ActiveSlotDamaged)", "reverted:health-check-failed"),
        ],
    );
}

#[test]
fn restarted() {
    row(
        |case| case.bench.give(Event::Restarted),
        [
            ("", "none"),
            ("", "offered"),
            ("", "downloading"),
            ("", "written"),
            ("RunHealthChecks", "trial"),
            ("Persist ReportResult", "reverted:health-check-failed"),
        ],
    );
}

#[test]
fn restart_failed() {
    row(
        |case| case.bench.give(Event::RestartFailed { detail: Detail::lossy("exit 1") }),
        [
            ("", "none"),
            ("", "offered"),
            ("", "downloading"),
            ("", "written"),
            ("Persist Restart", "trial2"),
            ("Persist ReportResult Alarm(OldReleaseDown)", "reverted:health-check-failed"),
        ],
    );
}

#[test]
fn healthy() {
    row(
        |case| case.bench.give(Event::Health { failed: None }),
        [
            ("", "none"),
            ("", "offered"),
            ("", "downloading"),
            ("", "written"),
            ("Persist AdvanceCounter ReportResult", "confirmed"),
            ("", "reverting"),
        ],
    );
}

#[test]
fn unhealthy() {
    row(
        |case| case.bench.give(Event::Health { failed: Some(Detail::lossy("exit 1")) }),
        [
            ("", "none"),
            ("", "offered"),
            ("", "downloading"),
            ("", "written"),
            ("Persist Activate(Some(A)) Restart", "reverting"),
            ("", "reverting"),
        ],
    );
}

#[test]
fn a_result_that_was_reported_before() {
    row(
        |case| {
            case.bench.give(Event::ResultReported { order: ringfort_trust::ids::OrderNumber(10) })
        },
        STATES.map(|state| ("", state)),
    );
}
