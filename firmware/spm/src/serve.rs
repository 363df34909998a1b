//! The calls of partitions about their messages.

use crate::call::{connection_handle, free};
use crate::core::{Access, Core, Machine, Outcome, Slot, SlotState, Span, Thread, ThreadState};
use crate::fail::Cause;
use crate::status::{
    CONNECT, CONNECTION_BUSY, CONNECTION_REFUSED, DISCONNECT, DOES_NOT_EXIST, MESSAGE,
    NONSECURE_CLIENT, PROGRAMMER_ERROR, SUCCESS,
};
use crate::tables::{OnError, Service};

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
        let is_mine = |s: &Service| owned(s.owner, thread) && s.signal == signal;
        if waiting == 0 && !self.tables().services.iter().any(is_mine) {
            return FAULT;
        }
        if waiting <= 1
            && let Some(me) = self.threads.get_mut(thread)
        {
            me.signals &= !signal;
        }
        let Some((index, _)) = first else { return Outcome::status(DOES_NOT_EXIST) };
        let partitions = self.tables().partitions;
        let Some(slot) = self.slots.get_mut(index) else { return FAULT };
        slot.state = SlotState::Active;
        let client = partitions.get(usize::from(slot.client));
        let id = client.map_or(NONSECURE_CLIENT, |client| client.id);
        let mut message = [0; 12];
        let [kind, handle, client_id, rhandle, sizes @ ..] = &mut message;
        *kind = slot.kind as u32;
        *handle = message_handle(index, slot.generation);
        *client_id = id as u32;
        *rhandle = slot.rhandle;
        let (ins, outs) = sizes.split_at_mut(4);
        let (given, rest) =
            slot.vectors.split_at_checked(slot.in_count as usize).unwrap_or_default();
        for (size, vector) in ins.iter_mut().zip(given) {
            *size = vector.left;
        }
        for (size, vector) in outs.iter_mut().zip(rest).take(slot.out_count as usize) {
            *size = vector.left;
        }
        machine.store_message(to, &message);
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
        let Some(vector) = slot.and_then(|slot| slot.input(vector)) else {
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
        let Some(vector) = slot.and_then(|slot| slot.input(vector)) else {
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
        let Some(vector) = slot.output(vector) else { return FAULT };
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
        let Some(slot) = self.slots.get(index) else { return FAULT };
        let Some(service) = self.service(slot.service) else { return FAULT };
        let (kind, orphan, client) = (slot.kind, slot.orphan, slot.client);
        let waiting = (!orphan).then_some(usize::from(client));
        match kind {
            CONNECT => match status {
                SUCCESS if orphan => self.queue(machine, index, DISCONNECT, service),
                SUCCESS => {
                    let handle = connection_handle(index, slot.generation);
                    self.set(index, SlotState::Idle);
                    self.answer(machine, waiting, handle);
                }
                CONNECTION_REFUSED | CONNECTION_BUSY => {
                    self.release(index);
                    self.answer(machine, waiting, status as u32);
                }
                _ => return FAULT,
            },
            DISCONNECT => {
                self.release(index);
                self.answer(machine, waiting, 0);
            }
            _ => {
                let first = slot.in_count as usize;
                let outs = slot.vectors.iter().skip(first).take(slot.out_count as usize);
                for (vector, at) in outs.zip((slot.out_at..).step_by(8)) {
                    machine.store(at.wrapping_add(4), vector.done);
                }
                if service.stateless {
                    self.release(index);
                } else if orphan {
                    self.queue(machine, index, DISCONNECT, service);
                } else if status == PROGRAMMER_ERROR {
                    self.set(index, SlotState::Condemned);
                } else {
                    self.set(index, SlotState::Idle);
                }
                self.answer(machine, waiting, status as u32);
                let fatal = self.on_error(usize::from(client)) == OnError::Reset;
                if status == PROGRAMMER_ERROR && !orphan && fatal {
                    return Outcome::Reset;
                }
            }
        }
        Outcome::Return(0)
    }

    /// Lets the client of a message go on with this result.
    pub(crate) fn answer<M: Machine>(
        &mut self,
        machine: &mut M,
        client: Option<usize>,
        value: u32,
    ) {
        let Some(client) = client else { return };
        let calls = |thread: &Thread| matches!(thread.state, ThreadState::Calling(_));
        if self.threads.get(client).is_some_and(calls) {
            self.set_state(client, ThreadState::Ready);
            machine.result(client, value);
        }
    }

    fn set(&mut self, index: usize, state: SlotState) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.state = state;
            slot.clear();
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
