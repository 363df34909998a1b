//! Protected and unprotected headers (RFC 9052 section 3).

use crate::cbor::{Dialect, Kind, Reader};
use crate::{Algorithm, Reason, Thumbprint};

/// What a protected header says. Unprotected parameters are checked and then ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header<'b> {
    /// alg, label 1.
    pub algorithm: Option<Algorithm>,
    /// kid, label 4.
    pub kid: Option<&'b [u8]>,
    /// typ, label 16 (RFC 9596).
    pub typ: Option<ContentType<'b>>,
    /// content type, label 3.
    pub content_type: Option<ContentType<'b>>,
}

/// The value of `typ` or content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType<'b> {
    /// A number of the CoAP Content-Formats registry.
    CoapFormat(u64),
    /// A media type.
    Text(&'b str),
}

impl<'b> Header<'b> {
    /// The kid as a key thumbprint.
    ///
    /// # Errors
    /// `untrusted-signer` when there is none, or one of another form.
    pub fn signer(&self) -> Result<Thumbprint, Reason> {
        let kid = self.kid.ok_or(Reason::UntrustedSigner)?;
        Thumbprint::try_from(kid).map_err(|_| Reason::UntrustedSigner)
    }

    /// Reads the two headers of a COSE structure: a byte string and a map.
    /// Returns what is protected, and the protected bytes.
    pub(crate) fn read_both(reader: &mut Reader<'b>) -> Result<(Header<'b>, &'b [u8]), Reason> {
        let protected = reader.bytes()?;
        let unprotected = reader.raw()?;
        let header = Header::read_protected(reader, protected)?;
        check_unprotected(reader, protected, unprotected)?;
        Ok((header, protected))
    }

    fn read_protected(parent: &Reader<'b>, protected: &'b [u8]) -> Result<Header<'b>, Reason> {
        let mut header = Header::default();
        if protected.is_empty() {
            return Ok(header);
        }
        let mut reader = parent.embedded(protected)?;
        let entries = reader.map()?;
        // RFC 9052 section 3: an empty protected map is a zero-length string.
        if entries == 0 && parent.dialect() == Dialect::Deterministic {
            return Err(Reason::Malformed);
        }
        let mut critical = None;
        for _ in 0..entries {
            match label(&mut reader)? {
                Some(ALG) => header.algorithm = Some(Algorithm::read(&mut reader)?),
                Some(CRIT) => critical = Some(reader.clone()),
                Some(CONTENT_TYPE) => header.content_type = Some(content_type(&mut reader)?),
                Some(KID) => header.kid = Some(reader.bytes()?),
                Some(TYP) => header.typ = Some(content_type(&mut reader)?),
                _ if parent.dialect() == Dialect::Deterministic => {
                    return Err(Reason::UnknownField);
                }
                _ => drop(reader.raw()?),
            }
            if let Some(critical) = critical.take() {
                check_critical(critical, protected, parent)?;
                reader.raw()?;
            }
        }
        Ok(header)
    }
}

/// crit: a list, not empty, of labels that are understood and stand in the protected header.
fn check_critical(
    mut critical: Reader<'_>,
    protected: &[u8],
    parent: &Reader<'_>,
) -> Result<(), Reason> {
    let labels = critical.array()?;
    if labels == 0 {
        return Err(Reason::Malformed);
    }
    for _ in 0..labels {
        match label(&mut critical)? {
            Some(found @ (ALG | CRIT | CONTENT_TYPE | KID | TYP)) => {
                if !holds_label(parent.embedded(protected)?, found)? {
                    return Err(Reason::Malformed);
                }
            }
            _ => return Err(Reason::Unsupported),
        }
    }
    Ok(())
}

/// The unprotected header may not repeat a protected label, nor hold crit. Our own objects have
/// nothing in it.
fn check_unprotected(
    parent: &Reader<'_>,
    protected: &[u8],
    unprotected: &[u8],
) -> Result<(), Reason> {
    let mut reader = parent.of_checked(unprotected);
    let entries = reader.map()?;
    if entries > 0 && parent.dialect() == Dialect::Deterministic {
        return Err(Reason::UnknownField);
    }
    for _ in 0..entries {
        if let Some(found) = label(&mut reader)? {
            let repeated =
                !protected.is_empty() && holds_label(parent.embedded(protected)?, found)?;
            if found == CRIT || repeated {
                return Err(Reason::Malformed);
            }
        }
        reader.raw()?;
    }
    Ok(())
}

fn holds_label(mut reader: Reader<'_>, wanted: i64) -> Result<bool, Reason> {
    for _ in 0..reader.map()? {
        if label(&mut reader)? == Some(wanted) {
            return Ok(true);
        }
        reader.raw()?;
    }
    Ok(false)
}

/// A label: an integer, or text, which none of ours is.
fn label(reader: &mut Reader<'_>) -> Result<Option<i64>, Reason> {
    match reader.kind()? {
        Kind::Text => reader.text().map(|_| None),
        _ => reader.i64().map(Some),
    }
}

fn content_type<'b>(reader: &mut Reader<'b>) -> Result<ContentType<'b>, Reason> {
    match reader.kind()? {
        Kind::Text => reader.text().map(ContentType::Text),
        _ => reader.u64().map(ContentType::CoapFormat),
    }
}

// Header labels (RFC 9052 section 3.1, RFC 9596).
pub(crate) const ALG: i64 = 1;
pub(crate) const CRIT: i64 = 2;
pub(crate) const CONTENT_TYPE: i64 = 3;
pub(crate) const KID: i64 = 4;
pub(crate) const TYP: i64 = 16;
