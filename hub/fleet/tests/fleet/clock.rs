//! The hub's clock jumps: what has to rise rises all the same, and what waited goes on.

use ringfort_cose::Reason;
use ringfort_fleet::{Target, UpdateState};

use crate::world::{DAY_MS, World, refused};

#[tokio::test]
async fn a_clock_that_jumps_back_repeats_no_number_and_stops_no_update() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    world.deploy(release, Target::Class).await;
    device.update_to(&world, release, 10).await;
    let (order, crl) = (device.last_order, world.fleet.crls().await.unwrap()[0].number);

    world.clock.advance_ms(-400 * DAY_MS);
    let release = world.release(11).await;
    let deployment = world.deploy(release, Target::Class).await;
    device.update_to(&world, release, 11).await;
    assert!(device.last_order > order, "the device would not take it otherwise");
    assert!(world.fleet.crls().await.unwrap()[0].number > crl);
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Confirmed);
}

#[tokio::test]
async fn a_clock_that_jumps_forwards_and_is_set_right_has_ended_no_device() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    let deployment = world.deploy(release, Target::Class).await;
    let order = device.take_order(&world).await;

    // A year ahead: certificates seem to have ended, and deadlines to have passed.
    world.clock.advance_ms(365 * DAY_MS);
    assert_eq!(refused(device.check_in(&world).await), Reason::CertificateExpired);
    assert_eq!(world.fleet.tick().await.unwrap(), 1);
    let target = world.target(&deployment.id, "dev-a").await;
    assert_eq!(target.reason.as_deref(), Some("deadline-passed"));

    world.clock.advance_ms(-365 * DAY_MS);
    device.update = None;
    let again = world.deploy(release, Target::Class).await;
    device.update_to(&world, release, 10).await;
    assert!(device.last_order > order.number.0);
    assert_eq!(world.target(&again.id, "dev-a").await.state, UpdateState::Confirmed);
}

#[tokio::test]
async fn orders_given_under_a_fast_clock_do_not_shut_out_those_given_after() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    world.clock.advance_ms(30 * DAY_MS);
    let release = world.release(10).await;
    world.deploy(release, Target::Class).await;
    device.update_to(&world, release, 10).await;
    let fast = device.last_order;
    world.clock.advance_ms(-30 * DAY_MS);
    let release = world.release(11).await;
    world.deploy(release, Target::Class).await;
    device.update_to(&world, release, 11).await;
    assert!(device.last_order > fast);
}
