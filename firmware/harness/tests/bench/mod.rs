//! A device in memory: a good slot, and what its record says of it.
#![allow(dead_code)]

use boot::{Identity, Memory, Part};
use harness::release::{Fleet, Images};
use ringfort_cose::Reason;
use slots::{Area, Flash, FlashError, Hardware, Layout, Pin, Sha256, TAG_BYTES, hmac};

pub const ENVELOPE_MAX: u32 = 0x1000;
pub const SLOT: Area = Area { at: 0x8000, len: 0x4000 };

#[derive(Clone)]
pub struct Ram(pub Vec<u8>);

impl Flash for Ram {
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        let at = at as usize;
        into.copy_from_slice(self.0.get(at..at + into.len()).ok_or(FlashError)?);
        Ok(())
    }

    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let at = at as usize;
        self.0.get_mut(at..at + bytes.len()).ok_or(FlashError)?.copy_from_slice(bytes);
        Ok(())
    }

    fn erase(&mut self, at: u32) -> Result<(), FlashError> {
        self.program(at, &[0xff; 0x1000])
    }
}

pub static LAYOUT: Layout = Layout {
    sector: 0x1000,
    unit: 8,
    metadata: [0, 0x1000],
    anchors: [Area { at: 0x2000, len: 0x2000 }, Area { at: 0x4000, len: 0x2000 }],
    slots: [SLOT, Area { at: 0xc000, len: 0x4000 }],
    envelope_max: ENVELOPE_MAX,
    budget: 3,
    counter_max: 4,
};

impl Hardware for Ram {
    fn layout(&self) -> &Layout {
        &LAYOUT
    }

    fn counter(&mut self) -> u32 {
        0
    }

    fn advance(&mut self, _: u32) -> Result<(), FlashError> {
        Ok(())
    }

    fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        hmac(&[7; 32], &[bytes])[..TAG_BYTES].try_into().unwrap()
    }
}

pub struct Hash;

impl Memory<Ram> for Hash {
    fn load(&mut self, flash: &mut Ram, _: Part, at: u32, size: u32) -> Result<[u8; 32], Reason> {
        let mut bytes = vec![0; size as usize];
        flash.read(at, &mut bytes)?;
        Ok(Sha256::digest(&bytes))
    }
}

pub fn bench() -> (Fleet, Ram, Pin, Identity, usize) {
    let images = Images { secure: vec![1; 0x50], nonsecure: vec![2; 100] };
    let fleet = Fleet::new(&images, 2, 0);
    let release = fleet.good(1);
    let slot = fleet.slot_of(&release, 1, ENVELOPE_MAX as usize, 8);
    let mut flash = Ram(vec![0xff; 0x10000]);
    flash.program(SLOT.at, &slot).unwrap();
    let pin = Pin {
        sequence: release.sequence(),
        digest: release.digest().0,
        anchors_version: 1,
        anchors_digest: Sha256::digest(fleet.anchors(1)),
    };
    let identity = Identity { vendor: fleet.vendor, class: fleet.class, device: [0; 16] };
    let used = 12 + release.envelope.len() + fleet.anchors(1).len();
    (fleet, flash, pin, identity, used)
}
