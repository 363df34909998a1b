//! Check-ins: links, orders, signed time.

use ringfort_cose::{Reason, Sha256Digest};
use ringfort_fleet::{Moved, State, Target, UpdateState};
use ringfort_messages::{ClassStatus, Link, LinkId, List};
use ringfort_trust::ids::ClassId;
use ringfort_trust::{Content, Task};

use crate::world::{DAY_MS, HOUR_MS, NOW_MS, World, open_token, refused};

#[tokio::test]
async fn a_check_in_is_answered_with_signed_time_for_its_nonce() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let before = world.fleet.status(&world.admin).await.unwrap().audit_size;
    let status = device.status(&world);
    let session = device.by_ldevid(&world).await.unwrap();
    let answer = world.fleet.check_in(&session, &status).await.unwrap();
    let claims = open_token(&world, &answer.token);
    assert_eq!(claims.nonce, Some(status.nonce));
    assert_eq!(claims.issued.0, NOW_MS as u64 / 1000);
    assert_eq!(claims.expires.0, NOW_MS as u64 / 1000 + 24 * 3600);
    let Content::Time(head) = claims.content else { panic!("no order was due") };
    assert_eq!(head.size, before);
    assert!(answer.encode().unwrap().len() < 1024);
    let time = world.fleet.signed_time(&session, status.nonce).await.unwrap();
    assert_eq!(open_token(&world, &time).content, Content::Time(head));
}

#[tokio::test]
async fn lost_answers_never_suspend_a_device() {
    let mut world = World::new().await;
    let mut device = world.provisioned("dev-a").await;
    device.enrol(&world).await.unwrap();
    device.ask(&world).await.unwrap();
    device.ask(&world).await.unwrap();
    for round in 0..12 {
        match round % 3 {
            0 => drop(device.check_in(&world).await.unwrap()),
            _ => drop(device.ask(&world).await.unwrap()),
        }
    }
    let shown = world.fleet.device(&world.admin, &device.id).await.unwrap().device;
    assert_eq!((shown.state, shown.alarm), (State::Deployed, None));
}

#[tokio::test]
async fn a_cloned_identity_suspends_both_holders() {
    for clone_first in [true, false] {
        let mut world = World::new().await;
        let mut device = world.deployed("dev-a").await;
        let mut clone = device.clone();
        let (first, second) = match clone_first {
            true => (&mut clone, &mut device),
            false => (&mut device, &mut clone),
        };
        first.check_in(&world).await.unwrap();
        // The one before is taken, and makes a new current: now the first one holds neither.
        second.check_in(&world).await.unwrap();
        assert_eq!(refused(first.check_in(&world).await), Reason::CloneSuspected);
        let shown = world.fleet.device(&world.admin, &first.id).await.unwrap().device;
        assert_eq!(shown.state, State::Suspended);
        assert_eq!(shown.alarm.as_deref(), Some("clone-suspected"));
        assert_eq!(shown.state_reason.as_deref(), Some("clone-suspected"));
        // The other holder is suspended with it: it may speak, and gets nothing new.
        let session = second.by_ldevid(&world).await.unwrap();
        assert_eq!(session.state(), State::Suspended);
        second.new_operational_key();
        assert_eq!(refused(second.reenrol(&world).await), Reason::LifecycleForbids);
    }
}

#[tokio::test]
async fn after_approval_whoever_comes_first_with_a_link_goes_on() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut clone = device.clone();
    clone.check_in(&world).await.unwrap();
    device.check_in(&world).await.unwrap();
    assert_eq!(refused(clone.check_in(&world).await), Reason::CloneSuspected);
    let moved = world.fleet.move_device(&world.admin, &device.id, State::Deployed, "found it");
    assert!(matches!(moved.await.unwrap(), Moved::Done(_)));
    device.check_in(&world).await.unwrap();
    device.check_in(&world).await.unwrap();
    assert_eq!(refused(clone.check_in(&world).await), Reason::CloneSuspected);
}

