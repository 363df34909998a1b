//! The secure component: does to the slots what the update partition will do, when a test asks
//! for it, and otherwise opens the non-secure side and starts it.

#![no_std]
#![no_main]
#![allow(unsafe_code)]

use core::arch::{asm, global_asm};
use core::ptr::{read_volatile, write_volatile};

use boot::{Ecdsa, HANDOFF_MAGIC, Handoff, Memory, Part, Source, install};
use mps2::map::HANDOFF;
use mps2::{Board, Console, Watchdog};
use ringfort_cose::{Reason, Sha256Digest};
use ringfort_trust::Anchors;
use slots::{Flash, Hardware, Sha256, SlotId, Store};

global_asm!(
    ".section .vectors, \"a\"",
    ".word __stack_top",
    ".word secure_reset",
    ".rept 14",
    ".word secure_trap",
    ".endr",
    // The release number, written in by whoever packs the image.
    ".global RELEASE",
    "RELEASE: .word 0",
    ".section .text.reset, \"ax\"",
    ".thumb",
    ".global secure_reset",
    ".type secure_reset, %function",
    "secure_reset:",
    "ldr r0, =__stack_limit",
    "msr msplim, r0",
    "bl main",
    ".type secure_trap, %function",
    "secure_trap:",
    "b secure_trap",
);

/// What a test may ask for, in the first word of non-secure RAM.
const COMMAND: *const u32 = 0x2820_0000 as *const u32;
const CODE: *mut u32 = 0x2820_0004 as *mut u32;
/// Where a test leaves a release or an anchors document: the end of the flash, as a staging area
/// on the non-secure side would be.
const STAGING: u32 = 0x80a0_0000;
const STAGING_LEN: u32 = 0x50_0000;

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    unsafe extern "C" {
        static RELEASE: u32;
    }
    let console = Console::open();
    // SAFETY: boot left this structure there; the test's word is in memory.
    let (handoff, command, release) = unsafe {
        (
            read_volatile(HANDOFF.at as *const Handoff),
            read_volatile(COMMAND),
            read_volatile(&raw const RELEASE),
        )
    };
    if handoff.magic != HANDOFF_MAGIC {
        end(&console, "no hand-off", 0x3e);
    }
    say(&console, &handoff, release);
    match command {
        CONFIRM => {
            let done = mount(&handoff).and_then(|mut store| store.confirm(slot_of(&handoff)));
            finish(&console, done);
        }
        HANG if handoff.trial == 1 => loop {
            core::hint::spin_loop();
        },
        // SAFETY: an undefined instruction, which is the point.
        CRASH if handoff.trial == 1 => unsafe { asm!("udf #0", options(noreturn)) },
        REVERT => {
            let done = mount(&handoff)
                .and_then(|mut store| store.revert(slot_of(&handoff), Reason::HealthCheckFailed));
            finish(&console, done);
        }
        INSTALL => finish(&console, take(&handoff)),
        WRITE => finish(
            &console,
            mount(&handoff).and_then(|mut store| put(&handoff, &mut store)).map(drop),
        ),
        ANCHORS => finish(&console, turn(&handoff)),
        // Confirms, installs what is staged, and resets: over and over.
        CYCLE => {
            if handoff.trial == 1 {
                let done = mount(&handoff).and_then(|mut store| store.confirm(slot_of(&handoff)));
                if done.is_err() {
                    finish(&console, done);
                }
            }
            match take(&handoff) {
                Ok(()) => reset(),
                done => finish(&console, done),
            }
        }
        _ => start_nonsecure(0x40 + release),
    }
}

const CONFIRM: u32 = 0x4647_4e01;
const HANG: u32 = 0x4647_4e02;
const CRASH: u32 = 0x4647_4e03;
const REVERT: u32 = 0x4647_4e04;
const INSTALL: u32 = 0x4647_4e05;
const ANCHORS: u32 = 0x4647_4e06;
const CYCLE: u32 = 0x4647_4e07;
const WRITE: u32 = 0x4647_4e08;

fn slot_of(handoff: &Handoff) -> SlotId {
    if handoff.slot == 0 { SlotId::A } else { SlotId::B }
}

fn mount(handoff: &Handoff) -> Result<Store<Board>, Reason> {
    Store::mount(Board::new(handoff.record_key))
}

/// Installs the staged release and arms it.
fn take(handoff: &Handoff) -> Result<(), Reason> {
    let mut store = mount(handoff)?;
    let id = put(handoff, &mut store)?;
    Watchdog::arm(5_000);
    store.arm(id)
}

/// Writes the staged release into the spare slot.
fn put(handoff: &Handoff, store: &mut Store<Board>) -> Result<SlotId, Reason> {
    let mut source = Staged { at: STAGING };
    let mut scratch = [0; 0x3000];
    let verifier = Ecdsa::new([0; 32]);
    install(store, &mut source, &handoff.identity, &verifier, &mut Reader, &mut scratch)
}

/// Takes the staged anchors: length, then the document.
fn turn(handoff: &Handoff) -> Result<(), Reason> {
    let mut store = mount(handoff)?;
    let verifier = Ecdsa::new([0; 32]);
    let pin = store.state().anchors;
    let mut current = [0; 0x2000];
    let current = current.get_mut(..pin.len as usize).ok_or(Reason::TooLarge)?;
    let area = *pin.area.of(&store.hardware().layout().anchors);
    store.hardware().read(area.at, current)?;
    let anchors = Anchors::verify_pinned(current, &Sha256Digest(pin.digest), &verifier)?;
    let mut source = Staged { at: STAGING };
    let mut len = [0; 4];
    source.next(&mut len)?;
    let mut next = [0; 0x2000];
    let next = next.get_mut(..u32::from_le_bytes(len) as usize).ok_or(Reason::TooLarge)?;
    source.next(next)?;
    let version = anchors.verify_next(next, &verifier)?.version().0;
    let version = u32::try_from(version).map_err(|_| Reason::AnchorsNotSequential)?;
    store.turn_anchors(next, version)
}

