//! The CWT claims (RFC 8392) of our tokens: read and written in one place.

use ringfort_cose::cbor::Deterministic;
use ringfort_cose::{Reason, Sha256Digest};

use crate::ids::{AnchorsVersion, DeviceId, FleetId, Nonce, OrderNumber, UnixTime};
use crate::time::read_time;
use crate::token::AuditHead;

/// Bytes of a token at most, signature included.
pub(crate) const MAX_TOKEN_LEN: usize = 1024;

/// Time between iat and exp at most: 30 days.
pub(crate) const MAX_LIFE_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Every claim that any of our tokens may have. Which of them has to be there, or may not be, is
/// for each token's own type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) fleet: Option<FleetId>,
    pub(crate) device: Option<DeviceId>,
    pub(crate) expires: Option<UnixTime>,
    pub(crate) issued: Option<UnixTime>,
    pub(crate) nonce: Option<Nonce>,
    pub(crate) action: Option<u64>,
    pub(crate) number: Option<OrderNumber>,
    pub(crate) manifest: Option<Sha256Digest>,
    pub(crate) command: Option<Sha256Digest>,
    pub(crate) min_anchors: Option<AnchorsVersion>,
    pub(crate) audit: Option<AuditHead>,
}

/// The claims that every token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) fleet: FleetId,
    pub(crate) device: DeviceId,
    pub(crate) issued: UnixTime,
    pub(crate) expires: UnixTime,
}

impl Common {
    /// The claims of a token that says no more than this so far.
    #[cfg(feature = "alloc")]
    pub(crate) fn claims(self, nonce: Option<Nonce>) -> Claims {
        Claims {
            fleet: Some(self.fleet),
            device: Some(self.device),
            issued: Some(self.issued),
            expires: Some(self.expires),
            nonce,
            ..Claims::default()
        }
    }
}

impl Claims {
    pub(crate) fn read(payload: &[u8]) -> Result<Claims, Reason> {
        let mut reader = Deterministic::read(payload)?;
        let mut claims = Claims::default();
        for _ in 0..reader.map()? {
            match reader.i64().map_err(|_| Reason::UnknownField)? {
                ISS => claims.fleet = Some(read_issuer(reader.text()?)?),
                AUD => claims.device = Some(DeviceId::new(reader.text()?)?),
                EXP => claims.expires = Some(read_time(&mut reader)?),
                IAT => claims.issued = Some(read_time(&mut reader)?),
                NONCE => claims.nonce = Some(Nonce(reader.bytes_of()?)),
                ACTION => claims.action = Some(reader.u64()?),
                NUMBER => claims.number = Some(OrderNumber(reader.u64()?)),
                MANIFEST => claims.manifest = Some(Sha256Digest(reader.bytes_of()?)),
                COMMAND => claims.command = Some(Sha256Digest(reader.bytes_of()?)),
                MIN_ANCHORS => claims.min_anchors = Some(AnchorsVersion(reader.u64()?)),
                AUDIT => claims.audit = Some(AuditHead::read(&mut reader)?),
                _ => return Err(Reason::UnknownField),
            }
        }
        reader.end()?;
        Ok(claims)
    }

    /// The claims that every token has to have, with a life that is neither empty nor too long.
    pub(crate) fn common(&self) -> Result<Common, Reason> {
        let common = Common {
            fleet: self.fleet.ok_or(Reason::Malformed)?,
            device: self.device.ok_or(Reason::Malformed)?,
            issued: self.issued.ok_or(Reason::Malformed)?,
            expires: self.expires.ok_or(Reason::Malformed)?,
        };
        match common.expires.0.checked_sub(common.issued.0) {
            None | Some(0) => Err(Reason::Malformed),
            Some(1..=MAX_LIFE_SECONDS) => Ok(common),
            Some(_) => Err(Reason::TooLarge),
        }
    }

    /// Writes the claims in deterministic order.
    #[cfg(feature = "alloc")]
    pub(crate) fn write(&self) -> Result<alloc::vec::Vec<u8>, Reason> {
        let present = [
            self.fleet.is_some(),
            self.device.is_some(),
            self.expires.is_some(),
            self.issued.is_some(),
            self.nonce.is_some(),
            self.action.is_some(),
            self.number.is_some(),
            self.manifest.is_some(),
            self.command.is_some(),
            self.min_anchors.is_some(),
            self.audit.is_some(),
        ];
        let mut out = ringfort_cose::cbor::Writer::to_vec();
        out.map(present.into_iter().filter(|present| *present).count() as u64)?;
        if let Some(fleet) = self.fleet {
            out.i64(ISS)?.text(&alloc::format!("{ISSUER_PREFIX}{fleet}"))?;
        }
        if let Some(device) = self.device {
            out.i64(AUD)?.text(device.as_str())?;
        }
        if let Some(expires) = self.expires {
            out.i64(EXP)?.u64(expires.0)?;
        }
        if let Some(issued) = self.issued {
            out.i64(IAT)?.u64(issued.0)?;
        }
        if let Some(nonce) = self.nonce {
            out.i64(NONCE)?.bytes(&nonce.0)?;
        }
        if let Some(action) = self.action {
            out.i64(ACTION)?.u64(action)?;
        }
        if let Some(number) = self.number {
            out.i64(NUMBER)?.u64(number.0)?;
        }
        if let Some(manifest) = self.manifest {
            out.i64(MANIFEST)?.bytes(&manifest.0)?;
        }
        if let Some(command) = self.command {
            out.i64(COMMAND)?.bytes(&command.0)?;
        }
        if let Some(min_anchors) = self.min_anchors {
            out.i64(MIN_ANCHORS)?.u64(min_anchors.0)?;
        }
        if let Some(audit) = self.audit {
            out.i64(AUDIT)?;
            audit.write(&mut out)?;
        }
        out.finish()
    }
}

/// The issuer of every token is the fleet, as a URN (RFC 9562 section 4).
fn read_issuer(text: &str) -> Result<FleetId, Reason> {
    let uuid = text.strip_prefix(ISSUER_PREFIX).ok_or(Reason::WrongIssuer)?;
    if uuid.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(Reason::WrongIssuer);
    }
    uuid.parse().map_err(|_| Reason::WrongIssuer)
}

const ISSUER_PREFIX: &str = "urn:uuid:";

// Claim keys: RFC 8392 section 4, RFC 9711 section 4.1 (nonce).
const ISS: i64 = 1;
const AUD: i64 = 3;
const EXP: i64 = 4;
const IAT: i64 = 6;
const NONCE: i64 = 10;
// Private use (RFC 8392 section 9.1.1: below -65536).
const ACTION: i64 = -70_001;
const NUMBER: i64 = -70_002;
const MANIFEST: i64 = -70_003;
const COMMAND: i64 = -70_004;
const MIN_ANCHORS: i64 = -70_005;
const AUDIT: i64 = -70_006;
