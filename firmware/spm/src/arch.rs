//! Armv8-M: vectors, gateway, entry and exit of the manager, system registers.

use core::arch::{asm, global_asm};
use core::ptr::{read_volatile, write_volatile};

/// EXC_RETURN: a thread was interrupted, not a handler.
pub const EXC_THREAD: u32 = 1 << 3;
/// EXC_RETURN: no floating-point registers were stacked.
pub const EXC_NO_FP: u32 = 1 << 4;
/// EXC_RETURN: Secure state was interrupted.
pub const EXC_SECURE: u32 = 1 << 6;
/// Return to a Secure thread.
pub const TO_SECURE_THREAD: u32 = 0xffff_fffd;
/// Return to a Non-secure thread; the stack bit is that of Secure state, which took the exception.
pub const TO_NONSECURE_THREAD: u32 = 0xffff_ffbd;
/// Milliseconds between two ticks.
pub const TICK_MS: u32 = 10;
/// What a sealed stack begins with: no EXC_RETURN finds an integrity signature there.
pub const SEAL: u32 = 0xfef5_eda5;

// The gateway. Its first 64 bytes are non-secure callable and hold one SG and one branch for each
// entry, at fixed offsets of 8: the order never changes. No stub uses a stack. A caller in handler
// mode never reaches the SVC. On the way back everything that a caller does not keep is cleared.
global_asm!(
    ".section .vectors, \"a\"",
    ".word __spm_stack_top - 8",
    ".word spm_reset",
    ".word spm_entry", // NMI: the watchdog
    ".rept 9",
    ".word spm_entry", // faults, reserved, SVC
    ".endr",
    ".word spm_entry", // debug monitor
    ".word spm_entry",
    ".word spm_entry",
    ".word spm_entry", // SysTick
    ".rept 128",
    ".word spm_entry",
    ".endr",
    "",
    ".section .gateway, \"ax\"",
    ".thumb",
    ".arch armv8-m.main",
    ".macro veneer to",
    "sg",
    "b.w \\to",
    ".endm",
    "veneer gw_framework",
    "veneer gw_version",
    "veneer gw_connect",
    "veneer gw_call",
    "veneer gw_close",
    "veneer gw_failure",
    ".balign 64, 0",
    ".type gw_framework, %function",
    "gw_framework:",
    "movw r0, #0x0101",
    "b gw_return",
    ".type gw_version, %function",
    "gw_version:",
    "mrs r3, ipsr",
    "movs r12, #1",
    "cbnz r3, gw_none",
    "svc #0",
    "b gw_return",
    ".type gw_connect, %function",
    "gw_connect:",
    "movs r12, #2",
    "b gw_enter",
    ".type gw_call, %function",
    "gw_call:",
    "movs r12, #3",
    "b gw_enter",
    ".type gw_close, %function",
    "gw_close:",
    "movs r12, #4",
    "b gw_enter",
    ".type gw_failure, %function",
    "gw_failure:",
    "movs r12, #5",
    ".type gw_enter, %function",
    "gw_enter:",
    "mrs r3, ipsr",
    "cbnz r3, gw_handler",
    "svc #0",
    ".type gw_return, %function",
    "gw_return:",
    "movs r1, #0",
    "mov r2, r1",
    "mov r3, r1",
    "mov r12, r1",
    "msr apsr_nzcvq, r1",
    "bxns lr",
    ".type gw_none, %function",
    "gw_none:",
    "movs r0, #0",
    "b gw_return",
    ".type gw_handler, %function",
    "gw_handler:",
    "mvn r0, #128",
    "b gw_return",
    ".global spm_idle",
    ".type spm_idle, %function",
    "spm_idle:",
    "wfi",
    "b spm_idle",
    "",
    ".section .text.entry, \"ax\"",
    ".thumb",
    ".global spm_reset",
    ".type spm_reset, %function",
    "spm_reset:",
    "cpsid i",
    "movs r0, #0",
    "msr msplim, r0",
    "ldr r0, =0xe000ed08",
    "ldr r1, =__spm_vectors",
    "str r1, [r0]",
    "ldr r0, =__spm_stack_limit",
    "ldr r1, =__spm_stack_top - 8",
    "msr msp, r1",
    "ldr r2, =0xa5a5a5a5",
    "1: str r2, [r0], #4",
    "cmp r0, r1",
    "blo 1b",
    "ldr r2, =0xfef5eda5",
    "str r2, [r1]",
    "str r2, [r1, #4]",
    "ldr r0, =__spm_stack_limit",
    "msr msplim, r0",
    "ldr r0, =__bss_start",
    "ldr r1, =__bss_end",
    "movs r2, #0",
    "2: cmp r0, r1",
    "bhs 3f",
    "str r2, [r0], #4",
    "b 2b",
    "3: bl spm_main",
    // From here on threads run unprivileged. The first one starts by an exception return like any
    // other: an SVC whose handler takes the context from r0.
    "ldr r1, =spm_first",
    "str r0, [r1]",
    "movs r1, #0",
    "msr psplim, r1",
    // The frame of that SVC lands where no thread has one.
    "ldr r1, =__agent_stack_top - 8",
    "msr psp, r1",
    "movs r1, #2",
    "msr control, r1",
    "isb",
    "cpsie i",
    "svc #0",
    "b .",
    "",
    ".global spm_entry",
    ".type spm_entry, %function",
    "spm_entry:",
    "ldr r3, =spm_first",
    "ldr r0, [r3]",
    "cbnz r0, 4f",
    "mov r2, lr",
    "tst r2, #8",
    "beq 1f",
    "ldr r3, =spm_context",
    "ldr r3, [r3]",
    "mrs r1, psp",
    "stmia r3!, {{r4-r11}}",
    "strd r1, r2, [r3]",
    "1: mrs r0, ipsr",
    "mrs r1, psp",
    "push {{r2, lr}}",
    "bl spm_handle",
    "pop {{r2, r3}}",
    "cbz r0, 3f",
    "2: ldmia r0!, {{r4-r11}}",
    "ldrd r1, r2, [r0]",
    "ldr r3, [r0, #8]",
    "msr psplim, r3",
    "msr psp, r1",
    "3: bx r2",
    "4: movs r1, #0",
    "str r1, [r3]",
    "movs r1, #3",
    "msr control, r1",
    "b 2b",
    "",
    ".section .bss.spm_context, \"aw\", %nobits",
    ".balign 4",
    ".global spm_context",
    "spm_context: .space 4",
    ".global spm_first",
    "spm_first: .space 4",
);

