//! Whatever the record log holds, mounting it ends; a state that is read survives being written
//! again, and deciding what boots never lowers the floor or boots a trial past its budget.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfort_cose::Reason;
use ringfort_fuzz::flash::{LAYOUT, Ram};
use slots::{Check, Choice, SlotId, SlotState, State, Store, choose};

/// Finds each slot good or bad, and revoked or not, as four bits say.
struct Bits(u8);

impl Check<Ram> for Bits {
    fn check(&mut self, _: &mut Ram, _: &State, id: SlotId) -> Result<(), Reason> {
        if self.0 & 1 << id as u8 == 0 { Ok(()) } else { Err(Reason::ImageDigest) }
    }

    fn is_revoked(&mut self, _: &mut Ram, state: &State, digest: &[u8; 32]) -> bool {
        let of_b = *digest == state.slot(SlotId::B).pin.digest;
        self.0 & 4 << u8::from(of_b) != 0
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(([bits, counter], log)) = data.split_first_chunk().map(|(head, log)| (*head, log))
    else {
        return;
    };
    let mut flash = Ram::holding(0, &log[..log.len().min(0x2000)]);
    flash.counter = u32::from(counter);
    let Ok(mut store) = Store::mount(flash) else { return };
    let before = *store.state();
    assert!(before.counter >= u32::from(counter), "a record from before the counter");

    let choice = choose(&mut store, &mut Bits(bits));
    let after = *store.state();
    assert!(after.floor == before.floor && after.active == before.active);
    assert!(after.anchors == before.anchors && after.counter == before.counter);
    match choice {
        Ok(Choice::Run { id, trial: true, .. }) => {
            let slot = after.slot(id);
            assert!(slot.state == SlotState::Trial && after.active != Some(id));
            assert!(slot.attempts >= 1 && slot.attempts <= LAYOUT.budget);
            assert!(bits & 1 << id as u8 == 0, "a slot that was found bad");
        }
        Ok(Choice::Run { id, trial: false, .. }) => {
            assert!(after.active == Some(id) && bits & 1 << id as u8 == 0);
        }
        Ok(Choice::Recover(_)) | Err(_) => {}
    }
    // Mounted again, it is the same: what was appended is settled.
    let again = Store::mount(store.into_hardware()).expect("a record was there");
    assert_eq!(*again.state(), after);
});
