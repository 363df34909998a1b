//! EST's rules: who gets an operational certificate, and what happens to the earlier ones.

use std::sync::Arc;

use ringfort_cose::{Reason, SoftSigner};
use ringfort_fleet::{CertificateKind, Moved, State};
use ringfort_pki::Csr;

use crate::world::{DAY_MS, HOUR_MS, World, csr, identify, refused};

#[tokio::test]
async fn a_device_in_stock_enrols_and_is_deployed() {
    let mut world = World::new().await;
    let mut device = world.provisioned("dev-a").await;
    let enrolled = device.enrol(&world).await.unwrap();
    assert_eq!(enrolled.chain, [world.device_ca.certificate_der().to_vec()]);
    let session = device.by_ldevid(&world).await.unwrap();
    assert_eq!((session.device(), session.state()), (device.id, State::Deployed));
    device.check_in(&world).await.unwrap();
    assert_eq!(world.fleet.status(&world.admin).await.unwrap().shared_keys, 0);
}

#[tokio::test]
async fn the_same_request_again_gets_the_same_certificate() {
    let mut world = World::new().await;
    let mut device = world.provisioned("dev-a").await;
    let first = device.enrol(&world).await.unwrap();
    assert_eq!(device.enrol(&world).await.unwrap(), first);
    device.check_in(&world).await.unwrap();
    device.new_operational_key();
    let renewed = device.reenrol(&world).await.unwrap();
    assert_ne!(renewed, first);
    assert_eq!(device.reenrol(&world).await.unwrap(), renewed);
}

#[tokio::test]
async fn concurrent_requests_get_one_certificate() {
    let mut world = World::new().await;
    let device = world.provisioned("dev-a").await;
    let session = device.by_idevid(&world).await.unwrap();
    let csr = Csr::parse(&csr(&device.operational, None)).unwrap();
    let ask = || world.fleet.enrol(&session, &csr);
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    let a = a.unwrap();
    assert_eq!(b.unwrap(), a);
    assert_eq!(c.unwrap(), a);
}

#[tokio::test]
async fn a_cloned_key_on_another_device_is_refused() {
    let mut world = World::new().await;
    let owner = world.deployed("dev-a").await;
    let mut thief = world.provisioned("dev-b").await;
    let own = std::mem::replace(&mut thief.operational, Arc::clone(&owner.operational));
    assert_eq!(refused(thief.enrol(&world).await), Reason::KeyAlreadyKnown);
    thief.operational = Arc::clone(&owner.identity);
    assert_eq!(refused(thief.enrol(&world).await), Reason::KeyAlreadyKnown);
    thief.operational = own;
    thief.enrol(&world).await.unwrap();
}

#[tokio::test]
async fn a_key_in_another_role_is_refused() {
    let mut world = World::new().await;
    let mut device = world.provisioned("dev-a").await;
    let own = std::mem::replace(&mut device.operational, Arc::clone(&device.identity));
    assert_eq!(refused(device.enrol(&world).await), Reason::KeyAlreadyKnown);
    device.operational = Arc::clone(&device.attestation);
    assert_eq!(refused(device.enrol(&world).await), Reason::KeyAlreadyKnown);
    device.operational = own;
    device.enrol(&world).await.unwrap();
}

#[tokio::test]
async fn a_request_that_names_another_is_refused() {
    let mut world = World::new().await;
    let device = world.provisioned("dev-a").await;
    let session = device.by_idevid(&world).await.unwrap();
    let other = Csr::parse(&csr(&device.operational, Some("dev-b"))).unwrap();
    assert_eq!(refused(world.fleet.enrol(&session, &other).await), Reason::CsrNamesAnother);
    let own = Csr::parse(&csr(&device.operational, Some("dev-a"))).unwrap();
    world.fleet.enrol(&session, &own).await.unwrap();
}

