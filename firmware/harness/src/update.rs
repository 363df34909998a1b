//! The update partition, on both boards: a release from start to confirmation, and every way in
//! which one is refused, given up or reverted. The application asks by a script; all that it can
//! ask for is in there.

use harness::release::{Fleet, Made, Release};
use ringfort_cose::{Reason, Sha256Digest};
use ringfort_trust::ids::{AnchorsVersion, DeviceId, FleetId, Nonce, OrderNumber, UnixTime};
use ringfort_trust::{AuditHead, Content, Order, Task, TokenClaims};
use slots::hmac;

use crate::device::{Bench, Device, MACHINES, Outcome, Run, SECRET};
use crate::flows::{Tally, runs};
use crate::script::{BYTES, PACKAGES, SCRIPT, op};
use harness::release::verifier;
use harness::sign::Signer;

/// Statuses of PSA Firmware Update 1.0.
const SUCCESS: i32 = 0;
const SUCCESS_REBOOT: i32 = 1;
const NOT_PERMITTED: i32 = -133;
const INVALID_ARGUMENT: i32 = -135;
const BAD_STATE: i32 = -137;
const BUFFER_TOO_SMALL: i32 = -138;
const DOES_NOT_EXIST: i32 = -140;
const STORAGE_FAILURE: i32 = -146;
const INVALID_SIGNATURE: i32 = -149;

/// Its states.
const READY: u32 = 0;
const WRITING: u32 = 1;
const CANDIDATE: u32 = 2;
const STAGED: u32 = 3;
const FAILED: u32 = 4;
const TRIAL: u32 = 5;
const REJECTED: u32 = 6;
const UPDATED: u32 = 7;

const ALL: u32 = u32::MAX;
/// One instruction is 64 ns of virtual time: no watchdog comes earlier on a busy host, and time that
/// nobody uses passes in a moment.
const EVEN: [&str; 2] = ["-icount", "shift=6,sleep=off"];

pub fn all(bench: &Bench, only: Option<&str>) -> bool {
    let mut tally = Tally::default();
    for machine in MACHINES {
        let fleet = Fleet::new(&bench.images, 2, 80 * 1024);
        let factory = Device::new(bench, "update", machine, &fleet);
        factory.factory_slot(&fleet.slot(&fleet.good(1), 1));
        let mut test = Test { fleet, factory, machine, tally };
        test.first_image();
        for (name, case) in CASES {
            if only.is_none_or(|part| name.contains(part)) {
                case(&mut test, name);
            }
        }
        tally = test.tally;
    }
    tally.end("update")
}

type Case = fn(&mut Test, &str);

const CASES: &[(&str, Case)] = &[
    ("good_update_is_written_tried_accepted_and_confirmed", Test::good_update),
    ("manifests_and_orders_refused_at_start", Test::refused_at_start),
    ("calls_out_of_their_state", Test::out_of_state),
    ("order_with_a_nonce", Test::nonces),
    ("order_replayed", Test::replayed),
    ("image_cut_short", Test::cut_short),
    ("image_with_extra_bytes", Test::extra_bytes),
    ("image_with_a_wrong_digest", Test::wrong_digest),
    ("blocks_out_of_line_tfmv_5", Test::blocks),
    ("messages_out_of_shape_tfmv_9", Test::messages),
    ("power_cut_in_every_state", Test::power_cuts),
    ("staged_release_rejected", Test::staged),
    ("trial_rejected_by_the_application", Test::rejected),
    ("trial_with_a_health_check_that_fails", Test::unhealthy),
    ("trial_in_which_a_partition_fails", Test::crashed),
    ("trial_that_is_never_accepted", Test::hangs),
    ("anchors_turned", Test::anchors),
];

struct Test {
    fleet: Fleet,
    /// A device that runs release 1, confirmed.
    factory: Device,
    machine: &'static str,
    tally: Tally,
}

/// What is handed to the service: manifest and image.
#[derive(Clone, Default)]
pub struct Package {
    manifest: Vec<u8>,
    image: Vec<u8>,
}

/// One line of the application: what a call came to, and how things stand after it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    operation: u32,
    status: i32,
    state: u32,
    error: i32,
    build: u32,
    written: u32,
    reason: String,
}

impl Test {
    fn first_image(&mut self) {
        let script = [[op::QUERY, 0, 0], [op::ACCEPT, 0, 0], [op::CLEAN, 0, 0]];
        let (outcome, lines) = run(&self.factory, &script, &[], &EVEN);
        let states: Vec<u32> = lines.iter().map(|line| line.state).collect();
        let good = outcome.code == runs(1) && states == [TRIAL, UPDATED, READY];
        self.check("factory_image_is_tried_and_accepted", good, &(&outcome, &lines));
    }

