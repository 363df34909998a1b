//! The life of a device, as a script of operations over a simulated flash.

use ringfort_cose::Reason;
use slots::{Choice, SlotId, SlotState, Store, choose};

use crate::flash::SimFlash;
use crate::release::{Checker, Release, Shelf};

/// One thing that a device does, or that is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The first record, with anchors version 1.
    Provision,
    /// Writes this release into the spare slot.
    Install(u8),
    /// Begins its trial.
    Arm,
    /// A reset: the loader decides.
    Boot,
    /// The running trial is confirmed.
    Confirm,
    /// A health check failed: the running trial is given up.
    Revert,
    /// The next anchors document.
    Anchors(u32),
    /// The confirmed slot's payload loses a bit.
    Damage,
}

/// An operation and what holds after it.
pub struct Stage {
    pub op: Op,
    /// The release that boots after it: number, and whether on trial. `None`: recovery.
    pub boots: Option<(u8, bool)>,
    /// The floor after it, as a release number.
    pub floor: u8,
}

/// The whole script.
pub fn script(budget: u32) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut say = |op, boots, floor| stages.push(Stage { op, boots, floor });
    say(Op::Provision, None, 0);
    say(Op::Install(1), None, 0);
    say(Op::Arm, Some((1, true)), 0);
    say(Op::Boot, Some((1, true)), 0);
    say(Op::Confirm, Some((1, false)), 1);
    say(Op::Boot, Some((1, false)), 1);
    // An update, confirmed at its second boot.
    say(Op::Install(2), Some((1, false)), 1);
    say(Op::Arm, Some((2, true)), 1);
    say(Op::Boot, Some((2, true)), 1);
    say(Op::Boot, Some((2, true)), 1);
    say(Op::Confirm, Some((2, false)), 2);
    say(Op::Anchors(2), Some((2, false)), 2);
    // An update that never confirms, offered again, and given up by its health check.
    say(Op::Install(3), Some((2, false)), 2);
    say(Op::Arm, Some((3, true)), 2);
    for boot in 1..=budget {
        say(Op::Boot, Some(if boot < budget { (3, true) } else { (2, false) }), 2);
    }
    say(Op::Boot, Some((2, false)), 2);
    say(Op::Install(3), Some((2, false)), 2);
    say(Op::Arm, Some((3, true)), 2);
    say(Op::Boot, Some((3, true)), 2);
    say(Op::Revert, Some((2, false)), 2);
    // A release that was written but never armed gives way to another.
    say(Op::Install(4), Some((2, false)), 2);
    say(Op::Install(3), Some((2, false)), 2);
    say(Op::Anchors(3), Some((2, false)), 2);
    say(Op::Install(4), Some((2, false)), 2);
    say(Op::Arm, Some((4, true)), 2);
    say(Op::Boot, Some((4, true)), 2);
    say(Op::Confirm, Some((4, false)), 4);
    // The confirmed slot wears out: recovery.
    say(Op::Damage, None, 4);
    say(Op::Boot, None, 4);
    say(Op::Install(5), None, 4);
    say(Op::Arm, Some((5, true)), 4);
    say(Op::Boot, Some((5, true)), 4);
    say(Op::Confirm, Some((5, false)), 5);
    stages
}

/// What a reset led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This release runs.
    Runs { release: u8, trial: bool },
    /// Recovery.
    Recovers,
    /// No record: a device that never left provisioning, or a brick.
    Nothing,
}

/// Resets the device: mounts the record, decides, and says what runs and where the floor is.
pub fn boot(flash: &mut SimFlash, shelf: &mut Shelf) -> Result<(Outcome, u64), Reason> {
    let mut store = match Store::mount(&mut *flash) {
        Ok(store) => store,
        Err(Reason::NotFound) => return Ok((Outcome::Nothing, 0)),
        Err(reason) => return Err(reason),
    };
    hold(&mut store, shelf)?;
    let choice = choose(&mut store, &mut Checker { shelf })?;
    let floor = store.state().floor.sequence;
    let outcome = match choice {
        Choice::Run { id, trial, .. } => {
            let digest = store.state().slot(id).pin.digest;
            let release = shelf.number_of(&digest).ok_or(Reason::Internal)?;
            Outcome::Runs { release, trial }
        }
        Choice::Recover(_) => Outcome::Recovers,
    };
    Ok((outcome, floor))
}

