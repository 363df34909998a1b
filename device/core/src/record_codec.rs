//! The record as bytes: one deterministic CBOR array. Nobody but the device reads it.

use minicbor::encode::Write;
use ringfort_cose::cbor::{Deterministic, Kind, Reader, Writer};
use ringfort_cose::{Reason, Sha256Digest, Thumbprint};
use ringfort_messages::{Link, UpdateState};
use ringfort_trust::ids::{AnchorsVersion, Nonce, OrderNumber, SequenceNumber, Text, UnixTime};
use ringfort_trust::{
    AuditHead, CommandAction, CommandLedger, CommandLedgers, InProgress, OrderLedger, OrderLedgers,
    Task,
};

use crate::record::{
    CommandInProgress, CommandPhase, Finished, Floor, HeldAnchors, Phase, Record, Slot, SlotRecord,
    Update,
};

impl Record {
    /// Bytes of an encoded record at most.
    pub const MAX_LEN: usize = 3584;

    /// Writes the record into a buffer and returns what was written.
    ///
    /// # Errors
    /// `too-large` when the buffer is too small; [`Record::MAX_LEN`] bytes always suffice.
    pub fn encode_into<'o>(&self, buffer: &'o mut [u8]) -> Result<&'o [u8], Reason> {
        let mut out = Writer::into_slice(buffer);
        self.write(&mut out)?;
        out.finish()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// `too-large`, `malformed`; `unsupported` for a format of another version.
    pub fn decode(bytes: &[u8]) -> Result<Record, Reason> {
        if bytes.len() > Record::MAX_LEN {
            return Err(Reason::TooLarge);
        }
        let mut reader = Deterministic::read(bytes)?;
        let format = (reader.array()?, reader.u64()?);
        if !matches!(format, (12, 1) | (16, VERSION)) {
            return Err(Reason::Unsupported);
        }
        let mut record = Record {
            anchors: HeldAnchors {
                version: AnchorsVersion(reader.u64()?),
                digest: digest(&mut reader)?,
            },
            ledgers: read_ledgers(&mut reader)?,
            floor: optional(&mut reader, read_floor)?,
            active: optional(&mut reader, read_slot)?,
            slots: read_slots(&mut reader)?,
            update: optional(&mut reader, read_update)?,
            last: optional(&mut reader, read_finished)?,
            link: optional(&mut reader, |reader| Link::decode(reader.bytes()?))?,
            audit: optional(&mut reader, AuditHead::read)?,
            counter: reader.u64()?,
            command_ledgers: CommandLedgers::default(),
            command: None,
            debug_nonce: None,
            decommissioned: false,
        };
        // The first format knew no commands.
        if format.1 == VERSION {
            record.command_ledgers = read_command_ledgers(&mut reader)?;
            record.command = optional(&mut reader, read_command)?;
            record.debug_nonce = optional(&mut reader, |reader| reader.bytes_of().map(Nonce))?;
            record.decommissioned = reader.bool()?;
        }
        reader.end()?;
        Ok(record)
    }

    fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        // The format, and fifteen items: the anchors are two.
        out.array(16)?.u64(VERSION)?;
        out.u64(self.anchors.version.0)?.bytes(&self.anchors.digest.0)?;
        write_ledgers(out, &self.ledgers)?;
        write_optional(out, self.floor, |out, floor| {
            out.array(2)?.u64(floor.sequence.0)?.bytes(&floor.manifest.0).map(drop)
        })?;
        write_optional(out, self.active, write_slot)?;
        out.array(2)?;
        for slot in self.slots {
            write_optional(out, slot, write_slot_record)?;
        }
        write_optional(out, self.update, write_update)?;
        write_optional(out, self.last, write_finished)?;
        write_optional(out, self.link, |out, link| {
            let mut buffer = [0; Link::MAX_LEN];
            out.bytes(link.encode_into(&mut buffer)?).map(drop)
        })?;
        write_optional(out, self.audit, |out, audit| audit.write(out))?;
        out.u64(self.counter)?;
        write_command_ledgers(out, &self.command_ledgers)?;
        write_optional(out, self.command, write_command)?;
        write_optional(out, self.debug_nonce, |out, nonce| out.bytes(&nonce.0).map(drop))?;
        out.bool(self.decommissioned).map(drop)
    }
}

