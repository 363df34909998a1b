//! What the TPM hands out to be kept outside: public areas and wrapped private areas.

use ringfort_cose::cbor::{Deterministic, Writer};
use ringfort_cose::{PublicKey, Reason};
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::structures::{
    Digest, EccPoint, EccScheme, HashScheme, KeyedHashScheme, Private, Public, PublicBuilder,
    PublicEccParametersBuilder, PublicKeyedHashParameters, SymmetricDefinitionObject,
};
use tss_esapi::traits::{Marshall, UnMarshall};

use super::driver::from_tpm;
use crate::Error;

/// An object of the TPM outside the TPM.
#[derive(Clone)]
pub(super) struct Wrapped {
    pub(super) public: Public,
    pub(super) private: Private,
}

impl Wrapped {
    /// The two areas as bytes, for an enclosing format.
    pub(super) fn parts(&self) -> Result<(Vec<u8>, Vec<u8>), Error> {
        Ok((self.public.marshall().map_err(from_tpm)?, self.private.value().to_vec()))
    }

    /// An object from its two areas.
    pub(super) fn from_parts(public: &[u8], private: &[u8]) -> Result<Wrapped, Reason> {
        Ok(Wrapped {
            public: Public::unmarshall(public).map_err(|_| Reason::Malformed)?,
            private: Private::try_from(private).map_err(|_| Reason::Malformed)?,
        })
    }

    /// A key file.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        let (public, private) = self.parts()?;
        let mut out = Writer::to_vec();
        out.array(3)
            .and_then(|out| out.text(KEY_MAGIC))
            .and_then(|out| out.bytes(&public))
            .and_then(|out| out.bytes(&private))
            .map(|_| ())
            .and_then(|()| out.finish())
            .map_err(|_| Error::Crypto)
    }

    /// Reads a key file.
    pub(super) fn decode(bytes: &[u8]) -> Result<Wrapped, Reason> {
        let mut reader = Deterministic::read(bytes)?;
        reader.array_of(3)?;
        if reader.text()? != KEY_MAGIC {
            return Err(Reason::WrongType);
        }
        let wrapped = Wrapped::from_parts(reader.bytes()?, reader.bytes()?)?;
        reader.end()?;
        Ok(wrapped)
    }

    /// The public key of a P-256 object.
    pub(super) fn public_key(&self) -> Result<PublicKey, Error> {
        let Public::Ecc { unique, .. } = &self.public else {
            return Err(Error::AlgorithmUnsupported("this kind of key".into()));
        };
        let mut point = [0x04; 65];
        right_aligned(&mut point[1..33], unique.x().value())?;
        right_aligned(&mut point[33..], unique.y().value())?;
        Ok(PublicKey::P256(point))
    }
}

/// Copies a big-endian number, which the TPM may write without its leading zeros.
pub(super) fn right_aligned(out: &mut [u8], number: &[u8]) -> Result<(), Error> {
    let start = out
        .len()
        .checked_sub(number.len())
        .ok_or_else(|| Error::Module("TPM: a number longer than the curve".into()))?;
    out[..start].fill(0);
    out[start..].copy_from_slice(number);
    Ok(())
}

/// The parent of everything: the same key at every start, derived from the owner seed.
pub(super) fn storage_key() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    );
    ecc(PublicBuilder::new().with_object_attributes(attributes), parameters)
}

/// A signing key for ECDSA with P-256 and SHA-256.
pub(super) fn signing_key() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_sign_encrypt(true)
        .build()?;
    let scheme = EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256));
    let parameters =
        PublicEccParametersBuilder::new_unrestricted_signing_key(scheme, EccCurve::NistP256);
    ecc(PublicBuilder::new().with_object_attributes(attributes), parameters)
}

/// An object around a few bytes that opens only under a policy.
pub(super) fn sealed_object(policy: Digest) -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_no_da(true)
        .with_admin_with_policy(true)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(policy)
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Digest::default())
        .build()
}

fn ecc(
    builder: PublicBuilder,
    parameters: PublicEccParametersBuilder,
) -> tss_esapi::Result<Public> {
    builder
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_ecc_parameters(parameters.build()?)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

const KEY_MAGIC: &str = "ringfort-tpm/1";
