//! A million calls, most of them wrong, against the rules: whatever is asked, the manager touches
//! only memory that the one who asks may touch, and its state stays whole.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use spm::{
    Access, Core, Event, Interrupt, Machine, Nonsecure, OnError, OnFault, Outcome, Partition,
    Service, Span, Tables, status,
};

const PARTITIONS: usize = 3;
const THREADS: usize = PARTITIONS + 2;
const SLOTS: usize = 6;
const AGENT: usize = PARTITIONS;

const fn partition(number: u32, on_error: OnError) -> Partition {
    Partition {
        name: "p",
        id: 10 + number as i32,
        entry: 0x1002_0001,
        code: Span { at: 0x1002_0000 + number * 0x1000, len: 0x1000 },
        ram: Span { at: 0x3800_0000 + number * 0x1000, len: 0x1000 },
        stack: 512,
        data: Span { at: 0, len: 0 },
        data_from: 0,
        mpu: [[0; 2]; 8],
        on_fault: OnFault::Restart,
        on_error,
        deadline_ms: 100,
        restarts: u16::MAX,
        may_reset: false,
        signals: 0xf8,
    }
}

const fn service(sid: u32, owner: u8, stateless: bool, nonsecure: bool, callers: u32) -> Service {
    let signal = if stateless { 0x20 } else { 0x10 };
    Service { sid, version: 2, strict: sid % 2 == 1, stateless, nonsecure, owner, signal, callers }
}

static TABLES: Tables = Tables {
    partitions: &[
        partition(0, OnError::Error),
        partition(1, OnError::Error),
        partition(2, OnError::Error),
    ],
    services: &[
        service(1, 0, false, true, 0b010),
        service(2, 0, true, true, 0b110),
        service(3, 1, false, false, 0b100),
        service(4, 1, true, true, 0),
        service(5, 2, false, true, 0),
        service(6, 2, true, true, 0),
    ],
    interrupts: &[Interrupt { number: 7, owner: 0, signal: 0x40, enabled: true }],
    nonsecure: Nonsecure { on_fault: OnFault::Restart, on_error: OnError::Error, slots: 4 },
};

/// Non-secure memory: two regions.
const OUTSIDE: [Span; 2] =
    [Span { at: 0x0010_0000, len: 0x1000 }, Span { at: 0x2820_0000, len: 0x1000 }];

/// Memory as words; and who is being served, to judge every access.
#[derive(Default)]
struct Host {
    memory: BTreeMap<u32, u32>,
    answers: BTreeMap<usize, u32>,
    accesses: u64,
    copies: u64,
    restarts: u64,
    refusals: u64,
}

impl Host {
    fn is_known(span: Span) -> bool {
        OUTSIDE.iter().any(|area| area.holds(span))
            || TABLES.partitions.iter().any(|p| p.ram.holds(span) || p.code.holds(span))
    }

    fn is_writable(span: Span) -> bool {
        OUTSIDE.iter().any(|area| area.holds(span))
            || TABLES.partitions.iter().any(|p| p.ram.holds(span))
    }
}

impl Machine for Host {
    fn nonsecure(&self, span: Span, access: Access) -> bool {
        // The first region may only be read.
        let areas = if access == Access::Write { &OUTSIDE[1..] } else { &OUTSIDE[..] };
        areas.iter().any(|area| area.holds(span))
    }
    fn load(&self, at: u32) -> u32 {
        assert!(at.is_multiple_of(4) && Self::is_known(Span { at, len: 4 }), "load of {at:#x}");
        self.memory.get(&at).copied().unwrap_or(at ^ 0x5bd1_e995)
    }
    fn store(&mut self, at: u32, value: u32) {
        assert!(at.is_multiple_of(4) && Self::is_writable(Span { at, len: 4 }), "store to {at:#x}");
        self.accesses += 1;
        self.memory.insert(at, value);
    }
    fn copy(&mut self, from: u32, to: u32, len: u32) {
        if len == 0 {
            return;
        }
        let (source, target) = (Span { at: from, len }, Span { at: to, len });
        assert!(
            Self::is_known(source) && Self::is_writable(target),
            "copy {source:x?} {target:x?}"
        );
        // One end is the partition that asks, the other the client's: never the same third party.
        self.copies += 1;
    }
    fn result(&mut self, thread: usize, value: u32) {
        assert!(thread < THREADS - 1);
        self.answers.insert(thread, value);
    }
    fn restart(&mut self, thread: usize) {
        assert!(thread <= AGENT);
        self.restarts += 1;
    }
    fn interrupt(&mut self, number: u16, _: bool) {
        assert_eq!(number, 7);
    }
    fn report(&mut self, event: Event) {
        self.refusals += u64::from(matches!(event, Event::Refused { .. }));
    }
    fn print(&mut self, thread: usize, text: Span) {
        let p = &TABLES.partitions[thread];
        assert!(text.len <= 128 && (p.ram.holds(text) || p.code.holds(text) || text.len == 0));
    }
}

