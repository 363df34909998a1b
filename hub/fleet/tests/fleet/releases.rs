//! What is taken as a release, and who may fetch it.

use futures_util::StreamExt;
use ringfort_cose::{AwsLc, Reason, SoftSigner};
use ringfort_fleet::Target;
use ringfort_suit::Envelope;
use ringfort_trust::Anchors;

use crate::world::{CLASS, OTHER_CLASS, World, refused, sha256};

#[tokio::test]
async fn c12_a_release_without_enough_trusted_signers_is_refused() {
    let world = World::new().await;
    let payload = b"software";
    world.put_object(payload).await.unwrap();
    let spec = world.release_spec(10, payload);
    let [a, c] = [0, 2].map(|index| &*world.release_keys[index]);
    let stranger = SoftSigner::generate_p256().unwrap();
    let cases: [(&[&SoftSigner], Reason); 4] = [
        (&[], Reason::ThresholdNotMet),
        (&[a], Reason::ThresholdNotMet),
        (&[a, &stranger], Reason::UntrustedSigner),
        (&[&*world.anchor_keys[0], a], Reason::UntrustedSigner),
    ];
    for (signers, reason) in cases {
        let envelope = world.sign_release(&spec, signers);
        assert_eq!(refused(world.fleet.add_release(&world.admin, &envelope).await), reason);
    }
    let envelope = world.sign_release(&spec, &[c, a]);
    let release = world.fleet.add_release(&world.admin, &envelope).await.unwrap();
    assert_eq!((release.sequence.0, &*release.version, release.size_bytes), (10, "1.10", 8));
    let again = world.fleet.add_release(&world.admin, &envelope).await.unwrap();
    assert_eq!(again, release);
}

#[tokio::test]
async fn a_release_with_one_flipped_bit_is_refused() {
    let world = World::new().await;
    world.put_object(b"software").await.unwrap();
    let signers = [&*world.release_keys[0], &*world.release_keys[1]];
    let envelope = world.sign_release(&world.release_spec(10, b"software"), &signers);
    for at in 0..envelope.len() {
        let mut flipped = envelope.clone();
        flipped[at] ^= 0x04;
        assert!(world.fleet.add_release(&world.admin, &flipped).await.is_err(), "byte {at}");
    }
    world.fleet.add_release(&world.admin, &envelope).await.unwrap();
}

#[tokio::test]
async fn a_release_whose_payload_is_absent_or_of_another_size_is_refused() {
    let world = World::new().await;
    let signers = [&*world.release_keys[0], &*world.release_keys[1]];
    let envelope = world.sign_release(&world.release_spec(10, b"software"), &signers);
    let absent = world.fleet.add_release(&world.admin, &envelope).await;
    assert_eq!(refused(absent), Reason::NotFound);
    world.put_object(b"software").await.unwrap();
    let mut wrong = world.release_spec(10, b"software");
    wrong.components[0].size_bytes += 1;
    let wrong = world.sign_release(&wrong, &signers);
    assert_eq!(refused(world.fleet.add_release(&world.admin, &wrong).await), Reason::ImageSize);
    world.fleet.add_release(&world.admin, &envelope).await.unwrap();
}

#[tokio::test]
async fn a_release_for_a_product_that_the_anchors_do_not_name_is_refused() {
    let world = World::new().await;
    world.put_object(b"software").await.unwrap();
    let signers = [&*world.release_keys[0], &*world.release_keys[1]];
    let mut spec = world.release_spec(10, b"software");
    spec.components[0].class = [1; 16];
    let envelope = world.sign_release(&spec, &signers);
    let unknown = world.fleet.add_release(&world.admin, &envelope).await;
    assert_eq!(refused(unknown), Reason::WrongDevice);
    spec.components[0].class = CLASS.0;
    spec.components[0].vendor = [1; 16];
    let envelope = world.sign_release(&spec, &signers);
    let other_vendor = world.fleet.add_release(&world.admin, &envelope).await;
    assert_eq!(refused(other_vendor), Reason::WrongDevice);
    let mut spec = world.release_spec(10, b"software");
    spec.components.push(spec.components[0].clone());
    spec.components[1].id = vec![b"second".to_vec()];
    spec.components[1].class = OTHER_CLASS.0;
    let envelope = world.sign_release(&spec, &signers);
    let mixed = world.fleet.add_release(&world.admin, &envelope).await;
    assert_eq!(refused(mixed), Reason::WrongDevice);
    spec.components[1].class = CLASS.0;
    let envelope = world.sign_release(&spec, &signers);
    world.fleet.add_release(&world.admin, &envelope).await.unwrap();
}

