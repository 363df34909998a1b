//! Updates from offer to end. The tests whose names begin with a number are the complaints of
//! other fleets' users that they answer.

use std::time::Duration;

use ringfort_cose::Reason;
use ringfort_fleet::{
    Created, Deadlines, DeploymentState, Grade, NewDeployment, Operator, Policy, Reported, State,
    Target, UpdateState,
};
use ringfort_messages::{ReasonCode, Text, UpdateStatus};
use ringfort_trust::ids::SequenceNumber;

use crate::world::{DAY_MS, HOUR_MS, World, device_id, refused, sha256};

#[tokio::test]
async fn an_update_goes_from_offered_to_confirmed() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    let deployment = world.deploy(release, Target::Class).await;
    assert_eq!(deployment.devices, [(UpdateState::Offered, 1)]);
    let order = device.take_order(&world).await;
    for (said, state) in [
        (Reported::Downloading, UpdateState::Downloading),
        (Reported::Written, UpdateState::Written),
        (Reported::Trial, UpdateState::Trial),
    ] {
        device.report(&world, &order, said, None).await.unwrap();
        assert_eq!(world.target(&deployment.id, "dev-a").await.state, state);
    }
    device.boot(release, 10);
    device.report(&world, &order, Reported::Confirmed, None).await.unwrap();
    let target = world.target(&deployment.id, "dev-a").await;
    assert_eq!((target.state, target.grade), (UpdateState::Confirmed, Some(Grade::Reported)));
    assert_eq!(target.deadline_ms, None);
    let deployment = world.fleet.deployment(&world.admin, &deployment.id).await.unwrap();
    assert!(deployment.settled);
    assert_eq!(device.check_in(&world).await.unwrap(), None);
}

#[tokio::test]
async fn written_or_booted_is_not_counted_as_success() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    let deployment = world.deploy(release, Target::Class).await;
    let order = device.take_order(&world).await;
    device.report(&world, &order, Reported::Written, None).await.unwrap();
    device.report(&world, &order, Reported::Trial, None).await.unwrap();
    // It runs the new release, on trial: the floor is still the old one.
    device.boot(release, 10);
    device.floor = 0;
    device.check_in(&world).await.unwrap();
    let target = world.target(&deployment.id, "dev-a").await;
    assert_eq!((target.state, target.grade), (UpdateState::Trial, None));
    assert_eq!(target.reason.as_deref(), Some("trial-not-confirmed"));
    device.report(&world, &order, Reported::Confirmed, None).await.unwrap();
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Confirmed);
}

#[tokio::test]
async fn c1_the_version_in_a_check_in_beats_the_claim() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let (old, new) = (world.release(10).await, world.release(11).await);
    world.deploy(old, Target::Class).await;
    device.update_to(&world, old, 10).await;
    world.deploy(new, Target::Class).await;
    device.update_to(&world, new, 11).await;
    device.check_in(&world).await.unwrap();
    let shown = world.fleet.device(&world.admin, &device.id).await.unwrap().device;
    assert_eq!(shown.alarm, None);
    // It claims success and runs the old image.
    device.boot(old, 10);
    device.check_in(&world).await.unwrap();
    let shown = world.fleet.device(&world.admin, &device.id).await.unwrap().device;
    assert_eq!(shown.alarm.as_deref(), Some("trial-not-confirmed"));
    device.boot(new, 11);
    device.check_in(&world).await.unwrap();
    let shown = world.fleet.device(&world.admin, &device.id).await.unwrap().device;
    assert_eq!(shown.alarm, None);
}

#[tokio::test]
async fn c3_a_device_that_never_reports_fails_at_its_deadline() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let deployment = world.deploy(world.release(10).await, Target::Class).await;
    let order = device.take_order(&world).await;
    device.report(&world, &order, Reported::Downloading, None).await.unwrap();
    world.clock.advance_ms(DAY_MS - 1);
    assert_eq!(world.fleet.tick().await.unwrap(), 0);
    world.clock.advance_ms(1);
    assert_eq!(world.fleet.tick().await.unwrap(), 1);
    let target = world.target(&deployment.id, "dev-a").await;
    assert_eq!(target.state, UpdateState::Failed);
    assert_eq!(target.reason.as_deref(), Some("deadline-passed"));
    assert_eq!(world.fleet.tick().await.unwrap(), 0);
    // What it says later changes nothing: terminal is terminal.
    device.report(&world, &order, Reported::Confirmed, None).await.unwrap();
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Failed);
}

