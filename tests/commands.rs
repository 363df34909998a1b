//! Commands that people signed, from the signer's machine by the hub to a real agent.

#![allow(clippy::unwrap_used)]

#[path = "../cli/tests/common/mod.rs"]
mod common;
mod field;
mod local_hub;

use std::fs;

use field::Field;
use serde_json::Value;

#[test]
fn a_wiped_device_comes_back_with_new_keys_and_nothing_of_its_data() {
    let field = Field::start();
    field.make_device("dev-1");
    let device = field.run("dev-1");
    field.update("1.0");
    let data = field.local.bench.path("dev-1/data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("token"), "of the operator").unwrap();
    let command = field.sign("dev-1", "wipe-operational");
    field.ok(&format!("device command send dev-1 {command} --note returned"));
    let seen = field.until_command("dev-1", "confirmed");
    assert_eq!(
        (&seen["device"]["state"], &seen["device"]["alarm"]),
        (&Value::from("deployed"), &Value::Null)
    );
    assert!(fs::read_dir(&data).unwrap().next().is_none());
    let certificates = seen["certificates"].as_array().unwrap();
    let reasons: Vec<&Value> =
        certificates.iter().map(|certificate| &certificate["revoked_reason"]).collect();
    assert_eq!(reasons, [&Value::Null, &"cessationOfOperation".into(), &Value::Null]);
    let shown = field.ok("device show dev-1").out;
    assert!(shown.contains("wipe-operational carried out"), "{shown}");
    let kinds: Vec<String> = field
        .history("dev-1")
        .iter()
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect();
    for kind in ["command-given", "order-given", "operational-keys-wiped", "command"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} in {kinds:?}");
    }
    // The same command again is a replay, for the hub as for the device.
    field
        .operator(&format!("device command send dev-1 {command} --note again"))
        .refused("already-exists");
    field.update("1.1");
    drop(device);
}

#[test]
fn a_device_changes_hands_and_is_claimed_anew() {
    let field = Field::start();
    field.make_device("dev-1");
    let device = field.run("dev-1");
    field.update("1.0");
    let command = field.sign("dev-1", "wipe-operational");
    field.ok(&format!("device move dev-1 --to transfer --command {command} --note sold"));
    field.operator("device move dev-1 --to provisioned --note early").refused("proof-missing");
    field.until_logged("dev-1", "operational-keys-wiped");
    field.ok("device move dev-1 --to provisioned --owner west --note handed-over");
    let seen = field.until_state("dev-1", "deployed");
    assert_eq!(seen["device"]["owner"], "west");
    field.until_command("dev-1", "confirmed");
    field.update("1.1");
    drop(device);
}

#[test]
fn a_decommissioned_device_is_retired_by_its_last_word_and_never_runs_again() {
    let field = Field::start();
    field.make_device("dev-1");
    let device = field.run("dev-1");
    field.update("1.0");
    let command = field.sign("dev-1", "decommission");
    let asked =
        field.ok(&format!("device move dev-1 --to retired --command {command} --note scrapped"));
    assert!(asked.out.contains("it becomes retired when it has carried out"), "{asked:?}");
    let seen = field.until_state("dev-1", "retired");
    assert_eq!(seen["device"]["state_reason"], "decommissioned");
    assert_eq!(seen["commands"][0]["state"], "confirmed");
    assert_eq!(device.wait(), 1, "the agent ends by itself");
    let bench = &field.local.bench;
    let status = bench.agent_ok("--config dev-1 status --json").json();
    assert_eq!((&status["decommissioned"], &status["enrolled"]), (&true.into(), &false.into()));
    assert!(bench.path("dev-1/decommissioned").exists());
    bench.agent("--config dev-1 run").refused("decommissioned");
    bench.agent("--config dev-1 enrol").refused("decommissioned");
    assert!(!bench.path("dev-1/slots/a").exists() && !bench.path("dev-1/slots/current").exists());
}

#[test]
fn only_a_command_key_signs_and_only_what_it_signed_is_taken() {
    let field = Field::start();
    for name in ["dev-1", "dev-2"] {
        field.make_device(name);
    }
    let bench = &field.local.bench;
    let sign = |more: &str| {
        bench.run(&format!(
            "device command sign --device dev-1 --anchors hub/anchors --pin-file pin {more}"
        ))
    };
    sign("--action decommission --key r1.sealed").refused("untrusted-signer");
    sign("--action decommission --key hub/keys/order.sealed").failed("");
    sign("--action debug-unlock --key c1.sealed").wrong_usage("--nonce");
    sign("--action decommission --key c1.sealed --days 31").wrong_usage("31");
    let _device = field.run("dev-1");
    field.until_state("dev-1", "deployed");
    let command = field.sign("dev-1", "wipe-operational");
    let inspected = bench.ok(&format!("device command inspect {command} --anchors hub/anchors"));
    assert!(inspected.out.contains("wipe-operational"), "{inspected:?}");
    field
        .operator(&format!("device command send dev-2 {command} --note wrong"))
        .refused("wrong-recipient");
    let forged = bench.path("forged.command");
    let mut bytes = fs::read(bench.path(&command)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&forged, bytes).unwrap();
    field.operator("device command send dev-1 forged.command --note x").refused("bad-signature");
    bench
        .run("device command inspect forged.command --anchors hub/anchors")
        .refused("bad-signature");
    field.ok(&format!("device command send dev-1 {command} --note right"));
    field.until_command("dev-1", "confirmed");
}

#[test]
fn a_product_for_developers_has_short_certificates_and_the_doctor_names_it() {
    let field = Field::start();
    let bench = &field.local.bench;
    let anchors = bench.ok("pki anchors inspect hub/anchors/1.cbor --json").json();
    let class = anchors["products"][0]["class_id"].as_str().unwrap().to_owned();
    let doctor = || bench.run("hub doctor --dir hub --json").json()["findings"].clone();
    let named = |findings: &Value| {
        findings.as_array().unwrap().iter().any(|found| found["fault"] == "developer-product")
    };
    assert!(!named(&doctor()));
    field.ok(&format!("device developer --class {class}"));
    field.operator(&format!("device developer --class {class}")).refused("already-exists");
    field.make_device("dev-1");
    let listed = field.ok("device developer --json").json();
    assert_eq!(listed[0]["devices"], 1);
    assert!(named(&doctor()));
    let device = field.run("dev-1");
    let seen = field.until_state("dev-1", "deployed");
    let own = &seen["certificates"][1];
    let life = own["not_after_ms"].as_i64().unwrap() - own["not_before_ms"].as_i64().unwrap();
    let day = 24 * 3600 * 1000;
    assert!((29 * day..=31 * day).contains(&life), "{life}");
    field.update("1.0");
    drop(device);
}
