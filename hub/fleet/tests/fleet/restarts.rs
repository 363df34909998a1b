//! A hub that stops anywhere goes on from what it had told.

use ringfort_cose::Reason;
use ringfort_fleet::{Reported, State, Target, UpdateState, audit};

use crate::world::{World, refused};

#[tokio::test]
async fn nothing_is_forgotten_by_a_restart() {
    let mut world = World::new().await;
    let mut device = world.provisioned("dev-a").await;
    world.restart().await;
    device.enrol(&world).await.unwrap();
    world.restart().await;
    device.check_in(&world).await.unwrap();
    let release = world.release(10).await;
    let deployment = world.deploy(release, Target::Class).await;
    let order = device.take_order(&world).await;
    world.restart().await;
    // The same order, and the link that was given before the restart.
    assert_eq!(device.check_in(&world).await.unwrap(), Some(order));
    device.report(&world, &order, Reported::Trial, None).await.unwrap();
    world.restart().await;
    device.boot(release, 10);
    device.report(&world, &order, Reported::Confirmed, None).await.unwrap();
    world.restart().await;
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Confirmed);
    let entries = world.fleet.audit_entries(&world.admin, 0, 1000).await.unwrap();
    let checkpoint = world.fleet.audit_checkpoint().await.unwrap();
    audit::verify(&entries, &checkpoint, &world.fleet.evidence_key()).unwrap();
}

#[tokio::test]
async fn a_suspension_outlives_a_restart() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut clone = device.clone();
    device.check_in(&world).await.unwrap();
    clone.check_in(&world).await.unwrap();
    world.restart().await;
    assert_eq!(refused(device.check_in(&world).await), Reason::CloneSuspected);
    world.restart().await;
    assert_eq!(device.by_ldevid(&world).await.unwrap().state(), State::Suspended);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_half_change_and_no_stale_answer() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    assert_eq!(device.by_ldevid(&world).await.unwrap().state(), State::Deployed);
    {
        let moving = world.fleet.move_device(&world.admin, &device.id, State::Suspended, "");
        let mut moving = std::pin::pin!(moving);
        // Polled once, it is with the writer; then the caller is gone.
        let first = futures_util::poll!(moving.as_mut());
        assert!(first.is_pending());
    }
    // The writer works in order: what follows comes after it.
    world.fleet.crls().await.unwrap();
    assert_eq!(device.by_ldevid(&world).await.unwrap().state(), State::Suspended);
}
