//! Releases: made once, signed by several people on several machines, judged by anybody.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Bench, flip};

const NEW: &str = "release new payload --product acme.example/gateway --version 1.0 --out r";

fn bench() -> Bench {
    let bench = Bench::pki();
    fs::write(bench.path("payload"), vec![0x5a; 70_000]).unwrap();
    bench
}

fn signed_release(keys: &[&str]) -> Bench {
    let bench = bench();
    bench.ok(NEW);
    for key in keys {
        bench.ok(&format!("release sign r --key {key}.sealed --pin-file pin"));
    }
    bench
}

#[test]
fn a_release_signed_by_two_of_three_is_valid() {
    for keys in [["r1", "r2"], ["r2", "r3"], ["r3", "r1"]] {
        let bench = signed_release(&keys);
        let valid = bench.ok("release verify r --anchors hub/anchors --json").json();
        assert_eq!(valid["ok"], true);
        assert_eq!(valid["threshold"], 2);
        assert_eq!(valid["signers"].as_array().unwrap().len(), 2);
        assert_eq!(valid["payloads_checked"], 1);
    }
    let bench = signed_release(&["r1", "r2", "r3"]);
    bench.ok("release verify r/release.suit --anchors hub/anchors/1.cbor");
}

#[test]
fn one_signature_of_two_is_not_enough() {
    let bench = signed_release(&[]);
    bench.run("release verify r --anchors hub/anchors").refused("threshold-not-met");
    bench.ok("release sign r --key r1.sealed --pin-file pin");
    bench.run("release verify r --anchors hub/anchors").refused("threshold-not-met");
    bench.run("release sign r --key r1.sealed --pin-file pin").refused("already-exists");
    bench.ok("release sign r --key r2.sealed --pin-file pin");
    bench.ok("release verify r --anchors hub/anchors");
}

#[test]
fn a_stranger_among_the_signers_refuses_the_release() {
    let bench = signed_release(&["r1", "r2"]);
    bench.ok("release verify r --anchors hub/anchors");
    // An anchor key is no release key, and a spare signature that nobody knows is not passed over.
    bench.ok("release sign r --key a1.sealed --pin-file pin");
    bench.run("release verify r --anchors hub/anchors").refused("untrusted-signer");
    bench.ok("release verify r --key r1.pub");
}

#[test]
fn the_wrong_key_is_told_from_no_signature_and_from_a_broken_one() {
    let bench = signed_release(&[]);
    bench.run("release verify r --key r1.pub").refused("threshold-not-met");
    bench.ok("release sign r --key r1.sealed --pin-file pin");
    bench.run("release verify r --key r2.pub").refused("untrusted-signer");
    bench.ok("release verify r --key r1.pub");
    let last = fs::metadata(bench.path("r/release.suit")).unwrap().len() as usize;
    let bytes = fs::read(bench.path("r/release.suit")).unwrap();
    // The signature is the string of 64 bytes behind the payload that is not there: digest and key
    // identifier before it may hold two of these three bytes by chance.
    let at = bytes.windows(3).position(|w| w == [0xf6, 0x58, 0x40]).unwrap() + 21;
    assert!(at < last);
    flip(&bench.path("r/release.suit"), at);
    bench.run("release verify r --key r1.pub").refused("bad-signature");
}

#[test]
fn a_release_for_another_product_is_refused() {
    let bench = bench();
    bench.ok("release new payload --product acme.example/other --version 1.0 --out r");
    for key in ["r1", "r2"] {
        bench.ok(&format!("release sign r --key {key}.sealed --pin-file pin"));
    }
    bench.run("release verify r --anchors hub/anchors").refused("wrong-device");
}

#[test]
fn a_revoked_release_is_refused() {
    let bench = signed_release(&["r1", "r2"]);
    let valid = bench.ok("release verify r --anchors hub/anchors --json").json();
    let digest = valid["manifest_digest"].as_str().unwrap();
    bench.ok(&format!("pki anchors new --revoke {digest}"));
    for key in ["a1", "a2"] {
        bench.ok(&format!("pki anchors sign hub/anchors/2.cbor --key {key}.sealed --pin-file pin"));
    }
    bench.run("release verify r --anchors hub/anchors").refused("release-revoked");
    bench.ok("release verify r --anchors hub/anchors/1.cbor");
}

