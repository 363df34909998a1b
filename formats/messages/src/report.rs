//! How an update went.

use minicbor::encode::Write;
use ringfort_cose::cbor::Writer;
use ringfort_cose::{Reason, Sha256Digest};
use ringfort_trust::ids::{ClassId, OrderNumber, SequenceNumber, Text};

use crate::status::{ReasonCode, UpdateState};
use crate::wire::{encoders, field, open, required, text};

/// The body of `POST /v1/report`. The same report twice is the same as once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The order.
    pub order: OrderNumber,
    /// The class that is updated.
    pub class: ClassId,
    /// The sequence number of the release; 0 where the manifest was refused unread.
    pub sequence: SequenceNumber,
    /// The digest of its manifest, as the order names it.
    pub manifest: Sha256Digest,
    /// How far it is.
    pub state: UpdateState,
    /// Why it ended without success; present exactly then.
    pub reason: Option<ReasonCode>,
    /// More about the reason, for people; may be empty, may be there with a reason only.
    pub detail: Text<512>,
    /// The version that people read, of the software that runs now; may be empty.
    pub version: Text<64>,
}

impl Report {
    /// Bytes of a report at most.
    pub const MAX_LEN: usize = 1024;

    /// Reads a report.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`, `unsupported`.
    pub fn decode(bytes: &[u8]) -> Result<Report, Reason> {
        let mut reader = open(bytes, Report::MAX_LEN)?;
        let (mut order, mut class, mut sequence, mut manifest) = (None, None, None, None);
        let (mut state, mut reason, mut detail, mut version) = (None, None, None, None);
        for _ in 0..reader.map()? {
            match field(&mut reader)? {
                1 => order = Some(OrderNumber(reader.u64()?)),
                2 => class = Some(ClassId(reader.bytes_of()?)),
                3 => sequence = Some(SequenceNumber(reader.u64()?)),
                4 => manifest = Some(Sha256Digest(reader.bytes_of()?)),
                5 => state = Some(UpdateState::read(&mut reader)?),
                6 => reason = Some(ReasonCode::read(&mut reader)?),
                7 => detail = Some(text(&mut reader)?),
                8 => version = Some(text(&mut reader)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        let report = Report {
            order: required(order)?,
            class: required(class)?,
            sequence: required(sequence)?,
            manifest: required(manifest)?,
            state: required(state)?,
            reason,
            detail: detail.unwrap_or(Text::EMPTY),
            version: required(version)?,
        };
        report.check(detail.is_some())?;
        Ok(report)
    }

    encoders!();

    fn check(&self, has_detail: bool) -> Result<(), Reason> {
        let consistent = self.state.has_reason() == self.reason.is_some()
            && has_detail != self.detail.is_empty()
            && (self.detail.is_empty() || self.reason.is_some());
        if consistent { Ok(()) } else { Err(Reason::Malformed) }
    }

    fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        self.check(!self.detail.is_empty())?;
        let options = [self.reason.is_some(), !self.detail.is_empty()];
        out.map(6 + options.into_iter().filter(|option| *option).count() as u64)?;
        out.u64(1)?.u64(self.order.0)?;
        out.u64(2)?.bytes(&self.class.0)?;
        out.u64(3)?.u64(self.sequence.0)?;
        out.u64(4)?.bytes(&self.manifest.0)?;
        out.u64(5)?.u64(self.state.number())?;
        if let Some(reason) = &self.reason {
            out.u64(6)?.text(reason.as_str())?;
        }
        if !self.detail.is_empty() {
            out.u64(7)?.text(self.detail.as_str())?;
        }
        out.u64(8)?.text(self.version.as_str()).map(drop)
    }
}
