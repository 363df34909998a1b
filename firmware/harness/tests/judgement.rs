//! The second judgement: whatever differs, what it gives is an address where the boards have nothing.
#![allow(clippy::unwrap_used)]

mod bench;

use bench::{Hash, bench};
use boot::{Ecdsa, Facts, Identity, Image, entry, examine};
use slots::{AnchorsPin, Pin, SlotId, SlotState, State};

/// What a sound boot shows to the second judgement.
struct Sound {
    state: State,
    image: Image,
    verifier: Ecdsa,
    identity: Identity,
    measured: [[u8; 32]; 2],
    anchors: [u8; 32],
    outdated: u32,
}

fn sound() -> Sound {
    let (_, mut flash, pin, identity, _) = bench();
    let verifier = Ecdsa::new(pin.digest);
    let mut scratch = vec![0; bench::ENVELOPE_MAX as usize];
    let image =
        examine(&mut flash, bench::SLOT, &pin, &identity, &verifier, &mut Hash, &mut scratch);
    let anchors = AnchorsPin { version: 1, digest: pin.anchors_digest, len: 1, area: SlotId::A };
    let mut state = State::new(1, anchors);
    state.slots[0].pin = pin;
    state.slots[0].state = SlotState::Trial;
    state.slots[0].attempts = 1;
    let (image, anchors) = (image.unwrap(), pin.anchors_digest);
    Sound { state, image, verifier, identity, measured: image.stated, anchors, outdated: 0 }
}

impl Sound {
    fn entry(&self) -> u32 {
        let facts = Facts {
            state: &self.state,
            outdated: self.outdated,
            id: SlotId::A,
            budget: 3,
            image: &self.image,
            measured: &self.measured,
            anchors: &self.anchors,
            verifier: &self.verifier,
            identity: &self.identity,
        };
        entry(BASE, &facts)
    }

    fn pin(&mut self) -> &mut Pin {
        &mut self.state.slots[0].pin
    }
}

#[test]
fn a_sound_boot_runs() {
    assert_eq!(sound().entry(), BASE);
}

#[test]
fn numbers_that_differ_lead_nowhere() {
    let mut sound = sound();
    let right = sound.pin().sequence;
    let bits = (0..64).flat_map(|a| (0..64).map(move |b| 1u64 << a | 1u64 << b));
    // And what would make an address of the flash, or of the image, out of the difference.
    let aimed = (0..0x100).flat_map(|n| [0x0400_8000 | n << 12, 0x2000_0000 | n, 0x2400_0000 | n]);
    for difference in bits.chain(aimed) {
        sound.pin().sequence = right ^ difference;
        leads_nowhere(&sound, &format!("numbers that differ by {difference:#x}"));
    }
}

#[test]
fn another_state_leads_nowhere() {
    let mut sound = sound();
    for state in [
        SlotState::Empty,
        SlotState::Writing,
        SlotState::Written,
        SlotState::Confirmed,
        SlotState::Reverted,
    ] {
        sound.state.slots[0].state = state;
        leads_nowhere(&sound, &format!("{state:?}"));
    }
}

#[test]
fn another_class_payload_anchors_floor_or_budget_leads_nowhere() {
    let wrong = |what: &str, change: fn(&mut Sound)| {
        let mut sound = sound();
        change(&mut sound);
        leads_nowhere(&sound, what);
    };
    wrong("class", |sound| sound.identity.class[3] ^= 0x20);
    wrong("payload", |sound| sound.measured[1][31] ^= 1);
    wrong("anchors", |sound| sound.anchors[7] ^= 0x80);
    wrong("threshold", |sound| sound.image.threshold += 1);
    wrong("floor", |sound| sound.state.floor.sequence = sound.image.sequence + 1);
    wrong("attempts", |sound| sound.state.slots[0].attempts = 4);
    wrong("unspent", |sound| sound.state.slots[0].attempts = 0);
    wrong("outdated", |sound| sound.outdated = 1);
}

fn leads_nowhere(sound: &Sound, what: &str) {
    let address = sound.entry();
    assert!(is_nowhere(address), "{what}: {address:#010x}");
}

/// Neither the boards' memory nor their registers, nor the processor's own.
fn is_nowhere(address: u32) -> bool {
    ![
        (0x0000_0000, 0x00ff_ffff),
        (0x1000_0000, 0x10ff_ffff),
        (0x2000_0000, 0x8fff_ffff),
        (0xa000_0000, 0xffff_ffff),
    ]
    .iter()
    .any(|(from, to)| (*from..=*to).contains(&address))
}

const BASE: u32 = mps2::map::SECURE.at;
