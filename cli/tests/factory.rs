//! A factory site, off line: devices in, identities out, a signed batch for the hub.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Bench, flip};
use ringfort_messages::{IdentityAnswer, IdentityRequest};

fn provision(bench: &Bench, request: &str, device: &str) -> common::Ran {
    bench.run(&format!("factory provision {request} --device {device} --pin-file pin --json"))
}

#[test]
fn a_device_gets_an_identity_and_the_batch_names_it() {
    let bench = Bench::pki();
    let request = bench.device_request("one");
    let made = provision(&bench, &request, "dev-1").json();
    assert_eq!(made["product"], "acme.example/gateway");
    let identity = fs::read(bench.path("dev-1.identity")).unwrap();
    let identity = IdentityAnswer::decode(&identity).unwrap();
    assert_eq!(identity.device.as_str(), "dev-1");
    assert_eq!(identity.anchors, fs::read(bench.path("hub/anchors/1.cbor")).unwrap());
    assert_eq!(identity.chain.iter().count(), 2);

    let batch = bench.ok("factory export --pin-file pin --json").json();
    assert_eq!(batch["number"], 1);
    assert_eq!(batch["devices"], serde_json::json!(["dev-1"]));
    assert!(bench.path("plant-1.batch").exists());
}

#[test]
fn batches_follow_one_another_and_an_empty_one_is_refused() {
    let bench = Bench::pki();
    bench.run("factory export --pin-file pin").refused("not-found");
    for (number, device) in [(1, "dev-1"), (2, "dev-2")] {
        let request = bench.device_request(device);
        assert_eq!(provision(&bench, &request, device).code, 0);
        let batch = bench.ok("factory export --pin-file pin --json").json();
        assert_eq!(batch["number"], number);
        assert_eq!(batch["devices"], serde_json::json!([device]));
    }
    bench.run("factory export --pin-file pin").refused("not-found");
    let again = bench.ok("factory export --again 1 --out again.batch --json").json();
    assert_eq!(again["devices"], serde_json::json!(["dev-1"]));
    assert_eq!(
        fs::read(bench.path("again.batch")).unwrap(),
        fs::read(bench.path("plant-1.batch")).unwrap()
    );
}

#[test]
fn an_export_that_was_cut_is_finished_by_the_next() {
    let bench = Bench::pki();
    let request = bench.device_request("one");
    assert_eq!(provision(&bench, &request, "dev-1").code, 0);
    bench.ok("factory export --pin-file pin");
    // As if the power had gone after the batch was written and before the device was moved.
    fs::rename(bench.path("station/done/dev-1"), bench.path("station/pending/dev-1")).unwrap();
    bench.run("factory export --pin-file pin").refused("not-found");
    assert!(bench.path("station/done/dev-1").exists());
}

#[test]
fn a_key_that_was_seen_before_is_refused_under_any_name() {
    let bench = Bench::pki();
    let request = bench.device_request("one");
    assert_eq!(provision(&bench, &request, "dev-1").code, 0);
    provision(&bench, &request, "dev-2").refused("key-already-known");
    bench.ok("factory export --pin-file pin");
    provision(&bench, &request, "dev-3").refused("key-already-known");
    // Also in another role and with another UEID.
    let bytes = fs::read(bench.path(&request)).unwrap();
    let seen = IdentityRequest::decode(&bytes).unwrap();
    let swapped = bench.device_request_of("swapped", seen.attestation_csr, seen.idevid_csr);
    provision(&bench, &swapped, "dev-4").refused("key-already-known");
    // Also when the list of what was seen was cut before the device was in it.
    let other = bench.device_request("other");
    assert_eq!(provision(&bench, &other, "dev-5").code, 0);
    let list = fs::read_to_string(bench.path("station/seen")).unwrap();
    let lines: Vec<&str> = list.lines().collect();
    fs::write(bench.path("station/seen"), format!("{}\nkey 12", lines[..3].join("\n"))).unwrap();
    provision(&bench, &other, "dev-6").refused("key-already-known");
}

