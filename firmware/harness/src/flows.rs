//! The life of a device without attack, on both boards.

use harness::release::{Fleet, Release, SLOT_B};
use ringfort_cose::Reason;

use crate::device::{Bench, Device, MACHINES, Outcome, Run, STAGING};
use crate::left;

pub const CONFIRM: u32 = 0x4647_4e01;
pub const HANG: u32 = 0x4647_4e02;
pub const CRASH: u32 = 0x4647_4e03;
pub const REVERT: u32 = 0x4647_4e04;
pub const INSTALL: u32 = 0x4647_4e05;
pub const ANCHORS: u32 = 0x4647_4e06;
pub const CYCLE: u32 = 0x4647_4e07;
pub const WRITE: u32 = 0x4647_4e08;

/// Exit code of the secure component: done.
pub const DONE: Option<i32> = Some(0x10);
/// Exit code of the secure component: refused.
pub const REFUSED: Option<i32> = Some(0x11);
/// Exit code of a boot loader that stopped.
pub const STOPPED: Option<i32> = Some(0x30);
/// Exit code of a boot loader that waits for recovery.
pub const RECOVERS: Option<i32> = Some(0x31);

/// Exit code of release `number`, once its non-secure component ran.
pub fn runs(number: u8) -> Option<i32> {
    Some(0x40 + i32::from(number))
}

/// Counts what held and says what did not.
#[derive(Default)]
pub struct Tally {
    held: u32,
    broken: u32,
}

impl Tally {
    pub fn check(&mut self, what: &str, holds: bool, seen: &dyn std::fmt::Debug) {
        if holds {
            self.held += 1;
            println!("ok      {what}");
        } else {
            self.broken += 1;
            println!("FAILED  {what}: {seen:?}");
        }
    }

    pub fn code(&mut self, what: &str, outcome: &Outcome, wanted: Option<i32>) {
        self.check(what, outcome.code == wanted, outcome);
    }

    pub fn end(self, name: &str) -> bool {
        println!("{name}: {} held, {} failed", self.held, self.broken);
        self.broken == 0
    }
}

impl Device {
    pub fn command(&self, command: u32) -> Outcome {
        self.run(&Run { command, ..Run::default() })
    }

    /// A device whose release 1, from the factory, is confirmed.
    pub fn confirmed(bench: &Bench, name: &str, machine: &'static str, fleet: &Fleet) -> Device {
        let device = Device::new(bench, name, machine, fleet);
        device.factory_slot(&fleet.slot(&fleet.good(1), 1));
        device.command(CONFIRM);
        device
    }

    pub fn stage(&self, release: &Release) {
        self.write(STAGING, &release.stream());
    }

    pub fn stage_anchors(&self, fleet: &Fleet, version: usize) {
        let anchors = fleet.anchors(version);
        self.write(STAGING, &[&(anchors.len() as u32).to_le_bytes(), anchors].concat());
    }
}

pub fn all(bench: &Bench, boards: &[&'static str]) -> bool {
    let mut tally = Tally::default();
    for machine in boards.iter().copied() {
        life(bench, machine, &mut tally);
        delivered(bench, machine, &mut tally);
        left::secret(bench, machine, &mut tally);
        left::secret_of_the_decommissioned(bench, machine, &mut tally);
        left::registers_and_memory(bench, machine, &mut tally);
        left::stack_of_recovery(bench, machine, &mut tally);
        left::log(bench, machine, &mut tally);
    }
    tally.end("flows")
}

/// One device from reset to its first non-secure line, as a user sees it.
pub fn run(bench: &Bench) -> bool {
    let machine = MACHINES[0];
    let fleet = Fleet::new(&bench.images, 1, 64 * 1024);
    let device = Device::new(bench, "run", machine, &fleet);
    device.factory_slot(&fleet.slot(&fleet.good(1), 1));
    // It stays at its last line for ever.
    let kill_after = Some(std::time::Duration::from_secs(3));
    let outcome = device.run(&Run { plain: true, kill_after, ..Run::default() });
    print!("{}{}", outcome.console, outcome.nonsecure);
    outcome.nonsecure.contains("hello")
}

fn life(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 2, 64 * 1024);
    let device = Device::new(bench, "life", machine, &fleet);
    let mut say = |what: &str, outcome: Outcome, wanted| {
        tally.code(&format!("{machine}: {what}"), &outcome, wanted);
        outcome
    };
    say("a device without an image waits for recovery", device.command(0), RECOVERS);

    let device = Device::new(bench, "life", machine, &fleet);
    device.factory_slot(&fleet.slot(&fleet.good(1), 1));
    let first = say("the factory's image runs on trial", device.command(0), runs(1));
    say("it is confirmed", device.command(CONFIRM), DONE);
    say("and runs", device.command(0), runs(1));

    device.stage(&fleet.good(2));
    say("an update is installed", device.command(INSTALL), DONE);
    say("runs on trial", device.command(0), runs(2));
    say("is confirmed", device.command(CONFIRM), DONE);
    let second = say("and runs", device.command(0), runs(2));

    device.stage(&fleet.good(3));
    say("another is installed", device.command(INSTALL), DONE);
    say("runs on trial", device.command(0), runs(3));
    say("fails its health check", device.command(REVERT), DONE);
    let back = say("and the old one runs", device.command(0), runs(2));
    say("the reverted release is offered again", device.command(INSTALL), DONE);
    say("and runs on trial", device.command(0), runs(3));
    say("is given up by another revert", device.command(REVERT), DONE);

    device.stage_anchors(&fleet, 2);
    say("anchors version 2 are taken", device.command(ANCHORS), DONE);
    say("the image of version 1 runs on", device.command(0), runs(2));
    device.stage(&fleet.good(4));
    say("a release by dropped keys is refused", device.command(INSTALL), REFUSED);
    device.stage(&fleet.good_under(4, 2));
    say("a release by the new keys is installed", device.command(INSTALL), DONE);
    say("and runs on trial", device.command(0), runs(4));
    say("is confirmed", device.command(CONFIRM), DONE);

    let stacks = [&first, &second, &back].map(|outcome| field(outcome, "stack"));
    let most = stacks.into_iter().flatten().max().unwrap_or(u32::MAX);
    let what = format!("{machine}: {most} bytes of stack are within 80 % of 12 KiB");
    tally.check(&what, most <= 12 * 1024 * 8 / 10, &stacks);
    let boots = [&first, &second].map(|outcome| field(outcome, "boots"));
    let what = format!("{machine}: boots are counted");
    tally.check(&what, boots[0] == Some(1) && boots[1] == Some(7), &boots);
}

