//! Keys, roots, addresses and hubs that are replaced, and devices that slept through it.

use std::fs;

use crate::process::until;
use crate::spare::Spare;
use crate::world::{Conditions, NEW_HUB, World};

/// Azure/azure-sdk-for-c#2531, spresense#532: the server's authority was replaced, and devices
/// that knew no other were cut off.
#[test]
fn c24_a_rotated_server_authority_and_order_key_reach_a_device_that_is_on_and_one_that_is_off() {
    let world = World::new();
    let hub = world.open_hub();
    let awake = world.agent("dev-1", &Conditions::default());
    let asleep = world.agent("dev-2", &Conditions::default());
    for device in ["dev-1", "dev-2"] {
        world.update("1.0", device, "operator");
    }
    asleep.stop();

    world.follow(IN_TIME, 0);
    world.has_anchors("dev-1", 2);
    hub.stop();
    world.follow(IN_TIME, 1);
    let hub = world.serve("hub");
    world.update("1.1", "dev-1", "operator");
    world.follow(IN_TIME, 2);
    world.has_anchors("dev-1", 3);
    world.update("1.2", "dev-1", "operator");

    // The other one knows a hub that is no more; only documents that prove themselves lead it on.
    let asleep = world.agent("dev-2", &Conditions::default());
    world.update("1.2", "dev-2", "operator");
    world.has_anchors("dev-2", 3);
    assert!(asleep.said().contains("asking for newer anchors only"), "{}", asleep.said());
    for (device, agent) in [("dev-1", awake), ("dev-2", asleep)] {
        assert!(!world.history(device, "operator").contains("alarm-raised"));
        assert!(!agent.said().contains("alarm"), "{}", agent.said());
        agent.stop();
    }
    hub.stop();
}

/// aktualizr#1185: off for two months, expired metadata, stuck. Here it is two years, two
/// rotations, the second by the backup root, and a clock that begins in 1970.
#[test]
fn c30_a_device_that_was_off_for_two_years_and_two_rotations_updates_and_confirms() {
    let world = World::new();
    let hub = world.open_hub();
    let agent = world.agent("dev-1", &Conditions::default());
    world.update("1.0", "dev-1", "operator");
    agent.stop();
    hub.stop();

    for (clock, root, pin, version) in
        [("+300d", "root", "pin", 2), ("+700d", "backup-root", "other-pin", 4)]
    {
        world.set_clock(clock);
        world.ok(&format!("pki rotate --root {root} --hub hub --pin-file {pin}"));
        sign(&world, &format!("hub/anchors/{version}.cbor"));
        world.ok("hub rotate --dir hub");
        world.ok(&format!(
            "pki anchors new --from hub/anchors --drop-key hub/before-{version}/keys/order.pub \
             --drop-server-ca hub/before-{version}/certs/server-ca.pem"
        ));
        sign(&world, &format!("hub/anchors/{}.cbor", version + 1));
    }
    world.set_clock("+760d");
    // Nobody's certificate is good any more: the hub's own machine lets a person in.
    world.run("device list --dir operator").failed("");
    world.follow("Nobody can log in any more", 0);
    let hub = world.serve("hub");
    world.follow("Nobody can log in any more", 1);
    let nineteen_seventy =
        Conditions { clock: Some("@1970-01-01 00:00:05".to_owned()), ..Conditions::default() };
    let agent = world.agent("dev-1", &nineteen_seventy);
    world.update("1.1", "dev-1", "operator-2");
    world.has_anchors("dev-1", 5);
    let history = world.history("dev-1", "operator-2");
    assert!(!history.contains("alarm-raised"), "{history}");
    agent.stop();
    hub.stop();
}