    fn good_update(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        let script = [
            [op::START, 0, 0],
            [op::WRITE, 0, ALL],
            [op::FINISH, 0, 0],
            [op::INSTALL, 0, 0],
            [op::REBOOT, 0, 0],
            [op::QUERY, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::CLEAN, 0, 0],
        ];
        let (outcome, lines) = run(&device, &script, std::slice::from_ref(&package), &EVEN);
        let wanted = [
            (SUCCESS, WRITING),
            (SUCCESS, WRITING),
            (SUCCESS, CANDIDATE),
            (SUCCESS_REBOOT, STAGED),
            (SUCCESS, TRIAL),
            (SUCCESS, UPDATED),
            (SUCCESS, READY),
        ];
        let good = outcome.code == runs(2) && pairs(&lines) == wanted;
        let written = lines.get(1).is_some_and(|line| line.written == package.image.len() as u32);
        self.check(name, good && written, &(&outcome, &lines));
        let (outcome, lines) = run(&device, &[[op::QUERY, 0, 0]], &[], &EVEN);
        let is_new = lines
            .first()
            .is_some_and(|line| line.state == READY && line.build == Fleet::sequence(2) as u32);
        let what = format!("{name}, and stays after a power-off");
        self.check(&what, outcome.code == runs(2) && is_new, &(&outcome, &lines));
    }

