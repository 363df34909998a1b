//! The ceremony: roots, hub keys and anchors, and everything it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use common::{Bench, PKI_INIT, flip};

fn with_keys() -> Bench {
    let bench = Bench::new();
    bench.keys(&["a1", "a2", "a3", "r1", "r2", "r3", "c1"]);
    bench
}

/// The usual ceremony with one option in another form.
fn init(bench: &Bench, from: &str, to: &str) -> common::Ran {
    assert!(PKI_INIT.contains(from), "{from}");
    bench.run(&PKI_INIT.replace(from, to))
}

#[test]
fn the_ceremony_makes_two_roots_and_the_hubs_keys_for_their_owners_alone() {
    let bench = with_keys();
    let made = bench.ok(&format!("{PKI_INIT} --json")).json();
    assert_eq!(made["name"], "acme");
    for directory in ["root", "backup", "hub", "hub/keys"] {
        let mode = fs::metadata(bench.path(directory)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700, "{directory}");
    }
    for name in ["device-ca", "server-ca", "operator-ca", "order", "evidence", "link"] {
        let path = bench.path(&format!("hub/keys/{name}.sealed"));
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600, "{name}");
    }
    for name in ["root.pem", "backup-root.pem", "root.crl", "backup-root.crl", "device-ca.pem"] {
        assert!(bench.path("hub/certs").join(name).exists(), "{name}");
    }
    assert!(!bench.path("hub/keys/root.sealed").exists());
    let inspected = bench.ok("pki anchors inspect hub/anchors/1.cbor --json").json();
    assert_eq!(inspected["complete"], false);
    assert_eq!(inspected["fleet"], made["fleet"]);
    assert_eq!(inspected["hub"], "https://hub.acme.example");
}

#[test]
fn both_roots_in_one_directory_are_refused() {
    let bench = with_keys();
    for places in [
        "--root root --backup-root root",
        "--root root --backup-root root/backup",
        "--root backup/root --backup-root backup",
        "--root root --backup-root ./x/../root",
        "--root hub/root --backup-root backup",
        "--root root --backup-root hub",
    ] {
        init(&bench, "--root root --backup-root backup", places)
            .wrong_usage("cannot share a directory");
    }
    for name in ["root", "backup", "hub"] {
        assert!(!bench.path(name).exists(), "{name} was made");
    }
    bench.ok(PKI_INIT);
}

#[test]
fn a_directory_with_something_in_it_is_not_touched() {
    for taken in ["root", "backup", "hub"] {
        let bench = with_keys();
        fs::create_dir(bench.path(taken)).unwrap();
        fs::write(bench.path(taken).join("mine"), "mine").unwrap();
        bench.run(PKI_INIT).refused("already-exists");
        assert_eq!(fs::read_dir(bench.path(taken)).unwrap().count(), 1);
    }
}

#[test]
fn an_existing_pki_is_never_overwritten() {
    let bench = with_keys();
    bench.ok(PKI_INIT);
    let before = fs::read(bench.path("root/root.sealed")).unwrap();
    bench.run(PKI_INIT).refused("already-exists");
    assert_eq!(fs::read(bench.path("root/root.sealed")).unwrap(), before);
}

#[test]
fn one_passphrase_for_both_roots_is_refused() {
    let bench = with_keys();
    init(&bench, "--backup-root-pin-file other-pin", "--backup-root-pin-file pin")
        .failed("have the same passphrase");
    assert!(!bench.path("root").exists());
}

#[test]
fn a_wide_pin_file_is_refused_for_each_root() {
    for wide in ["pin", "other-pin"] {
        let bench = with_keys();
        fs::set_permissions(bench.path(wide), fs::Permissions::from_mode(0o644)).unwrap();
        bench.run(PKI_INIT).failed("has mode 0644");
        assert!(!bench.path("root").exists());
    }
}

#[test]
fn an_address_that_no_device_could_reach_is_refused() {
    let bench = with_keys();
    for address in ["localhost", "localhost:8443", "127.0.0.1", "[::1]", "192.0.2.7", "a.localhost"]
    {
        init(&bench, "--hub-address hub.acme.example", &format!("--hub-address {address}"))
            .refused("uri-not-allowed");
    }
    for nonsense in ["http://hub.acme.example", "hub.acme.example/path", "a:b:c"] {
        init(&bench, "--hub-address hub.acme.example", &format!("--hub-address {nonsense}"))
            .wrong_usage("is not an address");
    }
}

