//! A NOR flash in memory that can be stopped in the middle of any operation.

use slots::{Flash, FlashError, Hardware, Layout, TAG_BYTES, hmac};

/// Repeatable randomness (splitmix64).
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}

pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The smallest thing that happens to the flash: what one fault can hit.
#[derive(Clone, Debug)]
pub enum Step {
    /// One write unit.
    Program { at: u32, bytes: Vec<u8> },
    /// One sector.
    Erase { at: u32 },
    /// One bit of the counter.
    Count { to: u32 },
}

/// How a step goes wrong when the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of it happened.
    Before,
    /// Some of its bits changed, for good.
    Torn,
    /// The first part of a sector is erased, the rest is not.
    Half,
    /// Its bits changed half-way: each read gives the old or the new value.
    Unstable,
    /// All of it happened, and nothing after it.
    After,
}

impl Fault {
    pub const ALL: [Fault; 5] =
        [Fault::Before, Fault::Torn, Fault::Half, Fault::Unstable, Fault::After];
}

/// Bits between two values.
#[derive(Clone)]
struct Marginal {
    at: usize,
    old: Vec<u8>,
    new: Vec<u8>,
}

#[derive(Clone)]
pub struct SimFlash {
    pub layout: Layout,
    bytes: Vec<u8>,
    marginal: Vec<Marginal>,
    counter: u32,
    /// The counter's next bit is neither burnt nor whole.
    counter_marginal: bool,
    dice: Dice,
    key: [u8; 32],
    hash: u64,
    /// Every step since recording began.
    pub journal: Option<Vec<Step>>,
    /// What no driver may do: the first such thing.
    pub violation: Option<&'static str>,
}

impl SimFlash {
    pub fn new(layout: Layout, size: u32) -> Self {
        let mut flash = Self {
            layout,
            bytes: vec![0xff; size as usize],
            marginal: Vec::new(),
            counter: 0,
            counter_marginal: false,
            dice: Dice(1),
            key: [0x42; 32],
            hash: 0,
            journal: None,
            violation: None,
        };
        flash.hash = flash.hash_of(0, flash.bytes.len());
        flash
    }

    /// Identifies content and condition of flash and counter.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = self.hash ^ mix(u64::from(self.counter) << 1 | 1 << 40);
        hash ^= u64::from(self.counter_marginal).wrapping_mul(0x5851_f42d_4c95_7f2d);
        for marginal in &self.marginal {
            let mut part = marginal.at as u64 ^ 0xabcd_ef01;
            for (old, new) in marginal.old.iter().zip(&marginal.new) {
                part = mix(part ^ u64::from(*old) << 8 ^ u64::from(*new));
            }
            hash ^= part;
        }
        hash
    }

    pub fn reseed(&mut self, seed: u64) {
        self.dice = Dice(seed);
    }

    /// The counter stands where a record says, and every bit of it is whole.
    pub fn counter_is(&self, value: u32) -> bool {
        self.counter == value && !self.counter_marginal
    }

    /// Applies a whole step.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Program { at, bytes } => self.programmed(*at, bytes),
            Step::Erase { at } => {
                let (from, to) = self.sector(*at);
                self.marginal.retain(|m| m.at < from || m.at >= to);
                self.change(from, &vec![0xff; to - from]);
            }
            Step::Count { to } => {
                self.counter = *to;
                self.counter_marginal = false;
            }
        }
    }

    /// Applies what `fault` leaves of a step. Whether the fault makes sense for the step.
    pub fn fail(&mut self, step: &Step, fault: Fault, seed: u64) -> bool {
        let mut dice = Dice(seed);
        match (step, fault) {
            (_, Fault::Before) => {}
            (step, Fault::After) => self.apply(step),
            (Step::Program { at, bytes }, Fault::Torn) => {
                let torn: Vec<u8> = bytes.iter().map(|b| b | dice.roll() as u8).collect();
                self.programmed(*at, &torn);
            }
            (Step::Program { at, bytes }, Fault::Unstable) => {
                let at = *at as usize;
                let old = self.bytes[at..at + bytes.len()].to_vec();
                self.marginal.push(Marginal { at, old, new: bytes.clone() });
            }
            (Step::Erase { at }, Fault::Half) => {
                let (from, to) = self.sector(*at);
                let middle = from + dice.below((to - from) as u64) as usize;
                self.change(from, &vec![0xff; middle - from]);
            }
            (Step::Erase { at }, Fault::Torn) => {
                let (from, to) = self.sector(*at);
                let torn: Vec<u8> =
                    self.bytes[from..to].iter().map(|b| b | dice.roll() as u8).collect();
                self.change(from, &torn);
            }
            (Step::Erase { at }, Fault::Unstable) => {
                let (from, to) = self.sector(*at);
                self.marginal.retain(|m| m.at < from || m.at >= to);
                let old = self.bytes[from..to].to_vec();
                self.marginal.push(Marginal { at: from, old, new: vec![0xff; to - from] });
            }
            (Step::Count { .. }, Fault::Unstable) => self.counter_marginal = true,
            _ => return false,
        }
        true
    }

    /// Flips one bit, as wear or an attacker with a probe would.
    pub fn flip(&mut self, at: u32, mask: u8) {
        let at = at as usize;
        let byte = self.bytes[at] ^ mask;
        self.change(at, &[byte]);
    }

    fn programmed(&mut self, at: u32, bytes: &[u8]) {
        let at = at as usize;
        for marginal in self.marginal.iter_mut().filter(|m| m.at == at) {
            for (index, byte) in bytes.iter().enumerate().take(marginal.old.len()) {
                marginal.old[index] &= byte;
                marginal.new[index] &= byte;
            }
        }
        let new: Vec<u8> =
            bytes.iter().zip(&self.bytes[at..]).map(|(new, old)| new & old).collect();
        self.change(at, &new);
    }

    fn change(&mut self, at: usize, new: &[u8]) {
        self.hash ^= self.hash_of(at, new.len());
        self.bytes[at..at + new.len()].copy_from_slice(new);
        self.hash ^= self.hash_of(at, new.len());
    }

    /// A hash that can be taken out and put back piece by piece, in words of 4 bytes.
    fn hash_of(&self, at: usize, len: usize) -> u64 {
        let (from, to) = (at & !3, (at + len).next_multiple_of(4));
        let mut hash = 0;
        for (index, word) in self.bytes[from..to].chunks_exact(4).enumerate() {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            if word != u32::MAX {
                hash ^= mix(u64::from(word) << 32 | (from / 4 + index) as u64);
            }
        }
        hash
    }

    fn sector(&self, at: u32) -> (usize, usize) {
        (at as usize, (at + self.layout.sector) as usize)
    }

    fn step(&mut self, step: Step) {
        self.apply(&step);
        if let Some(journal) = &mut self.journal {
            journal.push(step);
        }
    }
}