/// The staging area.
struct Staged {
    at: u32,
}

impl Source for Staged {
    fn next(&mut self, into: &mut [u8]) -> Result<(), Reason> {
        for byte in into {
            if self.at >= STAGING + STAGING_LEN {
                return Err(Reason::TransferFailed);
            }
            // SAFETY: inside the staging area.
            *byte = unsafe { read_volatile(self.at as *const u8) };
            self.at += 1;
        }
        Ok(())
    }
}

/// Hashes a component in its slot: this image cannot load another one over itself.
struct Reader;

impl Memory<Board> for Reader {
    fn load(&mut self, board: &mut Board, _: Part, at: u32, size: u32) -> Result<[u8; 32], Reason> {
        let mut hash = Sha256::new();
        let mut done = 0;
        while done < size {
            let mut chunk = [0; 256];
            let step = (size - done).min(256);
            let chunk = chunk.get_mut(..step as usize).ok_or(Reason::Internal)?;
            board.read(at + done, chunk)?;
            hash.update(chunk);
            done += step;
        }
        Ok(hash.finish())
    }
}

fn say(console: &Console, handoff: &Handoff, release: u32) {
    console.text("app: release ");
    console.hex(release);
    for (what, number) in [
        (" slot ", handoff.slot),
        (" trial ", handoff.trial),
        (" attempts ", handoff.attempts),
        (" reason ", handoff.reason),
        (" boots ", handoff.boots),
        (" stack ", handoff.stack),
        (" lifecycle ", handoff.lifecycle),
        (" revoked ", handoff.revoked),
    ] {
        console.text(what);
        console.hex(number);
    }
    console.text("\n");
}

fn finish(console: &Console, done: Result<(), Reason>) -> ! {
    match done {
        Ok(()) => end(console, "done", 0x10),
        Err(reason) => {
            console.text("app: refused ");
            console.hex(reason.number());
            console.text("\n");
            end(console, "refused", 0x11)
        }
    }
}

fn end(console: &Console, what: &str, code: u32) -> ! {
    console.text("app: ");
    console.text(what);
    console.text("\n");
    #[cfg(feature = "semihosting")]
    mps2::semihosting::exit(code);
    #[cfg(not(feature = "semihosting"))]
    {
        let _ = code;
        loop {
            core::hint::spin_loop();
        }
    }
}

fn reset() -> ! {
    // SAFETY: AIRCR, SYSRESETREQ.
    unsafe { write_volatile(0xe000_ed0c as *mut u32, 0x05fa_0004) };
    loop {
        core::hint::spin_loop();
    }
}

/// Gives code, RAM and UART1 to the non-secure side and starts it.
fn start_nonsecure(code: u32) -> ! {
    Watchdog::disarm();
    // SAFETY: registers of SAU, MPCs and security controller, in the order that opens exactly
    // the non-secure component, non-secure RAM and the peripherals' non-secure aliases.
    unsafe {
        write_volatile(CODE, code);
        // SSRAM1: blocks of 1 KiB from 1 MiB on are non-secure. One word of the table is 32 of
        // them.
        mpc(0x5800_7000, 32, 128);
        // SSRAM3: all of it.
        mpc(0x5800_9000, 0, 64);
        for (region, base, limit) in [
            (0, 0x0010_0000, 0x003f_ffe0u32),
            (1, 0x2820_0000, 0x283f_ffe0),
            (2, 0x4000_0000, 0x4fff_ffe0),
        ] {
            write_volatile(0xe000_edd8 as *mut u32, region);
            write_volatile(0xe000_eddc as *mut u32, base);
            write_volatile(0xe000_ede0 as *mut u32, limit | 1);
        }
        write_volatile(0xe000_edd0 as *mut u32, 1);
        // UART1: port 6 of the second APB expansion controller.
        write_volatile(0x5008_0084 as *mut u32, 1 << 6);
        // FPGAIO: port 2 of the third.
        write_volatile(0x5008_0088 as *mut u32, 1 << 2);
        write_volatile(0xe002_ed08 as *mut u32, 0x0010_0000);
        let stack = read_volatile(0x0010_0000 as *const u32);
        let entry = read_volatile(0x0010_0004 as *const u32) & !1;
        asm!(
            "dsb",
            "isb",
            "msr msp_ns, {stack}",
            "mov r4, {entry}",
            "movs r0, #0",
            "mov r1, r0",
            "mov r2, r0",
            "mov r3, r0",
            "mov r5, r0",
            "mov r6, r0",
            "mov r7, r0",
            "mov r8, r0",
            "mov r9, r0",
            "mov r10, r0",
            "mov r11, r0",
            "mov r12, r0",
            "msr apsr_nzcvq, r0",
            ".arch armv8-m.main",
            "bxns r4",
            stack = in(reg) stack,
            entry = in(reg) entry,
            options(noreturn),
        )
    }
}

/// Makes `count` words of a memory protection controller's table non-secure, from `first` on.
///
/// # Safety
/// `at` is the address of a memory protection controller.
unsafe fn mpc(at: usize, first: u32, count: u32) {
    // SAFETY: as the caller says.
    unsafe {
        write_volatile(at as *mut u32, 0x10);
        for index in first..count {
            write_volatile((at + 0x18) as *mut u32, index);
            write_volatile((at + 0x1c) as *mut u32, u32::MAX);
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
