//! Breaks every rule that a partition can break, one for each message type.

#![cfg_attr(target_os = "none", no_std)]
#![allow(unsafe_code)]
#![cfg(target_os = "none")]

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

use psa::Status;
use psa::client::{self, Handle, InVec};
use psa::service::{self, Message};

#[allow(missing_docs, dead_code)]
mod product {
    include!(env!("RINGFORT_NAMES"));
}
use product::rogue::ROGUE_SIGNAL;
use product::sid;

/// Marks this life: a restart must bring the initial value back.
static mut LIFE: u32 = 0x1111;
/// A secret of this partition, for the tests of what leaks.
const SECRET: u32 = 0x5ec2_e7ed;

#[unsafe(no_mangle)]
extern "C" fn partition_main() -> ! {
    loop {
        service::wait(ROGUE_SIGNAL);
        if let Ok(message) = service::get(ROGUE_SIGNAL) {
            let status = obey(&message);
            message.reply(status);
        }
    }
}

fn obey(message: &Message) -> Status {
    let mut argument = [0; 4];
    message.read(0, &mut argument);
    let argument = u32::from_le_bytes(argument);
    // SAFETY: none. That is what this partition is for: the manager has to stop it.
    unsafe {
        match message.kind {
            // The twin of all: does nothing wrong.
            0 => {
                let life = LIFE;
                LIFE = 0x2222;
                return Status(life as i32);
            }
            READ => return Status(read_volatile(argument as *const u32) as i32),
            WRITE => write_volatile(argument as *mut u32, 0),
            EXECUTE => {
                let target: extern "C" fn() = core::mem::transmute(argument as usize | 1);
                target();
            }
            UNDEFINED => asm!("udf #0"),
            OVERFLOW => return Status(deep(1) as i32),
            HOLD => {
                // Never replies, and waits for something that never comes.
                service::wait(service::DOORBELL);
            }
            SPIN => loop {
                core::hint::spin_loop();
            },
            PANIC => service::panic(),
            FLOAT => asm!(".inst.w 0xeef10a10", out("r0") _),
            MASKS => {
                // Without privilege these have no effect, which the ticks of the deadline show.
                asm!(
                    "cpsid i",
                    "cpsid f",
                    "msr basepri, {0}",
                    "msr primask, {0}",
                    "msr faultmask, {0}",
                    in(reg) 0xff
                );
                let (basepri, primask, faultmask): (u32, u32, u32);
                asm!("mrs {}, basepri", out(reg) basepri);
                asm!("mrs {}, primask", out(reg) primask);
                asm!("mrs {}, faultmask", out(reg) faultmask);
                return Status((basepri | primask | faultmask) as i32);
            }
            PRIVILEGE => {
                let control: u32;
                asm!("msr control, {}", "isb", in(reg) 0);
                asm!("mrs {}, control", out(reg) control);
                return Status((control & 3) as i32);
            }
            STACK_LIMIT => {
                let limit: u32;
                asm!("msr psplim, {}", in(reg) 0);
                asm!("mrs {}, psplim", out(reg) limit);
                return Status(limit as i32);
            }
            UNLISTED_CONNECT => {
                return match client::connect(sid::PRIVATE, 1) {
                    Ok(_) => Status::SUCCESS,
                    Err(status) => status,
                };
            }
            UNLISTED_STATELESS => {
                return client::call(Handle(sid::ECHO_NOW_HANDLE as i32), 0, &[], &mut []);
            }
            UNLISTED_VERSION => return Status(client::version(sid::PRIVATE) as i32),
            FOREIGN_VECTOR => {
                // Memory of another partition as if it were mine.
                let ins = [InVec::raw(argument as usize, 16)];
                return client::call(Handle(sid::OPEN_HANDLE as i32), 0, &ins, &mut []);
            }
            FOREIGN_MESSAGE => forged(0x2000_0101, &mut [0; 4]),
            PRINT_FOREIGN => {
                let text = core::slice::from_raw_parts(argument as *const u8, 16);
                service::print(core::str::from_utf8_unchecked(text));
            }
            PRINT_LONG => {
                let text = core::slice::from_raw_parts(argument as *const u8, 0x7fff_ffff);
                service::print(core::str::from_utf8_unchecked(text));
            }
            READ_INTO_FOREIGN => {
                let buffer = core::slice::from_raw_parts_mut(argument as *mut u8, 4);
                message.read(1, buffer);
            }
            WRITE_FROM_FOREIGN => {
                message.write(0, core::slice::from_raw_parts(argument as *const u8, 4));
            }
            WRITE_TOO_MUCH => message.write(0, &[0; 64]),
            WRONG_VECTOR => {
                message.read(4, &mut []);
            }
            UNKNOWN_CALL => asm!("svc #0", in("r12") 99, out("r0") _),
            DOUBLE_REPLY => {
                let twice = *message;
                twice.reply(Status::SUCCESS);
            }
            EOI => service::end_of_interrupt(16),
            CLEAR => service::clear(),
            WAIT_NOTHING => {
                service::wait(0x8000_0000);
            }
            GET_FOREIGN => {
                let _ = service::get(0x10_0000);
            }
            RESET => service::reset(),
            NOTIFY_NOBODY => service::notify(12345),
            NONSECURE => {
                // Enters non-secure code by itself, with its own registers.
                asm!(".arch armv8-m.main", "bxns {}", in(reg) argument & !1);
            }
            FILL => {
                // Leaves a secret in every register that a return could carry out.
                asm!(
                    "mov r1, {s}", "mov r2, {s}", "mov r3, {s}", "mov r12, {s}",
                    "mov r4, {s}", "mov r5, {s}", "mov r8, {s}", "mov r10, {s}",
                    s = in(reg) SECRET,
                    out("r1") _, out("r2") _, out("r3") _, out("r12") _, out("r4") _, out("r5") _,
                    out("r8") _, out("r10") _,
                );
            }
            RETURN => {
                // To the caller of nobody: the frame that the manager made has no way back.
                asm!("mov lr, {0}", "bx lr", in(reg) 0xffff_ffff_u32);
            }
            FORGED_RETURN => asm!("bx {}", in(reg) 0xffff_fffd_u32),
            _ => return Status::NOT_SUPPORTED,
        }
    }
    Status::SUCCESS
}