#[tokio::test]
async fn every_phase_has_its_deadline() {
    let deadlines = Deadlines {
        offered: Duration::from_secs(10),
        downloading: Duration::from_secs(20),
        written: Duration::from_secs(30),
        trial: Duration::from_secs(40),
    };
    let phases =
        [None, Some(Reported::Downloading), Some(Reported::Written), Some(Reported::Trial)];
    for (seconds, phase) in [10, 20, 30, 40].into_iter().zip(phases) {
        let mut world = World::new().await;
        let mut device = world.deployed("dev-a").await;
        let manifest = world.release(10).await;
        let new = NewDeployment { manifest, target: Target::Class, deadlines };
        let created = world.fleet.create_deployment(&world.admin, &new).await.unwrap();
        let Created::Done(deployment) = created else { panic!("waits") };
        if let Some(phase) = phase {
            let order = device.take_order(&world).await;
            device.report(&world, &order, phase, None).await.unwrap();
        }
        world.clock.advance_ms(seconds * 1000 - 1);
        assert_eq!(world.fleet.tick().await.unwrap(), 0, "{phase:?}");
        world.clock.advance_ms(1);
        assert_eq!(world.fleet.tick().await.unwrap(), 1, "{phase:?}");
        assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Failed);
    }
}

#[tokio::test]
async fn c4_a_deployment_to_nobody_is_shown_as_that_and_takes_newcomers() {
    let mut world = World::new().await;
    let release = world.release(10).await;
    let deployment = world.deploy(release, Target::Class).await;
    assert_eq!(deployment.state, DeploymentState::Running);
    assert!(deployment.devices.is_empty() && !deployment.settled);
    let mut late = world.deployed("dev-late").await;
    let deployment = world.fleet.deployment(&world.admin, &deployment.id).await.unwrap();
    assert_eq!(deployment.devices, [(UpdateState::Offered, 1)]);
    assert!(!deployment.settled);
    late.update_to(&world, release, 10).await;
    let deployment = world.fleet.deployment(&world.admin, &deployment.id).await.unwrap();
    assert!(deployment.settled);
}

/// A device that comes while others are on their way already.
#[tokio::test]
async fn c6_a_device_that_enrols_later_joins_a_deployment_that_runs() {
    let mut world = World::new().await;
    let mut first = world.deployed("dev-a").await;
    let release = world.release(10).await;
    let deployment = world.deploy(release, Target::Class).await;
    first.update_to(&world, release, 10).await;
    let mut late = world.deployed("dev-late").await;
    let target = world.target(&deployment.id, "dev-late").await;
    assert_eq!(target.state, UpdateState::Offered);
    late.update_to(&world, release, 10).await;
    let ended = world.fleet.deployment(&world.admin, &deployment.id).await.unwrap();
    assert_eq!(ended.devices, [(UpdateState::Confirmed, 2)]);
    // One that ended takes nobody in any more.
    world.fleet.halt(&world.admin, &deployment.id).await.unwrap();
    let mut later = world.deployed("dev-later").await;
    assert!(later.check_in(&world).await.unwrap().is_none());
}

#[tokio::test]
async fn c4_a_deployment_to_nobody_is_open_until_its_deadline_or_its_halt() {
    let mut world = World::new().await;
    let release = world.release(10).await;
    let deadlines = Deadlines { offered: Duration::from_secs(10), ..Deadlines::default() };
    let new = NewDeployment { manifest: release, target: Target::Class, deadlines };
    let Created::Done(deployment) =
        world.fleet.create_deployment(&world.admin, &new).await.unwrap()
    else {
        panic!("waits")
    };
    let settled = async |world: &World| {
        world.fleet.deployment(&world.admin, &deployment.id).await.unwrap().settled
    };
    world.clock.advance_ms(9_999);
    assert!(!settled(&world).await);
    // A pause stands still; going on begins the time anew.
    world.fleet.pause(&world.admin, &deployment.id).await.unwrap();
    world.clock.advance_ms(DAY_MS);
    assert!(!settled(&world).await);
    world.fleet.resume(&world.admin, &deployment.id).await.unwrap();
    world.clock.advance_ms(9_999);
    assert!(!settled(&world).await);
    world.clock.advance_ms(1);
    assert!(settled(&world).await);
    // Nobody waits for it any more; it takes who comes all the same.
    let mut late = world.deployed("dev-late").await;
    assert!(!settled(&world).await);
    late.update_to(&world, release, 10).await;
    assert!(settled(&world).await);
    let other = world.deploy(world.release(11).await, Target::Class).await;
    assert!(!world.fleet.deployment(&world.admin, &other.id).await.unwrap().settled);
}

