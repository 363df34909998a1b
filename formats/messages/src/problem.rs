//! Errors on the device API: concise problem details (RFC 9290).

use minicbor::encode::Write;
use ringfort_cose::Reason;
use ringfort_cose::cbor::{Kind, WellFormed, Writer};
use ringfort_trust::ids::Text;

use crate::status::ReasonCode;
use crate::wire::encoders;

/// The body of an error answer. The HTTP status stands in the HTTP answer alone (response-code of
/// RFC 9290 is CoAP's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// title (-1): the reason code.
    pub code: ReasonCode,
    /// detail (-2): more, for people; may be empty.
    pub detail: Text<256>,
    /// instance (-3): the exchange id, under which the hub logged the refusal; may be empty. It is
    /// a relative reference, so letters, digits, `-`, `.`, `_` only.
    pub exchange: Text<64>,
}

impl Problem {
    /// Bytes of a problem at most.
    pub const MAX_LEN: usize = 1024;

    /// Reads an error answer. Whoever stands between device and hub may have made it, so entries
    /// that are not known are ignored, as RFC 9290 section 2 asks.
    ///
    /// # Errors
    /// `too-large`; `malformed` without a title that is a reason code.
    pub fn decode(bytes: &[u8]) -> Result<Problem, Reason> {
        if bytes.len() > Problem::MAX_LEN {
            return Err(Reason::TooLarge);
        }
        let mut reader = WellFormed::read(bytes)?;
        let (mut code, mut detail, mut exchange) = (None, Text::EMPTY, Text::EMPTY);
        for _ in 0..reader.map()? {
            let key = match reader.kind()? {
                Kind::Unsigned | Kind::Negative => reader.i64().ok(),
                _ => None,
            };
            // A key of another type, or one beyond 64 bits, is an entry that is not known.
            if key.is_none() {
                reader.raw()?;
            }
            match (key, reader.kind()?) {
                (Some(TITLE), Kind::Text) => code = Some(ReasonCode::read(&mut reader)?),
                (Some(DETAIL), Kind::Text) => detail = Text::lossy(reader.text()?),
                (Some(INSTANCE), Kind::Text) => exchange = Text::lossy(reader.text()?),
                _ => drop(reader.raw()?),
            }
        }
        reader.end()?;
        Ok(Problem { code: code.ok_or(Reason::Malformed)?, detail, exchange })
    }

    encoders!();

    fn write<W: Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        let options = [!self.detail.is_empty(), !self.exchange.is_empty()];
        out.map(1 + options.into_iter().filter(|option| *option).count() as u64)?;
        out.i64(TITLE)?.text(self.code.as_str())?;
        if !self.detail.is_empty() {
            out.i64(DETAIL)?.text(self.detail.as_str())?;
        }
        if !self.exchange.is_empty() {
            out.i64(INSTANCE)?.text(self.exchange.as_str())?;
        }
        Ok(())
    }
}

// RFC 9290 section 2.
const TITLE: i64 = -1;
const DETAIL: i64 = -2;
const INSTANCE: i64 = -3;
