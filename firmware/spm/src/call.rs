//! The calls of clients: version, connect, call, close.

use crate::core::{Access, Core, Machine, Outcome, Slot, SlotState, Span, ThreadState, Vector};
use crate::status::{
    COMMUNICATION_FAILURE, CONNECT, CONNECTION_BUSY, CONNECTION_REFUSED, DISCONNECT, MAX_IOVEC,
    PROGRAMMER_ERROR, call,
};
use crate::tables::Service;

impl<'t, const T: usize, const S: usize> Core<'t, T, S> {
    pub(crate) fn psa_version(&self, thread: usize, sid: u32) -> Outcome {
        Outcome::Return(self.service_for(thread, sid).map_or(0, |(_, service)| service.version))
    }

    pub(crate) fn psa_connect<M: Machine>(
        &mut self,
        machine: &mut M,
        thread: usize,
        sid: u32,
        version: u32,
    ) -> Outcome {
        let wanted = self.service_for(thread, sid).filter(|(_, service)| {
            let fits = version == service.version || !service.strict && version < service.version;
            fits && version != 0 && !service.stateless
        });
        let Some((index, service)) = wanted else {
            return self.offence(machine, thread, call::CONNECT, CONNECTION_REFUSED);
        };
        if self.is_stopped(service) {
            return Outcome::status(CONNECTION_REFUSED);
        }
        match self.take_slot(thread, index) {
            Some(slot) => self.send(machine, thread, slot, CONNECT, service),
            None => Outcome::status(CONNECTION_BUSY),
        }
    }

    pub(crate) fn psa_call<M: Machine>(
        &mut self,
        machine: &mut M,
        thread: usize,
        handle: u32,
        kind: i32,
        arguments: u32,
    ) -> Outcome {
        let wrong = PROGRAMMER_ERROR;
        let Some(vectors) = self.vectors(machine, thread, arguments).filter(|_| kind >= 0) else {
            return self.offence(machine, thread, call::CALL, wrong);
        };
        let found = if let Some((index, service)) = self.stateless(handle) {
            if !self.may_call(thread, service) {
                return self.offence(machine, thread, call::CALL, wrong);
            }
            if self.is_stopped(service) {
                return Outcome::status(CONNECTION_REFUSED);
            }
            match self.take_slot(thread, index) {
                Some(slot) => Some((slot, service)),
                None => return Outcome::status(CONNECTION_BUSY),
            }
        } else {
            let slot = self.connection(thread, handle);
            match slot.and_then(|slot| self.slots.get(slot)).map(|slot| slot.state) {
                Some(SlotState::Dead) => return Outcome::status(COMMUNICATION_FAILURE),
                Some(SlotState::Idle) => slot.and_then(|slot| {
                    let service = self.service(self.slots.get(slot)?.service)?;
                    Some((slot, service))
                }),
                _ => None,
            }
        };
        let Some((index, service)) = found else {
            return self.offence(machine, thread, call::CALL, wrong);
        };
        if let Some(slot) = self.slots.get_mut(index) {
            slot.vectors = vectors.all;
            slot.in_count = vectors.in_count;
            slot.out_count = vectors.out_count;
            slot.out_at = vectors.out_at;
        }
        self.send(machine, thread, index, kind, service)
    }

    pub(crate) fn psa_close<M: Machine>(
        &mut self,
        machine: &mut M,
        thread: usize,
        handle: u32,
    ) -> Outcome {
        if handle == 0 {
            return Outcome::Return(0);
        }
        let index = self.connection(thread, handle);
        let slot = index.and_then(|index| self.slots.get_mut(index));
        let Some((index, slot)) = index.zip(slot) else {
            return self.offence(machine, thread, call::CLOSE, PROGRAMMER_ERROR);
        };
        match slot.state {
            SlotState::Dead => {
                free(slot);
                Outcome::Return(0)
            }
            SlotState::Idle | SlotState::Condemned => {
                let service = slot.service;
                slot.clear();
                match self.service(service) {
                    Some(service) => self.send(machine, thread, index, DISCONNECT, service),
                    None => Outcome::Return(0),
                }
            }
            _ => self.offence(machine, thread, call::CLOSE, PROGRAMMER_ERROR),
        }
    }

    /// Queues the message of a slot; its client waits.
    fn send<M: Machine>(
        &mut self,
        machine: &mut M,
        thread: usize,
        index: usize,
        kind: i32,
        service: &'t Service,
    ) -> Outcome {
        self.queue(machine, index, kind, service);
        self.set_state(thread, ThreadState::Calling(index));
        Outcome::Block
    }

