//! Every move of the lifecycle that an operator may ask for, from every state in which the hub
//! holds devices: the legal ones with their proofs and approvals, the others refused.

use ringfort_cose::{Reason, Sign};
use ringfort_fleet::{AccessChange, Moved, NewOperator, Operator, Policy, Role, State, Wish};
use ringfort_pki::{KeyKind, Operator as Person, SubjectKey};
use ringfort_trust::CommandAction::WipeOperational;

use crate::world::{Device, HOUR_MS, NOW_MS, World, key, refused};

/// The states in which the registry holds devices. (The factory's own states, created and
/// manufacturing, are at the station: a batch brings devices in as provisioned.)
const HELD: [State; 6] = [
    State::Provisioned,
    State::Deployed,
    State::Suspended,
    State::Service,
    State::Transfer,
    State::Retired,
];

async fn in_state(world: &mut World, name: &str, state: State) -> Device {
    let device = match state {
        State::Provisioned => return world.provisioned(name).await,
        _ => world.deployed(name).await,
    };
    world.clock.advance_ms(HOUR_MS);
    if state != State::Deployed {
        world.fleet.move_device(&world.admin, &device.id, state, "").await.unwrap();
    }
    world.clock.advance_ms(HOUR_MS);
    device
}

/// What an operator is told who asks without having anything shown.
fn expected(from: State, to: State) -> Result<State, Reason> {
    match (from, to) {
        (State::Retired, _) => Err(Reason::IllegalMove),
        (_, State::Retired) => Ok(to),
        (State::Deployed, State::Suspended | State::Service | State::Transfer) => Ok(to),
        (State::Provisioned, State::Deployed) => Err(Reason::RoleForbids),
        (State::Suspended | State::Service, State::Deployed) => Err(Reason::ProofMissing),
        (State::Transfer, State::Provisioned) => Err(Reason::ProofMissing),
        _ => Err(Reason::IllegalMove),
    }
}

#[tokio::test]
async fn every_pair_of_states_is_moved_or_refused_with_its_reason() {
    let mut world = World::new().await;
    let mut legal = 0;
    for from in HELD {
        for to in State::ALL {
            let device = in_state(&mut world, &format!("dev-{from}-{to}"), from).await;
            let moved = world.fleet.move_device(&world.admin, &device.id, to, "").await;
            let found = match moved {
                Ok(Moved::Done(view)) => Ok(view.state),
                Ok(Moved::Waiting { .. }) => panic!("one person suffices here"),
                Err(refusal) => Err(refusal.reason),
            };
            assert_eq!(found, expected(from, to), "{from} to {to}");
            legal += u32::from(found.is_ok());
            let held = world.fleet.device(&world.admin, &device.id).await.unwrap().device.state;
            assert_eq!(held, found.unwrap_or(from), "a refusal changes nothing");
        }
    }
    assert_eq!(legal, 8);
}

/// Shows the proof that the way back from a state asks for.
async fn prove(world: &World, device: &mut Device, from: State) {
    match from {
        State::Suspended => drop(device.check_in(world).await.unwrap()),
        State::Service => {
            device.new_operational_key();
            assert_eq!(refused(device.enrol(world).await), Reason::ApprovalRequired);
        }
        State::Transfer => {
            let command = world.command(device.id.as_str(), 1, WipeOperational);
            world.fleet.give_command(&world.admin, &device.id, &command, "").await.unwrap();
            let order = device.take_command(world).await;
            device.wipe(&order);
            assert_eq!(refused(device.enrol(world).await), Reason::ApprovalRequired);
        }
        other => panic!("nothing is to be shown in {other}"),
    }
}

#[tokio::test]
async fn with_their_proofs_all_three_ways_back_are_open() {
    let mut world = World::new().await;
    for (from, to, grade) in [
        (State::Suspended, State::Deployed, Some("not-attested")),
        (State::Service, State::Deployed, None),
        (State::Transfer, State::Provisioned, None),
    ] {
        let mut device = in_state(&mut world, &format!("dev-{from}"), from).await;
        let early = world.fleet.move_device(&world.admin, &device.id, to, "").await;
        assert_eq!(refused(early), Reason::ProofMissing, "{from}");
        prove(&world, &mut device, from).await;
        let moved = world.fleet.move_device(&world.admin, &device.id, to, "").await.unwrap();
        let Moved::Done(view) = moved else { panic!("one person suffices here") };
        assert_eq!((view.state, view.grade.as_deref()), (to, grade));
        // And it works again: where it asked for a certificate, it now gets it.
        if from != State::Suspended {
            device.enrol(&world).await.unwrap();
        }
        device.check_in(&world).await.unwrap();
        let shown = world.fleet.device(&world.admin, &device.id).await.unwrap().device;
        assert_eq!(shown.state, State::Deployed);
    }
}

