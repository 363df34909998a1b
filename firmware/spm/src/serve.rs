//! The calls of partitions about their messages.

use crate::call::{clear_vectors, connection_handle, free};
use crate::core::{Access, Core, Machine, Outcome, Slot, SlotState, Span, ThreadState};
use crate::fail::Cause;
use crate::status::{
    CONNECT, CONNECTION_BUSY, CONNECTION_REFUSED, DISCONNECT, DOES_NOT_EXIST, MESSAGE,
    NONSECURE_CLIENT, PROGRAMMER_ERROR, SUCCESS,
};
use crate::tables::OnError;

const FAULT: Outcome = Outcome::Fault(Cause::Call);

impl<const T: usize, const S: usize> Core<'_, T, S> {
    pub(crate) fn psa_get<M: Machine>(
        &mut self,
        machine: &mut M,
        thread: usize,
        signal: u32,
        to: u32,
    ) -> Outcome {
        let place = Span { at: to, len: 48 };
        let is_asserted = self.threads.get(thread).is_some_and(|me| me.signals & signal != 0);
        if !is_asserted
            || signal.count_ones() != 1
            || !to.is_multiple_of(4)
            || !self.allows(machine, thread, place, Access::Write)
            || !self.tables().services.iter().any(|s| owned(s.owner, thread) && s.signal == signal)
        {
            return FAULT;
        }
        let mut waiting = 0;
        let mut first: Option<(usize, u32)> = None;
        for (index, slot) in self.slots.iter().enumerate() {
            let mine = slot.state == SlotState::Queued
                && self
                    .service(slot.service)
                    .is_some_and(|s| owned(s.owner, thread) && s.signal == signal);
            if mine {
                waiting += 1;
                // The counter of arrivals may have wrapped: the age decides, not the number.
                let age = self.arrivals.wrapping_sub(slot.arrival);
                if first.is_none_or(|(_, oldest)| age > oldest) {
                    first = Some((index, age));
                }
            }
        }
        if waiting <= 1
            && let Some(me) = self.threads.get_mut(thread)
        {
            me.signals &= !signal;
        }
        let Some((index, _)) = first else { return Outcome::status(DOES_NOT_EXIST) };
        let client_id = |slot: &Slot| {
            let client = self.tables().partitions.get(usize::from(slot.client));
            client.map_or(NONSECURE_CLIENT, |client| client.id)
        };
        let Some(slot) = self.slots.get(index) else { return FAULT };
        let head = [
            slot.kind as u32,
            message_handle(index, slot.generation),
            client_id(slot) as u32,
            slot.rhandle,
        ];
        let sizes = slot.ins.iter().chain(&slot.outs).map(|vector| vector.left);
        for (value, at) in head.into_iter().chain(sizes).zip((to..).step_by(4)) {
            machine.store(at, value);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.state = SlotState::Active;
        }
        Outcome::status(SUCCESS)
    }

    pub(crate) fn psa_set_rhandle(&mut self, thread: usize, handle: u32, value: u32) -> Outcome {
        match self.message(thread, handle) {
            Some(index) => {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.rhandle = value;
                }
                Outcome::Return(0)
            }
            None => FAULT,
        }
    }

    pub(crate) fn psa_read<M: Machine>(
        &mut self,
        machine: &mut M,
        thread: usize,
        handle: u32,
        vector: u32,
        buffer: Span,
    ) -> Outcome {
        if !self.allows(machine, thread, buffer, Access::Write) {
            return FAULT;
        }
        let slot = self.request(thread, handle);
        let Some(vector) = slot.and_then(|slot| slot.ins.get_mut(vector as usize)) else {
            return FAULT;
        };
        let step = vector.left.min(buffer.len);
        machine.copy(vector.at, buffer.at, step);
        vector.at = vector.at.wrapping_add(step);
        vector.left -= step;
        Outcome::Return(step)
    }

    pub(crate) fn psa_skip(
        &mut self,
        thread: usize,
        handle: u32,
        vector: u32,
        len: u32,
    ) -> Outcome {
        let slot = self.request(thread, handle);
        let Some(vector) = slot.and_then(|slot| slot.ins.get_mut(vector as usize)) else {
            return FAULT;
        };
        let step = vector.left.min(len);
        vector.at = vector.at.wrapping_add(step);
        vector.left -= step;
        Outcome::Return(step)
    }

    pub(crate) fn psa_write<M: Machine>(
        &mut self,
        machine: &mut M,
        thread: usize,
        handle: u32,
        vector: u32,
        buffer: Span,
    ) -> Outcome {
        if !self.allows(machine, thread, buffer, Access::Read) {
            return FAULT;
        }
        let Some(slot) = self.request(thread, handle) else { return FAULT };
        let gone = slot.orphan;
        let Some(vector) = slot.outs.get_mut(vector as usize) else { return FAULT };
        if gone {
            // The client is gone and so are its vectors: nobody to write to, nothing to punish.
            return Outcome::Return(0);
        }
        if buffer.len > vector.left {
            return FAULT;
        }
        machine.copy(buffer.at, vector.at, buffer.len);
        vector.at = vector.at.wrapping_add(buffer.len);
        vector.left -= buffer.len;
        vector.done += buffer.len;
        Outcome::Return(0)
    }

    pub(crate) fn psa_reply<M: Machine>(
        &mut self,
        machine: &mut M,
        thread: usize,
        handle: u32,
        status: i32,
    ) -> Outcome {
        let found = self.message(thread, handle);
        let Some(index) = found else { return FAULT };
        let Some(slot) = self.slots.get(index).copied() else { return FAULT };
        let Some(service) = self.service(slot.service) else { return FAULT };
        match slot.kind {
            CONNECT => match status {
                SUCCESS if slot.orphan => self.queue(machine, index, DISCONNECT, &service),
                SUCCESS => {
                    self.set(index, SlotState::Idle);
                    self.answer(machine, &slot, connection_handle(index, slot.generation));
                }
                CONNECTION_REFUSED | CONNECTION_BUSY => {
                    self.release(index);
                    self.answer(machine, &slot, status as u32);
                }
                _ => return FAULT,
            },
            DISCONNECT => {
                self.release(index);
                self.answer(machine, &slot, 0);
            }
            _ => {
                if !slot.orphan {
                    let lens = slot.outs.iter().take(slot.out_count as usize);
                    for (vector, at) in lens.zip((slot.out_at..).step_by(8)) {
                        machine.store(at.wrapping_add(4), vector.done);
                    }
                }
                if service.stateless {
                    self.release(index);
                } else if slot.orphan {
                    self.queue(machine, index, DISCONNECT, &service);
                } else if status == PROGRAMMER_ERROR {
                    self.set(index, SlotState::Condemned);
                } else {
                    self.set(index, SlotState::Idle);
                }
                self.answer(machine, &slot, status as u32);
                let client = usize::from(slot.client);
                let fatal = self.on_error(client) == OnError::Reset;
                if status == PROGRAMMER_ERROR && !slot.orphan && fatal {
                    return Outcome::Reset;
                }
            }
        }
        Outcome::Return(0)
    }

    /// Lets the client of a message go on with this result.
    pub(crate) fn answer<M: Machine>(&mut self, machine: &mut M, slot: &Slot, value: u32) {
        let client = usize::from(slot.client);
        let Some(thread) = self.threads.get_mut(client).filter(|_| !slot.orphan) else { return };
        if matches!(thread.state, ThreadState::Calling(_)) {
            thread.state = ThreadState::Ready;
            machine.result(client, value);
        }
    }

    fn set(&mut self, index: usize, state: SlotState) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.state = state;
            clear_vectors(slot);
        }
    }

    pub(crate) fn release(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            free(slot);
        }
    }

    /// The message that this partition holds under this handle.
    fn message(&self, thread: usize, handle: u32) -> Option<usize> {
        let index = ((handle & 0xff) as usize).checked_sub(1)?;
        let slot = self.slots.get(index)?;
        let fits = slot.state == SlotState::Active
            && handle == message_handle(index, slot.generation)
            && self.service(slot.service).is_some_and(|s| owned(s.owner, thread));
        fits.then_some(index)
    }

    /// The same, for a call: a connection comes and goes without vectors.
    fn request(&mut self, thread: usize, handle: u32) -> Option<&mut Slot> {
        let index = self.message(thread, handle)?;
        self.slots.get_mut(index).filter(|slot| slot.kind >= 0)
    }
}

fn owned(owner: u8, thread: usize) -> bool {
    usize::from(owner) == thread
}

fn message_handle(index: usize, generation: u32) -> u32 {
    MESSAGE | connection_handle(index, generation)
}