#[test]
fn a_changed_payload_is_refused_by_signers_and_verifiers() {
    let bench = signed_release(&["r1"]);
    let objects: Vec<PathBuf> =
        fs::read_dir(bench.path("r/objects")).unwrap().map(|e| e.unwrap().path()).collect();
    let [object] = objects.as_slice() else { panic!("{objects:?}") };
    let good = fs::read(object).unwrap();
    flip(object, 1234);
    bench.run("release verify r --key r1.pub").refused("image-digest");
    bench.run("release sign r --key r2.sealed --pin-file pin").refused("image-digest");
    fs::write(object, &good[1..]).unwrap();
    bench.run("release verify r --key r1.pub").refused("image-size");
    fs::write(object, &good).unwrap();
    bench.ok("release sign r --key r2.sealed --pin-file pin");
    bench.ok("release verify r --anchors hub/anchors");
    // An envelope travels without its payload too.
    fs::remove_file(object).unwrap();
    let valid = bench.ok("release verify r --anchors hub/anchors --json").json();
    assert_eq!(valid["payloads_checked"], 0);
}

#[test]
fn signing_needs_the_right_passphrase_in_a_private_file() {
    let bench = signed_release(&[]);
    let before = fs::read(bench.path("r/release.suit")).unwrap();
    bench.run("release sign r --key r1.sealed --pin-file other-pin").failed("wrong passphrase");
    bench.with_mode("wide-pin", "a passphrase of its own\n", 0o644);
    bench.run("release sign r --key r1.sealed --pin-file wide-pin").failed("has mode 0644");
    bench.run("release sign r --key r1.sealed").failed("no passphrase");
    assert_eq!(fs::read(bench.path("r/release.suit")).unwrap(), before);
    bench.ok("release sign r --key r1.sealed --pin-file pin");
}

#[test]
fn a_damaged_key_file_signs_nothing() {
    let bench = signed_release(&[]);
    let sealed = bench.path("r1.sealed");
    let good = fs::read(&sealed).unwrap();
    for at in (0..good.len()).step_by(29) {
        fs::write(&sealed, &good).unwrap();
        flip(&sealed, at);
        let refused = bench.run("release sign r --key r1.sealed --pin-file pin");
        assert_eq!(refused.code, 1, "byte {at}: {refused:?}");
        assert!(!refused.err.contains("panicked"), "byte {at}: {refused:?}");
    }
    fs::write(&sealed, &good).unwrap();
    bench.ok("release sign r --key r1.sealed --pin-file pin");
}

#[test]
fn an_existing_release_is_never_overwritten() {
    let bench = bench();
    bench.ok(NEW);
    bench.run(NEW).refused("already-exists");
    bench.ok(&NEW.replace("--out r", "--out r2"));
}

#[test]
fn the_sequence_number_follows_the_clock_or_the_option() {
    let bench = bench();
    let first = bench.ok(&format!("{NEW} --json")).json();
    assert!(first["sequence_number"].as_u64().unwrap() > 1_700_000_000);
    let numbered = bench.ok("release new payload --product a/b --version 2 --sequence 7 --json");
    assert_eq!(numbered.json()["sequence_number"], 7);
    assert!(bench.path("release-2/release.suit").exists());
}

#[test]
fn several_components_go_into_one_release() {
    let bench = bench();
    fs::write(bench.path("other"), "another payload").unwrap();
    bench.ok("release new secure=payload app=other --product a/b --version 2 --out r");
    bench.ok("release sign r --key r1.sealed --pin-file pin");
    let shown = bench.ok("release inspect r --json").json();
    let ids: Vec<&str> =
        shown["components"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["secure", "app"]);
    assert_eq!(shown["version"], "2");
    assert_eq!(shown["components"][1]["size_bytes"], 15);
    bench
        .run("release new a=payload a=other --product a/b --version 3")
        .wrong_usage("two payloads for the component a");
}