fn write_command_ledgers<W: Write>(
    out: &mut Writer<W>,
    ledgers: &CommandLedgers,
) -> Result<(), Reason> {
    out.array(ledgers.iter().count() as u64)?;
    for ledger in ledgers.iter() {
        out.array(2)?.bytes(&ledger.key.0)?.u64(ledger.last.0)?;
    }
    Ok(())
}

fn read_command_ledgers(reader: &mut Reader<'_>) -> Result<CommandLedgers, Reason> {
    let mut ledgers = CommandLedgers::default();
    for _ in 0..reader.array()? {
        reader.array_of(2)?;
        ledgers.put(CommandLedger {
            key: Thumbprint(reader.bytes_of()?),
            last: OrderNumber(reader.u64()?),
        })?;
    }
    Ok(ledgers)
}

fn write_command<W: Write>(out: &mut Writer<W>, command: CommandInProgress) -> Result<(), Reason> {
    out.array(5)?.u64(command.order.0)?.bytes(&command.signer.0)?;
    out.u64(command.action.number())?.bytes(&command.command.0)?;
    out.bool(command.phase == CommandPhase::LastWord).map(drop)
}

fn read_command(reader: &mut Reader<'_>) -> Result<CommandInProgress, Reason> {
    reader.array_of(5)?;
    Ok(CommandInProgress {
        order: OrderNumber(reader.u64()?),
        signer: Thumbprint(reader.bytes_of()?),
        action: command_action(reader.u64()?)?,
        command: digest(reader)?,
        phase: match reader.bool()? {
            true => CommandPhase::LastWord,
            false => CommandPhase::Taken,
        },
    })
}

fn write_ledgers<W: Write>(out: &mut Writer<W>, ledgers: &OrderLedgers) -> Result<(), Reason> {
    out.array(ledgers.iter().count() as u64)?;
    for ledger in ledgers.iter() {
        out.array(4)?.bytes(&ledger.key.0)?.u64(ledger.last_finished.0)?;
        out.u64(ledger.last_time.0)?;
        write_optional(out, ledger.in_progress, |out, order| {
            out.array(4)?.u64(order.number.0)?.bytes(&order.token.0)?;
            match order.task {
                Task::Install { manifest } => out.u64(0)?.bytes(&manifest.0),
                Task::Command { action, command } => out.u64(action.number())?.bytes(&command.0),
            }
            .map(drop)
        })?;
    }
    Ok(())
}

fn read_ledgers(reader: &mut Reader<'_>) -> Result<OrderLedgers, Reason> {
    let mut ledgers = OrderLedgers::default();
    for _ in 0..reader.array()? {
        reader.array_of(4)?;
        ledgers.put(OrderLedger {
            key: Thumbprint(reader.bytes_of()?),
            last_finished: OrderNumber(reader.u64()?),
            last_time: UnixTime(reader.u64()?),
            in_progress: optional(reader, |reader| {
                reader.array_of(4)?;
                Ok(InProgress {
                    number: OrderNumber(reader.u64()?),
                    token: digest(reader)?,
                    task: match reader.u64()? {
                        0 => Task::Install { manifest: digest(reader)? },
                        number => Task::Command {
                            action: command_action(number)?,
                            command: digest(reader)?,
                        },
                    },
                })
            })?,
        })?;
    }
    Ok(ledgers)
}

fn read_floor(reader: &mut Reader<'_>) -> Result<Floor, Reason> {
    reader.array_of(2)?;
    Ok(Floor { sequence: SequenceNumber(reader.u64()?), manifest: digest(reader)? })
}

fn write_slot<W: Write>(out: &mut Writer<W>, slot: Slot) -> Result<(), Reason> {
    out.u64(slot as u64).map(drop)
}

fn read_slot(reader: &mut Reader<'_>) -> Result<Slot, Reason> {
    match reader.u64()? {
        0 => Ok(Slot::A),
        1 => Ok(Slot::B),
        _ => Err(Reason::Malformed),
    }
}

fn read_slots(reader: &mut Reader<'_>) -> Result<[Option<SlotRecord>; 2], Reason> {
    reader.array_of(2)?;
    Ok([optional(reader, read_slot_record)?, optional(reader, read_slot_record)?])
}

fn write_slot_record<W: Write>(out: &mut Writer<W>, slot: SlotRecord) -> Result<(), Reason> {
    out.array(4)?.bytes(&slot.manifest.0)?.u64(slot.sequence.0)?;
    out.u64(slot.anchors.0)?.text(slot.version.as_str()).map(drop)
}

