//! A hub that was lost and restored from a backup.

use ringfort_cose::Reason;
use ringfort_fleet::{
    Agreed, Clock, Health, Operator, Policy, Restored, State, Target, UpdateState, audit,
};
use ringfort_store::{Store, StoreConfig};

use crate::world::{DAY_MS, HOUR_MS, World, refused};

#[tokio::test]
async fn an_update_confirms_after_a_backup_a_hundred_orders_and_a_restore() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let backup = world.back_up().await;
    for sequence in 1..=100 {
        world.clock.advance_ms(1000);
        let release = world.release(sequence).await;
        world.deploy(release, Target::Class).await;
        device.update_to(&world, release, sequence).await;
    }
    let (lost_order, lost_link) = (device.last_order, device.link);
    world.restore(&backup).await;
    assert_eq!(refused(device.check_in(&world).await), Reason::HubRestored);
    assert_eq!(device.link, lost_link);
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    device.check_in(&world).await.unwrap();
    let release = world.release(101).await;
    let deployment = world.deploy(release, Target::Class).await;
    let order = device.take_order(&world).await;
    assert!(order.number.0 > lost_order);
    device.boot(release, 101);
    device.check_in(&world).await.unwrap();
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Offered);
    device.update = None;
    device.check_in(&world).await.unwrap();
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Confirmed);
}

#[tokio::test]
async fn a_restore_takes_two_administrators_where_two_exist() {
    let mut world = World::with_policy(Policy::default()).await;
    let device = world.deployed("dev-a").await;
    let (alice, bob) = (Operator::at_the_host("alice"), Operator::at_the_host("bob"));
    let backup = world.back_up().await;
    world.restore(&backup).await;
    for _ in 0..2 {
        // The same person twice is one person.
        let waiting = world.fleet.acknowledge_restore(&alice).await.unwrap();
        assert_eq!(waiting, Agreed::Waiting { given: 1, required: 2 });
    }
    assert_eq!(world.fleet.health().await.unwrap(), Health::Restored);
    let done = world.fleet.acknowledge_restore(&bob).await.unwrap();
    assert!(matches!(done, Agreed::Done(_)), "{done:?}");
    assert_eq!(world.fleet.health().await.unwrap(), Health::Up);
    drop(device);
}

#[tokio::test]
async fn no_order_and_no_certificate_before_an_administrator_acknowledges() {
    let mut world = World::new().await;
    let mut in_stock = world.provisioned("dev-stock").await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    let deployment = world.deploy(release, Target::Class).await;
    let backup = world.back_up().await;
    world.clock.advance_ms(30 * DAY_MS);
    world.restore(&backup).await;
    let restored = world.fleet.status(&world.admin).await.unwrap().restored.unwrap();
    assert_eq!((restored.backup_ms, restored.acknowledged_ms), (backup.made_ms, None));
    assert_eq!(world.fleet.health().await.unwrap(), Health::Restored);
    assert_eq!(refused(device.check_in(&world).await), Reason::HubRestored);
    assert_eq!(refused(in_stock.enrol(&world).await), Reason::HubRestored);
    let before = device.operational.clone();
    device.new_operational_key();
    assert_eq!(refused(device.reenrol(&world).await), Reason::HubRestored);
    device.operational = before;
    // Time and anchors go on; waiting is not the devices' failure, and a restart changes nothing.
    let session = device.by_ldevid(&world).await.unwrap();
    world.fleet.signed_time(&session, device.status(&world).nonce).await.unwrap();
    world.restart().await;
    assert_eq!(world.fleet.tick().await.unwrap(), 0);
    assert_eq!(refused(device.check_in(&world).await), Reason::HubRestored);

    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    assert_eq!(world.fleet.health().await.unwrap(), Health::Up);
    assert_eq!(world.fleet.tick().await.unwrap(), 0);
    in_stock.enrol(&world).await.unwrap();
    assert!(device.check_in(&world).await.unwrap().is_some());
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Offered);
    assert_eq!(refused(world.fleet.acknowledge_restore(&world.admin).await), Reason::AlreadyExists);
}