#[test]
fn a_quickstart_stays_on_this_machine_and_ends_soon() {
    let bench = with_keys();
    let quickstart = PKI_INIT.replace("--name acme", "--name quickstart");
    bench.run(&quickstart).refused("uri-not-allowed");
    let local = quickstart.replace("hub.acme.example", "localhost:8443");
    bench.run(&format!("{local} --valid-days 31")).wrong_usage("cannot live that long");
    bench.ok(&format!("{local} --valid-days 30"));
}

#[test]
fn thresholds_that_one_lost_key_would_break_are_refused() {
    let bench = with_keys();
    for bad in [
        "--release-threshold 3",
        "--release-threshold 0",
        "--release-threshold 4",
        "--anchor-threshold 4",
        "--anchor-threshold 0",
    ] {
        bench.run(&format!("{PKI_INIT} {bad}")).refused("threshold-invalid");
    }
    assert!(!bench.path("root").exists(), "nothing is made before the anchors are known to fit");
    bench.ok(&format!("{PKI_INIT} --release-threshold 1"));
}

#[test]
fn one_key_in_two_roles_is_refused() {
    let bench = with_keys();
    for (from, to) in [
        ("--command-key c1.pub", "--command-key a1.pub"),
        ("--release-key r1.pub", "--release-key a1.pub"),
        ("--anchor-key a1.pub a2.pub", "--anchor-key a2.pub a2.pub"),
    ] {
        init(&bench, from, to).refused("key-in-two-roles");
    }
    assert!(!bench.path("root").exists());
}

#[test]
fn a_damaged_or_missing_public_key_is_refused() {
    let bench = with_keys();
    fs::write(bench.path("r1.pub"), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
        .unwrap();
    bench.run(PKI_INIT).refused("malformed");
    init(&bench, "r1.pub", "nowhere.pub").failed("cannot read nowhere.pub");
    init(&bench, "r1.pub", "r2.sealed").refused("malformed");
}

#[test]
fn a_site_request_without_proof_of_possession_is_refused() {
    let bench = with_keys();
    bench.ok("factory init --site plant --pin-file pin");
    let request = fs::read_to_string(bench.path("station/plant.request")).unwrap();
    // The station's signature, last in the file, is replaced by that of the Factory CA's request.
    let mut signatures = request.match_indices("-----END").map(|(at, _)| at);
    let (first, second) = (signatures.next().unwrap(), signatures.next().unwrap());
    let mut forged = request.clone();
    forged.replace_range(second - 41..second, &request[first - 41..first]);
    fs::write(bench.path("forged.request"), forged).unwrap();
    let refused = bench.run(&format!("{PKI_INIT} --site forged.request"));
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("[bad-proof-of-possession]") || refused.err.contains("[malformed]"),
        "{refused:?}"
    );
    bench.ok(&format!("{PKI_INIT} --site station/plant.request"));
}

#[test]
fn anchors_need_two_different_people() {
    let bench = Bench::unsigned_pki();
    let sign = |key: &str| {
        bench.run(&format!(
            "pki anchors sign hub/anchors/1.cbor --key {key}.sealed --pin-file pin --json"
        ))
    };
    let accept = "factory accept --answer hub/sites/plant.answer --anchors hub/anchors";
    bench.run(accept).refused("threshold-not-met");
    assert_eq!(sign("a1").json()["complete"], false);
    bench.run(accept).refused("threshold-not-met");
    sign("a1").refused("already-exists");
    sign("r1").refused("untrusted-signer");
    bench.run(accept).refused("threshold-not-met");
    assert_eq!(sign("a3").json()["complete"], true);
    bench.ok(accept);
}

#[test]
fn the_wrong_passphrase_signs_nothing() {
    let bench = Bench::unsigned_pki();
    let before = fs::read(bench.path("hub/anchors/1.cbor")).unwrap();
    bench
        .run("pki anchors sign hub/anchors/1.cbor --key a1.sealed --pin-file other-pin")
        .failed("wrong passphrase");
    assert_eq!(fs::read(bench.path("hub/anchors/1.cbor")).unwrap(), before);
}

