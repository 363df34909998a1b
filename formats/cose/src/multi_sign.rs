//! COSE_Sign: several signatures over one payload (RFC 9052 section 4.1), for our own objects.

use crate::cbor::{Deterministic, Reader};
use crate::sign1::{Tagging, read_payload, read_tag, with_sig_structure};
use crate::{Header, ObjectType, Reason, Thumbprint, TrustedKey, Verify};

/// A parsed COSE_Sign: deterministic, tagged, `typ` in the body's protected header, alg and kid
/// (the signer's thumbprint) in each signature's. Nothing in it is to be believed before
/// [`MultiSign::verify_all`] returned `Ok`.
#[derive(Clone, Debug)]
pub struct MultiSign<'b> {
    object: ObjectType,
    protected: &'b [u8],
    payload: &'b [u8],
    entries: Entries<'b>,
}

impl<'b> MultiSign<'b> {
    /// Parses an object of the expected type, with up to [`MultiSign::MAX_SIGNATURES`].
    /// An object without any signature yet parses, and verifies with no signer.
    ///
    /// # Errors
    /// `malformed`, `too-large`, `unsupported` (crit), `unknown-field`, `algorithm-not-allowed`;
    /// `wrong-type`; `untrusted-signer` for a signature without a thumbprint as its kid.
    pub fn parse_object(bytes: &'b [u8], object: ObjectType) -> Result<MultiSign<'b>, Reason> {
        let mut reader = Deterministic::read(bytes)?;
        read_tag(&mut reader, Tagging::Tagged, TAG_SIGN)?;
        reader.array_of(4)?;
        let (header, protected) = Header::read_both(&mut reader)?;
        if !object.matches(header.typ) {
            return Err(Reason::WrongType);
        }
        if header.algorithm.is_some() || header.kid.is_some() {
            return Err(Reason::UnknownField);
        }
        let payload = read_payload(&mut reader)?.ok_or(Reason::Malformed)?;
        let count = reader.array()?;
        if count > MultiSign::MAX_SIGNATURES {
            return Err(Reason::TooLarge);
        }
        let entries = Entries { reader: reader.clone(), left: count };
        for _ in 0..count {
            Entry::read(&mut reader)?;
        }
        reader.end()?;
        Ok(MultiSign { object, protected, payload, entries })
    }

    /// The payload, unverified.
    pub fn payload_unverified(&self) -> &'b [u8] {
        self.payload
    }

    /// The signatures, in the order in which they stand.
    pub fn entries(&self) -> Entries<'b> {
        self.entries.clone()
    }

    /// Verifies *every* signature with the allowed key that its kid names, and returns who signed.
    /// A key that signed twice counts once. Give at most 64 allowed keys.
    ///
    /// # Errors
    /// `untrusted-signer` when a kid names no allowed key, `algorithm-not-allowed`,
    /// `bad-signature`; `too-large` for more than 64 allowed keys.
    pub fn verify_all(
        &self,
        verifier: &(impl Verify + ?Sized),
        allowed: &[TrustedKey],
    ) -> Result<Signers, Reason> {
        let mut signers = Signers::NONE;
        for entry in self.entries() {
            let index = Signers::find(allowed, &entry.signer)?;
            let key = &allowed.get(index).ok_or(Reason::UntrustedSigner)?.key;
            key.check_algorithm(entry.algorithm()?)?;
            self.object.with_external_aad(|aad| {
                let strings = [self.protected, entry.protected, aad, self.payload];
                with_sig_structure(CONTEXT_SIGN, &strings, |message| {
                    verifier.verify(entry.algorithm()?, key, message, entry.signature)
                })
            })?;
            signers.insert(index);
        }
        Ok(signers)
    }

    /// Verifies every signature, asks for `threshold` different signers, returns the payload.
    ///
    /// # Errors
    /// As [`MultiSign::verify_all`], and `threshold-not-met`.
    pub fn verify_threshold(
        &self,
        verifier: &(impl Verify + ?Sized),
        allowed: &[TrustedKey],
        threshold: usize,
    ) -> Result<&'b [u8], Reason> {
        self.verify_all(verifier, allowed)?.require(threshold)?;
        Ok(self.payload)
    }

    /// Signatures of one object.
    pub const MAX_SIGNATURES: u64 = 32;
}

/// One signature of a [`MultiSign`].
#[derive(Clone, Copy, Debug)]
pub struct Entry<'b> {
    /// Who says to have signed: the kid, a key thumbprint.
    pub signer: Thumbprint,
    header: Header<'b>,
    protected: &'b [u8],
    signature: &'b [u8],
}

impl<'b> Entry<'b> {
    fn read(reader: &mut Reader<'b>) -> Result<Entry<'b>, Reason> {
        reader.array_of(3)?;
        let (header, protected) = Header::read_both(reader)?;
        if header.typ.is_some() || header.content_type.is_some() {
            return Err(Reason::UnknownField);
        }
        let entry =
            Entry { signer: header.signer()?, header, protected, signature: reader.bytes()? };
        entry.algorithm()?;
        Ok(entry)
    }

    fn algorithm(&self) -> Result<crate::Algorithm, Reason> {
        self.header.algorithm.ok_or(Reason::AlgorithmNotAllowed)
    }
}

/// Iterates over the signatures of a [`MultiSign`].
#[derive(Clone, Debug)]
pub struct Entries<'b> {
    reader: Reader<'b>,
    left: u64,
}

impl<'b> Iterator for Entries<'b> {
    type Item = Entry<'b>;

