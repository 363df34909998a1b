//! Memory and contexts of threads.

use core::ptr::{copy, read_volatile, write_bytes, write_volatile};

use spm::{Access, Event, Fate, MPU_REGIONS, Machine, Span};

use crate::arch::{self, SEAL, Tick};
use crate::product::{BOARD, TABLES, THREADS};
use crate::{Rules, console};

/// What is kept of a thread that does not run. The assembly knows the order.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Context {
    registers: [u32; 8],
    psp: u32,
    exc_return: u32,
    psplim: u32,
}

/// The hardware under the rules.
pub struct Hardware {
    contexts: [Context; THREADS],
    running: usize,
    is_started: bool,
    /// The thread on whose stack non-secure code was interrupted and waits for a partition.
    holder: Option<usize>,
    tick: Tick,
}

impl Hardware {
    /// Nothing runs yet.
    pub const fn new() -> Self {
        let none = Context { registers: [0; 8], psp: 0, exc_return: 0, psplim: 0 };
        Self {
            contexts: [none; THREADS],
            running: 0,
            is_started: false,
            holder: None,
            tick: Tick::Off,
        }
    }

    /// The context of a thread, to go on with.
    pub fn context(&self, thread: usize) -> *const Context {
        &raw const self.contexts[thread.min(THREADS - 1)]
    }

    /// Makes the next exception return go to this thread.
    pub fn switch(&mut self, next: usize) {
        if next == self.running && self.is_started {
            return;
        }
        self.is_started = true;
        let agent = Rules::agent();
        if self.running == agent || next == agent {
            arch::floating_point(next == agent);
        }
        arch::protect(match TABLES.partitions.get(next) {
            Some(partition) => &partition.mpu,
            None if next == agent => &BOARD.agent_mpu,
            None => &BOARD.idle_mpu,
        });
        // Non-secure code that was interrupted, rather than called, must not be entered again
        // before it goes on: its registers are kept here.
        let was_masked = self.holder.is_some();
        if self.holder == Some(next) {
            self.holder = None;
        } else if self.holder.is_none() && self.holds_nonsecure(self.running) {
            self.holder = Some(self.running);
        }
        if self.holder.is_some() != was_masked {
            arch::mask_nonsecure(!was_masked);
        }
        self.tick(if next == agent { Tick::Off } else { Tick::On });
        self.running = next;
        let context = &raw mut self.contexts[next.min(THREADS - 1)];
        unsafe extern "C" {
            static mut spm_context: *mut Context;
        }
        // SAFETY: the word that the assembly saves by; the contexts never move.
        unsafe { write_volatile(&raw mut spm_context, context) }
    }

    /// Has the tick come as it should from now on.
    pub fn tick(&mut self, tick: Tick) {
        if tick != self.tick {
            self.tick = tick;
            arch::ticking(tick);
        }
    }

    /// Whether the tick that has come now counts time. One that was wanted soon does not, and
    /// brings the usual ones back.
    pub fn tick_counts(&mut self) -> bool {
        let counts = self.tick == Tick::On;
        if self.tick == Tick::Soon {
            self.tick(if self.running == Rules::agent() { Tick::Off } else { Tick::On });
        }
        counts
    }

    /// Whether non-secure code was interrupted that ran on top of this thread.
    pub fn holds_nonsecure(&self, thread: usize) -> bool {
        let context = self.contexts.get(thread);
        context.is_some_and(|context| context.exc_return & arch::EXC_SECURE == 0)
    }

    /// Whether nothing but this call's own frame lies on the stack of the non-secure side.
    pub fn is_first_call(frame: u32, exc_return: u32) -> bool {
        let (_, top) = Self::stack(Rules::agent());
        let size = if exc_return & arch::EXC_NO_FP == 0 { 0xa8 } else { 0x20 };
        frame == top - 8 - size
    }

    fn stack(thread: usize) -> (u32, u32) {
        unsafe extern "C" {
            static __agent_stack_limit: u32;
            static __agent_stack_top: u32;
            static __idle_stack_limit: u32;
            static __idle_stack_top: u32;
        }
        match TABLES.partitions.get(thread) {
            Some(p) => (p.ram.at, p.ram.at + p.stack),
            None if thread == Rules::agent() => {
                (&raw const __agent_stack_limit as u32, &raw const __agent_stack_top as u32)
            }
            None => (&raw const __idle_stack_limit as u32, &raw const __idle_stack_top as u32),
        }
    }

    fn restart_nonsecure(&mut self) {
        // SAFETY: the vector table of the non-secure image, in memory of the board.
        let [sp, entry] = unsafe { read_volatile(BOARD.nonsecure_code.at as *const [u32; 2]) };
        let frame = sp.wrapping_sub(32) & !7;
        let fits = BOARD.nonsecure_ram.holds(Span { at: frame, len: 32 })
            && BOARD.nonsecure_code.holds(Span { at: entry & !1, len: 2 });
        let frame = if fits { frame } else { BOARD.nonsecure_ram.at };
        arch::reset_nonsecure(BOARD.nonsecure_code.at, frame, &BOARD.nonsecure_interrupts);
        // SAFETY: inside non-secure RAM. A wrong entry faults there, as it should.
        unsafe {
            write_volatile(
                frame as *mut [u32; 8],
                [0, 0, 0, 0, 0, u32::MAX, entry & !1, 0x0100_0000],
            );
        }
    }
}

