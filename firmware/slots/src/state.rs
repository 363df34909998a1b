//! The durable state and its moves. A move changes the state, or says why there is none; what was
//! begun on before that is then worth nothing: callers move a copy.

use ringfort_cose::Reason;

use crate::planted::{self, Bug};

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotId {
    /// The first.
    A,
    /// The second.
    B,
}

impl SlotId {
    /// Both.
    pub(crate) const BOTH: [SlotId; 2] = [SlotId::A, SlotId::B];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// This slot's element of a pair.
    pub fn of<T>(self, pair: &[T; 2]) -> &T {
        let [a, b] = pair;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }

    /// The same, to be changed.
    pub fn of_mut<T>(self, pair: &mut [T; 2]) -> &mut T {
        let [a, b] = pair;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }
}

/// What a slot's record says of it. Numbers far apart in Hamming distance, so that no few bit
/// flips make one of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SlotState {
    /// Nothing that could boot: never written, or superseded by a confirmed image.
    Empty = 0x3c5a_960f,
    /// Being written; its content is worth nothing.
    Writing = 0x5569_c3aa,
    /// Written and verified, waiting for its order.
    Written = 0x66a5_0f3c,
    /// Armed: boots while attempts last.
    Trial = 0x9936_5ac3,
    /// Confirmed.
    Confirmed = 0xaac3_69f0,
    /// Given up, for a reason.
    Reverted = 0xc30f_f055,
}

impl SlotState {
    pub(crate) fn from_word(word: u32) -> Option<Self> {
        [Self::Empty, Self::Writing, Self::Written, Self::Trial, Self::Confirmed, Self::Reverted]
            .into_iter()
            .find(|state| *state as u32 == word)
    }
}

/// What a slot's record binds its content to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The manifest's sequence number.
    pub sequence: u64,
    /// The manifest's digest, as its authentication block signs it.
    pub digest: [u8; 32],
    /// The version of the anchors under which it was accepted.
    pub anchors_version: u32,
    /// The SHA-256 of that anchors document.
    pub anchors_digest: [u8; 32],
}

/// One slot's part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where it stands.
    pub state: SlotState,
    /// Boots spent on trial.
    pub attempts: u32,
    /// Why it was given up; 0 for no reason.
    pub reason: u32,
    /// What it holds.
    pub pin: Pin,
}

/// The highest confirmed sequence number and its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Sequence number; 0 before the first confirmation.
    pub sequence: u64,
    /// Manifest digest.
    pub digest: [u8; 32],
}

/// The current anchors document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorsPin {
    /// Its version.
    pub version: u32,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// Its length in bytes.
    pub len: u32,
    /// Which of the two areas holds it.
    pub area: SlotId,
}

/// All that a device remembers over a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The counter value that this state belongs to.
    pub counter: u32,
    /// The floor.
    pub floor: Floor,
    /// The confirmed slot.
    pub active: Option<SlotId>,
    /// Both slots.
    pub slots: [Slot; 2],
    /// The current anchors.
    pub anchors: AnchorsPin,
}

/// An update to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What its record will bind.
    pub pin: Pin,
    /// Bytes of the slot that it will use.
    pub len: u32,
}

/// What boot does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Try(SlotId),
    GiveUp(SlotId),
    Run(SlotId),
    Recover,
}

impl State {
    /// Nothing at all, to be filled.
    pub(crate) fn blank() -> Self {
        Self::new(0, AnchorsPin { version: 0, digest: [0; 32], len: 0, area: SlotId::A })
    }

    /// A device as it leaves provisioning: anchors and nothing else.
    #[inline(never)]
    pub fn new(counter: u32, anchors: AnchorsPin) -> Self {
        let pin = Pin { sequence: 0, digest: [0; 32], anchors_version: 0, anchors_digest: [0; 32] };
        let empty = Slot { state: SlotState::Empty, attempts: 0, reason: 0, pin };
        let floor = Floor { sequence: 0, digest: [0; 32] };
        Self { counter, floor, active: None, slots: [empty; 2], anchors }
    }

    /// This slot's part.
    pub fn slot(&self, id: SlotId) -> &Slot {
        id.of(&self.slots)
    }

    /// The slot that an update goes to: never the confirmed one.
    pub fn spare(&self) -> SlotId {
        let spare = self.active.map_or(SlotId::A, SlotId::other);
        if planted::is(Bug::ActiveOverwritten) { spare.other() } else { spare }
    }

