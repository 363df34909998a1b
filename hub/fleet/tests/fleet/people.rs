//! Operators and roles at the calls themselves.

use std::sync::Arc;

use ringfort_cose::{PublicKey, Reason, Sign, SoftSigner};
use ringfort_fleet::{
    AccessChange, Agreed, Created, Deadlines, Invitation, Moved, NewDeployment, NewOperator,
    Operator, OperatorAuthority, Policy, Role, State, Target,
};
use ringfort_pki::{Csr, KeyKind, Operator as Person, SubjectKey};

use crate::world::{HOUR_MS, NOW_MS, World, csr, key, refused, sha256};

/// A person with a certificate. Which authority issues it is for the listener to check.
pub async fn person(world: &World, name: &str, role: Role) -> (Operator, [u8; 32]) {
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

#[tokio::test]
async fn an_invitation_registers_one_key_and_is_used_up() {
    let world = World::new().await;
    assert!(!world.fleet.login_is_open());
    let invitation = invite(&world, "olga", Role::Operator).await;
    assert!(world.fleet.login_is_open());
    let (first, second) = (request(), request());
    // Two at once: one of them comes second.
    let authority = authority(&world);
    let (one, other) = tokio::join!(
        world.fleet.redeem(&authority, &invitation.secret, &first),
        world.fleet.redeem(&authority, &invitation.secret, &second)
    );
    let (came_in, refusal) = match (one, other) {
        (Ok(came_in), Err(refusal)) | (Err(refusal), Ok(came_in)) => (came_in, refusal),
        both => panic!("{both:?}"),
    };
    assert_eq!(refusal.reason, Reason::InvitationInvalid);
    let olga = world.fleet.operator(&came_in.fingerprint).await.unwrap();
    assert_eq!((olga.name(), olga.role()), ("olga", Role::Operator));
    let again = world.fleet.redeem(&authority, &invitation.secret, &request()).await;
    assert_eq!(refused(again), Reason::InvitationInvalid);
    assert!(!world.fleet.login_is_open(), "nobody else was invited");
    let unknown = world.fleet.redeem(&authority, &[7; 16], &request()).await;
    assert_eq!(refused(unknown), Reason::InvitationInvalid);
}

#[tokio::test]
async fn an_invitation_ends_after_an_hour() {
    let world = World::new().await;
    let invitation = invite(&world, "olga", Role::Viewer).await;
    let late = invite(&world, "vera", Role::Viewer).await;
    let authority = authority(&world);
    world.clock.advance_ms(HOUR_MS - 1);
    world.fleet.redeem(&authority, &invitation.secret, &request()).await.unwrap();
    world.clock.advance_ms(1);
    assert!(!world.fleet.login_is_open());
    let refusal = world.fleet.redeem(&authority, &late.secret, &request()).await;
    assert_eq!(refused(refusal), Reason::Expired);
}

#[tokio::test]
async fn an_invitation_that_was_withdrawn_or_made_again_is_refused() {
    let world = World::new().await;
    let authority = authority(&world);
    let lost = invite(&world, "olga", Role::Viewer).await;
    let second = invite(&world, "olga", Role::Viewer).await;
    let refusal = world.fleet.redeem(&authority, &lost.secret, &request()).await;
    assert_eq!(refused(refusal), Reason::InvitationInvalid);
    world.fleet.withdraw(&world.admin, "olga").await.unwrap();
    assert!(!world.fleet.login_is_open());
    let refusal = world.fleet.redeem(&authority, &second.secret, &request()).await;
    assert_eq!(refused(refusal), Reason::InvitationInvalid);
    let nobody = world.fleet.withdraw(&world.admin, "olga").await;
    assert_eq!(refused(nobody), Reason::NotFound);
    // Not even by whoever has read the database: only the digest is in it.
    let third = invite(&world, "olga", Role::Viewer).await;
    let mut digest = [0; 16];
    digest.copy_from_slice(&sha256(&third.secret).0[..16]);
    let refusal = world.fleet.redeem(&authority, &digest, &request()).await;
    assert_eq!(refused(refusal), Reason::InvitationInvalid);
    world.fleet.redeem(&authority, &third.secret, &request()).await.unwrap();
}

#[tokio::test]
async fn an_invitation_cannot_bring_in_a_key_of_somebody_else() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let invitation = invite(&world, "olga", Role::Operator).await;
    let authority = authority(&world);
    let of_a_device = Csr::parse(&csr(&device.operational, None)).unwrap();
    let refusal = world.fleet.redeem(&authority, &invitation.secret, &of_a_device).await;
    assert_eq!(refused(refusal), Reason::KeyAlreadyKnown);
    // What was refused has used nothing up.
    world.fleet.redeem(&authority, &invitation.secret, &request()).await.unwrap();
}

