//! Attacks on a device, on both boards: each is refused with its reason, the device still boots
//! what it ran before, and the same flow without the attack succeeds.

use harness::release::{Fleet, Made, Release, SLOT_A, SLOT_B};
use ringfort_cose::Reason;

use crate::device::{Bench, Device, Outcome, Run, STAGING, otp};
use crate::flows::{
    ANCHORS, CONFIRM, CRASH, DONE, HANG, INSTALL, RECOVERS, REFUSED, STOPPED, Tally, WRITE, field,
    runs,
};

pub fn all(bench: &Bench, boards: &[&'static str]) -> bool {
    let mut tally = Tally::default();
    for machine in boards.iter().copied() {
        // All of one image goes over the console, byte by byte.
        let fleet = Fleet::new(&bench.images, 2, 48 * 1024);
        let device = Device::confirmed(bench, "attacks", machine, &fleet);
        let mut attacks = Attacks { machine, fleet, device, tally: &mut tally };
        attacks.at_install();
        attacks.of_the_revoked(bench);
        attacks.in_flash();
        attacks.of_the_trial();
        attacks.of_the_past();
        attacks.at_recovery();
        attacks.of_the_lifecycle();
    }
    tally.end("attacks")
}

struct Attacks<'t> {
    machine: &'static str,
    fleet: Fleet,
    device: Device,
    tally: &'t mut Tally,
}

