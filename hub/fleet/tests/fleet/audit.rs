//! The audit log as the hub keeps it, checked without the hub.

use ringfort_fleet::audit::{self, Broken, Entry};
use ringfort_fleet::{State, Target};

use crate::world::World;

async fn busy_world() -> World {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    world.deploy(release, Target::Class).await;
    device.update_to(&world, release, 10).await;
    world.fleet.move_device(&world.admin, &device.id, State::Suspended, "a test").await.unwrap();
    world
}

#[tokio::test]
async fn the_log_verifies_offline_and_tells_the_story() {
    let world = busy_world().await;
    let entries = world.fleet.audit_entries(&world.admin, 0, 1000).await.unwrap();
    let checkpoint = world.fleet.audit_checkpoint().await.unwrap();
    let head = audit::verify(&entries, &checkpoint, &world.fleet.evidence_key()).unwrap();
    assert_eq!(head.size, entries.len() as u64);
    let device = crate::world::device_id("dev-a");
    let history = world.fleet.history(&world.admin, &device, 100).await.unwrap();
    let kinds: Vec<&str> = history.iter().map(|entry| &*entry.kind).collect();
    assert_eq!(
        kinds,
        [
            "device-provisioned",
            "certificate-issued",
            "device-moved",
            "order-given",
            "update",
            "update",
            "update",
            "update",
            "device-moved",
        ]
    );
    let last = history.last().unwrap();
    assert_eq!(last.who, "host:test");
    assert!(last.details.contains(&("note".to_owned(), "a test".to_owned())));
}

#[tokio::test]
async fn one_altered_removed_or_reordered_entry_is_named() {
    let world = busy_world().await;
    let honest = world.fleet.audit_entries(&world.admin, 0, 1000).await.unwrap();
    let checkpoint = world.fleet.audit_checkpoint().await.unwrap();
    let key = world.fleet.evidence_key();
    for place in 0..honest.len() {
        let position = place as u64;
        let mut altered = honest.clone();
        let mut entry = Entry::decode(&altered[place]).unwrap();
        entry.who = "somebody else".to_owned();
        altered[place] = entry.encode().unwrap();
        assert_eq!(audit::verify(&altered, &checkpoint, &key), Err(Broken::Altered { position }));
        let mut removed = honest.clone();
        removed.remove(place);
        assert_eq!(audit::verify(&removed, &checkpoint, &key), Err(Broken::Missing { position }));
        if place > 0 {
            let mut swapped = honest.clone();
            swapped.swap(place - 1, place);
            let moved = Broken::Moved { position: position - 1, found: position };
            assert_eq!(audit::verify(&swapped, &checkpoint, &key), Err(moved));
        }
    }
    audit::verify(&honest, &checkpoint, &key).unwrap();
}

#[tokio::test]
async fn a_later_log_still_contains_an_earlier_checkpoint() {
    let mut world = busy_world().await;
    let early = world.fleet.audit_checkpoint().await.unwrap();
    world.deployed("dev-b").await;
    let entries = world.fleet.audit_entries(&world.admin, 0, 1000).await.unwrap();
    let key = world.fleet.evidence_key();
    let head = audit::verify(&entries, &early, &key).unwrap();
    assert!((head.size as usize) < entries.len());
}

#[tokio::test]
async fn a_refused_change_leaves_no_entry() {
    let mut world = busy_world().await;
    let before = world.fleet.status(&world.admin).await.unwrap().audit_size;
    let device = world.make_device("dev-b");
    let twin = world.make_device("dev-b");
    assert!(world.import(&[&device, &twin]).await.is_err());
    assert_eq!(world.fleet.status(&world.admin).await.unwrap().audit_size, before);
    let checkpoint = world.fleet.audit_checkpoint().await.unwrap();
    let entries = world.fleet.audit_entries(&world.admin, 0, 1000).await.unwrap();
    audit::verify(&entries, &checkpoint, &world.fleet.evidence_key()).unwrap();
}
