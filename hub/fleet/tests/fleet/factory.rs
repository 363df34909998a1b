//! Batches: what a station hands in, and what the hub does not take.

use std::sync::Arc;

use ringfort_cose::{AwsLc, Reason, SoftSigner};
use ringfort_fleet::{NewSite, State};
use ringfort_trust::ids::{ClassId, SiteId, Ueid};

use crate::world::{DAY_MS, Device, NOW_MS, SITE, World, csr, refused, sha256};

#[tokio::test]
async fn a_batch_brings_devices_into_stock() {
    let mut world = World::new().await;
    let (a, b) = (world.make_device("dev-a"), world.make_device("dev-b"));
    world.import(&[&a, &b]).await.unwrap();
    let device = world.fleet.device(&world.admin, &a.id).await.unwrap().device;
    assert_eq!(device.state, State::Provisioned);
    assert_eq!(device.ueid, a.ueid);
    assert_eq!(device.protection, "sealed-file");
    let site = world.fleet.sites(&world.admin).await.unwrap().remove(0);
    assert_eq!((site.devices, site.last_batch), (2, 1));
    world.provisioned("dev-c").await;
    assert_eq!(world.fleet.sites(&world.admin).await.unwrap()[0].last_batch, 2);
}

#[tokio::test]
async fn a_batch_replayed_is_refused() {
    let mut world = World::new().await;
    let device = world.make_device("dev-a");
    let batch = world.batch(1, None, &[&device]);
    world.fleet.import_batch(&world.admin, &batch).await.unwrap();
    let again = world.fleet.import_batch(&world.admin, &batch).await;
    assert_eq!(refused(again), Reason::BatchReplayed);
    let other = world.make_device("dev-b");
    let same_number = world.batch(1, None, &[&other]);
    let refusal = refused(world.fleet.import_batch(&world.admin, &same_number).await);
    assert_eq!(refusal, Reason::BatchReplayed);
    world.last_batch = Some((1, sha256(&batch)));
    world.import(&[&other]).await.unwrap();
}

#[tokio::test]
async fn a_batch_after_a_gap_is_refused() {
    let world = World::new().await;
    let first = world.batch(1, None, &[&world.make_device("dev-a")]);
    let second = world.batch(2, Some(sha256(&first)), &[&world.make_device("dev-b")]);
    let early = world.fleet.import_batch(&world.admin, &second).await;
    assert_eq!(refused(early), Reason::BatchGap);
    world.fleet.import_batch(&world.admin, &first).await.unwrap();
    let forged = world.batch(2, Some(sha256(b"another first")), &[&world.make_device("dev-c")]);
    let refusal = refused(world.fleet.import_batch(&world.admin, &forged).await);
    assert_eq!(refusal, Reason::BatchGap);
    world.fleet.import_batch(&world.admin, &second).await.unwrap();
}

#[tokio::test]
async fn a_batch_over_quota_is_refused() {
    let mut world = World::new().await;
    let devices: Vec<Device> = (0..100).map(|n| world.make_device(&format!("dev-{n}"))).collect();
    let one_more = world.make_device("dev-100");
    let mut all: Vec<&Device> = devices.iter().collect();
    all.push(&one_more);
    assert_eq!(refused(world.import(&all).await), Reason::OverQuota);
    world.import(&all[..100]).await.unwrap();
    assert_eq!(refused(world.import(&[&one_more]).await), Reason::OverQuota);
}

#[tokio::test]
async fn a_batch_of_a_site_that_ended_is_refused() {
    let mut world = World::new().await;
    world.provisioned("dev-a").await;
    world.clock.advance_ms(366 * DAY_MS);
    let device = world.make_device("dev-b");
    assert_eq!(refused(world.import(&[&device]).await), Reason::Expired);
    world.clock.advance_ms(-2 * DAY_MS);
    world.import(&[&device]).await.unwrap();
    world.fleet.revoke_site(&world.admin, &SiteId::new(SITE).unwrap()).await.unwrap();
    let device = world.make_device("dev-c");
    assert_eq!(refused(world.import(&[&device]).await), Reason::Expired);
}

