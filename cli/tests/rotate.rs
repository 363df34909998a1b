//! New keys for a hub: what `pki rotate` and `hub rotate` refuse, and that a cut costs nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Bench, PKI_INIT};

const ROTATE: &str = "pki rotate --root root --pin-file pin";

fn sign(bench: &Bench, anchors: &str) {
    for key in ["a1", "a2"] {
        bench.ok(&format!("pki anchors sign {anchors} --key {key}.sealed --pin-file pin"));
    }
}

#[test]
fn keys_are_taken_once_the_anchors_that_name_them_are_signed_and_a_cut_costs_nothing() {
    let bench = Bench::pki();
    bench.run("hub rotate").refused("not-found");
    let before = fs::read(bench.path("hub/keys/order.pub")).unwrap();
    bench.ok(ROTATE);
    // A second one would leave keys that nobody names.
    bench.run(ROTATE).refused("threshold-not-met");
    bench.run("hub rotate").refused("threshold-not-met");
    assert_eq!(fs::read(bench.path("hub/keys/order.pub")).unwrap(), before);
    sign(&bench, "hub/anchors/2.cbor");
    bench.run(ROTATE).refused("already-exists");

    // As far as a run came that was cut after its first file.
    fs::create_dir_all(bench.path("hub/before-2/keys")).unwrap();
    let name = "keys/server-ca.sealed";
    fs::rename(bench.path(&format!("hub/{name}")), bench.path(&format!("hub/before-2/{name}")))
        .unwrap();
    let new = fs::read(bench.path(&format!("hub/next/{name}"))).unwrap();
    bench.ok("hub rotate");
    assert_eq!(fs::read(bench.path(&format!("hub/{name}"))).unwrap(), new);
    assert_eq!(fs::read(bench.path("hub/before-2/keys/order.pub")).unwrap(), before);
    assert_ne!(fs::read(bench.path("hub/keys/order.pub")).unwrap(), before);
    assert!(!bench.path("hub/next").exists());
    bench.run("hub rotate").refused("not-found");
    // What was made fits together.
    bench.ok("hub init --operator operator");
}

#[test]
fn a_new_hub_has_no_key_of_the_old_one_and_its_anchors_name_no_other() {
    let bench = Bench::pki();
    let other = "--new-hub hub2 --hub-address other.acme.example";
    bench.run(&format!("{ROTATE} --new-hub hub2")).wrong_usage("--hub-address");
    bench
        .run(&format!("{ROTATE} --new-hub hub/inside --hub-address other.acme.example"))
        .wrong_usage("cannot share a directory");
    bench
        .run(&format!("{ROTATE} --new-hub hub2 --hub-address 192.0.2.7"))
        .refused("uri-not-allowed");
    assert!(!bench.path("hub2").exists());
    bench.ok(&format!("{ROTATE} {other}"));
    for entry in fs::read_dir(bench.path("hub/keys")).unwrap().flatten() {
        let name = entry.file_name();
        let new = fs::read(bench.path("hub2/keys").join(&name)).unwrap();
        assert_ne!(new, fs::read(entry.path()).unwrap(), "{name:?}");
    }
    assert_ne!(fs::read(bench.path("hub/pin")).unwrap(), fs::read(bench.path("hub2/pin")).unwrap());
    sign(&bench, "hub2/anchors/2.cbor");
    let shown = bench.ok("pki anchors inspect hub2/anchors/2.cbor --json").out;
    assert!(shown.contains("https://other.acme.example"), "{shown}");
    bench.ok("hub init --dir hub2 --operator operator");
    // The old one cannot be set up under the new anchors.
    fs::copy(bench.path("hub2/anchors/2.cbor"), bench.path("hub/anchors/2.cbor")).unwrap();
    bench.run("hub init --operator operator-2").refused("untrusted-signer");
}

#[test]
fn a_drill_finds_the_wrong_root_and_a_wrong_passphrase_and_leaves_nothing_behind() {
    let bench = Bench::pki();
    let drill = "pki rotate --drill --root";
    bench.ok(&format!("{drill} root --pin-file pin"));
    bench.ok(&format!("{drill} backup --pin-file other-pin"));
    bench.run(&format!("{drill} backup --pin-file pin")).failed("passphrase");
    let known = bench.path("hub/certs/backup-root.pem");
    fs::copy(bench.path("hub/certs/root.pem"), known).unwrap();
    bench.run(&format!("{drill} backup --pin-file other-pin")).failed("not the one");
    assert!(!bench.path("hub/next").exists() && !bench.path("hub/anchors/2.cbor").exists());
}