#[test]
fn a_flipped_bit_anywhere_in_signed_anchors_is_refused() {
    let bench = Bench::pki();
    let good = fs::read(bench.path("hub/anchors/1.cbor")).unwrap();
    fs::create_dir(bench.path("x")).unwrap();
    fs::write(bench.path("x/1.cbor"), &good).unwrap();
    fs::write(bench.path("payload"), "payload").unwrap();
    bench.ok("release new payload --product acme.example/gateway --version 1 --out r");
    for key in ["r1", "r2"] {
        bench.ok(&format!("release sign r --key {key}.sealed --pin-file pin"));
    }
    bench.ok("release verify r --anchors x");
    for at in (0..good.len()).step_by(17) {
        fs::write(bench.path("x/1.cbor"), &good).unwrap();
        flip(&bench.path("x/1.cbor"), at);
        let refused = bench.run("release verify r --anchors x");
        assert_eq!(refused.code, 1, "byte {at}: {refused:?}");
        assert!(
            refused.err.starts_with("error: the anchors in x/1.cbor are refused ["),
            "{refused:?}"
        );
    }
}

#[test]
fn the_next_anchors_need_signers_of_both_versions() {
    let bench = Bench::pki();
    bench.keys(&["a4"]);
    bench.ok("pki anchors new --drop-key a1.pub --anchor-key a4.pub");
    let sign = |key: &str| {
        bench.run(&format!(
            "pki anchors sign hub/anchors/2.cbor --key {key}.sealed --pin-file pin --json"
        ))
    };
    // a4 counts for the new version only, a1 for the old one only.
    assert_eq!(sign("a4").json()["complete"], false);
    assert_eq!(sign("a1").json()["complete"], false);
    bench.run("pki anchors new --anchor-threshold 1").refused("threshold-not-met");
    assert_eq!(sign("a2").json()["complete"], true);
    bench.ok("factory accept --anchors hub/anchors");
    bench.ok("pki anchors new --anchor-threshold 1");
}

#[test]
fn anchors_are_never_skipped() {
    let bench = Bench::pki();
    bench.ok(
        "pki anchors new --revoke 463374b81b638c1e8e0fafc970d7a6859a68bb61f9bd54b5a5be878ee89da5e0",
    );
    for key in ["a1", "a2"] {
        bench.ok(&format!("pki anchors sign hub/anchors/2.cbor --key {key}.sealed --pin-file pin"));
    }
    fs::create_dir(bench.path("late")).unwrap();
    fs::copy(bench.path("hub/anchors/2.cbor"), bench.path("late/2.cbor")).unwrap();
    bench.run("pki anchors inspect late/2.cbor").failed("cannot read late/1.cbor");
    bench.run("pki anchors new --from late/2.cbor --anchor-threshold 1").failed("late/1.cbor");
    fs::copy(bench.path("hub/anchors/1.cbor"), bench.path("late/1.cbor")).unwrap();
    bench.ok("pki anchors new --from late --anchor-threshold 1");
}

#[test]
fn a_second_site_comes_with_the_next_anchors() {
    let bench = Bench::pki();
    bench.ok("factory init --dir second --site second --pin-file pin");
    bench
        .run("pki add-site --root root --request second/second.request --pin-file other-pin")
        .failed("wrong passphrase");
    let added =
        bench.ok("pki add-site --root root --request second/second.request --pin-file pin --json");
    assert_eq!(added.json()["anchors_version"], 2);
    let accept =
        "factory accept --dir second --answer hub/sites/second.answer --anchors hub/anchors";
    bench.run(accept).refused("threshold-not-met");
    for key in ["a1", "a2"] {
        bench.ok(&format!("pki anchors sign hub/anchors/2.cbor --key {key}.sealed --pin-file pin"));
    }
    // Version 1 does not name the new site, and another site's answer is for another key.
    bench
        .run("factory accept --dir second --answer hub/sites/second.answer --anchors hub/anchors/1.cbor")
        .refused("untrusted-signer");
    bench
        .run("factory accept --dir second --answer hub/sites/plant.answer --anchors hub/anchors")
        .refused("unknown-certificate");
    bench.ok(accept);
    bench
        .run("pki add-site --root root --request second/second.request --pin-file pin")
        .refused("already-exists");
}

#[test]
fn a_site_added_before_anybody_signed_is_in_version_1() {
    let bench = Bench::unsigned_pki();
    bench.ok("factory init --dir second --site second --pin-file pin");
    let added =
        bench.ok("pki add-site --root root --request second/second.request --pin-file pin --json");
    assert_eq!(added.json()["anchors_version"], 1);
}

#[test]
fn the_backup_root_can_take_over() {
    let bench = Bench::pki();
    bench.ok("factory init --dir second --site second --pin-file pin");
    bench.ok("pki add-site --root backup --request second/second.request --pin-file other-pin");
}
