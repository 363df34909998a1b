//! What each case does. `true` means: as it should be.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mps2::nonsecure::{load, store};
use psa::client::{self, InVec, OutVec};
use psa::{Handle, Status};

use crate::board::in_handler;
use crate::cases::Case;
use crate::product::sid;
use crate::{goes_on, threads};

const NOW: Handle = Handle(sid::ECHO_NOW_HANDLE as i32);
const ROGUE: Handle = Handle(sid::ROGUE_HANDLE as i32);
const TICKER: Handle = Handle(sid::TICKER_HANDLE as i32);
const MIDDLE: Handle = Handle(sid::MIDDLE_HANDLE as i32);
const VENEERS: u32 = 0x1002_0400;
const SECURE: usize = 0x1002_0000;
const RAM_END: usize = 0x2840_0000;

/// Carries the case out.
pub fn run(case: &Case) -> bool {
    if let Some((kind, argument)) = case.rogue {
        return rogue_dies(kind, argument);
    }
    match case.name {
        "services_answer" => goes_on(),
        "nonsecure_read_of_secure_code" => load(0x1002_0000) == 0,
        "nonsecure_read_of_secure_ram" => load(0x3800_9000) == 0,
        "nonsecure_write_of_secure_ram" => wrote(0x3800_a800),
        "nonsecure_read_of_secure_memory_by_its_alias" => load(0x0002_0000) == 0,
        "nonsecure_read_of_flash" => load(0x8000_0000) == 0,
        "nonsecure_read_of_the_hand_off" => load(0x3800_3000) == 0,
        "nonsecure_read_of_secure_peripheral" => load(0x5020_0000) == 0,
        // The gate answers with zero or with an error on the bus, by the model; never with data.
        "nonsecure_read_of_secure_peripheral_by_its_alias" => {
            store(0x4020_0000, u32::from(b'!'));
            load(0x4020_0008) == 0
        }
        "nonsecure_dma_out_of_reach" => {
            store(0x4011_0030, 1);
            load(0x4011_0030) == 0 && load(0x4011_0fe0) == 0
        }
        "nonsecure_write_of_the_sau" => {
            store(0xe000_edd0, 0);
            load(0x1002_0000) == 0
        }
        "nonsecure_write_of_the_secure_mpu" => {
            store(0xe000_ed94, 0);
            load(0x3800_9000) == 0
        }
        "nonsecure_write_of_the_secure_vectors" => {
            store(0xe000_ed08, 0x2820_2000);
            let kept = client::version(sid::ECHO) == 1 && goes_on();
            store(0xe000_ed08, 0x0010_0000);
            kept && load(0x1002_0000) == 0
        }
        "nonsecure_reset_request_ignored" => {
            store(0xe000_ed0c, 0x05fa_0004);
            true
        }
        "nonsecure_watchdog_resets_the_device" => {
            store(0x4008_1c00, 0x1acc_e551);
            store(0x4008_1000, 20_000);
            store(0x4008_1008, 3);
            loop {
                // SAFETY: waits.
                unsafe { asm!("wfi") };
            }
        }
        "jump_past_a_veneer" => jump(VENEERS + 4),
        "jump_to_a_gateway_stub" => jump(VENEERS + 0x40),
        "jump_into_the_manager" => jump(0x1002_0600),
        "return_address_in_secure_memory" => {
            // SAFETY: none: the return must fail.
            unsafe { asm!("mov lr, {0}", "bx {1}", in(reg) 0x1002_0801, in(reg) VENEERS | 1) };
            false
        }
        "forged_exc_return_of_the_wrong_kind" => forge(0xffff_fffd),
        "forged_exc_return_into_the_sealed_thread_stack" => forge(0xffff_fffc),
        "forged_exc_return_into_the_sealed_main_stack" => forge(0xffff_fff8),
        "forged_exc_return_to_a_secure_handler" => forge(0xffff_fff0),
        "nonsecure_undefined_instruction" => {
            // SAFETY: none, on purpose.
            unsafe { asm!("udf #0") };
            false
        }
        "calls_from_a_nonsecure_handler" => from_a_handler(),
        "calls_with_nonsecure_masks_set" => with_masks(),
        "vectors_in_secure_memory" => {
            let mut room = [0; 16];
            [SECURE, 0x3800_9000, 0x1010_0000, 0x3820_1000, 0x8000_0000, 0xe000_ed00]
                .into_iter()
                .all(|at| {
                    let ins = [InVec::raw(at, 16)];
                    let secret = call_with(&ins, &mut [OutVec::new(&mut room)]);
                    let target = call_with(&[InVec::new(&[1; 16])], &mut [OutVec::raw(at, 16)]);
                    secret == Status::PROGRAMMER_ERROR && target == Status::PROGRAMMER_ERROR
                })
                && room == [0; 16]
        }
        "vectors_straddling_a_region" => {
            let refused = [(RAM_END - 8, 16), (0x003f_0000 - 4, 8), (0x2820_0000 - 4, 8)];
            refused.into_iter().all(|(at, len)| reads(at, len) == Status::PROGRAMMER_ERROR)
                && reads(RAM_END - 16, 16) == Status::SUCCESS
        }
        "vectors_in_devices" => {
            reads(0x4020_1000, 4) == Status::PROGRAMMER_ERROR
                && reads(0x4020_0000, 4) == Status::PROGRAMMER_ERROR
        }
        "vector_lengths_that_overflow" => {
            let start = 0x2820_2000;
            [usize::MAX, usize::MAX - start, usize::MAX - start + 1, usize::MAX - start + 2]
                .into_iter()
                .all(|len| reads(start, len) == Status::PROGRAMMER_ERROR)
                && reads(usize::MAX - 3, 8) == Status::PROGRAMMER_ERROR
                && reads(0, 0) == Status::SUCCESS
        }
        "descriptors_out_of_place" => descriptors(),
        "too_many_vectors" => {
            raw_call(NOW.0, 0, &[0x2820_2000, 5, 0, 0]) == -129
                && raw_call(NOW.0, 0, &[0x2820_2000, 3, 0x2820_2000, 2]) == -129
                && raw_call(NOW.0, 0, &[0x2820_2000, u32::MAX, 0x2820_2000, 5]) == -129
                && raw_call(NOW.0, 0, &[0x2820_2000, 0x2000_0000, 0, 0]) == -129
                && raw_call(NOW.0, 0, &[0, 0, 0, 0]) == 0
        }
        "unprivileged_caller_with_privileged_memory" => threads::unprivileged(),
        "descriptors_changed_after_the_check" => threads::descriptors_change(),
        "stale_and_foreign_handles" => handles(),
        "version_and_strictness" => versions(),
        "services_not_for_the_nonsecure_side" => {
            client::version(sid::PRIVATE) == 0
                && client::connect(sid::PRIVATE, 1) == Err(Status::CONNECTION_REFUSED)
                && now(Handle(sid::OPEN_HANDLE as i32), 0) == Status::PROGRAMMER_ERROR
        }
        "negative_types" => {
            [-1, -2, i32::MIN].into_iter().all(|kind| now(NOW, kind) == Status::PROGRAMMER_ERROR)
        }
        "connection_to_a_stateless_service" => {
            client::close(NOW);
            client::connect(sid::ECHO_NOW, 1) == Err(Status::CONNECTION_REFUSED)
        }
        "slots_run_out" => slots(),
        "condemned_connection" => {
            let Ok(handle) = client::connect(sid::ECHO, 1) else { return false };
            let first = now(handle, 4);
            let second = now(handle, 0);
            client::close(handle);
            first == Status::PROGRAMMER_ERROR && second == Status::PROGRAMMER_ERROR
        }
        "failure_record_out_of_place" => {
            [0x3800_8400, 0x1002_0000, 0x283f_fff8, 0x2820_2002]
                .into_iter()
                .all(|at| veneer(5, at, 16, 0) as i32 == -129)
                && veneer(5, 0x2820_2000, 64, 0) as i32 == -129
        }
        "registers_cleared_on_return" => registers(),
        "floating_point_registers_kept_and_clean" => floating_point(),
        "threads_with_a_lock" => threads::with_a_lock(),
        "threads_without_a_lock" => threads::without_a_lock(),
        "interrupts_during_calls" => threads::interrupts(),
        "connections_keep_their_word" => {
            let (Ok(one), Ok(two)) = (client::connect(sid::ECHO, 1), client::connect(sid::ECHO, 1))
            else {
                return false;
            };
            let kept = (0..3).all(|n| now(one, 6) == Status(n)) && now(two, 6) == Status(0);
            client::close(one);
            client::close(two);
            kept && one != two
        }
        "calls_through_a_partition" => through_middle(),
        "secure_interrupt_reaches_its_partition" => ticks(3) == Some(103) && ticks(2) == Some(105),
        "status_survives_a_warm_reset" => {
            let first = word(TICKER, 1);
            let _ = rogue_dies(8, 0);
            let _ = first.is_some() && now(TICKER, 2) == Status::SUCCESS;
            false
        }
        "memory_of_a_heap_is_given_and_taken_back" => {
            now(TICKER, 4) == Status::SUCCESS && now(TICKER, 4) == Status::SUCCESS
        }
        "free_of_what_is_no_memory" => {
            let _ = now(TICKER, 5);
            false
        }
        "service_dies_during_the_call" => dies(3),
        "service_hangs_during_the_call" => dies(5),
        "restarts_run_out" => {
            (0..4).all(|_| now(ROGUE, 8) == Status::COMMUNICATION_FAILURE)
                && now(ROGUE, 0) == Status::CONNECTION_REFUSED
                && now(ROGUE, 0) == Status::CONNECTION_REFUSED
        }
        "rogue_that_behaves" => now(ROGUE, 0) == Status(0x1111) && now(ROGUE, 0) == Status(0x2222),
        // The client has its answer before the second one kills.
        "partition_replies_twice" => {
            now(ROGUE, 0) == Status(0x1111)
                && now(ROGUE, 25) == Status::SUCCESS
                && now(ROGUE, 0) == Status(0x1111)
        }
        "partition_masks_interrupts_in_vain" => now(ROGUE, 10) == Status(0),
        "partition_raises_its_privilege_in_vain" => now(ROGUE, 11) == Status(3),
        "partition_lowers_its_stack_limit_in_vain" => now(ROGUE, 12) == Status(0),
        "partition_is_no_listed_caller" => {
            now(ROGUE, 13) == Status::CONNECTION_REFUSED
                && now(ROGUE, 14) == Status::PROGRAMMER_ERROR
                && now(ROGUE, 15) == Status(0)
        }
        "partition_lends_a_neighbours_memory" => {
            rogue(16, 0x3800_a800) == Status::PROGRAMMER_ERROR
                && rogue(16, 0x3800_9000) == Status::PROGRAMMER_ERROR
                && rogue(16, 0x2820_2000) == Status::PROGRAMMER_ERROR
        }
        _ => false,
    }
}

