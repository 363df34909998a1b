//! The second judgement. It shares no comparison and no branch with the first one: everything
//! that must hold becomes a difference that must be zero, all differences are joined, and what
//! they join to is part of the address that is jumped to.

use core::hint::black_box;

use slots::{SlotId, SlotState, State};

use crate::image::{Identity, Image};
use crate::verifier::{Ecdsa, difference};

/// What the second judgement looks at.
pub struct Facts<'f> {
    /// The state, as it was mounted and changed.
    pub state: &'f State,
    /// 1 if the counter stands above the state's, read by other code than the first time.
    pub outdated: u32,
    /// The slot that is to run.
    pub id: SlotId,
    /// Boots that a trial gets.
    pub budget: u32,
    /// The image as the first judgement left it.
    pub image: &'f Image,
    /// The digests of the parts where they are to run, measured again.
    pub measured: &'f [[u8; 32]; 2],
    /// The digest of the anchors whose keys the first judgement took, measured again.
    pub anchors: &'f [u8; 32],
    /// The verifier of the first judgement.
    pub verifier: &'f Ecdsa,
    /// What the device is.
    pub identity: &'f Identity,
}

/// `base` when everything holds. When anything does not, `base` with another top bit, or up to 240 MiB
/// above it, or both: a board has nothing in these places.
#[inline(never)]
pub fn entry(base: u32, facts: &Facts<'_>) -> u32 {
    let state = facts.state;
    let slot = facts.id.of(&state.slots);
    let mut wrong = 0;

    // The parts are what the manifest states.
    for (measured, stated) in facts.measured.iter().zip(&facts.image.stated) {
        wrong |= difference(measured, stated);
    }
    // The keys are those of the anchors that were recorded.
    wrong |= difference(facts.anchors, &slot.pin.anchors_digest);
    // The manifest is for this class, and has the number that was recorded.
    for (a, b) in facts.image.class.iter().zip(&facts.identity.class) {
        wrong |= u32::from(black_box(a ^ b));
    }
    wrong |= words(black_box(facts.image.sequence ^ slot.pin.sequence));

    // Enough different keys signed this manifest.
    let seen = facts.verifier.seen();
    let mut good = 0;
    for (index, one) in seen.iter().enumerate() {
        let one = one.get();
        let mut bad = one.signature | one.manifest | is_zero(one.key);
        for before in seen.iter().take(index) {
            bad |= is_zero(before.get().key ^ one.key);
        }
        good += is_zero(black_box(bad));
    }
    wrong |= is_below(black_box(good), facts.image.threshold);
    wrong |= is_zero(black_box(facts.image.threshold));

    // The record is not from before the counter.
    wrong |= black_box(facts.outdated);

    // The number is not below the floor; at the floor, it is the manifest of the floor.
    let (number, floor) = (black_box(slot.pin.sequence), state.floor.sequence);
    wrong |= u32::from(number < floor);
    let at_floor = is_zero(words(number ^ floor)).wrapping_neg();
    wrong |= at_floor & difference(&slot.pin.digest, &state.floor.digest);

    // The slot is the confirmed one, or on trial with a boot left that was spent for this.
    let active = u32::from(state.active == Some(facts.id)).wrapping_neg();
    let confirmed = black_box(slot.state as u32) ^ SlotState::Confirmed as u32;
    let trial = black_box(slot.state as u32) ^ SlotState::Trial as u32;
    let spent = is_zero(slot.attempts) | is_below(facts.budget, black_box(slot.attempts));
    wrong |= active & confirmed | !active & (trial | spent);

    // Two ways to say that there is a difference. What it is must not move the address: an attacker may
    // have chosen it.
    let mut any = black_box(wrong);
    for shift in [16, 8, 4] {
        any |= any >> shift;
    }
    base ^ is_zero(is_zero(wrong)) << 31 ^ (any & 15) << 24
}

fn words(number: u64) -> u32 {
    number as u32 | (number >> 32) as u32
}

/// 1 for zero, else 0, without a branch.
fn is_zero(number: u32) -> u32 {
    (!number & number.wrapping_sub(1)) >> 31
}

/// 1 if `a < b`, both below 2^31.
fn is_below(a: u32, b: u32) -> u32 {
    a.wrapping_sub(b) >> 31
}
