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
    // A device that came back with the factory's image has fallen behind what it confirmed: that
    // alarm ends with the first check-in that says what it runs now.
    let shown = field.until("dev-1", "no alarm", |shown| shown["device"]["alarm"].is_null());
    assert_eq!(shown["device"]["state"], "deployed");
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
    // Either of the two may have asked before, while the alarm was on.
    let asked = asked_keys(&field).len();
    field.ok("device move dev-1 --to service --note new-keys");
    field.operator("device move dev-1 --to deployed --note early").refused("proof-missing");
    device.signal(Signal::CONT);
    field.until("dev-1", "it asks with a new key", |_| asked_keys(&field).len() > asked);
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

/// A card that was flashed anew: a new key for the same device, which elsewhere cannot authenticate
/// until somebody decommissions the device, by a screen that shows no key (mendersoftware/gui#317,
/// deviceauth#93). Here people see whose new key it is before they let it in, nothing is
/// decommissioned, and the old key is worth nothing afterwards.
#[test]
fn c18_a_reflashed_device_comes_back_with_the_new_key_that_people_saw() {
    let field = Field::start();
    field.make_device("dev-1");
    field.copy("dev-1", "as-made");
    let device = field.run("dev-1");
    field.update("1.0");
    device.stop();
    let before = field.device("dev-1");
    field.copy("dev-1", "old-card");
    field.restore("as-made", "dev-1");
    let device = field.run("dev-1");
    field.until_state("dev-1", "suspended");
    // The key that asks stands in the history, and it is none that the device had.
    let asked = field.until("dev-1", "a key that asks", |_| !asked_keys(&field).is_empty());
    let keys = asked_keys(&field);
    let [new_key] = <[String; 1]>::try_from(keys).expect("one key, however often it asks");
    let known = |shown: &Value| shown.to_string().contains(&new_key);
    assert!(!known(&before), "{before}");
    assert_eq!(asked["device"]["id"], before["device"]["id"]);
    let told = field.ok("device history dev-1").out;
    assert!(told.contains("re-entry-asked") && told.contains(&new_key), "{told}");

    field.ok("device move dev-1 --to deployed --note reflashed");
    field.update("1.1");
    let after = field.device("dev-1");
    assert_eq!(after["device"]["ueid"], before["device"]["ueid"], "it is the same device");
    let issued: Vec<Value> = field
        .history("dev-1")
        .into_iter()
        .filter(|event| event["kind"] == "certificate-issued")
        .collect();
    let last = issued.last().unwrap();
    assert_eq!(last["details"]["key"], Value::from(new_key), "the key that was let in");
    assert_settled(&field);
    device.stop();

    // Whoever finds the old card has nothing.
    field.copy("old-card", "finder");
    let finder = field.run("finder");
    field.until_said("finder", "certificate-revoked");
    drop(finder);
}

/// A card that was put into another device, and that device's own card into the first one: two
/// devices with each other's identity elsewhere (balena-cli#2203, balena-supervisor#1394). Here an
/// identity is its card: both go on under the names of their cards, without a conflict; and when
/// the card that was copied runs beside its copy, it is an alarm at the first of the two to speak
/// out of turn, and no other device is drawn into it.
#[test]
fn c34_swapped_cards_are_two_devices_and_a_copied_card_is_an_alarm_for_one() {
    let field = Field::start();
    for name in ["dev-1", "dev-2"] {
        field.make_device(name);
    }
    let devices = [field.run("dev-1"), field.run("dev-2")];
    field.update("1.0");
    for device in devices {
        device.stop();
    }
    // The cards change places.
    field.copy("dev-1", "card");
    field.restore("dev-2", "dev-1");
    field.restore("card", "dev-2");
    let devices = [field.run("dev-1"), field.run("dev-2")];
    field.update("1.1");
    for name in ["dev-1", "dev-2"] {
        let shown = field.device(name);
        assert_eq!(shown["device"]["alarm"], Value::Null, "{shown}");
        field.until_heard(name, 1);
    }
    let [first, second] = devices;
    // The one in the place of dev-2 has the card of dev-1: a copy of that card runs beside it.
    second.stop();
    field.copy("dev-2", "copy");
    let (second, copy) = (field.run("dev-2"), field.run("copy"));
    let seen = field.until_state("dev-1", "suspended");
    assert_alarm(&field, &seen);
    let other = field.device("dev-2");
    let (state, alarm) = (&other["device"]["state"], &other["device"]["alarm"]);
    assert_eq!((state, alarm), (&Value::from("deployed"), &Value::Null));
    field.until_heard("dev-2", 1);
    copy.stop();
    field.ok("device move dev-1 --to deployed --note found");
    field.until_heard("dev-1", 1);
    assert_settled(&field);
    drop((first, second));
}

/// The keys that have asked to enter again, out of the device's history.
fn asked_keys(field: &Field) -> Vec<String> {
    let asked = |event: &Value| event["kind"] == "re-entry-asked";
    let key = |event: Value| event["details"]["key"].as_str().unwrap().to_owned();
    field.history("dev-1").into_iter().filter(asked).map(key).collect()
}
