//! Orders for a medium, for devices that reach no hub.

use ringfort_cose::{Reason, Sha256Digest};
use ringfort_fleet::{
    Commanded, OfflineOrder, Refusal, Reported, Role, State, Target, UpdateState,
};
use ringfort_trust::CommandAction::WipeOperational;
use ringfort_trust::ids::UnixTime;
use ringfort_trust::{Content, Order, Task, TokenClaims};

use crate::people::person;
use crate::world::{
    DAY_MS, Device, HOUR_MS, NOW_MS, World, device_id, open_token, refused, sha256,
};

const DAY_S: u64 = 24 * 3600;
const NOW: UnixTime = UnixTime(NOW_MS as u64 / 1000);

async fn order_for(world: &World, device: &Device, life_s: u64) -> Result<OfflineOrder, Refusal> {
    world.fleet.offline_order(&world.admin, &device.id, life_s).await
}

fn read(world: &World, made: &OfflineOrder) -> (TokenClaims, Order) {
    let claims = open_token(world, &made.token);
    let Content::Order(order) = claims.content else { panic!("{claims:?}") };
    (claims, order)
}

/// A device in the field with an update that is offered to it.
async fn offered(world: &mut World) -> (Device, Sha256Digest, String) {
    let device = world.deployed("dev-a").await;
    let manifest = world.release(1).await;
    let deployment = world.deploy(manifest, Target::Device(device.id)).await;
    (device, manifest, deployment.id)
}

#[tokio::test]
async fn an_order_for_a_medium_is_for_one_device_without_a_nonce_and_good_for_its_time() {
    let mut world = World::new().await;
    let (device, manifest, _) = offered(&mut world).await;
    let made = order_for(&world, &device, 3 * DAY_S).await.unwrap();
    let (claims, order) = read(&world, &made);
    assert_eq!((claims.device, claims.nonce), (device.id, None));
    assert_eq!((claims.issued, claims.expires), (NOW, UnixTime(NOW.0 + 3 * DAY_S)));
    assert!(matches!(order.task, Task::Install { manifest: named } if named == manifest));
    assert_eq!((made.action, made.manifest, made.command), ("install", Some(manifest), None));
    assert_eq!((made.number, made.expires), (order.number, claims.expires));
    let entries = world.fleet.history(&world.admin, &device.id, 100).await.unwrap();
    let given = entries.iter().rfind(|entry| entry.kind == "order-given").unwrap();
    assert!(given.details.contains(&("medium".to_owned(), "offline".to_owned())), "{given:?}");
}

#[tokio::test]
async fn the_order_on_the_medium_and_the_one_over_the_air_have_one_number() {
    let mut world = World::new().await;
    let (mut device, manifest, deployment) = offered(&mut world).await;
    let made = order_for(&world, &device, DAY_S).await.unwrap();
    let again = order_for(&world, &device, DAY_S).await.unwrap();
    assert_eq!(again.number, made.number, "asked for twice, it is one order");
    let heard = device.check_in(&world).await.unwrap().expect("it reached the hub after all");
    assert_eq!(heard.number, made.number);
    // It was carried out from the medium; the hub hears so at the next check-in.
    device.last_order = made.number.0;
    device.boot(manifest, 1);
    device.report(&world, &heard, Reported::Confirmed, None).await.unwrap();
    let target = world.target(&deployment, "dev-a").await;
    assert_eq!(target.state, UpdateState::Confirmed);
    assert_eq!(refused(order_for(&world, &device, DAY_S).await), Reason::NotFound);
    // And the next one is above it.
    let next = world.release(2).await;
    world.deploy(next, Target::Device(device.id)).await;
    assert!(order_for(&world, &device, DAY_S).await.unwrap().number > made.number);
}

#[tokio::test]
async fn an_order_for_no_time_or_for_more_than_thirty_days_is_refused() {
    let mut world = World::new().await;
    let (device, ..) = offered(&mut world).await;
    for life_s in [0, 30 * DAY_S + 1, u64::MAX] {
        assert_eq!(refused(order_for(&world, &device, life_s).await), Reason::Malformed);
    }
    for life_s in [1, 30 * DAY_S] {
        order_for(&world, &device, life_s).await.unwrap();
    }
}

#[tokio::test]
async fn only_who_may_deploy_and_move_devices_takes_an_order_away() {
    let mut world = World::new().await;
    let (device, ..) = offered(&mut world).await;
    for (role, may) in [
        (Role::Viewer, false),
        (Role::Publisher, false),
        (Role::Operator, true),
        (Role::Admin, true),
    ] {
        let (who, _) = person(&world, role.name(), role).await;
        let made = world.fleet.offline_order(&who, &device.id, DAY_S).await;
        match may {
            true => drop(made.unwrap()),
            false => assert_eq!(refused(made), Reason::RoleForbids, "{role}"),
        }
    }
}