#[tokio::test]
async fn c4_a_halted_deployment_to_nobody_is_settled() {
    let world = World::new().await;
    let deployment = world.deploy(world.release(10).await, Target::Class).await;
    assert!(!deployment.settled);
    assert!(world.fleet.halt(&world.admin, &deployment.id).await.unwrap().settled);
}

#[tokio::test]
async fn what_a_device_confirmed_is_shown_before_its_next_check_in() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let shown = world.fleet.device(&world.admin, &device.id).await.unwrap().running;
    assert_eq!((shown[0].sequence, shown[0].manifest), (SequenceNumber(0), None));
    let release = world.release(10).await;
    world.deploy(release, Target::Class).await;
    device.update_to(&world, release, 10).await;
    let reported = world.fleet.device(&world.admin, &device.id).await.unwrap().running;
    assert_eq!(reported.len(), 1);
    assert_eq!((reported[0].sequence, reported[0].manifest), (SequenceNumber(10), Some(release)));
    assert_eq!((reported[0].floor, &*reported[0].version), (SequenceNumber(10), "1.10"));
    // The next check-in says the same: since when it runs does not change.
    world.clock.advance_ms(HOUR_MS);
    device.check_in(&world).await.unwrap();
    let again = world.fleet.device(&world.admin, &device.id).await.unwrap().running;
    assert_eq!((again[0].manifest, again[0].since_ms), (Some(release), reported[0].since_ms));
}

#[tokio::test]
async fn c1_a_success_is_claimed_by_a_device_that_says_the_same_as_before() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let (old, new) = (world.release(10).await, world.release(11).await);
    world.deploy(old, Target::Class).await;
    device.update_to(&world, old, 10).await;
    device.check_in(&world).await.unwrap();
    world.deploy(new, Target::Class).await;
    let order = device.take_order(&world).await;
    device.report(&world, &order, Reported::Confirmed, None).await.unwrap();
    device.check_in(&world).await.unwrap();
    let shown = world.fleet.device(&world.admin, &device.id).await.unwrap();
    assert_eq!(shown.device.alarm.as_deref(), Some("trial-not-confirmed"));
    assert_eq!(shown.running[0].manifest, Some(old));
}

#[tokio::test]
async fn c1_a_success_is_claimed_by_a_device_without_any_release() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    world.deploy(release, Target::Class).await;
    let order = device.take_order(&world).await;
    // Said at a check-in, where the report was lost.
    device.update =
        Some(UpdateStatus { order: order.number, state: Reported::Confirmed, reason: None });
    device.check_in(&world).await.unwrap();
    let shown = world.fleet.device(&world.admin, &device.id).await.unwrap();
    assert_eq!(shown.device.alarm.as_deref(), Some("trial-not-confirmed"));
    assert_eq!(shown.running[0].manifest, None);
    device.boot(release, 10);
    device.check_in(&world).await.unwrap();
    let shown = world.fleet.device(&world.admin, &device.id).await.unwrap();
    assert_eq!(shown.device.alarm, None);
}

#[tokio::test]
async fn c5_no_race_starts_a_device_twice() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let releases = [world.release(10).await, world.release(11).await, world.release(12).await];
    let create = |manifest| {
        let new =
            NewDeployment { manifest, target: Target::Class, deadlines: Deadlines::default() };
        let (fleet, admin) = (world.fleet.clone(), world.admin.clone());
        async move { fleet.create_deployment(&admin, &new).await.unwrap() }
    };
    tokio::join!(create(releases[0]), create(releases[1]), create(releases[2]));
    let updates = world.fleet.device(&world.admin, &device.id).await.unwrap().updates;
    let open: Vec<_> = updates.iter().filter(|update| !update.state.is_terminal()).collect();
    assert_eq!((updates.len(), open.len()), (3, 1));
    let order = device.take_order(&world).await;
    let again = device.check_in(&world).await.unwrap().unwrap();
    assert_eq!(again, order);
}

