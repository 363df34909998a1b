//! Operators and roles at the calls themselves.

use std::sync::Arc;

use ringfort_cose::{PublicKey, Reason, Sign, SoftSigner};
use ringfort_fleet::{Deadlines, NewDeployment, NewOperator, Operator, Role, State, Target};
use ringfort_pki::{KeyKind, Operator as Person, SubjectKey};

use crate::world::{NOW_MS, World, key, refused, sha256};

/// A person with a certificate. Which authority issues it is for the listener to check.
async fn person(world: &World, name: &str, role: Role) -> (Operator, [u8; 32]) {
    let new = certificate_for(world, name, role, &key());
    world.fleet.add_operator(&world.admin, &new).await.unwrap();
    let fingerprint = sha256(&new.certificate).0;
    (world.fleet.operator(&fingerprint).await.unwrap(), fingerprint)
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

#[tokio::test]
async fn each_role_reaches_its_own_calls_only() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let manifest = world.release(10).await;
    let deploy = NewDeployment { manifest, target: Target::Class, deadlines: Deadlines::default() };
    let (viewer, _) = person(&world, "vera", Role::Viewer).await;
    let (publisher, _) = person(&world, "paul", Role::Publisher).await;
    let (operator, _) = person(&world, "olga", Role::Operator).await;
    let (admin, _) = person(&world, "adam", Role::Admin).await;
    let forbids = Reason::RoleForbids;
    let fleet = &world.fleet;
    for who in [&viewer, &publisher, &operator, &admin] {
        fleet.device(who, &device.id).await.unwrap();
        fleet.audit_entries(who, 0, 10).await.unwrap();
    }
    for who in [&viewer, &publisher] {
        assert_eq!(refused(fleet.create_deployment(who, &deploy).await), forbids);
        let moved = fleet.move_device(who, &device.id, State::Suspended, "").await;
        assert_eq!(refused(moved), forbids);
        assert_eq!(refused(fleet.import_batch(who, b"").await), forbids);
    }
    for who in [&viewer, &operator] {
        assert_eq!(refused(fleet.add_release(who, b"").await), forbids);
        let nothing = futures_util::stream::empty::<Result<bytes::Bytes, String>>();
        assert_eq!(refused(fleet.put_object(who, &sha256(b""), 1, nothing).await), forbids);
    }
    for who in [&viewer, &publisher, &operator] {
        assert_eq!(refused(fleet.add_anchors(who, b"").await), forbids);
        let new = certificate_for(&world, "mallory", Role::Admin, &key());
        assert_eq!(refused(fleet.add_operator(who, &new).await), forbids);
    }
    fleet.create_deployment(&operator, &deploy).await.unwrap();
    fleet.create_deployment(&admin, &deploy).await.unwrap();
    let nothing = futures_util::stream::empty::<Result<bytes::Bytes, String>>();
    fleet.put_object(&publisher, &sha256(b""), 1, nothing).await.unwrap();
}

#[tokio::test]
async fn an_operator_who_was_removed_is_refused() {
    let world = World::new().await;
    let (_, fingerprint) = person(&world, "olga", Role::Operator).await;
    world.fleet.remove_operator(&world.admin, &fingerprint).await.unwrap();
    assert_eq!(refused(world.fleet.operator(&fingerprint).await), Reason::CertificateRevoked);
    let unknown = world.fleet.operator(&[0; 32]).await;
    assert_eq!(refused(unknown), Reason::UnknownCertificate);
    let again = world.fleet.remove_operator(&world.admin, &fingerprint).await;
    assert_eq!(refused(again), Reason::NotFound);
    // The name is free again, the certificate is not.
    person(&world, "olga", Role::Viewer).await;
}

#[tokio::test]
async fn a_name_or_a_key_in_use_is_refused() {
    let mut world = World::new().await;
    person(&world, "olga", Role::Operator).await;
    let same_name = certificate_for(&world, "olga", Role::Admin, &key());
    let refusal = refused(world.fleet.add_operator(&world.admin, &same_name).await);
    assert_eq!(refusal, Reason::AlreadyExists);
    let station = certificate_for(&world, "sam", Role::Admin, &world.station_key);
    let refusal = refused(world.fleet.add_operator(&world.admin, &station).await);
    assert_eq!(refusal, Reason::KeyAlreadyKnown);
    // And a device can never use the key of a person.
    let sams = Arc::new(SoftSigner::generate_ed25519().unwrap());
    let new = certificate_for(&world, "sam", Role::Admin, &sams);
    world.fleet.add_operator(&world.admin, &new).await.unwrap();
    let mut device = world.make_device("dev-a");
    let own = std::mem::replace(&mut device.attestation, Arc::clone(&sams));
    assert_eq!(refused(world.import(&[&device]).await), Reason::KeyAlreadyKnown);
    device.attestation = own;
    world.import(&[&device]).await.unwrap();
    device.operational = sams;
    assert_eq!(refused(device.enrol(&world).await), Reason::KeyAlreadyKnown);
}