#[tokio::test]
async fn each_kind_of_certificate_reaches_its_own_calls_only() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let idevid = device.by_idevid(&world).await.unwrap();
    let ldevid = device.by_ldevid(&world).await.unwrap();
    let request = Csr::parse(&csr(&device.operational, None)).unwrap();
    let wrong = Reason::WrongCertificateKind;
    assert_eq!(refused(world.fleet.enrol(&ldevid, &request).await), wrong);
    assert_eq!(refused(world.fleet.reenrol(&idevid, &request).await), wrong);
    let status = device.status(&world);
    assert_eq!(refused(world.fleet.check_in(&idevid, &status).await), wrong);
    world.fleet.signed_time(&idevid, status.nonce).await.unwrap();
    world.fleet.signed_time(&ldevid, status.nonce).await.unwrap();
    device.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_nobody_knows_is_refused() {
    let mut world = World::new().await;
    let device = world.deployed("dev-a").await;
    let stranger = world.make_device("dev-z");
    let unknown = identify(&world, &stranger.idevid, CertificateKind::IDevId).await;
    assert_eq!(refused(unknown), Reason::UnknownCertificate);
    // The registry knows the certificate, but its chain says that it is something else.
    let crossed = identify(&world, &device.idevid, CertificateKind::LDevId).await;
    assert_eq!(refused(crossed), Reason::UnknownCertificate);
    identify(&world, &device.idevid, CertificateKind::IDevId).await.unwrap();
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_the_factory_one_brings_it_back() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    world.clock.advance_ms(91 * DAY_MS);
    assert_eq!(refused(device.by_ldevid(&world).await), Reason::CertificateExpired);
    device.new_operational_key();
    device.enrol(&world).await.unwrap();
    device.check_in(&world).await.unwrap();
    let device = world.fleet.device(&world.admin, &device.id).await.unwrap();
    assert_eq!(device.device.alarm, None);
    assert_eq!(device.device.state, State::Deployed);
}

#[tokio::test]
async fn re_entry_while_a_certificate_is_alive_is_a_clone_alarm_and_waits_for_approval() {
    let mut world = World::new().await;
    let owner = world.deployed("dev-a").await;
    let mut other = owner.clone();
    other.new_operational_key();
    assert_eq!(refused(other.enrol(&world).await), Reason::CloneSuspected);
    let shown = world.fleet.device(&world.admin, &owner.id).await.unwrap().device;
    assert_eq!(shown.state, State::Suspended);
    assert_eq!(shown.alarm.as_deref(), Some("clone-suspected"));
    // It is heard while suspended, and refused until people have approved.
    assert_eq!(refused(other.enrol(&world).await), Reason::CloneSuspected);
    let moved =
        world.fleet.move_device(&world.admin, &owner.id, State::Deployed, "it was a repair").await;
    assert!(matches!(moved.unwrap(), Moved::Done(_)));
    // The earlier certificate is dead, the one who asked may enrol.
    assert_eq!(refused(owner.by_ldevid(&world).await), Reason::CertificateRevoked);
    other.enrol(&world).await.unwrap();
    other.link = None;
    other.check_in(&world).await.unwrap();
    let shown = world.fleet.device(&world.admin, &owner.id).await.unwrap().device;
    assert_eq!((shown.state, shown.alarm), (State::Deployed, None));
}

#[tokio::test]
async fn the_key_of_a_revoked_certificate_is_refused() {
    let mut world = World::new().await;
    let owner = world.deployed("dev-a").await;
    let mut other = owner.clone();
    other.new_operational_key();
    assert_eq!(refused(other.enrol(&world).await), Reason::CloneSuspected);
    world.fleet.move_device(&world.admin, &owner.id, State::Deployed, "").await.unwrap();
    let mut old_key = owner.clone();
    assert_eq!(refused(old_key.enrol(&world).await), Reason::KeyAlreadyKnown);
    other.enrol(&world).await.unwrap();
}

#[tokio::test]
async fn c26_a_renewed_certificate_ends_the_old_one_at_its_first_use() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let old = device.clone();
    device.new_operational_key();
    device.reenrol(&world).await.unwrap();
    // The new one was not used yet: the old one serves.
    old.by_ldevid(&world).await.unwrap();
    device.check_in(&world).await.unwrap();
    assert_eq!(refused(old.by_ldevid(&world).await), Reason::CertificateRevoked);
    device.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn a_renewal_that_began_before_its_certificate_ended_is_refused() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut thief = device.clone();
    thief.new_operational_key();
    let request = Csr::parse(&csr(&thief.operational, None)).unwrap();
    // Whoever has the old key has begun a request, and takes long to send its body.
    let begun = thief.by_ldevid(&world).await.unwrap();
    device.new_operational_key();
    device.reenrol(&world).await.unwrap();
    device.check_in(&world).await.unwrap();
    assert_eq!(refused(world.fleet.reenrol(&begun, &request).await), Reason::CertificateRevoked);
    let session = device.by_ldevid(&world).await.unwrap();
    world.fleet.reenrol(&session, &request).await.unwrap();
}