#[tokio::test]
async fn c7_already_installed_and_superseded_are_shown_per_device() {
    let mut world = World::new().await;
    let mut a = world.deployed("dev-a").await;
    let b = world.deployed("dev-b").await;
    let (old, new) = (world.release(10).await, world.release(11).await);
    let first = world.deploy(old, Target::Class).await;
    a.update_to(&world, old, 10).await;
    a.check_in(&world).await.unwrap();
    let second = world.deploy(new, Target::Class).await;
    assert_eq!(world.target(&first.id, "dev-a").await.state, UpdateState::Confirmed);
    let superseded = world.target(&first.id, "dev-b").await;
    assert_eq!(superseded.state, UpdateState::Superseded);
    assert_eq!(superseded.reason.as_deref(), Some("superseded"));
    assert_eq!(world.target(&second.id, "dev-b").await.state, UpdateState::Offered);
    let third = world.deploy(old, Target::Device(a.id)).await;
    let installed = world.target(&third.id, "dev-a").await;
    assert_eq!(installed.state, UpdateState::AlreadyInstalled);
    assert_eq!(installed.grade, Some(Grade::Reported));
    drop(b);
}

#[tokio::test]
async fn c8_ranges_of_an_object_write_nothing() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    world.deploy(release, Target::Class).await;
    device.take_order(&world).await;
    let session = device.by_ldevid(&world).await.unwrap();
    let before = world.fleet.status(&world.admin).await.unwrap().audit_size;
    let writes = rows_of_every_table(&world).await;
    for start in 0..10 {
        let object = sha256(b"software 10");
        let part = world.fleet.object(&session, &object, Some(start..start + 1)).await.unwrap();
        assert_eq!((part.size_bytes, part.range), (11, start..start + 1));
    }
    assert_eq!(rows_of_every_table(&world).await, writes);
    assert_eq!(world.fleet.status(&world.admin).await.unwrap().audit_size, before);
}

async fn rows_of_every_table(world: &World) -> Vec<(String, i64)> {
    let mut connection = world.store.read().await.unwrap();
    connection.row_counts().await.unwrap()
}

#[tokio::test]
async fn c9_a_report_with_strange_text_is_taken_and_its_state_is_never_lost() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let deployment = world.deploy(world.release(10).await, Target::Class).await;
    let order = device.take_order(&world).await;
    let text = "<new> \"quoted\" & ünïcode";
    let mut report =
        device.report_of(&order, Reported::Failed, Some(ReasonCode::from(Reason::ImageDigest)));
    report.detail = Text::new(text).unwrap();
    let session = device.by_ldevid(&world).await.unwrap();
    world.fleet.report(&session, &report).await.unwrap();
    let target = world.target(&deployment.id, "dev-a").await;
    assert_eq!(target.state, UpdateState::Failed);
    assert_eq!(target.detail.as_deref(), Some(text));
    assert_eq!(target.reason.as_deref(), Some("image-digest"));
}

#[tokio::test]
async fn c20_a_download_that_begins_again_and_again_ends_at_its_deadline() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let deployment = world.deploy(world.release(10).await, Target::Class).await;
    let order = device.take_order(&world).await;
    for _ in 0..6 {
        device.report(&world, &order, Reported::Downloading, None).await.unwrap();
        assert!(device.check_in(&world).await.unwrap().is_some(), "it may go on");
        world.clock.advance_ms(4 * HOUR_MS);
    }
    // Saying the same again did not put the deadline off.
    assert_eq!(world.fleet.tick().await.unwrap(), 1);
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Failed);
}