impl Attacks<'_> {
    /// Releases that the update partition refuses: nothing is erased, the old image boots.
    fn at_install(&mut self) {
        let two = || Made { number: 2, ..Made::default() };
        let cases: Vec<(&str, Release, Reason)> = vec![
            (
                "arbitrary_software_by_an_unknown_key",
                self.make(Made { signers: Some(vec![11, 31]), ..two() }),
                Reason::UntrustedSigner,
            ),
            (
                "one_signature_where_two_are_asked_for",
                self.make(Made { signers: Some(vec![11]), ..two() }),
                Reason::ThresholdNotMet,
            ),
            (
                "one_key_signs_twice",
                twice(self.make(Made { signers: Some(vec![11]), ..two() })),
                Reason::ThresholdNotMet,
            ),
            (
                "no_signature",
                self.make(Made { signers: Some(vec![]), ..two() }),
                Reason::ThresholdNotMet,
            ),
            ("flipped_signature", self.fleet.good(2).with_bad_signature(), Reason::BadSignature),
            ("flipped_manifest", flipped_manifest(self.fleet.good(2)), Reason::ManifestDigest),
            (
                "rollback_by_an_older_number",
                self.make(Made { sequence: Some(Fleet::sequence(1) - 1), ..two() }),
                Reason::SequenceTooLow,
            ),
            (
                "rollback_by_the_same_number",
                self.make(Made { sequence: Some(Fleet::sequence(1)), ..two() }),
                Reason::SequenceReused,
            ),
            (
                "fast_forward",
                self.make(Made { sequence: Some(1 << 63), ..two() }),
                Reason::SequenceJump,
            ),
            (
                "another_class",
                self.make(Made { class: Some([0xc2; 16]), ..two() }),
                Reason::WrongDevice,
            ),
            (
                "another_vendor",
                self.make(Made { vendor: Some([0xa2; 16]), ..two() }),
                Reason::WrongDevice,
            ),
            (
                "a_component_left_out",
                self.make(Made { partial: true, ..two() }),
                Reason::WrongDevice,
            ),
            ("components_of_two_releases", self.mixed(), Reason::ImageDigest),
            (
                "flipped_payload",
                self.fleet.good(2).with_flipped_payload(1, 5000),
                Reason::ImageDigest,
            ),
            ("payload_of_another_content_key", enciphered(self.fleet.good(2)), Reason::ImageDigest),
            (
                "payload_stated_larger_than_a_slot",
                self.make(Made { stated_size: Some(0x30_0000), ..two() }),
                Reason::ImageSize,
            ),
            (
                "manifest_for_another_device",
                self.make(Made { device: Some([0xd1; 16]), ..two() }),
                Reason::Malformed,
            ),
            ("duplicate_map_keys", with_duplicate_key(self.fleet.good(2)), Reason::UnknownField),
            ("a_thousand_levels", with_envelope(vec![0x81; 1000]), Reason::Malformed),
            (
                "a_length_beyond_memory",
                with_envelope([&[0xd8, 0x6b, 0xa2, 0x02, 0x5b][..], &[0xff; 8]].concat()),
                Reason::Malformed,
            ),
            (
                "payload_stated_larger_than_can_be_counted",
                self.make(Made { stated_size: Some(u64::from(u32::MAX)), ..two() }),
                Reason::ImageSize,
            ),
            (
                "an_unknown_command",
                self.make(Made { command: Some(UNKNOWN_COMMAND), ..two() }),
                Reason::Malformed,
            ),
            (
                "an_unprotected_header",
                with_unprotected_header(self.fleet.good(2)),
                Reason::Malformed,
            ),
            ("a_head_longer_than_needed", with_longer_head(self.fleet.good(2)), Reason::Malformed),
            ("an_extra_envelope_key", with_envelope_key(self.fleet.good(2)), Reason::UnknownField),
            ("an_indefinite_length", with_indefinite_map(self.fleet.good(2)), Reason::Malformed),
            ("a_mac_instead_of_a_signature", with_mac(self.fleet.good(2)), Reason::Malformed),
            (
                "an_algorithm_of_another_key",
                with_algorithm(self.fleet.good(2), 0x26, 0x32),
                Reason::AlgorithmNotAllowed,
            ),
            ("no_algorithm", with_algorithm(self.fleet.good(2), 0x00, 0x00), Reason::Malformed),
        ];
        for (name, release, expected) in cases {
            self.device.stage(&release);
            let outcome = self.device.command(INSTALL);
            self.refusal(name, &outcome, expected);
        }
        let after = self.device.read(SLOT_B + 0x20_0000, 0x10_0000);
        let untouched = after.iter().all(|byte| *byte == 0xff);
        self.check("endless_data_leaves_the_rest_of_the_slot_alone", untouched, &"written");
        let outcome = self.device.command(0);
        self.code("the_old_image_boots_after_all_of_these", &outcome, runs(1));
        // More than the manifest states: no byte of it is taken.
        let good = self.fleet.good(2);
        let mut endless = good.stream();
        endless.resize(0x40_0000, 0xee);
        self.device.write(STAGING, &endless);
        let outcome = self.device.command(INSTALL);
        self.code("the_same_without_attack_is_installed", &outcome, DONE);
        let used = self.fleet.slot(&good, 1).len() as u32;
        let rest = self.device.read(SLOT_B + used, 0x30_0000 - used as usize);
        let untouched = rest.iter().all(|byte| *byte == 0xff);
        self.check("payload_that_goes_on_is_cut_at_its_stated_size", untouched, &"written");
    }

    /// Releases that newer anchors revoke, on devices of their own.
    fn of_the_revoked(&mut self, bench: &Bench) {
        let device = Device::confirmed(bench, "revoked", self.machine, &self.fleet);
        let armed = std::mem::replace(&mut self.device, device);
        self.device.stage_anchors(&self.fleet, 2);
        let outcome = self.device.command(ANCHORS);
        self.code("anchors_version_2_are_taken", &outcome, DONE);
        self.device.stage(&self.fleet.good_under(2, 2));
        let outcome = self.device.command(WRITE);
        self.code("a_release_is_written", &outcome, DONE);
        let outcome = self.device.command(0);
        let alarm = field(&outcome, "revoked");
        let waits = outcome.code == runs(1) && alarm == Some(0);
        self.check("and_waits_while_the_running_one_is_not_revoked", waits, &outcome);
        let written = std::fs::read(self.device.flash()).expect("the flash");

        self.turn_anchors(3);
        // The flash from before: the anchors that name a stolen key stay dismissed.
        let present = std::fs::read(self.device.flash()).expect("the flash");
        let mut replay = written.clone();
        replay[0xff_f000..].copy_from_slice(&present[0xff_f000..]);
        std::fs::write(self.device.flash(), &replay).expect("the flash");
        let outcome = self.device.command(0);
        self.refused_at_boot(
            "replayed_anchors_are_older_than_the_counter",
            &outcome,
            STOPPED,
            Reason::LifecycleForbids,
        );
        std::fs::write(self.device.flash(), &present).expect("the flash");
        let outcome = self.device.command(0);
        let taken = outcome.code == runs(2) && field(&outcome, "trial") == Some(1);
        self.check("revoked_release_gives_way_to_a_written_successor", taken, &outcome);
        // The image on trial takes the anchors that revoke it.
        self.turn_anchors(4);
        let listed = std::fs::read(self.device.flash()).expect("the flash");
        self.device.write(ANCHORS_B + 100, &[0; 4]);
        let outcome = self.device.command(0);
        let given_up = outcome.code == runs(1) && field(&outcome, "revoked") == Some(1);
        self.check("an_unreadable_list_of_the_revoked_is_no_empty_one", given_up, &outcome);
        std::fs::write(self.device.flash(), &listed).expect("the flash");
        let outcome = self.device.command(0);
        let seen = field(&outcome, "reason").and_then(Reason::from_number);
        let given_up = outcome.code == runs(1) && seen == Some(Reason::ReleaseRevoked);
        self.check("revoked_release_on_trial_is_given_up (release-revoked)", given_up, &outcome);
        let alarm = field(&outcome, "revoked") == Some(1);
        self.check("revoked_release_runs_on_with_an_alarm_where_nothing_waits", alarm, &outcome);
        self.device.stage(&self.fleet.good_under(2, 4));
        let outcome = self.device.command(INSTALL);
        self.refusal("revoked_release_is_not_installed", &outcome, Reason::ReleaseRevoked);
        self.device.stage(&self.fleet.good_under(3, 4));
        let outcome = self.device.command(INSTALL);
        self.code("one_that_is_not_revoked_is_installed", &outcome, DONE);
        let outcome = self.device.command(0);
        self.code("and_runs_in_its_place", &outcome, runs(3));

        std::fs::write(self.device.flash(), &written).expect("the flash");
        let larger = Made {
            number: 2,
            signers: Some(vec![14, 15]),
            grown: Some(0xe_0001),
            ..Made::default()
        };
        self.device.stage(&self.make(larger));
        let outcome = self.device.command(INSTALL);
        self.code("a_payload_larger_than_where_it_runs_fits_its_slot", &outcome, DONE);
        let outcome = self.device.command(0);
        let seen = field(&outcome, "reason").and_then(Reason::from_number);
        let given_up = outcome.code == runs(1) && seen == Some(Reason::ImageSize);
        self.check("and_is_given_up_at_its_first_boot (image-size)", given_up, &outcome);
        self.device = armed;
    }

    fn turn_anchors(&mut self, version: usize) {
        self.device.stage_anchors(&self.fleet, version);
        let outcome = self.device.command(ANCHORS);
        self.code(&format!("anchors_version_{version}_are_taken"), &outcome, DONE);
    }

    /// Content that changes between install and boot. The device is armed for release 2.
    fn in_flash(&mut self) {
        let armed = std::fs::read(self.device.flash()).expect("the flash");
        let changes: [(&str, u32, Reason); 3] = [
            ("payload_swapped_after_install", SLOT_B + 0x3000 + 777, Reason::ImageDigest),
            ("envelope_swapped_after_install", SLOT_B + 12 + 300, Reason::ManifestDigest),
            ("anchors_swapped_after_install", SLOT_B + 12 + 1500, Reason::AnchorsDigest),
        ];
        for (name, at, expected) in changes {
            std::fs::write(self.device.flash(), &armed).expect("the flash");
            let byte = self.device.read(at, 1)[0];
            self.device.write(at, &[byte ^ 0x20]);
            let outcome = self.device.command(0);
            let seen = (outcome.code, field(&outcome, "reason").and_then(Reason::from_number));
            // A damaged envelope may be malformed before its digest is looked at.
            let fits =
                seen.1 == Some(expected) || expected == Reason::ManifestDigest && seen.1.is_some();
            self.check(name, seen.0 == runs(1) && fits, &outcome);
        }
        std::fs::write(self.device.flash(), &armed).expect("the flash");
        let outcome = self.device.command(0);
        self.code("unchanged_it_boots", &outcome, runs(2));
        std::fs::write(self.device.flash(), &armed).expect("the flash");
    }

    /// Images that crash, hang or never confirm. The device is armed for release 2.
    fn of_the_trial(&mut self) {
        let armed = std::fs::read(self.device.flash()).expect("the flash");
        // Virtual time runs ahead: the watchdog's ten seconds are a moment.
        let fast = || vec!["-icount".to_owned(), "shift=8,sleep=off".to_owned()];
        for (name, command) in [("hanging_image_reverts", HANG), ("crashing_image_reverts", CRASH)]
        {
            std::fs::write(self.device.flash(), &armed).expect("the flash");
            let run = Run { command, arguments: fast(), ..Run::default() };
            let outcome = self.device.run(&run);
            let spent = outcome.console.matches("trial 00000001 attempts").count();
            self.check(name, outcome.code == runs(1) && spent == 3, &outcome);
        }
        std::fs::write(self.device.flash(), &armed).expect("the flash");
        let codes: Vec<_> = (0..4).map(|_| self.device.command(0).code).collect();
        let wanted = [runs(2), runs(2), runs(2), runs(1)];
        self.check("withheld_confirmation_ends_with_the_budget", codes == wanted, &codes);
        let fuses = self.device.read(0x80ff_f000, 4096);
        let burnt: u32 = fuses.iter().map(|byte| byte.count_zeros()).sum();
        self.check("the_counter_does_not_move_without_confirmation", burnt == 2, &burnt);
        let codes: Vec<_> = (0..8).map(|_| self.device.command(0).code).collect();
        let healthy = codes.iter().all(|code| *code == runs(1));
        self.check("power_cycling_a_healthy_device_changes_nothing", healthy, &codes);
    }

    /// The whole flash of an earlier day, records and slots, put back.
    fn of_the_past(&mut self) {
        let past = std::fs::read(self.device.flash()).expect("the flash");
        self.device.stage(&self.fleet.good(2));
        let outcome = self.device.command(INSTALL);
        self.code("a_release_is_installed_again_after_its_revert", &outcome, DONE);
        let outcome = self.device.command(CONFIRM);
        self.code("and_confirmed", &outcome, DONE);
        let outcome = self.device.command(0);
        self.code("and_runs", &outcome, runs(2));
        let present = std::fs::read(self.device.flash()).expect("the flash");
        let mut replay = past;
        let fuses = 0xff_f000;
        replay[fuses..].copy_from_slice(&present[fuses..]);
        std::fs::write(self.device.flash(), &replay).expect("the flash");
        let outcome = self.device.command(0);
        self.refused_at_boot(
            "replayed_flash_is_older_than_the_counter",
            &outcome,
            STOPPED,
            Reason::LifecycleForbids,
        );
        // Records erased: a device cannot be made to start its life again.
        let mut erased = present.clone();
        erased[..0x2000].fill(0xff);
        std::fs::write(self.device.flash(), &erased).expect("the flash");
        let outcome = self.device.command(0);
        self.refused_at_boot(
            "erased_records_do_not_lower_the_floor",
            &outcome,
            STOPPED,
            Reason::LifecycleForbids,
        );
        // Slot A holds release 1, validly signed: it does not boot by itself.
        let mut older = present.clone();
        let (a, b) = ((SLOT_A - 0x8000_0000) as usize, (SLOT_B - 0x8000_0000) as usize);
        older.copy_within(a..a + 0x2_0000, b);
        std::fs::write(self.device.flash(), &older).expect("the flash");
        let outcome = self.device.command(0);
        self.refused_at_boot(
            "an_older_release_in_the_confirmed_slot",
            &outcome,
            RECOVERS,
            Reason::ManifestDigest,
        );
        std::fs::write(self.device.flash(), &present).expect("the flash");
        let outcome = self.device.command(0);
        self.code("unchanged_it_runs", &outcome, runs(2));
    }

    /// Both slots are bad: recovery takes what an update would, and nothing else.
    fn at_recovery(&mut self) {
        let at = SLOT_B + 0x3000 + 99;
        let byte = self.device.read(at, 1)[0];
        self.device.write(at, &[byte ^ 1]);
        let outcome = self.device.command(0);
        self.refused_at_boot(
            "both_slots_bad_waits_for_recovery",
            &outcome,
            RECOVERS,
            Reason::ImageDigest,
        );
        let old = self.fleet.good(1);
        let forged = self.fleet.good(3).with_bad_signature();
        for (name, release, expected) in [
            ("downgrade_by_recovery", old, Reason::SequenceTooLow),
            ("forgery_by_recovery", forged, Reason::BadSignature),
        ] {
            // The envelope alone: nothing more is read of a release that is refused.
            let mut line = release.stream();
            line.truncate(8 + release.envelope.len());
            let run = Run {
                recovery: Some(line),
                until: Some(("boot: recovery, ", 2)),
                ..Run::default()
            };
            let outcome = self.device.run(&run);
            // Why it waits, then why it refused; how often it says afterwards that nothing more came
            // depends on how long this run was left alone.
            let mut lines = outcome.console.split("boot: recovery, ").skip(2);
            let refused = format!("{:08x}", expected as u32);
            let said = lines.next().is_some_and(|line| line.starts_with(&refused));
            let idle = format!("{:08x}", Reason::TransferFailed as u32);
            let then = lines.all(|line| line.starts_with(&idle));
            self.check(name, said && then && outcome.nonsecure.is_empty(), &outcome);
        }
        let run = Run { recovery: Some(self.fleet.good(3).stream()), ..Run::default() };
        let outcome = self.device.run(&run);
        self.code("recovery_takes_a_good_release", &outcome, runs(3));
        let outcome = self.device.command(CONFIRM);
        self.code("which_is_confirmed", &outcome, DONE);
        let outcome = self.device.command(0);
        self.code("and_runs_from_then_on", &outcome, runs(3));
    }

    fn of_the_lifecycle(&mut self) {
        for (name, lifecycle) in
            [("unprovisioned", 0x1000), ("decommissioned", 0x6000), ("unknown_lifecycle", 0x3001)]
        {
            self.device.otp = otp(&self.fleet, lifecycle);
            let outcome = self.device.command(0);
            self.refused_at_boot(name, &outcome, STOPPED, Reason::LifecycleForbids);
        }
        self.device.otp = vec![0; boot::OTP_BYTES];
        let outcome = self.device.command(0);
        self.refused_at_boot("blank_fuses", &outcome, STOPPED, Reason::LifecycleForbids);
        self.device.otp = otp(&self.fleet, 0x3000);
        // Another device's flash: its records were authenticated under another secret.
        self.device.otp[12] ^= 1;
        let outcome = self.device.command(0);
        self.refused_at_boot(
            "flash_of_another_device",
            &outcome,
            STOPPED,
            Reason::LifecycleForbids,
        );
        self.device.otp[12] ^= 1;
        let outcome = self.device.command(0);
        self.code("secured_it_runs", &outcome, runs(3));
    }

    fn make(&self, made: Made) -> Release {
        self.fleet.release(&made)
    }

    /// The secure component of one release with the non-secure one of another.
    fn mixed(&self) -> Release {
        let (mut two, three) = (self.fleet.good(2), self.fleet.good(3));
        two.components[0] = three.components[0].clone();
        two
    }

    fn refusal(&mut self, name: &str, outcome: &Outcome, expected: Reason) {
        let seen = outcome
            .console
            .lines()
            .find_map(|line| line.strip_prefix("app: refused "))
            .and_then(|hex| Reason::from_number(u32::from_str_radix(hex, 16).ok()?));
        let name = format!("{name} ({expected})");
        self.check(&name, outcome.code == REFUSED && seen == Some(expected), &(seen, outcome));
    }

    fn refused_at_boot(
        &mut self,
        name: &str,
        outcome: &Outcome,
        code: Option<i32>,
        expected: Reason,
    ) {
        let says = outcome.console.contains(&format!("{:08x}", expected as u32));
        let name = format!("{name} ({expected})");
        self.check(&name, outcome.code == code && says, outcome);
    }

    fn check(&mut self, name: &str, holds: bool, seen: &dyn std::fmt::Debug) {
        self.tally.check(&format!("{}: {name}", self.machine), holds, seen);
    }

    fn code(&mut self, name: &str, outcome: &Outcome, wanted: Option<i32>) {
        self.check(name, outcome.code == wanted, outcome);
    }
}

