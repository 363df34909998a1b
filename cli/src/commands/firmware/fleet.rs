//! A fleet of one device: keys made for this run, its anchors, releases and orders.

use ringfort_cose::{AwsLc, Sha256Digest, Sign, SoftSigner, Verify};
use ringfort_suit::{Envelope, NewComponent, NewRelease, sign};
use ringfort_trust::ids::{
    AnchorsVersion, ClassId, DeviceId, FleetId, OrderNumber, UnixTime, VendorId,
};
use ringfort_trust::{AnchorsSpec, Content, KeySpec, Order, ProductSpec, Role, Task, TokenClaims};
use uuid::Uuid;

use super::images::Images;
use crate::clock;
use crate::failure::{Failure, Outcome};

/// Keys, anchors and what the device is.
pub struct Fleet {
    /// The fleet's id.
    pub id: Uuid,
    /// SUIT vendor, class and device id.
    pub identity: [Uuid; 3],
    /// Anchors version 1.
    pub anchors: Vec<u8>,
    release_keys: [SoftSigner; 2],
    order_key: SoftSigner,
    now: u64,
}

/// A signed release with its components.
pub struct Release {
    /// The SUIT envelope.
    pub envelope: Vec<u8>,
    /// Secure and non-secure component.
    pub components: [Vec<u8>; 2],
    digest: Sha256Digest,
}

/// What the application hands to the update service.
#[derive(Default)]
pub struct Package {
    /// Order and envelope.
    pub manifest: Vec<u8>,
    /// The components.
    pub image: Vec<u8>,
}

impl Fleet {
    /// Makes keys and anchors: two release keys of three have to sign.
    pub fn new() -> Outcome<Fleet> {
        let keys: Vec<SoftSigner> = (0..7).map(|_| key()).collect::<Outcome<_>>()?;
        let [anchor_a, anchor_b, anchor_c, order_key, spare, command, first] =
            <[SoftSigner; 7]>::try_from(keys).map_err(|_| impossible("seven keys"))?;
        let second = key()?;
        let vendor = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"demo.example");
        let class = Uuid::new_v5(&vendor, b"demo board");
        let id = Uuid::new_v4();
        let now = clock::now();
        let public = |role, key: &dyn Sign| KeySpec::new(role, key.public_key(), "");
        let spec = AnchorsSpec {
            fleet: FleetId(*id.as_bytes()),
            version: AnchorsVersion(1),
            time_floor: UnixTime(now - 60),
            keys: vec![
                public(Role::Anchor, &anchor_a),
                public(Role::Anchor, &anchor_b),
                public(Role::Anchor, &anchor_c),
                public(Role::Order, &order_key),
                public(Role::Command, &command),
            ],
            anchor_threshold: 2,
            command_threshold: 1,
            products: vec![ProductSpec {
                vendor: VendorId(*vendor.as_bytes()),
                class: ClassId(*class.as_bytes()),
                vendor_name: "demo.example".into(),
                class_name: "demo board".into(),
                threshold: 2,
                keys: [&first, &second, &spare].map(|key| public(Role::Release, key)).to_vec(),
            }],
            // Nobody connects in this run.
            server_cas: vec![vec![0x30, 3, 2, 1, 0]],
            hub: "https://hub.demo.example".into(),
            spare: None,
            revoked: Vec::new(),
        };
        let anchors = spec.sign(&AwsLc, &[&anchor_a, &anchor_b]).map_err(|error| {
            Failure::failed("the anchors were not signed", error.to_string(), "")
        })?;
        let identity = [vendor, class, Uuid::new_v4()];
        Ok(Fleet { id, identity, anchors, release_keys: [first, second], order_key, now })
    }

    /// A release: `age` seconds older than the newest number.
    pub fn release(&self, images: &Images, number: u32, age: u64) -> Outcome<Release> {
        let [first, second] = &self.release_keys;
        self.signed(images, number, age, &[first, second])
    }

    /// The same, signed by one of the fleet's keys and one of somebody else.
    pub fn forged(&self, images: &Images, number: u32) -> Outcome<Release> {
        let ([first, _], stranger) = (&self.release_keys, key()?);
        self.signed(images, number, 0, &[first, &stranger])
    }

    fn signed(
        &self,
        images: &Images,
        number: u32,
        age: u64,
        signers: &[&SoftSigner],
    ) -> Outcome<Release> {
        let mut nonsecure = images.nonsecure.clone();
        // Behind its end the application finds the number of its release.
        nonsecure.extend_from_slice(&number.to_le_bytes());
        let components = [images.secure.clone(), nonsecure];
        let [vendor, class, _] = self.identity;
        let names: [&[u8]; 2] = [b"secure", b"nonsecure"];
        let new = NewRelease {
            sequence_number: self.now + u64::from(number) - age,
            version: format!("1.{number}"),
            components: names
                .iter()
                .zip(&components)
                .map(|(name, bytes)| NewComponent {
                    id: vec![name.to_vec()],
                    vendor: *vendor.as_bytes(),
                    class: *class.as_bytes(),
                    digest: AwsLc.sha256(&[bytes]),
                    size_bytes: bytes.len() as u64,
                    uri: "coap://images.demo.example/a".into(),
                })
                .collect(),
            ..NewRelease::default()
        };
        let failed = |what: &str, why: String| Failure::failed(what, why, "");
        let mut envelope = new
            .build(&AwsLc)
            .map_err(|error| failed("the release was not made", error.to_string()))?;
        for signer in signers {
            envelope = sign(&AwsLc, *signer, &envelope)
                .map_err(|error| failed("the release was not signed", error.to_string()))?;
        }
        let digest = Envelope::parse(&envelope, &AwsLc)
            .map_err(|reason| Failure::refused(reason, "the release is not a release"))?
            .manifest_digest();
        Ok(Release { envelope, components, digest })
    }

    /// An order to install this release, as the hub gives it for an offline medium.
    pub fn order(&self, release: &Release, number: u64) -> Outcome<Vec<u8>> {
        let [_, _, device] = self.identity;
        let claims = TokenClaims {
            fleet: FleetId(*self.id.as_bytes()),
            device: DeviceId::new(&device.to_string()).map_err(|_| impossible("a UUID"))?,
            issued: UnixTime(self.now),
            expires: UnixTime(self.now + 24 * 3600),
            nonce: None,
            content: Content::Order(Order {
                number: OrderNumber(number),
                task: Task::Install { manifest: release.digest },
                min_anchors: AnchorsVersion(1),
            }),
        };
        claims
            .sign(&AwsLc, &self.order_key)
            .map_err(|error| Failure::failed("the order was not signed", error.to_string(), ""))
    }

    /// The SHA-256 of the anchors, for the fuses.
    pub fn anchors_digest(&self) -> Sha256Digest {
        AwsLc.sha256(&[&self.anchors])
    }
}

