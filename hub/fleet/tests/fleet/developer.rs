//! Products for developers and their caps.

use ringfort_cose::Reason;
use ringfort_fleet::{DEVELOPER_DEVICES, DeveloperProduct, State};
use ringfort_trust::ids::ClassId;

use crate::world::{CLASS, DAY_MS, Device, NOW_MS, OTHER_CLASS, World, refused};

fn board(world: &World, name: &str) -> Device {
    Device { class: OTHER_CLASS, ..world.make_device(name) }
}

#[tokio::test]
async fn a_developers_device_gets_a_certificate_of_thirty_days_and_no_other_does() {
    let mut world = World::new().await;
    let marked = world.fleet.mark_developer_product(&world.admin, &OTHER_CLASS).await.unwrap();
    assert_eq!(marked, DeveloperProduct { class: OTHER_CLASS, devices: 0 });
    let mut device = board(&world, "dev-board");
    world.import(&[&device]).await.unwrap();
    device.enrol(&world).await.unwrap();
    let product = world.deployed("dev-product").await;
    for (device, days) in [(&device, 30), (&product, 90)] {
        let details = world.fleet.device(&world.admin, &device.id).await.unwrap();
        let end = details.certificates.last().unwrap().not_after_ms;
        assert!(((days - 1) * DAY_MS..=days * DAY_MS).contains(&(end - NOW_MS)), "{days}");
    }
    let listed = world.fleet.developer_products(&world.admin).await.unwrap();
    assert_eq!(listed, [DeveloperProduct { class: OTHER_CLASS, devices: 1 }]);
}

#[tokio::test]
async fn a_twenty_sixth_board_is_refused_until_one_is_retired() {
    let mut world = World::new().await;
    world.fleet.mark_developer_product(&world.admin, &OTHER_CLASS).await.unwrap();
    let boards: Vec<Device> =
        (0..DEVELOPER_DEVICES).map(|n| board(&world, &format!("dev-{n}"))).collect();
    world.import(&boards.iter().collect::<Vec<_>>()).await.unwrap();
    let more = board(&world, "dev-more");
    assert_eq!(refused(world.import(&[&more]).await), Reason::OverQuota);
    // A product of another class is not counted.
    world.provisioned("dev-product").await;
    let id = boards[0].id;
    world.fleet.move_device(&world.admin, &id, State::Retired, "broken").await.unwrap();
    world.import(&[&more]).await.unwrap();
}

#[tokio::test]
async fn a_product_that_has_devices_or_that_nobody_named_does_not_become_one() {
    let mut world = World::new().await;
    world.provisioned("dev-a").await;
    let fleet = &world.fleet;
    let used = fleet.mark_developer_product(&world.admin, &CLASS).await;
    assert_eq!(refused(used), Reason::AlreadyExists);
    let unknown = fleet.mark_developer_product(&world.admin, &ClassId([9; 16])).await;
    assert_eq!(refused(unknown), Reason::NotFound);
    fleet.mark_developer_product(&world.admin, &OTHER_CLASS).await.unwrap();
    let again = fleet.mark_developer_product(&world.admin, &OTHER_CLASS).await;
    assert_eq!(refused(again), Reason::AlreadyExists);
}
