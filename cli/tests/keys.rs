//! Keys of people: one sealed file each, its passphrase never in an argument.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use common::Bench;

#[test]
fn a_key_is_one_sealed_file_for_its_owner_and_one_public_file() {
    let bench = Bench::new();
    for (name, kind) in [("alice", "p256"), ("bob", "ed25519")] {
        let made = bench.ok(&format!("release keygen {name} --kind {kind} --pin-file pin --json"));
        let thumbprint = made.json()["thumbprint"].as_str().unwrap().to_owned();
        assert_eq!(thumbprint.len(), 64);
        let mode = |file: &str| fs::metadata(bench.path(file)).unwrap().mode() & 0o777;
        assert_eq!(mode(&format!("{name}.sealed")), 0o600);
        let public = fs::read_to_string(bench.path(&format!("{name}.pub"))).unwrap();
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{public}");
    }
}

#[test]
fn an_existing_key_is_never_overwritten() {
    let bench = Bench::new();
    bench.keys(&["alice"]);
    let before = fs::read(bench.path("alice.sealed")).unwrap();
    bench.run("release keygen alice --pin-file pin").refused("already-exists");
    fs::remove_file(bench.path("alice.pub")).unwrap();
    bench.run("release keygen alice --pin-file pin").refused("already-exists");
    assert_eq!(fs::read(bench.path("alice.sealed")).unwrap(), before);
    assert!(!bench.path("alice.pub").exists());
}

#[test]
fn a_pin_file_that_others_can_read_is_refused() {
    let bench = Bench::new();
    let pin = bench.path("pin");
    for mode in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(&pin, fs::Permissions::from_mode(mode)).unwrap();
        bench.run("release keygen alice --pin-file pin").failed("pin has mode");
    }
    assert!(!bench.path("alice.sealed").exists());
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o600)).unwrap();
    bench.ok("release keygen alice --pin-file pin");
}

#[test]
fn without_terminal_and_pin_file_there_is_no_key() {
    let bench = Bench::new();
    bench.run("release keygen alice").failed("no passphrase");
    assert!(!bench.path("alice.sealed").exists());
}

#[test]
fn a_passphrase_is_not_taken_as_an_argument() {
    let bench = Bench::new();
    for option in ["--pin 1234", "--passphrase 1234", "--password 1234"] {
        bench.run(&format!("release keygen alice {option}")).wrong_usage("unexpected argument");
    }
}

#[test]
fn with_json_a_failure_is_one_object_too() {
    let bench = Bench::new();
    bench.keys(&["alice"]);
    let refused = bench.run("release keygen alice --pin-file pin --json");
    let object = refused.refused("already-exists").json();
    assert_eq!(object["ok"], false);
    assert_eq!(object["reason"], "already-exists");
    assert!(object["next_step"].as_str().is_some_and(|next| !next.is_empty()));
}