#[test]
fn an_empty_or_missing_payload_makes_no_release() {
    let bench = bench();
    fs::write(bench.path("empty"), "").unwrap();
    bench.run("release new empty --product a/b --version 1").refused("image-size");
    bench.run("release new nowhere --product a/b --version 1").failed("cannot read nowhere");
    bench.run("release new payload --product b --version 1").wrong_usage("VENDOR/CLASS");
    bench
        .run("release new payload --product a/b --version ../1")
        .wrong_usage("cannot be a version");
    assert!(!bench.path("release-1").exists());
}

#[test]
fn verify_asks_for_one_source_of_trust() {
    let bench = signed_release(&["r1"]);
    bench.run("release verify r").wrong_usage("--key");
    bench
        .run("release verify r --key r1.pub --anchors hub/anchors")
        .wrong_usage("cannot be used with");
}

#[test]
fn whatever_the_file_holds_verify_answers_with_a_reason() {
    let bench = signed_release(&["r1", "r2"]);
    let good = fs::read(bench.path("r/release.suit")).unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..400 {
        let mutant = dice.mutate(&good);
        if mutant == good {
            continue;
        }
        fs::write(bench.path("mutant.suit"), &mutant).unwrap();
        let judged = bench.run("release verify mutant.suit --anchors hub/anchors --json");
        assert_eq!(judged.code, 1, "round {round}: {judged:?} {}", hex(&mutant));
        assert!(judged.json()["reason"].is_string(), "round {round}: {judged:?}");
        assert!(!judged.err.contains("panicked"), "round {round}: {judged:?}");
    }
    bench.ok("release verify r --anchors hub/anchors");
}

#[test]
fn files_that_are_no_envelopes_are_refused_with_a_reason() {
    let bench = signed_release(&["r1"]);
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("text", b"hello".to_vec()),
        ("deep", vec![0x81; 60_000]),
        ("long", vec![0xbb; 9]),
        ("tag", vec![0xd8, 0x6b]),
        ("huge", vec![0; 70_000]),
    ] {
        fs::write(bench.path(name), bytes).unwrap();
        for command in ["verify --key r1.pub", "verify --anchors hub/anchors", "inspect"] {
            let judged = bench.run(&format!("release {command} {name} --json"));
            assert_eq!(judged.code, 1, "{name}: {judged:?}");
            assert!(judged.json()["reason"].is_string(), "{name}: {judged:?}");
        }
        let judged = bench.run(&format!("release sign {name} --key r1.sealed --pin-file pin"));
        assert_eq!(judged.code, 1, "{name}: {judged:?}");
    }
    bench.run("release verify . --key r1.pub").failed("cannot read ./release.suit");
}

#[test]
fn the_drafts_own_examples_are_judged_on_their_own() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/suit/testdata");
    let vectors = vectors.canonicalize().unwrap();
    let bench = Bench::new();
    let key = vectors.join("public-key.pem");
    let (mut signed, mut unsigned) = (0, 0);
    for entry in fs::read_dir(&vectors).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".suit") {
            continue;
        }
        let judged =
            bench.run(&format!("release verify {} --key {}", path.display(), key.display()));
        if name.ends_with("-signed.suit") {
            assert_eq!(judged.code, 0, "{name}: {judged:?}");
            signed += 1;
        } else {
            judged.refused("threshold-not-met");
            unsigned += 1;
        }
    }
    assert_eq!((signed, unsigned), (7, 6));
}

/// A small generator of damage; the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        // xorshift64 (Marsaglia, 2003)
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn mutate(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..=self.roll(3) {
            if bytes.is_empty() {
                break;
            }
            let at = self.roll(bytes.len());
            match self.roll(6) {
                0 => bytes[at] ^= 1 << self.roll(8),
                1 => bytes[at] = self.roll(256) as u8,
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.roll(256) as u8),
                4 => drop(bytes.remove(at)),
                _ => {
                    let from = self.roll(bytes.len());
                    let piece = bytes[from..(from + 16).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
