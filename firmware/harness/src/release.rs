//! A fleet's anchors and releases, good ones and bad ones.

use boot::{Ecdsa, SLOT_MAGIC, SlotHeader};
use ringfort_cose::{Sha256Digest, Sign};
use ringfort_suit::{Envelope, NewComponent, NewRelease, sign};
use ringfort_trust::ids::{AnchorsVersion, ClassId, FleetId, UnixTime, VendorId};
use ringfort_trust::{AnchorsSpec, KeySpec, ProductSpec, Role};
use slots::Sha256;

use crate::sign::Signer;

/// Slot A of the board.
pub const SLOT_A: u32 = 0x8010_0000;
/// Slot B of the board.
pub const SLOT_B: u32 = 0x8040_0000;
/// Bytes at the start of a slot of the board for envelope and anchors.
pub const ENVELOPE_MAX: usize = 0x3000;
/// Offset of the release number in a secure component whose vector table ends there. One with a
/// vector for interrupt 0 has no room: its release number stands behind the non-secure component.
const RELEASE_AT: usize = 0x40;
const BASE: u64 = 1_800_000_000;

/// The components that releases are made of.
#[derive(Clone)]
pub struct Images {
    /// The secure component; its release number is written into it where it has room.
    pub secure: Vec<u8>,
    /// The non-secure component; it is padded to the fleet's size.
    pub nonsecure: Vec<u8>,
}

/// A fleet with its keys: 1 to 3 anchors, 11 to 13 releases, 21 order.
pub struct Fleet {
    /// Fleet id.
    pub id: [u8; 16],
    /// SUIT vendor id.
    pub vendor: [u8; 16],
    /// SUIT class id.
    pub class: [u8; 16],
    anchors: Vec<Vec<u8>>,
    /// Release keys that have to sign.
    pub threshold: u8,
    images: Images,
    size: usize,
}

/// A release: envelope and components.
#[derive(Clone)]
pub struct Release {
    /// The signed envelope.
    pub envelope: Vec<u8>,
    /// Secure and non-secure component.
    pub components: [Vec<u8>; 2],
}

/// A release to be made, right or wrong.
#[derive(Clone, Default)]
pub struct Made {
    /// Its number, which makes sequence number and components.
    pub number: u8,
    /// Another sequence number.
    pub sequence: Option<u64>,
    /// Another class.
    pub class: Option<[u8; 16]>,
    /// Another vendor.
    pub vendor: Option<[u8; 16]>,
    /// Other signers than 11 and 12.
    pub signers: Option<Vec<u8>>,
    /// Leave the non-secure component out.
    pub partial: bool,
    /// Another size stated for the secure component.
    pub stated_size: Option<u64>,
    /// Zeros behind the secure component, up to this size.
    pub grown: Option<usize>,
    /// Bind the manifest to this device.
    pub device: Option<[u8; 16]>,
    /// This command of one byte instead of the first component's condition-class-identifier.
    pub command: Option<u8>,
}

/// The boot loader's verifier.
pub fn verifier() -> Ecdsa {
    Ecdsa::new([0; 32])
}

impl Fleet {
    /// A fleet with threshold `k` of three release keys, and images of `size` bytes in all.
    pub fn new(images: &Images, k: u8, size: usize) -> Fleet {
        let mut fleet = Fleet {
            id: [0xf1; 16],
            vendor: [0xa1; 16],
            class: [0xc1; 16],
            anchors: Vec::new(),
            threshold: k,
            images: images.clone(),
            size,
        };
        // Version 1, version 2 with other release keys, then two that revoke releases 1 and 2.
        let [one, two] =
            [1, 2].map(|number| fleet.release(&Made { number, ..Made::default() }).digest());
        fleet.anchors = vec![
            fleet.document(1, &[11, 12, 13], &[]),
            fleet.document(2, &[14, 15, 16], &[]),
            fleet.document(3, &[14, 15, 16], &[one]),
            fleet.document(4, &[14, 15, 16], &[one, two]),
        ];
        fleet
    }