/// The loaders as they are delivered, with and without `dice` and `recovery`. Here it is the images
/// that end the emulator.
fn delivered(bench: &Bench, machine: &'static str, tally: &mut Tally) {
    let fleet = Fleet::new(&bench.images, 2, 0);
    for name in ["boot", "boot-small"] {
        let mut device = Device::new(bench, name, machine, &fleet);
        device.boot = bench.boot.with_file_name(name);
        device.factory_slot(&fleet.slot(&fleet.good(1), 1));
        let mut say = |what: &str, command, wanted| {
            let outcome = device.command(command);
            tally.code(&format!("{machine}: {name}: {what}"), &outcome, wanted);
        };
        say("the factory's image is confirmed", CONFIRM, DONE);
        device.stage(&fleet.good(2));
        say("an update is installed", INSTALL, DONE);
        say("runs on trial", 0, runs(2));
        say("is confirmed", CONFIRM, DONE);
        say("and runs", 0, runs(2));
        let at = SLOT_B + 0x3000 + 99;
        device.write(at, &[device.read(at, 1)[0] ^ 1]);
        let run = Run { until: Some(("boot: recovery, ", 1)), ..Run::default() };
        let outcome = device.run(&run);
        let reason = format!("boot: recovery, {:08x}", Reason::ImageDigest.number());
        let refused = outcome.console.contains(&reason) && !outcome.console.contains("app: ");
        let what = format!("{machine}: {name}: a changed image does not run (image-digest)");
        tally.check(&what, refused && outcome.nonsecure.is_empty(), &outcome);
    }
}

/// The number behind a word of the secure component's line.
pub fn field(outcome: &Outcome, name: &str) -> Option<u32> {
    let line = outcome.console.lines().find(|line| line.starts_with("app: release"))?;
    let mut words = line.split(' ').skip_while(|word| *word != name);
    u32::from_str_radix(words.nth(1)?, 16).ok()
}

/// Kills QEMU during install, switch and confirmation, so often on each board: always old or new.
pub fn kill(bench: &Bench, boards: &[&'static str], times: u64) -> bool {
    let mut tally = Tally::default();
    let fleet = Fleet::new(&bench.images, 1, 64 * 1024);
    let mut states = [0u32; 2];
    for machine in boards.iter().copied() {
        let device = Device::confirmed(bench, "kill", machine, &fleet);
        let mut dice = 0x5eed + u64::from(machine == MACHINES[1]);
        let mut old = 1;
        for round in 0..times {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let after = std::time::Duration::from_millis(10 + (dice >> 33) % 100);
            let new = old + 1;
            device.stage(&fleet.good(new));
            device.run(&Run { command: CYCLE, kill_after: Some(after), ..Run::default() });
            let outcome = device.command(0);
            let good = outcome.code == runs(old) || outcome.code == runs(new);
            if !good || round % 20 == 19 {
                let what = format!("{machine}: {} kills, the last after {after:?}", round + 1);
                tally.check(&what, good, &outcome);
            }
            let renewed = outcome.code == runs(new);
            states[usize::from(renewed)] += 1;
            // What is on trial may still fall back: it is new only once it is confirmed.
            if renewed && field(&outcome, "trial") == Some(0) {
                old = new;
            }
        }
    }
    println!("after a kill: {} times the old release, {} times the new one", states[0], states[1]);
    tally.end("kill")
}