/// What has to hold whenever a record was mounted: the counter has followed it, and a slot that it
/// calls whole is whole.
fn hold(store: &mut Store<&mut SimFlash>, shelf: &mut Shelf) -> Result<(), Reason> {
    let state = *store.state();
    if !store.hardware().counter_is(state.counter) {
        return Err(Reason::ClockRegressed);
    }
    for id in [SlotId::A, SlotId::B] {
        let whole = matches!(state.slot(id).state, SlotState::Written | SlotState::Trial);
        if whole && state.active != Some(id) {
            shelf.check_slot(store.hardware(), &state, id)?;
        }
    }
    Ok(())
}

/// Carries out one operation.
pub fn perform(op: Op, flash: &mut SimFlash, shelf: &mut Shelf) -> Result<(), Reason> {
    match op {
        Op::Provision => {
            Store::provision(&mut *flash, shelf.anchors(1), 1)?;
        }
        Op::Install(release) => {
            let mut store = Store::mount(&mut *flash)?;
            install(&mut store, release, shelf)?;
        }
        Op::Arm => {
            let mut store = Store::mount(&mut *flash)?;
            let id = the(&store, SlotState::Written)?;
            store.arm(id)?;
        }
        Op::Boot => {
            boot(flash, shelf)?;
        }
        Op::Confirm => {
            let mut store = Store::mount(&mut *flash)?;
            let id = the(&store, SlotState::Trial)?;
            store.confirm(id)?;
        }
        Op::Revert => {
            let mut store = Store::mount(&mut *flash)?;
            let id = the(&store, SlotState::Trial)?;
            store.revert(id, Reason::HealthCheckFailed)?;
        }
        Op::Anchors(version) => {
            let mut store = Store::mount(&mut *flash)?;
            store.turn_anchors(shelf.anchors(version), version)?;
        }
        Op::Damage => {
            let store = Store::mount(&mut *flash)?;
            let id = store.state().active.ok_or(Reason::Internal)?;
            let layout = flash.layout;
            flash.flip(id.of(&layout.slots).at + layout.envelope_max + 3, 0x10);
        }
    }
    Ok(())
}

/// Writes a release into the spare slot, under the anchors that are current.
fn install(store: &mut Store<&mut SimFlash>, number: u8, shelf: &mut Shelf) -> Result<(), Reason> {
    let anchors = store.state().anchors.version;
    let layout = store.hardware().layout;
    let Release { candidate, pieces } = shelf.release(number, anchors, &layout);
    let id = store.begin(&candidate)?;
    let last = pieces.len() - 1;
    for (index, (offset, bytes)) in pieces.iter().enumerate() {
        if index == last {
            store.finish_too_early(id)?;
        }
        store.write(id, *offset, bytes)?;
    }
    store.finish(id, |flash, state| shelf.check_slot(flash, state, id))
}

/// Does whatever is left to do until a release is confirmed, as an update agent would, with no
/// further fault.
pub fn update_to(number: u8, flash: &mut SimFlash, shelf: &mut Shelf) -> Result<(), String> {
    for _ in 0..8 {
        let (outcome, _) =
            boot(flash, shelf).map_err(|reason| format!("a reset failed: {reason}"))?;
        let next = match outcome {
            Outcome::Runs { release, trial: false } if release == number => return Ok(()),
            Outcome::Runs { release, trial: true } if release == number => Op::Confirm,
            Outcome::Runs { trial: true, .. } => Op::Revert,
            Outcome::Nothing => Op::Provision,
            _ => {
                let store = Store::mount(&mut *flash).map_err(|reason| reason.to_string())?;
                let written = the(&store, SlotState::Written).ok().filter(|id| {
                    shelf.number_of(&store.state().slot(*id).pin.digest) == Some(number)
                });
                if written.is_some() { Op::Arm } else { Op::Install(number) }
            }
        };
        match perform(next, flash, shelf) {
            // Each operation mounts anew: a record whose last bits were cut may show up between
            // two of them, and then something else is left to do.
            Ok(()) | Err(Reason::NotFound | Reason::AlreadyExists) => {}
            Err(reason) => return Err(format!("{next:?} failed: {reason}")),
        }
    }
    Err(format!("release {number} was not confirmed after 8 resets"))
}

/// The slot in this state, other than the confirmed one.
fn the(store: &Store<&mut SimFlash>, wanted: SlotState) -> Result<SlotId, Reason> {
    let state = store.state();
    [SlotId::A, SlotId::B]
        .into_iter()
        .find(|id| state.active != Some(*id) && state.slot(*id).state == wanted)
        .ok_or(Reason::NotFound)
}
