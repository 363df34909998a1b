//! What becomes of a partition that fails, and of those who deal with it.

use crate::core::{Core, Event, Fate, Machine, Slot, SlotState, ThreadState};
use crate::status::{COMMUNICATION_FAILURE, CONNECT, CONNECTION_REFUSED, DISCONNECT};
use crate::tables::OnFault;

/// Why a thread failed. The numbers are those of the failure record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Cause {
    /// `psa_panic`.
    Panic = 1,
    /// A call that breaks a rule for partitions.
    Call = 2,
    /// An access that the MPU refuses.
    Memory = 3,
    /// An access that the bus refuses.
    Bus = 4,
    /// An instruction that cannot be carried out.
    Usage = 5,
    /// The stack limit.
    Stack = 6,
    /// A breach of the border between Secure and Non-secure.
    Secure = 7,
    /// A message was not answered, or the partition did not wait, in time.
    Deadline = 8,
}

impl<const T: usize, const S: usize> Core<'_, T, S> {
    /// A thread has failed. `true` when the device has to reset.
    pub fn fail<M: Machine>(&mut self, machine: &mut M, thread: usize, cause: Cause) -> bool {
        let partition = self.tables().partitions.get(thread);
        let on_fault = partition.map_or(self.tables().nonsecure.on_fault, |p| p.on_fault);
        let limit = partition.map_or(u16::MAX, |p| p.restarts);
        let Some(me) = self.threads.get_mut(thread) else { return true };
        me.generation = me.generation.wrapping_add(1);
        let fate = match on_fault {
            OnFault::Reset => Fate::Reset,
            OnFault::Restart if me.restarts >= limit => Fate::Stopped,
            OnFault::Restart => Fate::Restarted,
        };
        let generation = me.generation;
        me.restarts = me.restarts.saturating_add(1);
        me.signals = 0;
        me.busy = 0;
        let goes_on = fate == Fate::Restarted;
        self.set_state(thread, if goes_on { ThreadState::Ready } else { ThreadState::Stopped });
        let id = partition.map_or(crate::status::NONSECURE_CLIENT, |p| p.id);
        let [.., count] = self.failure;
        self.failure = [id as u32, cause as u32, generation, count.wrapping_add(1)];
        machine.report(Event::Failed { thread, cause, generation, fate });
        if fate == Fate::Reset {
            return true;
        }
        for interrupt in self.tables().interrupts {
            if usize::from(interrupt.owner) == thread {
                machine.interrupt(interrupt.number, false);
            }
        }
        for index in 0..S {
            self.part_with(machine, index, thread);
        }
        if fate == Fate::Restarted {
            machine.restart(thread);
            self.open_interrupts(machine, thread);
        }
        false
    }

    /// How many failures there were.
    pub fn failures(&self) -> u32 {
        let [.., count] = self.failure;
        count
    }

    /// A tick of `ms` milliseconds has passed. `true` when the device has to reset.
    pub fn tick<M: Machine>(&mut self, machine: &mut M, ms: u32) -> bool {
        let current = self.current;
        let mut late = None;
        let partitions = self.tables().partitions;
        if let Some((me, partition)) = self.threads.get_mut(current).zip(partitions.get(current)) {
            me.busy = me.busy.saturating_add(ms);
            if me.busy > partition.deadline_ms {
                late = Some(current);
            }
        }
        for index in 0..S {
            let Some(slot) = self.slots.get_mut(index) else { continue };
            if !matches!(slot.state, SlotState::Queued | SlotState::Active) {
                continue;
            }
            slot.age = slot.age.saturating_add(ms);
            let (age, service) = (slot.age, slot.service);
            let Some(owner) = self.service(service).map(|s| usize::from(s.owner)) else { continue };
            let deadline = self.tables().partitions.get(owner).map_or(u32::MAX, |p| p.deadline_ms);
            // Where one waits for another, the one at the end of the chain is late.
            let waits =
                self.threads.get(owner).is_some_and(|t| matches!(t.state, ThreadState::Calling(_)));
            if age > deadline && !waits && late.is_none() {
                late = Some(owner);
            }
        }
        late.is_some_and(|thread| self.fail(machine, thread, Cause::Deadline))
    }

    /// Takes a thread that failed out of a slot, as its partition or as its client.
    fn part_with<M: Machine>(&mut self, machine: &mut M, index: usize, thread: usize) {
        let Some(slot) = self.slots.get(index).copied() else { return };
        let Some(service) = self.service(slot.service) else { return };
        let served = usize::from(service.owner) == thread;
        let calling = usize::from(slot.client) == thread && !slot.orphan;
        match slot.state {
            SlotState::Free => {}
            _ if served && (calling || slot.orphan) => self.release(index),
            SlotState::Dead if calling => self.release(index),
            SlotState::Idle | SlotState::Condemned if served => self.bury(index),
            SlotState::Idle | SlotState::Condemned if calling => {
                self.abandon(index);
                self.queue(machine, index, DISCONNECT, service);
            }
            SlotState::Queued | SlotState::Active if served => {
                match slot.kind {
                    CONNECT | DISCONNECT => self.release(index),
                    _ if service.stateless => self.release(index),
                    _ => self.bury(index),
                }
                let waiting = (!slot.orphan).then_some(usize::from(slot.client));
                self.answer(machine, waiting, died(&slot));
            }
            SlotState::Queued if calling => match slot.kind {
                CONNECT => self.release(index),
                _ if service.stateless => self.release(index),
                _ => {
                    self.abandon(index);
                    self.queue(machine, index, DISCONNECT, service);
                }
            },
            SlotState::Active if calling => self.abandon(index),
            _ => {}
        }
    }

    /// The connection's partition is gone.
    fn bury(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.state = SlotState::Dead;
            slot.clear();
        }
    }

    /// The client is gone, and so is the memory that its vectors named.
    fn abandon(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.orphan = true;
            slot.clear();
        }
    }
}

/// What a client gets when the partition fails that it waits for.
fn died(slot: &Slot) -> u32 {
    let status = match slot.kind {
        CONNECT => CONNECTION_REFUSED,
        DISCONNECT => 0,
        _ => COMMUNICATION_FAILURE,
    };
    status as u32
}