#[tokio::test]
async fn approvals_are_counted_where_the_rules_ask_for_them() {
    // From, to, people by a policy of two, something to show first.
    let table = [
        (State::Deployed, State::Suspended, 1, false),
        (State::Deployed, State::Service, 1, false),
        (State::Deployed, State::Transfer, 2, false),
        (State::Suspended, State::Deployed, 2, true),
        (State::Service, State::Deployed, 2, true),
        (State::Provisioned, State::Retired, 2, false),
        (State::Deployed, State::Retired, 2, false),
        (State::Suspended, State::Retired, 2, false),
        (State::Service, State::Retired, 2, false),
    ];
    let mut world = World::with_policy(Policy::default()).await;
    let people = [Operator::at_the_host("alice"), Operator::at_the_host("bob")];
    for (from, to, needed, shown) in table {
        let mut device = match from {
            State::Provisioned => world.provisioned(&format!("dev-{from}-{to}")).await,
            _ => world.deployed(&format!("dev-{from}-{to}")).await,
        };
        world.clock.advance_ms(HOUR_MS);
        if !matches!(from, State::Provisioned | State::Deployed) {
            world.fleet.move_device(&people[0], &device.id, from, "").await.unwrap();
        }
        if shown {
            prove(&world, &mut device, from).await;
        }
        for (index, person) in people.iter().enumerate() {
            let moved = world.fleet.move_device(person, &device.id, to, "").await.unwrap();
            match index + 1 < needed {
                true => assert_eq!(moved, Moved::Waiting { given: 1, required: 2 }),
                false => {
                    assert!(matches!(moved, Moved::Done(_)), "{from} to {to}");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_device_changes_hands_inside_the_fleet() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let old = device.ldevid.clone().unwrap();
    world.clock.advance_ms(HOUR_MS);
    let command = world.command("dev-a", 1, WipeOperational);
    let wish = |to, command, owner| Wish { to, note: "", command, owner };
    let away = wish(State::Transfer, Some(&command[..]), None);
    world.fleet.move_device_with(&world.admin, &device.id, &away).await.unwrap();
    // Between the two it is told one thing: no update, no renewal.
    let manifest = world.release(1).await;
    world.deploy(manifest, ringfort_fleet::Target::Class).await;
    assert_eq!(refused(device.reenrol(&world).await), Reason::LifecycleForbids);
    let early = world.fleet.move_device(&world.admin, &device.id, State::Provisioned, "").await;
    assert_eq!(refused(early), Reason::ProofMissing);
    let order = device.take_command(&world).await;
    assert_eq!(order.task.name(), "wipe-operational");
    device.wipe(&order);
    assert_eq!(refused(device.enrol(&world).await), Reason::ApprovalRequired);
    let session = crate::world::identify(&world, &old, ringfort_fleet::CertificateKind::LDevId);
    assert_eq!(refused(session.await), Reason::CertificateRevoked);
    let named_early = wish(State::Retired, None, Some("west"));
    let moved = world.fleet.move_device_with(&world.admin, &device.id, &named_early).await;
    assert_eq!(refused(moved), Reason::Malformed);
    let over = wish(State::Provisioned, None, Some("west"));
    world.fleet.move_device_with(&world.admin, &device.id, &over).await.unwrap();
    device.enrol(&world).await.unwrap();
    device.hear(&world).await;
    let details = world.fleet.device(&world.admin, &device.id).await.unwrap();
    assert_eq!(details.device.state, State::Deployed);
    assert_eq!(details.device.owner.as_deref(), Some("west"));
    assert_eq!(details.commands[0].state, ringfort_fleet::UpdateState::Confirmed);
}

/// Two people may retire devices, so two do, although this hub asks for one elsewhere.
#[tokio::test]
async fn retiring_takes_two_where_two_exist() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let other = world.deployed("dev-b").await;
    let alone = world.fleet.move_device(&world.admin, &other.id, State::Retired, "").await;
    assert!(matches!(alone.unwrap(), Moved::Done(_)));
    for (name, role) in [("ann", Role::Operator), ("ben", Role::Admin), ("cy", Role::Viewer)] {
        let subject = SubjectKey::from_raw(KeyKind::P256, key().public_key().as_bytes()).unwrap();
        let person = Person { name, lifetime_days: 90 };
        let now = NOW_MS as u64 / 1000;
        let certificate = world.device_ca.issue_operator(&subject, &person, now).unwrap().der;
        let new = NewOperator { name: name.to_owned(), role, certificate };
        world.fleet.add_operator(&world.admin, &new).await.unwrap();
    }
    let moved = world.fleet.move_device(&world.admin, &device.id, State::Retired, "").await;
    assert_eq!(moved.unwrap(), Moved::Waiting { given: 1, required: 2 });
    let suspended = world.fleet.move_device(&world.admin, &device.id, State::Suspended, "").await;
    assert!(matches!(suspended.unwrap(), Moved::Done(_)), "that takes one");
    let second = Operator::at_the_host("second");
    for (who, done) in [(&world.admin, false), (&second, true)] {
        let moved = world.fleet.move_device(who, &device.id, State::Retired, "").await.unwrap();
        assert_eq!(matches!(moved, Moved::Done(_)), done);
    }
}

/// A note is read on terminals, and one line of the log is one line.
#[tokio::test]
async fn a_note_that_would_steer_a_terminal_is_refused() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    for note in ["a\u{1b}[2Jb", "a\nb", "a\u{9b}b", &"x".repeat(257)] {
        let moved = world.fleet.move_device(&world.admin, &device.id, State::Suspended, note).await;
        assert_eq!(refused(moved), Reason::Malformed, "{note:?}");
    }
    let note = "gestohlen gemeldet, Zürich";
    let moved = world.fleet.move_device(&world.admin, &device.id, State::Suspended, note).await;
    assert!(matches!(moved.unwrap(), Moved::Done(_)));
}

/// The CRLs are signed anew for every device that this tells of: a broker reads them.
#[tokio::test]
async fn a_device_that_is_let_back_is_not_left_on_the_lists_for_others() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut changes = world.fleet.access_changes();
    world.fleet.move_device(&world.admin, &device.id, State::Suspended, "").await.unwrap();
    assert_eq!(changes.try_recv().unwrap(), AccessChange::Device(device.id));
    world.clock.advance_ms(HOUR_MS);
    device.check_in(&world).await.unwrap();
    assert!(changes.try_recv().is_err());
    world.fleet.move_device(&world.admin, &device.id, State::Deployed, "").await.unwrap();
    assert_eq!(changes.try_recv().unwrap(), AccessChange::Device(device.id));
}