    fn document(&self, version: u64, release_keys: &[u8], revoked: &[Sha256Digest]) -> Vec<u8> {
        let key = |role, number: u8| KeySpec::new(role, Signer::new(number).public_key(), "");
        let spec = AnchorsSpec {
            fleet: FleetId(self.id),
            version: AnchorsVersion(version),
            time_floor: UnixTime(BASE),
            keys: (1..=3)
                .map(|n| key(Role::Anchor, n))
                .chain([key(Role::Order, 21), key(Role::Command, 22)])
                .collect(),
            anchor_threshold: 2,
            command_threshold: 1,
            products: vec![ProductSpec {
                vendor: VendorId(self.vendor),
                class: ClassId(self.class),
                vendor_name: "vendor.example".into(),
                class_name: "thermostat".into(),
                threshold: self.threshold,
                keys: release_keys.iter().map(|n| key(Role::Release, *n)).collect(),
            }],
            server_cas: vec![vec![0x30, 3, 2, 1, 0]],
            hub: "https://hub.example".into(),
            spare: Some("https://spare.example".into()),
            revoked: revoked.to_vec(),
        };
        let (one, two) = (Signer::new(1), Signer::new(2));
        spec.sign(&verifier(), &[&one, &two]).expect("an anchors document")
    }

    /// The anchors document of this version, 1 to 4.
    pub fn anchors(&self, version: usize) -> &[u8] {
        &self.anchors[version - 1]
    }

    /// The sequence number of release `number`.
    pub fn sequence(number: u8) -> u64 {
        BASE + u64::from(number) * 100
    }

    /// The components of release `number`, padded to the fleet's size.
    fn components(&self, number: u8) -> [Vec<u8>; 2] {
        let mut secure = self.images.secure.clone();
        let mut nonsecure = self.images.nonsecure.clone();
        let word = u32::from(number).to_le_bytes();
        match secure.get_mut(RELEASE_AT..RELEASE_AT + 4) {
            Some(place) if *place == [0; 4] => place.copy_from_slice(&word),
            _ => nonsecure.extend_from_slice(&word),
        }
        let fill = self.size.saturating_sub(secure.len() + nonsecure.len());
        nonsecure.extend((0..fill).map(|index| (index as u8).wrapping_mul(31) ^ number));
        [secure, nonsecure]
    }

    /// Makes a release.
    pub fn release(&self, made: &Made) -> Release {
        let mut components = self.components(made.number);
        if let Some(size) = made.grown {
            components[0].resize(size, 0);
        }
        let names: [&[u8]; 2] = [b"secure", b"nonsecure"];
        let take = if made.partial { 1 } else { 2 };
        let new = NewRelease {
            sequence_number: made.sequence.unwrap_or(Self::sequence(made.number)),
            version: format!("1.{}", made.number),
            components: names
                .iter()
                .zip(&components)
                .take(take)
                .map(|(name, bytes)| NewComponent {
                    id: vec![name.to_vec()],
                    vendor: made.vendor.unwrap_or(self.vendor),
                    class: made.class.unwrap_or(self.class),
                    digest: Sha256Digest(Sha256::digest(bytes)),
                    size_bytes: match made.stated_size {
                        Some(size) if *name == b"secure" => size,
                        _ => bytes.len() as u64,
                    },
                    uri: "coap://images.example/a".into(),
                })
                .collect(),
            ..NewRelease::default()
        };
        let mut envelope = new.build(&verifier()).expect("an envelope");
        if let Some(device) = &made.device {
            bind(&mut envelope, device);
            let read = Envelope::parse(&envelope, &verifier()).expect("an envelope");
            let read = ringfort_suit::Release::of(&read).expect("a release");
            assert!(read.components().iter().any(|component| component.device == Some(*device)));
        }
        if let Some(command) = made.command {
            let at = find(&envelope, &[0x01, 0x0f, 0x02, 0x0f]) + 2;
            envelope[at] = command;
            seal(&mut envelope);
        }
        let signers = made.signers.clone().unwrap_or_else(|| vec![11, 12]);
        for number in &signers {
            envelope = sign(&verifier(), &Signer::new(*number), &envelope).expect("a signature");
        }
        Release { envelope, components }
    }

    /// A good release, signed by as many as it takes under anchors version 1.
    pub fn good(&self, number: u8) -> Release {
        self.good_under(number, 1)
    }

    /// A good release, signed by as many as it takes under these anchors.
    pub fn good_under(&self, number: u8, version: usize) -> Release {
        let first = if version == 1 { 11 } else { 14 };
        let signers = (first..first + self.threshold).collect();
        self.release(&Made { number, signers: Some(signers), ..Made::default() })
    }

    /// A slot as an installer writes it, under anchors `version`, on the board.
    pub fn slot(&self, release: &Release, version: usize) -> Vec<u8> {
        self.slot_of(release, version, ENVELOPE_MAX, 8)
    }

