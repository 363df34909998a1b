//! No sequence of what devices, people and time can do leaves a terminal state.

use proptest::prelude::*;
use ringfort_cose::Reason;
use ringfort_fleet::{Reported, Target, UpdateState};
use ringfort_trust::Order;

use crate::world::{Device, HOUR_MS, World};

#[derive(Clone, Debug)]
enum Act {
    Report(Reported),
    ReportAboutAnEarlierOrder(Reported),
    CheckIn,
    CheckInSaying(Reported),
    LoseTheAnswer,
    Boot,
    FallBack,
    Wait(i64),
    Pause,
    Resume,
    Halt,
    Deploy,
}

fn reported() -> impl Strategy<Value = Reported> {
    prop::sample::select(Reported::ALL.to_vec())
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => reported().prop_map(Act::Report),
        1 => reported().prop_map(Act::ReportAboutAnEarlierOrder),
        4 => Just(Act::CheckIn),
        3 => reported().prop_map(Act::CheckInSaying),
        1 => Just(Act::LoseTheAnswer),
        1 => Just(Act::Boot),
        1 => Just(Act::FallBack),
        1 => (0i64..200).prop_map(Act::Wait),
        1 => Just(Act::Pause),
        1 => Just(Act::Resume),
        1 => Just(Act::Halt),
        1 => Just(Act::Deploy),
    ]
}

fn reason(state: Reported) -> Option<Reason> {
    state.has_reason().then_some(Reason::StorageFailed)
}

struct Play {
    world: World,
    device: Device,
    orders: Vec<Order>,
    deployment: String,
    sequence: u64,
}

impl Play {
    /// Whatever the hub says to it, the state is what is looked at.
    async fn act(&mut self, act: &Act) {
        let Play { world, device, orders, deployment, sequence } = self;
        match act {
            Act::Report(state) => {
                if let Some(order) = orders.last().copied() {
                    let _ = device.report(world, &order, *state, reason(*state)).await;
                }
            }
            Act::ReportAboutAnEarlierOrder(state) => {
                if let Some(order) = orders.first().copied() {
                    let _ = device.report(world, &order, *state, reason(*state)).await;
                }
            }
            Act::CheckIn => {
                if let Some(order) = device.check_in(world).await.unwrap() {
                    device.last_order = device.last_order.max(order.number.0);
                    orders.push(order);
                }
            }
            Act::CheckInSaying(state) => {
                if let Some(order) = orders.last() {
                    device.update = Some(ringfort_messages::UpdateStatus {
                        order: order.number,
                        state: *state,
                        reason: reason(*state).map(Into::into),
                    });
                }
                device.check_in(world).await.unwrap();
            }
            Act::LoseTheAnswer => drop(device.ask(world).await.unwrap()),
            Act::Boot => {
                if let Some(Order { task: ringfort_trust::Task::Install { manifest }, .. }) =
                    orders.last()
                {
                    device.boot(*manifest, *sequence);
                }
            }
            Act::FallBack => device.running = None,
            Act::Wait(hours) => {
                world.clock.advance_ms(hours * HOUR_MS / 10);
                world.fleet.tick().await.unwrap();
            }
            Act::Pause => drop(world.fleet.pause(&world.admin, deployment).await),
            Act::Resume => drop(world.fleet.resume(&world.admin, deployment).await),
            Act::Halt => drop(world.fleet.halt(&world.admin, deployment).await),
            Act::Deploy => {
                *sequence += 1;
                let release = world.release(*sequence).await;
                *deployment = world.deploy(release, Target::Class).await.id;
            }
        }
    }

    async fn targets(&self) -> Vec<(String, UpdateState)> {
        let details = self.world.fleet.device(&self.world.admin, &self.device.id).await.unwrap();
        let mut all: Vec<_> =
            details.updates.into_iter().map(|update| (update.deployment, update.state)).collect();
        all.sort();
        all
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        max_shrink_iters: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_reports_leaves_a_terminal_state(acts in prop::collection::vec(act(), 1..40)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let device = world.deployed("dev-a").await;
            let release = world.release(10).await;
            let deployment = world.deploy(release, Target::Class).await.id;
            let mut play = Play { world, device, orders: Vec::new(), deployment, sequence: 10 };
            let mut ended: Vec<(String, UpdateState)> = Vec::new();
            for act in &acts {
                play.act(act).await;
                let targets = play.targets().await;
                for end in &ended {
                    assert!(targets.contains(end), "{end:?} was left by {act:?}");
                }
                let open = targets.iter().filter(|(_, state)| !state.is_terminal()).count();
                assert!(open <= 1, "{open} open at once after {act:?}");
                ended = targets.into_iter().filter(|(_, state)| state.is_terminal()).collect();
            }
            // Whatever was played, time ends it: nothing stays open for ever while it runs. What
            // ends may let the device join what was deployed meanwhile; that ends too.
            let _ = play.world.fleet.resume(&play.world.admin, &play.deployment).await;
            for _ in 0..2 {
                play.world.clock.advance_ms(60 * 24 * HOUR_MS);
                play.world.fleet.tick().await.unwrap();
            }
            assert!(play.targets().await.iter().all(|(_, state)| state.is_terminal()));
        });
    }
}