/// The last place where these bytes stand.
fn last(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).rposition(|window| window == what).expect("the bytes looked for")
}

/// The first place where these bytes stand.
fn first(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).expect("the bytes looked for")
}

/// The only authentication block a second time, as if another had signed.
fn twice(mut release: Release) -> Release {
    // d2 84: the block; 58 xx before it: its length. The wrapper and its array grow by one.
    let at = first(&release.envelope, &[0xd2, 0x84]);
    let len = usize::from(release.envelope[at - 1]);
    let block = release.envelope[at - 2..at + len].to_vec();
    let wrapper = usize::from(release.envelope[5]);
    assert_eq!(release.envelope[4], 0x58, "a wrapper with a length of one byte");
    let longer = wrapper + block.len();
    release.envelope.splice(at + len..at + len, block);
    // The array of the wrapper: two elements become three.
    assert_eq!(release.envelope[6], 0x82);
    release.envelope[6] = 0x83;
    if longer < 256 {
        release.envelope[5] = longer as u8;
    } else {
        release.envelope.splice(4..6, [0x59, (longer >> 8) as u8, longer as u8]);
    }
    release
}

/// Both components as a stream cipher leaves them whose key is not the right one.
fn enciphered(mut release: Release) -> Release {
    let mut block = [0; 32];
    for chunk in release.components.iter_mut().flat_map(|component| component.chunks_mut(32)) {
        block = slots::Sha256::digest(&block);
        for (byte, key) in chunk.iter_mut().zip(block) {
            *byte ^= key;
        }
    }
    release
}

