//! What operators sign about devices.

use ringfort_cose::{AwsLc, PublicKey, Reason, Sign, SoftSigner};
use ringfort_fleet::{NewOperator, Operator, Role, State};
use ringfort_messages::{Statement, UnixTime};
use ringfort_pki::{KeyKind, Operator as Person, SubjectKey};

use crate::world::{NOW_MS, World, device_id, key, refused, sha256};

#[tokio::test]
async fn a_statement_counts_with_the_operators_own_key_and_about_the_device_it_names() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let (own, other) = (key(), key());
    let olga = with_key(&world, "olga", Role::Operator, &own).await;
    let viewer = with_key(&world, "vera", Role::Viewer, &other).await;
    let fleet = &world.fleet;
    let signed = said(&world, "dev-a", "retired", &own);
    fleet.add_statement(&olga, &device.id, &signed).await.unwrap();
    let by_another = said(&world, "dev-a", "retired", &other);
    let refusal = refused(fleet.add_statement(&olga, &device.id, &by_another).await);
    assert_eq!(refusal, Reason::UntrustedSigner);
    let refusal = refused(fleet.add_statement(&viewer, &device.id, &by_another).await);
    assert_eq!(refusal, Reason::RoleForbids);
    let about_another = said(&world, "dev-b", "retired", &own);
    let refusal = refused(fleet.add_statement(&olga, &device.id, &about_another).await);
    assert_eq!(refusal, Reason::WrongRecipient);
    // It stands in the log, and moves nothing.
    let shown = fleet.device(&olga, &device.id).await.unwrap().device;
    assert_eq!(shown.state, State::Deployed);
    let history = fleet.history(&olga, &device.id, 50).await.unwrap();
    assert_eq!(history.iter().filter(|entry| entry.kind == ringfort_fleet::STATED).count(), 1);
}

#[tokio::test]
async fn a_device_stated_to_be_suspended_before_it_came_is_suspended_when_it_enrols() {
    let mut world = World::new().await;
    let (mut device, mut another) =
        (world.provisioned("dev-a").await, world.provisioned("dev-b").await);
    let own = key();
    let olga = with_key(&world, "olga", Role::Operator, &own).await;
    let signed = said(&world, "dev-a", "suspended", &own);
    world.fleet.add_statement(&olga, &device.id, &signed).await.unwrap();
    device.enrol(&world).await.unwrap();
    another.enrol(&world).await.unwrap();
    let state = async |id| world.fleet.device(&olga, id).await.unwrap().device.state;
    assert_eq!(state(&device.id).await, State::Suspended);
    assert_eq!(state(&another.id).await, State::Deployed);
}

async fn with_key(world: &World, name: &str, role: Role, key: &SoftSigner) -> Operator {
    let new = certificate_for(world, name, role, key);
    world.fleet.add_operator(&world.admin, &new).await.unwrap();
    world.fleet.operator(&sha256(&new.certificate).0).await.unwrap()
}

fn said(world: &World, device: &str, to: &str, key: &SoftSigner) -> Vec<u8> {
    let statement = Statement {
        fleet: world.fleet.id(),
        device: device_id(device),
        to,
        at: UnixTime(NOW_MS as u64 / 1000),
        note: "a test",
        key: key.public_key(),
    };
    statement.sign(&AwsLc, key).unwrap()
}

fn certificate_for(world: &World, name: &str, role: Role, key: &SoftSigner) -> NewOperator {
    let public = key.public_key();
    let kind = match public {
        PublicKey::P256(_) => KeyKind::P256,
        PublicKey::Ed25519(_) => KeyKind::Ed25519,
    };
    let subject = SubjectKey::from_raw(kind, public.as_bytes()).unwrap();
    let person = Person { name, lifetime_days: 90 };
    let now = NOW_MS as u64 / 1000;
    let certificate = world.device_ca.issue_operator(&subject, &person, now).unwrap().der;
    NewOperator { name: name.to_owned(), role, certificate }
}
