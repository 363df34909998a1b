//! Two threads, a lock, and interrupts while the Secure side works.

use core::arch::{asm, global_asm};
use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use mps2::nonsecure::{load, store};
use psa::client::{self, InVec, OutVec};
use psa::{Handle, Status};

use crate::attack::{COUNT, count};
use crate::product::sid;

// The switch between two threads, as any small kernel does it: what the hardware does not stack is
// kept on the thread's own stack, with the EXC_RETURN value that belongs to it.
global_asm!(
    ".section .text.switch, \"ax\"",
    ".thumb",
    ".arch armv8-m.main",
    ".global nonsecure_pendsv",
    ".type nonsecure_pendsv, %function",
    "nonsecure_pendsv:",
    "mrs r0, psp",
    "stmdb r0!, {{r4-r11, lr}}",
    "ldr r1, =THREADS",
    "ldr r2, [r1]",
    "ldr r3, [r1, #4]",
    "str r0, [r1, #4]",
    "mov r0, r3",
    "ldmia r0!, {{r4-r11, lr}}",
    "msr psp, r0",
    "bx lr",
    ".global nonsecure_systick",
    ".type nonsecure_systick, %function",
    "nonsecure_systick:",
    "push {{r4, lr}}",
    "bl on_tick",
    "pop {{r4, pc}}",
    ".section .bss.threads, \"aw\", %nobits",
    ".balign 8",
    ".global THREADS",
    "THREADS: .space 8",
);

unsafe extern "C" {
    static mut THREADS: [u32; 2];
}

static mut STACKS: [[u64; 256]; 2] = [[0; 256]; 2];
static SWITCHES: AtomicBool = AtomicBool::new(false);
static LOCKED: AtomicBool = AtomicBool::new(false);
static USES_LOCK: AtomicBool = AtomicBool::new(false);
static DONE: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
static BAD: AtomicU32 = AtomicU32::new(0);
static BUSY: AtomicU32 = AtomicU32::new(0);
/// The descriptor that the handler changes, and to what.
static TARGET: AtomicU32 = AtomicU32::new(0);
static USES_FP: AtomicBool = AtomicBool::new(false);

const NOW: Handle = Handle(sid::ECHO_NOW_HANDLE as i32);
const SYST_CSR: u32 = 0xe000_e010;
const ICSR: u32 = 0xe000_ed04;
const ROUNDS: u32 = 300;

#[unsafe(no_mangle)]
extern "C" fn on_tick() {
    count();
    let target = TARGET.load(Relaxed);
    if target != 0 {
        // Base and length of the vector, and the base of the next one.
        store(target, 0x1002_0000);
        store(target + 4, 0x40);
    }
    if USES_FP.load(Relaxed) {
        // SAFETY: the unit is there and this handler may use it: it destroys what it can.
        unsafe {
            asm!(".arch armv8-m.main", ".fpu fpv5-sp-d16", "vmov s0, {0}", "vmov s7, {0}",
                 "vmov s15, {0}", in(reg) 0xbad0_bad0_u32);
        }
    }
    if SWITCHES.load(Relaxed) {
        store(ICSR, 1 << 28);
    }
}

fn start_ticks(reload: u32) {
    store(SYST_CSR + 4, reload);
    store(SYST_CSR + 8, 0);
    store(SYST_CSR, 7);
}

fn stop_ticks() {
    store(SYST_CSR, 0);
}

