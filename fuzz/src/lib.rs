//! What the fuzz targets share.

pub mod flash;
pub mod fleet;

use ringfort_cose::cbor::{Kind, Reader, Writer};
use ringfort_cose::{Algorithm, PublicKey, Reason, Sha256Digest, TrustedKey, Verify};

/// Cryptography that always agrees, so that the input reaches what lies behind it: every digest is
/// zero, and a signature verifies whenever the algorithm fits the key.
pub struct Agreeable;

impl Verify for Agreeable {
    fn sha256(&self, _: &[&[u8]]) -> Sha256Digest {
        Sha256Digest([0; 32])
    }

    fn verify(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        _: &[&[u8]],
        _: &[u8],
    ) -> Result<(), Reason> {
        key.check_algorithm(algorithm)
    }
}

/// The only allowed signer: with [`Agreeable`] its thumbprint is 32 zero bytes.
pub fn trusted() -> TrustedKey {
    TrustedKey::new(PublicKey::P256([4; 65]), &Agreeable)
}

/// Reads every item by its type and writes it again.
pub fn copy(reader: &mut Reader<'_>, out: &mut Writer<Vec<u8>>) -> Result<(), Reason> {
    match reader.kind()? {
        Kind::Unsigned => drop(out.u64(reader.u64()?)?),
        Kind::Negative => match reader.i64() {
            Ok(value) => drop(out.i64(value)?),
            Err(_) => drop(out.raw(reader.raw()?)?),
        },
        Kind::Bytes => drop(out.bytes(reader.bytes()?)?),
        Kind::Text => drop(out.text(reader.text()?)?),
        Kind::Bool => drop(out.bool(reader.bool()?)?),
        Kind::Null => {
            reader.null()?;
            out.null()?;
        }
        Kind::Undefined => drop(out.raw(reader.raw()?)?),
        Kind::Tag => {
            out.tag(reader.tag()?)?;
            copy(reader, out)?;
        }
        Kind::Array => {
            let count = reader.array()?;
            out.array(count)?;
            (0..count).try_for_each(|_| copy(reader, out))?;
        }
        Kind::Map => {
            let count = reader.map()?;
            out.map(count)?;
            (0..2 * count).try_for_each(|_| copy(reader, out))?;
        }
    }
    Ok(())
}