// The copying that the compiler asks for; partitions have the same.
global_asm!(include_str!("../../psa/src/memory.s"));

const GATEWAY: u32 = 0x400;
const GATEWAY_LEN: u32 = 0x100;

const SCS: u32 = 0xe000_e000;
const SYSTICK: u32 = SCS + 0x010;
const ICSR: u32 = SCS + 0xd04;
const VTOR: u32 = SCS + 0xd08;
const AIRCR: u32 = SCS + 0xd0c;
const SHPR1: u32 = SCS + 0xd18;
const SHCSR: u32 = SCS + 0xd24;
const CFSR: u32 = SCS + 0xd28;
const HFSR: u32 = SCS + 0xd2c;
const MMFAR: u32 = SCS + 0xd34;
const BFAR: u32 = SCS + 0xd38;
const CPACR: u32 = SCS + 0xd88;
const NSACR: u32 = SCS + 0xd8c;
const MPU_CTRL: u32 = SCS + 0xd94;
const MPU_MAIR0: u32 = SCS + 0xdc0;
const SFSR: u32 = SCS + 0xde4;
const FPCCR: u32 = SCS + 0xf34;
/// The non-secure alias of the system control space.
const TO_NS: u32 = 0x2_0000;

/// Reads a register of the core or of the board.
pub fn read(at: u32) -> u32 {
    // SAFETY: callers pass registers of the manager, which are always there.
    unsafe { read_volatile(at as *const u32) }
}

/// Writes a register of the core or of the board.
pub fn write(at: u32, value: u32) {
    // SAFETY: as above; none of them changes memory of Rust's.
    unsafe { write_volatile(at as *mut u32, value) }
}

/// Waits until what was written to registers holds.
pub fn barrier() {
    // SAFETY: barriers only.
    unsafe { asm!("dsb", "isb") }
}

/// Whether an address lies in the gateway.
pub fn in_gateway(pc: u32) -> bool {
    unsafe extern "C" {
        static __spm_vectors: u32;
    }
    pc.wrapping_sub((&raw const __spm_vectors) as u32 + GATEWAY) < GATEWAY_LEN
}

