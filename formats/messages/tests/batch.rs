//! The factory batch: what is refused, each with the same thing done right.

#![allow(clippy::unwrap_used)]

use ringfort_cose::{AwsLc, Reason, Sha256Digest, Sign, SignError, SoftSigner, Verify};
use ringfort_messages::{
    AnchorsVersion, Batch, BatchSpec, ClassId, DeviceId, FleetId, Protection, RecordSpec, SiteId,
    StoreKind, Ueid, UnixTime, VendorId,
};
use ringfort_trust::{Anchors, AnchorsSpec, KeySpec, ProductSpec, Role};

struct Factory {
    station: SoftSigner,
    second: SoftSigner,
    order: SoftSigner,
    anchors: Vec<u8>,
}

fn key() -> SoftSigner {
    SoftSigner::generate_p256().unwrap()
}

fn site(name: &str) -> SiteId {
    SiteId::new(name).unwrap()
}

impl Factory {
    fn new() -> Factory {
        let (anchor, station, second, order) = (key(), key(), key(), key());
        let spec = AnchorsSpec {
            fleet: FleetId([1; 16]),
            version: AnchorsVersion(1),
            time_floor: UnixTime(0),
            keys: vec![
                KeySpec::new(Role::Anchor, anchor.public_key(), ""),
                KeySpec::new(Role::Order, order.public_key(), ""),
                KeySpec::station(station.public_key(), "", site("plant-1")),
                KeySpec::station(second.public_key(), "", site("plant-2")),
            ],
            anchor_threshold: 1,
            command_threshold: 1,
            products: vec![ProductSpec {
                vendor: VendorId([1; 16]),
                class: ClassId([2; 16]),
                vendor_name: "v".into(),
                class_name: "c".into(),
                threshold: 1,
                keys: vec![KeySpec::new(Role::Release, key().public_key(), "")],
            }],
            server_cas: vec![vec![1]],
            hub: "https://hub.example".into(),
            spare: None,
            revoked: vec![],
        };
        let anchors = spec.sign(&AwsLc, &[&anchor]).unwrap();
        Factory { station, second, order, anchors }
    }

    fn verify<'b>(&self, bytes: &'b [u8]) -> Result<Batch<'b>, Reason> {
        let digest = AwsLc.sha256(&[&self.anchors]);
        let anchors = Anchors::verify_first(&self.anchors, &digest, &AwsLc).unwrap();
        Batch::verify(bytes, &anchors, &AwsLc)
    }
}

fn spec(number: u64, previous: Option<Sha256Digest>) -> BatchSpec {
    BatchSpec {
        fleet: FleetId([1; 16]),
        site: site("plant-1"),
        number,
        previous,
        closed: UnixTime(1_800_000_000),
        records: (0..2).map(record).collect(),
    }
}

fn record(index: u16) -> RecordSpec {
    RecordSpec {
        ueid: Ueid::from_random([index as u8; 16]),
        device: DeviceId::new(&format!("dev-{index}")).unwrap(),
        class: ClassId([2; 16]),
        protection: Protection {
            store: StoreKind::Tpm2,
            hardware_keys: true,
            hardware_counter: true,
        },
        anchors: Sha256Digest([3; 32]),
        idevid: vec![4; 20],
        idevid_csr: vec![5; 20],
        attestation_csr: vec![6; 20],
    }
}

#[test]
fn a_batch_is_read_back() {
    let factory = Factory::new();
    let made = spec(1, None);
    let bytes = made.sign(&AwsLc, &factory.station).unwrap();
    let batch = factory.verify(&bytes).unwrap();
    assert_eq!((batch.number, batch.previous, batch.site), (1, None, made.site));
    assert_eq!(batch.digest, AwsLc.sha256(&[&bytes]));
    let records: Vec<RecordSpec> = batch.records().map(|record| RecordSpec::of(&record)).collect();
    assert_eq!(records, made.records);
    assert_eq!(batch.follows(None), Ok(()));
}

