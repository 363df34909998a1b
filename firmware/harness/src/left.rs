//! What a boot leaves behind: nothing of the device's secret, no register, no memory of its own, no
//! master that could reach memory by itself; and one line in the log.

use boot::HANDOFF_MAGIC;
use harness::release::{Fleet, Images};
use ringfort_cose::Reason;
use slots::Sha256;

use crate::device::{Bench, Device, MEMORY, Run, SECRET, otp};
use crate::flows::{DONE, HANG, INSTALL, REVERT, Tally, runs};

/// Reads all of the memory at hand-off and looks for the device's secret, in every form in which the
/// loader works with it.
pub fn secret(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 1, 64 * 1024);
    let device = Device::new(bench, "secret", machine, &fleet);
    device.factory_slot(&fleet.slot(&fleet.good(1), 1));
    let memory = device.memory_at_handoff(HANG);
    let found = |needle: &[u8]| memory.windows(needle.len()).any(|window| window == needle);
    let what = format!("{machine}: the hand-off is in the {} bytes read", memory.len());
    tally.check(&what, found(&HANDOFF_MAGIC.to_le_bytes()), &"no hand-off");
    let pieces: Vec<_> = forms().into_iter().filter(|(_, piece)| found(piece)).collect();
    let what = format!("{machine}: no piece of the device's secret is left in memory");
    tally.check(&what, pieces.is_empty(), &pieces);
    // What was derived from it is handed over, and is found.
    let derived = slots::hmac(&SECRET, &[b"ringfort/record/1"]);
    let what = format!("{machine}: what was derived from it is found");
    tally.check(&what, found(&derived), &"not found");
}

/// A device that may boot nothing reads its blob to know that. The delivered loader stays where it stopped,
/// and its memory with it.
pub fn secret_of_the_decommissioned(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 1, 0);
    let mut device = Device::new(bench, "stopped", machine, &fleet);
    device.boot = bench.boot.with_file_name("boot");
    device.otp = otp(&fleet, 0x6000);
    let run = Run { plain: true, ..Run::default() };
    let stopped = |run: &Run| run.console.lines_with("boot: stopped, ") > 0;
    let memory = device.memory_when(run, "memsave", &MEMORY, stopped);
    let found = |needle: &[u8]| memory.windows(needle.len()).any(|window| window == needle);
    let pieces: Vec<_> = forms().into_iter().filter(|(_, piece)| found(piece)).collect();
    let what = format!("{machine}: no piece of the secret of a decommissioned device is left");
    // The loader itself is there to be found.
    let read = found(b"boot: stopped, ");
    tally.check(&what, read && pieces.is_empty(), &(read, pieces));
}

/// Pieces of eight bytes: plain, under the two pads of HMAC (RFC 2104), and each of these in the byte
/// order of SHA-256's words.
fn forms() -> Vec<(&'static str, [u8; 8])> {
    let pieces = SECRET.chunks_exact(8).map(|piece| <[u8; 8]>::try_from(piece).expect("eight"));
    let under = |pad: u8| move |piece: [u8; 8]| piece.map(|byte| byte ^ pad);
    let turned = |[a, b, c, d, e, f, g, h]: [u8; 8]| [d, c, b, a, h, g, f, e];
    pieces
        .flat_map(|piece| {
            let (inner, outer) = (under(0x36)(piece), under(0x5c)(piece));
            [
                ("plain", piece),
                ("plain, turned", turned(piece)),
                ("inner pad", inner),
                ("inner pad, turned", turned(inner)),
                ("outer pad", outer),
                ("outer pad, turned", turned(outer)),
            ]
        })
        .collect()
}

/// Boots an image whose first instructions look at registers and memory and say what is not zero.
pub fn registers_and_memory(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let images = Images { secure: looks(), nonsecure: (0..100).collect() };
    let fleet = Fleet::new(&images, 1, 0);
    let device = Device::new(bench, "left", machine, &fleet);
    device.factory_slot(&fleet.slot(&fleet.good(1), 1));
    let outcome = device.command(0);
    let Some(seen) = outcome.code.and_then(|code| u8::try_from(code).ok()) else {
        return tally.check(&format!("{machine}: the image says what it saw"), false, &outcome);
    };
    for (index, what) in ZERO.iter().enumerate() {
        let what = format!("{machine}: at hand-off {what}");
        tally.check(&what, seen >> index & 1 == 0, &format_args!("{seen:#04x}"));
    }
    let what =
        format!("{machine}: at hand-off the hand-off is there, so that what is left is seen");
    tally.check(&what, seen >> ZERO.len() & 1 == 1, &format_args!("{seen:#04x}"));
}

