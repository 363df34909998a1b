//! One run of a loader in which an instruction is left out, and how it ended.
//!
//! A run passes when the bad image can no longer start. What makes that certain is virtual time, never
//! the host's clock:
//! - The first instructions of the bad image end the emulator with [`BAD`]. Whatever else ends the
//!   emulator ends the run: there is no machine left in which the image could start.
//! - The loader ends the emulator where it would wait for a reset or, once it has refused what came
//!   over the console, for another release. A reset ends it too, and so does a locked-up processor,
//!   which waits for a reset. The boots that follow have no fault: [`crate::lane`] has them.
//! - All the others meet a deadline that the loader knows nothing of. A third watchdog of the board
//!   is started and locked by [`stub`] before the loader's first instruction. Virtual time is 512 ns
//!   an instruction, and where no instruction runs it jumps to the next timer: a loop, a wait and a
//!   sleep all reach the deadline, after at most [`DEADLINE_S`] / 512 ns = 117 million instructions.
//!   Then an exception ends the run, or where the fault prevents that, a reset after the same time
//!   again. The longest run without a fault takes a tenth of it, and a third of it is when the
//!   loader's own watchdog speaks up.
//! - What comes over the console comes when the host has time, while the loader asks for it and its
//!   time goes on. A run that meets the deadline before all of it was taken is done once more, and
//!   has to come to the same byte.
//! - What the deadline cannot end is a call to the host that never returns: [`Patience`] does. That,
//!   a crash of the emulator and a run that it refused are not counted as passed.

use std::fs::File;
use std::io::{Read, Seek};
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
    /// They ran at a later start, which had no fault.
    BootedLater,
    /// The loader stopped with a reason.
    Stopped,
    /// The loader waits for recovery.
    Recovery,
    /// An exception.
    Exception,
    /// A watchdog, the deadline's or the loader's own.
    Watchdog,
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
            End::BootedLater => "booted at a later start",
            End::Stopped => "stopped",
            End::Recovery => "recovery",
            End::Exception => "exception",
            End::Watchdog => "watchdog",
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
            (Some(0x32), _) => End::Watchdog,
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

/// What a run is made of.
pub struct Files<'f> {
    /// The board.
    pub machine: &'f str,
    /// The loader, its reset vector at the stub.
    pub boot: &'f Path,
    /// The stub.
    pub stub: &'f Path,
    /// What lies in flash; it is the run's to change.
    pub flash: &'f Path,
    /// The fuses.
    pub otp: &'f Path,
    /// What comes to a loader that is to take one release in recovery.
    pub line: Option<Line<'f>>,
}

/// How a release comes to a loader.
#[derive(Clone, Copy)]
pub enum Line<'f> {
    /// Over the console, when the host has time: the bytes.
    Console(&'f Path),
    /// Out of memory, as fast as it is asked for: where it is and how long, then the bytes.
    Staged(&'f Path),
}

/// What came of a run.
pub struct Ran {
    /// Its end.
    pub end: End,
    /// What the console said, where there was a line.
    pub said: String,
    /// How much of the line was taken.
    pub taken: u64,
}

/// Runs the loader to its end.
pub fn run(files: &Files<'_>, more: &[String]) -> Ran {
    let raw = |file: &Path, at: u32| {
        let file = file.display();
        ["-device".to_owned(), format!("loader,file={file},addr={at:#x},force-raw=on")]
    };
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", &format!("{},memory-backend=flash", files.machine), "-object"])
        .arg(format!(
            "memory-backend-file,id=flash,size=16M,mem-path={},share=on",
            files.flash.display()
        ))
        .args(["-display", "none", "-monitor", "none", "-no-reboot"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .args(["-icount", "shift=9,sleep=off", "-kernel"])
        .arg(files.boot)
        .args(raw(files.otp, 0x1000_f000))
        .args(raw(files.stub, STUB));
    let word = |wish: u32| {
        let device = format!("loader,addr={BEHIND_OTP:#x},data={wish:#x},data-len=4");
        ["-device".to_owned(), device]
    };
    // A file, whose position says afterwards how much was taken.
    let mut line = None;
    command.stdin(Stdio::null());
    match files.line {
        Some(Line::Console(bytes)) => {
            let file = File::open(bytes).expect("a line to send");
            command.stdin(file.try_clone().expect("a line to send")).args(word(TAKE_ONE));
            line = Some(file);
        }
        Some(Line::Staged(bytes)) => {
            command.args(word(TAKE_STAGED)).args(raw(bytes, STAGE));
        }
        None => {}
    }
    let console = if files.line.is_some() { "stdio" } else { "null" };
    command.args(["-serial", console]).stdout(Stdio::piped());
    let child = command.args(more).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("qemu-system-arm starts");
    let mut patience = Patience::new(Some(MOST));
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            break Some(status);
        }
        if patience.is_over(&child) {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let (mut complaint, mut said) = (String::new(), Vec::new());
    if let Some(mut from) = child.stderr.take() {
        let _ = from.read_to_string(&mut complaint);
    }
    if let Some(mut from) = child.stdout.take() {
        let _ = from.read_to_end(&mut said);
    }
    Ran {
        end: status.map_or(End::Stuck, |status| End::of(status, &complaint)),
        said: String::from_utf8_lossy(&said).into_owned(),
        taken: line.as_mut().map_or(0, |line| line.stream_position().expect("a position")),
    }
}

/// A release as it lies in memory for a loader that takes it from there.
pub fn staged(line: &[u8]) -> Vec<u8> {
    let head = [STAGE + 8, line.len() as u32].map(u32::to_le_bytes);
    [head.as_flattened(), line].concat()
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
/// Where a test says that the loader is to take one release over the console.
const BEHIND_OTP: u32 = 0x1000_f100;
const TAKE_ONE: u32 = 0x4f52_4652;
const TAKE_STAGED: u32 = 0x5352_4652;
/// Non-secure memory that the loader does not use.
const STAGE: u32 = 0x2830_0000;
const RESET_VECTOR: u32 = 0x1000_0004;
/// The watchdog on the slow clock: the loader uses the other one.
const WATCHDOG: u32 = 0x5002_e000;
const WATCHDOG_LOCK: u32 = 0xc00;
const SLOW_HZ: u32 = 32_000;
const DEADLINE_S: u32 = 60;
const SIGABRT: i32 = 6;
/// Processor time of a run. One that overwrites its own code takes half a minute to its end.
const MOST: Duration = Duration::from_secs(300);