impl Release {
    /// A slot as the factory writes it.
    pub fn slot(&self, anchors: &[u8]) -> Vec<u8> {
        let mut slot = Vec::new();
        for word in [SLOT_MAGIC, self.envelope.len() as u32, anchors.len() as u32] {
            slot.extend_from_slice(&word.to_le_bytes());
        }
        slot.extend_from_slice(&self.envelope);
        slot.extend_from_slice(anchors);
        slot.resize(ENVELOPE_MAX, 0xff);
        slot.extend(self.image());
        slot
    }

    /// What the application hands over.
    pub fn package(&self, order: &[u8]) -> Package {
        let mut manifest = (order.len() as u32).to_le_bytes().to_vec();
        manifest.extend_from_slice(order);
        manifest.extend_from_slice(&self.envelope);
        Package { manifest, image: self.image() }
    }

    fn image(&self) -> Vec<u8> {
        let mut image = Vec::new();
        for component in &self.components {
            image.extend_from_slice(component);
            image.resize(image.len().next_multiple_of(8), 0xff);
        }
        image
    }
}

fn key() -> Outcome<SoftSigner> {
    SoftSigner::generate_p256()
        .map_err(|error| Failure::failed("no key was made", error.to_string(), ""))
}

fn impossible(what: &str) -> Failure {
    Failure::failed(format!("{what}: not as expected"), "", "Report this.")
}

const SLOT_MAGIC: u32 = 0x5331_4652;
/// Bytes of a slot for envelope and anchors (docs/boot.md).
pub const ENVELOPE_MAX: usize = 0x3000;
