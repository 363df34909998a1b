//! SUIT envelopes (draft-ietf-suit-manifest): CBOR tag 107 around a map; integrated
//! payloads and dependencies are members.

use super::{Fact, Format, Meta, UnpackError, clean};
use crate::blob::Blob;

pub(super) const FORMATS: &[Format] = &[Format {
    name: "suit",
    about: "SUIT envelope: manifest, severed members, integrated payloads",
    magics: &[(0, &[0xd8, 0x6b])],
    carved: true,
    detect: |b| envelope(b).is_ok_and(|e| e.entries.iter().any(|m| m.name == "manifest")),
    unpack: |b, s| {
        let envelope = envelope(b)?;
        let authentication = envelope.entries.iter().find(|m| m.name == "authentication");
        // The wrapper is a list: a digest, then one COSE object per signature.
        let signed = authentication
            .map(|m| b.bytes(m.at, m.len.min(4096) as usize))
            .is_some_and(|w| list_len(&w) > 1);
        s.fact(Fact::Suit { signed });
        for member in &envelope.entries {
            let meta = Meta { mode: None, offset: Some(member.at), raw: true };
            s.member(&format!("/{}", member.name), b.slice(member.at, member.len), meta)?;
        }
        Ok(envelope.end)
    },
}];

struct Member {
    name: String,
    at: u64,
    len: u64,
}

struct Envelope {
    entries: Vec<Member>,
    end: u64,
}

fn envelope(blob: &Blob) -> Result<Envelope, UnpackError> {
    let (major, count, mut at) = head(blob, 2)?;
    if major != 5 || count > 64 {
        return Err(UnpackError::Corrupt("SUIT envelope is not a map"));
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        let (kind, key, next) = head(blob, at)?;
        let name = match kind {
            0 => match key {
                2 => "authentication".to_owned(),
                3 => "manifest".to_owned(),
                other => format!("member {other}"),
            },
            3 if key <= 256 => {
                let raw = blob.exact(next, key as usize)?;
                clean(&String::from_utf8_lossy(&raw))
            }
            _ => return Err(UnpackError::Corrupt("SUIT envelope key")),
        };
        at = if kind == 3 { next + key } else { next };
        let (kind, len, body) = head(blob, at)?;
        if kind != 2 || body.checked_add(len).is_none_or(|end| end > blob.len()) {
            return Err(UnpackError::Corrupt("SUIT envelope value"));
        }
        entries.push(Member { name, at: body, len });
        at = body + len;
    }
    Ok(Envelope { entries, end: at })
}

/// Major type, argument, and the offset after them; definite lengths only.
fn head(blob: &Blob, at: u64) -> Result<(u8, u64, u64), UnpackError> {
    let first = blob.exact(at, 1)?[0];
    let wide = match first & 31 {
        small @ 0..24 => return Ok((first >> 5, u64::from(small), at + 1)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return Err(UnpackError::Corrupt("CBOR length")),
    };
    let raw = blob.exact(at + 1, wide)?;
    let value = raw.iter().fold(0u64, |value, b| value << 8 | u64::from(*b));
    Ok((first >> 5, value, at + 1 + wide as u64))
}

fn list_len(raw: &[u8]) -> u8 {
    match raw.first() {
        Some(first) if first >> 5 == 4 => first & 31,
        _ => 0,
    }
}
