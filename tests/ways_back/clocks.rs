//! Clocks that are wrong and certificates that have ended.

use crate::world::{Conditions, World};

/// espressif/esp-aws-iot#139, Azure/iot-identity-service#300, Azure/iotedge#6911: the certificate
/// ended while the device was off, and nothing led back.
#[test]
fn c25_a_device_whose_operational_certificate_has_expired_comes_back_by_its_factory_identity() {
    let world = World::new();
    let hub = world.open_hub();
    let agent = world.agent("dev-1", &Conditions::default());
    world.update("1.0", "dev-1", "operator");
    agent.stop();
    hub.stop();

    world.set_clock("+100d");
    let hub = world.serve("hub");
    let agent = world.agent("dev-1", &Conditions::default());
    world.update("1.1", "dev-1", "operator");
    // It entered once more, and that is no alarm: no operational certificate was alive.
    let history = world.history("dev-1", "operator");
    assert_eq!(history.matches("certificate-issued").count(), 2, "{history}");
    assert!(!history.contains("alarm-raised"), "{history}");
    agent.stop();
    hub.stop();
}

/// mender-docs PR#327, Azure/iotedge#4062, lf-edge/eve#1456: no battery behind the clock.
#[test]
fn c23_a_device_whose_clock_says_1970_enrols_updates_and_confirms() {
    with_clock("@1970-01-01 00:00:05");
}

#[test]
fn c23_a_device_whose_clock_says_2099_enrols_updates_and_confirms() {
    with_clock("@2099-06-01 12:00:00");
}

fn with_clock(clock: &str) {
    let world = World::new();
    let hub = world.open_hub();
    let conditions = Conditions { clock: Some(clock.to_owned()), ..Conditions::default() };
    let agent = world.agent("dev-1", &conditions);
    world.update("1.0", "dev-1", "operator");
    agent.kill();
    // The wrong clock left nothing behind: the next start has a right one.
    let agent = world.agent("dev-1", &Conditions::default());
    world.update("1.1", "dev-1", "operator");
    agent.stop();
    hub.stop();
}
