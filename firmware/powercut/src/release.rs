//! Releases to install, signed by real keys, and the check that boot makes of a slot: the boot
//! loader's own, over a verifier that remembers.

use std::cell::RefCell;
use std::collections::HashMap;

use boot::{Ecdsa, Identity, Memory, Part, examine};
use harness::release::{Fleet, Images};
use ringfort_cose::{Algorithm, PublicKey, Reason, Sha256Digest, Verify};
use slots::{Candidate, Check, Flash, Layout, Pin, Sha256, SlotId, State};

use crate::flash::{SimFlash, mix};

/// A release as an installer sees it.
#[derive(Clone)]
pub struct Release {
    pub candidate: Candidate,
    /// Offset in the slot and bytes.
    pub pieces: Vec<(u32, Vec<u8>)>,
}

/// Every release and anchors document of one configuration.
pub struct Shelf {
    fleet: Fleet,
    releases: HashMap<(u8, u32), Release>,
    numbers: HashMap<[u8; 32], u8>,
    verifier: Remembering,
    scratch: Vec<u8>,
}

impl Shelf {
    /// Room for an envelope with two signatures and its anchors.
    pub const ENVELOPE_MAX: u32 = 2560;
    pub const ANCHORS_MAX: u32 = 2048;

    pub fn new(image: u32) -> Self {
        let half = image as usize / 2;
        let images =
            Images { secure: noise(1, half.max(0x44)), nonsecure: noise(2, image as usize - half) };
        Self {
            fleet: Fleet::new(&images, 2, 0),
            releases: HashMap::new(),
            numbers: HashMap::new(),
            verifier: Remembering::default(),
            scratch: vec![0; Self::ENVELOPE_MAX as usize],
        }
    }

    pub fn anchors(&self, version: u32) -> &[u8] {
        self.fleet.anchors(version as usize)
    }

    pub fn sequence_of(&self, number: u8) -> u64 {
        if number == 0 { 0 } else { Fleet::sequence(number) }
    }

    pub fn number_of_sequence(sequence: u64) -> u8 {
        (sequence.saturating_sub(Fleet::sequence(0)) / 100) as u8
    }

    pub fn number_of(&self, digest: &[u8; 32]) -> Option<u8> {
        self.numbers.get(digest).copied()
    }

    /// A release, to be installed under these anchors.
    pub fn release(&mut self, number: u8, anchors_version: u32, layout: &Layout) -> Release {
        if let Some(release) = self.releases.get(&(number, anchors_version)) {
            return release.clone();
        }
        let version = anchors_version as usize;
        let made = self.fleet.good_under(number, version);
        let (start, unit) = (layout.envelope_max as usize, layout.unit as usize);
        let slot = self.fleet.slot_of(&made, version, start, unit);
        let digest = made.digest().0;
        let pin = Pin {
            sequence: self.sequence_of(number),
            digest,
            anchors_version,
            anchors_digest: Sha256::digest(self.anchors(anchors_version)),
        };
        let used = 12 + made.envelope.len() + self.anchors(anchors_version).len();
        let (head, payload) = slot.split_at(start);
        let release = Release {
            candidate: Candidate { pin, len: slot.len() as u32 },
            pieces: vec![(0, head[..used].to_vec()), (layout.envelope_max, payload.to_vec())],
        };
        self.numbers.insert(digest, number);
        self.releases.insert((number, anchors_version), release.clone());
        release
    }

    /// The boot loader's check of a slot, and that the current anchors are whole.
    pub fn check_slot(
        &mut self,
        flash: &mut SimFlash,
        state: &State,
        id: SlotId,
    ) -> Result<(), Reason> {
        let area = *id.of(&flash.layout.slots);
        let identity =
            Identity { vendor: self.fleet.vendor, class: self.fleet.class, device: [0; 16] };
        let pin = state.slot(id).pin;
        examine(flash, area, &pin, &identity, &self.verifier, &mut Ram, &mut self.scratch)?;
        self.check_anchors(flash, state)
    }

    fn check_anchors(&self, flash: &mut SimFlash, state: &State) -> Result<(), Reason> {
        let pin = state.anchors;
        let mut bytes = vec![0; pin.len as usize];
        flash.read(pin.area.of(&flash.layout.anchors).at, &mut bytes)?;
        if Sha256::digest(&bytes) == pin.digest { Ok(()) } else { Err(Reason::AnchorsDigest) }
    }
}

/// Memory that a component is copied to, hashed there.
struct Ram;

impl Memory<SimFlash> for Ram {
    fn load(
        &mut self,
        flash: &mut SimFlash,
        _: Part,
        at: u32,
        size: u32,
    ) -> Result<[u8; 32], Reason> {
        let mut bytes = vec![0; size as usize];
        flash.read(at, &mut bytes)?;
        Ok(Sha256::digest(&bytes))
    }
}

/// Key, digest of the message, signature.
type Question = ([u8; 65], [u8; 32], [u8; 64]);

/// The boot loader's verifier, which verifies each signature once.
#[derive(Default)]
struct Remembering {
    verdicts: RefCell<HashMap<Question, Result<(), Reason>>>,
}

impl Verify for Remembering {
    fn sha256(&self, parts: &[&[u8]]) -> Sha256Digest {
        Ecdsa::new([0; 32]).sha256(parts)
    }

    fn verify(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), Reason> {
        let real = || Ecdsa::new([0; 32]).verify(algorithm, key, message, signature);
        let (PublicKey::P256(point), Ok(bytes)) = (key, signature.try_into()) else {
            return real();
        };
        let question = (*point, self.sha256(message).0, bytes);
        *self.verdicts.borrow_mut().entry(question).or_insert_with(real)
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
