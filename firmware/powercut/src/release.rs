//! Releases to install, signed by real keys, and the check that boot makes of a slot.

use std::collections::HashMap;

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use p256_verify::PublicKey;
use ringfort_cose::Reason;
use slots::{Candidate, Check, Flash, Layout, Pin, Sha256, SlotId, State};

use crate::flash::{SimFlash, mix};

/// A release as an installer sees it.
#[derive(Clone)]
pub struct Release {
    pub candidate: Candidate,
    /// Offset in the slot and bytes.
    pub pieces: Vec<(u32, Vec<u8>)>,
}

/// Every release and anchors document of one configuration, and the verifier that remembers.
pub struct Shelf {
    image: u32,
    key: SigningKey,
    public: PublicKey,
    anchors: HashMap<u32, Vec<u8>>,
    releases: HashMap<(u8, u32), Release>,
    numbers: HashMap<[u8; 32], u8>,
    verified: HashMap<([u8; 32], [u8; 64]), bool>,
}

const BASE: u64 = 1_800_000_000;

impl Shelf {
    pub const ENVELOPE_MAX: u32 = 512;
    pub const ANCHORS_MAX: u32 = 300;

    pub fn new(image: u32) -> Self {
        let key = SigningKey::from_slice(&[0x11; 32]).expect("a scalar");
        let point = key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let public = PublicKey::from_xy(
            x.try_into().expect("32 bytes"),
            y.try_into().expect("32 bytes"),
        )
        .expect("a point");
        let anchors = (1..=3)
            .map(|version| (version, noise(u64::from(version) << 32, 290)))
            .collect();
        Self {
            image,
            key,
            public,
            anchors,
            releases: HashMap::new(),
            numbers: HashMap::new(),
            verified: HashMap::new(),
        }
    }

    pub fn anchors(&self, version: u32) -> &[u8] {
        &self.anchors[&version]
    }

    pub fn sequence_of(&self, number: u8) -> u64 {
        if number == 0 { 0 } else { BASE + u64::from(number) * 10 }
    }

    pub fn number_of_sequence(sequence: u64) -> u8 {
        (sequence.saturating_sub(BASE) / 10) as u8
    }

    pub fn number_of(&self, digest: &[u8; 32]) -> Option<u8> {
        self.numbers.get(digest).copied()
    }

    /// A release, to be installed under these anchors.
    pub fn release(&mut self, number: u8, anchors_version: u32, layout: &Layout) -> Release {
        if let Some(release) = self.releases.get(&(number, anchors_version)) {
            return release.clone();
        }
        let sequence = self.sequence_of(number);
        let payload = noise(u64::from(number), self.image as usize);
        let mut manifest = Vec::new();
        manifest.extend_from_slice(&sequence.to_le_bytes());
        manifest.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        manifest.extend_from_slice(&Sha256::digest(&payload));
        let digest = Sha256::digest(&manifest);
        let signature: Signature = self.key.sign_prehash(&digest).expect("a signature");
        let mut envelope = signature.to_bytes().to_vec();
        envelope.extend_from_slice(&manifest);
        let anchors = self.anchors(anchors_version);
        let pin = Pin {
            sequence,
            digest,
            anchors_version,
            anchors_digest: Sha256::digest(anchors),
        };
        let len = layout.envelope_max + layout.whole_units(payload.len() as u32);
        let release = Release {
            candidate: Candidate { pin, len },
            pieces: vec![(0, envelope), (layout.envelope_max, payload)],
        };
        self.numbers.insert(digest, number);
        self.releases.insert((number, anchors_version), release.clone());
        release
    }

    pub fn check_slot(
        &mut self,
        flash: &mut SimFlash,
        state: &State,
        id: SlotId,
    ) -> Result<(), Reason> {
        let area = *id.of(&flash.layout.slots);
        let mut envelope = [0; 64 + 44];
        flash.read(area.at, &mut envelope)?;
        let (signature, manifest) = envelope.split_at(64);
        let signature: [u8; 64] = signature.try_into().map_err(|_| Reason::Malformed)?;
        let digest = Sha256::digest(manifest);
        if digest != state.slot(id).pin.digest {
            return Err(Reason::ManifestDigest);
        }
        let public = &self.public;
        let valid = *self
            .verified
            .entry((digest, signature))
            .or_insert_with(|| p256_verify::verify(public, &digest, &signature));
        if !valid {
            return Err(Reason::BadSignature);
        }
        let len = u32::from_le_bytes([manifest[8], manifest[9], manifest[10], manifest[11]]);
        if len != self.image {
            return Err(Reason::ImageSize);
        }
        let mut payload = vec![0; len as usize];
        flash.read(area.at + flash.layout.envelope_max, &mut payload)?;
        if Sha256::digest(&payload) != manifest[12..] {
            return Err(Reason::ImageDigest);
        }
        self.check_anchors(flash, state)
    }

    /// The current anchors have to be whole at every instant.
    fn check_anchors(&self, flash: &mut SimFlash, state: &State) -> Result<(), Reason> {
        let pin = state.anchors;
        let mut bytes = vec![0; pin.len as usize];
        flash.read(pin.area.of(&flash.layout.anchors).at, &mut bytes)?;
        if Sha256::digest(&bytes) == pin.digest { Ok(()) } else { Err(Reason::Malformed) }
    }
}

/// The check as the loader makes it.
pub struct Checker<'s> {
    pub shelf: &'s mut Shelf,
}

impl Check<&mut SimFlash> for Checker<'_> {
    fn check(
        &mut self,
        hardware: &mut &mut SimFlash,
        state: &State,
        id: SlotId,
    ) -> Result<(), Reason> {
        self.shelf.check_slot(hardware, state, id)
    }

    fn is_revoked(&mut self, _: &mut &mut SimFlash, _: &State, _: &[u8; 32]) -> bool {
        false
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    (0..len).map(|index| mix(seed << 24 ^ index as u64) as u8).collect()
}
