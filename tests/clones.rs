//! Two holders of one device identity, what an operator sees of it, and the way back: the real
//! hub, real agents, and copies of their directories.

#![allow(clippy::unwrap_used)]

#[path = "../cli/tests/common/mod.rs"]
mod common;
mod field;
mod local_hub;

use field::Field;
use rustix::process::Signal;
use serde_json::Value;

/// What an operator sees of a clone, wherever he looks.
fn assert_alarm(field: &Field, seen: &Value) {
    assert_eq!(seen["device"]["alarm"], "clone-suspected");
    assert_eq!(seen["device"]["state_reason"], "clone-suspected");
    let shown = field.ok("device show dev-1").out;
    assert!(shown.contains("suspended [clone-suspected]"), "{shown}");
    let listed = field.ok("device list").out;
    assert!(listed.contains("clone-suspected"), "{listed}");
    let alarmed = field.ok("device list --alarmed --json").json();
    assert_eq!(alarmed.as_array().unwrap().len(), 1);
    let history = field.history("dev-1");
    assert!(
        history.iter().any(|event| event["kind"] == "alarm-raised"
            && event["details"]["alarm"] == "clone-suspected")
    );
    assert!(history.iter().any(|event| event["kind"] == "device-moved"
        && event["details"]["to"] == "suspended"
        && event["details"]["reason"] == "clone-suspected"));
}

fn assert_settled(field: &Field) {
    let shown = field.device("dev-1");
    assert_eq!(
        (&shown["device"]["state"], &shown["device"]["alarm"]),
        (&Value::from("deployed"), &Value::Null)
    );
    let kinds: Vec<Value> =
        field.history("dev-1").iter().map(|event| event["kind"].clone()).collect();
    assert!(kinds.iter().any(|kind| kind == "alarm-settled"));
    field.ok("audit export log");
    field.local.bench.ok("audit verify log --key operator/evidence.pub");
}

/// The state directory is copied while the device is off; then both run. Each check-in makes a new
/// link, so that one of the two falls out.
#[test]
fn of_two_holders_of_one_link_one_falls_out_and_both_are_suspended() {
    let field = Field::start();
    field.make_device("dev-1");
    let device = field.run("dev-1");
    field.until_state("dev-1", "deployed");
    field.until_heard("dev-1", 1);
    device.stop();
    field.copy("dev-1", "thief");
    let device = field.run("dev-1");
    let thief = field.run("thief");
    let seen = field.until_state("dev-1", "suspended");
    assert_alarm(&field, &seen);

    // The way back: the other is found, people approve, and service makes new operational keys.
    thief.signal(Signal::STOP);
    field.until_heard("dev-1", 1);
    field.ok("device move dev-1 --to deployed --note found");
    assert!(field.ok("device show dev-1").out.contains("deployed (not attested)"));
    device.signal(Signal::STOP);
    field.ok("device move dev-1 --to service --note new-keys");
    field.operator("device move dev-1 --to deployed --note early").refused("proof-missing");
    device.signal(Signal::CONT);
    field.until_logged("dev-1", "re-entry-asked");
    field.ok("device move dev-1 --to deployed --note checked");
    field.update("1.0");
    assert_settled(&field);

    // What the thief took is worth nothing now, and its use is an alarm again.
    thief.signal(Signal::CONT);
    let seen = field.until_state("dev-1", "suspended");
    assert_alarm(&field, &seen);
    drop((device, thief));
}

/// The factory identity itself was copied, before the device was ever switched on.
#[test]
fn one_factory_identity_alive_twice_is_an_alarm_at_the_second_enrolment() {
    let field = Field::start();
    field.make_device("dev-1");
    field.copy("dev-1", "thief");
    let device = field.run("dev-1");
    field.until_state("dev-1", "deployed");
    field.until_heard("dev-1", 1);
    let thief = field.run("thief");
    let seen = field.until_state("dev-1", "suspended");
    assert_alarm(&field, &seen);
    let operational = |shown: &Value| {
        let all = shown["certificates"].as_array().unwrap().clone();
        all.into_iter().filter(|certificate| certificate["kind"] == "ldevid").count()
    };
    assert_eq!(operational(&seen), 1, "the second was given none");

    // Approved, the one that is left makes new keys by itself: the old ones are revoked.
    thief.stop();
    field.ok("device move dev-1 --to deployed --note found");
    let back = field.until("dev-1", "new keys", |shown| operational(shown) == 2);
    assert_eq!(back["certificates"][1]["revoked_reason"], "keyCompromise");
    field.update("1.0");
    assert_settled(&field);
    drop(device);
}

/// The device is put back to the image that the factory wrote, while its certificate is good.
#[test]
fn a_re_entry_while_the_operational_certificate_lives_waits_for_people() {
    let field = Field::start();
    field.make_device("dev-1");
    field.copy("dev-1", "image");
    let device = field.run("dev-1");
    field.update("1.0");
    device.stop();
    field.restore("image", "dev-1");
    let device = field.run("dev-1");
    let seen = field.until_state("dev-1", "suspended");
    assert_alarm(&field, &seen);
    field.ok("device move dev-1 --to deployed --note re-imaged");
    field.update("1.1");
    assert_settled(&field);
    drop(device);
}

/// The device is put back to a copy of its own disk: its link was used up long ago.
#[test]
fn a_restored_disk_image_is_suspended_and_comes_back_by_approval() {
    let field = Field::start();
    field.make_device("dev-1");
    let device = field.run("dev-1");
    field.update("1.0");
    device.stop();
    field.copy("dev-1", "image");
    let device = field.run("dev-1");
    field.until_heard("dev-1", 3);
    device.stop();
    field.restore("image", "dev-1");
    let device = field.run("dev-1");
    let seen = field.until_state("dev-1", "suspended");
    assert_alarm(&field, &seen);
    field.until_heard("dev-1", 1);
    field.ok("device move dev-1 --to deployed --note restored");
    field.update("1.1");
    assert_settled(&field);
    drop(device);
}
