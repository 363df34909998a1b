//! DER from parts that are there as bytes: nothing is encoded twice, once to be signed and once to
//! be sent. An encoder that walks a tree works out each length again at every level above it.

use der::asn1::BitStringRef;
use der::{Encode, Header, Length, Tag};
use spki::AlgorithmIdentifierOwned;

/// One value of several parts.
pub(crate) fn tlv(tag: Tag, parts: &[&[u8]]) -> der::Result<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + MAX_HEADER);
    Header::new(tag, Length::try_from(length)?).encode_to_vec(&mut out)?;
    parts.iter().for_each(|part| out.extend_from_slice(part));
    Ok(out)
}

/// What was signed, with its algorithm and signature: a certificate or a CRL (RFC 5280, sections
/// 4.1.1 and 5.1.1).
pub(crate) fn signed(
    content: &[u8],
    algorithm: &AlgorithmIdentifierOwned,
    signature: &[u8],
) -> der::Result<Vec<u8>> {
    let signature = BitStringRef::from_bytes(signature)?.to_der()?;
    tlv(Tag::Sequence, &[content, &algorithm.to_der()?, &signature])
}

const MAX_HEADER: usize = 6;
