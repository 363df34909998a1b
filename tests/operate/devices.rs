//! What operators do with devices in the field, on one device with a real agent.

use crate::pages::{Section, Team, is_inside};

const PAGE: &str = "operate.md";
const AGENT: &str = "ringfort-agent";

#[test]
fn a_device_is_moved_wiped_handed_over_cleared_of_a_clone_and_retired() {
    if !is_inside("devices::a_device_is_moved_wiped_handed_over_cleared_of_a_clone_and_retired") {
        return;
    }
    let mut team = Team::with_a_first_fleet();
    moved(&mut team);
    wiped(&mut team);
    reached_by_a_technician(&mut team);
    handed_over(&mut team);
    cleared_of_a_clone(&mut team);
    retired(&mut team);
    on_desks(&mut team);
}

fn moved(team: &mut Team) {
    let mut page = Section::of(PAGE, "Move a device");
    let said = team.run(&page.next());
    assert!(said.contains("device-moved") && said.contains("lost on site"), "{said}");
    assert_eq!(team.device("gw-0001")["device"]["state"], "suspended");
    team.until_heard("gw-0001");
    let said = team.run(&page.next());
    assert!(said.contains("deployed (not attested)"), "{said}");
}

fn wiped(team: &mut Team) {
    team.ok("mkdir device/data && echo private > device/data/file");
    let mut page = Section::of(PAGE, "Wipe, unlock or decommission a device");
    let said = team.run(&page.next());
    assert!(said.contains("wipe-operational") && said.contains("1 of 1"), "{said}");
    let before = last_key(team);
    team.run(&page.next());
    let shown = team.until("gw-0001", "carried out, and back", |shown| {
        shown["commands"][0]["state"] == "confirmed" && shown["device"]["state"] == "deployed"
    });
    assert!(shown["device"]["alarm"].is_null(), "no clone alarm: {shown:#}");
    assert!(!team.home("device/data/file").exists());
    assert_ne!(last_key(team), before, "its keys are new ones");
    let status = team.json("ringfort-agent --config device status --json");
    assert_eq!(status["release"]["version"], "1.0", "the release stays");
}

/// The newest operational certificate of the device.
fn last_key(team: &Team) -> String {
    let shown = team.device("gw-0001");
    let all = shown["certificates"].as_array().unwrap().clone();
    let operational = all.iter().filter(|one| one["kind"] == "ldevid");
    let newest = operational.max_by_key(|one| one["not_before_ms"].as_i64()).unwrap();
    newest["fingerprint"].as_str().unwrap().to_owned()
}

fn reached_by_a_technician(team: &mut Team) {
    team.stop(AGENT);
    let mut page = Section::of(PAGE, "A device that reaches no hub");
    team.run(&page.next());
    let said = team.run(&page.next());
    assert!(said.contains("carried out"), "{said}");
    let status = team.json("ringfort-agent --config device status --json");
    assert_eq!(status["release"]["version"], "1.1");
    let (taken, said) =
        team.try_run("ringfort-agent --config device apply --order /mnt/gw-0001/order");
    assert!(!taken && said.contains("order-replayed"), "{said}");
    team.start(AGENT);
    team.until("gw-0001", "the hub hears of it", |shown| {
        shown["running"][0]["version"] == "1.1" && shown["updates"][0]["state"] == "confirmed"
    });
}

fn handed_over(team: &mut Team) {
    let mut page = Section::of(PAGE, "Hand a device over");
    team.run(&page.next());
    team.until("gw-0001", "wiped", |_| {
        team.history("gw-0001").iter().filter(|kind| *kind == "operational-keys-wiped").count() > 1
    });
    team.run(&page.next());
    let shown = team.until_state("gw-0001", "deployed");
    assert_eq!(shown["device"]["owner"], "west");
    team.until_heard("gw-0001");
}

fn cleared_of_a_clone(team: &mut Team) {
    team.stop(AGENT);
    team.ok("cp -a device thief");
    team.start(AGENT);
    let thief = team.background("ringfort-agent --config thief run");
    team.until_state("gw-0001", "suspended");
    drop(thief);
    let mut page = Section::of(PAGE, "When a clone is suspected");
    let said = team.run(&page.next());
    assert!(said.contains("gw-0001") && said.contains("clone-suspected"), "{said}");
    team.until_heard("gw-0001");
    let before = last_key(team);
    team.run(&page.next());
    team.until_heard("gw-0001");
    // Either of the two may have asked before, while the alarm was on.
    let before_service = asked(team);
    team.run(&page.next());
    team.wait("it asks with a new key", || asked(team) > before_service);
    team.run(&page.next());
    team.until("gw-0001", "new keys", |_| last_key(team) != before);
    let shown = team.until_state("gw-0001", "deployed");
    assert!(shown["device"]["alarm"].is_null(), "{shown:#}");
}

/// How often a device has asked to enter again.
fn asked(team: &Team) -> usize {
    team.history("gw-0001").iter().filter(|kind| *kind == "re-entry-asked").count()
}

fn retired(team: &mut Team) {
    let mut page = Section::of(PAGE, "Retire a device for good");
    let said = team.run(&page.next());
    assert!(said.contains("when it has carried out"), "{said}");
    let shown = team.until_state("gw-0001", "retired");
    assert_eq!(shown["device"]["state_reason"], "decommissioned");
    team.stop(AGENT);
    let (runs, said) = team.try_run("ringfort-agent --config device run");
    assert!(!runs && said.contains("decommissioned"), "{said}");
}

fn on_desks(team: &mut Team) {
    let mut page = Section::of(PAGE, "Devices on developers' desks");
    let said = team.run(&page.next());
    assert!(said.contains("25"), "{said}");
    let (_, findings) = team.try_run("ringfort hub doctor --dir hub");
    assert!(findings.contains("developer-product"), "{findings}");
}

#[test]
fn two_people_sign_a_command_once_the_anchors_ask_for_two() {
    if !is_inside("devices::two_people_sign_a_command_once_the_anchors_ask_for_two") {
        return;
    }
    let mut team = Team::with_a_first_fleet();
    let mut page = Section::of(PAGE, "Two people sign a command");
    team.run(&page.next());
    team.until("gw-0001", "the new anchors", |shown| shown["device"]["anchors_version"] == 2);
    team.ok("ringfort device command sign --device gw-0001 --action wipe-operational \
             --anchors hub/anchors --key people/command-2.sealed --out alone.command");
    let (taken, said) =
        team.try_run("ringfort --dir operator device command send gw-0001 alone.command --note x");
    assert!(!taken && said.contains("threshold-not-met"), "{said}");
    let said = team.run(&page.next());
    assert!(said.contains("1 of 2") && said.contains("2 of 2"), "{said}");
    team.until("gw-0001", "carried out", |shown| shown["commands"][0]["state"] == "confirmed");
}