fn read_slot_record(reader: &mut Reader<'_>) -> Result<SlotRecord, Reason> {
    reader.array_of(4)?;
    Ok(SlotRecord {
        manifest: digest(reader)?,
        sequence: SequenceNumber(reader.u64()?),
        anchors: AnchorsVersion(reader.u64()?),
        version: text(reader)?,
    })
}

fn write_update<W: Write>(out: &mut Writer<W>, update: Update) -> Result<(), Reason> {
    out.array(9)?.u64(update.order.0)?.bytes(&update.signer.0)?;
    out.u64(update.expires.0)?.bool(update.offline)?;
    out.bytes(&update.manifest.0)?.u64(update.sequence.0)?;
    out.text(update.version.as_str())?;
    write_slot(out, update.slot)?;
    match update.phase {
        Phase::Offered => out.array(1)?.u64(0),
        Phase::Downloading => out.array(1)?.u64(1),
        Phase::Written => out.array(1)?.u64(2),
        Phase::Trial { attempts } => out.array(2)?.u64(3)?.u64(attempts.into()),
        Phase::Reverting { reason, detail } => {
            out.array(3)?.u64(4)?.text(reason.code())?.text(detail.as_str())
        }
    }
    .map(drop)
}

fn read_update(reader: &mut Reader<'_>) -> Result<Update, Reason> {
    reader.array_of(9)?;
    Ok(Update {
        order: OrderNumber(reader.u64()?),
        signer: Thumbprint(reader.bytes_of()?),
        expires: UnixTime(reader.u64()?),
        offline: reader.bool()?,
        manifest: digest(reader)?,
        sequence: SequenceNumber(reader.u64()?),
        version: text(reader)?,
        slot: read_slot(reader)?,
        phase: match (reader.array()?, reader.u64()?) {
            (1, 0) => Phase::Offered,
            (1, 1) => Phase::Downloading,
            (1, 2) => Phase::Written,
            (2, 3) => Phase::Trial { attempts: reader.u8()? },
            (3, 4) => Phase::Reverting { reason: reason(reader)?, detail: text(reader)? },
            _ => return Err(Reason::Malformed),
        },
    })
}

fn write_finished<W: Write>(out: &mut Writer<W>, last: Finished) -> Result<(), Reason> {
    out.array(7)?.u64(last.order.0)?.bytes(&last.manifest.0)?.u64(last.sequence.0)?;
    out.u64(last.state.number())?;
    write_optional(out, last.reason, |out, reason| out.text(reason.code()).map(drop))?;
    out.text(last.detail.as_str())?.bool(last.reported).map(drop)
}

fn read_finished(reader: &mut Reader<'_>) -> Result<Finished, Reason> {
    reader.array_of(7)?;
    Ok(Finished {
        order: OrderNumber(reader.u64()?),
        manifest: digest(reader)?,
        sequence: SequenceNumber(reader.u64()?),
        state: {
            let number = reader.u64()?;
            let state = UpdateState::ALL.into_iter().find(|state| state.number() == number);
            state.filter(|state| state.is_terminal()).ok_or(Reason::Malformed)?
        },
        reason: optional(reader, reason)?,
        detail: text(reader)?,
        reported: reader.bool()?,
    })
}

fn write_optional<W: Write, T>(
    out: &mut Writer<W>,
    value: Option<T>,
    write: impl FnOnce(&mut Writer<W>, T) -> Result<(), Reason>,
) -> Result<(), Reason> {
    match value {
        Some(value) => write(out, value),
        None => out.null().map(drop),
    }
}

fn optional<'b, T>(
    reader: &mut Reader<'b>,
    read: impl FnOnce(&mut Reader<'b>) -> Result<T, Reason>,
) -> Result<Option<T>, Reason> {
    match reader.kind()? {
        Kind::Null => reader.null().map(|()| None),
        _ => read(reader).map(Some),
    }
}

fn command_action(number: u64) -> Result<CommandAction, Reason> {
    CommandAction::ALL.into_iter().find(|action| action.number() == number).ok_or(Reason::Malformed)
}

fn digest(reader: &mut Reader<'_>) -> Result<Sha256Digest, Reason> {
    reader.bytes_of().map(Sha256Digest)
}

fn text<const N: usize>(reader: &mut Reader<'_>) -> Result<Text<N>, Reason> {
    Text::new(reader.text()?)
}

fn reason(reader: &mut Reader<'_>) -> Result<Reason, Reason> {
    Reason::from_code(reader.text()?).ok_or(Reason::Malformed)
}

const VERSION: u64 = 2;