#[tokio::test]
async fn a_hub_that_was_not_restored_has_nothing_to_acknowledge() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    assert_eq!(refused(world.fleet.acknowledge_restore(&world.admin).await), Reason::NotFound);
    assert_eq!(world.fleet.restored(), None);
    device.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn a_later_link_is_adopted_once_per_device_and_a_clone_falls_out() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut untouched = world.deployed("dev-b").await;
    let backup = world.back_up().await;
    device.check_in(&world).await.unwrap();
    let mut clone = device.clone();
    device.check_in(&world).await.unwrap();
    world.restore(&backup).await;
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    // The clone holds a link of the lost hub too; whoever comes second falls out.
    clone.check_in(&world).await.unwrap();
    assert_eq!(refused(device.check_in(&world).await), Reason::CloneSuspected);
    assert_eq!(device.by_ldevid(&world).await.unwrap().state(), State::Suspended);
    for _ in 0..3 {
        untouched.check_in(&world).await.unwrap();
    }
}

#[tokio::test]
async fn a_link_that_the_hub_did_not_make_is_not_adopted() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut other = world.deployed("dev-b").await;
    let backup = world.back_up().await;
    for _ in 0..3 {
        device.check_in(&world).await.unwrap();
        other.check_in(&world).await.unwrap();
    }
    world.restore(&backup).await;
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    let own = device.link;
    device.link = other.link;
    assert_eq!(refused(device.check_in(&world).await), Reason::CloneSuspected);
    // The other device, with its own, goes on.
    other.check_in(&world).await.unwrap();
    assert!(own.is_some());
}

#[tokio::test]
async fn a_link_older_than_the_backup_is_not_adopted() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut old = device.clone();
    for _ in 0..3 {
        device.check_in(&world).await.unwrap();
    }
    let backup = world.back_up().await;
    world.restore(&backup).await;
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    device.check_in(&world).await.unwrap();
    assert_eq!(refused(old.check_in(&world).await), Reason::CloneSuspected);
}

#[tokio::test]
async fn certificates_issued_after_the_backup_are_adopted_once_per_device() {
    let mut world = World::new().await;
    let mut renewed = world.deployed("dev-a").await;
    let mut claimed = world.provisioned("dev-b").await;
    let backup = world.back_up().await;
    world.clock.advance_ms(70 * DAY_MS);
    renewed.new_operational_key();
    renewed.reenrol(&world).await.unwrap();
    renewed.check_in(&world).await.unwrap();
    let skipped = renewed.clone();
    renewed.new_operational_key();
    renewed.reenrol(&world).await.unwrap();
    renewed.check_in(&world).await.unwrap();
    claimed.enrol(&world).await.unwrap();
    claimed.check_in(&world).await.unwrap();
    world.clock.advance_ms(HOUR_MS);
    world.restore(&backup).await;
    assert_eq!(refused(renewed.check_in(&world).await), Reason::HubRestored);
    assert_eq!(refused(claimed.check_in(&world).await), Reason::HubRestored);
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    renewed.check_in(&world).await.unwrap();
    claimed.check_in(&world).await.unwrap();
    assert_eq!(claimed.by_ldevid(&world).await.unwrap().state(), State::Deployed);
    assert_eq!(refused(skipped.by_ldevid(&world).await), Reason::UnknownCertificate);
    // What came before it ends with its first use, as after every renewal.
    let details = world.fleet.device(&world.admin, &renewed.id).await.unwrap();
    let live = details.certificates.iter().filter(|c| c.revoked_ms.is_none()).count();
    assert_eq!(live, 2, "the factory's and the newest");
}

