//! Every cut of one configuration, and what has to hold after each.

use std::collections::HashSet;
use std::fmt;

use slots::{Area, Layout, RECORD_BYTES, SlotState, State, Store};

use crate::flash::{Dice, Fault, SimFlash, Step, mix};
use crate::release::Shelf;
use crate::world::{Op, Outcome, Stage, boot, perform, script, update_to};

/// How the flash is divided and how large an image is.
#[derive(Clone, Copy, Debug)]
pub struct Configuration {
    pub sector: u32,
    pub unit: u32,
    pub image: u32,
}

/// What a sweep found.
#[derive(Default)]
pub struct Findings {
    /// Distinct flash images after a cut.
    pub points: u64,
    /// Those of them where a second cut hit the recovery from the first.
    pub second: u64,
    /// Devices driven on to a confirmed update after the cut.
    pub driven: u64,
    /// What did not hold.
    pub failures: Vec<String>,
}

const BUDGET: u32 = 3;
/// Bits flipped in the record log after each stage.
const FORGERIES: u32 = 64;
/// A sweep stops after so many failures.
const ENOUGH: usize = 5;

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sector, unit, image } = self;
        write!(f, "sector {sector:4} unit {unit:3} image {image:4}")
    }
}

impl Configuration {
    pub fn layout(&self) -> (Layout, u32) {
        let round = |len: u32| len.next_multiple_of(self.sector);
        let anchors_len = round(Shelf::ANCHORS_MAX);
        let envelope_max = Shelf::ENVELOPE_MAX.next_multiple_of(self.unit);
        let slot_len = round(envelope_max + self.image + self.unit);
        let mut at = 0;
        let mut area = |len| {
            let area = Area { at, len };
            at += len;
            area
        };
        let metadata = [area(self.sector).at, area(self.sector).at];
        let anchors = [area(anchors_len), area(anchors_len)];
        let slots = [area(slot_len), area(slot_len)];
        let layout = Layout {
            sector: self.sector,
            unit: self.unit,
            metadata,
            anchors,
            slots,
            envelope_max,
            budget: BUDGET,
            counter_max: u32::MAX,
        };
        (layout, at)
    }
}

/// One run over one configuration.
pub struct Sweep<'s> {
    configuration: Configuration,
    shelf: &'s mut Shelf,
    seed: u64,
    seen: HashSet<u64>,
    driven: HashSet<u64>,
    /// Every state that the life has seen.
    states: Vec<State>,
    findings: Findings,
}

/// What may run after a cut in a stage, and what must not fall.
struct Bounds {
    stage: usize,
    op: Op,
    allowed: [Outcome; 2],
    floor: u64,
    floor_after: u64,
    /// Boots of the trial image so far.
    runs: u32,
    /// The release that the device is driven to afterwards.
    target: u8,
}

/// What is known of a device when it is first reset after a cut.
#[derive(Clone, Copy)]
struct Start {
    /// Cuts so far.
    cuts: u32,
    /// Boots of the trial image so far.
    runs: u32,
    /// The floor so far.
    floor: u64,
}

impl<'s> Sweep<'s> {
    pub fn new(configuration: Configuration, shelf: &'s mut Shelf, seed: u64) -> Self {
        Self {
            configuration,
            shelf,
            seed,
            seen: HashSet::new(),
            driven: HashSet::new(),
            states: Vec::new(),
            findings: Findings::default(),
        }
    }

    /// Lives the whole script, cutting everywhere.
    pub fn run(mut self) -> Findings {
        let (layout, size) = self.configuration.layout();
        let mut flash = SimFlash::new(layout, size);
        let mut floor = 0;
        let mut runs = 0;
        let stages = script(BUDGET);
        for (index, stage) in stages.iter().enumerate() {
            let before = flash.clone();
            flash.journal = Some(Vec::new());
            let done = perform(stage.op, &mut flash, self.shelf);
            let journal = flash.journal.take().unwrap_or_default();
            if let Err(reason) = done {
                self.fail(format!("{:?} fails without any cut: {reason}", stage.op));
                break;
            }
            if let Some(violation) = flash.violation {
                self.fail(format!("{:?}: {violation}", stage.op));
                break;
            }
            let Some(bounds) = self.bounds(index, stage, &before, &flash, floor, runs, &stages)
            else {
                break;
            };
            floor = bounds.floor_after;
            self.note_states(&before, &journal);
            self.forge_everywhere(&bounds, &flash);
            self.cut_everywhere(&bounds, &before, &journal);
            runs = match (stage.op, bounds.allowed) {
                (Op::Boot, [Outcome::Runs { trial: true, .. }, _]) => runs + 1,
                (Op::Boot, _) | (Op::Confirm | Op::Revert | Op::Arm, _) => 0,
                _ => runs,
            };
            if self.findings.failures.len() >= ENOUGH {
                break;
            }
        }
        self.findings.points = self.seen.len() as u64;
        self.findings.driven = self.driven.len() as u64;
        self.findings
    }

