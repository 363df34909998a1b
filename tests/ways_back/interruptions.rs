//! Replies that are lost and agents that are killed, at every point of a whole run.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::{Process, killed_at_line, until};
use crate::relay::{Moment, Relay};
use crate::world::{Conditions, HUB, RELAYS, World};

/// thin-edge.io#3460 and #3149: an operation that a restart leaves open. Azure/iotedge#5788,
/// thin-edge.io#3541: a renewal that a lost answer ends. Each answer of enrolment, update and
/// renewal is lost once, at a device of its own.
#[test]
fn a_reply_lost_at_any_request_of_enrolment_update_and_renewal_costs_a_retry_and_no_more() {
    let world = World::new();
    let hub = world.open_hub();
    let first = world.deploy_to_all("1.0", "operator");
    let all = run_once(&world, "dev-1", "1.0");
    let names = world.make_devices(all);
    // A device that enrols joins the deployment that is open for its class.
    let agents = each_through_a_relay(&world, &names, Moment::Answer);
    world.all_confirmed(&first, "operator", &names);
    all_cut(&agents);
    let ends: Vec<Value> = names.iter().map(|name| certificate_end(&world, name)).collect();
    drop(agents);
    hub.stop();

    // 85 of 90 days later every certificate is due.
    world.set_clock("+85d");
    let hub = world.serve("hub");
    let second = world.deploy_to_all("1.1", "operator");
    let agents = each_through_a_relay(&world, &names, Moment::Answer);
    world.all_confirmed(&second, "operator", &names);
    all_cut(&agents);
    for (name, end) in names.iter().zip(&ends) {
        until(&format!("{name} has a new certificate"), || {
            certificate_end(&world, name).as_u64() > end.as_u64()
        });
        // A retry is not taken for a second holder of the identity.
        assert_eq!(world.device(name, "operator")["device"]["state"], "deployed", "{name}");
    }
    drop(agents);
    hub.stop();
}

/// mender PR#485 and open-balena's half-written updates: power that goes in the middle.
#[test]
fn an_agent_killed_at_any_request_goes_on_to_confirmed() {
    let world = World::new();
    let hub = world.open_hub();
    let deployment = world.deploy_to_all("1.0", "operator");
    let all = run_once(&world, "dev-1", "1.0");
    let names = world.make_devices(all);
    let agents = killed_at_each_request(&world, &names);
    world.all_confirmed(&deployment, "operator", &names);
    drop(agents);
    hub.stop();
}

/// Azure/iotedge#5787, thin-edge.io#3541 and its PR#3551: a renewal that was cut left the device
/// without the certificate that had been good.
#[test]
fn c28_an_agent_killed_at_any_request_of_its_renewal_has_a_good_certificate() {
    let world = World::new();
    let hub = world.open_hub();
    let names = world.make_devices(RENEWAL);
    let agents = names.iter().map(|name| world.agent(name, &Conditions::default()));
    let agents: Vec<Process> = agents.collect();
    for name in &names {
        until(&format!("{name} was heard"), || {
            !world.device(name, "operator")["device"]["last_seen_ms"].is_null()
        });
    }
    drop(agents);
    let ends: Vec<Value> = names.iter().map(|name| certificate_end(&world, name)).collect();
    let is_renewed = |name: &str| {
        let number = names.iter().position(|known| known == name).unwrap();
        certificate_end(&world, name).as_u64() > ends[number].as_u64()
    };
    hub.stop();

    world.set_clock("+85d");
    let hub = world.serve("hub");
    let agents = killed_at_each_request(&world, &names);
    for name in &names {
        until(&format!("{name} has a new certificate"), || is_renewed(name));
        assert_eq!(world.device(name, "operator")["device"]["state"], "deployed", "{name}");
        assert!(!world.history(name, "operator").contains("alarm-raised"), "{name}");
    }
    drop(agents);
    hub.stop();
}

/// rauc-hawkbit-updater PR#169 and #170: each connection takes many seconds where a token signs the
/// handshake, and every status was one. Here polls, an update and its reports share few.
#[test]
fn c11_enrolment_and_a_whole_update_take_few_connections() {
    let world = World::new();
    let hub = world.open_hub();
    let deployment = world.deploy_to_all("1.0", "operator");
    let relay = relay(&world, 0, Moment::Never, || {});
    via_relay(&world, "dev-1", 0);
    let agent = world.agent("dev-1", &Conditions::default());
    world.all_confirmed(&deployment, "operator", &["dev-1".to_owned()]);
    let (answers, connections) = (relay.answers(), relay.connections());
    assert!(connections <= FEW && answers > 2 * FEW, "{connections} for {answers} answers");
    agent.stop();
    hub.stop();
}

