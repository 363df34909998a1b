//! The update partition's journal of orders: every cut while it is written, and a second one while
//! the device recovers from it or goes on. What is read afterwards is what was there or what was to
//! be there, the same each time: an order that has ended never comes back to life.

use std::collections::HashSet;
use std::fmt;

use ringfort_cose::{Reason, Sha256Digest, Thumbprint};
use ringfort_trust::ids::{OrderNumber, UnixTime};
use ringfort_trust::{InProgress, Task};
use slots::{Area, Layout};
use update::Journal;

use crate::flash::{Dice, Fault, SimFlash, Step, mix};
use crate::sweep::Findings;

/// How the flash under the journal is divided.
#[derive(Clone, Copy, Debug)]
pub struct Division {
    /// Bytes of a sector.
    pub sector: u32,
    /// Bytes of a write unit: the journal's own is 8.
    pub unit: u32,
}

/// One change of a journal before it is saved.
type Change = fn(&mut Journal) -> Result<(), Reason>;

/// One run over one division.
pub struct Orders {
    division: Division,
    sectors: [u32; 2],
    seed: u64,
    /// Distinct flash images after a cut.
    points: HashSet<u64>,
    /// Those that were judged, each under what was allowed there.
    judged: HashSet<u64>,
    findings: Findings,
}

/// Where a cut is made, and what may be read after it.
#[derive(Clone, Copy)]
struct Place {
    /// The change that is written.
    change: usize,
    /// How many cuts came before, and what the device did in between.
    after: After,
    old: Journal,
    new: Journal,
}

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The change itself.
    Nothing,
    /// The recovery from a cut.
    Reset,
    /// The change that follows a cut.
    Next,
}

impl fmt::Display for Division {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sector {:4} unit {:3} orders    ", self.sector, self.unit)
    }
}

impl Orders {
    pub fn new(division: Division, seed: u64) -> Self {
        Self {
            division,
            sectors: [0, division.sector],
            seed,
            points: HashSet::new(),
            judged: HashSet::new(),
            findings: Findings::default(),
        }
    }

    /// Lives the whole script, cutting everywhere.
    pub fn run(mut self) -> Findings {
        let area = Area { at: 0, len: 0 };
        let layout = Layout {
            sector: self.division.sector,
            unit: self.division.unit,
            metadata: self.sectors,
            anchors: [area; 2],
            slots: [area; 2],
            envelope_max: 0,
            budget: 1,
            counter_max: u32::MAX,
        };
        let mut flash = SimFlash::new(layout, 2 * self.division.sector);
        let mut states = Vec::new();
        if let Err(reason) = self.live(&mut flash, &mut states) {
            self.fail(format!("without any cut: {reason}"));
        }
        self.findings.points = self.points.len() as u64;
        self.findings
    }

    fn live(&mut self, flash: &mut SimFlash, states: &mut Vec<Journal>) -> Result<(), Reason> {
        let mut now = Journal::open(flash, &self.sectors)?;
        states.push(now);
        for (change, make) in CHANGES.iter().enumerate() {
            let before = flash.clone();
            let (next, steps) = self.write(flash, now, *make)?;
            states.push(next);
            let place = Place { change, after: After::Nothing, old: now, new: next };
            self.cut(&place, &before, &steps);
            now = Journal::open(flash, &self.sectors)?;
            if now != next {
                self.fail(format!("change {change}: it is not read as it was written"));
            }
            self.forge(change, flash, states);
            if self.has_enough() {
                break;
            }
        }
        Ok(())
    }

    /// Changes the journal; the steps that it took.
    fn write(
        &mut self,
        flash: &mut SimFlash,
        mut journal: Journal,
        change: Change,
    ) -> Result<(Journal, Vec<Step>), Reason> {
        change(&mut journal)?;
        flash.journal = Some(Vec::new());
        journal.save(flash, &self.sectors)?;
        let steps = flash.journal.take().unwrap_or_default();
        if let Some(violation) = flash.violation {
            self.fail(violation.to_owned());
        }
        Ok((journal, steps))
    }

    fn cut(&mut self, place: &Place, before: &SimFlash, steps: &[Step]) {
        let mut now = before.clone();
        for (index, step) in steps.iter().enumerate() {
            for fault in Fault::ALL {
                let seed = mix(self.seed
                    ^ (place.change as u64) << 40
                    ^ (place.after as u64) << 32
                    ^ (index as u64) << 8
                    ^ fault as u64);
                let mut cut = now.clone();
                if !cut.fail(step, fault, seed) {
                    continue;
                }
                let point = cut.fingerprint();
                if self.points.insert(point) && place.after != After::Nothing {
                    self.findings.second += 1;
                }
                if !self.judged.insert(point ^ place.key()) {
                    continue;
                }
                cut.reseed(mix(seed));
                // The record's units differ in their bits alone: of those some are enough.
                let is_edge = index < 2 || index + 3 > steps.len();
                let again = place.after == After::Nothing && (is_edge || seed.is_multiple_of(16));
                let what = format!(
                    "change {}, cut in {:?}, step {index} of {}, {fault:?}",
                    place.change,
                    place.after,
                    steps.len()
                );
                if let Err(why) = self.judge(place, cut, again) {
                    self.fail(format!("{what}: {why}"));
                }
                if self.has_enough() {
                    return;
                }
            }
            now.apply(step);
        }
    }

