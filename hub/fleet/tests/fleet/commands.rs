//! Commands that people signed, on their way to a device and back.

use ringfort_cose::{AwsLc, Reason, Sign, SoftSigner};
use ringfort_fleet::{
    CommandView, Commanded, Moved, Operator, Policy, Reported, State, Target, UpdateState, Wish,
};
use ringfort_trust::CommandAction::{self, DebugUnlock, Decommission, WipeOperational};
use ringfort_trust::{CommandClaims, KeySpec, Role, Task};

use crate::world::{DAY_MS, Device, HOUR_MS, World, key, refused};

async fn give(world: &World, device: &Device, command: &[u8]) -> CommandView {
    match world.fleet.give_command(&world.admin, &device.id, command, "").await.unwrap() {
        Commanded::Done(view) => view,
        Commanded::Waiting { .. } => panic!("waits for another person"),
    }
}

async fn command_of(world: &World, device: &Device) -> CommandView {
    let details = world.fleet.device(&world.admin, &device.id).await.unwrap();
    details.commands.into_iter().next().expect("a command")
}

async fn state_of(world: &World, device: &Device) -> State {
    world.fleet.device(&world.admin, &device.id).await.unwrap().device.state
}

async fn kinds(world: &World, device: &Device) -> Vec<String> {
    let entries = world.fleet.history(&world.admin, &device.id, 100).await.unwrap();
    entries.into_iter().map(|entry| entry.kind).collect()
}

#[tokio::test]
async fn a_wipe_is_given_taken_and_confirmed_without_a_clone_alarm() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let command = world.command("dev-a", 1, WipeOperational);
    assert_eq!(give(&world, &device, &command).await.state, UpdateState::Offered);
    let order = device.take_command(&world).await;
    assert_eq!(order.task.name(), "wipe-operational");
    assert_eq!(command_of(&world, &device).await.state, UpdateState::Written);
    device.wipe(&order);
    device.enrol(&world).await.unwrap();
    device.hear(&world).await;
    let view = command_of(&world, &device).await;
    assert_eq!((view.state, view.order), (UpdateState::Confirmed, Some(order.number)));
    let details = world.fleet.device(&world.admin, &device.id).await.unwrap();
    assert_eq!((details.device.state, details.device.alarm), (State::Deployed, None));
    let live = details.certificates.iter().filter(|c| c.revoked_ms.is_none()).count();
    assert_eq!(live, 2, "the factory's and the new one");
    let kinds = kinds(&world, &device).await;
    for kind in ["command-given", "order-given", "command", "operational-keys-wiped"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} in {kinds:?}");
    }
    // It is told once.
    assert_eq!(device.hear(&world).await.0, None);
}

#[tokio::test]
async fn a_re_entry_that_no_command_explains_is_a_clone_alarm() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let command = world.command("dev-a", 1, WipeOperational);
    give(&world, &device, &command).await;
    // Nobody has told the device yet: whoever enters is not following the command.
    let mut thief = device.clone();
    thief.new_operational_key();
    assert_eq!(refused(thief.enrol(&world).await), Reason::CloneSuspected);
    // And a second one after the true one has followed it.
    let mut device = world.deployed("dev-b").await;
    let command = world.command("dev-b", 1, WipeOperational);
    give(&world, &device, &command).await;
    let order = device.take_command(&world).await;
    device.wipe(&order);
    device.enrol(&world).await.unwrap();
    let mut thief = device.clone();
    thief.new_operational_key();
    assert_eq!(refused(thief.enrol(&world).await), Reason::CloneSuspected);
}

#[tokio::test]
async fn a_lost_answer_and_a_lost_report_cost_nothing() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let command = world.command("dev-a", 1, WipeOperational);
    give(&world, &device, &command).await;
    let lost = device.hear(&world).await.0.unwrap();
    let (again, bytes) = device.hear(&world).await;
    assert_eq!(again.unwrap(), lost, "the same number");
    assert_eq!(bytes, Some(command));
    // It takes it, and what it says is lost; then it enters again.
    device.last_order = lost.number.0;
    device.wipe(&lost);
    device.enrol(&world).await.unwrap();
    device.hear(&world).await;
    assert_eq!(command_of(&world, &device).await.state, UpdateState::Confirmed);
}

#[tokio::test]
async fn a_refusal_of_the_device_is_shown_with_its_reason() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    give(&world, &device, &world.command("dev-a", 1, DebugUnlock)).await;
    let order = device.hear(&world).await.0.unwrap();
    device.report(&world, &order, Reported::Refused, Some(Reason::NonceMismatch)).await.unwrap();
    let view = command_of(&world, &device).await;
    assert_eq!(view.state, UpdateState::Refused);
    assert_eq!(view.reason.as_deref(), Some("nonce-mismatch"));
    let entries = world.fleet.history(&world.admin, &device.id, 100).await.unwrap();
    let last = entries.iter().rfind(|entry| entry.kind == "command").unwrap();
    assert!(last.details.contains(&("reason".to_owned(), "nonce-mismatch".to_owned())));
}

