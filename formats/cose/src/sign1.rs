//! COSE_Sign1: one signature (RFC 9052 section 4.2).

use crate::cbor::{Deterministic, Dialect, Head, Kind, Limits, Reader, WellFormed};
use crate::{Header, ObjectType, PublicKey, Reason, Verify};

/// Is the structure tagged?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagging {
    /// The COSE tag has to be there.
    Tagged,
    /// The COSE tag may not be there.
    Untagged,
}

/// A parsed COSE_Sign1. Nothing in it is to be believed before a `verify` call returned `Ok`.
#[derive(Clone, Copy, Debug)]
pub struct Sign1<'b> {
    header: Header<'b>,
    protected: &'b [u8],
    payload: Option<&'b [u8]>,
    signature: &'b [u8],
}

impl<'b> Sign1<'b> {
    /// Parses one of our own objects: deterministic, tagged, with its payload inside, nothing
    /// unprotected.
    ///
    /// # Errors
    /// `malformed`, `too-large`, `unsupported` (crit), `unknown-field` (unknown header
    /// parameters), `algorithm-not-allowed`; `wrong-type` when `typ` is not the expected one.
    pub fn parse_object(bytes: &'b [u8], object: ObjectType) -> Result<Sign1<'b>, Reason> {
        Sign1::parse_object_within(bytes, object, Limits::OBJECT)
    }

    /// The same within other limits.
    ///
    /// # Errors
    /// As [`Sign1::parse_object`].
    pub fn parse_object_within(
        bytes: &'b [u8],
        object: ObjectType,
        limits: Limits,
    ) -> Result<Sign1<'b>, Reason> {
        let reader = Deterministic::read_within(bytes, limits)?;
        let sign1 = Sign1::parse_from(reader, Tagging::Tagged)?;
        if !object.matches(sign1.header.typ) {
            return Err(Reason::WrongType);
        }
        if sign1.payload.is_none() {
            return Err(Reason::Malformed);
        }
        Ok(sign1)
    }

    /// Parses a COSE_Sign1 of the given dialect.
    ///
    /// # Errors
    /// As [`Sign1::parse_object`], without `wrong-type`; unknown header parameters of a
    /// well-formed object are ignored unless `crit` names them.
    pub fn parse(bytes: &'b [u8], dialect: Dialect, tagging: Tagging) -> Result<Sign1<'b>, Reason> {
        let reader = match dialect {
            Dialect::Deterministic => Deterministic::read(bytes)?,
            Dialect::WellFormed => WellFormed::read(bytes)?,
        };
        Sign1::parse_from(reader, tagging)
    }

    fn parse_from(mut reader: Reader<'b>, tagging: Tagging) -> Result<Sign1<'b>, Reason> {
        read_tag(&mut reader, tagging, TAG_SIGN1)?;
        reader.array_of(4)?;
        let (header, protected) = Header::read_both(&mut reader)?;
        if header.algorithm.is_none() {
            return Err(Reason::AlgorithmNotAllowed);
        }
        let payload = read_payload(&mut reader)?;
        let signature = reader.bytes()?;
        reader.end()?;
        Ok(Sign1 { header, protected, payload, signature })
    }

    /// The protected header.
    pub fn header(&self) -> &Header<'b> {
        &self.header
    }

    /// The payload, unverified; none when it is detached.
    pub fn payload_unverified(&self) -> Option<&'b [u8]> {
        self.payload
    }

    /// Verifies one of our own objects and returns its payload.
    ///
    /// # Errors
    /// `algorithm-not-allowed`, `bad-signature`; `malformed` when the payload is detached.
    pub fn verify_object(
        &self,
        verifier: &(impl Verify + ?Sized),
        object: ObjectType,
        key: &PublicKey,
    ) -> Result<&'b [u8], Reason> {
        object.with_external_aad(|aad| self.verify(verifier, key, aad))
    }

    /// Verifies and returns the payload.
    ///
    /// # Errors
    /// `algorithm-not-allowed`, `bad-signature`; `malformed` when the payload is detached.
    pub fn verify(
        &self,
        verifier: &(impl Verify + ?Sized),
        key: &PublicKey,
        external_aad: &[u8],
    ) -> Result<&'b [u8], Reason> {
        let payload = self.payload.ok_or(Reason::Malformed)?;
        self.verify_with(verifier, key, external_aad, payload)?;
        Ok(payload)
    }

    /// Verifies over a detached payload.
    ///
    /// # Errors
    /// `algorithm-not-allowed`, `bad-signature`; `malformed` when a payload is inside.
    pub fn verify_detached(
        &self,
        verifier: &(impl Verify + ?Sized),
        key: &PublicKey,
        external_aad: &[u8],
        payload: &[u8],
    ) -> Result<(), Reason> {
        if self.payload.is_some() {
            return Err(Reason::Malformed);
        }
        self.verify_with(verifier, key, external_aad, payload)
    }

    fn verify_with(
        &self,
        verifier: &(impl Verify + ?Sized),
        key: &PublicKey,
        external_aad: &[u8],
        payload: &[u8],
    ) -> Result<(), Reason> {
        let algorithm = self.header.algorithm.ok_or(Reason::AlgorithmNotAllowed)?;
        key.check_algorithm(algorithm)?;
        let strings = [self.protected, external_aad, payload];
        with_sig_structure(CONTEXT_SIGN1, &strings, |message| {
            verifier.verify(algorithm, key, message, self.signature)
        })
    }
}