/// A small generator of numbers: the same ones on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }
    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }
    fn one_of(&mut self, all: &[u32]) -> u32 {
        all[self.below(all.len() as u32) as usize]
    }
    /// An address: somewhere in an area, at one of its ends, or anywhere.
    fn address(&mut self, thread: usize) -> u32 {
        let own = TABLES.partitions.get(thread).map_or(OUTSIDE[1], |p| p.ram);
        let area = match self.below(10) {
            0 => OUTSIDE[0],
            1 => OUTSIDE[1],
            2 => TABLES.partitions[self.below(3) as usize].ram,
            3 => TABLES.partitions[self.below(3) as usize].code,
            4 => return self.next(),
            _ => own,
        };
        let inside = self.below(area.len) & !3;
        let edge = area.len - self.below(32);
        let at = area.at + if self.below(6) == 0 { edge } else { inside };
        at & if self.below(8) == 0 { u32::MAX } else { !3 }
    }
    fn len(&mut self) -> u32 {
        match self.below(8) {
            0 => 0,
            1 => u32::MAX - self.below(64),
            2 => 0x8000_0000,
            _ => self.below(64),
        }
    }
}

/// Writes a descriptor for a call where its caller could have written it.
fn describe(host: &mut Host, dice: &mut Dice, thread: usize) -> u32 {
    let at = dice.address(thread);
    if !at.is_multiple_of(4) || !Host::is_writable(Span { at, len: 16 }) {
        return at;
    }
    let arrays = [dice.address(thread), dice.address(thread)];
    let counts = [0, 1, 2, 3, 4, 5, 0x2000_0000, u32::MAX];
    let counts = [dice.one_of(&counts), dice.one_of(&counts)];
    for (offset, value) in [arrays[0], counts[0], arrays[1], counts[1]].into_iter().enumerate() {
        host.memory.insert(at + offset as u32 * 4, value);
    }
    for (array, count) in arrays.into_iter().zip(counts) {
        for index in 0..count.min(4) {
            let entry = array.wrapping_add(index * 8);
            let span = Span { at: entry, len: 8 };
            if entry.is_multiple_of(4) && Host::is_writable(span) {
                host.memory.insert(entry, dice.address(thread));
                host.memory.insert(entry + 4, dice.len());
            }
        }
    }
    at
}