    /// Queues a message for its partition.
    pub(crate) fn queue<M: Machine>(
        &mut self,
        machine: &mut M,
        index: usize,
        kind: i32,
        service: &'t Service,
    ) {
        self.arrivals = self.arrivals.wrapping_add(1);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.state = SlotState::Queued;
            slot.kind = kind;
            slot.arrival = self.arrivals;
            slot.age = 0;
        }
        self.assert(machine, usize::from(service.owner), service.signal);
    }

    /// Reads the descriptors of a call, each word once, and checks what they name.
    fn vectors<M: Machine>(&self, machine: &M, thread: usize, at: u32) -> Option<Vectors> {
        let words = Span { at, len: 16 };
        if !at.is_multiple_of(4) || !self.allows(machine, thread, words, Access::Read) {
            return None;
        }
        let [in_at, in_count, out_at, out_count] = machine.load_four(at);
        if in_count > MAX_IOVEC || out_count > MAX_IOVEC - in_count {
            return None;
        }
        let mut all = [Vector::default(); 4];
        let (ins, rest) = all.split_at_mut_checked(in_count as usize)?;
        let outs = rest.get_mut(..out_count as usize)?;
        let good = self.array(machine, thread, in_at, ins, Access::Read)
            && self.array(machine, thread, out_at, outs, Access::Write);
        good.then_some(Vectors { all, in_count, out_count, out_at })
    }

    fn array<M: Machine>(
        &self,
        machine: &M,
        thread: usize,
        at: u32,
        vectors: &mut [Vector],
        access: Access,
    ) -> bool {
        if vectors.is_empty() {
            return true;
        }
        // The lengths of output vectors are written back: the array itself must be writable.
        let all = Span { at, len: vectors.len() as u32 * 8 };
        if !at.is_multiple_of(4) || !self.allows(machine, thread, all, access) {
            return false;
        }
        for (vector, at) in vectors.iter_mut().zip((at..).step_by(8)) {
            let span = Span { at: machine.load(at), len: machine.load(at.wrapping_add(4)) };
            if !self.allows(machine, thread, span, access) {
                return false;
            }
            *vector = Vector { at: span.at, left: span.len, done: 0 };
        }
        true
    }

    /// The slot that this thread's handle names.
    fn connection(&self, thread: usize, handle: u32) -> Option<usize> {
        let index = ((handle & 0xff) as usize).checked_sub(1)?;
        let slot = self.slots.get(index)?;
        let fits = slot.state != SlotState::Free
            && usize::from(slot.client) == thread
            && !slot.orphan
            && handle == connection_handle(index, slot.generation);
        let stateless = self.service(slot.service).is_none_or(|service| service.stateless);
        (fits && !stateless).then_some(index)
    }

    fn take_slot(&mut self, thread: usize, service: usize) -> Option<usize> {
        if thread == Self::agent() {
            let is_theirs =
                |slot: &&Slot| slot.state != SlotState::Free && usize::from(slot.client) == thread;
            let held = self.slots.iter().filter(is_theirs).count();
            if held >= usize::from(self.tables().nonsecure.slots) {
                return None;
            }
        }
        let index = self.slots.iter().position(|slot| slot.state == SlotState::Free)?;
        let slot = self.slots.get_mut(index)?;
        slot.service = service as u8;
        slot.client = thread as u8;
        slot.orphan = false;
        slot.rhandle = 0;
        slot.clear();
        Some(index)
    }

    fn is_stopped(&self, service: &Service) -> bool {
        let owner = self.threads.get(usize::from(service.owner));
        owner.is_none_or(|owner| owner.state == ThreadState::Stopped)
    }
}

struct Vectors {
    all: [Vector; 4],
    in_count: u32,
    out_count: u32,
    out_at: u32,
}

/// The handle of a connection: positive, the slot below, its generation above.
pub(crate) fn connection_handle(index: usize, generation: u32) -> u32 {
    (generation & 0x1f_ffff) << 8 | (index as u32 + 1) & 0xff
}

/// Frees a slot: the next user gets another generation.
pub(crate) fn free(slot: &mut Slot) {
    slot.state = SlotState::Free;
    slot.orphan = false;
    slot.generation = slot.generation % 0x1f_ffff + 1;
    slot.clear();
}
