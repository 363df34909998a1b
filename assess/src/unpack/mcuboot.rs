//! MCUboot images: header, body and the TLV trailer that says how it is signed.

use super::{Fact, Fields, Format, Meta, Sink, UnpackError};
use crate::blob::Blob;

pub(super) const FORMATS: &[Format] = &[Format {
    name: "mcuboot",
    about: "MCUboot image with its TLV trailer (encrypted bodies are not read)",
    magics: &[(0, &[0x3d, 0xb8, 0xf3, 0x96])],
    carved: true,
    detect: |b| b.exact(0, 32).is_ok_and(|h| h.le16(8).is_ok_and(|size| size >= 32)),
    unpack,
}];

/// What an MCUboot trailer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailer {
    /// "major.minor.revision+build".
    pub version: String,
    /// Name of the signature algorithm; `None` when there is no signature.
    pub signature: Option<&'static str>,
    /// SHA-256 of the public key as MCUboot hashes it.
    pub key_hash: Option<Vec<u8>>,
    /// Security counter, for anti-rollback.
    pub security_counter: Option<u32>,
    /// Whether the body is encrypted.
    pub encrypted: bool,
}

fn unpack(blob: &Blob, sink: &mut dyn Sink) -> Result<u64, UnpackError> {
    let head = blob.exact(0, 32)?;
    let header = u64::from(head.le16(8)?);
    let size = u64::from(head.le32(12)?);
    let version = format!("{}.{}.{}+{}", head[20], head[21], head.le16(22)?, head.le32(24)?);
    let body_end = header + size;
    let mut trailer = Trailer { version, ..Trailer::default() };
    trailer.encrypted = head.le32(16)? & 0x0c != 0;
    let mut at = body_end;
    for magic in [0x6908u16, 0x6907] {
        let Ok(info) = blob.exact(at, 4) else { break };
        if info.le16(0)? != magic {
            continue;
        }
        let end = at + u64::from(info.le16(2)?);
        let mut tlv = at + 4;
        while tlv + 4 <= end {
            let entry = blob.exact(tlv, 4)?;
            let len = usize::from(entry.le16(2)?);
            let value = blob.exact(tlv + 4, len)?;
            read_tlv(entry.le16(0)?, value, &mut trailer);
            tlv += 4 + len as u64;
        }
        at = end.max(at + 4);
    }
    let body = blob.slice(header, size);
    if body.len() < size {
        sink.unread("/body", blob.len(), 0, &UnpackError::Truncated { at: blob.len() });
    }
    let encrypted = trailer.encrypted;
    sink.fact(Fact::Mcuboot(trailer));
    if encrypted {
        let why = UnpackError::Unsupported("encrypted MCUboot body".into());
        sink.unread("/body", header, body.len(), &why);
    } else {
        let meta = Meta { mode: None, offset: Some(header), raw: true };
        sink.member("/body", body, meta)?;
    }
    Ok(at.max(body_end).min(blob.len()))
}

fn read_tlv(kind: u16, value: Vec<u8>, trailer: &mut Trailer) {
    match kind {
        0x01 => trailer.key_hash = Some(value),
        0x20 => trailer.signature = Some("RSA-2048"),
        0x21 => trailer.signature = Some("ECDSA P-224"),
        0x22 => trailer.signature = Some("ECDSA P-256"),
        0x23 => trailer.signature = Some("RSA-3072"),
        0x24 => trailer.signature = Some("Ed25519"),
        0x25 => trailer.signature = Some("ECDSA"),
        0x30..=0x35 => trailer.encrypted = true,
        0x50 => trailer.security_counter = value.le32(0).ok(),
        _ => {}
    }
}