/// Makes one of our own objects: tagged, with `typ`, the signer's thumbprint as `kid`, and the
/// payload inside.
///
/// # Errors
/// [`crate::SignError`] from the signer, or `too-large`.
#[cfg(feature = "alloc")]
pub fn sign1(
    verifier: &(impl Verify + ?Sized),
    signer: &dyn crate::Sign,
    object: ObjectType,
    payload: &[u8],
) -> Result<alloc::vec::Vec<u8>, crate::SignError> {
    let kid = signer.public_key().thumbprint(verifier);
    let protected = make::protected(Some(signer.algorithm()), Some(&kid.0), Some(&object.typ()))?;
    object.with_external_aad(|aad| {
        let signature = make::signature(signer, CONTEXT_SIGN1, &[&protected, aad, payload])?;
        make::sign1(Tagging::Tagged, &protected, Some(payload), &signature)
    })
}

/// Makes a COSE_Sign1 over a detached payload, with alg and, where given, kid in the protected
/// header. SUIT authentication blocks are of this form.
///
/// # Errors
/// [`crate::SignError`] from the signer, or `too-large`.
#[cfg(feature = "alloc")]
pub fn sign1_detached(
    signer: &dyn crate::Sign,
    tagging: Tagging,
    kid: Option<&[u8]>,
    external_aad: &[u8],
    payload: &[u8],
) -> Result<alloc::vec::Vec<u8>, crate::SignError> {
    let protected = make::protected(Some(signer.algorithm()), kid, None)?;
    let signature = make::signature(signer, CONTEXT_SIGN1, &[&protected, external_aad, payload])?;
    make::sign1(tagging, &protected, None, &signature)
}

pub(crate) fn read_tag(reader: &mut Reader<'_>, tagging: Tagging, tag: u64) -> Result<(), Reason> {
    match (tagging, reader.kind()?) {
        (Tagging::Untagged, _) => Ok(()),
        (Tagging::Tagged, Kind::Tag) if reader.tag()? == tag => Ok(()),
        (Tagging::Tagged, _) => Err(Reason::WrongType),
    }
}

pub(crate) fn read_payload<'b>(reader: &mut Reader<'b>) -> Result<Option<&'b [u8]>, Reason> {
    match reader.kind()? {
        Kind::Null => reader.null().map(|()| None),
        _ => reader.bytes().map(Some),
    }
}

/// Hands the Sig_structure (RFC 9052 section 4.4) to `with`, in parts: the array's head and the
/// context, then head and content of each byte string.
pub(crate) fn with_sig_structure<T>(
    context: &str,
    strings: &[&[u8]],
    with: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let mut heads = [[0u8; 9]; 2 + MAX_STRINGS];
    let mut lens = [0usize; 2 + MAX_STRINGS];
    let wanted = [(ARRAY, 1 + strings.len()), (TEXT, context.len())];
    let wanted = wanted.into_iter().chain(strings.iter().map(|string| (BYTES, string.len())));
    for ((head, len), (major, argument)) in heads.iter_mut().zip(&mut lens).zip(wanted) {
        *len = Head::write(head, major, argument as u64).len();
    }
    let mut parts: [&[u8]; 3 + 2 * MAX_STRINGS] = [&[]; 3 + 2 * MAX_STRINGS];
    parts[0] = &heads[0][..lens[0]];
    parts[1] = &heads[1][..lens[1]];
    parts[2] = context.as_bytes();
    for (index, string) in strings.iter().take(MAX_STRINGS).enumerate() {
        parts[3 + 2 * index] = &heads[2 + index][..lens[2 + index]];
        parts[4 + 2 * index] = string;
    }
    with(&parts)
}

#[cfg(feature = "alloc")]
pub(crate) mod make {
    //! The pieces that signing puts together.

    use alloc::vec::Vec;

    use super::{TAG_SIGN1, Tagging, with_sig_structure};
    use crate::cbor::Writer;
    use crate::{Algorithm, Reason, Sign, SignError, header};

    pub(crate) fn protected(
        algorithm: Option<Algorithm>,
        kid: Option<&[u8]>,
        typ: Option<&str>,
    ) -> Result<Vec<u8>, Reason> {
        let entries = [algorithm.is_some(), kid.is_some(), typ.is_some()];
        let mut out = Writer::to_vec();
        out.map(entries.into_iter().filter(|entry| *entry).count() as u64)?;
        if let Some(algorithm) = algorithm {
            out.i64(header::ALG)?.i64(algorithm.id())?;
        }
        if let Some(kid) = kid {
            out.i64(header::KID)?.bytes(kid)?;
        }
        if let Some(typ) = typ {
            out.i64(header::TYP)?.text(typ)?;
        }
        out.finish()
    }

    pub(crate) fn signature(
        signer: &dyn Sign,
        context: &str,
        strings: &[&[u8]],
    ) -> Result<Vec<u8>, SignError> {
        with_sig_structure(context, strings, |message| signer.sign(message))
    }

    pub(super) fn sign1(
        tagging: Tagging,
        protected: &[u8],
        payload: Option<&[u8]>,
        signature: &[u8],
    ) -> Result<Vec<u8>, SignError> {
        let mut out = Writer::to_vec();
        if tagging == Tagging::Tagged {
            out.tag(TAG_SIGN1)?;
        }
        out.array(4)?.bytes(protected)?.map(0)?;
        match payload {
            Some(payload) => out.bytes(payload)?,
            None => out.null()?,
        };
        out.bytes(signature)?;
        Ok(out.finish()?)
    }
}

const CONTEXT_SIGN1: &str = "Signature1";
/// A Sig_structure has at most four byte strings: body, signer, external_aad, payload.
const MAX_STRINGS: usize = 4;
const TAG_SIGN1: u64 = 18;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