fn with_envelope(envelope: Vec<u8>) -> Release {
    Release { envelope, components: [vec![0; 64], vec![0; 64]] }
}

/// The severed text a second time.
fn with_duplicate_key(mut release: Release) -> Release {
    let manifest = first(&release.envelope, &[0xd8, 0x6b]) + 2;
    release.envelope[manifest] += 1;
    release.envelope.extend_from_slice(&[0x17, 0x41, 0x00]);
    release
}

fn flipped_manifest(mut release: Release) -> Release {
    let at = last(&release.envelope, b"coap://images.example/a");
    release.envelope[at + 22] = b'b';
    release
}

/// One more entry in the envelope, that nothing signed.
fn with_envelope_key(mut release: Release) -> Release {
    release.envelope[2] += 1;
    release.envelope.extend_from_slice(&[0x18, 0x63, 0x41, 0x00]);
    release
}

/// Something in the unprotected header of the first block, which nothing signs: the text "x".
fn with_unprotected_header(mut release: Release) -> Release {
    let block = first(&release.envelope, &[0xd2, 0x84]);
    let at = block + first(&release.envelope[block..], &[0xa0, 0xf6]);
    release.envelope.splice(at..at + 1, [0xa1, 0x18, 0x63, 0x61, 0x78]);
    release.envelope[block - 1] += 4;
    grow(&mut release.envelope, 4);
    release
}