#[test]
fn any_flipped_bit_of_a_batch_is_refused() {
    let factory = Factory::new();
    let bytes = spec(1, None).sign(&AwsLc, &factory.station).unwrap();
    assert!(factory.verify(&bytes).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let reason = factory.verify(&flipped).map(drop).expect_err("a bit was flipped");
        assert_ne!(reason, Reason::Internal, "bit {bit}");
    }
}

#[test]
fn only_the_station_of_the_site_signs_its_batches() {
    let factory = Factory::new();
    let stranger = key();
    for signer in [&factory.second as &dyn Sign, &factory.order, &stranger] {
        let bytes = spec(1, None).sign(&AwsLc, signer).unwrap();
        assert_eq!(factory.verify(&bytes).map(drop), Err(Reason::UntrustedSigner));
    }
    let other = BatchSpec { site: site("plant-2"), ..spec(1, None) };
    let bytes = other.sign(&AwsLc, &factory.second).unwrap();
    assert!(factory.verify(&bytes).is_ok());
}

#[test]
fn a_batch_of_another_fleet_is_refused() {
    let factory = Factory::new();
    let foreign = BatchSpec { fleet: FleetId([9; 16]), ..spec(1, None) };
    let bytes = foreign.sign(&AwsLc, &factory.station).unwrap();
    assert_eq!(factory.verify(&bytes).map(drop), Err(Reason::WrongFleet));
}

#[test]
fn replays_gaps_and_another_past_are_refused() {
    let factory = Factory::new();
    let sign = |spec: &BatchSpec| spec.sign(&AwsLc, &factory.station).unwrap();
    let first = sign(&spec(1, None));
    let digest = AwsLc.sha256(&[&first]);
    let other = Sha256Digest([0xee; 32]);
    let judge = |number, previous, last| {
        let bytes = sign(&spec(number, previous));
        factory.verify(&bytes).unwrap().follows(last)
    };
    assert_eq!(judge(2, Some(digest), Some((1, digest))), Ok(()));
    assert_eq!(judge(2, Some(other), Some((1, digest))), Err(Reason::BatchGap));
    assert_eq!(judge(3, Some(digest), Some((1, digest))), Err(Reason::BatchGap));
    assert_eq!(judge(2, Some(digest), None), Err(Reason::BatchGap));
    assert_eq!(judge(1, None, Some((1, digest))), Err(Reason::BatchReplayed));
    assert_eq!(judge(2, Some(digest), Some((2, other))), Err(Reason::BatchReplayed));
    assert_eq!(judge(2, Some(digest), Some((u64::MAX, digest))), Err(Reason::BatchReplayed));
}

#[test]
fn only_the_first_batch_has_none_before_it() {
    let factory = Factory::new();
    let digest = Some(Sha256Digest([7; 32]));
    for (number, previous) in [(0, None), (0, digest), (1, digest), (2, None)] {
        let signed = spec(number, previous).sign(&AwsLc, &factory.station);
        assert_eq!(signed, Err(SignError::Object(Reason::Malformed)), "{number}");
    }
    assert!(spec(2, digest).sign(&AwsLc, &factory.station).is_ok());
}

#[test]
fn a_batch_beyond_its_bounds_is_refused() {
    let factory = Factory::new();
    let with = |count| BatchSpec { records: (0..count).map(record).collect(), ..spec(1, None) };
    let full = with(4096).sign(&AwsLc, &factory.station).unwrap();
    assert!(full.len() > 64 * 1024);
    assert_eq!(factory.verify(&full).unwrap().records().count(), 4096);
    let refused = |spec: BatchSpec| spec.sign(&AwsLc, &factory.station).unwrap_err();
    assert_eq!(refused(with(4097)), SignError::Object(Reason::TooLarge));
    assert_eq!(refused(with(0)), SignError::Object(Reason::Malformed));
    let mut long = spec(1, None);
    long.records[0].idevid = vec![1; 2049];
    assert_eq!(refused(long), SignError::Object(Reason::TooLarge));
    let huge = vec![0; Batch::MAX_LEN + 1];
    assert_eq!(factory.verify(&huge).map(drop), Err(Reason::TooLarge));
}