    /// Every manifest and order that is refused before anything is erased; then the good one.
    fn refused_at_start(&mut self, name: &str) {
        let device = self.device(name);
        let fleet = &self.fleet;
        let two = || Made { number: 2, ..Made::default() };
        let good = fleet.good(2);
        let signed = |signers: Vec<u8>| fleet.release(&Made { signers: Some(signers), ..two() });
        let numbered = |sequence| fleet.release(&Made { sequence: Some(sequence), ..two() });
        let ordered = |release: &Release| pack(release, &order(fleet, release.digest(), 5));
        let with = |change: &dyn Fn(&mut TokenClaims)| {
            pack(&good, &order_with(fleet, good.digest(), 5, 21, change))
        };
        let mut flipped = good.clone();
        // The address of the last component: a part that is signed.
        let uri = b"coap://images.example/a";
        let at = flipped.envelope.windows(uri.len()).rposition(|window| window == uri);
        flipped.envelope[at.expect("an address") + uri.len() - 1] = b'b';
        let time = |claims: &mut TokenClaims| {
            claims.nonce = Some(Nonce([1; 16]));
            claims.content = Content::Time(AuditHead { size: 1, root: Sha256Digest([1; 32]) });
        };
        let cases: Vec<(&str, Package, i32, Reason)> = vec![
            (
                "wrong_signer",
                ordered(&signed(vec![11, 31])),
                INVALID_SIGNATURE,
                Reason::UntrustedSigner,
            ),
            (
                "one_signature_where_two_are_asked_for",
                ordered(&signed(vec![11])),
                INVALID_SIGNATURE,
                Reason::ThresholdNotMet,
            ),
            ("no_signature", ordered(&signed(vec![])), INVALID_SIGNATURE, Reason::ThresholdNotMet),
            (
                "flipped_signature",
                pack(&good.clone().with_bad_signature(), &order(fleet, good.digest(), 5)),
                INVALID_SIGNATURE,
                Reason::BadSignature,
            ),
            (
                "flipped_manifest",
                pack(&flipped, &order(fleet, good.digest(), 5)),
                INVALID_SIGNATURE,
                Reason::ManifestDigest,
            ),
            (
                "older_number",
                ordered(&numbered(Fleet::sequence(1) - 1)),
                NOT_PERMITTED,
                Reason::SequenceTooLow,
            ),
            (
                "same_number_and_another_release",
                ordered(&numbered(Fleet::sequence(1))),
                NOT_PERMITTED,
                Reason::SequenceReused,
            ),
            ("number_far_ahead", ordered(&numbered(1 << 63)), NOT_PERMITTED, Reason::SequenceJump),
            (
                "wrong_class",
                ordered(&fleet.release(&Made { class: Some([0xc2; 16]), ..two() })),
                NOT_PERMITTED,
                Reason::WrongDevice,
            ),
            (
                "wrong_vendor",
                ordered(&fleet.release(&Made { vendor: Some([0xa2; 16]), ..two() })),
                NOT_PERMITTED,
                Reason::WrongDevice,
            ),
            (
                "one_component_of_two",
                ordered(&fleet.release(&Made { partial: true, ..two() })),
                NOT_PERMITTED,
                Reason::WrongDevice,
            ),
            ("no_order", pack(&good, &[]), NOT_PERMITTED, Reason::OrderMissing),
            (
                "order_for_another_device",
                with(&|claims| claims.device = DeviceId::new("another").expect("a name")),
                NOT_PERMITTED,
                Reason::WrongRecipient,
            ),
            (
                "order_of_another_fleet",
                with(&|claims| claims.fleet = FleetId([0xf2; 16])),
                NOT_PERMITTED,
                Reason::WrongIssuer,
            ),
            (
                "order_by_a_release_key",
                pack(&good, &order_with(fleet, good.digest(), 5, 11, &|_| {})),
                INVALID_SIGNATURE,
                Reason::UntrustedSigner,
            ),
            (
                "order_for_another_release",
                pack(&good, &order(fleet, Sha256Digest([7; 32]), 5)),
                INVALID_SIGNATURE,
                Reason::ManifestDigest,
            ),
            (
                "order_that_has_expired",
                with(&|claims| {
                    claims.issued = UnixTime(Fleet::sequence(0) - 100);
                    claims.expires = UnixTime(Fleet::sequence(0));
                }),
                NOT_PERMITTED,
                Reason::Expired,
            ),
            (
                "order_that_asks_for_newer_anchors",
                with(&|claims| {
                    if let Content::Order(order) = &mut claims.content {
                        order.min_anchors = AnchorsVersion(2);
                    }
                }),
                NOT_PERMITTED,
                Reason::AnchorsTooOld,
            ),
            (
                "order_that_answers_another_question",
                with(&|claims| claims.nonce = Some(Nonce([9; 16]))),
                NOT_PERMITTED,
                Reason::NonceMismatch,
            ),
            ("signed_time_for_an_order", with(&time), INVALID_ARGUMENT, Reason::WrongType),
            ("order_cut_short", cut(&good, fleet), INVALID_ARGUMENT, Reason::Malformed),
            ("order_that_never_ends", endless(), INVALID_ARGUMENT, Reason::TooLarge),
            ("envelope_that_never_ends", long(&good, fleet), INVALID_ARGUMENT, Reason::TooLarge),
        ];
        let mut packages: Vec<Package> =
            cases.iter().map(|(_, package, ..)| package.clone()).collect();
        // Images take room, and none of these gets so far.
        for package in &mut packages {
            package.image.clear();
        }
        packages.push(pack(&good, &order(fleet, good.digest(), 5)));
        let mut script: Vec<[u32; 3]> =
            (0..packages.len()).map(|index| [op::START, index as u32, 0]).collect();
        script.push([op::CANCEL, 0, 0]);
        let (outcome, lines) = run(&device, &script, &packages, &EVEN);
        for ((what, _, status, reason), line) in cases.iter().zip(&lines) {
            let good =
                line.status == *status && line.reason == reason.code() && line.state == READY;
            let said = outcome.console.contains(&format!("update: refused {}", reason.code()));
            let wanted = format!("{what}: {status} {}", reason.code());
            self.check(&wanted, good && said, line);
        }
        let twin = lines.get(cases.len()).map(|line| (line.status, line.state));
        let ended = outcome.code == runs(1) && lines.len() == script.len();
        let what = format!("{name}: the same without the attack is taken");
        self.check(&what, twin == Some((SUCCESS, WRITING)) && ended, &(&outcome, &lines));
    }

    fn out_of_state(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        let none = [
            [op::WRITE_AT, 0, 64],
            [op::FINISH, 0, 0],
            [op::CANCEL, 0, 0],
            [op::CLEAN, 0, 0],
            [op::INSTALL, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::REJECT, 0, 0],
            [op::REBOOT, 0, 0],
        ];
        let mut script = none.to_vec();
        script.extend([
            [op::START, 0, 0],
            [op::START, 0, 0],
            [op::INSTALL, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::WRITE, 0, ALL],
            [op::INSTALL, 0, 0],
            [op::FINISH, 0, 0],
            [op::START, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::INSTALL, 0, 0],
            [op::ACCEPT, 0, 0],
            [op::CANCEL, 0, 0],
            [op::REJECT, 0, 0],
        ]);
        let (outcome, lines) = run(&device, &script, &[package], &EVEN);
        let mut wanted = vec![(BAD_STATE, READY); 7];
        wanted.extend([
            (NOT_PERMITTED, READY),
            (SUCCESS, WRITING),
            (BAD_STATE, WRITING),
            (BAD_STATE, WRITING),
            (BAD_STATE, WRITING),
            (SUCCESS, WRITING),
            (BAD_STATE, WRITING),
            (SUCCESS, CANDIDATE),
            (BAD_STATE, CANDIDATE),
            (BAD_STATE, CANDIDATE),
            (SUCCESS_REBOOT, STAGED),
            (BAD_STATE, STAGED),
            (BAD_STATE, STAGED),
            (SUCCESS, FAILED),
        ]);
        let good = pairs(&lines) == wanted && outcome.code == runs(1);
        self.check(name, good, &(&outcome, &lines));
    }

