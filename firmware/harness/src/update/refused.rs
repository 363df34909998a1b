//! What is refused before anything is erased, and what is taken once.

use harness::release::{Fleet, Made, Release};
use ringfort_cose::{Reason, Sha256Digest};
use ringfort_trust::ids::{AnchorsVersion, DeviceId, FleetId, Nonce, UnixTime};
use ringfort_trust::{AuditHead, Content, TokenClaims};
use slots::hmac;

use super::package::{Package, cut, document, endless, long, order, order_with, pack};
use super::run::{ALL, EVEN, pairs, reason_at, run};
use super::{
    BAD_STATE, CANDIDATE, FAILED, INVALID_ARGUMENT, INVALID_SIGNATURE, NOT_PERMITTED, READY,
    SUCCESS, Test, WRITING,
};
use crate::device::SECRET;
use crate::flows::runs;
use crate::script::op;

impl Test {
    /// Every manifest and order that is refused before anything is erased; then the good one.
    pub(super) fn refused_at_start(&mut self, name: &str) {
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

    /// The device asks, the hub answers: its nonce is taken once, and another is not.
    pub(super) fn nonces(&mut self, name: &str) {
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

    pub(super) fn replayed(&mut self, name: &str) {
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

    pub(super) fn anchors(&mut self, name: &str) {
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
}
