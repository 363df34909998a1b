//! The audit log as the hub keeps it, checked without the hub.

use std::sync::Arc;

use ringfort_cose::{Reason, SoftSigner};
use ringfort_fleet::audit::{self, Broken, Entry};
use ringfort_fleet::{Role, State, Target, hand_over};

use crate::people::person;
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
async fn the_evidence_key_is_handed_over_once_to_each_and_by_an_administrator_alone() {
    let mut world = busy_world().await;
    let first = world.fleet.evidence_key();
    let next = Arc::new(SoftSigner::generate_p256().unwrap());
    let (operator, _) = person(&world, "olga", Role::Operator).await;
    let handed = |who| world.fleet.hand_over_evidence(who, &*next);
    assert_eq!(handed(&operator).await.unwrap_err().reason, Reason::RoleForbids);
    for known in [&world.evidence_key, &world.order_key] {
        let refused = world.fleet.hand_over_evidence(&world.admin, &**known).await;
        assert_eq!(refused.unwrap_err().reason, Reason::KeyAlreadyKnown);
    }
    assert_eq!(handed(&world.admin).await.unwrap().number, 1);
    assert_eq!(handed(&world.admin).await.unwrap_err().reason, Reason::KeyAlreadyKnown);

    world.evidence_key = next;
    world.restart().await;
    let now = world.fleet.evidence_key();
    assert_eq!(hand_over::successors(&first, world.fleet.hand_overs()), [now]);
    let entries = world.fleet.audit_entries(&world.admin, 0, 1000).await.unwrap();
    let checkpoint = world.fleet.audit_checkpoint().await.unwrap();
    audit::verify(&entries, &checkpoint, &now).unwrap();
    assert_eq!(audit::verify(&entries, &checkpoint, &first), Err(Broken::Signature));
    let said = Entry::decode(entries.last().unwrap()).unwrap();
    assert_eq!((&*said.kind, &*said.who), ("evidence-key-replaced", world.admin.name()));
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