/// What the image finds zero, by the bit that says it is not.
const ZERO: [&str; 6] = [
    "registers are zero",
    "stack limit and flags are zero",
    "the place of the blob is zero",
    "the place of envelope and anchors is zero",
    "the loader's stack is zero",
    "DMA is off, and no master is non-secure",
];

/// From, to, and the bit of an area that is not zero.
const AREAS: [[u32; 3]; 14] = [
    [0x1000_f000, 0x1000_f100, 1 << 2],
    [0x103f_0000, 0x103f_3000, 1 << 3],
    [0x3800_0000, 0x3800_3000, 1 << 4],
    // Security controller: AHB expansions 0 to 3 that are non-secure, and masters.
    [0x5008_0060, 0x5008_0070, 1 << 5],
    [0x5008_00d0, 0x5008_00d4, 1 << 5],
    // Four PL081: enabled channels, configuration.
    [0x5011_001c, 0x5011_0020, 1 << 5],
    [0x5011_0030, 0x5011_0034, 1 << 5],
    [0x5011_101c, 0x5011_1020, 1 << 5],
    [0x5011_1030, 0x5011_1034, 1 << 5],
    [0x5011_201c, 0x5011_2020, 1 << 5],
    [0x5011_2030, 0x5011_2034, 1 << 5],
    [0x5011_301c, 0x5011_3020, 1 << 5],
    [0x5011_3030, 0x5011_3034, 1 << 5],
    // The hand-off.
    [0x3800_3000, 0x3800_3400, 1 << 6],
];

/// A secure component that joins registers and areas and ends the emulator with what it saw.
fn looks() -> Vec<u8> {
    let code = [
        0xf3ef_u16, 0x8e00, // mrs lr, apsr: the only register that may hold something
        0x4308, 0x4310, 0x4318, 0x4320, 0x4328, 0x4330, 0x4338, // orrs r0, r1 to r7
        0xea40, 0x0008, 0xea40, 0x0009, 0xea40, 0x000a, 0xea40, 0x000b, 0xea40, 0x000c,
        0x2700, // movs r7, #0
        0x2800, 0xbf18, 0xf047, 0x0701, // cmp r0, #0; it ne; orrne r7, r7, #1
        0xf3ef, 0x800a, 0xea40, 0x000e, // mrs r0, msplim; orr r0, r0, lr
        0x2800, 0xbf18, 0xf047, 0x0702, // cmp r0, #0; it ne; orrne r7, r7, #2
        0xa40b, // adr r4, areas
        0xcc26, // 1: ldm r4!, {r1, r2, r5}
        0x2000, // movs r0, #0
        0xf851, 0x3b04, // 2: ldr r3, [r1], #4
        0x4318, 0x4291, 0xd3fa, // orrs r0, r3; cmp r1, r2; blo 2b
        0x2800, 0xbf18, 0x432f, // cmp r0, #0; it ne; orrne r7, r5
        0x6823, 0x2b00, 0xd1f2, // ldr r3, [r4]; cmp r3, #0; bne 1b
        0xf240, 0x0026, 0xf2c0, 0x0002, // mov r0, 0x20026
        0xb481, 0x4669, // push {r0, r7}; mov r1, sp
        0x2020, 0xbeab, // movs r0, #0x20; bkpt 0xab
        0xe7fe, 0xbf00, // b .; nop
    ];
    let mut image = vec![0; 0x44];
    // Stack and entry; everything else of the table is zero, the place of the release number too.
    image[..4].copy_from_slice(&0x3801_4000_u32.to_le_bytes());
    image[4..8].copy_from_slice(&0x1002_0045_u32.to_le_bytes());
    image.extend(code.into_iter().flat_map(u16::to_le_bytes));
    image.extend(AREAS.into_iter().flatten().chain([0]).flat_map(u32::to_le_bytes));
    image
}