/// What has to be true after a restart or a reset.
pub fn after(case: &Case) -> bool {
    match case.name {
        // The word in the C partition's page went on from what it was.
        "status_survives_a_warm_reset" => word(TICKER, 1) == Some(2),
        _ => true,
    }
}

fn rogue_dies(kind: i32, argument: u32) -> bool {
    // Alive and changed before, dead in the call, and born again afterwards.
    now(ROGUE, 0) == Status(0x1111)
        && now(ROGUE, 0) == Status(0x2222)
        && rogue(kind, argument) == Status::COMMUNICATION_FAILURE
        && now(ROGUE, 0) == Status(0x1111)
}

fn rogue(kind: i32, argument: u32) -> Status {
    let argument = argument.to_le_bytes();
    let mut room = [0; 8];
    client::call(
        ROGUE,
        kind,
        &[InVec::new(&argument), InVec::new(&[7; 8])],
        &mut [OutVec::new(&mut room)],
    )
}

fn now(handle: Handle, kind: i32) -> Status {
    client::call(handle, kind, &[], &mut [])
}

fn call_with(ins: &[InVec<'_>], outs: &mut [OutVec<'_>]) -> Status {
    client::call(NOW, 0, ins, outs)
}

fn reads(at: usize, len: usize) -> Status {
    let mut room = [0; 64];
    call_with(&[InVec::raw(at, len)], &mut [OutVec::new(&mut room)])
}