    /// The device asks, the hub answers: its nonce is taken once, and another is not.
    fn nonces(&mut self, name: &str) {
        let device = self.device(name);
        let good = self.fleet.good(2);
        // The device has booted once before.
        let record = hmac(&SECRET, &[b"ringfort/record/1"]);
        let seed = hmac(&record, &[b"ringfort/nonce/1", &2u32.to_le_bytes()]);
        let answer = |number| {
            let nonce = update::nonce(&seed, number);
            let change = |claims: &mut TokenClaims| claims.nonce = Some(nonce);
            pack(&good, &order_with(&self.fleet, good.digest(), 5 + u64::from(number), 21, &change))
        };
        let packages = [answer(1), answer(2), answer(3)];
        let script = [
            [op::START, 0, 0],
            [op::CHALLENGE, 0, 0],
            [op::START, 1, 0],
            [op::START, 0, 0],
            [op::CANCEL, 0, 0],
            [op::CLEAN, 0, 0],
            [op::CHALLENGE, 0, 0],
            [op::START, 2, 0],
            [op::START, 1, 0],
        ];
        let (outcome, lines) = run(&device, &script, &packages, &EVEN);
        let wanted = [
            (NOT_PERMITTED, READY),
            (SUCCESS, READY),
            (NOT_PERMITTED, READY),
            (SUCCESS, WRITING),
            (SUCCESS, FAILED),
            (SUCCESS, READY),
            (SUCCESS, READY),
            (NOT_PERMITTED, READY),
            (SUCCESS, WRITING),
        ];
        let refusals = [0, 2, 7].iter().all(|at| {
            lines.get(*at).is_some_and(|line| line.reason == Reason::NonceMismatch.code())
        });
        self.check(name, pairs(&lines) == wanted && refusals, &(&outcome, &lines));
    }

    fn replayed(&mut self, name: &str) {
        let device = self.device(name);
        let packages = [self.package(2, 10), self.package(2, 9), self.package(2, 11)];
        let script = [
            [op::START, 0, 0],
            [op::CANCEL, 0, 0],
            [op::CLEAN, 0, 0],
            [op::START, 0, 0],
            [op::START, 1, 0],
            [op::START, 2, 0],
        ];
        let (outcome, lines) = run(&device, &script, &packages, &EVEN);
        let wanted = [
            (SUCCESS, WRITING),
            (SUCCESS, FAILED),
            (SUCCESS, READY),
            (NOT_PERMITTED, READY),
            (NOT_PERMITTED, READY),
            (SUCCESS, WRITING),
        ];
        let refusals = lines.iter().skip(3).take(2);
        let named = refusals.filter(|line| line.reason == Reason::OrderReplayed.code()).count();
        self.check(name, pairs(&lines) == wanted && named == 2, &(&outcome, &lines));
        // The journal is not only in memory.
        let (outcome, lines) =
            run(&device, &[[op::START, 0, 0], [op::START, 2, 0]], &packages, &EVEN);
        let good = pairs(&lines) == [(NOT_PERMITTED, READY), (SUCCESS, WRITING)];
        self.check(&format!("{name} after a power-off"), good, &(&outcome, &lines));
    }

    fn cut_short(&mut self, name: &str) {
        let device = self.device(name);
        let packages = [self.package(2, 10), self.package(2, 11)];
        let script = [
            [op::START, 0, 0],
            [op::WRITE, 0, 0x8000],
            [op::FINISH, 0, 0],
            [op::CLEAN, 0, 0],
            [op::START, 1, 0],
            [op::WRITE, 1, ALL],
            [op::FINISH, 0, 0],
        ];
        let (outcome, lines) = run(&device, &script, &packages, &EVEN);
        let wanted = [
            (SUCCESS, WRITING),
            (SUCCESS, WRITING),
            (INVALID_ARGUMENT, FAILED),
            (SUCCESS, READY),
            (SUCCESS, WRITING),
            (SUCCESS, WRITING),
            (SUCCESS, CANDIDATE),
        ];
        let named = reason_at(&lines, 2) == Reason::ImageSize.code();
        let kept = lines.get(2).is_some_and(|line| line.error == INVALID_ARGUMENT);
        self.check(name, pairs(&lines) == wanted && named && kept, &(&outcome, &lines));
    }

