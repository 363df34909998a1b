//! One run of a loader in which an instruction is left out, and how it ended.
//!
//! A run passes when the bad image can no longer start. What makes that certain is virtual time, never
//! the host's clock:
//! - The first instructions of the bad image end the emulator with [`BAD`]. Whatever else ends the
//!   emulator ends the run: there is no machine left in which the image could start.
//! - The loader ends the emulator where it would wait for a reset or for recovery. A reset ends it
//!   too: the boot that follows one has no fault. So does a locked-up processor, which waits for a
//!   reset.
//! - All the others meet a deadline that the loader knows nothing of. A third watchdog of the board
//!   is started and locked by [`stub`] before the loader's first instruction. Virtual time is 512 ns
//!   an instruction, and where no instruction runs it jumps to the next timer: a loop, a wait and a
//!   sleep all reach the deadline, after at most [`DEADLINE_S`] / 512 ns = 117 million instructions.
//!   Then an exception ends the run, or where the fault prevents that, a reset after the same time
//!   again. The longest run without a fault takes a tenth of it, and a third of it is when the
//!   loader's own watchdog speaks up.
//! - What the deadline cannot end is a call to the host that never returns: [`Patience`] does. That,
//!   a crash of the emulator and a run that it refused are not counted as passed.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use harness::elf;

use crate::patience::Patience;
use crate::scene::BAD;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The bad image's first instructions ran.
    Booted,
    /// The loader stopped with a reason.
    Stopped,
    /// The loader waits for recovery.
    Recovery,
    /// An exception or a watchdog.
    Exception,
    /// A reset.
    Reset,
    /// The processor locked up.
    LockUp,
    /// The emulator gave up: an unknown call to the host, for example.
    Abort,
    /// Another exit code.
    Exit,
    /// Ended from outside, or not run at all.
    Stuck,
}

impl End {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            End::Booted => "booted",
            End::Stopped => "stopped",
            End::Recovery => "recovery",
            End::Exception => "exception or watchdog",
            End::Reset => "reset",
            End::LockUp => "lock-up",
            End::Abort => "abort of the emulator",
            End::Exit => "another exit",
            End::Stuck => "ended from outside, or not run",
        }
    }

    fn of(status: ExitStatus, said: &str) -> End {
        match (status.code(), status.signal()) {
            (Some(BAD), _) => End::Booted,
            (Some(0x30), _) => End::Stopped,
            (Some(0x31), _) => End::Recovery,
            (Some(0x3f), _) => End::Exception,
            (Some(0), _) => End::Reset,
            (None, Some(SIGABRT)) if said.contains("Lockup") => End::LockUp,
            (None, Some(SIGABRT)) => End::Abort,
            // A crash, or somebody else's signal: nothing is known.
            (None, _) => End::Stuck,
            // The emulator says what it does not like about its files or its host.
            (Some(_), _) if said.contains("qemu-system-arm: ") => End::Stuck,
            (Some(_), _) => End::Exit,
        }
    }
}

/// The files of a run.
pub struct Files<'f> {
    /// The loader, its reset vector at the stub.
    pub boot: &'f Path,
    /// The stub.
    pub stub: &'f Path,
    /// What lies in flash; the run does not change it.
    pub flash: &'f Path,
    /// The fuses.
    pub otp: &'f Path,
}

/// Runs the loader to its end.
pub fn run(files: &Files<'_>, more: &[String]) -> End {
    let raw = |file: &Path, at: u32| {
        let file = file.display();
        ["-device".to_owned(), format!("loader,file={file},addr={at:#x},force-raw=on")]
    };
    let mut child = Command::new("qemu-system-arm")
        .args(["-M", "mps2-an505,memory-backend=flash", "-object"])
        .arg(format!(
            "memory-backend-file,id=flash,size=16M,mem-path={},share=off",
            files.flash.display()
        ))
        .args(["-display", "none", "-monitor", "none", "-serial", "null", "-no-reboot"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .args(["-icount", "shift=9,sleep=off", "-kernel"])
        .arg(files.boot)
        .args(raw(files.otp, 0x1000_f000))
        .args(raw(files.stub, STUB))
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("qemu-system-arm starts");
    let mut patience = Patience::new(Some(MOST));
    loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            let mut said = String::new();
            if let Some(mut from) = child.stderr.take() {
                let _ = from.read_to_string(&mut said);
            }
            return End::of(status, &said);
        }
        if patience.is_over(&child) {
            let _ = child.kill();
            let _ = child.wait();
            return End::Stuck;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Turns the reset vector of a loader to the stub, and gives the stub, which goes on to where the
/// vector led. `None` for what is no loader.
pub fn stub(boot: &mut [u8]) -> Option<Vec<u8>> {
    let at = elf::offset_of(boot, RESET_VECTOR)?;
    let vector = boot.get_mut(at..at + 4)?;
    let reset = u32::from_le_bytes([vector[0], vector[1], vector[2], vector[3]]);
    vector.copy_from_slice(&(STUB | 1).to_le_bytes());
    let code = [
        0x4805u16, // ldr r0, watchdog
        0x4906,    // ldr r1, ticks
        0x6001,    // str r1, [r0]: load
        0x2103,    // movs r1, #3
        0x6081,    // str r1, [r0, #8]: exception, then reset
        0x4a05,    // ldr r2, lock
        0x5081,    // str r1, [r0, r2]: not the key, so no further change
        0x2100,    // movs r1, #0
        0x2200,    // movs r2, #0
        0x4804,    // ldr r0, reset
        0x4700,    // bx r0
        0xbf00,    // nop
    ];
    let words = [WATCHDOG, DEADLINE_S * SLOW_HZ, WATCHDOG_LOCK, reset];
    let code = code.into_iter().flat_map(u16::to_le_bytes);
    Some(code.chain(words.into_iter().flat_map(u32::to_le_bytes)).collect())
}

/// Between the loader and the fuses, where nothing is.
const STUB: u32 = 0x1000_e000;
const RESET_VECTOR: u32 = 0x1000_0004;
/// The watchdog on the slow clock: the loader uses the other one.
const WATCHDOG: u32 = 0x5002_e000;
const WATCHDOG_LOCK: u32 = 0xc00;
const SLOW_HZ: u32 = 32_000;
const DEADLINE_S: u32 = 60;
const SIGABRT: i32 = 6;
/// Processor time of a run. One that overwrites its own code takes half a minute to its end.
const MOST: Duration = Duration::from_secs(300);