fn word(handle: Handle, kind: i32) -> Option<u32> {
    let mut word = [0; 4];
    let status = client::call(handle, kind, &[], &mut [OutVec::new(&mut word)]);
    (status == Status::SUCCESS).then_some(u32::from_le_bytes(word))
}

fn ticks(count: u32) -> Option<u32> {
    let mut total = [0; 4];
    let count = count.to_le_bytes();
    let ins = [InVec::new(&count)];
    let status = client::call(TICKER, 0, &ins, &mut [OutVec::new(&mut total)]);
    (status == Status::SUCCESS).then_some(u32::from_le_bytes(total))
}

/// A call that goes through `middle` to `PRIVATE`.
pub fn through_middle() -> bool {
    let mut answer = [0; 8];
    let mut outs = [OutVec::new(&mut answer)];
    let status = client::call(MIDDLE, 0, &[InVec::new(b"through!")], &mut outs);
    status == Status::SUCCESS && answer == *b"through!"
}

fn dies(kind: i32) -> bool {
    let Ok(other) = client::connect(sid::ECHO, 1) else { return false };
    let Ok(handle) = client::connect(sid::ECHO, 1) else { return false };
    let counted = word(other, 1) == Some(1001) && word(other, 1) == Some(1002);
    let died = now(handle, kind) == Status::COMMUNICATION_FAILURE;
    // Both connections belonged to the generation that is gone.
    let stale = now(handle, 0) == Status::COMMUNICATION_FAILURE
        && now(other, 0) == Status::COMMUNICATION_FAILURE;
    client::close(handle);
    client::close(other);
    let Ok(anew) = client::connect(sid::ECHO, 1) else { return false };
    let fresh = word(anew, 1) == Some(1001);
    client::close(anew);
    counted && died && stale && fresh
}

