//! What the device remembers of orders: one record in each of two sectors, the newer one holds.
//!
//! A record counts when its tag fits. Behind it comes a mark, written after the last bit of the
//! record: without it the record may be the lucky reading of one that was cut, and is written anew,
//! over itself, before anything is done on the strength of it. Until then the older record is there.
//! A sector that holds no record and is not erased is erased at once: what was cut there might read
//! as a record one day. So each start finds what the one before it found, and nothing is ever
//! programmed because it happened to read as erased.

use ringfort_cose::{Reason, Sha256Digest, Thumbprint};
use ringfort_trust::ids::{OrderNumber, UnixTime};
use ringfort_trust::{InProgress, OrderLedger, Task, TrustedKeys};
use slots::{Bug, Hardware, SlotId, TAG_BYTES, is_same, planted};

/// The durable part of the update partition, besides the slots' record. It says the same as
/// [`ringfort_trust::OrderLedgers`], for a device that carries out one order at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    keys: [Key; KEYS],
    /// The order in progress, and which key signed it.
    progress: Option<(u32, InProgress)>,
    /// When it ends.
    pub expires: UnixTime,
    /// The status that the last update ended with; 0 when none was given.
    pub error: i32,
    generation: u32,
    sector: SlotId,
}

/// What one order key has signed; an unused place is all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    thumbprint: Thumbprint,
    last_finished: OrderNumber,
    last_time: UnixTime,
}

const UNUSED: Key =
    Key { thumbprint: Thumbprint([0; 32]), last_finished: OrderNumber(0), last_time: UnixTime(0) };

impl Journal {
    /// Finds the newer record; a device without one has had no order yet.
    ///
    /// # Errors
    /// `storage-failed`.
    #[inline(never)]
    pub fn open<H: Hardware>(hardware: &mut H, sectors: &[u32; 2]) -> Result<Self, Reason> {
        let mut journal = Self {
            keys: [UNUSED; KEYS],
            progress: None,
            expires: UnixTime(0),
            error: 0,
            generation: 0,
            sector: SlotId::B,
        };
        for sector in [SlotId::A, SlotId::B] {
            let at = *sector.of(sectors);
            if !journal.take_newer(hardware, sector, at)? && !reads_as(hardware, at, 0xff, END)? {
                hardware.erase(at)?;
            }
        }
        let at = *journal.sector.of(sectors);
        let is_believed = journal.generation == 0 || planted(Bug::OrdersMarkNotChecked);
        if !is_believed && !reads_as(hardware, at + RECORD as u32, 0, UNIT)? {
            journal.write(hardware, at)?;
        }
        Ok(journal)
    }

    /// Writes all of it over the older record.
    ///
    /// # Errors
    /// `storage-failed`.
    #[inline(never)]
    pub fn save<H: Hardware>(
        &mut self,
        hardware: &mut H,
        sectors: &[u32; 2],
    ) -> Result<(), Reason> {
        self.generation = self.generation.checked_add(1).ok_or(Reason::Internal)?;
        if !planted(Bug::OrdersInPlace) {
            self.sector = self.sector.other();
        }
        self.write(hardware, *self.sector.of(sectors))
    }

    /// The ledger of a key; a new one if nothing was accepted from it yet.
    pub fn ledger(&self, key: &Thumbprint) -> OrderLedger {
        let Some((index, known)) = self.known(key) else { return OrderLedger::new(*key) };
        let own = self.progress.filter(|(owner, _)| *owner == index);
        OrderLedger {
            key: *key,
            last_finished: known.last_finished,
            in_progress: own.map(|(_, order)| order),
            last_time: known.last_time,
        }
    }

    /// Puts a ledger in its place. Its order in progress supersedes that of another key.
    ///
    /// # Errors
    /// `too-large` for a ninth key.
    pub fn put(&mut self, ledger: &OrderLedger) -> Result<(), Reason> {
        let key = self.known(&ledger.key).map_or(&UNUSED.thumbprint, |_| &ledger.key);
        let place = self.keys.iter_mut().zip(0..).find(|(place, _)| place.thumbprint == *key);
        let (place, index) = place.ok_or(Reason::TooLarge)?;
        *place = Key {
            thumbprint: ledger.key,
            last_finished: ledger.last_finished,
            last_time: ledger.last_time,
        };
        if let Some(order) = ledger.in_progress {
            if self.progress.is_some_and(|(owner, _)| owner != index) {
                self.finish();
            }
            self.progress = Some((index, order));
        }
        Ok(())
    }

    /// The order in progress has ended: its number is never taken again.
    pub fn finish(&mut self) {
        let Some((owner, order)) = self.progress.take() else { return };
        if let Some(key) = self.keys.get_mut(owner as usize) {
            key.last_finished = key.last_finished.max(order.number);
        }
    }

    /// Forgets every key that is not among these, and the order that it gave.
    pub fn keep_only(&mut self, keys: &TrustedKeys) {
        for (key, index) in self.keys.iter_mut().zip(0..) {
            if keys.find(&key.thumbprint).is_err() {
                *key = UNUSED;
                self.progress = self.progress.filter(|(owner, _)| *owner != index);
            }
        }
    }

    /// The latest time that any of these keys signed.
    pub fn latest_time(&self) -> UnixTime {
        self.keys.iter().map(|key| key.last_time).max().unwrap_or_default()
    }

    /// Whether the order in progress is to install this manifest.
    pub fn names(&self, manifest: &[u8; 32]) -> bool {
        let wanted = Task::Install { manifest: Sha256Digest(*manifest) };
        self.progress.is_some_and(|(_, order)| order.task == wanted)
    }