#[tokio::test]
async fn there_is_no_order_where_nothing_is_open() {
    let mut world = World::new().await;
    let (device, manifest, deployment) = offered(&mut world).await;
    let nobody = world.fleet.offline_order(&world.admin, &device_id("dev-z"), DAY_S).await;
    assert_eq!(refused(nobody), Reason::NotFound);
    let idle = world.deployed("dev-b").await;
    assert_eq!(refused(order_for(&world, &idle, DAY_S).await), Reason::NotFound);
    order_for(&world, &device, DAY_S).await.unwrap();
    world.fleet.pause(&world.admin, &deployment).await.unwrap();
    assert_eq!(refused(order_for(&world, &device, DAY_S).await), Reason::NotFound);
    world.fleet.halt(&world.admin, &deployment).await.unwrap();
    assert_eq!(refused(order_for(&world, &device, DAY_S).await), Reason::NotFound);
    world.deploy(manifest, Target::Device(device.id)).await;
    order_for(&world, &device, DAY_S).await.unwrap();
}

#[tokio::test]
async fn a_device_that_may_take_no_update_gets_no_order_for_one() {
    let mut world = World::new().await;
    let (device, ..) = offered(&mut world).await;
    // One that is suspended may be mended by an update. One that went to service ended its update,
    // and cannot be told to wipe.
    world.fleet.move_device(&world.admin, &device.id, State::Suspended, "test").await.unwrap();
    order_for(&world, &device, DAY_S).await.unwrap();
    let other = world.deployed("dev-b").await;
    let manifest = world.release(2).await;
    world.deploy(manifest, Target::Device(other.id)).await;
    world.fleet.move_device(&world.admin, &other.id, State::Service, "test").await.unwrap();
    assert_eq!(refused(order_for(&world, &other, DAY_S).await), Reason::NotFound);
    let third = world.deployed("dev-c").await;
    let command = world.command("dev-c", 1, WipeOperational);
    world.fleet.give_command(&world.admin, &third.id, &command, "").await.unwrap();
    world.fleet.move_device(&world.admin, &third.id, State::Service, "test").await.unwrap();
    assert_eq!(refused(order_for(&world, &third, DAY_S).await), Reason::LifecycleForbids);
}

#[tokio::test]
async fn a_command_goes_before_an_update_and_lies_beside_its_order() {
    let mut world = World::new().await;
    let (device, ..) = offered(&mut world).await;
    let command = world.command("dev-a", 1, WipeOperational);
    let given = world.fleet.give_command(&world.admin, &device.id, &command, "").await.unwrap();
    assert!(matches!(given, Commanded::Done(_)));
    let made = order_for(&world, &device, DAY_S).await.unwrap();
    let (_, order) = read(&world, &made);
    assert_eq!((made.action, made.manifest), ("wipe-operational", None));
    assert_eq!(made.command.as_deref(), Some(&*command));
    assert!(
        matches!(order.task, Task::Command { command: named, .. } if named == sha256(&command))
    );
    // What has expired is not carried anywhere; the update is next.
    world.clock.advance_ms(8 * DAY_MS);
    let next = world.release(2).await;
    world.deploy(next, Target::Device(device.id)).await;
    let made = order_for(&world, &device, DAY_S).await.unwrap();
    assert_eq!((made.action, made.manifest), ("install", Some(next)));
}

#[tokio::test]
async fn a_device_is_sent_to_the_newest_anchors_first() {
    let mut world = World::new().await;
    let (device, ..) = offered(&mut world).await;
    assert_eq!(order_for(&world, &device, DAY_S).await.unwrap().min_anchors.0, 1);
    let spec = world.anchors_spec();
    world.add_anchors(&spec).await.unwrap();
    let made = order_for(&world, &device, DAY_S).await.unwrap();
    assert_eq!(made.min_anchors.0, 2);
    assert_eq!(read(&world, &made).1.min_anchors.0, 2);
}

#[tokio::test]
async fn a_restored_hub_signs_no_order_for_a_medium_and_its_next_is_above_what_was_lost() {
    let mut world = World::new().await;
    let (device, ..) = offered(&mut world).await;
    let backup = world.back_up().await;
    world.clock.advance_ms(HOUR_MS);
    let lost = order_for(&world, &device, DAY_S).await.unwrap();
    world.restore(&backup).await;
    assert_eq!(refused(order_for(&world, &device, DAY_S).await), Reason::HubRestored);
    world.fleet.acknowledge_restore(&world.admin).await.unwrap();
    let made = order_for(&world, &device, DAY_S).await.unwrap();
    assert!(made.number > lost.number);
}