    /// Reads the journal as a device does that starts again and again.
    fn judge(&mut self, place: &Place, cut: SimFlash, again: bool) -> Result<(), String> {
        let mut flash = cut.clone();
        flash.journal = Some(Vec::new());
        let open = |flash: &mut SimFlash, sectors: &[u32; 2]| {
            let found = Journal::open(flash, sectors);
            let found = found.map_err(|reason| format!("a reset fails: {reason}"))?;
            flash.violation.map_or(Ok(found), |violation| Err(violation.to_owned()))
        };
        let found = open(&mut flash, &self.sectors)?;
        let recovery = flash.journal.take().unwrap_or_default();
        if found != place.old && found != place.new {
            return Err("neither the old nor the new is read".to_owned());
        }
        for _ in 0..RESETS {
            if open(&mut flash, &self.sectors)? != found {
                return Err("the next reset reads something else".to_owned());
            }
        }
        if !again {
            return Ok(());
        }
        self.cut(&Place { after: After::Reset, ..*place }, &cut, &recovery);
        let before = flash.clone();
        let (next, steps) = self
            .write(&mut flash, found, |journal| {
                journal.finish();
                journal.error -= 1000;
                Ok(())
            })
            .map_err(|reason| format!("it cannot be changed afterwards: {reason}"))?;
        self.cut(&Place { after: After::Next, old: found, new: next, ..*place }, &before, &steps);
        if open(&mut flash, &self.sectors)? != next {
            return Err("what is written afterwards is not read".to_owned());
        }
        Ok(())
    }

    /// Flips bits: what is read is a state that was, or none.
    fn forge(&mut self, change: usize, after: &SimFlash, states: &[Journal]) {
        let mut dice = Dice(mix(self.seed ^ (change as u64) << 32 ^ 0xf1));
        for _ in 0..FORGERIES {
            let mut forged = after.clone();
            let at = dice.below(2 * RECORD_MOST) as u32;
            let at = if at < RECORD_MOST as u32 {
                at
            } else {
                self.division.sector + at - RECORD_MOST as u32
            };
            forged.flip(at, 1 << dice.below(8));
            match Journal::open(&mut forged, &self.sectors) {
                Ok(found) if states.contains(&found) => {}
                Ok(_) => {
                    return self.fail(format!(
                        "change {change}: a record with a flipped bit at {at:#x} is believed"
                    ));
                }
                Err(reason) => return self.fail(format!("change {change}: {reason}")),
            }
        }
    }

    fn has_enough(&self) -> bool {
        self.findings.failures.len() >= ENOUGH
    }

    fn fail(&mut self, what: String) {
        self.findings.failures.push(format!("orders, {:?}: {what}", self.division));
    }
}

impl Place {
    /// Tells places apart at which different things are allowed.
    fn key(&self) -> u64 {
        let error = u64::from(self.old.error.cast_unsigned());
        mix((self.change as u64) << 40 ^ (self.after as u64) << 34 ^ error)
    }
}

/// The life of a journal: orders of two keys, taken, ended, superseded and taken up again.
const CHANGES: &[Change] = &[
    |journal| order(journal, 1, 5),
    |journal| {
        journal.finish();
        journal.error = -1;
        Ok(())
    },
    |journal| order(journal, 1, 6),
    |journal| order(journal, 2, 3),
    |journal| {
        journal.finish();
        journal.error = 0;
        Ok(())
    },
    |journal| order(journal, 1, 7),
];

/// An order by this key with this number is accepted.
fn order(journal: &mut Journal, key: u8, number: u64) -> Result<(), Reason> {
    let mut ledger = journal.ledger(&Thumbprint([key; 32]));
    ledger.last_time = UnixTime(1_800_000_000 + number);
    ledger.in_progress = Some(InProgress {
        number: OrderNumber(number),
        token: Sha256Digest([key ^ 0x55; 32]),
        task: Task::Install { manifest: Sha256Digest([number as u8; 32]) },
    });
    journal.expires = UnixTime(1_800_086_400 + number);
    journal.put(&ledger)
}

/// Resets after a cut: a bit between two values has many chances to read otherwise.
const RESETS: u32 = 6;
/// Bits flipped after each change.
const FORGERIES: u32 = 64;
/// More bytes than a record has.
const RECORD_MOST: u64 = 512;
/// A sweep stops after so many failures.
const ENOUGH: usize = 5;