/// Priorities, faults, floating point: everything of the core that is set once.
pub fn configure() {
    // Non-secure exceptions below all Secure ones; faults and resets are Secure; no debug reset.
    write(AIRCR, 0x05fa_0000 | 1 << 14 | 1 << 3);
    // MemManage, BusFault, UsageFault, SecureFault; SVC; SysTick: one priority. PendSV is not used:
    // a handler of low priority could be interrupted by the other side and left behind.
    write(SHPR1, 0x2020_2020);
    write(SHPR1 + 4, 0x2000_0000);
    write(SHPR1 + 8, 0x2020_0000);
    write(SHCSR, 1 << 16 | 1 << 17 | 1 << 18 | 1 << 19);
    // Non-secure code may use floating point. Secure state stacks all registers of it and clears
    // them, and Non-secure code cannot change that.
    write(NSACR, 3 << 10);
    write(FPCCR, read(FPCCR) | 1 << 31 | 1 << 30 | 1 << 29 | 1 << 28 | 1 << 27 | 1 << 26);
    // Attribute 0: memory. Attribute 1: device.
    write(MPU_MAIR0, 0x0444);
    barrier();
}

/// Loads the regions of the thread that runs next.
pub fn protect(regions: &[[u32; 2]; 8]) {
    // SAFETY: reads the 16 words of the table, and writes MPU_RNR and the four RBAR and RLAR that
    // follow it, twice; the manager itself runs on the background map meanwhile.
    unsafe {
        asm!(
            "str {zero}, [{mpu}]",
            "str {zero}, [{mpu}, #4]",
            "add {to}, {mpu}, #8",
            "ldmia {from}!, {{r2, r3, r4, r5}}",
            "stmia {to}!, {{r2, r3, r4, r5}}",
            "ldmia {from}!, {{r2, r3, r4, r5}}",
            "stmia {to}!, {{r2, r3, r4, r5}}",
            "movs {zero}, #4",
            "str {zero}, [{mpu}, #4]",
            "add {to}, {mpu}, #8",
            "ldmia {from}!, {{r2, r3, r4, r5}}",
            "stmia {to}!, {{r2, r3, r4, r5}}",
            "ldmia {from}!, {{r2, r3, r4, r5}}",
            "stmia {to}!, {{r2, r3, r4, r5}}",
            "movs {zero}, #5",
            "str {zero}, [{mpu}]",
            mpu = in(reg) MPU_CTRL,
            from = inout(reg) regions.as_ptr() => _,
            to = out(reg) _,
            zero = inout(reg) 0 => _,
            out("r2") _, out("r3") _, out("r4") _, out("r5") _,
        )
    }
}

/// Whether the thread that runs next may have floating-point registers restored.
pub fn floating_point(on: bool) {
    write(CPACR, if on { 0xf0_0000 } else { 0 });
    barrier();
}

/// Makes the hardware write the caller's floating-point registers to the stack now.
pub fn save_fp() {
    // SAFETY: reads FPSCR; where registers were stacked there is a unit, and the gateway's context
    // has access to it.
    unsafe { asm!(".inst.w 0xeef10a10", out("r0") _) }
}

/// Keeps non-secure interrupts out, or lets them in.
pub fn mask_nonsecure(on: bool) {
    let value: u32 = if on { 0x80 } else { 0 };
    // SAFETY: BASEPRI of Secure state.
    unsafe { asm!("msr basepri, {}", in(reg) value) }
}

/// When the next tick comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Never.
    Off,
    /// Every `TICK_MS`.
    On,
    /// Once, after 50 microseconds.
    Soon,
}

/// Starts the tick from its beginning, or stops it.
pub fn ticking(tick: Tick) {
    write(SYSTICK, 0);
    if tick != Tick::Off {
        let reload = if tick == Tick::Soon { 1000 } else { TICK_MS * 20_000 };
        write(SYSTICK + 4, reload - 1);
        write(SYSTICK + 8, 0);
        write(SYSTICK, 7);
    }
}

/// Opens or closes an interrupt; closing does not forget that it is pending.
pub fn interrupt(number: u16, open: bool) {
    let word = u32::from(number) / 32 * 4;
    let bit = 1 << (number % 32);
    if open {
        // What came while it was closed was the event that is being ended now.
        write(SCS + 0x280 + word, bit);
        write(SCS + 0x100 + word, bit);
    } else {
        write(SCS + 0x180 + word, bit);
        barrier();
    }
}