#[tokio::test]
async fn nobody_is_called_like_the_hub_itself() {
    let world = World::new().await;
    for name in ["host:admin", "hub", "device", "factory", "", " olga", "a/b", "a\nb"] {
        let refusal = refused(world.fleet.invite(&world.admin, name, Role::Viewer).await);
        assert_eq!(refusal, Reason::Malformed, "{name:?}");
        let new = NewOperator {
            name: name.to_owned(),
            ..certificate_for(&world, "olga", Role::Viewer, &key())
        };
        let refusal = refused(world.fleet.add_operator(&world.admin, &new).await);
        assert_eq!(refusal, Reason::Malformed, "{name:?}");
    }
    invite(&world, "Olga Example", Role::Viewer).await;
}

#[tokio::test]
async fn two_people_are_needed_as_soon_as_two_exist() {
    let mut world = World::with_policy(Policy::default()).await;
    let devices = [world.deployed("dev-a").await, world.deployed("dev-b").await];
    let manifest = world.release(10).await;
    let everybody =
        NewDeployment { manifest, target: Target::Class, deadlines: Deadlines::default() };
    let fleet = &world.fleet;
    let (alice, _) = person(&world, "alice", Role::Admin).await;
    // Who only looks or publishes is no second person.
    person(&world, "vera", Role::Viewer).await;
    person(&world, "ci", Role::Publisher).await;
    let moved = fleet.move_device(&alice, &devices[0].id, State::Retired, "").await.unwrap();
    assert!(matches!(moved, Moved::Done(_)), "{moved:?}");
    let created = fleet.create_deployment(&alice, &everybody).await.unwrap();
    assert!(matches!(created, Created::Done(_)));

    world.deployed("dev-c").await;
    let (bob, fingerprint) = person(&world, "bob", Role::Operator).await;
    let moved = world.fleet.move_device(&alice, &devices[1].id, State::Retired, "").await.unwrap();
    assert_eq!(moved, Moved::Waiting { given: 1, required: 2 });
    let created = world.fleet.create_deployment(&alice, &everybody).await.unwrap();
    assert_eq!(created, Created::Waiting { given: 1, required: 2 });
    let waiting = world.fleet.approvals(&bob).await.unwrap();
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|approval| approval.operator == "alice"), "{waiting:?}");
    let created = world.fleet.create_deployment(&bob, &everybody).await.unwrap();
    assert!(matches!(created, Created::Done(_)));

    // Without the second person the first is not enough again.
    world.fleet.remove_operator(&alice, &fingerprint).await.unwrap();
    let moved = world.fleet.move_device(&alice, &devices[1].id, State::Retired, "").await.unwrap();
    assert_eq!(moved, Moved::Waiting { given: 1, required: 2 });
    let (carol, _) = person(&world, "carol", Role::Operator).await;
    let moved = world.fleet.move_device(&carol, &devices[1].id, State::Retired, "").await.unwrap();
    assert!(matches!(moved, Moved::Done(_)), "{moved:?}");
}

#[tokio::test]
async fn the_consent_of_somebody_who_has_lost_access_does_not_count() {
    let mut world = World::with_policy(Policy::default()).await;
    let device = world.deployed("dev-a").await;
    let (alice, _) = person(&world, "alice", Role::Admin).await;
    let (bob, fingerprint) = person(&world, "bob", Role::Operator).await;
    world.fleet.move_device(&bob, &device.id, State::Retired, "").await.unwrap();
    world.fleet.remove_operator(&alice, &fingerprint).await.unwrap();
    let moved = world.fleet.move_device(&alice, &device.id, State::Retired, "").await.unwrap();
    assert_eq!(moved, Moved::Waiting { given: 1, required: 2 });
}