#[tokio::test]
async fn a_batch_signed_by_another_key_is_refused() {
    let world = World::new().await;
    let device = world.make_device("dev-a");
    let spec = world.batch_spec(1, None, &[&device]);
    let forged = spec.sign(&AwsLc, &SoftSigner::generate_p256().unwrap()).unwrap();
    let refusal = refused(world.fleet.import_batch(&world.admin, &forged).await);
    assert_eq!(refusal, Reason::UntrustedSigner);
    let by_release_key = spec.sign(&AwsLc, &*world.release_keys[0]).unwrap();
    let refusal = refused(world.fleet.import_batch(&world.admin, &by_release_key).await);
    assert_eq!(refusal, Reason::UntrustedSigner);
    let honest = spec.sign(&AwsLc, &*world.station_key).unwrap();
    world.fleet.import_batch(&world.admin, &honest).await.unwrap();
}

#[tokio::test]
async fn a_batch_with_one_flipped_bit_is_refused() {
    let world = World::new().await;
    let batch = world.batch(1, None, &[&world.make_device("dev-a")]);
    for at in (0..batch.len()).step_by(7) {
        let mut flipped = batch.clone();
        flipped[at] ^= 0x10;
        assert!(world.fleet.import_batch(&world.admin, &flipped).await.is_err(), "byte {at}");
    }
    world.fleet.import_batch(&world.admin, &batch).await.unwrap();
}

#[tokio::test]
async fn a_key_that_two_devices_hold_is_refused() {
    let mut world = World::new().await;
    let first = world.provisioned("dev-a").await;
    let ueid = Ueid::from_random([0x77; 16]);
    let clone = Device::new(&world, "dev-b", ueid, Arc::clone(&first.identity));
    assert_eq!(refused(world.import(&[&clone]).await), Reason::KeyAlreadyKnown);
    let mut shared_attestation = world.make_device("dev-c");
    shared_attestation.attestation = Arc::clone(&first.attestation);
    assert_eq!(refused(world.import(&[&shared_attestation]).await), Reason::KeyAlreadyKnown);
    let mut crossed = world.make_device("dev-d");
    crossed.attestation = Arc::clone(&first.identity);
    assert_eq!(refused(world.import(&[&crossed]).await), Reason::KeyAlreadyKnown);
    world.provisioned("dev-e").await;
}

#[tokio::test]
async fn two_devices_of_one_batch_with_one_key_are_refused() {
    let mut world = World::new().await;
    let a = world.make_device("dev-a");
    let ueid = Ueid::from_random([0x77; 16]);
    let b = Device::new(&world, "dev-b", ueid, Arc::clone(&a.identity));
    assert_eq!(refused(world.import(&[&a, &b]).await), Reason::KeyAlreadyKnown);
    // Nothing of the batch was kept: its number is free, and so is the first device.
    assert_eq!(refused(world.fleet.device(&world.admin, &a.id).await), Reason::NotFound);
    world.import(&[&a]).await.unwrap();
}

#[tokio::test]
async fn a_ueid_or_a_name_that_is_taken_is_refused() {
    let mut world = World::new().await;
    let first = world.provisioned("dev-a").await;
    let key = || Arc::new(SoftSigner::generate_ed25519().unwrap());
    let same_ueid = Device::new(&world, "dev-b", first.ueid, key());
    assert_eq!(refused(world.import(&[&same_ueid]).await), Reason::KeyAlreadyKnown);
    let same_name = Device::new(&world, "dev-a", Ueid::from_random([0x77; 16]), key());
    assert_eq!(refused(world.import(&[&same_name]).await), Reason::KeyAlreadyKnown);
    let other = Device::new(&world, "dev-b", Ueid::from_random([0x77; 16]), key());
    world.import(&[&other]).await.unwrap();
}

#[tokio::test]
async fn one_key_as_identity_and_for_attestation_is_refused() {
    let mut world = World::new().await;
    let mut device = world.make_device("dev-a");
    let attestation = std::mem::replace(&mut device.attestation, Arc::clone(&device.identity));
    assert_eq!(refused(world.import(&[&device]).await), Reason::KeyAlreadyKnown);
    device.attestation = attestation;
    world.import(&[&device]).await.unwrap();
}