#[test]
fn an_operator_ca_is_taken_wherever_a_run_was_cut_and_the_key_before_it_is_gone() {
    let bench = Bench::pki();
    let drill = format!("{ROTATE} --drill --operator-ca");
    bench.ok(&drill);
    assert!(!bench.path("hub/next").exists());
    let before = fs::read(bench.path("hub/keys/operator-ca.sealed")).unwrap();
    bench.run(&format!("{ROTATE} --operator-ca --device-ca")).wrong_usage("cannot be used");
    bench.ok(&format!("{ROTATE} --operator-ca"));
    // As far as a run came that was cut after its first file.
    let name = "keys/operator-ca.sealed";
    let new = fs::read(bench.path(&format!("hub/next/{name}"))).unwrap();
    fs::rename(bench.path(&format!("hub/next/{name}")), bench.path(&format!("hub/{name}")))
        .unwrap();
    bench.run("hub init --operator operator").failed("does not fit its key");
    bench.ok("hub rotate");
    assert_eq!(fs::read(bench.path(&format!("hub/{name}"))).unwrap(), new);
    assert!(bench.path("hub/certs/operator-ca-1.pem").exists());
    let left = fs::read_dir(bench.path("hub/keys")).unwrap().flatten();
    let left: Vec<Vec<u8>> = left.map(|entry| fs::read(entry.path()).unwrap()).collect();
    assert!(!left.contains(&before));
    assert!(!bench.path("hub/next").exists());
    bench.ok("hub init --operator operator");
    let folder = bench.run("hub doctor --dir hub --json").json();
    assert!(!folder.to_string().contains("certificate-does-not-fit"), "{folder}");
}

#[test]
fn an_evidence_key_is_replaced_wherever_a_run_was_cut_and_the_one_before_is_gone() {
    let bench = Bench::pki();
    bench.run("hub rotate --evidence-key").failed("hub.toml");
    bench.ok("hub init --operator operator");
    let names = ["evidence.sealed", "evidence.pub"];
    let path = |name: &str| bench.path(&format!("hub/keys/{name}"));
    let next = |name: &str| path(&name.replace("evidence", "evidence-next"));
    let read = || names.map(|name| fs::read(path(name)).unwrap());
    let first = read();
    let rotate = || bench.run("hub rotate --evidence-key --json").json()["number"].clone();

    // Cut before anybody heard of the new key: another one is made.
    for draft in [&names[..1], &names[..]] {
        for name in draft {
            fs::write(next(name), "a draft").unwrap();
        }
        let before = read();
        rotate();
        assert!(read().iter().zip(&before).all(|(new, old)| new != old));
        assert!(!names.iter().any(|name| next(name).exists()));
    }
    // Cut after the first key named the second, with no file or with one in its place.
    for moved in [0, 1] {
        let before = read();
        let number = rotate();
        let after = read();
        for name in &names[moved..] {
            fs::rename(path(name), next(name)).unwrap();
        }
        for (name, old) in names.iter().zip(&before).skip(moved) {
            fs::write(path(name), old).unwrap();
        }
        assert_eq!(rotate(), number, "the run that was cut is at its end");
        assert_eq!(read(), after);
        assert!(!names.iter().any(|name| next(name).exists()));
    }
    // Whatever opens the hub finishes it as well.
    let before = read();
    let number = rotate().as_u64().unwrap();
    for (name, old) in names.iter().zip(&before) {
        fs::rename(path(name), next(name)).unwrap();
        fs::write(path(name), old).unwrap();
    }
    bench.ok("hub invite --admin another --invitation another.i");
    assert_ne!(read(), before);
    assert_eq!(rotate(), number + 1);
    // A key that handed over signs nothing any more, not even the next hand-over.
    for (name, old) in names.iter().zip(&first) {
        fs::write(path(name), old).unwrap();
    }
    bench.run("hub rotate --evidence-key").refused("untrusted-signer");
    bench.run("hub invite --admin third --invitation third.i").refused("untrusted-signer");
}

#[test]
fn another_root_takes_the_place_of_the_lost_one_and_of_no_other() {
    let bench = Bench::pki();
    bench.private("third-pin", "a third passphrase\n");
    let other = "--other-root new --other-root-pin-file third-pin";
    // Whoever holds a root that the hub does not know replaces none.
    bench
        .ok(&PKI_INIT
            .replace("--root root --backup-root backup", "--root r --backup-root b --hub h"));
    bench.run(&format!("pki rotate --root r --pin-file pin {other}")).failed("not the one");
    assert!(!bench.path("new").exists() && !bench.path("hub/next").exists());
    let lost = fs::read(bench.path("hub/certs/backup-root.pem")).unwrap();
    bench.ok(&format!("{ROTATE} {other}"));
    assert!(
        bench.path("new/backup-root.sealed").exists(),
        "the root is left, so the backup is lost"
    );
    assert_eq!(fs::read(bench.path("hub/certs/backup-root.pem")).unwrap(), lost);
    bench.ok("hub rotate");
    assert_eq!(fs::read(bench.path("hub/certs/backup-root-1.pem")).unwrap(), lost);
    let drill = "pki rotate --drill --root";
    bench.ok(&format!("{drill} new --pin-file third-pin"));
    bench.run(&format!("{drill} backup --pin-file other-pin")).failed("not the one");
    bench.ok(&format!("{drill} root --pin-file pin"));
    bench.ok("hub init --operator operator");
}