fn wrote(at: u32) -> bool {
    store(at, 0);
    false
}

fn jump(at: u32) -> bool {
    // SAFETY: none: the fetch must fail.
    unsafe { asm!("blx {}", in(reg) at | 1, clobber_abi("C")) };
    false
}

/// Leaves a handler for Secure state without having come from there.
fn forge(exc_return: u32) -> bool {
    extern "C" fn leave(value: u32, _: u32) -> u32 {
        // SAFETY: none: this return must fail.
        unsafe { asm!("bx {}", in(reg) value, options(noreturn)) }
    }
    in_handler(leave, exc_return, 0);
    false
}

fn from_a_handler() -> bool {
    extern "C" fn version(sid: u32, _: u32) -> u32 {
        client::version(sid)
    }
    extern "C" fn connect(sid: u32, version: u32) -> u32 {
        match client::connect(sid, version) {
            Ok(_) => 0,
            Err(Status(status)) => status as u32,
        }
    }
    extern "C" fn call(handle: u32, _: u32) -> u32 {
        now(Handle(handle as i32), 0).0 as u32
    }
    in_handler(version, sid::ECHO, 0) == 0
        && in_handler(connect, sid::ECHO, 1) as i32 == -129
        && in_handler(call, NOW.0 as u32, 0) as i32 == -129
        && now(NOW, 0) == Status::SUCCESS
}

fn with_masks() -> bool {
    let mut good = true;
    for (primask, faultmask, basepri) in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0x20)] {
        // SAFETY: masks of this side only.
        unsafe {
            asm!(
                "msr primask, {}", "msr faultmask, {}", "msr basepri, {}",
                in(reg) primask, in(reg) faultmask, in(reg) basepri,
            );
        }
        good &= goes_on() && ticks(1).is_some();
        let (p, f, b): (u32, u32, u32);
        // SAFETY: as above.
        unsafe {
            asm!(
                "mrs {}, primask", "mrs {}, faultmask", "mrs {}, basepri",
                out(reg) p, out(reg) f, out(reg) b,
            );
            asm!("msr primask, {0}", "msr faultmask, {0}", "msr basepri, {0}", in(reg) 0);
        }
        good &= (p, f, b) == (primask, faultmask, basepri);
    }
    good
}

fn veneer(number: u32, a: u32, b: u32, c: u32) -> u32 {
    let result;
    // SAFETY: the gateway follows the C convention.
    unsafe {
        asm!(
            "blx {}", in(reg) VENEERS + number * 8 + 1,
            inout("r0") a => result, in("r1") b, in("r2") c,
            clobber_abi("C"),
        );
    }
    result
}

fn raw_call(handle: i32, kind: i32, vectors: &[u32; 4]) -> i32 {
    veneer(3, handle as u32, kind as u32, vectors.as_ptr() as u32) as i32
}

fn descriptors() -> bool {
    let refused = |at: u32| veneer(3, NOW.0 as u32, 0, at) as i32 == -129;
    // The structure itself, then the arrays that it names.
    refused(0x1002_0000)
        && refused(0x3800_9000)
        && refused(0x2840_0000 - 8)
        && refused(0x2820_2002)
        && refused(u32::MAX - 3)
        && raw_call(NOW.0, 0, &[0x3800_9000, 1, 0, 0]) == -129
        && raw_call(NOW.0, 0, &[0, 0, 0x3800_9000, 1]) == -129
        && raw_call(NOW.0, 0, &[0x2840_0000 - 4, 1, 0, 0]) == -129
        && raw_call(NOW.0, 0, &[0x2820_2001, 1, 0, 0]) == -129
        && raw_call(NOW.0, 0, &[u32::MAX - 3, 1, 0, 0]) == -129
}