#[tokio::test]
async fn a_command_goes_before_an_update_and_the_update_goes_on_after_it() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let manifest = world.release(1).await;
    world.deploy(manifest, Target::Device(device.id)).await;
    give(&world, &device, &world.command("dev-a", 1, WipeOperational)).await;
    let order = device.take_command(&world).await;
    device.wipe(&order);
    device.enrol(&world).await.unwrap();
    let (order, command) = device.hear(&world).await;
    assert!(matches!(order.unwrap().task, Task::Install { .. }) && command.is_none());
}

#[tokio::test]
async fn a_decommissioned_device_is_retired_by_its_own_word() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let command = world.command("dev-a", 1, Decommission);
    let wish = Wish { to: State::Retired, note: "sold", command: Some(&command), owner: None };
    let moved = world.fleet.move_device_with(&world.admin, &device.id, &wish).await.unwrap();
    let Moved::Done(view) = moved else { panic!("one person suffices here") };
    assert_eq!(view.state, State::Deployed, "until it has said so");
    let order = device.take_command(&world).await;
    assert_eq!(order.task.name(), "decommission");
    device.report(&world, &order, Reported::Confirmed, None).await.unwrap();
    assert_eq!(state_of(&world, &device).await, State::Retired);
    let details = world.fleet.device(&world.admin, &device.id).await.unwrap();
    assert_eq!(details.device.state_reason.as_deref(), Some("decommissioned"));
    assert_eq!(refused(device.by_ldevid(&world).await), Reason::CertificateRevoked);
    device.new_operational_key();
    assert_eq!(refused(device.enrol(&world).await), Reason::LifecycleForbids);
}

/// What the hub would not take, so that people learn it when they hand it in. The device judges
/// the same again, for a hub that would take it.
#[tokio::test]
async fn commands_that_no_device_would_follow_are_refused_when_they_are_handed_in() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let good = world.command("dev-a", 5, WipeOperational);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let by = |key: &ringfort_cose::SoftSigner| {
        world.command_by(key, "dev-a", 5, CommandAction::WipeOperational)
    };
    let cases = [
        ("flipped", flipped, Reason::BadSignature),
        ("a stranger's key", by(&key()), Reason::UntrustedSigner),
        ("a release key", by(&world.release_keys[0]), Reason::UntrustedSigner),
        ("the hub's order key", by(&world.order_key), Reason::UntrustedSigner),
        ("another device's", world.command("dev-b", 5, WipeOperational), Reason::WrongRecipient),
        ("nonsense", b"wipe".to_vec(), Reason::Malformed),
    ];
    for (name, command, reason) in cases {
        let given = world.fleet.give_command(&world.admin, &device.id, &command, "").await;
        assert_eq!(refused(given), reason, "{name}");
    }
    world.clock.advance_ms(8 * DAY_MS);
    let late = world.fleet.give_command(&world.admin, &device.id, &good, "").await;
    assert_eq!(refused(late), Reason::Expired);
    device.enrol(&world).await.unwrap();
    device.check_in(&world).await.unwrap();
    // The twin: the same, in time.
    let good = world.command("dev-a", 6, WipeOperational);
    give(&world, &device, &good).await;
    let again = world.fleet.give_command(&world.admin, &device.id, &good, "").await;
    assert_eq!(refused(again), Reason::AlreadyExists);
    let order = device.take_command(&world).await;
    let other = world.command("dev-a", 7, Decommission);
    let early = world.fleet.give_command(&world.admin, &device.id, &other, "").await;
    assert_eq!(refused(early), Reason::AlreadyExists, "one at a time");
    device.wipe(&order);
    device.enrol(&world).await.unwrap();
    device.hear(&world).await;
    let old = world.command("dev-a", 6, Decommission);
    let replayed = world.fleet.give_command(&world.admin, &device.id, &old, "").await;
    assert_eq!(refused(replayed), Reason::OrderReplayed);
    give(&world, &device, &other).await;
}