#[tokio::test]
async fn another_release_with_the_same_number_is_refused() {
    let world = World::new().await;
    world.release(10).await;
    world.put_object(b"other").await.unwrap();
    let signers = [&*world.release_keys[0], &*world.release_keys[1]];
    let same = world.sign_release(&world.release_spec(10, b"other"), &signers);
    let refusal = refused(world.fleet.add_release(&world.admin, &same).await);
    assert_eq!(refusal, Reason::SequenceReused);
    let next = world.sign_release(&world.release_spec(11, b"other"), &signers);
    world.fleet.add_release(&world.admin, &next).await.unwrap();
    assert_eq!(world.fleet.releases(&world.admin).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_object_that_is_not_what_its_name_says_is_refused() {
    let world = World::new().await;
    let put = |name: &'static [u8], bytes: &'static [u8], limit| {
        let part = Ok::<_, String>(bytes::Bytes::from_static(bytes));
        let stream = futures_util::stream::iter([part]);
        let (fleet, admin) = (&world.fleet, &world.admin);
        async move { fleet.put_object(admin, &sha256(name), limit, stream).await }
    };
    assert_eq!(refused(put(b"right", b"wrong", 5).await), Reason::ImageDigest);
    assert_eq!(refused(put(b"right", b"right", 4).await), Reason::TooLarge);
    assert_eq!(put(b"right", b"right", 5).await.unwrap().size_bytes(), 5);
}

#[tokio::test]
async fn a_device_without_an_order_fetches_nothing() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let other = world.deployed("dev-b").await;
    let release = world.release(10).await;
    world.deploy(release, Target::Device(device.id)).await;
    let object = sha256(b"software 10");
    let session = device.by_ldevid(&world).await.unwrap();
    let fleet = world.fleet.clone();
    // Offered, but no order was given yet.
    assert_eq!(refused(fleet.manifest(&session, &release).await), Reason::NotFound);
    assert_eq!(refused(fleet.object(&session, &object, None).await), Reason::NotFound);
    let order = device.take_order(&world).await;
    let envelope = fleet.manifest(&session, &release).await.unwrap();
    assert_eq!(Envelope::parse(&envelope, &AwsLc).unwrap().manifest_digest(), release);
    let parts: Vec<_> =
        fleet.object(&session, &object, Some(3..8)).await.unwrap().bytes.collect().await;
    let bytes: Vec<u8> = parts.into_iter().flat_map(|part| part.unwrap()).collect();
    assert_eq!(bytes, b"tware");
    let unnamed = world.release(11).await;
    assert_eq!(refused(fleet.manifest(&session, &unnamed).await), Reason::NotFound);
    let theirs = other.by_ldevid(&world).await.unwrap();
    assert_eq!(refused(fleet.object(&theirs, &object, None).await), Reason::NotFound);
    let end = ringfort_fleet::Reported::Failed;
    device.report(&world, &order, end, Some(Reason::ImageDigest)).await.unwrap();
    assert_eq!(refused(fleet.object(&session, &object, None).await), Reason::NotFound);
}

#[tokio::test]
async fn blocks_of_signers_that_the_anchors_dropped_are_taken_off() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    world.put_object(b"software").await.unwrap();
    let all: Vec<&SoftSigner> = world.release_keys.iter().map(|key| &**key).collect();
    let envelope = world.sign_release(&world.release_spec(10, b"software"), &all);
    let release = world.fleet.add_release(&world.admin, &envelope).await.unwrap().manifest;
    let replacement = crate::world::key();
    let dropped = std::mem::replace(&mut world.release_keys[2], replacement);
    let spec = world.anchors_spec();
    world.add_anchors(&spec).await.unwrap();
    device.anchors = 2;
    world.deploy(release, Target::Class).await;
    device.take_order(&world).await;
    let session = device.by_ldevid(&world).await.unwrap();
    let served = world.fleet.manifest(&session, &release).await.unwrap();
    let document = world.anchors.last().unwrap();
    let anchors = Anchors::verify_pinned(document, &sha256(document), &AwsLc).unwrap();
    let keys = anchors.release_keys(&CLASS, &AwsLc).unwrap();
    let served = Envelope::parse(&served, &AwsLc).unwrap();
    assert_eq!(served.blocks().count(), 2);
    served.verify_threshold(&AwsLc, &keys.keys, keys.threshold).unwrap();
    drop(dropped);
}