#[tokio::test]
async fn c29_terminal_is_terminal() {
    let ends = [
        (Reported::Refused, Some(Reason::UntrustedSigner), UpdateState::Refused),
        (Reported::Failed, Some(Reason::ImageDigest), UpdateState::Failed),
        (Reported::Reverted, Some(Reason::HealthCheckFailed), UpdateState::Reverted),
        (Reported::Confirmed, None, UpdateState::Confirmed),
    ];
    for (end, reason, state) in ends {
        let mut world = World::new().await;
        let mut device = world.deployed("dev-a").await;
        let deployment = world.deploy(world.release(10).await, Target::Class).await;
        let order = device.take_order(&world).await;
        device.report(&world, &order, end, reason).await.unwrap();
        let ended = world.target(&deployment.id, "dev-a").await;
        assert_eq!(ended.state, state);
        for later in Reported::ALL {
            let reason = later.has_reason().then_some(Reason::StorageFailed);
            device.report(&world, &order, later, reason).await.unwrap();
            device.check_in(&world).await.unwrap();
        }
        assert_eq!(world.target(&deployment.id, "dev-a").await, ended);
    }
}

#[tokio::test]
async fn c32_the_same_report_twice_is_the_same_as_once() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let deployment = world.deploy(world.release(10).await, Target::Class).await;
    let order = device.take_order(&world).await;
    for _ in 0..3 {
        device.report(&world, &order, Reported::Downloading, None).await.unwrap();
    }
    let once = world.target(&deployment.id, "dev-a").await;
    let size = world.fleet.status(&world.admin).await.unwrap().audit_size;
    world.clock.advance_ms(HOUR_MS);
    device.report(&world, &order, Reported::Downloading, None).await.unwrap();
    assert_eq!(world.target(&deployment.id, "dev-a").await, once);
    assert_eq!(world.fleet.status(&world.admin).await.unwrap().audit_size, size);
}

#[tokio::test]
async fn c32_a_second_deployment_waits_for_a_trial_and_is_not_ignored() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let (one, two) = (world.release(10).await, world.release(11).await);
    let first = world.deploy(one, Target::Class).await;
    let order = device.take_order(&world).await;
    device.report(&world, &order, Reported::Trial, None).await.unwrap();
    let second = world.deploy(two, Target::Class).await;
    assert!(second.devices.is_empty());
    assert_eq!(device.check_in(&world).await.unwrap(), None);
    device.boot(one, 10);
    device.report(&world, &order, Reported::Confirmed, None).await.unwrap();
    assert_eq!(world.target(&first.id, "dev-a").await.state, UpdateState::Confirmed);
    assert_eq!(world.target(&second.id, "dev-a").await.state, UpdateState::Offered);
    device.update_to(&world, two, 11).await;
}

#[tokio::test]
async fn a_lost_confirmation_is_made_good_by_the_next_check_in() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    let deployment = world.deploy(release, Target::Class).await;
    let order = device.take_order(&world).await;
    device.report(&world, &order, Reported::Trial, None).await.unwrap();
    device.boot(release, 10);
    device.update = None;
    device.check_in(&world).await.unwrap();
    let target = world.target(&deployment.id, "dev-a").await;
    assert_eq!((target.state, target.grade), (UpdateState::Confirmed, Some(Grade::Reported)));
}

#[tokio::test]
async fn c35_a_reverted_release_says_why_and_may_be_offered_again() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    let first = world.deploy(release, Target::Class).await;
    let order = device.take_order(&world).await;
    device.report(&world, &order, Reported::Trial, None).await.unwrap();
    let reason = Some(Reason::HealthCheckFailed);
    device.report(&world, &order, Reported::Reverted, reason).await.unwrap();
    let reverted = world.target(&first.id, "dev-a").await;
    assert_eq!(reverted.state, UpdateState::Reverted);
    assert_eq!(reverted.reason.as_deref(), Some("health-check-failed"));
    // Not by itself, but when people say so.
    assert_eq!(device.check_in(&world).await.unwrap(), None);
    let second = world.deploy(release, Target::Class).await;
    let next = device.check_in(&world).await.unwrap().unwrap();
    assert!(next.number > order.number);
    device.update_to(&world, release, 10).await;
    assert_eq!(world.target(&second.id, "dev-a").await.state, UpdateState::Confirmed);
}