/// The same rule as at the device, so that people learn it when they hand it in.
#[tokio::test]
async fn two_people_sign_a_command_where_the_anchors_ask_for_two() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let second = key();
    let mut spec = world.anchors_spec();
    spec.keys.push(KeySpec::new(Role::Command, second.public_key(), "second"));
    spec.command_threshold = 2;
    world.add_anchors(&spec).await.unwrap();
    device.anchors = 2;
    let sign = |number, first: &SoftSigner, others: &[&SoftSigner]| {
        let command = world.command_by(first, "dev-a", number, CommandAction::WipeOperational);
        others.iter().fold(command, |command, key| {
            CommandClaims::add_signature(&command, &AwsLc, *key).unwrap()
        })
    };
    let alone = sign(5, &world.command_key, &[]);
    let given = world.fleet.give_command(&world.admin, &device.id, &alone, "").await;
    assert_eq!(refused(given), Reason::ThresholdNotMet);
    let both = sign(5, &world.command_key, &[&second]);
    give(&world, &device, &both).await;
    let order = device.take_command(&world).await;
    device.wipe(&order);
    device.enrol(&world).await.unwrap();
    device.hear(&world).await;
    // Each of the two has used up the number; the order of signing changes nothing.
    let again = sign(5, &second, &[&world.command_key]);
    let given = world.fleet.give_command(&world.admin, &device.id, &again, "").await;
    assert_eq!(refused(given), Reason::OrderReplayed);
    give(&world, &device, &sign(6, &second, &[&world.command_key])).await;
}

#[tokio::test]
async fn a_command_goes_only_with_the_move_that_it_is_for() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let command = world.command("dev-a", 1, Decommission);
    let wish = |to| Wish { to, note: "", command: Some(&command), owner: None };
    for to in [State::Transfer, State::Suspended, State::Service] {
        let moved = world.fleet.move_device_with(&world.admin, &device.id, &wish(to)).await;
        assert_eq!(refused(moved), Reason::Unsupported, "{to}");
    }
    let retire = wish(State::Retired);
    let moved = world.fleet.move_device_with(&world.admin, &device.id, &retire).await.unwrap();
    assert!(matches!(moved, Moved::Done(_)));
}

#[tokio::test]
async fn a_device_that_is_not_heard_is_told_nothing() {
    let mut world = World::new().await;
    let stock = world.provisioned("dev-a").await;
    let command = world.command("dev-a", 1, Decommission);
    let given = world.fleet.give_command(&world.admin, &stock.id, &command, "").await;
    assert_eq!(refused(given), Reason::LifecycleForbids);
    let device = world.deployed("dev-b").await;
    world.fleet.move_device(&world.admin, &device.id, State::Service, "").await.unwrap();
    let command = world.command("dev-b", 1, WipeOperational);
    let given = world.fleet.give_command(&world.admin, &device.id, &command, "").await;
    assert_eq!(refused(given), Reason::LifecycleForbids);
}

#[tokio::test]
async fn two_people_hand_in_the_same_command() {
    let mut world = World::with_policy(Policy::default()).await;
    let device = world.deployed("dev-a").await;
    let (alice, bob) = (Operator::at_the_host("alice"), Operator::at_the_host("bob"));
    let command = world.command("dev-a", 1, WipeOperational);
    let other = world.command("dev-a", 2, WipeOperational);
    let waiting = Commanded::Waiting { given: 1, required: 2 };
    for (who, command) in [(&alice, &command), (&alice, &command), (&bob, &other)] {
        let given = world.fleet.give_command(who, &device.id, command, "").await.unwrap();
        assert_eq!(given, waiting);
    }
    let given = world.fleet.give_command(&bob, &device.id, &command, "").await.unwrap();
    assert!(matches!(given, Commanded::Done(_)));
}

#[tokio::test]
async fn silence_ends_a_command_when_it_expires() {
    let mut world = World::new().await;
    let mut silent = world.deployed("dev-a").await;
    let mut taken = world.deployed("dev-b").await;
    give(&world, &silent, &world.command("dev-a", 1, WipeOperational)).await;
    give(&world, &taken, &world.command("dev-b", 1, WipeOperational)).await;
    taken.take_command(&world).await;
    world.clock.advance_ms(6 * DAY_MS);
    assert_eq!(world.fleet.tick().await.unwrap(), 0);
    world.clock.advance_ms(DAY_MS + HOUR_MS);
    assert_eq!(world.fleet.tick().await.unwrap(), 2);
    let reason = async |device: &Device| command_of(&world, device).await.reason;
    assert_eq!(reason(&silent).await.as_deref(), Some("expired"));
    assert_eq!(reason(&taken).await.as_deref(), Some("deadline-passed"));
    assert_eq!(silent.hear(&world).await.0, None);
}

#[tokio::test]
async fn a_newer_command_takes_the_place_of_one_that_nobody_took() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    give(&world, &device, &world.command("dev-a", 1, WipeOperational)).await;
    give(&world, &device, &world.command("dev-a", 2, Decommission)).await;
    let order = device.take_command(&world).await;
    assert_eq!(order.task.name(), "decommission");
    let details = world.fleet.device(&world.admin, &device.id).await.unwrap();
    let states: Vec<UpdateState> = details.commands.iter().map(|command| command.state).collect();
    assert!(states.contains(&UpdateState::Superseded) && states.contains(&UpdateState::Written));
}
