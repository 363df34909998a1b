//! The attacks of [`cases::CASES`], from the non-secure side. The word at 0x28200000 chooses one.
//!
//! Unsafe code is what this application is for: it does what the border must stop.

#![no_std]
#![no_main]
#![allow(unsafe_code, static_mut_refs)]

mod attack;
mod board;
#[allow(dead_code)]
mod cases;
mod figures;
mod threads;

#[allow(missing_docs, dead_code)]
mod product {
    include!(env!("RINGFORT_NAMES"));
}

use board::{Words, end};
use cases::{CASES, Case, End};
use mps2::nonsecure::{say, say_number};
use psa::client::{self, InVec, OutVec};
use psa::{Handle, Status};

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let number = Words::case();
    if number == figures::CASE {
        figures::run();
    }
    let Some(case) = CASES.get(number as usize) else { end("no such case", 9) };
    if Words::phase() == 0 {
        Words::set_phase(1);
        let good = attack::run(case);
        if !good {
            end("not as it should be", 2);
        }
        if case.end != End::Returns {
            end("went on as if nothing were", 3);
        }
    } else if case.end == End::Returns {
        end("was restarted", 4);
    } else if !attack::after(case) {
        end("not as it should be afterwards", 7);
    }
    if !told(case) {
        end("the failure record says otherwise", 5);
    }
    if !goes_on() {
        end("the rest does not go on", 6);
    }
    end("goes on", 0)
}

/// The application learns who failed and why.
fn told(case: &Case) -> bool {
    let [id, cause, _, count] = client::last_failure();
    say("record ");
    say_number(id);
    say_number(cause);
    say_number(count);
    say("\n");
    let (wanted, why) = case.failure;
    match wanted {
        0 => case.end != End::Returns || count == 0,
        _ => id as i32 == wanted && cause == why && count > 0,
    }
}

/// Every service does its work.
pub fn goes_on() -> bool {
    use product::sid;
    let mut answer = [0; 16];
    let asked = *b"sixteen bytes...";
    let stateless = Handle(sid::ECHO_NOW_HANDLE as i32);
    let status = client::call(stateless, 0, &[InVec::new(&asked)], &mut [OutVec::new(&mut answer)]);
    let Ok(handle) = client::connect(sid::ECHO, sid::ECHO_VERSION) else { return false };
    let mut second = [0; 16];
    let mut outs = [OutVec::new(&mut second)];
    let again = client::call(handle, 0, &[InVec::new(&asked)], &mut outs);
    let written = outs[0].written();
    client::close(handle);
    let middle = attack::through_middle();
    status == Status::SUCCESS
        && again == Status::SUCCESS
        && answer == asked
        && second == asked
        && written == 16
        && middle
        && client::version(sid::ECHO) == 1
        && client::framework_version() == 0x0101
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    end("panic", 8)
}