/// One thread's work: `ROUNDS` calls with bytes of its own.
fn work(me: u32) {
    for round in 0..ROUNDS {
        let asked = [me as u8 ^ round as u8; 16];
        let mut answer = [0; 16];
        let locks = USES_LOCK.load(Relaxed);
        while locks && LOCKED.compare_exchange(false, true, Acquire, Relaxed).is_err() {
            store(ICSR, 1 << 28);
        }
        // Without a lock the second thread keeps interrupts out of its own calls. If it did not,
        // the first could go on in the middle of one: two threads of this side on one Secure
        // stack, which harms this side alone and is what the lock is for.
        let alone = !locks && me == 1;
        if alone {
            // SAFETY: the mask of this side.
            unsafe { asm!("cpsid i") };
        }
        let status = client::call(NOW, 0, &[InVec::new(&asked)], &mut [OutVec::new(&mut answer)]);
        if alone {
            // SAFETY: as above.
            unsafe { asm!("cpsie i") };
        }
        if locks {
            LOCKED.store(false, Release);
        }
        match status {
            Status::SUCCESS if answer == asked => {}
            Status::CONNECTION_BUSY => add(&BUSY),
            _ => add(&BAD),
        }
    }
    if let Some(done) = DONE.get(me as usize) {
        done.store(1, Relaxed);
    }
}

fn add(to: &AtomicU32) {
    to.store(to.load(Relaxed) + 1, Relaxed);
}

extern "C" fn second_thread() -> ! {
    work(1);
    loop {
        core::hint::spin_loop();
    }
}

/// Runs two threads until both are done, the first one on a process stack of its own.
fn two_threads() {
    // SAFETY: nothing else uses the stacks; the first word of THREADS is unused, the second is the
    // stack pointer of the thread that waits.
    let own = unsafe {
        let top = (&raw const STACKS[1]) as u32 + 2048;
        let frame = top - 32;
        for (offset, value) in [(0, 0), (4, 0), (8, 0), (12, 0), (16, 0), (20, u32::MAX)]
            .into_iter()
            .chain([(24, second_thread as *const () as u32 & !1), (28, 0x0100_0000)])
        {
            store(frame + offset, value);
        }
        for offset in 0..8 {
            store(frame - 36 + offset * 4, 0);
        }
        store(frame - 4, 0xffff_ffbc);
        THREADS = [0, frame - 36];
        (&raw const STACKS[0]) as u32 + 2048
    };
    // SAFETY: the main stack keeps its pointer while the process stack is in use; the function
    // comes back in the same thread, because the other one never ends the run.
    unsafe {
        asm!(
            "msr psp, {own}",
            "mrs r4, control",
            "orr r4, #2",
            "msr control, r4",
            "isb",
            "blx {first}",
            "mrs r4, control",
            "bic r4, #2",
            "msr control, r4",
            "isb",
            own = in(reg) own,
            first = in(reg) first_thread as *const (),
            out("r4") _,
            clobber_abi("C"),
        );
    }
}

extern "C" fn first_thread() {
    SWITCHES.store(true, Relaxed);
    start_ticks(700);
    work(0);
    while DONE[1].load(Relaxed) == 0 {
        core::hint::spin_loop();
    }
    stop_ticks();
    SWITCHES.store(false, Relaxed);
}

/// Both threads call, one at a time: every call is answered.
pub fn with_a_lock() -> bool {
    USES_LOCK.store(true, Relaxed);
    two_threads();
    BAD.load(Relaxed) == 0 && BUSY.load(Relaxed) == 0 && COUNT.load(Relaxed) > 10
}

/// Both threads call when they like: a call is answered or refused, never mixed up.
pub fn without_a_lock() -> bool {
    two_threads();
    BAD.load(Relaxed) == 0 && BUSY.load(Relaxed) > 0
}

/// Interrupts of this side come while the Secure side works for it.
pub fn interrupts() -> bool {
    start_ticks(400);
    let mut good = true;
    let before = COUNT.load(Relaxed);
    for _ in 0..200 {
        good &= crate::goes_on();
    }
    stop_ticks();
    good && COUNT.load(Relaxed) > before + 20
}

