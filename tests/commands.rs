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
fn c37_a_device_changes_hands_and_is_claimed_anew() {
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
fn two_people_sign_a_command_where_the_anchors_ask_for_two() {
    let field = Field::start();
    field.make_device("dev-1");
    let bench = &field.local.bench;
    bench.keys(&["c2"]);
    bench.ok("pki anchors new --from hub/anchors --command-key c2.pub --command-threshold 2");
    for key in ["a1", "a2"] {
        bench.ok(&format!("pki anchors sign hub/anchors/2.cbor --key {key}.sealed --pin-file pin"));
    }
    let inspected = bench.ok("pki anchors inspect hub/anchors/2.cbor");
    assert!(inspected.out.contains("2 of 2 command keys"), "{inspected:?}");
    field.ok("pki anchors publish hub/anchors/2.cbor");
    let device = field.run("dev-1");
    field.until("dev-1", "anchors 2", |shown| shown["device"]["anchors_version"] == 2);
    let command = field.sign("dev-1", "wipe-operational");
    field
        .operator(&format!("device command send dev-1 {command} --note alone"))
        .refused("threshold-not-met");
    let cosign = |key: &str| {
        bench.run(&format!(
            "device command cosign {command} --anchors hub/anchors --key {key}.sealed --pin-file pin"
        ))
    };
    cosign("c1").refused("already-exists");
    cosign("r1").refused("untrusted-signer");
    let signed = cosign("c2");
    assert!(signed.code == 0 && signed.out.contains("2 of 2"), "{signed:?}");
    cosign("c1").refused("already-exists");
    field.ok(&format!("device command send dev-1 {command} --note both"));
    field.until_command("dev-1", "confirmed");
    drop(device);
}

#[test]
fn debugging_is_unlocked_for_the_nonce_that_was_read_on_the_device_and_once() {
    let field = Field::start();
    field.make_device("dev-1");
    let bench = &field.local.bench;
    let unlocked = bench.path("dev-1/unlocked");
    let settings = fs::read_to_string(bench.path("dev-1/agent.toml")).unwrap();
    let program = format!("debug_unlock = [\"/bin/mkdir\", \"{}\"]", unlocked.display());
    fs::write(bench.path("dev-1/agent.toml"), format!("[commands]\n{program}\n{settings}"))
        .unwrap();
    let device = field.run("dev-1");
    field.until_state("dev-1", "deployed");
    let nonce = || {
        let status = bench.agent_ok("--config dev-1 status --json").json();
        status["debug_nonce"].as_str().map(str::to_owned)
    };
    let sign = |nonce: &str, file: &str| {
        bench.ok(&format!(
            "device command sign --device dev-1 --action debug-unlock --nonce {nonce} \
             --anchors hub/anchors --key c1.sealed --pin-file pin --out {file}"
        ));
    };
    let right = nonce().expect("the agent shows its nonce");
    // A nonce that somebody made up opens nothing, and the device says why.
    sign("00112233445566778899aabbccddeeff", "wrong.command");
    field.ok("device command send dev-1 wrong.command --note wrong");
    let seen = field.until_command("dev-1", "refused");
    assert_eq!(seen["commands"][0]["reason"], "nonce-mismatch");
    assert!(!unlocked.exists());
    sign(&right, "right.command");
    field.ok("device command send dev-1 right.command --note repair");
    field.until_command("dev-1", "confirmed");
    assert!(unlocked.is_dir());
    // It is used up; the agent offers another one when it starts.
    assert_eq!(nonce(), None);
    sign(&right, "again.command");
    field.ok("device command send dev-1 again.command --note again");
    let seen = field.until_command("dev-1", "refused");
    assert_eq!(seen["commands"][0]["reason"], "nonce-mismatch");
    assert_eq!(device.stop(), 0);
    let device = field.run("dev-1");
    field.until_heard("dev-1", 1);
    assert!(nonce().is_some_and(|fresh| fresh != right));
    drop(device);
}

#[test]
fn a_technician_carries_an_update_and_a_wipe_to_a_device_that_reaches_no_hub() {
    let field = Field::start();
    for name in ["dev-1", "dev-2"] {
        field.make_device(name);
    }
    let bench = &field.local.bench;
    field.operator("device order dev-1 --out early").refused("not-found");
    let device = field.run("dev-1");
    field.update("1.0");
    let release = field.publish("1.1");
    field.operator("device order dev-1 --out stick --days 31").wrong_usage("31");
    let apply = |name: &str, more: &str| {
        bench.agent(&format!("--config {name} apply --order stick/order {more}"))
    };
    assert_eq!(device.stop(), 0);
    field.ok(&format!("deploy create --release {release} --device dev-1"));
    let made = field.ok("device order dev-1 --out stick");
    assert!(made.out.contains("install") && made.out.contains("apply --order"), "{made:?}");
    apply("dev-2", "").refused("wrong-recipient");
    let without = apply("dev-1", "");
    assert!(without.code == 1 && without.err.contains("offered"), "{without:?}");
    let copied = std::process::Command::new("cp")
        .args(["--recursive", &release, "stick/release"])
        .current_dir(bench.path(""))
        .status();
    assert!(copied.unwrap().success());
    let applied = apply("dev-1", "");
    assert!(applied.code == 0 && applied.out.contains("carried out"), "{applied:?}");
    apply("dev-1", "").refused("order-replayed");
    let status = bench.agent_ok("--config dev-1 status --json").json();
    assert_eq!(status["release"]["version"], "1.1");
    // Home again: the hub hears how it ended, and from whom.
    let device = field.run("dev-1");
    let seen = field.until("dev-1", "1.1", |shown| shown["running"][0]["version"] == "1.1");
    assert_eq!(seen["updates"][0]["state"], "confirmed");
    bench.agent("--config dev-1 apply --order stick/order").failed("another agent is running");
    assert_eq!(device.stop(), 0);
    let command = field.sign("dev-1", "wipe-operational");
    field.ok(&format!("device command send dev-1 {command} --note returned"));
    field.ok("device order dev-1 --out second");
    let wiped = bench.agent_ok("--config dev-1 apply --order second/order --json").json();
    assert_eq!(
        (&wiped["action"], &wiped["state"]),
        (&"wipe-operational".into(), &"confirmed".into())
    );
    let device = field.run("dev-1");
    let seen = field.until_command("dev-1", "confirmed");
    assert_eq!(
        (&seen["device"]["state"], &seen["device"]["alarm"]),
        (&Value::from("deployed"), &Value::Null)
    );
    drop(device);
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
