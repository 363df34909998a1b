//! What a device sends: check-in and time request.

use minicbor::encode::Write;
use ringfort_cose::Reason;
use ringfort_cose::cbor::{Reader, Writer};
use ringfort_trust::AuditHead;
use ringfort_trust::ids::{AnchorsVersion, Nonce, OrderNumber, Text};

use crate::link::Link;
use crate::list::List;
use crate::status::{ClassStatus, Protection, UpdateStatus};
use crate::wire::{encoders, field, open, required, text};

/// The body of `POST /v1/check-in`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckIn {
    /// Fresh random bytes; the token in the answer echoes them.
    pub nonce: Nonce,
    /// The largest number of any order that the device accepted from an order key of its current
    /// anchors, finished or in progress; 0 for none. The hub's next number is above it.
    pub last_order: OrderNumber,
    /// The link from the last answer; none before the first one.
    pub link: Option<Link>,
    /// The anchors that the device holds.
    pub anchors: AnchorsVersion,
    /// Name and version of the agent, `ringfort-agent 0.1.0` for instance.
    pub agent: Text<64>,
    /// What protects its keys and its floor.
    pub protection: Protection,
    /// Its software, one entry per class: 1 to 8.
    pub classes: List<ClassStatus, { CheckIn::MAX_CLASSES }>,
    /// The update in progress, or how the last one ended.
    pub update: Option<UpdateStatus>,
    /// The latest head of the hub's audit log that the device has seen.
    pub audit: Option<AuditHead>,
}

impl CheckIn {
    /// Bytes of a check-in at most.
    pub const MAX_LEN: usize = 4096;
    /// Classes of one device at most.
    pub const MAX_CLASSES: usize = 8;

    /// Reads a check-in.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`, `unsupported`.
    pub fn decode(bytes: &[u8]) -> Result<CheckIn, Reason> {
        let mut reader = open(bytes, CheckIn::MAX_LEN)?;
        let (mut nonce, mut last_order, mut link, mut anchors) = (None, None, None, None);
        let (mut agent, mut protection, mut classes) = (None, None, None);
        let (mut update, mut audit) = (None, None);
        for _ in 0..reader.map()? {
            match field(&mut reader)? {
                1 => nonce = Some(Nonce(reader.bytes_of()?)),
                2 => last_order = Some(OrderNumber(reader.u64()?)),
                3 => link = Some(Link::read(&mut reader)?),
                4 => anchors = Some(AnchorsVersion(reader.u64()?)),
                5 => agent = Some(text(&mut reader)?),
                6 => protection = Some(Protection::read(&mut reader)?),
                7 => classes = Some(read_classes(&mut reader)?),
                8 => update = Some(UpdateStatus::read(&mut reader)?),
                9 => audit = Some(AuditHead::read(&mut reader)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        Ok(CheckIn {
            nonce: required(nonce)?,
            last_order: required(last_order)?,
            link,
            anchors: required(anchors)?,
            agent: required(agent)?,
            protection: required(protection)?,
            classes: required(classes)?,
            update,
            audit,
        })
    }

    encoders!();

    fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        let options = [self.link.is_some(), self.update.is_some(), self.audit.is_some()];
        out.map(6 + options.into_iter().filter(|option| *option).count() as u64)?;
        out.u64(1)?.bytes(&self.nonce.0)?;
        out.u64(2)?.u64(self.last_order.0)?;
        if let Some(link) = &self.link {
            out.u64(3)?;
            link.write(out)?;
        }
        out.u64(4)?.u64(self.anchors.0)?;
        out.u64(5)?.text(self.agent.as_str())?;
        out.u64(6)?;
        self.protection.write(out)?;
        out.u64(7)?.array(self.classes.len() as u64)?;
        for class in self.classes.iter() {
            class.write(out)?;
        }
        if let Some(update) = &self.update {
            out.u64(8)?;
            update.write(out)?;
        }
        if let Some(audit) = &self.audit {
            out.u64(9)?;
            audit.write(out)?;
        }
        Ok(())
    }
}

/// The body of `POST /v1/time`. The answer is a token, signed time, and nothing around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRequest {
    /// Fresh random bytes; the token echoes them.
    pub nonce: Nonce,
}

impl TimeRequest {
    /// Bytes of a time request at most.
    pub const MAX_LEN: usize = 64;

    /// Reads a time request.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`.
    pub fn decode(bytes: &[u8]) -> Result<TimeRequest, Reason> {
        let mut reader = open(bytes, TimeRequest::MAX_LEN)?;
        let mut nonce = None;
        for _ in 0..reader.map()? {
            match field(&mut reader)? {
                1 => nonce = Some(Nonce(reader.bytes_of()?)),
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        Ok(TimeRequest { nonce: required(nonce)? })
    }

    encoders!();

    fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        out.map(1)?.u64(1)?.bytes(&self.nonce.0).map(drop)
    }
}

fn read_classes(
    reader: &mut Reader<'_>,
) -> Result<List<ClassStatus, { CheckIn::MAX_CLASSES }>, Reason> {
    let count = reader.array()?;
    if count == 0 {
        return Err(Reason::Malformed);
    }
    let mut classes: List<ClassStatus, { CheckIn::MAX_CLASSES }> = List::EMPTY;
    for _ in 0..count {
        let status = ClassStatus::read(reader)?;
        if classes.iter().any(|earlier| earlier.class == status.class) {
            return Err(Reason::Malformed);
        }
        classes.push(status)?;
    }
    Ok(classes)
}
