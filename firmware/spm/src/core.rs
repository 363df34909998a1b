//! State of threads and messages, and what every call needs.

use crate::fail::Cause;
use crate::status::{BLOCK, MAX_IOVEC, STATELESS, call};
use crate::tables::{Interrupt, Nonsecure, OnError, OnFault, Partition, Service, Tables};

/// A range of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First address.
    pub at: u32,
    /// Bytes.
    pub len: u32,
}

impl Span {
    /// Whether `inner` lies in this span. A range that wraps around lies nowhere.
    pub fn holds(self, inner: Span) -> bool {
        let offset = inner.at.wrapping_sub(self.at);
        inner.at >= self.at && offset <= self.len && inner.len <= self.len - offset
    }
}

/// What a caller does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it.
    Write,
}

/// What happened, for the secure console and the record that outlives a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A thread failed; this many restarts are behind it now.
    Failed {
        /// Position of the partition, or the number of partitions for the non-secure side.
        thread: usize,
        /// Why.
        cause: Cause,
        /// Its generation from now on.
        generation: u32,
        /// What became of it.
        fate: Fate,
    },
    /// A caller broke a rule and was told so.
    Refused {
        /// Position of the caller.
        thread: usize,
        /// The call.
        call: u32,
    },
}

/// What becomes of a partition that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs again.
    Restarted,
    /// It stays stopped: it was restarted as often as the manifest says.
    Stopped,
    /// The device resets.
    Reset,
}

/// The hardware below the rules.
pub trait Machine {
    /// Whether the non-secure caller itself could access this range, all of which is non-secure
    /// memory.
    fn nonsecure(&self, span: Span, access: Access) -> bool;
    /// Reads a word that was found accessible; `at` is a multiple of 4.
    fn load(&self, at: u32) -> u32;
    /// Writes a word that was found accessible; `at` is a multiple of 4.
    fn store(&mut self, at: u32, value: u32);
    /// Reads four words, as [`Machine::load`] does.
    fn load_four(&self, at: u32) -> [u32; 4] {
        [0, 4, 8, 12].map(|offset| self.load(at.wrapping_add(offset)))
    }
    /// Writes a message, as [`Machine::store`] does.
    fn store_message(&mut self, at: u32, message: &[u32; 12]) {
        for (value, at) in message.iter().zip((at..).step_by(4)) {
            self.store(at, *value);
        }
    }
    /// Copies between ranges that were found accessible.
    fn copy(&mut self, from: u32, to: u32, len: u32);
    /// Sets what a blocked call returns.
    fn result(&mut self, thread: usize, value: u32);
    /// Gives a thread its initial memory, stack and entry.
    fn restart(&mut self, thread: usize);
    /// Opens or closes an interrupt.
    fn interrupt(&mut self, number: u16, open: bool);
    /// Says what happened.
    fn report(&mut self, event: Event);
    /// Shows text of a partition on the console.
    fn print(&mut self, thread: usize, text: Span);
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returns this.
    Return(u32),
    /// The caller waits.
    Block,
    /// The caller fails.
    Fault(Cause),
    /// The device resets.
    Reset,
}