/// Which interrupts belong to the non-secure side, and the priority of the others.
pub fn target_interrupts(nonsecure: &[u32; 4]) {
    for (index, bits) in nonsecure.iter().enumerate() {
        write(SCS + 0x380 + index as u32 * 4, *bits);
    }
    for number in 0..32 {
        write(SCS + 0x400 + number * 4, 0x2020_2020);
    }
}

/// What the fault registers hold; reading clears them.
pub struct FaultReport {
    /// CFSR.
    pub status: u32,
    /// SFSR.
    pub secure: u32,
    /// The faulting address, where the hardware gives one.
    pub address: Option<u32>,
}

impl FaultReport {
    /// Takes the report of Secure state, and for a fault of the other side its own as well.
    pub fn take(from_secure: bool) -> Self {
        let mut status = read(CFSR);
        let secure = read(SFSR);
        let address = if status & 1 << 7 != 0 {
            Some(read(MMFAR))
        } else if status & 1 << 15 != 0 {
            Some(read(BFAR))
        } else if secure & 1 << 6 != 0 {
            Some(read(SFSR + 4))
        } else {
            None
        };
        write(CFSR, status);
        write(SFSR, secure);
        write(HFSR, read(HFSR));
        if !from_secure {
            let theirs = read(CFSR + TO_NS);
            write(CFSR + TO_NS, theirs);
            status |= theirs;
        }
        Self { status, secure, address }
    }

    /// Whether an exception return was refused: whoever returns has never been called.
    pub fn is_forged_return(&self) -> bool {
        self.secure & (1 << 1 | 1 << 2) != 0
    }

    /// The stack limit, or a stack that could not be written.
    pub fn is_stack(&self) -> bool {
        self.status & (1 << 20 | 1 << 4 | 1 << 12) != 0
    }

    /// Whether the thread's stack holds no registers of this fault.
    pub fn frame_is_lost(&self) -> bool {
        self.is_stack() || self.is_forged_return()
    }
}

/// What the non-secure side could do with a range of its own.
pub fn nonsecure_range(first: u32, last: u32, write: bool) -> Option<u32> {
    let (control, a, b): (u32, u32, u32);
    // SAFETY: TT only asks; CONTROL_NS is only read.
    unsafe {
        asm!("mrs {}, control_ns", out(reg) control);
        if control & 1 == 0 {
            asm!("tta {}, {}", out(reg) a, in(reg) first);
            asm!("tta {}, {}", out(reg) b, in(reg) last);
        } else {
            asm!("ttat {}, {}", out(reg) a, in(reg) first);
            asm!("ttat {}, {}", out(reg) b, in(reg) last);
        }
    }
    let wanted = if write { 1 << 21 } else { 1 << 20 };
    // One region of the SAU, one of the MPU, and the right in it.
    let good = a == b && a & wanted != 0 && a & 1 << 17 != 0;
    good.then_some(a >> 8 & 0xff)
}

/// Whether an external interrupt is being handled, which only its own return can end.
pub fn nonsecure_interrupt_active() -> bool {
    (0..4).any(|word| read(SCS + 0x300 + word * 4) != 0)
}

/// Brings the non-secure core registers to what they are after a reset; its stack pointer is `sp`.
/// Its SysTick goes on if it was running: QEMU 7.2 refuses the Secure way to it.
pub fn reset_nonsecure(vectors: u32, sp: u32, interrupts: &[u32; 4]) {
    write(ICSR + TO_NS, 1 << 27 | 1 << 25);
    write(SHCSR + TO_NS, 0);
    write(MPU_CTRL + TO_NS, 0);
    write(CPACR + TO_NS, 0);
    write(VTOR + TO_NS, vectors);
    for (index, bits) in interrupts.iter().enumerate() {
        let word = index as u32 * 4;
        write(SCS + 0x180 + word, *bits);
        write(SCS + 0x280 + word, *bits);
    }
    // SAFETY: special registers of the other side, which does not run.
    unsafe {
        asm!(
            "msr control_ns, {zero}",
            "msr primask_ns, {zero}",
            "msr basepri_ns, {zero}",
            "msr faultmask_ns, {zero}",
            "msr msplim_ns, {zero}",
            "msr psplim_ns, {zero}",
            "msr psp_ns, {zero}",
            "msr msp_ns, {sp}",
            zero = in(reg) 0,
            sp = in(reg) sp,
        )
    }
    barrier();
}

/// Resets the device.
pub fn reset() -> ! {
    write(AIRCR, 0x05fa_0004 | 1 << 14);
    barrier();
    loop {
        core::hint::spin_loop();
    }
}
