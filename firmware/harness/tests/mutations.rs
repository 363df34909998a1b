//! Every damaged slot is refused and nothing panics: bit flips, cuts, swaps and random bytes over
//! envelope, anchors and header of a slot, and over the record log.
#![allow(clippy::unwrap_used)]

mod bench;

use bench::{ENVELOPE_MAX, Hash, LAYOUT, Ram, SLOT, bench};
use boot::{Ecdsa, Identity, Memory, Part, examine};
use ringfort_cose::{Algorithm, PublicKey, Reason, Sha256Digest, Verify};
use slots::{Candidate, Flash, FlashError, Hardware, Layout, Pin, Store, TAG_BYTES};

/// Says yes to every signature: what is left are the readers.
struct Yes;

impl Verify for Yes {
    fn sha256(&self, parts: &[&[u8]]) -> Sha256Digest {
        Ecdsa::new([0; 32]).sha256(parts)
    }

    fn verify(&self, _: Algorithm, _: &PublicKey, _: &[&[u8]], _: &[u8]) -> Result<(), Reason> {
        Ok(())
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn judge(
    flash: &mut Ram,
    pin: &Pin,
    identity: &Identity,
    verifier: &impl Verify,
) -> Result<(), Reason> {
    let mut scratch = vec![0; ENVELOPE_MAX as usize];
    examine(flash, SLOT, pin, identity, verifier, &mut Hash, &mut scratch).map(drop)
}

fn mutate(bytes: &mut [u8], dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(5) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.below(256) as u8,
            2 => {
                let end = (at + dice.below(16)).min(bytes.len());
                bytes[at..end].fill(dice.below(256) as u8);
            }
            3 => {
                let other = dice.below(bytes.len());
                bytes.swap(at, other);
            }
            _ => bytes[at..].rotate_left(1),
        }
    }
}

#[test]
fn a_good_slot_is_taken() {
    let (_, mut flash, pin, identity, _) = bench();
    assert_eq!(judge(&mut flash, &pin, &identity, &Ecdsa::new(pin.digest)), Ok(()));
}

#[test]
fn a_damaged_slot_is_refused_and_nothing_panics() {
    let (_, good, pin, identity, used) = bench();
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let range = SLOT.at as usize..SLOT.at as usize + used;
    let (mut refused, mut same) = (0, 0);
    for _ in 0..200_000 {
        let mut flash = good.clone();
        mutate(&mut flash.0[range.clone()], &mut dice);
        let verdict = judge(&mut flash, &pin, &identity, &Yes);
        // With every signature accepted, signatures and the severed text are all that may differ.
        match verdict {
            Ok(()) => same += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 100_000, "{refused} refused, {same} taken with signatures not looked at");
}

#[test]
fn a_slot_with_any_bit_of_header_manifest_or_anchors_flipped_is_refused() {
    let (fleet, good, pin, identity, used) = bench();
    let verifier = Ecdsa::new(pin.digest);
    let text = fleet.good(1).envelope.len();
    // The text at the end of the envelope is not the loader's to read; the digest covers it.
    let manifest_end = 12 + text - 64;
    let anchors = 12 + text;
    for at in (0..manifest_end).chain(anchors..used) {
        let mut flash = good.clone();
        flash.0[SLOT.at as usize + at] ^= 1 << (at % 8);
        let verdict = judge(&mut flash, &pin, &identity, &verifier);
        assert!(verdict.is_err(), "a flipped bit at {at}");
    }
}

#[test]
fn a_damaged_record_log_gives_a_state_that_was_or_none() {
    let (fleet, flash, ..) = bench();
    let store = Store::provision(flash, fleet.anchors(1), 1).unwrap();
    let state = *store.state();
    let good = store.into_hardware();
    let mut dice = Dice(0xfeed_f00d_dead_beef);
    for _ in 0..100_000 {
        let mut flash = good.clone();
        mutate(&mut flash.0[..0x400], &mut dice);
        match Store::mount(flash) {
            Ok(store) => assert_eq!(*store.state(), state),
            Err(reason) => assert_eq!(reason, Reason::NotFound),
        }
    }
}

/// Flash that counts how often each byte of it was read.
struct Counting(Ram, Vec<u8>);

impl Flash for Counting {
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        self.1[at as usize..at as usize + into.len()].iter_mut().for_each(|count| *count += 1);
        self.0.read(at, into)
    }

    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.program(at, bytes)
    }

    fn erase(&mut self, at: u32) -> Result<(), FlashError> {
        self.0.erase(at)
    }
}

impl Hardware for Counting {
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
        self.0.tag(bytes)
    }
}

impl Memory<Counting> for Hash {
    fn load(
        &mut self,
        flash: &mut Counting,
        part: Part,
        at: u32,
        size: u32,
    ) -> Result<[u8; 32], Reason> {
        flash.1[at as usize..][..size as usize].iter_mut().for_each(|count| *count += 1);
        Memory::<Ram>::load(self, &mut flash.0, part, at, size)
    }
}

/// Hostile flash gives one answer to the check and another to the use: there is one reading.
#[test]
fn nothing_in_a_slot_is_read_twice() {
    let (_, flash, pin, identity, used) = bench();
    let len = flash.0.len();
    let mut flash = Counting(flash, vec![0; len]);
    let verifier = Ecdsa::new(pin.digest);
    let mut scratch = [0; ENVELOPE_MAX as usize];
    examine(&mut flash, SLOT, &pin, &identity, &verifier, &mut Hash, &mut scratch).unwrap();
    assert!(flash.1.iter().all(|count| *count <= 1));
    let slot = &flash.1[SLOT.at as usize..];
    assert!(slot[..used].iter().all(|count| *count == 1), "all of it was looked at");
}

/// A counter that has no step left refuses a confirmation before anything is written: the device goes on
/// with what it has.
#[test]
fn a_spent_counter_refuses_a_confirmation_and_nothing_else() {
    let (fleet, flash, pin, ..) = bench();
    let mut store = Store::provision(flash, fleet.anchors(1), 1).unwrap();
    let candidate = Candidate { pin, len: 0 };
    for counter in 2..=LAYOUT.counter_max {
        let id = store.adopt(&candidate, |_, _| Ok(())).unwrap();
        store.arm(id).unwrap();
        assert_eq!(store.confirm(id), Ok(()));
        assert_eq!(store.state().counter, counter);
    }
    let id = store.adopt(&candidate, |_, _| Ok(())).unwrap();
    store.arm(id).unwrap();
    let before = *store.state();
    assert_eq!(store.confirm(id), Err(Reason::StorageFailed));
    assert_eq!(store.turn_anchors(fleet.anchors(2), 2), Err(Reason::StorageFailed));
    let store = Store::mount(store.into_hardware()).unwrap();
    assert_eq!(*store.state(), before);
}