    fn next(&mut self) -> Option<Entry<'b>> {
        self.left = self.left.checked_sub(1)?;
        // Parsing has read each entry once, so none is lost here.
        Entry::read(&mut self.reader).ok()
    }
}

/// Who signed: a set of positions in the list of allowed keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signers(u64);

impl Signers {
    /// Nobody.
    pub const NONE: Signers = Signers(0);

    /// The position of the allowed key with this thumbprint; the first one, so that a key that is
    /// listed twice still counts once.
    ///
    /// # Errors
    /// `untrusted-signer`; `too-large` for a list of more than 64.
    pub fn find(allowed: &[TrustedKey], signer: &Thumbprint) -> Result<usize, Reason> {
        if allowed.len() > u64::BITS as usize {
            return Err(Reason::TooLarge);
        }
        let position = allowed.iter().position(|trusted| trusted.thumbprint == *signer);
        position.ok_or(Reason::UntrustedSigner)
    }

    /// Adds a position below 64; one beyond is not added.
    pub fn insert(&mut self, index: usize) {
        self.0 |= u32::try_from(index).ok().and_then(|bit| 1u64.checked_shl(bit)).unwrap_or(0);
    }

    /// Is this position among the signers?
    pub fn contains(&self, index: usize) -> bool {
        let mut one = Signers::NONE;
        one.insert(index);
        self.0 & one.0 != 0
    }

    /// How many different signers there are.
    pub fn count(&self) -> usize {
        self.0.count_ones() as usize
    }

    /// How many of the signers stand in `allowed[range]`: for one object that has to satisfy two
    /// lists, put both into one slice.
    pub fn count_in(&self, range: core::ops::Range<usize>) -> usize {
        range.filter(|index| self.contains(*index)).count()
    }

    /// Asks for a number of different signers. A threshold of nought is never met.
    ///
    /// # Errors
    /// `threshold-not-met`.
    pub fn require(&self, threshold: usize) -> Result<(), Reason> {
        if threshold == 0 || self.count() < threshold {
            return Err(Reason::ThresholdNotMet);
        }
        Ok(())
    }
}

/// Makes an object with the signatures of all the signers given (none is allowed: others can be
/// added later with [`add_signature`]).
///
/// # Errors
/// [`crate::SignError`] from a signer, or `too-large`.
#[cfg(feature = "alloc")]
pub fn multi_sign(
    verifier: &(impl Verify + ?Sized),
    signers: &[&dyn crate::Sign],
    object: ObjectType,
    payload: &[u8],
) -> Result<alloc::vec::Vec<u8>, crate::SignError> {
    let body = make::protected(None, None, Some(&object.typ()))?;
    let entries = signers
        .iter()
        .map(|signer| make_entry(verifier, *signer, object, &body, payload))
        .collect::<Result<alloc::vec::Vec<_>, _>>()?;
    Ok(assemble(&body, payload, &entries)?)
}

/// Adds one signature to an object, which may come from another machine. A signature that the
/// same key made before is replaced.
///
/// # Errors
/// [`crate::SignError`] from the signer; the parse errors of [`MultiSign::parse_object`].
#[cfg(feature = "alloc")]
pub fn add_signature(
    verifier: &(impl Verify + ?Sized),
    signer: &dyn crate::Sign,
    object: ObjectType,
    bytes: &[u8],
) -> Result<alloc::vec::Vec<u8>, crate::SignError> {
    let parsed = MultiSign::parse_object(bytes, object)?;
    let own = signer.public_key().thumbprint(verifier);
    let mut entries = alloc::vec::Vec::new();
    for entry in parsed.entries().filter(|entry| entry.signer != own) {
        entries.push(entry_bytes(entry.protected, entry.signature)?);
    }
    entries.push(make_entry(verifier, signer, object, parsed.protected, parsed.payload)?);
    Ok(assemble(parsed.protected, parsed.payload, &entries)?)
}

#[cfg(feature = "alloc")]
fn make_entry(
    verifier: &(impl Verify + ?Sized),
    signer: &dyn crate::Sign,
    object: ObjectType,
    body: &[u8],
    payload: &[u8],
) -> Result<alloc::vec::Vec<u8>, crate::SignError> {
    let kid = signer.public_key().thumbprint(verifier);
    let protected = make::protected(Some(signer.algorithm()), Some(&kid.0), None)?;
    let signature = object.with_external_aad(|aad| {
        make::signature(signer, CONTEXT_SIGN, &[body, &protected, aad, payload])
    })?;
    Ok(entry_bytes(&protected, &signature)?)
}

#[cfg(feature = "alloc")]
fn entry_bytes(protected: &[u8], signature: &[u8]) -> Result<alloc::vec::Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.array(3)?.bytes(protected)?.map(0)?.bytes(signature)?;
    out.finish()
}

#[cfg(feature = "alloc")]
fn assemble(
    body: &[u8],
    payload: &[u8],
    entries: &[alloc::vec::Vec<u8>],
) -> Result<alloc::vec::Vec<u8>, Reason> {
    let mut out = Writer::to_vec();
    out.tag(TAG_SIGN)?.array(4)?.bytes(body)?.map(0)?.bytes(payload)?;
    out.array(entries.len() as u64)?;
    for entry in entries {
        out.raw(entry)?;
    }
    out.finish()
}

#[cfg(feature = "alloc")]
use crate::{cbor::Writer, sign1::make};

const CONTEXT_SIGN: &str = "Signature";
const TAG_SIGN: u64 = 98;