#[tokio::test]
async fn a_paused_deployment_starts_nobody_and_lets_the_others_finish() {
    let mut world = World::new().await;
    let mut begun = world.deployed("dev-a").await;
    let mut waiting = world.deployed("dev-b").await;
    let deployment = world.deploy(world.release(10).await, Target::Class).await;
    let order = begun.take_order(&world).await;
    begun.report(&world, &order, Reported::Downloading, None).await.unwrap();
    let paused = world.fleet.pause(&world.admin, &deployment.id).await.unwrap();
    assert_eq!(paused.state, DeploymentState::Paused);
    assert_eq!(waiting.check_in(&world).await.unwrap(), None);
    assert!(begun.check_in(&world).await.unwrap().is_some());
    // Who has not begun does not run out of time meanwhile.
    world.clock.advance_ms(30 * DAY_MS);
    assert_eq!(world.fleet.tick().await.unwrap(), 1);
    assert_eq!(world.target(&deployment.id, "dev-b").await.state, UpdateState::Offered);
    world.fleet.resume(&world.admin, &deployment.id).await.unwrap();
    assert!(waiting.check_in(&world).await.unwrap().is_some());
    world.clock.advance_ms(7 * DAY_MS);
    assert_eq!(world.fleet.tick().await.unwrap(), 1);
}

#[tokio::test]
async fn a_halted_deployment_is_offered_to_nobody() {
    let mut world = World::new().await;
    let mut begun = world.deployed("dev-a").await;
    let mut waiting = world.deployed("dev-b").await;
    let deployment = world.deploy(world.release(10).await, Target::Class).await;
    let order = begun.take_order(&world).await;
    begun.report(&world, &order, Reported::Written, None).await.unwrap();
    world.fleet.halt(&world.admin, &deployment.id).await.unwrap();
    assert_eq!(begun.check_in(&world).await.unwrap(), None);
    assert_eq!(waiting.check_in(&world).await.unwrap(), None);
    begun.report(&world, &order, Reported::Failed, Some(Reason::Halted)).await.unwrap();
    assert_eq!(world.target(&deployment.id, "dev-a").await.reason.as_deref(), Some("halted"));
    let again = world.fleet.halt(&world.admin, &deployment.id).await;
    assert_eq!(refused(again), Reason::IllegalMove);
    world.fleet.resume(&world.admin, &deployment.id).await.unwrap();
    assert!(waiting.check_in(&world).await.unwrap().is_some());
    assert_eq!(begun.check_in(&world).await.unwrap(), None);
}

#[tokio::test]
async fn a_deployment_to_a_device_of_another_class_is_refused() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let mut other = world.make_device("dev-b");
    other.class = crate::world::OTHER_CLASS;
    world.import(&[&other]).await.unwrap();
    other.enrol(&world).await.unwrap();
    let manifest = world.release(10).await;
    let new = |id| NewDeployment {
        manifest,
        target: Target::Device(id),
        deadlines: Deadlines::default(),
    };
    let wrong = world.fleet.create_deployment(&world.admin, &new(other.id)).await;
    assert_eq!(refused(wrong), Reason::WrongDevice);
    let nobody = world.fleet.create_deployment(&world.admin, &new(device_id("dev-x"))).await;
    assert_eq!(refused(nobody), Reason::NotFound);
    world.fleet.create_deployment(&world.admin, &new(device.id)).await.unwrap();
}

#[tokio::test]
async fn a_device_in_stock_is_offered_nothing() {
    let mut world = World::new().await;
    let mut device = world.provisioned("dev-a").await;
    let manifest = world.release(10).await;
    let new = NewDeployment {
        manifest,
        target: Target::Device(device.id),
        deadlines: Deadlines::default(),
    };
    let early = world.fleet.create_deployment(&world.admin, &new).await;
    assert_eq!(refused(early), Reason::LifecycleForbids);
    device.enrol(&world).await.unwrap();
    world.fleet.create_deployment(&world.admin, &new).await.unwrap();
    assert!(device.check_in(&world).await.unwrap().is_some());
}

#[tokio::test]
async fn a_report_about_an_order_of_another_device_is_refused() {
    let mut world = World::new().await;
    let mut a = world.deployed("dev-a").await;
    let b = world.deployed("dev-b").await;
    let deployment = world.deploy(world.release(10).await, Target::Class).await;
    let order = a.take_order(&world).await;
    let forged = b.report_of(&order, Reported::Confirmed, None);
    let session = b.by_ldevid(&world).await.unwrap();
    assert_eq!(refused(world.fleet.report(&session, &forged).await), Reason::NotFound);
    let mut another = a.report_of(&order, Reported::Confirmed, None);
    another.manifest = sha256(b"another manifest");
    let session = a.by_ldevid(&world).await.unwrap();
    assert_eq!(refused(world.fleet.report(&session, &another).await), Reason::ManifestDigest);
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Offered);
    a.report(&world, &order, Reported::Downloading, None).await.unwrap();
}

