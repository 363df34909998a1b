//! A fleet whose keys all have the thumbprint that [`Agreeable`] computes.

use ringfort_cose::{PublicKey, Sha256Digest, Sign, SignError};
use ringfort_trust::ids::{AnchorsVersion, ClassId, FleetId, SiteId, UnixTime, VendorId};
use ringfort_trust::{AnchorsSpec, KeySpec, ProductSpec, Role};

use crate::Agreeable;

/// The fleet's id.
pub const FLEET: FleetId = FleetId([0xf1; 16]);

/// A public key by a number.
pub fn key(number: u8) -> PublicKey {
    let mut point = [number; 65];
    point[0] = 4;
    PublicKey::P256(point)
}

/// "Signs" with 64 zero bytes.
pub struct Zeros(pub u8);

impl Sign for Zeros {
    fn public_key(&self) -> PublicKey {
        key(self.0)
    }

    fn sign(&self, _: &[&[u8]]) -> Result<Vec<u8>, SignError> {
        Ok(vec![0; 64])
    }
}

/// What the fleet's anchors say.
pub fn spec(version: u64) -> AnchorsSpec {
    AnchorsSpec {
        fleet: FLEET,
        version: AnchorsVersion(version),
        time_floor: UnixTime(1_800_000_000),
        keys: vec![
            KeySpec::new(Role::Anchor, key(1), "ann"),
            KeySpec::new(Role::Order, key(2), ""),
            KeySpec::new(Role::Command, key(3), ""),
            KeySpec::station(key(5), "", SiteId::new("plant-1").expect("a plain name")),
        ],
        anchor_threshold: 1,
        command_threshold: 1,
        products: vec![ProductSpec {
            vendor: VendorId([1; 16]),
            class: ClassId([2; 16]),
            vendor_name: "example.com".into(),
            class_name: "lamp".into(),
            threshold: 1,
            keys: vec![
                KeySpec::new(Role::Release, key(6), ""),
                KeySpec::new(Role::Release, key(7), ""),
            ],
        }],
        server_cas: vec![vec![0x30; 16]],
        hub: "https://hub.example".into(),
        spare: Some("https://static.example/a".into()),
        revoked: vec![Sha256Digest([9; 32])],
    }
}

/// The fleet's first anchors document.
pub fn anchors() -> Vec<u8> {
    spec(1).sign(&Agreeable, &[&Zeros(1)]).expect("the specification is valid")
}
