//! A small fleet: keys made for one test run, and the anchors that name them.
#![allow(dead_code)]

use ringfort_cose::{AwsLc, Sha256Digest, Sign, SoftSigner, Verify};
use ringfort_trust::ids::{
    AnchorsVersion, ClassId, DeviceId, FleetId, Nonce, OrderNumber, SiteId, UnixTime, VendorId,
};
use ringfort_trust::{
    Anchors, AnchorsSpec, AuditHead, CommandAction, CommandClaims, Content, KeySpec, Order,
    ProductSpec, Role, Task, TokenClaims,
};

pub const FLEET: FleetId = FleetId([0xf1; 16]);
pub const VENDOR: VendorId = VendorId([0x0e; 16]);
pub const CLASS: ClassId = ClassId([0xc1; 16]);
pub const MANIFEST: Sha256Digest = Sha256Digest([0x3a; 32]);
pub const NONCE: Nonce = Nonce([0x55; 16]);
pub const NOW: UnixTime = UnixTime(1_800_000_000);

pub fn key() -> SoftSigner {
    SoftSigner::generate_p256().unwrap()
}

pub fn device() -> DeviceId {
    DeviceId::new("dev-a").unwrap()
}

pub struct Fleet {
    pub anchor: [SoftSigner; 3],
    pub release: [SoftSigner; 3],
    pub command: SoftSigner,
    pub order: SoftSigner,
    pub station: SoftSigner,
}

impl Fleet {
    pub fn new() -> Fleet {
        Fleet {
            anchor: [key(), key(), key()],
            release: [key(), key(), key()],
            command: key(),
            // Two algorithms in one document.
            order: SoftSigner::generate_ed25519().unwrap(),
            station: key(),
        }
    }

    pub fn spec(&self) -> AnchorsSpec {
        let mut keys: Vec<KeySpec> = self
            .anchor
            .iter()
            .map(|signer| KeySpec::new(Role::Anchor, signer.public_key(), ""))
            .collect();
        keys.push(KeySpec::new(Role::Command, self.command.public_key(), "carol"));
        keys.push(KeySpec::new(Role::Order, self.order.public_key(), ""));
        let site = SiteId::new("plant-1").unwrap();
        keys.push(KeySpec::station(self.station.public_key(), "", site));
        AnchorsSpec {
            fleet: FLEET,
            version: AnchorsVersion(1),
            time_floor: NOW,
            keys,
            anchor_threshold: 2,
            command_threshold: 1,
            products: vec![ProductSpec {
                vendor: VENDOR,
                class: CLASS,
                vendor_name: "example.com".into(),
                class_name: "lamp".into(),
                threshold: 2,
                keys: self
                    .release
                    .iter()
                    .map(|signer| KeySpec::new(Role::Release, signer.public_key(), ""))
                    .collect(),
            }],
            server_cas: vec![vec![0x30; 120]],
            hub: "https://hub.example:8443".into(),
            spare: Some("https://static.example/anchors".into()),
            revoked: vec![Sha256Digest([0xbb; 32])],
        }
    }

    /// Version 1, signed by the first two anchor keys.
    pub fn first(&self) -> Vec<u8> {
        self.signed(&self.spec())
    }

    pub fn signed(&self, spec: &AnchorsSpec) -> Vec<u8> {
        spec.sign(&AwsLc, &[&self.anchor[0], &self.anchor[1]]).unwrap()
    }

    pub fn install(&self, number: u64) -> TokenClaims {
        order(Task::Install { manifest: MANIFEST }, number)
    }
}

pub fn order(task: Task, number: u64) -> TokenClaims {
    TokenClaims {
        fleet: FLEET,
        device: device(),
        issued: UnixTime(NOW.0 + 100),
        expires: UnixTime(NOW.0 + 100 + 86_400),
        nonce: Some(NONCE),
        content: Content::Order(Order {
            number: OrderNumber(number),
            task,
            min_anchors: AnchorsVersion(1),
        }),
    }
}

pub fn signed_time() -> TokenClaims {
    let audit = AuditHead { size: 7, root: Sha256Digest([0xaa; 32]) };
    TokenClaims { content: Content::Time(audit), ..order(Task::Install { manifest: MANIFEST }, 1) }
}

/// A command of the longest life.
pub fn command(action: CommandAction) -> CommandClaims {
    CommandClaims {
        fleet: FLEET,
        device: device(),
        issued: NOW,
        expires: UnixTime(NOW.0 + 30 * 86_400),
        number: OrderNumber(3),
        action,
        nonce: (action == CommandAction::DebugUnlock).then_some(NONCE),
    }
}

pub fn first_of(bytes: &[u8]) -> Anchors<'_> {
    Anchors::verify_first(bytes, &AwsLc.sha256(&[bytes]), &AwsLc).unwrap()
}

/// Every way of flipping one bit.
pub fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit, flipped)
    })
}
