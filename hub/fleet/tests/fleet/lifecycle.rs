//! Moves through the lifecycle, and that what follows from them follows at once.

use ringfort_cose::Reason;
use ringfort_fleet::{AccessChange, CertificateKind, Moved, Operator, Policy, State};

use crate::world::{HOUR_MS, World, identify, refused};

#[tokio::test]
async fn a_suspension_is_seen_by_the_very_next_request() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut changes = world.fleet.access_changes();
    // Kept in memory by now.
    assert_eq!(device.by_ldevid(&world).await.unwrap().state(), State::Deployed);
    world.fleet.move_device(&world.admin, &device.id, State::Suspended, "").await.unwrap();
    assert_eq!(changes.try_recv().unwrap(), AccessChange::Device(device.id));
    assert_eq!(device.by_ldevid(&world).await.unwrap().state(), State::Suspended);
    device.new_operational_key();
    assert_eq!(refused(device.reenrol(&world).await), Reason::LifecycleForbids);
    device.check_in(&world).await.unwrap();
    world.fleet.move_device(&world.admin, &device.id, State::Deployed, "").await.unwrap();
    device.reenrol(&world).await.unwrap();
}

#[tokio::test]
async fn a_retired_device_is_refused_everything() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    world.fleet.move_device(&world.admin, &device.id, State::Retired, "").await.unwrap();
    assert_eq!(refused(device.by_ldevid(&world).await), Reason::CertificateRevoked);
    let idevid = identify(&world, &device.idevid, CertificateKind::IDevId).await.unwrap();
    let time = world.fleet.signed_time(&idevid, device.status(&world).nonce).await;
    assert_eq!(refused(time), Reason::LifecycleForbids);
}

#[tokio::test]
async fn a_return_without_a_proof_is_refused() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    world.clock.advance_ms(HOUR_MS);
    world.fleet.move_device(&world.admin, &device.id, State::Suspended, "").await.unwrap();
    world.clock.advance_ms(HOUR_MS);
    let early = world.fleet.move_device(&world.admin, &device.id, State::Deployed, "").await;
    assert_eq!(refused(early), Reason::ProofMissing);
    device.check_in(&world).await.unwrap();
    let moved = world.fleet.move_device(&world.admin, &device.id, State::Deployed, "").await;
    assert!(matches!(moved.unwrap(), Moved::Done(_)));
}

#[tokio::test]
async fn a_device_comes_back_from_repair_with_new_keys_only() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    world.fleet.move_device(&world.admin, &device.id, State::Service, "").await.unwrap();
    assert_eq!(refused(device.by_ldevid(&world).await), Reason::CertificateRevoked);
    let early = world.fleet.move_device(&world.admin, &device.id, State::Deployed, "").await;
    assert_eq!(refused(early), Reason::ProofMissing);
    assert_eq!(refused(device.enrol(&world).await), Reason::KeyAlreadyKnown);
    device.new_operational_key();
    assert_eq!(refused(device.enrol(&world).await), Reason::ApprovalRequired);
    world.fleet.move_device(&world.admin, &device.id, State::Deployed, "").await.unwrap();
    device.enrol(&world).await.unwrap();
    device.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn two_people_are_needed_where_the_policy_says_two() {
    let mut world = World::with_policy(Policy::default()).await;
    let device = world.deployed("dev-a").await;
    let (alice, bob) = (Operator::at_the_host("alice"), Operator::at_the_host("bob"));
    let waiting = Moved::Waiting { given: 1, required: 2 };
    for _ in 0..2 {
        let moved = world.fleet.move_device(&alice, &device.id, State::Retired, "").await.unwrap();
        assert_eq!(moved, waiting);
    }
    // An approval that is too old does not count.
    world.clock.advance_ms(25 * HOUR_MS);
    let moved = world.fleet.move_device(&bob, &device.id, State::Retired, "").await.unwrap();
    assert_eq!(moved, waiting);
    let moved = world.fleet.move_device(&alice, &device.id, State::Retired, "").await.unwrap();
    let Moved::Done(view) = moved else { panic!("two people agreed") };
    assert_eq!(view.state, State::Retired);
}

#[tokio::test]
async fn one_persons_approval_of_another_move_does_not_count() {
    let mut world = World::with_policy(Policy::default()).await;
    let device = world.deployed("dev-a").await;
    let (alice, bob) = (Operator::at_the_host("alice"), Operator::at_the_host("bob"));
    world.fleet.move_device(&alice, &device.id, State::Transfer, "").await.unwrap();
    let moved = world.fleet.move_device(&bob, &device.id, State::Retired, "").await.unwrap();
    assert_eq!(moved, Moved::Waiting { given: 1, required: 2 });
    let moved = world.fleet.move_device(&bob, &device.id, State::Transfer, "").await.unwrap();
    assert!(matches!(moved, Moved::Done(_)));
}

#[tokio::test]
async fn every_revoked_certificate_stands_in_the_crl_and_a_suspended_one_on_hold() {
    let mut world = World::new().await;
    let suspended = world.deployed("dev-a").await;
    let retired = world.deployed("dev-b").await;
    world.deployed("dev-c").await;
    let empty = world.fleet.crls().await.unwrap();
    world.fleet.move_device(&world.admin, &suspended.id, State::Suspended, "").await.unwrap();
    world.fleet.move_device(&world.admin, &retired.id, State::Retired, "").await.unwrap();
    let full = world.fleet.crls().await.unwrap();
    assert_eq!((empty.len(), full.len()), (1, 1));
    assert!(full[0].number > empty[0].number);
    // Two entries of a serial number, a time and a reason: about 50 bytes each.
    assert!(full[0].der.len() > empty[0].der.len() + 80);
    let whole = world.fleet.whole_crl(&world.admin).await.unwrap();
    assert!(whole.number > full[0].number);
    assert!(whole.der.len() > empty[0].der.len());
    world.fleet.move_device(&world.admin, &suspended.id, State::Retired, "").await.unwrap();
}