    fn extra_bytes(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        let end = package.image.len() as u32;
        let script = [
            [op::START, 0, 0],
            [op::WRITE, 0, ALL],
            [op::WRITE_AT, end, 8],
            [op::WRITE_AT, 0x7fff_fff8, 64],
            [op::WRITE_AT, 0xffff_fff8, 64],
            [op::FINISH, 0, 0],
        ];
        let (outcome, lines) = run(&device, &script, &[package], &EVEN);
        let mut wanted = vec![(SUCCESS, WRITING); 2];
        wanted.extend([(INVALID_ARGUMENT, WRITING); 3]);
        wanted.push((SUCCESS, CANDIDATE));
        let named = (2..5).all(|at| reason_at(&lines, at) == Reason::ImageSize.code());
        self.check(name, pairs(&lines) == wanted && named, &(&outcome, &lines));
    }

    fn wrong_digest(&mut self, name: &str) {
        for component in 0..2 {
            let device = self.device(name);
            let bad = self.fleet.good(2).with_flipped_payload(component, 1000);
            let order = order(&self.fleet, bad.digest(), 10);
            let packages = [pack(&bad, &order), self.package(2, 11)];
            let script = [
                [op::START, 0, 0],
                [op::WRITE, 0, ALL],
                [op::FINISH, 0, 0],
                [op::INSTALL, 0, 0],
                [op::CLEAN, 0, 0],
                [op::START, 1, 0],
                [op::WRITE, 1, ALL],
                [op::FINISH, 0, 0],
            ];
            let (outcome, lines) = run(&device, &script, &packages, &EVEN);
            let wanted = [
                (SUCCESS, WRITING),
                (SUCCESS, WRITING),
                (INVALID_SIGNATURE, FAILED),
                (BAD_STATE, FAILED),
                (SUCCESS, READY),
                (SUCCESS, WRITING),
                (SUCCESS, WRITING),
                (SUCCESS, CANDIDATE),
            ];
            let named = reason_at(&lines, 2) == Reason::ImageDigest.code();
            let what = format!("{name}, component {component}");
            self.check(&what, pairs(&lines) == wanted && named, &(&outcome, &lines));
        }
    }

    fn blocks(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        let script = [
            [op::START, 0, 0],
            [op::WRITE_AT, 4, 8],
            [op::WRITE_AT, 0, 0],
            [op::WRITE_AT, 0, 4097],
            [op::WRITE_AT, 0, 8192],
            [op::WRITE, 0, ALL],
            [op::WRITE_AT, 0, 8],
            [op::FINISH, 0, 0],
        ];
        let (outcome, lines) = run(&device, &script, &[package], &EVEN);
        let mut wanted = vec![(SUCCESS, WRITING)];
        wanted.extend([(INVALID_ARGUMENT, WRITING); 4]);
        wanted.extend([(SUCCESS, WRITING), (STORAGE_FAILURE, WRITING), (SUCCESS, CANDIDATE)]);
        self.check(name, pairs(&lines) == wanted, &(&outcome, &lines));
    }

    fn messages(&mut self, name: &str) {
        let device = self.device(name);
        let package = self.package(2, 10);
        // Types with arguments of a wrong length, answers without room, types that are not.
        let mut script: Vec<[u32; 3]> = Vec::new();
        let mut wanted = Vec::new();
        for kind in [1, 2, 3, 4, 5, 6, 9] {
            script.push([op::RAW, kind, 7]);
            wanted.push((INVALID_ARGUMENT, READY));
        }
        script.extend([
            [op::RAW, 64, 0],
            [op::RAW, 1, 0],
            [op::RAW, 2, 0],
            [op::RAW, 65, 0],
            [op::RAW, 99, 0],
            [op::COMPONENT, 0, 0],
            [op::START, 0, 0],
        ]);
        wanted.extend([
            (BUFFER_TOO_SMALL, READY),
            (BUFFER_TOO_SMALL, READY),
            (INVALID_ARGUMENT, READY),
            (INVALID_ARGUMENT, READY),
            (-134, READY),
            (DOES_NOT_EXIST, READY),
            (SUCCESS, WRITING),
        ]);
        let (outcome, lines) = run(&device, &script, &[package], &EVEN);
        let alive = !outcome.console.contains("fault") && !outcome.console.contains("restarted");
        self.check(name, pairs(&lines) == wanted && alive, &(&outcome, &lines));
    }