fn handles() -> bool {
    let Ok(handle) = client::connect(sid::ECHO, 1) else { return false };
    let alive = now(handle, 0) == Status::SUCCESS;
    client::close(handle);
    let stale = now(handle, 0) == Status::PROGRAMMER_ERROR;
    client::close(handle);
    let Ok(again) = client::connect(sid::ECHO, 1) else { return false };
    let differs = again != handle && now(handle, 0) == Status::PROGRAMMER_ERROR;
    let others = [0, -1, i32::MAX, 0x100, 0x2000_0101, 0x4000_0000, 0x4000_00ff, 0x7fff_ffff]
        .into_iter()
        .chain((1..=8).map(|slot| 0x100 | slot).filter(|value| *value != again.0))
        .all(|value| now(Handle(value), 0) == Status::PROGRAMMER_ERROR);
    // A handle of a service that is called with a connection is no stateless one.
    let connected = (1..=8)
        .map(|index| 0x4000_0000 + index)
        .filter(|value| ![NOW.0, ROGUE.0, TICKER.0, MIDDLE.0].contains(value))
        .all(|value| now(Handle(value), 0) == Status::PROGRAMMER_ERROR);
    client::close(again);
    client::close(Handle(0));
    alive && stale && differs && others && connected
}

fn versions() -> bool {
    let connects = |sid, version| match client::connect(sid, version) {
        Ok(handle) => {
            client::close(handle);
            true
        }
        Err(_) => false,
    };
    connects(sid::ECHO, 1)
        && !connects(sid::ECHO, 0)
        && !connects(sid::ECHO, 2)
        && connects(sid::RELAXED, 3)
        && connects(sid::RELAXED, 1)
        && !connects(sid::RELAXED, 0)
        && !connects(sid::RELAXED, 4)
        && !connects(0xdead_beef, 1)
        && client::version(0xdead_beef) == 0
        && client::version(sid::RELAXED) == 3
}

fn slots() -> bool {
    let mut handles = [Handle(0); 5];
    for handle in &mut handles {
        let Ok(next) = client::connect(sid::ECHO, 1) else { return false };
        *handle = next;
    }
    let refused = client::connect(sid::ECHO, 1) == Err(Status::CONNECTION_BUSY)
        && now(NOW, 0) == Status::CONNECTION_BUSY
        && now(handles[4], 0) == Status::SUCCESS;
    for handle in handles {
        client::close(handle);
    }
    refused
}

fn registers() -> bool {
    let _ = now(ROGUE, 33);
    (0..6).all(|number| {
        let (r1, r2, r3, r12, flags): (u32, u32, u32, u32, u32);
        let (r4, r5, r8): (u32, u32, u32);
        let vectors = [0u32; 4];
        let argument =
            if number == 3 { ROGUE.0 as u32 } else { [0, sid::ECHO][usize::from(number == 1)] };
        // SAFETY: the gateway follows the C convention; everything that it may change is named.
        unsafe {
            asm!(
                "mov r4, #0x44", "mov r5, #0x55", "mov r8, #0x88",
                "cmp r4, r4",
                "blx {veneer}",
                "mrs {flags}, apsr",
                veneer = in(reg) VENEERS + number * 8 + 1,
                flags = out(reg) flags,
                inout("r0") argument => _,
                inout("r1") 33 => r1,
                inout("r2") vectors.as_ptr() => r2,
                inout("r3") 0x33 => r3,
                inout("r12") 0x12 => r12,
                out("r4") r4, out("r5") r5, out("r8") r8,
                out("lr") _,
            );
        }
        [r1, r2, r3, r12, flags & 0xf800_0000] == [0; 5] && [r4, r5, r8] == [0x44, 0x55, 0x88]
    })
}

/// On a core without the unit there is nothing to leak, and nothing to keep.
fn floating_point() -> bool {
    store(0xe000_ed88, 0xf0_0000);
    let is_there = load(0xe000_ef40) != 0;
    if !is_there {
        mps2::nonsecure::say("no floating-point unit\n");
        return true;
    }
    threads::floating_point()
}

/// Counts, for handlers.
pub static COUNT: AtomicU32 = AtomicU32::new(0);

/// One more.
pub fn count() {
    COUNT.store(COUNT.load(Relaxed) + 1, Relaxed);
}