/// A length of the wrapper's first byte string in more bytes than it takes.
fn with_longer_head(mut release: Release) -> Release {
    let at = first(&release.envelope, &[0x58, 0x24, 0x82, 0x2f]);
    release.envelope.splice(at..at + 2, [0x59, 0x00, 0x24]);
    grow(&mut release.envelope, 1);
    release
}

/// Adds to the wrapper's length.
fn grow(envelope: &mut [u8], by: u16) {
    assert_eq!(envelope[4], 0x59, "a wrapper with a length of two bytes");
    let len = u16::from_be_bytes([envelope[5], envelope[6]]) + by;
    envelope[5..7].copy_from_slice(&len.to_be_bytes());
}

fn with_indefinite_map(mut release: Release) -> Release {
    release.envelope[2] = 0xbf;
    release.envelope.push(0xff);
    release
}

/// COSE_Mac0 where COSE_Sign1 stood.
fn with_mac(mut release: Release) -> Release {
    let at = first(&release.envelope, &[0xd2, 0x84]);
    release.envelope[at] = 0xd1;
    release
}

/// Another algorithm in the protected header of the first block.
fn with_algorithm(mut release: Release, one: u8, other: u8) -> Release {
    let at = first(&release.envelope, &[0xa2, 0x01, 0x28, 0x04]);
    release.envelope[at + 2] = if one == other { one } else { other };
    release
}

/// A command that no draft of SUIT has, one byte long.
const UNKNOWN_COMMAND: u8 = 0x16;

/// Where anchors of even versions lie.
const ANCHORS_B: u32 = mps2::map::LAYOUT.anchors[1].at;
