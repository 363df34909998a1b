//! Answers with what it was asked.
//!
//! `ECHO` by connection, `ECHO_NOW` without one, `RELAXED` in any version up to 3, and `PRIVATE`
//! for the partition `middle` alone.

#![cfg_attr(target_os = "none", no_std)]
#![allow(unsafe_code)]
#![cfg(target_os = "none")]

use psa::Status;
use psa::service::{self, Message};

#[allow(missing_docs, dead_code)]
mod product {
    include!(env!("RINGFORT_NAMES"));
}
use product::echo::{ECHO_NOW_SIGNAL, ECHO_SIGNAL, PRIVATE_SIGNAL, RELAXED_SIGNAL};

/// Initialised data: it must be back after a restart.
static mut SERVED: u32 = 1000;
/// Whether it is well; a test may say otherwise.
static mut WELL: bool = true;

#[unsafe(no_mangle)]
extern "C" fn partition_main() -> ! {
    loop {
        let signals = service::wait(service::ANY);
        for signal in [ECHO_NOW_SIGNAL, ECHO_SIGNAL, RELAXED_SIGNAL, PRIVATE_SIGNAL] {
            if signals & signal != 0
                && let Ok(message) = service::get(signal)
            {
                serve(&message);
            }
        }
    }
}

fn serve(message: &Message) {
    match message.kind {
        service::CONNECT => message.reply(Status::SUCCESS),
        service::DISCONNECT => message.reply(Status::SUCCESS),
        ECHO => {
            // What came in goes out, vector by vector.
            let mut buffer = [0; 16];
            for (vector, size) in (0..).zip(&message.in_size) {
                let mut left = *size as usize;
                while left > 0 {
                    let step = message.read(vector, &mut buffer);
                    message.write(vector, buffer.get(..step).unwrap_or_default());
                    left -= step;
                }
            }
            message.reply(Status::SUCCESS);
        }
        COUNT => {
            // SAFETY: one thread, and the manager zeroes nothing behind its back.
            let served = unsafe {
                SERVED += 1;
                SERVED
            };
            message.write(0, &served.to_le_bytes());
            message.reply(Status::SUCCESS);
        }
        PEEK => {
            // Reads the first bytes, lets whoever wants to change them do so, reads on.
            let mut first = [0; 4];
            message.read(0, &mut first);
            let mut rest = [0; 4];
            message.read(0, &mut rest);
            message.write(0, &first);
            message.write(0, &rest);
            message.reply(Status(message.client));
        }
        CRASH => service::panic(),
        CONDEMN => message.reply(Status::PROGRAMMER_ERROR),
        SPIN => loop {
            core::hint::spin_loop();
        },
        // SAFETY: one thread.
        service::HEALTH => message.reply(match unsafe { WELL } {
            true => Status::SUCCESS,
            false => Status::GENERIC_ERROR,
        }),
        SICKEN => {
            // SAFETY: one thread.
            unsafe { WELL = false };
            message.reply(Status::SUCCESS);
        }
        TAKE => {
            let mut buffer = [0; 16];
            let step = message.read(0, &mut buffer);
            message.reply(Status(step as i32));
        }
        REMEMBER => {
            let before = message.remembered;
            message.remember(before + 1);
            message.reply(Status(before as i32));
        }
        _ => message.reply(Status::NOT_SUPPORTED),
    }
}

const ECHO: i32 = 0;
const COUNT: i32 = 1;
const PEEK: i32 = 2;
const CRASH: i32 = 3;
const CONDEMN: i32 = 4;
const SPIN: i32 = 5;
const REMEMBER: i32 = 6;
const TAKE: i32 = 7;
const SICKEN: i32 = 8;
