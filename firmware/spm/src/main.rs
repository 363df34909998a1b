//! The secure image's core: what the hardware asks of the rules in the library.
//!
//! Unsafe code is in these files only: `arch.rs` (assembly and registers), `machine.rs` (memory of
//! others, after the rules have checked it), `setup.rs` (the border) and this one (one static).
//!
//! Everything here runs in Secure handler mode, at one priority above all that is Non-secure:
//! nothing of it is ever interrupted by anything but its own failure, which resets the device.

#![no_std]
#![no_main]
#![allow(unsafe_code)]

mod arch;
mod console;
mod machine;
mod setup;

use machine::{Context, Hardware};
use spm::{Cause, Core, Machine, Outcome, status};

/// What the generator made of the manifest.
mod product {
    use super::setup::Board;
    use spm::*;
    include!(concat!(env!("RINGFORT_TABLES"), "/tables.rs"));
}

use product::{SLOTS, TABLES, THREADS};

type Rules = Core<'static, THREADS, SLOTS>;

struct Manager {
    rules: Rules,
    hardware: Hardware,
}

static mut MANAGER: Manager = Manager { rules: Rules::new(), hardware: Hardware::new() };

/// The manager.
///
/// # Safety
/// Nobody else holds it: the caller is the only code of the manager that runs.
unsafe fn manager() -> &'static mut Manager {
    let place = &raw mut MANAGER;
    // SAFETY: initialised, and nobody else holds it, as the caller says.
    unsafe { &mut *place }
}

/// From reset: draws the border, starts every partition and the non-secure side.
#[unsafe(no_mangle)]
extern "C" fn spm_main() -> *const Context {
    let handoff = setup::handoff();
    console::open();
    let failure = machine::recall();
    if let [id, cause, generation, count] = failure
        && count > 0
    {
        console::line(
            "before the reset",
            &[("id", id), ("cause", cause), ("generation", generation), ("count", count)],
        );
    }
    setup::border();
    // SAFETY: the only code that runs; no exception of the manager comes before this returns.
    let manager = unsafe { manager() };
    manager.rules.start(&TABLES, handoff.lifecycle, failure);
    for thread in 0..THREADS {
        manager.hardware.restart(thread);
    }
    for thread in 0..TABLES.partitions.len() {
        manager.rules.open_interrupts(&mut manager.hardware, thread);
    }
    console::line(
        "ready",
        &[
            ("partitions", TABLES.partitions.len() as u32),
            ("services", TABLES.services.len() as u32),
            ("lifecycle", handoff.lifecycle),
        ],
    );
    let first = manager.rules.schedule();
    manager.hardware.switch(first);
    manager.hardware.context(first)
}

/// Every exception of the manager. Gives the context to go on with; null means: back to the handler that was interrupted.
#[unsafe(no_mangle)]
extern "C" fn spm_handle(number: u32, frame: u32, exc_return: u32) -> *const Context {
    // SAFETY: all exceptions of the manager have one priority and none of them nests, except its
    // own failure, which goes to `fatal` and touches nothing here.
    let manager = unsafe { manager() };
    let mut from_thread = exc_return & arch::EXC_THREAD != 0;
    let from_secure = exc_return & arch::EXC_SECURE != 0;
    if from_thread && from_secure && exc_return & arch::EXC_NO_FP == 0 {
        arch::save_fp();
    }
    let current = manager.rules.current();
    let reset = if number == 11 {
        manager.service(frame, exc_return, from_thread && from_secure)
    } else {
        manager.event(number, frame, &mut from_thread, from_secure)
    };
    if reset {
        console::line("reset", &[]);
        arch::reset();
    }
    if !from_thread {
        // A non-secure handler was interrupted. It ends first; then whoever is ready has its turn.
        if manager.rules.most_urgent() != current {
            manager.hardware.tick(arch::Tick::Soon);
        }
        return core::ptr::null();
    }
    let next = manager.rules.schedule();
    if next != current {
        manager.hardware.switch(next);
    }
    manager.hardware.context(next)
}