    /// The power goes in each state; the update goes on from there.
    fn power_cuts(&mut self, name: &str) {
        let device = self.device(name);
        let packages = [self.package(2, 10)];
        let mut step = |what: &str, script: &[[u32; 3]], wanted: &[(i32, u32)], release| {
            let (outcome, lines) = run(&device, script, &packages, &EVEN);
            let good = pairs(&lines) == wanted && outcome.code == runs(release);
            let what = format!("{name}: {what}");
            self.tally.check(&format!("{}: {what}", self.machine), good, &(&outcome, &lines));
        };
        step(
            "while it is written",
            &[[op::START, 0, 0], [op::WRITE, 0, 0x8000]],
            &[(SUCCESS, WRITING); 2],
            1,
        );
        step(
            "the order is taken up again",
            &[[op::QUERY, 0, 0], [op::START, 0, 0], [op::WRITE, 0, ALL], [op::FINISH, 0, 0]],
            &[(SUCCESS, READY), (SUCCESS, WRITING), (SUCCESS, WRITING), (SUCCESS, CANDIDATE)],
            1,
        );
        step(
            "the candidate is still there",
            &[[op::QUERY, 0, 0], [op::INSTALL, 0, 0]],
            &[(SUCCESS, CANDIDATE), (SUCCESS_REBOOT, STAGED)],
            1,
        );
        step("it is tried", &[[op::QUERY, 0, 0]], &[(SUCCESS, TRIAL)], 2);
        step("and tried again", &[[op::ACCEPT, 0, 0]], &[(SUCCESS, UPDATED)], 2);
        step("and confirmed", &[[op::QUERY, 0, 0]], &[(SUCCESS, READY)], 2);
    }

    fn staged(&mut self, name: &str) {
        let device = self.device(name);
        let mut script = STAGE.to_vec();
        script.extend([[op::REJECT, -77i32 as u32, 0], [op::REBOOT, 0, 0], [op::INSTALL, 0, 0]]);
        let (outcome, lines) = run(&device, &script, &[self.package(2, 10)], &EVEN);
        let wanted = [(SUCCESS, FAILED), (NOT_PERMITTED, FAILED), (BAD_STATE, FAILED)];
        let good = pairs(&lines).get(4..) == Some(&wanted) && outcome.code == runs(1);
        self.check(name, good, &(&outcome, &lines));
        let (outcome, lines) = run(&device, &[[op::QUERY, 0, 0]], &[], &EVEN);
        let kept = lines.first().is_some_and(|line| line.state == FAILED && line.error == -77);
        let what = format!("{name}: the old release boots");
        self.check(&what, kept && outcome.code == runs(1), &(&outcome, &lines));
    }

    fn rejected(&mut self, name: &str) {
        let tail = [[op::REJECT, -77i32 as u32, 0]];
        self.reverted(name, &tail, (SUCCESS_REBOOT, REJECTED), "health-check-failed", -77);
    }

    fn unhealthy(&mut self, name: &str) {
        let tail = [[op::SICKEN, 0, 0], [op::ACCEPT, 0, 0]];
        self.reverted(name, &tail, (NOT_PERMITTED, REJECTED), "health-check-failed", NOT_PERMITTED);
    }

    fn crashed(&mut self, name: &str) {
        let tail = [[op::CRASH, 0, 0], [op::ACCEPT, 0, 0]];
        self.reverted(name, &tail, (NOT_PERMITTED, REJECTED), "health-check-failed", NOT_PERMITTED);
    }

    /// Stages release 2, tries it, does `tail`, and finds release 1 after a reboot.
    fn reverted(
        &mut self,
        name: &str,
        tail: &[[u32; 3]],
        wanted: (i32, u32),
        reason: &str,
        error: i32,
    ) {
        let device = self.device(name);
        let mut script = STAGE.to_vec();
        script.extend([[op::REBOOT, 0, 0], [op::QUERY, 0, 0]]);
        script.extend(tail);
        script.extend([[op::ACCEPT, 0, 0], [op::REBOOT, 0, 0]]);
        script.extend([[op::QUERY, 0, 0], [op::START, 0, 0], [op::CLEAN, 0, 0], [op::START, 0, 0]]);
        script.push([op::START, 1, 0]);
        let packages = [self.package(2, 10), self.package(2, 11)];
        let (outcome, lines) = run(&device, &script, &packages, &EVEN);
        let all = pairs(&lines);
        let at = 5 + tail.len();
        let good = all.get(4) == Some(&(SUCCESS, TRIAL))
            && all.get(at - 1) == Some(&wanted)
            && all.get(at) == Some(&(BAD_STATE, REJECTED))
            && all.get(at + 1..)
                == Some(&[
                    (SUCCESS, FAILED),
                    (BAD_STATE, FAILED),
                    (SUCCESS, READY),
                    (NOT_PERMITTED, READY),
                    (SUCCESS, WRITING),
                ]);
        let old = lines.get(at + 1).is_some_and(|line| {
            line.reason == reason && line.error == error && line.build == Fleet::sequence(1) as u32
        });
        let replayed = reason_at(&lines, at + 4) == Reason::OrderReplayed.code();
        let good = good && old && replayed && outcome.code == runs(1);
        self.check(name, good, &(&outcome, &lines));
    }