#[tokio::test]
async fn a_device_of_a_class_that_the_anchors_do_not_name_is_refused() {
    let mut world = World::new().await;
    let mut device = world.make_device("dev-a");
    let class = std::mem::replace(&mut device.class, ClassId([1; 16]));
    assert_eq!(refused(world.import(&[&device]).await), Reason::WrongDevice);
    device.class = class;
    world.import(&[&device]).await.unwrap();
}

#[tokio::test]
async fn an_idevid_of_another_authority_is_refused() {
    let mut world = World::new().await;
    let honest = world.make_device("dev-a");
    let identity = Arc::clone(&honest.identity);
    let other =
        Device::of_issuer(&world.device_ca, "dev-a", "dev-a", honest.ueid, Arc::clone(&identity));
    assert_eq!(refused(world.import(&[&other]).await), Reason::UntrustedSigner);
    let misnamed =
        Device::of_issuer(&world.factory_ca, "dev-a", "dev-z", honest.ueid, Arc::clone(&identity));
    assert_eq!(refused(world.import(&[&misnamed]).await), Reason::WrongRecipient);
    let mut another_ueid = honest.clone();
    another_ueid.ueid = Ueid::from_random([0x55; 16]);
    assert_eq!(refused(world.import(&[&another_ueid]).await), Reason::WrongRecipient);
    world.import(&[&honest]).await.unwrap();
}

#[tokio::test]
async fn a_proof_of_possession_of_another_key_is_refused() {
    let mut world = World::new().await;
    let device = world.make_device("dev-a");
    let other = SoftSigner::generate_ed25519().unwrap();
    let mut spec = world.batch_spec(1, None, &[&device]);
    spec.records[0].idevid_csr = csr(&other, None);
    let batch = spec.sign(&AwsLc, &*world.station_key).unwrap();
    let refusal = refused(world.fleet.import_batch(&world.admin, &batch).await);
    assert_eq!(refusal, Reason::BadProofOfPossession);
    world.import(&[&device]).await.unwrap();
}

#[tokio::test]
async fn a_device_that_was_given_other_anchors_is_refused() {
    let mut world = World::new().await;
    let device = world.make_device("dev-a");
    let mut spec = world.batch_spec(1, None, &[&device]);
    spec.records[0].anchors = sha256(b"the attacker's anchors");
    let batch = spec.sign(&AwsLc, &*world.station_key).unwrap();
    let refusal = refused(world.fleet.import_batch(&world.admin, &batch).await);
    assert_eq!(refusal, Reason::AnchorsDigest);
    world.import(&[&device]).await.unwrap();
}

#[tokio::test]
async fn a_serial_number_outside_the_range_is_refused() {
    let mut world = World::new().await;
    let outside = world.make_device("other-a");
    assert_eq!(refused(world.import(&[&outside]).await), Reason::WrongRecipient);
    world.provisioned("dev-a").await;
}

#[tokio::test]
async fn a_site_twice_is_refused() {
    let world = World::new().await;
    let new = |id: &str, ca: &[u8]| NewSite {
        id: SiteId::new(id).unwrap(),
        factory_ca: ca.to_vec(),
        serial_prefix: String::new(),
        quota: 1,
        not_after_ms: NOW_MS,
    };
    let ca = world.factory_ca.certificate_der();
    let again = world.fleet.add_site(&world.admin, &new(SITE, ca)).await;
    assert_eq!(refused(again), Reason::AlreadyExists);
    let with_hub_key = new("p2", world.device_ca.certificate_der());
    let hub_key = world.fleet.add_site(&world.admin, &with_hub_key).await;
    assert_eq!(refused(hub_key), Reason::KeyAlreadyKnown);
    let leaf = world.make_device("dev-a").idevid;
    let not_an_authority = world.fleet.add_site(&world.admin, &new("p2", &leaf)).await;
    assert_eq!(refused(not_an_authority), Reason::Malformed);
    world.fleet.add_site(&world.admin, &new("p2", ca)).await.unwrap();
}
