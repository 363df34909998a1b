//! Instruction counts, by SysTick under `-icount`: the runner knows how many instructions a tick is.

use mps2::nonsecure::{load, say, say_number, store};
use psa::client::{self, InVec, OutVec};
use psa::{Handle, Status};

use crate::board::end;
use crate::product::sid;

/// The number that asks for figures instead of a case.
pub const CASE: u32 = 0xf16;

/// Measures and says each figure on a line: name, ticks.
pub fn run() -> ! {
    store(0xe000_e014, 0x00ff_ffff);
    store(0xe000_e018, 0);
    store(0xe000_e010, 5);
    let nothing = ticks(|| {});
    figure("nothing", nothing);
    figure(
        "psa_framework_version",
        ticks(|| {
            client::framework_version();
        }),
    );
    figure(
        "psa_version",
        ticks(|| {
            client::version(sid::ECHO);
        }),
    );
    let asked = *b"sixteen bytes...";
    let mut answer = [0; 16];
    let handle = Handle(sid::ECHO_NOW_HANDLE as i32);
    let mut call = |kind, len: usize| {
        let mut status = Status::GENERIC_ERROR;
        let asked = asked.get(..len).unwrap_or_default();
        let out = answer.get_mut(..len).unwrap_or_default();
        let took = ticks(|| {
            status = client::call(handle, kind, &[InVec::new(asked)], &mut [OutVec::new(out)]);
        });
        if status != Status::SUCCESS {
            end("a call failed", 2);
        }
        took
    };
    call(0, 16);
    figure("psa_call_16_in_16_out", call(0, 16));
    figure("psa_call_0_in_0_out", call(0, 0));
    figure(
        "psa_call_16_in",
        ticks(|| {
            if client::call(handle, 7, &[InVec::new(&asked)], &mut []) != Status(16) {
                end("a call failed", 2);
            }
        }),
    );
    let mut connected = None;
    figure("psa_connect", ticks(|| connected = client::connect(sid::ECHO, 1).ok()));
    let Some(connected) = connected else { end("no connection", 2) };
    figure(
        "psa_call_connected_16_in_0_out",
        ticks(|| {
            client::call(connected, 6, &[InVec::new(&asked)], &mut []);
        }),
    );
    figure("psa_close", ticks(|| client::close(connected)));
    if !crate::goes_on() {
        end("the rest does not go on", 6);
    }
    say("figures end\n");
    // The runner reads the stacks now and ends the run.
    loop {
        core::hint::spin_loop();
    }
}

fn figure(name: &str, ticks: u32) {
    say("figure ");
    say(name);
    say(" ");
    say_number(ticks);
    say("\n");
}

/// Ticks that something takes, without those of taking the time.
fn ticks(what: impl FnOnce()) -> u32 {
    let before = load(0xe000_e018);
    what();
    let after = load(0xe000_e018);
    before.wrapping_sub(after) & 0x00ff_ffff
}