#[test]
fn one_key_for_identity_and_attestation_is_refused() {
    let bench = Bench::pki();
    let bytes = fs::read(bench.path(&bench.device_request("one"))).unwrap();
    let good = IdentityRequest::decode(&bytes).unwrap();
    let one_key = bench.device_request_of("same", good.idevid_csr, good.idevid_csr);
    provision(&bench, &one_key, "dev-1").refused("key-in-two-roles");
    assert_eq!(provision(&bench, "one.request", "dev-1").code, 0);
}

#[test]
fn a_name_that_is_taken_or_unfit_is_refused() {
    let bench = Bench::pki();
    let first = bench.device_request("one");
    assert_eq!(provision(&bench, &first, "dev-1").code, 0);
    let second = bench.device_request("two");
    bench
        .run(&format!("factory provision {second} --device dev-1 --pin-file pin --out x.identity"))
        .refused("already-exists");
    for unfit in ["..", ".", "a/b", ".a"] {
        provision(&bench, &second, unfit).wrong_usage("cannot be a device's name");
    }
    assert_eq!(provision(&bench, &second, "dev-2").code, 0);
}

#[test]
fn a_request_with_any_flipped_bit_is_refused() {
    let bench = Bench::pki();
    let request = bench.device_request("one");
    let good = fs::read(bench.path(&request)).unwrap();
    let parsed = IdentityRequest::decode(&good).unwrap();
    let start = good.windows(parsed.idevid_csr.len()).position(|w| w == parsed.idevid_csr).unwrap();
    for at in (start..start + parsed.idevid_csr.len()).step_by(5) {
        fs::write(bench.path(&request), &good).unwrap();
        flip(&bench.path(&request), at);
        let refused = provision(&bench, &request, "dev-1");
        assert_eq!(refused.code, 1, "byte {at}: {refused:?}");
        assert!(refused.json()["reason"].is_string(), "byte {at}: {refused:?}");
    }
    fs::write(bench.path(&request), &good[..good.len() - 1]).unwrap();
    provision(&bench, &request, "dev-1").refused("malformed");
    fs::write(bench.path(&request), &good).unwrap();
    assert_eq!(provision(&bench, &request, "dev-1").code, 0);
}

#[test]
fn the_wrong_passphrase_gives_no_identity() {
    let bench = Bench::pki();
    let request = bench.device_request("one");
    bench
        .run(&format!("factory provision {request} --device dev-1 --pin-file other-pin"))
        .failed("wrong passphrase");
    assert!(!bench.path("dev-1.identity").exists());
    assert_eq!(provision(&bench, &request, "dev-1").code, 0);
}

#[test]
fn a_station_that_accepted_nothing_gives_no_identity() {
    let bench = Bench::unsigned_pki();
    let request = bench.device_request("one");
    provision(&bench, &request, "dev-1").failed("is not a station that can provision");
    bench.run("factory export --pin-file pin").failed("is not a station that can provision");
    bench.run("factory accept --anchors hub/anchors").wrong_usage("--answer");
}

#[test]
fn an_existing_station_is_never_overwritten() {
    let bench = Bench::pki();
    let before = fs::read(bench.path("station/keys/station.sealed")).unwrap();
    bench.run("factory init --site plant --pin-file pin").refused("already-exists");
    bench
        .run("factory accept --answer hub/sites/plant.answer --anchors hub/anchors")
        .refused("already-exists");
    assert_eq!(fs::read(bench.path("station/keys/station.sealed")).unwrap(), before);
}

#[test]
fn with_several_products_the_device_says_which() {
    let bench = Bench::pki();
    bench.ok("pki anchors new --product acme.example/lock --release-key r1.pub r2.pub r3.pub");
    for key in ["a1", "a2"] {
        bench.ok(&format!("pki anchors sign hub/anchors/2.cbor --key {key}.sealed --pin-file pin"));
    }
    bench.ok("factory accept --anchors hub/anchors");
    let request = bench.device_request("one");
    provision(&bench, &request, "dev-1").wrong_usage("--product");
    bench
        .run(&format!(
            "factory provision {request} --device d --product acme.example/x --pin-file pin"
        ))
        .refused("wrong-device");
    let made = bench.ok(&format!(
        "factory provision {request} --device dev-1 --product acme.example/lock --pin-file pin --json"
    ));
    assert_eq!(made.json()["product"], "acme.example/lock");
}