impl Flash for SimFlash {
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        let at = at as usize;
        let from = self.bytes.get(at..at + into.len()).ok_or(FlashError)?;
        into.copy_from_slice(from);
        for marginal in &self.marginal {
            // All of it reads old, all of it reads new, or each bit goes its own way.
            let whole = match self.dice.below(4) {
                0 => Some(0xff),
                1 => Some(0),
                _ => None,
            };
            for (index, (old, new)) in marginal.old.iter().zip(&marginal.new).enumerate() {
                let position = marginal.at + index;
                if position >= at && position < at + into.len() && old != new {
                    let choice = whole.unwrap_or_else(|| self.dice.roll() as u8);
                    into[position - at] = old & choice | new & !choice;
                }
            }
        }
        Ok(())
    }

    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let unit = self.layout.unit;
        if !at.is_multiple_of(unit) || !(bytes.len() as u32).is_multiple_of(unit) {
            self.violation = Some("a program operation is not aligned to write units");
            return Err(FlashError);
        }
        for (index, bytes) in bytes.chunks(unit as usize).enumerate() {
            let at = at + index as u32 * unit;
            let mut now = vec![0; bytes.len()];
            self.read(at, &mut now)?;
            if now.iter().any(|byte| *byte != 0xff) {
                self.violation = Some("a unit is programmed that is not erased");
                return Err(FlashError);
            }
            if self
                .marginal
                .iter()
                .any(|m| m.at < (at + unit) as usize && m.at + m.new.len() > at as usize)
            {
                self.violation = Some("a unit is programmed whose erasure or program was cut");
            }
            self.step(Step::Program { at, bytes: bytes.to_vec() });
        }
        Ok(())
    }

    fn erase(&mut self, at: u32) -> Result<(), FlashError> {
        if !at.is_multiple_of(self.layout.sector) || at as usize >= self.bytes.len() {
            self.violation = Some("an erase operation is not aligned to sectors");
            return Err(FlashError);
        }
        self.step(Step::Erase { at });
        Ok(())
    }
}

impl Hardware for SimFlash {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn counter(&mut self) -> u32 {
        self.counter + u32::from(self.counter_marginal && self.dice.roll() & 1 == 1)
    }

    fn advance(&mut self, value: u32) -> Result<(), FlashError> {
        while self.counter < value {
            self.step(Step::Count { to: self.counter + 1 });
        }
        Ok(())
    }

    fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&hmac(&self.key, &[bytes])[..TAG_BYTES]);
        tag
    }
}
