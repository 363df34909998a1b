//! A device at the factory and in the field: the agent, the station and the hub as they meet.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::hub::{Hub, hub_init, local_pki};
use common::{Bench, flip};

const AGENT_TOML: &str = "[update]\n[[health]]\ncommand = [\"/bin/true\"]\n";

/// A device with an agent.toml and nothing else.
fn new_device(bench: &Bench, name: &str) {
    fs::create_dir(bench.path(name)).unwrap();
    fs::write(bench.path(name).join("agent.toml"), AGENT_TOML).unwrap();
}

fn provisioned_device(bench: &Bench, name: &str) {
    new_device(bench, name);
    bench.agent_ok(&format!("--config {name} identity request --out {name}.request"));
    bench.ok(&format!("factory provision {name}.request --device {name} --pin-file pin"));
    bench.agent_ok(&format!("--config {name} identity install {name}.identity"));
}

#[test]
fn the_whole_way_from_keys_to_a_batch_without_any_network() {
    let bench = Bench::pki();
    new_device(&bench, "dev-1");
    let asked = bench.agent_ok("--config dev-1 identity request --out dev-1.request --json").json();
    let made =
        bench.ok("factory provision dev-1.request --device dev-1 --pin-file pin --json").json();
    assert_eq!(made["ueid"], asked["ueid"]);
    assert_eq!(made["key_store"], "sealed-file");
    let installed = bench.agent_ok("--config dev-1 identity install dev-1.identity --json").json();
    assert_eq!(installed["device"], "dev-1");
    assert_eq!(installed["hub"], "https://hub.acme.example");
    let status = bench.agent_ok("--config dev-1 status --json").json();
    assert_eq!(status["device"], "dev-1");
    assert_eq!(status["enrolled"], false);
    let batch = bench.ok("factory export --pin-file pin --json").json();
    assert_eq!(batch["devices"], serde_json::json!(["dev-1"]));
}

#[test]
fn the_agent_is_the_same_executable_by_either_name() {
    let bench = Bench::new();
    new_device(&bench, "d");
    bench.agent_ok("--config d identity request --out one.request");
    let status = bench.ok("agent --config d status --json").json();
    assert_eq!(status, bench.agent_ok("--config d status --json").json());
}

#[test]
fn the_example_configuration_is_accepted() {
    let bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    fs::write(bench.path("d/agent.toml"), bench.agent_ok("example").out).unwrap();
    bench.agent_ok("--config d/agent.toml identity request");
    assert!(bench.path("identity.request").exists());
}

#[test]
fn a_missing_or_wrong_setting_is_named() {
    let bench = Bench::new();
    bench.agent("--config nowhere status").failed("there is no nowhere");
    fs::create_dir(bench.path("d")).unwrap();
    fs::write(bench.path("d/agent.toml"), "[update]\nspeed = 1\n").unwrap();
    bench.agent("--config d status").failed("speed");
    fs::write(bench.path("d/agent.toml"), "[update]\n").unwrap();
    bench.agent("--config d status").failed("health");
}

#[test]
fn an_identity_is_taken_once_and_only_by_its_own_device() {
    let bench = Bench::pki();
    for name in ["dev-1", "dev-2"] {
        new_device(&bench, name);
        bench.agent("--config dev-1 identity install x.identity").failed("cannot read x.identity");
        bench.agent_ok(&format!("--config {name} identity request --out {name}.request"));
        bench.ok(&format!("factory provision {name}.request --device {name} --pin-file pin"));
    }
    bench.agent("--config dev-1 identity install dev-2.identity").refused("wrong-recipient");
    bench.agent_ok("--config dev-1 identity install dev-1.identity");
    bench.agent("--config dev-1 identity install dev-1.identity").refused("already-exists");
    bench.agent("--config dev-1 identity request --out again.request").refused("already-exists");
}

#[test]
fn a_damaged_identity_file_is_refused() {
    let bench = Bench::pki();
    new_device(&bench, "dev-1");
    bench.agent_ok("--config dev-1 identity request --out dev-1.request");
    bench.ok("factory provision dev-1.request --device dev-1 --pin-file pin");
    let good = fs::read(bench.path("dev-1.identity")).unwrap();
    // From the anchors on: every bit of them is signed.
    let start = good.len() - fs::read(bench.path("hub/anchors/1.cbor")).unwrap().len();
    for at in (start..good.len()).step_by(37) {
        fs::write(bench.path("dev-1.identity"), &good).unwrap();
        flip(&bench.path("dev-1.identity"), at);
        let refused = bench.agent("--config dev-1 identity install dev-1.identity --json");
        assert_eq!(refused.code, 1, "byte {at}: {refused:?}");
        assert!(refused.json()["reason"].is_string(), "byte {at}: {refused:?}");
    }
    fs::write(bench.path("dev-1.identity"), &good).unwrap();
    bench.agent_ok("--config dev-1 identity install dev-1.identity");
}

#[test]
fn a_device_enrols_only_after_its_batch_was_handed_in() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    provisioned_device(&bench, "dev-1");
    bench.agent("--config dev-1 enrol").failed("cannot be reached");
    let hub = Hub::start(&bench);
    bench.agent("--config dev-1 enrol").refused("unknown-certificate");
    bench.ok("factory export --pin-file pin");
    bench.ok("factory import plant-1.batch --dir operator");
    let enrolled = bench.agent_ok("--config dev-1 enrol --json").json();
    assert_eq!(enrolled["device"], "dev-1");
    assert_eq!(bench.agent_ok("--config dev-1 status --json").json()["enrolled"], true);
    let devices = bench.ok("device list --dir operator --json").json();
    assert_eq!(devices[0]["state"], "deployed");
    assert_eq!(hub.stop(), 0);
}
