//! The journal over a flash that is cut at every write unit.

use slots::{Area, Flash, FlashError, Layout};

use super::*;

const SECTOR: u32 = 0x1000;
const SECTORS: [u32; 2] = [0, SECTOR];

#[derive(Clone)]
struct Sim {
    bytes: Vec<u8>,
    layout: Layout,
    /// Units that are still programmed, then the power goes.
    left: Option<usize>,
    /// Whether the unit at which it goes keeps half of its bits.
    torn: bool,
}

impl Sim {
    fn new() -> Self {
        let area = Area { at: 0, len: 0 };
        let layout = Layout {
            sector: SECTOR,
            unit: UNIT as u32,
            metadata: [0; 2],
            anchors: [area; 2],
            slots: [area; 2],
            envelope_max: 0,
            budget: 3,
            counter_max: u32::MAX,
        };
        Self { bytes: vec![0xff; 2 * SECTOR as usize], layout, left: None, torn: false }
    }
}

impl Flash for Sim {
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        into.copy_from_slice(&self.bytes[at as usize..][..into.len()]);
        Ok(())
    }

    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        for (unit, bytes) in (at as usize..).step_by(UNIT).zip(bytes.chunks(UNIT)) {
            let place = &mut self.bytes[unit..unit + UNIT];
            if place.iter().any(|byte| *byte != 0xff) {
                return Err(FlashError);
            }
            match &mut self.left {
                Some(0) => {
                    if self.torn {
                        place.iter_mut().zip(bytes).take(3).for_each(|(to, from)| *to = *from);
                    }
                    return Err(FlashError);
                }
                Some(left) => *left -= 1,
                None => {}
            }
            place.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn erase(&mut self, at: u32) -> Result<(), FlashError> {
        self.bytes[at as usize..][..SECTOR as usize].fill(0xff);
        Ok(())
    }
}

impl Hardware for Sim {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn counter(&mut self) -> u32 {
        0
    }

    fn advance(&mut self, _: u32) -> Result<(), FlashError> {
        Ok(())
    }

    fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&slots::hmac(&[7; 32], &[bytes])[..TAG_BYTES]);
        tag
    }
}

fn ledger(key: u8, number: u64) -> OrderLedger {
    let task = Task::Install { manifest: Sha256Digest([number as u8; 32]) };
    let order = InProgress { number: OrderNumber(number), token: Sha256Digest([key; 32]), task };
    OrderLedger {
        key: Thumbprint([key; 32]),
        last_finished: OrderNumber(0),
        in_progress: Some(order),
        last_time: UnixTime(number * 10),
    }
}

fn open(sim: &mut Sim) -> Journal {
    Journal::open(sim, &SECTORS).unwrap()
}

#[test]
fn is_read_as_it_was_written() {
    let mut sim = Sim::new();
    let mut journal = open(&mut sim);
    for number in 1..20 {
        journal.put(&ledger(1, number)).unwrap();
        journal.error = -(number as i32);
        journal.expires = UnixTime(number);
        journal.save(&mut sim, &SECTORS).unwrap();
        assert_eq!(open(&mut sim), journal);
        // Reading it changes nothing.
        let before = sim.bytes.clone();
        assert_eq!(open(&mut sim), journal);
        assert_eq!(sim.bytes, before);
    }
    assert!(journal.names(&[19; 32]) && !journal.names(&[18; 32]));
    assert_eq!(journal.latest_time(), UnixTime(190));
}

#[test]
fn power_cut_at_every_unit_leaves_the_old_or_the_new() {
    let mut before = Sim::new();
    let mut old = open(&mut before);
    old.put(&ledger(1, 5)).unwrap();
    old.save(&mut before, &SECTORS).unwrap();
    let old = open(&mut before);
    let mut new = old;
    new.finish();
    let units = RECORD / UNIT + 1;
    for torn in [false, true] {
        for left in 0..=units {
            let mut sim = Sim { left: Some(left), torn, ..before.clone() };
            let mut writing = new;
            let done = writing.save(&mut sim, &SECTORS).is_ok();
            assert_eq!(done, left == units);
            sim.left = None;
            let found = open(&mut sim);
            // Without its mark a whole record counts, and is written anew.
            let is_whole = left >= units - 1;
            assert_eq!(found, if is_whole { writing } else { old }, "{left} {torn}");
            assert_eq!(open(&mut sim), found);
            // And whatever was found can be changed.
            let mut next = found;
            next.error = 7;
            next.save(&mut sim, &SECTORS).unwrap();
            assert_eq!(open(&mut sim), next);
        }
    }
}

#[test]
fn forged_and_foreign_records_are_not_read() {
    let mut sim = Sim::new();
    let mut journal = open(&mut sim);
    journal.put(&ledger(1, 5)).unwrap();
    journal.save(&mut sim, &SECTORS).unwrap();
    for at in 0..RECORD {
        for bit in [1, 0x80] {
            let mut forged = sim.clone();
            forged.bytes[at] ^= bit;
            assert_eq!(open(&mut forged).generation, 0, "{at}");
        }
    }
    // Partial tags are no tags: the last byte counts as the first.
    let mut forged = sim.clone();
    forged.bytes[RECORD - 1] ^= 1;
    assert_eq!(open(&mut forged).generation, 0);
    assert_eq!(open(&mut sim), journal);
}

#[test]
fn finished_numbers_stay_with_their_key() {
    let mut sim = Sim::new();
    let mut journal = open(&mut sim);
    journal.put(&ledger(1, 5)).unwrap();
    journal.put(&ledger(2, 3)).unwrap();
    // The order of the second key superseded that of the first.
    assert_eq!(journal.ledger(&Thumbprint([1; 32])).last_finished, OrderNumber(5));
    assert_eq!(journal.ledger(&Thumbprint([1; 32])).in_progress, None);
    journal.finish();
    let second = journal.ledger(&Thumbprint([2; 32]));
    assert_eq!((second.last_finished, second.in_progress), (OrderNumber(3), None));
    for key in 3..=8 {
        journal.put(&ledger(key, 1)).unwrap();
    }
    assert_eq!(journal.put(&ledger(9, 1)), Err(Reason::TooLarge));
    assert_eq!(journal.ledger(&Thumbprint([9; 32])), OrderLedger::new(Thumbprint([9; 32])));
}
