//! What boots: the decision, over the record and a check of the slot's content.

use ringfort_cose::Reason;

use crate::flash::Hardware;
use crate::state::{Plan, SlotId, SlotState, State};
use crate::store::Store;

/// The check of what a slot holds: signatures, class, digests.
pub trait Check<H> {
    /// Whether the slot holds what its record says, signed as the anchors recorded ask.
    ///
    /// # Errors
    /// The reason to give the slot up.
    fn check(&mut self, hardware: &mut H, state: &State, id: SlotId) -> Result<(), Reason>;

    /// Whether the current anchors list this manifest as revoked.
    fn is_revoked(&mut self, hardware: &mut H, state: &State, digest: &[u8; 32]) -> bool;
}

/// What boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This slot, checked; on trial, the attempt is spent.
    Run {
        /// The slot.
        id: SlotId,
        /// Whether it still has to be confirmed.
        trial: bool,
        /// Whether the current anchors list it as revoked: it runs because nothing better waits,
        /// and that is an alarm.
        revoked: bool,
    },
    /// Nothing: wait for a recovery image, for this reason.
    Recover(Reason),
}

/// Decides what boots and records what the decision costs.
///
/// # Errors
/// `storage-failed`.
pub fn choose<H: Hardware>(
    store: &mut Store<H>,
    check: &mut impl Check<H>,
) -> Result<Choice, Reason> {
    let budget = store.hardware().layout().budget;
    // Give up one slot, arm another, give that up, run the active one: four rounds at most.
    for _ in 0..5 {
        match store.state().plan(budget) {
            Plan::Try(id) => {
                store.spend(id)?;
                let state = *store.state();
                let digest = &state.slot(id).pin.digest;
                // A first image has nothing to fall back to.
                let stale =
                    state.active.is_some() && check.is_revoked(store.hardware(), &state, digest);
                let judged = if stale {
                    Err(Reason::ReleaseRevoked)
                } else {
                    check.check(store.hardware(), &state, id)
                };
                match judged {
                    Ok(()) => return Ok(Choice::Run { id, trial: true, revoked: false }),
                    Err(reason) => store.revert(id, reason)?,
                }
            }
            Plan::GiveUp(id) => store.revert(id, Reason::TrialBudgetSpent)?,
            Plan::Run(id) => {
                let state = *store.state();
                let digest = &state.slot(id).pin.digest;
                let revoked = check.is_revoked(store.hardware(), &state, digest);
                if revoked && has_successor(&state, id) {
                    // Revoked itself, it is given up at its trial.
                    store.arm(id.other())?;
                    continue;
                }
                return Ok(match check.check(store.hardware(), &state, id) {
                    Ok(()) => Choice::Run { id, trial: false, revoked },
                    Err(reason) => Choice::Recover(reason),
                });
            }
            Plan::Recover => return Ok(Choice::Recover(last_reason(store.state()))),
        }
    }
    Ok(Choice::Recover(Reason::Internal))
}

/// A written candidate above the floor waits in the other slot.
fn has_successor(state: &State, id: SlotId) -> bool {
    let other = state.slot(id.other());
    other.state == SlotState::Written && other.pin.sequence > state.floor.sequence
}

fn last_reason(state: &State) -> Reason {
    state
        .slots
        .iter()
        .filter(|slot| slot.state == SlotState::Reverted)
        .find_map(|slot| Reason::from_number(slot.reason))
        .unwrap_or(Reason::NotFound)
}