    fn hangs(&mut self, name: &str) {
        let device = self.device(name);
        let mut script = STAGE.to_vec();
        script.extend([[op::REBOOT, 0, 0], [op::HANG, 0, 0], [op::HANG, 0, 0], [op::HANG, 0, 0]]);
        script.push([op::QUERY, 0, 0]);
        let (outcome, lines) = run(&device, &script, &[self.package(2, 10)], &EVEN);
        let last = lines.last();
        let good = outcome.code == runs(1)
            && outcome.console.matches("boot: slot 00000001").count() == 3
            && last.is_some_and(|line| {
                line.state == FAILED && line.reason == Reason::TrialBudgetSpent.code()
            });
        self.check(name, good, &(&outcome, &lines));
    }

    fn anchors(&mut self, name: &str) {
        let device = self.device(name);
        let document = |version| document(&self.fleet, version);
        let mut forged = document(2);
        if let Some(last) = forged.manifest.last_mut() {
            *last ^= 1;
        }
        let newer = self.fleet.good_under(2, 2);
        let newer = pack(&newer, &order(&self.fleet, newer.digest(), 20));
        let revoked = self.fleet.good_under(1, 2);
        let revoked = pack(&revoked, &order(&self.fleet, revoked.digest(), 30));
        let packages = [
            self.package(2, 10),
            document(2),
            document(3),
            forged,
            self.package(2, 11),
            newer,
            revoked,
        ];
        let script = [
            [op::START, 0, 0],
            [op::WRITE, 0, ALL],
            [op::FINISH, 0, 0],
            [op::ANCHORS, 2, 0],
            [op::ANCHORS, 3, 0],
            [op::ANCHORS, 1, 0],
            [op::INSTALL, 0, 0],
            [op::CLEAN, 0, 0],
            [op::START, 4, 0],
            [op::START, 5, 0],
            [op::CANCEL, 0, 0],
            [op::CLEAN, 0, 0],
            [op::ANCHORS, 1, 0],
            [op::ANCHORS, 2, 0],
            [op::START, 6, 0],
        ];
        let (outcome, lines) = run(&device, &script, &packages, &EVEN);
        let wanted = [
            (SUCCESS, WRITING),
            (SUCCESS, WRITING),
            (SUCCESS, CANDIDATE),
            (NOT_PERMITTED, CANDIDATE),
            (INVALID_SIGNATURE, CANDIDATE),
            (SUCCESS, FAILED),
            (BAD_STATE, FAILED),
            (SUCCESS, READY),
            (INVALID_SIGNATURE, READY),
            (SUCCESS, WRITING),
            (SUCCESS, FAILED),
            (SUCCESS, READY),
            (NOT_PERMITTED, READY),
            (SUCCESS, READY),
            (NOT_PERMITTED, READY),
        ];
        let named = reason_at(&lines, 3) == Reason::AnchorsNotSequential.code()
            && reason_at(&lines, 4) == Reason::BadSignature.code()
            && reason_at(&lines, 8) == Reason::UntrustedSigner.code()
            && reason_at(&lines, 14) == Reason::ReleaseRevoked.code();
        self.check(name, pairs(&lines) == wanted && named, &(&outcome, &lines));
    }

    /// A device of its own that runs release 1.
    fn device(&self, name: &str) -> Device {
        self.factory.copy(name)
    }

    /// A good release with a good order.
    fn package(&self, release: u8, number: u64) -> Package {
        let release = self.fleet.good(release);
        pack(&release, &order(&self.fleet, release.digest(), number))
    }

    fn check(&mut self, what: &str, holds: bool, seen: &dyn std::fmt::Debug) {
        let what = format!("{}: {what}", self.machine);
        self.tally.check(&what, holds, seen);
    }
}

/// From nothing to a staged release.
const STAGE: [[u32; 3]; 4] =
    [[op::START, 0, 0], [op::WRITE, 0, ALL], [op::FINISH, 0, 0], [op::INSTALL, 0, 0]];

/// An order to install this manifest, as the hub issues it for an offline medium.
pub fn order(fleet: &Fleet, manifest: Sha256Digest, number: u64) -> Vec<u8> {
    order_with(fleet, manifest, number, 21, &|_| {})
}