impl Manager {
    /// Everything but a call. `true` when the device has to reset.
    #[inline(never)]
    fn event(
        &mut self,
        number: u32,
        frame: u32,
        from_thread: &mut bool,
        from_secure: bool,
    ) -> bool {
        // A partition that non-secure code interrupted cannot be started anew under it.
        let is_under = self.rules.current() != Rules::agent() && !from_secure;
        let failures = self.rules.failures();
        let reset = match number {
            15 => {
                let counts = self.hardware.tick_counts();
                counts && self.rules.tick(&mut self.hardware, arch::TICK_MS)
            }
            3..=7 => {
                let (reset, goes_on) = self.fault(number, frame, *from_thread, from_secure);
                *from_thread |= goes_on;
                reset
            }
            2 => {
                console::line("watchdog", &[]);
                true
            }
            _ => self.interrupt(number.wrapping_sub(16)),
        };
        reset || is_under && self.rules.failures() != failures
    }

    fn service(&mut self, frame: u32, exc_return: u32, is_thread: bool) -> bool {
        if !is_thread {
            fatal("call from a handler", frame, 0);
        }
        let [a, b, c, d, number, _, pc, _] = machine::frame(frame);
        let thread = self.rules.current();
        let is_nested = match thread == Rules::agent() {
            true => !Hardware::is_first_call(frame, exc_return),
            false => arch::in_gateway(pc),
        };
        if is_nested {
            // Another non-secure thread calls while a call of the first one is under way, in a
            // partition or on its few instructions through the gateway.
            console::line("busy", &[("call", number)]);
            let refused = if number == status::call::VERSION { 0 } else { status::CONNECTION_BUSY };
            self.hardware.result(thread, refused as u32);
            return false;
        }
        match self.rules.call(&mut self.hardware, number, [a, b, c, d]) {
            Outcome::Return(value) => self.hardware.result(thread, value),
            Outcome::Block => {}
            Outcome::Fault(cause) => {
                console::line("call refused", &[("call", number), ("pc", pc)]);
                return self.rules.fail(&mut self.hardware, thread, cause);
            }
            Outcome::Reset => return true,
        }
        false
    }

    fn interrupt(&mut self, number: u32) -> bool {
        if setup::border_alarm(number) {
            return false;
        }
        if !self.rules.interrupt(&mut self.hardware, number as u16) {
            console::line("stray interrupt", &[("number", number)]);
        }
        false
    }

    /// Whether the device has to reset, and whether a thread goes on whatever was interrupted.
    fn fault(
        &mut self,
        number: u32,
        frame: u32,
        from_thread: bool,
        from_secure: bool,
    ) -> (bool, bool) {
        let report = arch::FaultReport::take(from_secure);
        let is_forged = report.is_forged_return();
        if from_secure && !from_thread && !is_forged {
            fatal("fault of the manager", number, report.status);
        }
        let agent = Rules::agent();
        let is_theirs = !from_secure || is_forged;
        let thread = if is_theirs { agent } else { self.rules.current() };
        let cause = cause_of(number, &report);
        let has_frame = !is_theirs && !report.frame_is_lost();
        let pc = if has_frame { machine::frame(frame)[6] } else { 0 };
        console::fault(TABLES.partitions.get(thread).map(|p| p.name), number, &report, pc);
        let reset = self.rules.fail(&mut self.hardware, thread, cause);
        if is_theirs && (self.rules.current() != agent || arch::nonsecure_interrupt_active()) {
            // It interrupted a partition, or is in an interrupt of its own: nothing can be started
            // anew under that.
            console::line("fault below a handler", &[]);
            return (true, false);
        }
        (reset, is_theirs)
    }
}

fn cause_of(number: u32, report: &arch::FaultReport) -> Cause {
    match number {
        _ if report.is_stack() => Cause::Stack,
        4 => Cause::Memory,
        5 => Cause::Bus,
        7 => Cause::Secure,
        3 if report.status & 0xff != 0 => Cause::Memory,
        3 if report.status & 0xff00 != 0 => Cause::Bus,
        _ => Cause::Usage,
    }
}

/// The manager itself has failed: nothing that it holds can be trusted.
fn fatal(what: &str, a: u32, b: u32) -> ! {
    console::line(what, &[("a", a), ("b", b)]);
    machine::remember([0, 0xff, 0, 1]);
    arch::reset()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fatal("panic", 0, 0)
}