#[tokio::test]
async fn a_large_deployment_takes_two_people() {
    let mut world = World::with_policy(Policy::default()).await;
    let device = world.deployed("dev-a").await;
    world.deployed("dev-b").await;
    let manifest = world.release(10).await;
    let new = |target| NewDeployment { manifest, target, deadlines: Deadlines::default() };
    let (alice, bob) = (Operator::at_the_host("alice"), Operator::at_the_host("bob"));
    let waiting = Created::Waiting { given: 1, required: 2 };
    for _ in 0..2 {
        // The same person twice is one person.
        let created = world.fleet.create_deployment(&alice, &new(Target::Class)).await.unwrap();
        assert_eq!(created, waiting);
    }
    let created = world.fleet.create_deployment(&bob, &new(Target::Class)).await.unwrap();
    assert!(matches!(created, Created::Done(_)));
    // The approvals are used up.
    let created = world.fleet.create_deployment(&alice, &new(Target::Class)).await.unwrap();
    assert_eq!(created, waiting);
    let small = world.fleet.create_deployment(&alice, &new(Target::Device(device.id))).await;
    assert!(matches!(small.unwrap(), Created::Done(_)));
}

#[tokio::test]
async fn a_large_deployment_in_small_pieces_takes_two_people_too() {
    let mut world = World::with_policy(Policy::default()).await;
    let mut devices = Vec::new();
    for number in 0..12 {
        devices.push(world.deployed(&format!("dev-{number}")).await.id);
    }
    let manifest = world.release(10).await;
    let other = world.release(11).await;
    let (alice, bob) = (Operator::at_the_host("alice"), Operator::at_the_host("bob"));
    let offer = async |who, manifest, target| {
        let new = NewDeployment { manifest, target, deadlines: Deadlines::default() };
        world.fleet.create_deployment(who, &new).await.unwrap()
    };
    let to = |index: usize| Target::Device(devices[index]);
    let waiting = Created::Waiting { given: 1, required: 2 };
    // One of twelve is less than a tenth; the same one again is no other.
    assert!(matches!(offer(&alice, manifest, to(0)).await, Created::Done(_)));
    assert!(matches!(offer(&alice, manifest, to(0)).await, Created::Done(_)));
    assert_eq!(offer(&alice, manifest, to(1)).await, waiting);
    assert_eq!(offer(&bob, manifest, to(2)).await, waiting, "each of them is agreed on");
    assert!(matches!(offer(&bob, manifest, to(1)).await, Created::Done(_)));
    // Another release begins anew; and after the class as a whole nobody is asked again.
    assert!(matches!(offer(&alice, other, to(3)).await, Created::Done(_)));
    assert_eq!(offer(&alice, manifest, Target::Class).await, waiting);
    assert!(matches!(offer(&bob, manifest, Target::Class).await, Created::Done(_)));
    assert!(matches!(offer(&alice, manifest, to(5)).await, Created::Done(_)));
}

#[tokio::test]
async fn a_device_that_is_retired_ends_its_update() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let deployment = world.deploy(world.release(10).await, Target::Class).await;
    world.fleet.move_device(&world.admin, &device.id, State::Retired, "").await.unwrap();
    let target = world.target(&deployment.id, "dev-a").await;
    assert_eq!(target.state, UpdateState::Failed);
    assert_eq!(target.reason.as_deref(), Some("lifecycle-forbids"));
}

#[tokio::test]
async fn a_deadline_of_nothing_is_refused() {
    let world = World::new().await;
    let manifest = world.release(10).await;
    let deadlines = Deadlines { trial: Duration::ZERO, ..Deadlines::default() };
    let new = NewDeployment { manifest, target: Target::Class, deadlines };
    let refusal = refused(world.fleet.create_deployment(&world.admin, &new).await);
    assert_eq!(refusal, Reason::Malformed);
}