impl Machine for Hardware {
    fn nonsecure(&self, span: Span, access: Access) -> bool {
        let Some(last) = span.at.checked_add(span.len.wrapping_sub(1)) else { return false };
        // Code and RAM: the first two regions. Devices are no place for a message.
        arch::nonsecure_range(span.at, last, access == Access::Write)
            .is_some_and(|region| region < 2)
    }

    fn load(&self, at: u32) -> u32 {
        // SAFETY: the rules have found the word accessible to its owner, and aligned.
        unsafe { read_volatile(at as *const u32) }
    }

    fn store(&mut self, at: u32, value: u32) {
        // SAFETY: as above. Memory of clients and partitions is never memory of the manager.
        unsafe { write_volatile(at as *mut u32, value) }
    }

    fn load_four(&self, at: u32) -> [u32; 4] {
        // SAFETY: as above, for four words.
        unsafe { read_volatile(at as *const [u32; 4]) }
    }

    fn store_message(&mut self, at: u32, message: &[u32; 12]) {
        // SAFETY: as above, for twelve words.
        unsafe { write_volatile(at as *mut [u32; 12], *message) }
    }

    fn copy(&mut self, from: u32, to: u32, len: u32) {
        if len > 0 {
            // SAFETY: as above, for both ranges; they may overlap.
            unsafe { copy(from as *const u8, to as *mut u8, len as usize) }
        }
    }

    fn result(&mut self, thread: usize, value: u32) {
        if let Some(context) = self.contexts.get(thread) {
            // SAFETY: a thread that called stands on the frame of its call, which the hardware
            // wrote to its own stack above the limit.
            unsafe { write_volatile(context.psp as *mut u32, value) }
        }
    }

    fn restart(&mut self, thread: usize) {
        unsafe extern "C" {
            fn spm_idle();
        }
        let (limit, top) = Self::stack(thread);
        let mut entry = spm_idle as *const () as u32;
        // SAFETY: the memory of this thread, which does not run; the generator has placed it and
        // the initial data, disjoint and inside the board's memory.
        unsafe {
            write_bytes(limit as *mut u8, 0xa5, (top - limit) as usize);
            if let Some(p) = TABLES.partitions.get(thread) {
                write_bytes(top as *mut u8, 0, (p.ram.len - p.stack) as usize);
                copy(p.data_from as *const u8, p.data.at as *mut u8, p.data.len as usize);
                entry = p.entry;
            }
            write_volatile((top - 8) as *mut [u32; 2], [SEAL; 2]);
        }
        let mut psp = top - 8;
        let mut exc_return = arch::TO_NONSECURE_THREAD;
        if thread == Rules::agent() {
            self.restart_nonsecure();
        } else {
            exc_return = arch::TO_SECURE_THREAD;
            psp -= 32;
            // SAFETY: on the thread's own stack, whose least size the generator has checked.
            unsafe {
                write_volatile(
                    psp as *mut [u32; 8],
                    [0, 0, 0, 0, 0, u32::MAX, entry & !1, 0x0100_0000],
                );
            }
        }
        if let Some(context) = self.contexts.get_mut(thread) {
            *context = Context { registers: [0; 8], psp, exc_return, psplim: limit };
        }
    }

    fn interrupt(&mut self, number: u16, open: bool) {
        arch::interrupt(number, open);
    }

    fn report(&mut self, event: Event) {
        match event {
            Event::Failed { thread, cause, generation, fate } => {
                console::begin(match fate {
                    Fate::Restarted => "restarted ",
                    Fate::Stopped => "stopped ",
                    Fate::Reset => "resets for ",
                });
                console::text(name(thread));
                console::fact("cause", cause as u32);
                console::fact("generation", generation);
                console::end();
                let [.., count] = recall();
                let id = TABLES.partitions.get(thread).map_or(-1, |p| p.id);
                remember([id as u32, cause as u32, generation, count.wrapping_add(1)]);
            }
            Event::Refused { thread, call } => {
                console::begin("refused ");
                console::text(name(thread));
                console::fact("call", call);
                console::end();
            }
        }
    }

    fn print(&mut self, thread: usize, text: Span) {
        console::text(name(thread));
        console::text(": ");
        for offset in 0..text.len {
            // SAFETY: the rules have found the range readable to its owner.
            let byte = unsafe { read_volatile((text.at + offset) as *const u8) };
            mps2::send(if byte == b'\n' || byte.is_ascii_graphic() { byte } else { b' ' });
        }
        console::end();
    }
}

fn name(thread: usize) -> &'static str {
    TABLES.partitions.get(thread).map_or("nonsecure", |p| p.name)
}

/// The eight words that the hardware stacked first.
pub fn frame(at: u32) -> [u32; 8] {
    // SAFETY: the stack of the thread that was interrupted, on which the hardware wrote them.
    unsafe { *(at as *const [u32; 8]) }
}

/// The record of the last failure, which a warm reset does not touch.
pub fn recall() -> [u32; 4] {
    // SAFETY: memory of the manager that no image is loaded over.
    let [magic, record @ ..] = unsafe { read_volatile(BOARD.retained as *const [u32; 5]) };
    if magic == RETAINED { record } else { [0; 4] }
}

/// Keeps the record of a failure over a warm reset.
pub fn remember([id, cause, generation, count]: [u32; 4]) {
    // SAFETY: as above.
    unsafe {
        write_volatile(BOARD.retained as *mut [u32; 5], [RETAINED, id, cause, generation, count]);
    }
}

const RETAINED: u32 = 0x4c41_4652;
const _: () = assert!(MPU_REGIONS == 8);