impl Outcome {
    /// A status as the return value.
    pub(crate) fn status(status: i32) -> Self {
        Self::Return(status as u32)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThreadState {
    Ready,
    /// In `psa_wait` for one of these signals.
    Waiting(u32),
    /// In a call that this slot carries.
    Calling(usize),
    Stopped,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread {
    pub state: ThreadState,
    pub signals: u32,
    pub generation: u32,
    pub restarts: u16,
    /// Ticks on the processor since it last waited.
    pub busy: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Free,
    /// A connection without a message.
    Idle,
    /// A message that waits for `psa_get`.
    Queued,
    /// A message that its partition holds.
    Active,
    /// A connection whose partition failed.
    Dead,
    /// A connection that its partition ended with a programmer error.
    Condemned,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vector {
    pub at: u32,
    pub left: u32,
    pub done: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub state: SlotState,
    pub kind: i32,
    pub service: u8,
    pub client: u8,
    pub orphan: bool,
    pub generation: u32,
    pub rhandle: u32,
    pub arrival: u32,
    pub age: u32,
    none: Vector,
    /// Input vectors, then output vectors.
    pub vectors: [Vector; 4],
    pub in_count: u32,
    pub out_count: u32,
    /// Where the client keeps its array of output vectors.
    pub out_at: u32,
}

impl Slot {
    /// The input vector with this number; one that was not given is empty.
    pub fn input(&mut self, number: u32) -> Option<&mut Vector> {
        let limit = self.in_count;
        self.at(number, 0, limit)
    }

    /// The output vector with this number; one that was not given has no room.
    pub fn output(&mut self, number: u32) -> Option<&mut Vector> {
        let (first, limit) = (self.in_count, self.out_count);
        self.at(number, first, limit)
    }

    fn at(&mut self, number: u32, first: u32, limit: u32) -> Option<&mut Vector> {
        if number < limit {
            return self.vectors.get_mut((first + number) as usize);
        }
        self.none = Vector { at: 0, left: 0, done: 0 };
        (number < MAX_IOVEC).then_some(&mut self.none)
    }

    /// Forgets the vectors: what they name is not to be touched any more.
    pub fn clear(&mut self) {
        self.in_count = 0;
        self.out_count = 0;
    }
}

/// The manager's state: `T` threads, which are the partitions, then the non-secure side, then the
/// idle thread; `S` message slots.
pub struct Core<'t, const T: usize, const S: usize> {
    tables: Option<&'t Tables>,
    pub(crate) threads: [Thread; T],
    /// One bit for each thread that is ready.
    ready: u32,
    pub(crate) slots: [Slot; S],
    pub(crate) arrivals: u32,
    pub(crate) current: usize,
    pub(crate) lifecycle: u32,
    pub(crate) failure: [u32; 4],
}

impl<'t, const T: usize, const S: usize> Core<'t, T, S> {
    /// A manager that knows nothing yet. All of it is zero: an image needs no bytes for it.
    pub const fn new() -> Self {
        let thread =
            Thread { state: ThreadState::Ready, signals: 0, generation: 0, restarts: 0, busy: 0 };
        let vector = Vector { at: 0, left: 0, done: 0 };
        let slot = Slot {
            state: SlotState::Free,
            kind: 0,
            service: 0,
            client: 0,
            orphan: false,
            generation: 0,
            rhandle: 0,
            arrival: 0,
            age: 0,
            none: vector,
            vectors: [vector; 4],
            in_count: 0,
            out_count: 0,
            out_at: 0,
        };
        Self {
            tables: None,
            threads: [thread; T],
            ready: 0,
            slots: [slot; S],
            arrivals: 0,
            current: 0,
            lifecycle: 0,
            failure: [0; 4],
        }
    }

    /// The product that it manages: every partition ready to start, the non-secure side after
    /// them. `failure` is the record of the last failure.
    pub fn start(&mut self, tables: &'t Tables, lifecycle: u32, failure: [u32; 4]) {
        self.tables = Some(tables);
        self.lifecycle = lifecycle;
        self.failure = failure;
        self.current = T.saturating_sub(1);
        for thread in &mut self.threads {
            thread.generation = 1;
        }
        self.ready = (1 << T) - 1;
        for slot in &mut self.slots {
            slot.generation = 1;
        }
    }

    pub(crate) fn tables(&self) -> &'t Tables {
        self.tables.unwrap_or(&NOTHING)
    }

    /// Position of the non-secure side.
    pub const fn agent() -> usize {
        T.saturating_sub(2)
    }

    /// The thread that was chosen last.
    pub fn current(&self) -> usize {
        self.current
    }

    /// The most urgent thread that is ready; the idle thread always is.
    pub fn most_urgent(&self) -> usize {
        (self.ready.trailing_zeros() as usize).min(T.saturating_sub(1))
    }

    pub(crate) fn set_state(&mut self, thread: usize, state: ThreadState) {
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.state = state;
        }
        let bit = 1 << (thread as u32 & 31);
        if matches!(state, ThreadState::Ready) {
            self.ready |= bit;
        } else {
            self.ready &= !bit;
        }
    }

    /// Chooses it.
    pub fn schedule(&mut self) -> usize {
        self.current = self.most_urgent();
        self.current
    }

    /// Carries out a call of the current thread.
    pub fn call<M: Machine>(&mut self, machine: &mut M, number: u32, args: [u32; 4]) -> Outcome {
        let thread = self.current;
        let [a, b, c, d] = args;
        match number {
            call::CALL => self.psa_call(machine, thread, a, b as i32, c),
            call::VERSION => self.psa_version(thread, a),
            call::CONNECT => self.psa_connect(machine, thread, a, b),
            call::CLOSE => self.psa_close(machine, thread, a),
            call::FAILURE => self.last_failure(machine, thread, Span { at: a, len: b }),
            // What follows is for partitions; the gateway has no way to ask for it.
            _ if thread >= Self::agent() => Outcome::Fault(Cause::Call),
            call::WAIT => self.psa_wait(thread, a, b),
            call::GET => self.psa_get(machine, thread, a, b),
            call::READ => self.psa_read(machine, thread, a, b, Span { at: c, len: d }),
            call::WRITE => self.psa_write(machine, thread, a, b, Span { at: c, len: d }),
            call::REPLY => self.psa_reply(machine, thread, a, b as i32),
            call::SKIP => self.psa_skip(thread, a, b, c),
            call::SET_RHANDLE => self.psa_set_rhandle(thread, a, b),
            call::NOTIFY => self.psa_notify(machine, a as i32),
            call::CLEAR => self.psa_clear(thread),
            call::EOI => self.psa_eoi(machine, thread, a),
            call::PANIC => Outcome::Fault(Cause::Panic),
            call::LIFECYCLE => Outcome::Return(self.lifecycle),
            call::IRQ_ENABLE => self.gate(machine, thread, a, true),
            call::IRQ_DISABLE => self.gate(machine, thread, a, false),
            call::PRINT => self.print(machine, thread, Span { at: a, len: b }),
            call::RESET => match self.tables().partitions.get(thread) {
                Some(partition) if partition.may_reset => Outcome::Reset,
                _ => Outcome::Fault(Cause::Call),
            },
            _ => Outcome::Fault(Cause::Call),
        }
    }

    /// A secure interrupt has come: closes it and tells its partition. `false` if nobody owns it.
    pub fn interrupt<M: Machine>(&mut self, machine: &mut M, number: u16) -> bool {
        let found = self.tables().interrupts.iter().find(|i| i.number == number).copied();
        machine.interrupt(number, false);
        if let Some(interrupt) = found {
            self.assert(machine, usize::from(interrupt.owner), interrupt.signal);
        }
        found.is_some()
    }

    /// Enables the interrupts that are enabled from the start.
    pub fn open_interrupts<M: Machine>(&self, machine: &mut M, owner: usize) {
        for interrupt in self.tables().interrupts {
            if usize::from(interrupt.owner) == owner {
                machine.interrupt(interrupt.number, interrupt.enabled);
            }
        }
    }

    fn psa_wait(&mut self, thread: usize, mask: u32, timeout: u32) -> Outcome {
        let known = self.tables().partitions.get(thread).map_or(0, |p| p.signals);
        if mask & known == 0 {
            return Outcome::Fault(Cause::Call);
        }
        let Some(me) = self.threads.get_mut(thread) else { return Outcome::Fault(Cause::Call) };
        me.busy = 0;
        let now = me.signals & mask;
        if now != 0 || timeout & BLOCK == 0 {
            return Outcome::Return(now);
        }
        self.set_state(thread, ThreadState::Waiting(mask));
        Outcome::Block
    }

    fn psa_notify<M: Machine>(&mut self, machine: &mut M, id: i32) -> Outcome {
        let Some(to) = self.tables().partitions.iter().position(|p| p.id == id) else {
            return Outcome::Fault(Cause::Call);
        };
        self.assert(machine, to, crate::status::DOORBELL);
        Outcome::Return(0)
    }

    fn psa_clear(&mut self, thread: usize) -> Outcome {
        self.take_signal(thread, crate::status::DOORBELL)
    }

    fn psa_eoi<M: Machine>(&mut self, machine: &mut M, thread: usize, signal: u32) -> Outcome {
        let Some(interrupt) = self.interrupt_of(thread, signal) else {
            return Outcome::Fault(Cause::Call);
        };
        let outcome = self.take_signal(thread, signal);
        if matches!(outcome, Outcome::Return(_)) {
            machine.interrupt(interrupt.number, true);
        }
        outcome
    }

    fn gate<M: Machine>(
        &mut self,
        machine: &mut M,
        thread: usize,
        signal: u32,
        open: bool,
    ) -> Outcome {
        match self.interrupt_of(thread, signal) {
            Some(interrupt) => {
                machine.interrupt(interrupt.number, open);
                Outcome::Return(0)
            }
            None => Outcome::Fault(Cause::Call),
        }
    }

    fn print<M: Machine>(&mut self, machine: &mut M, thread: usize, text: Span) -> Outcome {
        if text.len > MAX_PRINT || !self.allows(machine, thread, text, Access::Read) {
            return Outcome::Fault(Cause::Call);
        }
        machine.print(thread, text);
        Outcome::Return(0)
    }

    fn last_failure<M: Machine>(&self, machine: &mut M, thread: usize, to: Span) -> Outcome {
        let fits = to.len == 16 && to.at.is_multiple_of(4);
        if !fits || !self.allows(machine, thread, to, Access::Write) {
            return self.offence(machine, thread, call::FAILURE, crate::status::PROGRAMMER_ERROR);
        }
        for (word, at) in self.failure.iter().zip((to.at..).step_by(4)) {
            machine.store(at, *word);
        }
        Outcome::Return(0)
    }

    fn interrupt_of(&self, thread: usize, signal: u32) -> Option<Interrupt> {
        let mine = |i: &&Interrupt| usize::from(i.owner) == thread && i.signal == signal;
        self.tables().interrupts.iter().find(mine).copied()
    }

    fn take_signal(&mut self, thread: usize, signal: u32) -> Outcome {
        match self.threads.get_mut(thread) {
            Some(me) if me.signals & signal != 0 => {
                me.signals &= !signal;
                Outcome::Return(0)
            }
            _ => Outcome::Fault(Cause::Call),
        }
    }

    /// Sets signals of a partition and wakes it if it waits for one.
    pub(crate) fn assert<M: Machine>(&mut self, machine: &mut M, to: usize, signals: u32) {
        let Some(thread) = self.threads.get_mut(to) else { return };
        thread.signals |= signals;
        if let ThreadState::Waiting(mask) = thread.state
            && mask & thread.signals != 0
        {
            let signals = mask & thread.signals;
            self.set_state(to, ThreadState::Ready);
            machine.result(to, signals);
        }
    }

    /// A caller broke a rule: the manifest says whether it is told or the device resets.
    pub(crate) fn offence<M: Machine>(
        &self,
        machine: &mut M,
        thread: usize,
        call: u32,
        status: i32,
    ) -> Outcome {
        machine.report(Event::Refused { thread, call });
        match self.on_error(thread) {
            OnError::Error => Outcome::status(status),
            OnError::Reset => Outcome::Reset,
        }
    }

    pub(crate) fn on_error(&self, thread: usize) -> OnError {
        let partition = self.tables().partitions.get(thread);
        partition.map_or(self.tables().nonsecure.on_error, |p| p.on_error)
    }

    /// Whether this thread may itself access the range. An empty range is always allowed.
    pub(crate) fn allows<M: Machine>(
        &self,
        machine: &M,
        thread: usize,
        span: Span,
        access: Access,
    ) -> bool {
        if span.len == 0 {
            return true;
        }
        match self.tables().partitions.get(thread) {
            Some(Partition { ram, code, .. }) => {
                ram.holds(span) || (access == Access::Read && code.holds(span))
            }
            None => thread == Self::agent() && machine.nonsecure(span, access),
        }
    }

    /// The service, if this thread may call it.
    pub(crate) fn service_for(&self, thread: usize, sid: u32) -> Option<(usize, &'t Service)> {
        let (index, service) =
            self.tables().services.iter().enumerate().find(|(_, service)| service.sid == sid)?;
        self.may_call(thread, service).then_some((index, service))
    }

    pub(crate) fn may_call(&self, thread: usize, service: &Service) -> bool {
        if thread == Self::agent() {
            service.nonsecure
        } else {
            thread < 32 && service.callers & (1 << thread) != 0
        }
    }

    pub(crate) fn service(&self, index: u8) -> Option<&'t Service> {
        self.tables().services.get(usize::from(index))
    }

    /// The stateless service that a handle names.
    pub(crate) fn stateless(&self, handle: u32) -> Option<(usize, &'t Service)> {
        let index = ((handle & !STATELESS) as usize).checked_sub(1)?;
        let service = self.tables().services.get(index)?;
        (handle & STATELESS != 0 && service.stateless).then_some((index, service))
    }
}

/// Before [`Core::start`].
static NOTHING: Tables = Tables {
    partitions: &[],
    services: &[],
    interrupts: &[],
    nonsecure: Nonsecure { on_fault: OnFault::Reset, on_error: OnError::Reset, slots: 0 },
};

impl<const T: usize, const S: usize> Default for Core<'_, T, S> {
    fn default() -> Self {
        Self::new()
    }
}

/// Most bytes of a line.
const MAX_PRINT: u32 = 128;