/// Google IoT Core, Pelion: the address that devices were made with came into other hands.
#[test]
fn a_hub_that_moved_is_found_by_a_device_that_is_on_and_one_that_is_off() {
    let world = World::new();
    let hub = world.open_hub();
    let awake = world.agent("dev-1", &Conditions::default());
    let asleep = world.agent("dev-2", &Conditions::default());
    for device in ["dev-1", "dev-2"] {
        world.update("1.0", device, "operator");
    }
    asleep.stop();
    world.follow("The hub moves", 0);
    world.has_anchors("dev-1", 2);
    hub.stop();
    // Another machine: the old name leads there for a while, or the spare address tells.
    move_hub(&world);
    let hub = world.serve("hub");
    world.update("1.1", "dev-1", "operator");
    awake.stop();

    // The old name still leads to the hub, which answers to it.
    world.name_hosts("dev-2/hosts", &[("hub.acme.example", NEW_HUB)]);
    let asleep = world.agent("dev-2", &Conditions::default());
    world.update("1.1", "dev-2", "operator");
    asleep.stop();

    // The old name leads nowhere any more: the spare address alone knows.
    let spare = Spare::serve(&world);
    spare.put(&world, "hub/anchors");
    let third = world.agent("dev-3", &Conditions::default());
    world.update("1.1", "dev-3", "operator");
    world.has_anchors("dev-3", 2);
    third.stop();
    hub.stop();
}

/// aktualizr#1548: the root role was lost on the server.
#[test]
fn the_backup_root_takes_the_place_of_a_lost_root_after_a_drill_that_changed_nothing() {
    let world = World::new();
    let hub = world.open_hub();
    let agent = world.agent("dev-1", &Conditions::default());
    world.update("1.0", "dev-1", "operator");
    let before = files(&world, "hub");
    let drill = world.follow("Rehearse a rotation", 0);
    for said in ["the backup root opened", "took them signed", "not rehearsed", "2 of a1, a2, a3"] {
        assert!(drill.contains(said), "{said}: {drill}");
    }
    for (block, said) in [(1, "certified Device CA 2"), (2, "certified Operator CA 2")] {
        let drill = world.follow("Rehearse a rotation", block);
        assert!(drill.contains(said) && drill.contains("not rehearsed"), "{drill}");
    }
    assert_eq!(files(&world, "hub"), before, "the drill changed something");
    world
        .run("pki rotate --drill --root backup-root --hub hub --pin-file pin")
        .failed("passphrase");

    fs::remove_dir_all(world.path("root")).unwrap();
    world.follow("The root is lost", 0);
    world.run("hub rotate --dir hub").failed("served");
    world.has_anchors("dev-1", 2);
    hub.stop();
    world.follow("The root is lost", 1);
    let hub = world.serve("hub");
    world.update("1.1", "dev-1", "operator");

    // A root that has no second beside it is lost next: another one takes the lost one's place.
    let other = "pki rotate --root backup-root --hub hub --pin-file other-pin --other-root";
    world.run(&format!("{other} backup-root/inside")).wrong_usage("cannot share a directory");
    world
        .run(&format!("{other} new-root --other-root-pin-file other-pin"))
        .failed("the same passphrase");
    assert!(!world.path("new-root").exists());
    world.follow("The root is lost", 2);
    hub.stop();
    world.follow("The root is lost", 3);
    let hub = world.serve("hub");
    let drill = world.follow("The root is lost", 4);
    assert!(drill.contains("the root opened"), "{drill}");
    world.ok("pki rotate --root new-root --hub hub --pin-file third-pin");
    sign(&world, "hub/anchors/3.cbor");
    world.ok("pki anchors publish hub/anchors/3.cbor --dir operator");
    world.has_anchors("dev-1", 3);
    hub.stop();
    world.ok("hub rotate --dir hub");
    let ca = fs::read_to_string(world.path("hub/certs/server-ca.pem")).unwrap();
    fs::write(world.path("operator/server-ca.pem"), ca).unwrap();
    let hub = world.serve("hub");
    world.update("1.2", "dev-1", "operator");
    agent.stop();
    hub.stop();
}

