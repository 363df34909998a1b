//! What the hub answers to a check-in.

use minicbor::encode::Write;
use ringfort_cose::Reason;
use ringfort_cose::cbor::Writer;
use ringfort_trust::ids::AnchorsVersion;
use ringfort_trust::{Command, Token};

use crate::link::Link;
use crate::wire::{bytes_up_to, encoders, field, open, required};

/// The answer to `POST /v1/check-in`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckInAnswer<'b> {
    /// The token: an order or signed time, for [`Token::verify`]. It echoes the check-in's nonce.
    pub token: &'b [u8],
    /// The command that the order names, for [`Command::verify`]; present when it names one.
    pub command: Option<&'b [u8]>,
    /// The link to store, durably, before anything else is done, and to present at the next
    /// check-in.
    pub link: Link,
    /// The newest anchors that the hub has.
    pub newest_anchors: AnchorsVersion,
    /// Seconds until the next check-in, before jitter: 1 to [`CheckInAnswer::MAX_INTERVAL_SECONDS`].
    pub interval_seconds: u32,
}

impl<'b> CheckInAnswer<'b> {
    /// Bytes of an answer at most.
    pub const MAX_LEN: usize = 4096;
    /// The longest interval: one week.
    pub const MAX_INTERVAL_SECONDS: u32 = 7 * 24 * 60 * 60;

    /// Reads an answer.
    ///
    /// # Errors
    /// `too-large`, `malformed`, `unknown-field`.
    pub fn decode(bytes: &'b [u8]) -> Result<CheckInAnswer<'b>, Reason> {
        let mut reader = open(bytes, CheckInAnswer::MAX_LEN)?;
        let (mut token, mut command, mut link) = (None, None, None);
        let (mut newest_anchors, mut interval_seconds) = (None, None);
        for _ in 0..reader.map()? {
            match field(&mut reader)? {
                1 => token = Some(bytes_up_to(&mut reader, Token::MAX_LEN)?),
                2 => command = Some(bytes_up_to(&mut reader, Command::MAX_LEN)?),
                3 => link = Some(Link::read(&mut reader)?),
                4 => newest_anchors = Some(AnchorsVersion(reader.u64()?)),
                5 => interval_seconds = Some(reader.u32()?),
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        let interval_seconds = required(interval_seconds)?;
        if !(1..=CheckInAnswer::MAX_INTERVAL_SECONDS).contains(&interval_seconds) {
            return Err(Reason::TooLarge);
        }
        Ok(CheckInAnswer {
            token: required(token)?,
            command,
            link: required(link)?,
            newest_anchors: required(newest_anchors)?,
            interval_seconds,
        })
    }

    encoders!();

    fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        out.map(4 + u64::from(self.command.is_some()))?;
        out.u64(1)?.bytes(self.token)?;
        if let Some(command) = self.command {
            out.u64(2)?.bytes(command)?;
        }
        out.u64(3)?;
        self.link.write(out)?;
        out.u64(4)?.u64(self.newest_anchors.0)?;
        out.u64(5)?.u64(self.interval_seconds.into()).map(drop)
    }
}