    /// May a manifest with this number and digest be installed?
    ///
    /// # Errors
    /// `sequence-too-low`, `sequence-reused`, `sequence-jump`.
    #[inline(never)]
    pub fn admits(&self, sequence: u64, digest: &[u8; 32]) -> Result<(), Reason> {
        let floor = &self.floor;
        if sequence < floor.sequence || sequence == 0 {
            return Err(Reason::SequenceTooLow);
        }
        if sequence == floor.sequence && *digest != floor.digest {
            return Err(Reason::SequenceReused);
        }
        if sequence - floor.sequence > MAX_JUMP {
            return Err(Reason::SequenceJump);
        }
        Ok(())
    }

    /// Writing of a candidate begins. A trial that runs is given up by this.
    pub(crate) fn begin(&mut self, candidate: &Candidate) -> Result<SlotId, Reason> {
        self.admits(candidate.pin.sequence, &candidate.pin.digest)?;
        let id = self.spare();
        let slot = id.of_mut(&mut self.slots);
        *slot = Slot { state: SlotState::Writing, attempts: 0, reason: 0, pin: candidate.pin };
        Ok(id)
    }

    /// The candidate is whole.
    pub(crate) fn written(&mut self, id: SlotId) -> Result<(), Reason> {
        self.expect(id, SlotState::Writing)?.state = SlotState::Written;
        Ok(())
    }

    /// The trial begins.
    pub(crate) fn arm(&mut self, id: SlotId) -> Result<(), Reason> {
        let pin = &self.expect(id, SlotState::Written)?.pin;
        let floor = Floor { sequence: pin.sequence, digest: pin.digest };
        self.admits(floor.sequence, &floor.digest)?;
        id.of_mut(&mut self.slots).state = SlotState::Trial;
        if planted::is(Bug::FloorBeforeConfirm) {
            self.floor = floor;
        }
        Ok(())
    }

    /// One boot of the trial is spent.
    pub(crate) fn spend(&mut self, id: SlotId) -> Result<(), Reason> {
        let slot = self.expect(id, SlotState::Trial)?;
        slot.attempts = slot.attempts.checked_add(1).ok_or(Reason::TrialBudgetSpent)?;
        Ok(())
    }

    /// The running trial is confirmed: floor, active slot and counter at once.
    pub(crate) fn confirm(&mut self, id: SlotId) -> Result<(), Reason> {
        let slot = self.expect(id, SlotState::Trial)?;
        slot.state = SlotState::Confirmed;
        slot.attempts = 0;
        let floor = Floor { sequence: slot.pin.sequence, digest: slot.pin.digest };
        self.admits(floor.sequence, &floor.digest)?;
        id.other().of_mut(&mut self.slots).state = SlotState::Empty;
        self.floor = floor;
        self.active = Some(id);
        self.count()
    }

    fn count(&mut self) -> Result<(), Reason> {
        self.counter = self.counter.checked_add(1).ok_or(Reason::Internal)?;
        Ok(())
    }

    /// A slot is given up.
    pub(crate) fn revert(&mut self, id: SlotId, reason: Reason) -> Result<(), Reason> {
        if self.active == Some(id) {
            return Err(Reason::Internal);
        }
        let slot = id.of_mut(&mut self.slots);
        // The attempts stay as they are: were only this state lost, the budget would still be.
        slot.state = SlotState::Reverted;
        slot.reason = reason.number();
        Ok(())
    }

    /// The next anchors document takes over, and the counter moves with it: the keys that it dismissed do
    /// not come back with an older flash.
    pub(crate) fn turn_anchors(&mut self, next: AnchorsPin) -> Result<(), Reason> {
        if next.version != self.anchors.version.wrapping_add(1) {
            return Err(Reason::AnchorsNotSequential);
        }
        self.anchors = next;
        self.count()
    }

    pub(crate) fn plan(&self, budget: u32) -> Plan {
        let budget = budget + u32::from(planted::is(Bug::BudgetSpentAfterwards));
        for id in &SlotId::BOTH {
            let slot = self.slot(*id);
            if Some(*id) != self.active && slot.state == SlotState::Trial {
                return if slot.attempts < budget { Plan::Try(*id) } else { Plan::GiveUp(*id) };
            }
        }
        self.active.map_or(Plan::Recover, Plan::Run)
    }

    #[inline(never)]
    fn expect(&mut self, id: SlotId, state: SlotState) -> Result<&mut Slot, Reason> {
        let active = self.active;
        let slot = id.of_mut(&mut self.slots);
        let fits = slot.state == state && active != Some(id);
        if fits { Ok(slot) } else { Err(Reason::TrialNotConfirmed) }
    }
}

/// How far a sequence number may lie above the floor. A first image has no floor to be near to,
/// and sequence numbers are Unix seconds: 2^32 reaches to the year 2106.
pub const MAX_JUMP: u64 = 1 << 32;
