//! A hub: set up from the ceremony's directory, served on loopback, told what people made.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::Bench;
use common::hub::{Hub, hub_init, local_pki};

#[test]
fn a_hub_takes_what_people_made_and_ends_when_it_is_told() {
    let bench = local_pki(true);
    let made = bench.ok(&format!("{} --json", hub_init(&bench))).json();
    assert_eq!(made["loopback_only"], true);
    let hub = Hub::start(&bench);
    assert_eq!(hub.serving["serving"], "quickstart");

    let request = bench.device_request("one");
    bench.ok(&format!("factory provision {request} --device dev-1 --pin-file pin"));
    bench.ok("factory export --pin-file pin");
    let taken = bench.ok("factory import plant-1.batch --dir operator --json").json();
    assert_eq!(taken["devices"], 1);
    bench.run("factory import plant-1.batch --dir operator").refused("batch-replayed");
    let devices = bench.ok("--dir operator device list --json").json();
    assert_eq!(devices[0]["id"], "dev-1");
    assert_eq!(devices[0]["state"], "provisioned");

    fs::write(bench.path("payload"), vec![7; 300_000]).unwrap();
    bench.ok("release new payload --product acme.example/gateway --version 1.0 --out r");
    bench.ok("release sign r --key r1.sealed --pin-file pin");
    bench.run("release publish r --dir operator").refused("threshold-not-met");
    bench.ok("release sign r --key r2.sealed --pin-file pin");
    let published = bench.ok("release publish r --dir operator --json").json();
    assert_eq!(published["version"], "1.0");
    assert_eq!(published["objects_there"], 1, "the payload came with the refused release");
    assert_eq!(hub.stop(), 0);

    // What was taken is still there after a restart.
    let hub = Hub::start(&bench);
    let devices = bench.ok("device list --dir operator --json").json();
    assert_eq!(devices.as_array().unwrap().len(), 1);
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_running_hub_takes_new_anchors_and_sites() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let hub = Hub::start(&bench);
    bench.ok("factory init --dir second --site second --pin-file pin");
    bench.ok("pki add-site --root root --request second/second.request --pin-file pin");
    bench.run("pki anchors publish hub/anchors/2.cbor --dir operator").refused("threshold-not-met");
    for key in ["a1", "a2"] {
        bench.ok(&format!("pki anchors sign hub/anchors/2.cbor --key {key}.sealed --pin-file pin"));
    }
    bench.ok("pki anchors publish hub/anchors/2.cbor --dir operator");
    bench
        .run("pki anchors publish hub/anchors/2.cbor --dir operator")
        .refused("anchors-not-sequential");
    bench.ok("hub add-site hub/sites/second.toml --dir operator");
    bench.run("hub add-site hub/sites/second.toml --dir operator").refused("already-exists");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_hub_finds_new_anchors_and_sites_when_it_starts() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    bench.ok("factory init --dir second --site second --pin-file pin");
    bench.ok("pki add-site --root root --request second/second.request --pin-file pin");
    for key in ["a1", "a2"] {
        bench.ok(&format!("pki anchors sign hub/anchors/2.cbor --key {key}.sealed --pin-file pin"));
    }
    bench.ok("factory accept --dir second --answer hub/sites/second.answer --anchors hub/anchors");
    let hub = Hub::start(&bench);
    let request = bench.device_request("one");
    bench.ok(&format!("factory provision {request} --device d --dir second --pin-file pin"));
    bench.ok("factory export --dir second --pin-file pin");
    bench.ok("factory import second-1.batch --dir operator");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_hub_without_signed_anchors_is_not_set_up() {
    let bench = local_pki(false);
    bench.run(&hub_init(&bench)).refused("threshold-not-met");
    bench.ok("pki anchors sign hub/anchors/1.cbor --key a1.sealed --pin-file pin");
    bench.run(&hub_init(&bench)).refused("threshold-not-met");
    assert!(!bench.path("hub/hub.toml").exists() && !bench.path("operator").exists());
    bench.ok("pki anchors sign hub/anchors/1.cbor --key a3.sealed --pin-file pin");
    bench.ok(&hub_init(&bench));
}

#[test]
fn an_existing_hub_or_operator_is_never_overwritten() {
    let bench = local_pki(true);
    fs::create_dir(bench.path("operator")).unwrap();
    fs::write(bench.path("operator/mine"), "mine").unwrap();
    bench.run(&hub_init(&bench)).refused("already-exists");
    assert_eq!(fs::read_dir(bench.path("operator")).unwrap().count(), 1);
    fs::remove_dir_all(bench.path("operator")).unwrap();
    bench.ok(&hub_init(&bench));
    let before = fs::read(bench.path("operator/operator.sealed")).unwrap();
    bench.run(&hub_init(&bench)).refused("already-exists");
    assert_eq!(fs::read(bench.path("operator/operator.sealed")).unwrap(), before);
}

#[test]
fn a_quickstart_hub_does_not_leave_this_machine() {
    let bench = local_pki(true);
    let init = hub_init(&bench);
    for outside in ["--listen 0.0.0.0:18443", "--operator-listen [::]:18444"] {
        bench.run(&format!("{init} {outside}")).wrong_usage("a quickstart cannot listen on");
    }
    bench
        .run("hub init --operator-address hub.example.com --approvals 1")
        .refused("uri-not-allowed");
    bench.ok(&init);
    // Nor when somebody edits its settings afterwards.
    let settings = fs::read_to_string(bench.path("hub/hub.toml")).unwrap();
    fs::write(bench.path("hub/hub.toml"), settings.replace("127.0.0.1:", "0.0.0.0:")).unwrap();
    bench.run("hub serve").failed("the hub does not start");
}

#[test]
fn a_real_hub_is_not_reached_by_localhost() {
    let bench = Bench::pki();
    bench.run("hub init --operator-address localhost:8444").refused("uri-not-allowed");
    bench.run("hub init --operator-address 192.0.2.7:8444").refused("uri-not-allowed");
    bench
        .run("hub init --operator-address hub.acme.example")
        .wrong_usage("devices and operators share a port and a name");
    bench.ok("hub init --operator-address operators.acme.example");
}

#[test]
fn a_hub_opens_its_keys_only_with_its_own_pin_in_a_private_file() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let pin = bench.path("hub/pin");
    let good = fs::read(&pin).unwrap();
    fs::write(&pin, "not the passphrase").unwrap();
    bench.run("hub serve").failed("wrong passphrase");
    fs::write(&pin, &good).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o640)).unwrap();
    bench.run("hub serve").failed("has mode 0640");
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Hub::start(&bench).stop(), 0);
}

#[test]
fn anchors_of_another_pki_do_not_fit() {
    let (bench, other) = (local_pki(true), local_pki(true));
    fs::copy(other.path("hub/anchors/1.cbor"), bench.path("hub/anchors/1.cbor")).unwrap();
    bench.run("hub init --operator-address localhost:1 --approvals 1").refused("wrong-fleet");
    other.ok(&hub_init(&other));
}

#[test]
fn a_folder_before_the_command_is_for_operators_only() {
    let bench = Bench::new();
    bench.run("--dir x factory init --site plant").wrong_usage("names an operator's folder");
    bench.run("--dir x device list").failed("there is no operator.toml in x");
}
