//! SUIT_Digest.

use ringfort_cose::cbor::Reader;
use ringfort_cose::{Reason, Sha256Digest, Verify};

/// Reads a SUIT_Digest: algorithm and bytes. Only SHA-256 is accepted.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Sha256Digest, Reason> {
    reader.array_of(2)?;
    let algorithm = reader.i64().map_err(|_| Reason::AlgorithmNotAllowed)?;
    let bytes = reader.bytes()?;
    if algorithm != SHA_256 {
        return Err(Reason::AlgorithmNotAllowed);
    }
    Sha256Digest::try_from(bytes)
}

/// Compares the digest of a part, as it stands in the envelope with the head of its byte string.
pub(crate) fn check(
    verifier: &(impl Verify + ?Sized),
    part: &[u8],
    expected: &Sha256Digest,
) -> Result<(), Reason> {
    if verifier.sha256(&[part]) == *expected { Ok(()) } else { Err(Reason::ManifestDigest) }
}

/// COSE algorithm identifier of SHA-256 (RFC 9054).
pub(crate) const SHA_256: i64 = -16;