#[tokio::test]
async fn a_link_of_another_device_or_made_up_is_refused() {
    let mut world = World::new().await;
    let other = world.deployed("dev-b").await;
    let mut device = world.deployed("dev-a").await;
    device.check_in(&world).await.unwrap();
    let mut with_other = device.clone();
    with_other.link = other.link;
    assert_eq!(refused(with_other.ask(&world).await), Reason::CloneSuspected);

    let mut device = world.deployed("dev-c").await;
    device.check_in(&world).await.unwrap();
    let mut without = device.clone();
    without.link = None;
    assert_eq!(refused(without.ask(&world).await), Reason::CloneSuspected);
}

#[tokio::test]
async fn a_link_of_the_hub_that_was_here_before_is_no_clone_until_this_one_gave_its_own() {
    let mut world = World::new().await;
    let mut device = world.provisioned("dev-a").await;
    device.enrol(&world).await.unwrap();
    let id = LinkId { counter: 40, random: [1; 16] };
    let foreign = Link::issue(id, &device.id, |_| [5; 32]);
    device.link = Some(foreign);
    device.check_in(&world).await.unwrap();
    device.check_in(&world).await.unwrap();
    device.link = Some(foreign);
    assert_eq!(refused(device.ask(&world).await), Reason::CloneSuspected);
}

#[tokio::test]
async fn an_order_keeps_its_number_until_it_ends_and_is_fresh_each_time() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    world.deploy(release, Target::Class).await;
    let first = device.check_in(&world).await.unwrap().unwrap();
    assert_eq!(first.task, Task::Install { manifest: release });
    assert_eq!(first.number.0, NOW_MS as u64);
    // The answer was lost: the same order, signed for the next nonce.
    world.clock.advance_ms(HOUR_MS);
    let again = device.take_order(&world).await;
    assert_eq!(again, first);
    world.clock.advance_ms(23 * HOUR_MS + 1);
    let late = device.check_in(&world).await.unwrap().unwrap();
    assert_eq!(late.number, first.number);
}

#[tokio::test]
async fn a_device_that_used_the_number_up_gets_a_higher_one() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    world.deploy(release, Target::Class).await;
    let first = device.take_order(&world).await;
    // It lost what it knew of the order, but not the number: no order may have that one again.
    device.update = None;
    let second = device.take_order(&world).await;
    assert!(second.number > first.number);
    device.update_to(&world, release, 10).await;
}

#[tokio::test]
async fn a_hub_that_forgot_its_numbers_never_falls_behind_its_device() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    device.last_order = NOW_MS as u64 + 5_000;
    world.deploy(release, Target::Class).await;
    let order = device.check_in(&world).await.unwrap().unwrap();
    assert_eq!(order.number.0, NOW_MS as u64 + 5_001);
}

#[tokio::test]
async fn an_order_number_from_a_far_future_is_refused() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    for number in [u64::MAX, i64::MAX as u64, NOW_MS as u64 + 20 * 365 * DAY_MS as u64] {
        device.last_order = number;
        assert_eq!(refused(device.ask(&world).await), Reason::OrderReplayed);
    }
    device.last_order = NOW_MS as u64;
    device.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn a_device_with_old_anchors_gets_no_order_before_it_has_the_new_ones() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    let spec = world.anchors_spec();
    world.add_anchors(&spec).await.unwrap();
    world.deploy(release, Target::Class).await;
    let session = device.by_ldevid(&world).await.unwrap();
    let answer = world.fleet.check_in(&session, &device.status(&world)).await.unwrap();
    assert!(matches!(open_token(&world, &answer.token).content, Content::Time(_)));
    assert_eq!((answer.newest_anchors.0, answer.interval_seconds), (2, 5));
    device.anchors = 2;
    assert_eq!(device.take_order(&world).await.min_anchors.0, 2);
}