/// The whole of it: a thief has the hub with its keys, and goes on serving.
#[test]
fn a_stolen_hub_is_replaced_and_its_devices_come_back_by_their_factory_identities() {
    let world = World::new();
    let thief = world.open_hub();
    let one = world.agent("dev-1", &Conditions::default());
    let two = world.agent("dev-2", &Conditions::default());
    let three = world.agent("dev-3", &Conditions::default());
    for device in ["dev-1", "dev-2", "dev-3"] {
        world.update("1.0", device, "operator");
    }
    // What people keep outside the hub: the PKI's public part, and the log with what they signed.
    world.follow("Keep outside the hub", 0);
    world.ok("device move dev-2 --to retired --note stolen --dir operator");
    world.ok("device move dev-3 --to suspended --note doubtful --dir operator");
    world.follow("Keep outside the hub", 1);
    for agent in [one, two, three] {
        agent.stop();
    }
    let spare = Spare::serve(&world);
    world.ok("pki rotate --drill --root root --hub kit --pin-file pin --new-hub hub2 \
              --hub-address hub2.acme.example:8443");
    assert!(!world.path("hub2").exists());
    world.follow(STOLEN, 0);
    spare.put(&world, "hub2/anchors");
    world.follow(STOLEN, 1);
    world.listen_at("hub2", NEW_HUB);
    let hub = world.serve("hub2");
    let told = world.follow(STOLEN, 2);
    for said in ["dev-2  retired  done", "dev-3  suspended  as soon as it enrols", "2 devices told"]
    {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(!told.contains("left out"), "{told}");

    // The thief offers what was signed; no device of ours takes it from there any more.
    let bait = world.deploy("1.1", "dev-1", "operator");
    let one = world.agent("dev-1", &Conditions::default());
    world.update("1.2", "dev-1", "operator-2");
    world.has_anchors("dev-1", 2);
    let offered = [("dev-1".to_owned(), "offered".to_owned())];
    assert_eq!(world.states(&bait, "operator"), offered);
    assert!(!one.said().contains("alarm"), "{}", one.said());
    let history = world.history("dev-1", "operator-2");
    assert!(history.contains("idevid") && !history.contains("alarm-raised"), "{history}");

    // Who is retired stays so, at the first word; who is suspended waits for people.
    let two = world.agent("dev-2", &Conditions::default());
    two.says("lifecycle-forbids");
    assert_eq!(world.device("dev-2", "operator-2")["device"]["state"], "retired");
    let three = world.agent("dev-3", &Conditions::default());
    until("dev-3 is suspended", || {
        world.device("dev-3", "operator-2")["device"]["state"] == "suspended"
    });
    // It has to speak before people let it in.
    until("dev-3 is let in", || {
        let back = "device move dev-3 --to deployed --note seen --dir operator-2";
        world.run(back).code == 0
    });
    world.update("1.2", "dev-3", "operator-2");
    for agent in [one, two, three] {
        agent.stop();
    }
    hub.stop();
    thief.stop();
}

/// The same log with a statement by somebody whom nobody named.
#[test]
fn a_replay_leaves_out_what_nobody_trusted_has_signed_and_refuses_an_altered_log() {
    let world = World::new();
    let hub = world.open_hub();
    world.ok("device move dev-2 --to retired --note stolen --dir operator");
    world.ok("audit export log --dir operator");
    let replay = |log: &str, trust: &str| {
        world.run(&format!(
            "audit replay {log} --key operator/evidence.pub --trust {trust} --dir operator --json"
        ))
    };
    let nobody = replay("log", "r1.pub").json();
    assert_eq!((&nobody["not_believed"], &nobody["moves"]), (&1.into(), &serde_json::json!([])));
    let all = replay("log", "operator/operator.pem").json();
    assert_eq!(all["moves"][0]["outcome"], "is so already", "{all}");

    let text = fs::read_to_string(world.path("log")).unwrap();
    let note = hex::encode("stolen");
    assert!(text.contains(&note));
    fs::write(world.path("altered"), text.replacen(&note, &hex::encode("harmed"), 1)).unwrap();
    replay("altered", "operator/operator.pem").failed("not what the hub signed");
    hub.stop();
}

pub fn sign(world: &World, anchors: &str) {
    for key in ["a1", "a2"] {
        world.ok(&format!("pki anchors sign {anchors} --key {key}.sealed --pin-file pin"));
    }
}

/// Another machine with the hub's directory; operators' name leads there too.
fn move_hub(world: &World) {
    world.follow("The hub moves", 1);
    world.listen_at("hub", NEW_HUB);
    world.name_hosts("hosts", &[("ops.acme.example", NEW_HUB)]);
}

/// Every file below a directory with what is in it, but the database, which lives.
pub fn files(world: &World, directory: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![world.path(directory)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                folders.push(path);
            } else if !name.starts_with("hub.db") {
                found.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

const IN_TIME: &str = "Replace the hub's keys in time";
const STOLEN: &str = "The hub is stolen";
