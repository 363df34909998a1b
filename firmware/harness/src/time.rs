//! What depends on time: the watchdog and what it waits for, and what time tells.

use std::fs;
use std::time::Duration;

use harness::elf;
use harness::release::Fleet;
use ringfort_cose::Reason;

use crate::device::{Bench, Device, Run};
use crate::flows::{Tally, runs};

pub fn all(bench: &Bench, boards: &[&'static str]) -> bool {
    let mut tally = Tally::default();
    for machine in boards.iter().copied() {
        tags(bench, machine, &mut tally);
        fused(bench, machine, &mut tally);
        largest(bench, machine, &mut tally);
        silence(bench, machine, &mut tally);
    }
    tally.end("time")
}

/// Who writes tags into flash and counts instructions does not learn how much of a tag was right.
fn tags(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 1, 0);
    let device = Device::confirmed(bench, "tags", machine, &fleet);
    let good = fs::read(device.flash()).expect("the flash");
    let begins = |at: &usize| good[*at..*at + 4] == good[..4];
    let tag = (0..0x1000).step_by(STRIDE).filter(begins).max().unwrap_or(0) + RECORD - 16;
    let boot = fs::read(&device.boot).expect("the loader");
    let symbols = elf::symbols(&boot);
    // From each function that a record passes through to the next one.
    let ranges: Vec<String> = symbols
        .windows(2)
        .filter(|pair| {
            ["6decode", "is_same", "bcmp", "memcmp"].iter().any(|n| pair[0].1.contains(n))
        })
        .filter(|pair| pair[0].0 < pair[1].0)
        .map(|pair| format!("{:#x}..{:#x}", pair[0].0, pair[1].0 - 1))
        .collect();
    let count = |wrong: usize| {
        let mut flash = good.clone();
        flash[tag + wrong] ^= 1;
        fs::write(device.flash(), flash).expect("the flash");
        let log = device.folder.join("trace");
        let arguments = ["-singlestep", "-d", "exec,nochain", "-dfilter", &ranges.join(","), "-D"];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
        arguments.push(log.display().to_string());
        device.run(&Run { arguments, ..Run::default() });
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("Trace")).count()
    };
    let counts = [0, 1, 7, 15].map(count);
    let same = counts[0] > 0 && counts.iter().all(|count| *count == counts[0]);
    let what = format!("{machine}: a tag is judged in the same time wherever it is wrong");
    tally.check(&what, same, &counts);
}

/// A counter that the first judgement reads otherwise than the second: the boot ends nowhere, and the
/// watchdog starts another, though the image is a confirmed one, which would run without it.
fn fused(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 1, 0);
    let mut device = Device::confirmed(bench, "fused", machine, &fleet);
    device.boot = bench.boot.with_file_name("boot");
    let arguments =
        vec!["-no-reboot".to_owned(), "-icount".to_owned(), "shift=9,sleep=off".to_owned()];
    let run = Run { arguments, ..Run::default() };
    let sound = device.run(&run);
    tally.code(&format!("{machine}: a confirmed image runs"), &sound, runs(1));
    device.write(mps2::map::FUSES.at, &(!0b101_u32).to_le_bytes());
    let outcome = device.run(&run);
    let what = format!("{machine}: what the second judgement refuses ends in a reset");
    tally.check(&what, outcome.code == Some(0) && outcome.nonsecure.is_empty(), &outcome);
}

/// The largest image at the speed of the board: 15 million instructions a second.
fn largest(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 2, 3000 * 1024);
    let device = Device::new(bench, "largest", machine, &fleet);
    device.factory_slot(&fleet.slot(&fleet.good(1), 1));
    let kill_after = Some(Duration::from_secs(120));
    let outcome = device.run(&Run { arguments: board_speed(), kill_after, ..Run::default() });
    tally.code(
        &format!("{machine}: 3,000 KiB boot before the watchdog speaks up"),
        &outcome,
        runs(1),
    );
}

/// Recovery over a line on which nothing comes: it says so, and asks again.
fn silence(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 2, 0);
    let device = Device::new(bench, "silence", machine, &fleet);
    let run = Run {
        recovery: Some(Vec::new()),
        arguments: board_speed(),
        until: Some(("boot: recovery, ", 2)),
        ..Run::default()
    };
    let outcome = device.run(&run);
    let said = format!("boot: recovery, {:08x}", Reason::TransferFailed.number());
    let what = format!("{machine}: a silent line is asked again before the watchdog speaks up");
    tally.check(&what, outcome.code.is_none() && outcome.console.contains(&said), &outcome);
}

fn board_speed() -> Vec<String> {
    vec!["-icount".to_owned(), "shift=6,sleep=off".to_owned()]
}

const RECORD: usize = slots::RECORD_BYTES;
/// From one record to the next: with its mark, in write units of 8.
const STRIDE: usize = RECORD.next_multiple_of(8) + 8;