    /// A slot with `envelope_max` bytes for envelope and anchors, in write units of `unit`.
    pub fn slot_of(
        &self,
        release: &Release,
        version: usize,
        envelope_max: usize,
        unit: usize,
    ) -> Vec<u8> {
        let anchors = self.anchors(version);
        let header =
            SlotHeader { envelope: release.envelope.len() as u32, anchors: anchors.len() as u32 };
        let mut slot = header.to_bytes().to_vec();
        slot.extend_from_slice(&release.envelope);
        slot.extend_from_slice(anchors);
        slot.resize(envelope_max, 0xff);
        for component in &release.components {
            slot.extend_from_slice(component);
            slot.resize(slot.len().next_multiple_of(unit), 0xff);
        }
        slot
    }
}

impl Release {
    /// The manifest's digest.
    pub fn digest(&self) -> Sha256Digest {
        Envelope::parse(&self.envelope, &verifier()).expect("an envelope").manifest_digest()
    }

    /// The sequence number.
    pub fn sequence(&self) -> u64 {
        let envelope = Envelope::parse(&self.envelope, &verifier()).expect("an envelope");
        envelope.manifest().sequence_number
    }

    /// As recovery and the update partition take it.
    pub fn stream(&self) -> Vec<u8> {
        let mut bytes = SLOT_MAGIC.to_le_bytes().to_vec();
        bytes.extend_from_slice(&(self.envelope.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.envelope);
        for component in &self.components {
            bytes.extend_from_slice(component);
        }
        bytes
    }

    /// Flips a bit of the last signature.
    pub fn with_bad_signature(mut self) -> Release {
        // The blocks stand before the manifest: the last 64-byte string of them is a signature.
        let at = self
            .envelope
            .windows(2)
            .take(2048)
            .rposition(|pair| pair == [0x58, 0x40])
            .expect("a signature");
        self.envelope[at + 2 + 40] ^= 1;
        self
    }

    /// Flips a bit of a component.
    pub fn with_flipped_payload(mut self, component: usize, at: usize) -> Release {
        self.components[component][at] ^= 4;
        self
    }
}

/// Binds the manifest of an envelope that nobody has signed to a device: parameter and condition
/// device-identifier (24) for the first component.
fn bind(envelope: &mut Vec<u8>, device: &[u8; 16]) {
    // set-component-index 0, override-parameters: a map of four that begins with the vendor.
    let start = find(envelope, &[0x0c, 0x00, 0x14, 0xa4, 0x01, 0x50]);
    let end = start + find(&envelope[start..], &[0x01, 0x0f, 0x02, 0x0f]);
    // The heads of manifest, common and shared sequence, from the outside in.
    let manifest = 4 + 2 + usize::from(envelope[5]) + 1;
    let head = |at: usize| match envelope[at] {
        0x58 => Some((2, usize::from(envelope[at + 1]))),
        0x59 => Some((3, usize::from(envelope[at + 1]) << 8 | usize::from(envelope[at + 2]))),
        _ => None,
    };
    let holds = |at: &usize| {
        head(*at).is_some_and(|(head, len)| {
            (end + 4..=envelope.len()).contains(&(at + head + len)) && at + head <= start
        })
    };
    let heads: Vec<(usize, usize, usize)> = (manifest..start)
        .filter(holds)
        .filter_map(|at| head(at).map(|(head, len)| (at, head, len)))
        .collect();
    assert_eq!((heads.len(), heads[0].0), (3, manifest), "three nested strings");
    envelope[start + 3] = 0xa5;
    envelope[start - 1] += 2;
    let mut added = vec![0x18, 0x18, 0x50];
    added.extend_from_slice(device);
    added.extend_from_slice(&[0x18, 0x18, 0x0f]);
    let mut more = added.len();
    envelope.splice(end..end, added);
    for (at, head, len) in heads.into_iter().rev() {
        let new = len + more;
        let bytes = match u8::try_from(new) {
            Ok(short) => vec![0x58, short],
            Err(_) => vec![0x59, (new >> 8) as u8, new as u8],
        };
        more += bytes.len() - head;
        envelope.splice(at..at + head, bytes);
    }
    seal(envelope);
}

/// Makes the digest of an envelope that nobody has signed that of its manifest again.
fn seal(envelope: &mut [u8]) {
    // Tag and map, then key 2 and the wrapper, then key 3 and the manifest.
    let manifest = 4 + 2 + usize::from(envelope[5]) + 1;
    assert_eq!(envelope[manifest], 0x59, "a manifest of more than 255 bytes");
    let long = usize::from(envelope[manifest + 1]) << 8 | usize::from(envelope[manifest + 2]);
    let digest = Sha256::digest(&envelope[manifest..manifest + 3 + long]);
    let at = find(envelope, &[0x82, 0x2f, 0x58, 0x20]) + 4;
    envelope[at..at + 32].copy_from_slice(&digest);
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).expect("the bytes looked for")
}