#[tokio::test]
async fn one_administrator_of_two_cannot_make_himself_a_second_person() {
    let world = World::with_policy(Policy::default()).await;
    let (alice, _) = person(&world, "alice", Role::Admin).await;
    // Alone she lets the second one in.
    let invited = world.fleet.invite(&alice, "bob", Role::Admin).await.unwrap();
    let Agreed::Done(invitation) = invited else { panic!("{invited:?}") };
    let authority = authority(&world);
    let bob = world.fleet.redeem(&authority, &invitation.secret, &request()).await.unwrap();
    let bob = world.fleet.operator(&bob.fingerprint).await.unwrap();

    let waiting = Agreed::Waiting { given: 1, required: 2 };
    for role in [Role::Operator, Role::Admin] {
        let mallory = world.fleet.invite(&alice, "mallory", role).await.unwrap();
        assert_eq!(mallory, waiting);
        let again = world.fleet.invite(&alice, "mallory", role).await.unwrap();
        assert_eq!(again, waiting, "the same person twice is one person");
    }
    let new = certificate_for(&world, "mallory", Role::Operator, &key());
    let added = world.fleet.add_operator(&alice, &new).await.unwrap();
    assert!(matches!(added, Agreed::Waiting { given: 1, required: 2 }), "{added:?}");
    let registered =
        world.fleet.register(&alice, &authority, "mallory", Role::Operator, &request()).await;
    assert!(matches!(registered.unwrap(), Agreed::Waiting { given: 1, required: 2 }));
    // Bob's consent is to one key, not to whichever comes next under the name.
    let other = certificate_for(&world, "mallory", Role::Operator, &key());
    let added = world.fleet.add_operator(&bob, &other).await.unwrap();
    assert!(matches!(added, Agreed::Waiting { given: 1, required: 2 }), "{added:?}");

    // Somebody who cannot approve is let in by one, and somebody whom both want is let in.
    let viewer = world.fleet.invite(&alice, "vera", Role::Viewer).await.unwrap();
    assert!(matches!(viewer, Agreed::Done(_)));
    assert_eq!(world.fleet.invite(&alice, "carol", Role::Operator).await.unwrap(), waiting);
    let carol = world.fleet.invite(&bob, "carol", Role::Operator).await.unwrap();
    assert!(matches!(carol, Agreed::Done(_)));
}

#[tokio::test]
async fn nobody_removes_himself_so_that_an_administrator_remains() {
    let world = World::new().await;
    let (alice, of_alice) = person(&world, "alice", Role::Admin).await;
    let (_, of_bob) = person(&world, "bob", Role::Admin).await;
    let own = world.fleet.remove_operator(&alice, &of_alice).await;
    assert_eq!(refused(own), Reason::RoleForbids);
    world.fleet.remove_operator(&alice, &of_bob).await.unwrap();
    assert_eq!(refused(world.fleet.operator(&of_bob).await), Reason::CertificateRevoked);
    assert!(world.fleet.operator(&of_alice).await.is_ok());
}

#[tokio::test]
async fn a_request_of_somebody_who_loses_access_while_it_waits_is_refused() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let (alice, of_alice) = person(&world, "alice", Role::Admin).await;
    let (bob, of_bob) = person(&world, "bob", Role::Admin).await;
    // Each ends the other's access; both requests have been let in, and wait for the writer.
    let (first, second) = tokio::join!(
        world.fleet.remove_operator(&alice, &of_bob),
        world.fleet.remove_operator(&bob, &of_alice),
    );
    first.unwrap();
    assert_eq!(refused(second), Reason::CertificateRevoked);
    world.fleet.operator(&of_alice).await.expect("an administrator remains");
    let moved = world.fleet.move_device(&bob, &device.id, State::Suspended, "").await;
    assert_eq!(refused(moved), Reason::CertificateRevoked);
    assert_eq!(
        refused(world.fleet.invite(&bob, "mallory", Role::Viewer).await),
        Reason::CertificateRevoked
    );
    let moved = world.fleet.move_device(&alice, &device.id, State::Suspended, "").await;
    assert!(matches!(moved.unwrap(), Moved::Done(_)));
}