/// Reads with a message handle that the manager never gave.
fn forged(handle: u32, into: &mut [u8]) {
    // SAFETY: the manager checks everything; that it does is the test.
    unsafe {
        asm!(
            "svc #0",
            inout("r0") handle => _,
            in("r1") 0,
            in("r2") into.as_mut_ptr(),
            in("r3") into.len(),
            in("r12") 19,
        );
    }
}

#[inline(never)]
fn deep(level: u32) -> u32 {
    let mut room = [level; 32];
    // SAFETY: a valid reference; volatile so that the recursion keeps its stack.
    unsafe { write_volatile(&raw mut room[0], level) };
    if level == 0 { 0 } else { deep(level + 1) + room[(level % 32) as usize] }
}

const READ: i32 = 1;
const WRITE: i32 = 2;
const EXECUTE: i32 = 3;
const UNDEFINED: i32 = 4;
const OVERFLOW: i32 = 5;
const HOLD: i32 = 6;
const SPIN: i32 = 7;
const PANIC: i32 = 8;
const FLOAT: i32 = 9;
const MASKS: i32 = 10;
const PRIVILEGE: i32 = 11;
const STACK_LIMIT: i32 = 12;
const UNLISTED_CONNECT: i32 = 13;
const UNLISTED_STATELESS: i32 = 14;
const UNLISTED_VERSION: i32 = 15;
const FOREIGN_VECTOR: i32 = 16;
const FOREIGN_MESSAGE: i32 = 17;
const PRINT_FOREIGN: i32 = 18;
const PRINT_LONG: i32 = 19;
const READ_INTO_FOREIGN: i32 = 20;
const WRITE_FROM_FOREIGN: i32 = 21;
const WRITE_TOO_MUCH: i32 = 22;
const WRONG_VECTOR: i32 = 23;
const UNKNOWN_CALL: i32 = 24;
const DOUBLE_REPLY: i32 = 25;
const EOI: i32 = 26;
const CLEAR: i32 = 27;
const WAIT_NOTHING: i32 = 28;
const GET_FOREIGN: i32 = 29;
const RESET: i32 = 30;
const NOTIFY_NOBODY: i32 = 31;
const NONSECURE: i32 = 32;
const FILL: i32 = 33;
const RETURN: i32 = 34;
const FORGED_RETURN: i32 = 35;