    fn known(&self, key: &Thumbprint) -> Option<(u32, &Key)> {
        (0..).zip(&self.keys).find(|(_, known)| known.thumbprint == *key)
    }

    /// Becomes the record at `at` if that is newer. Whether there is one, whole and this device's.
    #[inline(never)]
    fn take_newer<H: Hardware>(
        &mut self,
        hardware: &mut H,
        sector: SlotId,
        at: u32,
    ) -> Result<bool, Reason> {
        let mut bytes = [0; RECORD];
        hardware.read(at, &mut bytes)?;
        let (body, tag) = bytes.split_at_checked(BODY).ok_or(Reason::Internal)?;
        if !is_same(&hardware.tag(body), tag) && !planted(Bug::OrdersTagNotChecked) {
            return Ok(planted(Bug::OrdersRemainsLeft));
        }
        let Some(found) = Self::decode(body, sector) else { return Ok(false) };
        if found.generation > self.generation || planted(Bug::OrdersLastWins) {
            *self = found;
        }
        Ok(true)
    }

    /// Writes this record and its mark to the sector at `at`.
    #[inline(never)]
    fn write<H: Hardware>(&self, hardware: &mut H, at: u32) -> Result<(), Reason> {
        let mark = at + RECORD as u32;
        hardware.erase(at)?;
        if planted(Bug::OrdersMarkedTooEarly) {
            hardware.program(mark, &SET)?;
            hardware.program(at, &self.encode(hardware))?;
            return Ok(());
        }
        hardware.program(at, &self.encode(hardware))?;
        hardware.program(mark, &SET)?;
        Ok(())
    }

    fn encode<H: Hardware>(&self, hardware: &H) -> [u8; RECORD] {
        let mut out = Out { bytes: [0; RECORD], at: 0 };
        out.put(&MAGIC.to_le_bytes());
        out.put(&self.generation.to_le_bytes());
        out.put(&self.error.cast_unsigned().to_le_bytes());
        let (owner, order) = self.progress.unzip();
        out.put(&owner.unwrap_or(NOBODY).to_le_bytes());
        out.put(&self.expires.0.to_le_bytes());
        out.put(&order.map_or(0, |order| order.number.0).to_le_bytes());
        out.put(&order.map_or([0; 32], |order| order.token.0));
        out.put(&match order.map(|order| order.task) {
            Some(Task::Install { manifest }) => manifest.0,
            _ => [0; 32],
        });
        for key in &self.keys {
            out.put(&key.thumbprint.0);
            out.put(&key.last_finished.0.to_le_bytes());
            out.put(&key.last_time.0.to_le_bytes());
        }
        let tag = hardware.tag(out.bytes.get(..BODY).unwrap_or_default());
        out.put(&tag);
        out.bytes
    }

    fn decode(body: &[u8], sector: SlotId) -> Option<Self> {
        let mut input = In(body);
        if u32::from_le_bytes(input.take()?) != MAGIC {
            return None;
        }
        let generation = u32::from_le_bytes(input.take()?);
        let error = u32::from_le_bytes(input.take()?).cast_signed();
        let owner = u32::from_le_bytes(input.take()?);
        let expires = UnixTime(u64::from_le_bytes(input.take()?));
        let order = InProgress {
            number: OrderNumber(u64::from_le_bytes(input.take()?)),
            token: Sha256Digest(input.take()?),
            task: Task::Install { manifest: Sha256Digest(input.take()?) },
        };
        let mut keys = [UNUSED; KEYS];
        for key in &mut keys {
            *key = Key {
                thumbprint: Thumbprint(input.take()?),
                last_finished: OrderNumber(u64::from_le_bytes(input.take()?)),
                last_time: UnixTime(u64::from_le_bytes(input.take()?)),
            };
        }
        let progress = (owner != NOBODY).then_some((owner, order));
        Some(Self { keys, progress, expires, error, generation, sector })
    }
}

/// Whether this byte is all that is read from `at` on. Of what was cut that is seldom read so often.
#[inline(never)]
fn reads_as<H: Hardware>(
    hardware: &mut H,
    at: u32,
    wanted: u8,
    len: usize,
) -> Result<bool, Reason> {
    for _ in 0..READINGS {
        let mut bytes = [0; END];
        let bytes = bytes.get_mut(..len).ok_or(Reason::Internal)?;
        hardware.read(at, bytes)?;
        if bytes.iter().any(|byte| *byte != wanted) {
            return Ok(false);
        }
    }
    Ok(true)
}

struct Out {
    bytes: [u8; RECORD],
    at: usize,
}

impl Out {
    fn put(&mut self, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.at).zip(bytes) {
            *to = *from;
        }
        self.at += bytes.len();
    }
}

struct In<'b>(&'b [u8]);

impl In<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }
}

const MAGIC: u32 = 0x314a_4652;
const NOBODY: u32 = u32::MAX;
/// As many as there can be order keys.
const KEYS: usize = 8;
const BODY: usize = 96 + KEYS * 48;
const RECORD: usize = BODY + TAG_BYTES;
/// The write unit of the flash.
const UNIT: usize = 8;
/// Where the mark ends.
const END: usize = RECORD + UNIT;
const READINGS: usize = 16;
const SET: [u8; UNIT] = [0; UNIT];
const _: () = assert!(RECORD.is_multiple_of(UNIT));

#[cfg(test)]
mod tests;