#[tokio::test]
async fn an_invitation_ends_with_the_access_of_who_made_it() {
    let world = World::new().await;
    let (alice, _) = person(&world, "alice", Role::Admin).await;
    let (bob, of_bob) = person(&world, "bob", Role::Admin).await;
    let invite = async |who, name| match world.fleet.invite(who, name, Role::Viewer).await {
        Ok(Agreed::Done(invitation)) => invitation,
        other => panic!("{other:?}"),
    };
    let (of_his, of_hers) = (invite(&bob, "mallory").await, invite(&alice, "vera").await);
    world.fleet.remove_operator(&alice, &of_bob).await.unwrap();
    let authority = authority(&world);
    let redeemed = world.fleet.redeem(&authority, &of_his.secret, &request()).await;
    assert_eq!(refused(redeemed), Reason::InvitationInvalid);
    assert!(world.fleet.login_is_open(), "hers is open");
    world.fleet.redeem(&authority, &of_hers.secret, &request()).await.unwrap();
    assert!(!world.fleet.login_is_open());
}

#[tokio::test]
async fn who_is_removed_has_his_connections_closed() {
    let world = World::new().await;
    let (_, fingerprint) = person(&world, "olga", Role::Operator).await;
    let mut changes = world.fleet.access_changes();
    world.fleet.remove_operator(&world.admin, &fingerprint).await.unwrap();
    assert_eq!(changes.try_recv().unwrap(), AccessChange::Operator(fingerprint));
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_refused_whatever_the_handshake_said() {
    let world = World::new().await;
    let (_, fingerprint) = person(&world, "olga", Role::Viewer).await;
    world.clock.advance_ms(89 * 24 * HOUR_MS);
    world.fleet.operator(&fingerprint).await.unwrap();
    // A resumed TLS session does not look at it again.
    world.clock.advance_ms(2 * 24 * HOUR_MS);
    assert_eq!(refused(world.fleet.operator(&fingerprint).await), Reason::CertificateExpired);
}

#[tokio::test]
async fn a_person_renews_with_a_new_key_and_the_old_one_ends_when_the_new_one_settles() {
    let world = World::new().await;
    let (olga, old) = person(&world, "olga", Role::Operator).await;
    let authority = authority(&world);
    world.clock.advance_ms(80 * 24 * HOUR_MS);
    let renewed = world.fleet.renew_operator(&olga, &old, &authority, &request()).await.unwrap();
    assert_eq!((&*renewed.name, renewed.role), ("olga", Role::Operator));
    // Both serve until the new one is used.
    for fingerprint in [&old, &renewed.fingerprint] {
        let who = world.fleet.operator(fingerprint).await.unwrap();
        assert_eq!((who.name(), who.role()), ("olga", Role::Operator));
    }
    let mut changes = world.fleet.access_changes();
    let who = world.fleet.operator(&renewed.fingerprint).await.unwrap();
    let ended = world.fleet.settle_operator(&who, &renewed.fingerprint).await.unwrap();
    assert_eq!(ended, 1);
    assert_eq!(changes.try_recv().unwrap(), AccessChange::Operator(old));
    assert_eq!(refused(world.fleet.operator(&old).await), Reason::CertificateRevoked);
    assert_eq!(world.fleet.settle_operator(&who, &renewed.fingerprint).await.unwrap(), 0);
    // It lives as long as one that was invited, and the audit log says by which it was made.
    world.clock.advance_ms(89 * 24 * HOUR_MS);
    world.fleet.operator(&renewed.fingerprint).await.unwrap();
    let entries = world.fleet.audit_entries(&world.admin, 0, 1000).await.unwrap();
    let log = format!("{entries:?}");
    for kind in ["operator-renewed", "operator-certificate-ended"] {
        let kind = kind.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
        assert!(log.contains(&kind), "{kind}");
    }
}

#[tokio::test]
async fn a_certificate_that_was_revoked_or_has_ended_renews_nothing() {
    let world = World::new().await;
    let (olga, of_olga) = person(&world, "olga", Role::Operator).await;
    let (vera, of_vera) = person(&world, "vera", Role::Viewer).await;
    let authority = authority(&world);
    world.fleet.remove_operator(&world.admin, &of_olga).await.unwrap();
    let removed = world.fleet.renew_operator(&olga, &of_olga, &authority, &request()).await;
    assert_eq!(refused(removed), Reason::CertificateRevoked);
    let removed = world.fleet.settle_operator(&olga, &of_olga).await;
    assert_eq!(refused(removed), Reason::CertificateRevoked);
    // With the certificate of somebody else nobody becomes that person.
    let other = world.fleet.renew_operator(&olga, &of_vera, &authority, &request()).await;
    assert_eq!(refused(other), Reason::CertificateRevoked);
    world.clock.advance_ms(89 * 24 * HOUR_MS);
    world.fleet.renew_operator(&vera, &of_vera, &authority, &request()).await.unwrap();
    world.clock.advance_ms(2 * 24 * HOUR_MS);
    let ended = world.fleet.renew_operator(&vera, &of_vera, &authority, &request()).await;
    assert_eq!(refused(ended), Reason::CertificateExpired);
}

#[tokio::test]
async fn a_renewal_needs_a_key_that_nobody_has_seen() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let authority = authority(&world);
    let invitation = invite(&world, "olga", Role::Operator).await;
    let first = request();
    let olga = world.fleet.redeem(&authority, &invitation.secret, &first).await.unwrap();
    let who = world.fleet.operator(&olga.fingerprint).await.unwrap();
    let of_a_device = Csr::parse(&csr(&device.operational, None)).unwrap();
    for seen in [&first, &of_a_device] {
        let renewed = world.fleet.renew_operator(&who, &olga.fingerprint, &authority, seen).await;
        assert_eq!(refused(renewed), Reason::KeyAlreadyKnown);
    }
    let new = request();
    let shown = &olga.fingerprint;
    world.fleet.renew_operator(&who, shown, &authority, &new).await.unwrap();
}