#[test]
fn a_million_calls_touch_nothing_they_may_not() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut host = Host::default();
    let mut core: Core<'static, THREADS, SLOTS> = Core::new();
    core.start(&TABLES, 0x3000, [0; 4]);
    let mut handles: Vec<u32> = vec![0];
    let mut messages: Vec<u32> = vec![0];
    let mut outcomes = [0u64; 4];
    let mut served = 0u64;
    // What a partition that behaves would know: its signals, and the message that it holds.
    let mut signals = [0u32; THREADS];
    let mut held = [0u32; THREADS];
    for _ in 0..1_000_000 {
        let thread = core.schedule();
        if thread > AGENT {
            // Everyone waits: an interrupt or the end of a deadline moves things on.
            if dice.below(2) == 0 {
                assert!(core.interrupt(&mut host, 7));
            } else {
                core.tick(&mut host, 10);
            }
            continue;
        }
        if dice.below(50) == 0 {
            core.tick(&mut host, 10);
            continue;
        }
        let number = if thread == AGENT {
            1 + dice.below(5)
        } else {
            dice.one_of(&[
                1, 2, 3, 4, 5, 16, 16, 17, 17, 17, 19, 19, 20, 21, 21, 22, 22, 22, 18, 23, 24, 25,
                27, 28, 29, 30, 31, 26, 99,
            ])
        };
        let known = handles[dice.below(handles.len() as u32) as usize];
        let message = messages[dice.below(messages.len() as u32) as usize];
        let handle = dice.one_of(&[known, known, 0x4000_0002, 0x4000_0004, 0x4000_0006, message]);
        let at = dice.address(thread);
        let args = match number {
            1 => [dice.below(8), 0, 0, 0],
            2 => [dice.below(8), dice.below(4), 0, 0],
            3 => {
                let kind = dice.one_of(&[0, 1, 7, u32::MAX, 0x8000_0000]);
                [handle, kind, describe(&mut host, &mut dice, thread), 0]
            }
            4 => [handle, 0, 0, 0],
            5 => [at, dice.one_of(&[16, 16, 15, 64]), 0, 0],
            16 => [
                dice.one_of(&[u32::MAX, 0x10, 0x30, 0xf8, 0]),
                dice.one_of(&[0, 0x8000_0000]),
                0,
                0,
            ],
            17 => [dice.one_of(&[0x10, 0x20, 0x10, 0x20, 0x40, 8, 0x30]), at, 0, 0],
            18 => [message, dice.next(), 0, 0],
            19 | 21 => [message, dice.below(5), at, dice.len()],
            20 => [message, dice.below(5), dice.len(), 0],
            22 => {
                let status = dice.one_of(&[
                    0,
                    0,
                    5,
                    status::PROGRAMMER_ERROR as u32,
                    status::CONNECTION_REFUSED as u32,
                    u32::MAX,
                ]);
                [message, status, 0, 0]
            }
            23 => [10 + dice.below(5), 0, 0, 0],
            25 | 28 | 29 => [dice.one_of(&[0x40, 0x10, 8]), 0, 0, 0],
            30 => [at, dice.one_of(&[16, 128, 129, u32::MAX]), 0, 0],
            _ => [dice.next(), dice.next(), dice.next(), dice.next()],
        };
        // Most of the time a partition does what it should, so that there is something to break.
        let behaves = thread < PARTITIONS && dice.below(12) != 0;
        let (number, args) = if behaves {
            let own = TABLES.partitions[thread].ram.at;
            match (held[thread], signals[thread] & 0x30) {
                (0, 0) => (16, [0x30, 0x8000_0000, 0, 0]),
                (0, ready) => (17, [1 << ready.trailing_zeros(), own + 64, 0, 0]),
                (message, _) => match dice.below(5) {
                    0 if host.load(own + 64) < 0x8000_0000 => (19, [message, 0, own + 256, 16]),
                    1 if host.load(own + 64) < 0x8000_0000 => {
                        let room = host.load(own + 64 + 32);
                        (21, [message, 0, own + 256, room.min(16)])
                    }
                    _ => (22, [message, 0, 0, 0]),
                },
            }
        } else if thread == AGENT && dice.below(2) == 0 {
            let known = handles[handles.len() - 1];
            match dice.below(3) {
                0 => (2, [dice.one_of(&[1, 5]), 2, 0, 0]),
                1 => (4, [known, 0, 0, 0]),
                _ => {
                    let (at, ins, outs) = (OUTSIDE[1].at, OUTSIDE[1].at + 64, OUTSIDE[1].at + 128);
                    let words = [
                        (0, ins),
                        (4, 1),
                        (8, outs),
                        (12, 1),
                        (64, at + 256),
                        (68, 24),
                        (128, at + 512),
                        (132, 32),
                    ];
                    for (offset, value) in words {
                        host.memory.insert(at + offset, value);
                    }
                    (3, [dice.one_of(&[known, 0x4000_0002, 0x4000_0006]), 3, at, 0])
                }
            }
        } else {
            (number, args)
        };
        let outcome = core.call(&mut host, number, args);
        if thread < PARTITIONS {
            match (number, outcome) {
                (16, Outcome::Return(value)) => signals[thread] = value,
                (17, Outcome::Return(0)) => {
                    held[thread] = host.load(args[1] + 4);
                    signals[thread] = 0;
                }
                (22, Outcome::Return(_)) if args[0] == held[thread] => held[thread] = 0,
                (17, _) => signals[thread] = 0,
                _ => {}
            }
            if matches!(outcome, Outcome::Fault(_)) {
                (signals[thread], held[thread]) = (0, 0);
            }
        }
        match outcome {
            Outcome::Return(value) => {
                outcomes[0] += 1;
                if number == 17 && value == 0 {
                    served += 1;
                    messages.push(host.load(args[1] + 4));
                }
            }
            Outcome::Block => outcomes[1] += 1,
            Outcome::Fault(cause) => {
                outcomes[2] += 1;
                assert_ne!(thread, AGENT, "the gateway has no call that faults");
                assert!(!core.fail(&mut host, thread, cause));
            }
            Outcome::Reset => outcomes[3] += 1,
        }
        for (thread, value) in std::mem::take(&mut host.answers) {
            if thread < PARTITIONS && value & !0xf8 == 0 {
                signals[thread] = value;
            }
            if thread == AGENT && value > 0xff && value < 0x2000_0000 {
                handles.push(value);
            }
        }
        if handles.len() > 12 {
            handles.remove(1);
        }
        if messages.len() > 6 {
            messages.remove(1);
        }
    }
    // The dice reached every kind of end, and real traffic flowed among the wrong calls.
    assert!(outcomes[0] > 100_000 && outcomes[1] > 10_000 && outcomes[2] > 1_000, "{outcomes:?}");
    assert_eq!(outcomes[3], 0, "nobody here may reset");
    assert!(served > 20_000 && host.copies > 5_000, "{served} {}", host.copies);
    assert!(host.restarts > 1_000 && host.refusals > 10_000);
}

#[test]
fn a_span_that_wraps_lies_nowhere() {
    let area = Span { at: 0x1000, len: 0x100 };
    assert!(area.holds(Span { at: 0x1000, len: 0x100 }));
    assert!(area.holds(Span { at: 0x10fc, len: 4 }));
    for bad in [
        Span { at: 0x0fff, len: 1 },
        Span { at: 0x10fd, len: 4 },
        Span { at: 0x1080, len: u32::MAX },
        Span { at: u32::MAX, len: 2 },
        Span { at: 0x1101, len: 0 },
    ] {
        assert!(!area.holds(bad), "{bad:x?}");
    }
}