#[tokio::test]
async fn a_device_that_renews_all_day_is_refused_until_tomorrow() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut renewed = 0;
    let refusal = loop {
        world.clock.advance_ms(1000);
        device.new_operational_key();
        match device.reenrol(&world).await {
            Ok(_) => device.check_in(&world).await.unwrap(),
            Err(refusal) => break refusal.reason,
        };
        renewed += 1;
        assert!(renewed < 100, "one device fills the registry");
    };
    assert_eq!(refusal, Reason::TooManyRequests);
    assert!(renewed > 8, "{renewed}");
    world.clock.advance_ms(DAY_MS);
    device.reenrol(&world).await.unwrap();
    device.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn a_device_may_renew_the_key_it_has_when_its_certificate_is_old() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let first = device.ldevid.clone();
    world.clock.advance_ms(30 * DAY_MS);
    device.reenrol(&world).await.unwrap();
    assert_eq!(device.ldevid, first);
    world.clock.advance_ms(31 * DAY_MS);
    device.reenrol(&world).await.unwrap();
    assert_ne!(device.ldevid, first);
    device.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn the_first_use_of_a_certificate_does_not_end_a_newer_one() {
    let mut world = World::new().await;
    let mut device = world.provisioned("dev-a").await;
    device.enrol(&world).await.unwrap();
    let old = device.clone();
    world.clock.advance_ms(1);
    device.new_operational_key();
    device.reenrol(&world).await.unwrap();
    // The answer came late: the device has checked in with the old one meanwhile.
    let mut late = old.clone();
    late.check_in(&world).await.unwrap();
    device.link = late.link;
    device.check_in(&world).await.unwrap();
    assert_eq!(refused(old.by_ldevid(&world).await), Reason::CertificateRevoked);
}

#[tokio::test]
async fn a_device_that_lost_its_certificate_and_has_its_key_gets_it_again() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let certificate = device.ldevid.take();
    world.clock.advance_ms(70 * DAY_MS);
    device.enrol(&world).await.unwrap();
    assert_eq!(device.ldevid, certificate);
    device.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn renewals_whose_answers_are_lost_leave_no_heap_of_certificates() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let kept = device.clone();
    for _ in 0..5 {
        device.ldevid = kept.ldevid.clone();
        device.new_operational_key();
        device.reenrol(&world).await.unwrap();
    }
    let details = world.fleet.device(&world.admin, &device.id).await.unwrap();
    let alive = details
        .certificates
        .iter()
        .filter(|c| c.kind == CertificateKind::LDevId && c.revoked_ms.is_none());
    assert_eq!(alive.count(), 2);
    device.check_in(&world).await.unwrap();
}

#[tokio::test]
async fn a_retired_device_never_enrols_again() {
    let mut world = World::new().await;
    let mut device = world.provisioned("dev-a").await;
    let mut other = world.provisioned("dev-b").await;
    world.fleet.move_device(&world.admin, &device.id, State::Retired, "stolen").await.unwrap();
    assert_eq!(refused(device.enrol(&world).await), Reason::LifecycleForbids);
    // Nor as another device with its keys.
    other.operational = Arc::clone(&device.identity);
    assert_eq!(refused(other.enrol(&world).await), Reason::KeyAlreadyKnown);
    other.operational = Arc::new(SoftSigner::generate_ed25519().unwrap());
    other.enrol(&world).await.unwrap();
    world.clock.advance_ms(HOUR_MS);
    let back = world.fleet.move_device(&world.admin, &device.id, State::Deployed, "").await;
    assert_eq!(refused(back), Reason::IllegalMove);
}