/// A handler changes the descriptors of a call while it is under way.
pub fn descriptors_change() -> bool {
    let mut struck = 0;
    for round in 0..400u32 {
        let asked = [round as u8; 64];
        let mut answer = [0; 64];
        let mut ins = [InVec::new(&asked), InVec::new(&[])];
        let mut outs = [OutVec::new(&mut answer)];
        TARGET.store(0, Relaxed);
        let before = COUNT.load(Relaxed);
        TARGET.store(ins.as_mut_ptr() as u32, Relaxed);
        start_ticks(400 + round);
        let status = client::call(NOW, 0, &ins, &mut outs);
        stop_ticks();
        TARGET.store(0, Relaxed);
        let changed = COUNT.load(Relaxed) != before;
        // Struck before the manager read it: refused. Struck after it: the first bytes.
        match status {
            Status::SUCCESS if answer == asked => struck += u32::from(changed),
            Status::PROGRAMMER_ERROR if changed => {}
            _ => return false,
        }
    }
    struck > 20
}

/// An unprivileged thread asks for memory that only its kernel may read.
pub fn unprivileged() -> bool {
    // The MPU of this side: code, devices and stack for everyone, one page for privileged code.
    let everyone = |number: u32, base: u32, limit: u32, flags: u32| {
        store(0xe000_ed98, number);
        store(0xe000_ed9c, base | flags);
        store(0xe000_eda0, (limit & !31) | 1);
    };
    store(0xe000_edc0, 0x44);
    everyone(0, 0x0010_0000, 0x003e_ffff, 3 << 1);
    everyone(1, 0x2820_0000, 0x2830_ffff, 1 << 1 | 1);
    everyone(2, 0x2831_0000, 0x283f_ffff, 1);
    everyone(3, 0x4020_0000, 0x4020_ffff, 1 << 1 | 1);
    store(0xe000_ed94, 5);
    let asks = |at: usize| {
        let mut room = [0; 16];
        client::call(NOW, 0, &[InVec::raw(at, 16)], &mut [OutVec::new(&mut room)])
    };
    let privileged = asks(0x2832_0000);
    // SAFETY: gives up privilege of this thread; nothing below needs it.
    unsafe { asm!("msr control, {}", "isb", in(reg) 1) };
    let refused = asks(0x2832_0000);
    let own = asks(0x2820_2000);
    extern "C" fn regain(_: u32, _: u32) -> u32 {
        // SAFETY: the handler's privilege, given back to the thread.
        unsafe { asm!("msr control, {}", "isb", in(reg) 0) };
        0
    }
    crate::board::in_handler(regain, 0, 0);
    store(0xe000_ed94, 0);
    privileged == Status::SUCCESS && refused == Status::PROGRAMMER_ERROR && own == Status::SUCCESS
}

/// Registers of the unit are what they were, whoever worked meanwhile.
pub fn floating_point() -> bool {
    USES_FP.store(true, Relaxed);
    start_ticks(300);
    let mut good = true;
    for _ in 0..100 {
        good &= fp_round();
    }
    stop_ticks();
    USES_FP.store(false, Relaxed);
    good && COUNT.load(Relaxed) > 5
}

fn fp_round() -> bool {
    let mut before = [0u32; 32];
    for (index, word) in before.iter_mut().enumerate() {
        *word = 0x3f80_0000 + index as u32;
    }
    let mut after = [0u32; 32];
    let asked = [5u8; 16];
    let mut answer = [0u8; 16];
    let ins = [InVec::new(&asked)];
    let mut outs = [OutVec::new(&mut answer)];
    let vectors = [ins.as_ptr() as u32, 1, outs.as_mut_ptr() as u32, 1];
    let status: u32;
    // SAFETY: loads and stores all 32 registers around a call through the gateway.
    unsafe {
        asm!(
            ".arch armv8-m.main",
            ".fpu fpv5-sp-d16",
            "vldm r4, {{s0-s31}}",
            "blx {call}",
            "vstm r5, {{s0-s31}}",
            call = in(reg) 0x1002_0419,
            in("r4") before.as_ptr(),
            in("r5") after.as_mut_ptr(),
            inout("r0") NOW.0 => status,
            inout("r1") 0 => _,
            inout("r2") vectors.as_ptr() => _,
            out("r3") _, out("r12") _, out("lr") _,
        );
    }
    status == 0 && answer == asked && before == after && load(0xe000_ed94) & 1 == 0
}