#[tokio::test]
async fn a_certificate_from_before_the_backup_that_the_registry_lacks_is_not_adopted() {
    let mut world = World::new().await;
    let backup = world.back_up().await;
    let mut device = world.deployed("dev-a").await;
    assert!(device.by_ldevid(&world).await.is_ok());
    // The device is not in the backup at all: its batch has to be handed in first.
    world.restore(&backup).await;
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    assert_eq!(refused(device.by_ldevid(&world).await), Reason::UnknownCertificate);
    world.last_batch = None;
    world.import(&[&device]).await.unwrap();
    device.check_in(&world).await.unwrap();

    // One that says it was issued long before the backup was never this hub's.
    let mut forged = world.deployed("dev-b").await;
    world.clock.advance_ms(DAY_MS);
    let backup = world.back_up().await;
    let other = World::new().await;
    let stray = other.fleet.id();
    assert_eq!(stray, world.fleet.id());
    world.restore(&backup).await;
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    let own = forged.ldevid.clone();
    let profile = ringfort_pki::Ldevid { device_id: "dev-b", hardware: None, lifetime_days: 90 };
    let key =
        ringfort_pki::SubjectKey::try_from(&ringfort_cose::Sign::public_key(&*crate::world::key()))
            .unwrap();
    let before = (backup.made_ms / 1000) as u64 - 7200;
    let early = world.device_ca.issue_ldevid(&key, &profile, before).unwrap();
    forged.ldevid = Some(early.der);
    assert_eq!(refused(forged.by_ldevid(&world).await), Reason::UnknownCertificate);
    // Nor is one of another Device CA, though it is new.
    let now = (backup.made_ms / 1000) as u64;
    let strange = other.device_ca.issue_ldevid(&key, &profile, now).unwrap();
    forged.ldevid = Some(strange.der);
    assert_eq!(refused(forged.by_ldevid(&world).await), Reason::UnknownCertificate);
    forged.ldevid = own;
    forged.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn a_device_retired_again_before_the_acknowledgement_does_not_come_back() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut other = world.deployed("dev-b").await;
    let backup = world.back_up().await;
    world.clock.advance_ms(70 * DAY_MS);
    for device in [&mut device, &mut other] {
        device.new_operational_key();
        device.reenrol(&world).await.unwrap();
    }
    world.fleet.move_device(&world.admin, &device.id, State::Retired, "stolen").await.unwrap();
    world.restore(&backup).await;
    world.fleet.move_device(&world.admin, &device.id, State::Retired, "stolen").await.unwrap();
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    assert_eq!(refused(device.by_ldevid(&world).await), Reason::LifecycleForbids);
    other.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn an_order_that_may_have_been_followed_by_others_gets_a_new_number() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut busy = world.deployed("dev-b").await;
    let release = world.release(10).await;
    world.deploy(release, Target::Class).await;
    let (given, taken) = (device.ask(&world).await.unwrap(), busy.take_order(&world).await);
    device.link = Some(given.link);
    let backup = world.back_up().await;
    world.restore(&backup).await;
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    let again = device.check_in(&world).await.unwrap().unwrap();
    assert!(again.number.0 > taken.number.0 + DAY_MS as u64 - 1);
    // One that is at it goes on under its number.
    busy.last_order = 0;
    assert_eq!(busy.check_in(&world).await.unwrap(), Some(taken));
}

#[tokio::test]
async fn the_audit_log_records_the_break_and_still_verifies() {
    let mut world = World::new().await;
    world.deployed("dev-a").await;
    let backup = world.back_up().await;
    let kept = world.fleet.status(&world.admin).await.unwrap().audit_size;
    world.deployed("dev-b").await;
    world.restore(&backup).await;
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    let entries = world.fleet.audit_entries(&world.admin, 0, 1000).await.unwrap();
    let checkpoint = world.fleet.audit_checkpoint().await.unwrap();
    audit::verify(&entries, &checkpoint, &world.fleet.evidence_key()).unwrap();
    let at = |position: usize| audit::Entry::decode(&entries[position]).unwrap();
    let broken = at(kept as usize);
    assert_eq!((broken.kind.as_str(), broken.subject.as_str()), ("hub-restored", "hub"));
    assert!(broken.details.contains(&("entries-kept".to_owned(), kept.to_string())));
    assert_eq!(at(kept as usize + 1).kind, "restore-acknowledged");
}

#[tokio::test]
async fn crl_numbers_jump_ahead_even_if_the_clock_is_behind() {
    let mut world = World::new().await;
    world.deployed("dev-a").await;
    let backup = world.back_up().await;
    let lost = world.fleet.crls().await.unwrap()[0].number;
    world.clock.advance_ms(-HOUR_MS);
    world.restore(&backup).await;
    assert!(world.fleet.crls().await.unwrap()[0].number > lost);
}

#[tokio::test]
async fn a_backup_whose_audit_log_does_not_fit_its_head_is_refused() {
    let world = World::new().await;
    let good = world.back_up().await;
    let altered = world.back_up().await;
    let open = |backup: &crate::world::Backup| {
        Store::open(StoreConfig::in_directory(backup.directory.path()))
    };
    let store = open(&altered).await.unwrap();
    let wrong = store
        .write(|write| {
            Box::pin(async move {
                let mut head = write.audit_frontier().await?;
                head.push([7; 32]);
                write.put_meta("audit-frontier", &head.to_bytes()).await
            })
        })
        .await;
    wrong.unwrap_or_else(|error: ringfort_store::StoreError| panic!("{error}"));
    let now_ms = world.clock.now_ms();
    assert_eq!(refused(Restored::mark(&store, now_ms, now_ms).await), Reason::StorageFailed);
    let store = open(&good).await.unwrap();
    Restored::mark(&store, now_ms, now_ms).await.unwrap();
}