    /// Compares the stage with its script and derives what a cut in it may lead to.
    #[allow(clippy::too_many_arguments)]
    fn bounds(
        &mut self,
        index: usize,
        stage: &Stage,
        before: &SimFlash,
        after: &SimFlash,
        floor: u64,
        runs: u32,
        stages: &[Stage],
    ) -> Option<Bounds> {
        let old = boot(&mut before.clone(), self.shelf);
        let new = boot(&mut after.clone(), self.shelf);
        let (Ok((old, _)), Ok((new, floor_after))) = (old, new) else {
            self.fail(format!("{:?}: a reset before or after it fails", stage.op));
            return None;
        };
        let expected = match stage.boots {
            Some((release, trial)) => Outcome::Runs { release, trial },
            None => Outcome::Recovers,
        };
        if new != expected {
            self.fail(format!("stage {index} {:?}: {new:?}, expected {expected:?}", stage.op));
            return None;
        }
        let wanted = self.shelf.sequence_of(stage.floor);
        if floor_after != wanted {
            self.fail(format!("stage {index} {:?}: floor {floor_after}, not {wanted}", stage.op));
            return None;
        }
        let target = stages[index..]
            .iter()
            .filter(|later| later.op == Op::Confirm)
            .map(|later| later.floor)
            .next()
            .unwrap_or(stage.floor + 1);
        // A confirmed target leaves nothing to drive to: take the one after it.
        let target = if stage.op == Op::Confirm { stage.floor + 1 } else { target };
        Some(Bounds {
            stage: index,
            op: stage.op,
            allowed: [old, new],
            floor,
            floor_after,
            runs,
            target,
        })
    }

    /// Keeps every state that a stage goes through.
    fn note_states(&mut self, before: &SimFlash, journal: &[Step]) {
        let mut now = before.clone();
        for step in journal {
            now.apply(step);
            if self.is_payload(step) {
                continue;
            }
            if let Ok(store) = Store::mount(now.clone())
                && !self.states.contains(store.state())
            {
                self.states.push(*store.state());
            }
        }
    }

    /// Flips bits of the record log: what is read is a state that was, or none.
    fn forge_everywhere(&mut self, bounds: &Bounds, after: &SimFlash) {
        let mut dice = Dice(mix(self.seed ^ (bounds.stage as u64) << 32 ^ 0xf0));
        let Ok(now) = Store::mount(after.clone()).map(|store| *store.state()) else { return };
        let (layout, _) = self.configuration.layout();
        let stride = layout.whole_units(RECORD_BYTES as u32) + layout.whole_units(4);
        for _ in 0..FORGERIES {
            let mut forged = after.clone();
            let at = dice.below(u64::from(2 * self.configuration.sector)) as u32;
            forged.flip(at, 1 << dice.below(8));
            let Ok(store) = Store::mount(forged) else { continue };
            // Where a record does not begin as one, nothing tells that it was there.
            let begins = at % self.configuration.sector % stride < 4;
            let read = store.state();
            let is_known = self.states.contains(read);
            let is_older = self.states.iter().any(|known| *read == spent(known));
            if !(is_known && (begins || *read == now) || is_older) {
                return self.fail(format!(
                    "stage {} {:?}: a record with a flipped bit at {at:#x} is believed",
                    bounds.stage, bounds.op
                ));
            }
        }
    }

    fn cut_everywhere(&mut self, bounds: &Bounds, before: &SimFlash, journal: &[Step]) {
        let mut now = before.clone();
        for (index, step) in journal.iter().enumerate() {
            for fault in Fault::ALL {
                let seed = mix(self.seed
                    ^ (bounds.stage as u64) << 40
                    ^ (index as u64) << 8
                    ^ fault as u64);
                let mut cut = now.clone();
                if !cut.fail(step, fault, seed) || !self.seen.insert(cut.fingerprint()) {
                    continue;
                }
                let payload = self.is_payload(step);
                let mut dice = Dice(seed);
                let place = || {
                    format!(
                        "stage {} {:?}, step {index} of {}, {fault:?}, seed {seed:#x}",
                        bounds.stage,
                        bounds.op,
                        journal.len()
                    )
                };
                cut.reseed(dice.roll());
                let drive = !payload || dice.below(64) == 0;
                let again = !payload || dice.below(32) == 0;
                let resets = if payload { 1 } else { BUDGET + 2 };
                let start = Start { cuts: 1, runs: bounds.runs, floor: bounds.floor };
                // What reads differently each time may be read as it was meant first, and later not.
                let cut_in = match (again, fault) {
                    (false, _) => 0,
                    (true, Fault::Unstable) => resets,
                    (true, _) => 1,
                };
                self.judge(bounds, start, (resets, cut_in), cut, drive, &place);
                if self.findings.failures.len() >= ENOUGH {
                    return;
                }
            }
            now.apply(step);
        }
    }