#[test]
fn an_agent_killed_at_any_line_of_its_log_goes_on_to_confirmed() {
    let world = World::new();
    let hub = world.open_hub();
    let deployment = world.deploy_to_all("1.0", "operator");
    run_once(&world, "dev-1", "1.0");
    let lines = fs::read_to_string(world.path("dev-1.log")).unwrap().lines().count();
    let names = world.make_devices(lines);
    let agents: Vec<Process> = names
        .iter()
        .zip(1..)
        .map(|(name, line)| {
            let command = world.agent_command(name, &Conditions::default());
            killed_at_line(command, &world.path(&format!("{name}.log")), line);
            world.agent(name, &Conditions::default())
        })
        .collect();
    world.all_confirmed(&deployment, "operator", &names);
    drop(agents);
    hub.stop();
}

/// Enrols and updates a device without any cut; returns how many answers that took, the last report's
/// and a check-in's among them.
fn run_once(world: &World, device: &str, version: &str) -> usize {
    let relay = relay(world, 0, Moment::Never, || {});
    via_relay(world, device, 0);
    let agent = world.agent(device, &Conditions::default());
    agent.says("update ended");
    let before = relay.answers();
    until("the hub was told, and asked again", || relay.answers() >= before + 2);
    agent.stop();
    let answers = relay.answers();
    world.runs(device, version);
    answers
}

/// Runs the agent of each device until it comes to one request more than the one before, kills it
/// there and starts it again. It asks for as long as it runs, so that it comes to each.
fn killed_at_each_request(world: &World, names: &[String]) -> Vec<(Relay, Process)> {
    let agents = names.iter().zip(1..).map(|(name, number)| {
        let pid = Arc::new(AtomicI32::new(0));
        let victim = Arc::clone(&pid);
        let relay = relay(world, number, Moment::Request(number), move || {
            if let Some(pid) = Pid::from_raw(victim.load(Ordering::SeqCst)) {
                kill_process(pid, Signal::KILL).unwrap();
            }
        });
        via_relay(world, name, number);
        let agent = world.agent(name, &Conditions::default());
        pid.store(agent.pid().as_raw_nonzero().get(), Ordering::SeqCst);
        until("it is killed", || relay.has_cut());
        agent.kill();
        (relay, world.agent(name, &Conditions::default()))
    });
    agents.collect()
}

fn each_through_a_relay(
    world: &World,
    names: &[String],
    moment: fn(usize) -> Moment,
) -> Vec<(Relay, Process)> {
    let agents = names.iter().zip(1..).map(|(name, number)| {
        let relay = relay(world, number, moment(number), || {});
        via_relay(world, name, number);
        (relay, world.agent(name, &Conditions::default()))
    });
    agents.collect()
}

/// Returns when each has lost its answer: those that a run did not come to are those of check-ins,
/// which go on.
fn all_cut(agents: &[(Relay, Process)]) {
    until("each has lost its answer", || agents.iter().all(|(relay, _)| relay.has_cut()));
}

fn relay(
    world: &World,
    number: usize,
    moment: Moment,
    action: impl Fn() + Send + Sync + 'static,
) -> Relay {
    let listen = format!("{}:8443", world.ip(relay_address(number)));
    Relay::start(&listen, &format!("{}:8443", world.ip(HUB)), moment, action)
}

fn via_relay(world: &World, device: &str, number: usize) {
    let hosts = format!("{device}/hosts");
    world.name_hosts(&hosts, &[("hub.acme.example", relay_address(number))]);
}

fn relay_address(number: usize) -> u8 {
    RELAYS + u8::try_from(number).unwrap()
}

fn certificate_end(world: &World, device: &str) -> Value {
    world.status(device)["certificate_ends"].clone()
}

/// Requests of a renewal, the turns of handshakes among them.
const RENEWAL: usize = 10;
/// One as who it was made, one as who it is; and room for one that the hub closed.
const FEW: usize = 4;