fn order_with(
    fleet: &Fleet,
    manifest: Sha256Digest,
    number: u64,
    signer: u8,
    change: &dyn Fn(&mut TokenClaims),
) -> Vec<u8> {
    let mut claims = TokenClaims {
        fleet: FleetId(fleet.id),
        device: DeviceId::new("d0d0d0d0-d0d0-d0d0-d0d0-d0d0d0d0d0d0").expect("a name"),
        issued: UnixTime(Fleet::sequence(0) + 10),
        expires: UnixTime(Fleet::sequence(0) + 10 + 24 * 3600),
        nonce: None,
        content: Content::Order(Order {
            number: OrderNumber(number),
            task: Task::Install { manifest },
            min_anchors: AnchorsVersion(1),
        }),
    };
    change(&mut claims);
    claims.sign(&verifier(), &Signer::new(signer)).expect("an order")
}

/// Order and envelope, and the components, each filled up to a multiple of 8.
pub fn pack(release: &Release, order: &[u8]) -> Package {
    let mut manifest = (order.len() as u32).to_le_bytes().to_vec();
    manifest.extend_from_slice(order);
    manifest.extend_from_slice(&release.envelope);
    let mut image = Vec::new();
    for component in &release.components {
        image.extend_from_slice(component);
        image.resize(image.len().next_multiple_of(8), 0);
    }
    Package { manifest, image }
}

/// The anchors of this version.
pub fn document(fleet: &Fleet, version: usize) -> Package {
    Package { manifest: fleet.anchors(version).to_vec(), image: Vec::new() }
}

fn cut(release: &Release, fleet: &Fleet) -> Package {
    let mut package = pack(release, &order(fleet, release.digest(), 5));
    package.manifest.truncate(40);
    package
}

fn endless() -> Package {
    let mut manifest = u32::MAX.to_le_bytes().to_vec();
    manifest.resize(2000, 0);
    Package { manifest, image: Vec::new() }
}

fn long(release: &Release, fleet: &Fleet) -> Package {
    let mut package = pack(release, &order(fleet, release.digest(), 5));
    package.manifest.resize(0x3f00, 0);
    package
}

fn pairs(lines: &[Line]) -> Vec<(i32, u32)> {
    lines.iter().map(|line| (line.status, line.state)).collect()
}

fn reason_at(lines: &[Line], at: usize) -> &str {
    lines.get(at).map_or("", |line| &line.reason)
}

/// Runs a script to its end.
fn run(
    device: &Device,
    script: &[[u32; 3]],
    packages: &[Package],
    arguments: &[&str],
) -> (Outcome, Vec<Line>) {
    let mut more: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    more.extend(loaders(device, script, packages));
    let kill_after = Some(std::time::Duration::from_secs(120));
    let outcome = device.run(&Run { arguments: more, kill_after, ..Run::default() });
    let lines = outcome.nonsecure.lines().filter_map(line).collect();
    (outcome, lines)
}

/// What QEMU has to be told so that the application finds its script.
pub fn loaders(device: &Device, script: &[[u32; 3]], packages: &[Package]) -> Vec<String> {
    let mut words: Vec<u32> = script.iter().flatten().copied().collect();
    words.extend([op::END, 0, 0]);
    let mut table: Vec<u32> = Vec::new();
    let mut bytes = Vec::new();
    for package in packages {
        for part in [&package.manifest, &package.image] {
            table.extend([BYTES + bytes.len() as u32, part.len() as u32]);
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
    }
    let flat =
        |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut more = Vec::new();
    for (name, at, content) in [
        ("script", SCRIPT, flat(&words)),
        ("packages", PACKAGES, flat(&table)),
        ("bytes", BYTES, bytes),
    ] {
        let path = device.folder.join(name);
        std::fs::write(&path, &content).expect("a file for QEMU");
        if !content.is_empty() {
            let loader = format!("loader,file={},addr={at:#x},force-raw=on", path.display());
            more.extend(["-device".to_owned(), loader]);
        }
    }
    more
}

fn line(text: &str) -> Option<Line> {
    let mut words = text.strip_prefix("op ")?.split(' ');
    let mut number = || u32::from_str_radix(words.next()?, 16).ok();
    let (operation, status, state, error) = (number()?, number()?, number()?, number()?);
    let (build, _, written) = (number()?, number()?, number()?);
    let reason = words.next().unwrap_or_default().to_owned();
    let (status, error) = (status.cast_signed(), error.cast_signed());
    Some(Line { operation, status, state, error, build, written, reason })
}