    /// Resets the device as often as a trial may be booted and once more, with a second cut in the
    /// first `cut_in` of these resets; then drives it on.
    fn judge(
        &mut self,
        bounds: &Bounds,
        start: Start,
        (resets, cut_in): (u32, u32),
        cut: SimFlash,
        drive: bool,
        place: &dyn Fn() -> String,
    ) {
        let mut flash = cut;
        let Start { cuts, mut runs, mut floor } = start;
        for reset in 0..resets {
            let before = (reset < cut_in).then(|| flash.clone());
            let again = Start { cuts: 2, runs, floor };
            flash.journal = Some(Vec::new());
            let result = boot(&mut flash, self.shelf);
            let journal = flash.journal.take();
            let (outcome, new_floor) = match result {
                Ok(done) => done,
                Err(reason) => {
                    return self.fail(format!("{}: a reset fails: {reason}", place()));
                }
            };
            if let Some(violation) = flash.violation {
                return self.fail(format!("{}: {violation}", place()));
            }
            if let Err(what) = admissible(bounds, cuts, outcome, new_floor, floor, &mut runs) {
                return self.fail(format!("{}, reset {reset}: {what}", place()));
            }
            floor = new_floor;
            if let (Some(journal), Some(before)) = (journal, before) {
                let place = || format!("{}, reset {reset}", place());
                self.cut_recovery(bounds, again, &before, &journal, &place);
            }
        }
        if drive && self.driven.insert(flash.fingerprint() ^ u64::from(bounds.target)) {
            let done = update_to(bounds.target, &mut flash, self.shelf);
            let violation = flash.violation;
            if let Err(what) = done {
                self.fail(format!("{}, driven on: {what}", place()));
            } else if let Some(violation) = violation {
                self.fail(format!("{}, driven on: {violation}", place()));
            }
        }
    }

    /// The second cut: everywhere in a reset after the first.
    fn cut_recovery(
        &mut self,
        bounds: &Bounds,
        start: Start,
        first: &SimFlash,
        journal: &[Step],
        place: &dyn Fn() -> String,
    ) {
        let seed = mix(self.seed ^ first.fingerprint());
        let mut now = first.clone();
        for (index, step) in journal.iter().enumerate() {
            for fault in Fault::ALL {
                let seed = mix(seed ^ (index as u64) << 8 ^ fault as u64);
                let mut cut = now.clone();
                if !cut.fail(step, fault, seed) || !self.seen.insert(cut.fingerprint()) {
                    continue;
                }
                self.findings.second += 1;
                cut.reseed(mix(seed));
                let place = || {
                    format!(
                        "{}, then step {index} of {}, {fault:?}, seed {seed:#x}",
                        place(),
                        journal.len()
                    )
                };
                let drive = seed.is_multiple_of(64);
                self.judge(bounds, start, (BUDGET + 2, 0), cut, drive, &place);
                if self.findings.failures.len() >= ENOUGH {
                    return;
                }
            }
            now.apply(step);
        }
    }

    fn is_payload(&self, step: &Step) -> bool {
        let (layout, _) = self.configuration.layout();
        match step {
            Step::Program { at, .. } | Step::Erase { at } => *at >= layout.slots[0].at,
            Step::Count { .. } => false,
        }
    }

    fn fail(&mut self, what: String) {
        self.findings.failures.push(format!("{:?}: {what}", self.configuration));
    }
}

/// The same with the attempts of its trials all spent: what is read where the newest record cannot
/// be.
fn spent(known: &State) -> State {
    let mut spent = *known;
    for slot in spent.slots.iter_mut().filter(|slot| slot.state == SlotState::Trial) {
        slot.attempts = BUDGET + 1;
    }
    spent
}

/// Holds one reset against what the stage allows.
fn admissible(
    bounds: &Bounds,
    cuts: u32,
    outcome: Outcome,
    floor: u64,
    floor_before: u64,
    runs: &mut u32,
) -> Result<(), String> {
    if floor < floor_before {
        return Err(format!("the floor fell from {floor_before} to {floor}"));
    }
    if floor != bounds.floor && floor != bounds.floor_after {
        return Err(format!("the floor is {floor}"));
    }
    if let Outcome::Runs { trial: true, release } = outcome {
        *runs += 1;
        if *runs > BUDGET {
            return Err(format!("release {release} runs unconfirmed for the {runs}th time"));
        }
    }
    let provisioning = bounds.op == Op::Provision && outcome == Outcome::Nothing;
    // A trial that used up its boots falls back to what ran before it. A boot that was cut after
    // its attempt was spent is one of them.
    let fallen_back = *runs + cuts >= BUDGET
        && match outcome {
            Outcome::Runs { release, trial: false } => release == bounds.floor_release(),
            Outcome::Recovers => bounds.floor == 0 || bounds.recovering(),
            _ => false,
        };
    if bounds.allowed.contains(&outcome) || provisioning || fallen_back {
        return Ok(());
    }
    Err(format!("{outcome:?}, allowed {:?}", bounds.allowed))
}

impl Bounds {
    /// Releases are numbered in the order of their sequence numbers: see `Shelf::sequence_of`.
    fn floor_release(&self) -> u8 {
        Shelf::number_of_sequence(self.floor)
    }

    /// The script is past the damage to the confirmed slot.
    fn recovering(&self) -> bool {
        self.target == 5 || self.floor_release() == 4
    }
}
