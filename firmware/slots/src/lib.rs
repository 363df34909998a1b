//! The slots of a device, the record that rules them, and nothing else: what may be written,
//! tried, confirmed and reverted, over any NOR flash, whatever instant the power goes.
//!
//! Principles:
//! 1. All durable state is one [`State`]. It changes by appending a whole new one; a record that
//!    is torn, forged or from before the counter reads as not written.
//! 2. A record is acted upon only after it is *settled*: a mark behind it proves that its last bit
//!    was written under power. A record found without the mark is copied first, and the last
//!    settled one outlives the copying, or where the counter has moved past it, the record itself. A
//!    mark is read many times: one that was cut must not be believed now and missed at a later start.
//! 3. The first record after a reset goes into the other, freshly erased sector: no unit is ever
//!    programmed on the strength of having read as erased.
//! 4. A slot loses its record before it loses its first byte, and gets one after its last.
//! 5. An attempt is spent before the image that it is spent on runs. No power cut leaves a mark whose
//!    record cannot be read: where one stands above the record that was read, every attempt is spent.
//! 6. Floor and active slot move in one record, which names the next counter value; the counter
//!    follows, and a move that was cut is finished at the next start. So it is with new anchors.
//!
//! The same code runs in the boot loader, in the update partition and in the simulator.

#![no_std]
#![forbid(unsafe_code)]

mod boot;
mod flash;
mod planted;
mod record;
mod sha256;
mod state;
mod store;

pub use boot::{Check, Choice, choose};
pub use flash::{Area, Flash, FlashError, Hardware, Layout};
#[cfg(feature = "planted")]
pub use planted::plant;
pub use planted::{Bug, is as planted};
pub use record::{RECORD_BYTES, TAG_BYTES};
pub use sha256::{Sha256, hmac, is_same};
pub use state::{AnchorsPin, Candidate, Floor, MAX_JUMP, Pin, Slot, SlotId, SlotState, State};
pub use store::{Store, wipe};