#[tokio::test]
async fn a_release_that_new_anchors_no_longer_carry_cannot_be_deployed() {
    let mut world = World::new().await;
    world.deployed("dev-a").await;
    let release = world.release(10).await;
    let other = world.release(11).await;
    let mut spec = world.anchors_spec();
    spec.revoked = vec![release];
    world.add_anchors(&spec).await.unwrap();
    let new = |manifest| ringfort_fleet::NewDeployment {
        manifest,
        target: Target::Class,
        deadlines: ringfort_fleet::Deadlines::default(),
    };
    let revoked = world.fleet.create_deployment(&world.admin, &new(release)).await;
    assert_eq!(refused(revoked), Reason::ReleaseRevoked);
    world.fleet.create_deployment(&world.admin, &new(other)).await.unwrap();
}

#[tokio::test]
async fn a_deployment_whose_release_new_anchors_revoke_is_halted() {
    let mut world = World::new().await;
    let mut device = world.deployed("dev-a").await;
    let mut other = world.deployed("dev-b").await;
    let (revoked, kept) = (world.release(10).await, world.release(11).await);
    let bad = world.deploy(revoked, Target::Device(device.id)).await;
    let good = world.deploy(kept, Target::Device(other.id)).await;
    device.take_order(&world).await;
    let mut spec = world.anchors_spec();
    spec.revoked = vec![revoked];
    world.add_anchors(&spec).await.unwrap();
    (device.anchors, other.anchors) = (2, 2);
    assert_eq!(device.check_in(&world).await.unwrap(), None);
    assert!(other.check_in(&world).await.unwrap().is_some());
    let bad = world.fleet.deployment(&world.admin, &bad.id).await.unwrap();
    assert_eq!(bad.state, ringfort_fleet::DeploymentState::Halted);
    let resumed = world.fleet.resume(&world.admin, &bad.id).await;
    assert_eq!(refused(resumed), Reason::ReleaseRevoked);
    let good = world.fleet.deployment(&world.admin, &good.id).await.unwrap();
    assert_eq!(good.state, ringfort_fleet::DeploymentState::Running);
}

#[tokio::test]
async fn anchors_that_do_not_follow_are_refused() {
    let mut world = World::new().await;
    let mut skipped = world.anchors_spec();
    skipped.version.0 += 1;
    assert_eq!(refused(world.add_anchors(&skipped).await), Reason::AnchorsNotSequential);
    let mut other_fleet = world.anchors_spec();
    other_fleet.fleet.0[0] ^= 1;
    assert_eq!(refused(world.add_anchors(&other_fleet).await), Reason::WrongFleet);
    let spec = world.anchors_spec();
    let one_signer: [&dyn ringfort_cose::Sign; 1] = [&*world.anchor_keys[0]];
    let document = spec.sign(&AwsLc, &one_signer).unwrap();
    let too_few = world.fleet.add_anchors(&world.admin, &document).await;
    assert_eq!(refused(too_few), Reason::ThresholdNotMet);
    assert_eq!(world.add_anchors(&spec).await.unwrap().0, 2);
    for version in [1, 2] {
        let served = world.fleet.anchors(ringfort_trust::ids::AnchorsVersion(version)).await;
        assert_eq!(served.unwrap(), world.anchors[version as usize - 1]);
    }
    let above = world.fleet.anchors(ringfort_trust::ids::AnchorsVersion(3)).await;
    assert_eq!(refused(above), Reason::NotFound);
}