#[tokio::test]
async fn what_a_device_runs_is_shown() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let manifest = Sha256Digest([5; 32]);
    device.boot(manifest, 7);
    device.check_in(&world).await.unwrap();
    let details = world.fleet.device(&world.admin, &device.id).await.unwrap();
    assert_eq!(details.running[0].manifest, Some(manifest));
    assert_eq!((details.running[0].sequence.0, details.running[0].floor.0), (7, 7));
    assert_eq!(details.device.agent_version, "test 1");
    assert_eq!(details.device.last_seen_ms, Some(NOW_MS));
}

#[tokio::test]
async fn an_idle_check_in_leaves_no_trace_in_the_audit_log() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let before = world.fleet.status(&world.admin).await.unwrap().audit_size;
    for _ in 0..10 {
        device.check_in(&world).await.unwrap();
    }
    assert_eq!(world.fleet.status(&world.admin).await.unwrap().audit_size, before);
}

#[tokio::test]
async fn a_suspended_device_may_still_take_an_update() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let release = world.release(10).await;
    world.fleet.move_device(&world.admin, &device.id, State::Suspended, "").await.unwrap();
    let deployment = world.deploy(release, Target::Device(device.id)).await;
    device.update_to(&world, release, 10).await;
    assert_eq!(world.target(&deployment.id, "dev-a").await.state, UpdateState::Confirmed);
}

#[tokio::test]
async fn a_request_that_waits_while_its_device_is_retired_is_refused() {
    for to in [State::Retired, State::Service] {
        let mut world = World::new().await;
        let mut device = world.deployed("dev-a").await;
        let release = world.release(10).await;
        world.deploy(release, Target::Class).await;
        let order = device.take_order(&world).await;
        let (session, status) = (device.by_ldevid(&world).await.unwrap(), device.status(&world));
        let report = device.report_of(&order, ringfort_fleet::Reported::Downloading, None);
        // All three have been let in; the first one changes what the others may.
        let (moved, answer, reported) = tokio::join!(
            world.fleet.move_device(&world.admin, &device.id, to, ""),
            world.fleet.check_in(&session, &status),
            world.fleet.report(&session, &report),
        );
        assert!(matches!(moved.unwrap(), Moved::Done(_)));
        let forbidden = [Reason::LifecycleForbids, Reason::CertificateRevoked];
        assert!(forbidden.contains(&refused(answer)), "{to}");
        assert!(forbidden.contains(&refused(reported)), "{to}");
        let seen = world.fleet.device(&world.admin, &device.id).await.unwrap().device.state;
        assert_eq!(seen, to);
    }
}

#[tokio::test]
async fn requests_of_other_devices_in_the_same_transaction_are_answered() {
    let mut world = World::new().await;
    let (one, mut two) = (world.deployed("dev-a").await, world.deployed("dev-b").await);
    let (session, status) = (two.by_ldevid(&world).await.unwrap(), two.status(&world));
    let (moved, answer) = tokio::join!(
        world.fleet.move_device(&world.admin, &one.id, State::Retired, ""),
        world.fleet.check_in(&session, &status),
    );
    assert!(matches!(moved.unwrap(), Moved::Done(_)));
    two.link = Some(answer.unwrap().link);
    two.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn a_device_that_names_ever_other_classes_fills_nothing() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    for round in 0..5_u8 {
        let mut status = device.status(&world);
        let own = *status.classes.iter().next().unwrap();
        let named = (1..8).map(|n| ClassStatus { class: ClassId([16 * round + n; 16]), ..own });
        let classes: Vec<_> = std::iter::once(own).chain(named).collect();
        status.classes = List::from_slice(&classes).unwrap();
        let session = device.by_ldevid(&world).await.unwrap();
        device.link = Some(world.fleet.check_in(&session, &status).await.unwrap().link);
    }
    let running = world.fleet.device(&world.admin, &device.id).await.unwrap().running;
    assert_eq!(running.len(), 8, "as many as one check-in names");
    device.check_in(&world).await.unwrap();
    let running = world.fleet.device(&world.admin, &device.id).await.unwrap().running;
    assert_eq!(running.iter().map(|r| r.class).collect::<Vec<_>>(), [device.class]);
}