/// The deepest way is recovery's: a release is taken, written, read back and judged once more.
pub fn stack_of_recovery(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 2, 0);
    let device = Device::new(bench, "recovery", machine, &fleet);
    // Its last component is found wrong, so that the loader stays where it is.
    let wrong = fleet.good(1).with_flipped_payload(1, 99);
    let run = Run { recovery: Some(wrong.stream()), ..Run::default() };
    let console = run.console.clone();
    let refused = |run: &Run| run.console.lines_with("boot: recovery, ") > 1;
    let memory = device.memory_when(run, "memsave", &[STACK], refused);
    let (said, reason) = (console.text(), Reason::ImageDigest);
    let what = format!("{machine}: recovery refuses a release whose payload is wrong ({reason})");
    tally.check(&what, said.contains(&format!("{:08x}", reason.number())), &said);
    let free = memory.iter().take_while(|byte| **byte == 0xa5).count();
    let used = memory.len() - free;
    let what = format!("{machine}: {used} bytes of stack in recovery are within 80 % of 12 KiB");
    tally.check(&what, (1..=STACK.1 as usize * 8 / 10).contains(&used), &memory.len());
}

/// The newest line of the log says what booted, and why the other slot did not.
pub fn log(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 1, 64 * 1024);
    let device = Device::confirmed(bench, "log", machine, &fleet);
    device.stage(&fleet.good(2));
    let outcome = device.command(INSTALL);
    tally.code(&format!("{machine}: log: an update is installed"), &outcome, DONE);
    let outcome = device.command(0);
    tally.code(&format!("{machine}: log: it runs"), &outcome, runs(2));
    // The factory's trial was boot 1, the installing boot 2.
    let wanted = line(&fleet, 2, [3, 1 | 1 << 8 | 1 << 16, 0]);
    let seen = newest(&device);
    let what = format!("{machine}: the log has number, slot, trial, attempts, and measurements");
    tally.check(&what, seen == wanted, &(&seen, &wanted));
    let outcome = device.command(REVERT);
    tally.code(&format!("{machine}: log: it is given up"), &outcome, DONE);
    let outcome = device.command(0);
    tally.code(&format!("{machine}: log: the old one runs"), &outcome, runs(1));
    let reason = Reason::HealthCheckFailed.number();
    let wanted = line(&fleet, 1, [5, 0, reason]);
    let seen = newest(&device);
    let what = format!("{machine}: the log has the reason why the other slot was given up");
    tally.check(&what, seen == wanted, &(&seen, &wanted));
    let lines = lines(&device).len();
    tally.check(&format!("{machine}: no boot is left out"), lines == 5, &lines);
}

/// The line that a boot of this release leaves: number, kind and reason.
fn line(fleet: &Fleet, release: u8, [number, kind, reason]: [u32; 3]) -> Vec<u8> {
    let sequence = Fleet::sequence(release);
    let words = [MAGIC, number, kind, reason, sequence as u32, (sequence >> 32) as u32];
    let mut line: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    for component in &fleet.good(release).components {
        line.extend_from_slice(&Sha256::digest(component)[..20]);
    }
    line
}

fn lines(device: &Device) -> Vec<Vec<u8>> {
    let log = device.read(LOG_AT, 0x2000);
    let begins = |line: &&[u8]| line[..4] == MAGIC.to_le_bytes();
    log.chunks_exact(64).filter(begins).map(<[u8]>::to_vec).collect()
}

fn newest(device: &Device) -> Vec<u8> {
    let number = |line: &Vec<u8>| u32::from_le_bytes([line[4], line[5], line[6], line[7]]);
    lines(device).into_iter().max_by_key(number).unwrap_or_default()
}

/// The loader's stack, which is all of its memory.
const STACK: (u32, u32) = (mps2::map::BOOT_RAM.at, mps2::map::BOOT_RAM.len);
const LOG_AT: u32 = mps2::map::LOG[0];
const MAGIC: u32 = 0x474c_4652;