#[tokio::test]
async fn a_renewal_that_was_lost_on_the_way_leaves_no_second_door() {
    let world = World::new().await;
    let (olga, old) = person(&world, "olga", Role::Operator).await;
    let authority = authority(&world);
    let lost = world.fleet.renew_operator(&olga, &old, &authority, &request()).await.unwrap();
    let second = world.fleet.renew_operator(&olga, &old, &authority, &request()).await.unwrap();
    let refusal = refused(world.fleet.operator(&lost.fingerprint).await);
    assert_eq!(refusal, Reason::CertificateRevoked);
    for fingerprint in [&old, &second.fingerprint] {
        world.fleet.operator(fingerprint).await.unwrap();
    }
    // The old one cannot end the new one by settling.
    assert_eq!(world.fleet.settle_operator(&olga, &old).await.unwrap(), 0);
    world.fleet.operator(&second.fingerprint).await.unwrap();
}

#[tokio::test]
async fn a_person_with_two_certificates_is_one_person() {
    let mut world = World::with_policy(Policy::default()).await;
    let device = world.deployed("dev-a").await;
    let (alice, old) = person(&world, "alice", Role::Admin).await;
    person(&world, "bob", Role::Operator).await;
    let authority = authority(&world);
    let renewed = world.fleet.renew_operator(&alice, &old, &authority, &request()).await.unwrap();
    let again = world.fleet.operator(&renewed.fingerprint).await.unwrap();
    for who in [&alice, &again] {
        let moved = world.fleet.move_device(who, &device.id, State::Retired, "").await.unwrap();
        assert_eq!(moved, Moved::Waiting { given: 1, required: 2 });
    }
}

async fn invite(world: &World, name: &str, role: Role) -> Invitation {
    match world.fleet.invite(&world.admin, name, role).await.unwrap() {
        Agreed::Done(invitation) => invitation,
        waiting => panic!("{waiting:?}"),
    }
}

/// Which authority issues is for the listener to check.
fn authority(world: &World) -> OperatorAuthority {
    OperatorAuthority { issuer: world.device_ca.clone(), lifetime_days: 90 }
}

fn request() -> Csr {
    Csr::parse(&csr(&SoftSigner::generate_ed25519().unwrap(), None)).unwrap()
}
