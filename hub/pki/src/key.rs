use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ECDSA_WITH_SHA_256, ID_EC_PUBLIC_KEY, SECP_256_R_1};
use const_oid::db::rfc8410::ID_ED_25519;
use der::{Decode, Encode};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::{Error, fingerprint};

/// The two kinds of key that a certificate may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256 (RFC 5480, uncompressed point).
    P256,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

/// A public key that may stand in a certificate: of an accepted kind, its point on the curve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectKey {
    kind: KeyKind,
    spki: SubjectPublicKeyInfoOwned,
    der: Vec<u8>,
}

impl SubjectKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    pub fn from_spki_der(der: &[u8]) -> Result<SubjectKey, Error> {
        if der.len() > MAX_SPKI_BYTES {
            return Err(Error::TooLarge {
                what: "public key",
                size_bytes: der.len(),
                bound_bytes: MAX_SPKI_BYTES,
            });
        }
        let spki =
            SubjectPublicKeyInfoOwned::from_der(der).map_err(Error::malformed("public key"))?;
        SubjectKey::from_spki(spki)
    }

    /// Reads a public key from PEM ("PUBLIC KEY").
    pub fn from_pem(pem: &str) -> Result<SubjectKey, Error> {
        SubjectKey::from_spki_der(&crate::from_pem(crate::PUBLIC_KEY, pem)?)
    }

    pub(crate) fn from_spki(spki: SubjectPublicKeyInfoOwned) -> Result<SubjectKey, Error> {
        let kind = kind_of(&spki)?;
        let bytes = spki
            .subject_public_key
            .as_bytes()
            .ok_or_else(|| Error::malformed("public key")("unused bits"))?;
        let shape_is_right = match kind {
            KeyKind::P256 => bytes.len() == 65 && bytes[0] == 0x04,
            KeyKind::Ed25519 => bytes.len() == 32,
        };
        if !shape_is_right {
            return Err(Error::malformed("public key")("not an uncompressed point of its curve"));
        }
        if aws_lc_rs::signature::ParsedPublicKey::new(algorithm(kind), bytes).is_err() {
            return Err(Error::malformed("public key")("not a point of its curve"));
        }
        let der = spki.to_der().map_err(Error::malformed("public key"))?;
        Ok(SubjectKey { kind, spki, der })
    }

    /// From the bare key: an uncompressed P-256 point (65 bytes) or an Ed25519 key (32 bytes).
    pub fn from_raw(kind: KeyKind, bytes: &[u8]) -> Result<SubjectKey, Error> {
        let algorithm = match kind {
            KeyKind::P256 => AlgorithmIdentifierOwned {
                oid: ID_EC_PUBLIC_KEY,
                parameters: Some(der::asn1::Any::from(&SECP_256_R_1)),
            },
            KeyKind::Ed25519 => AlgorithmIdentifierOwned { oid: ID_ED_25519, parameters: None },
        };
        let subject_public_key =
            der::asn1::BitString::from_bytes(bytes).map_err(Error::malformed("public key"))?;
        SubjectKey::from_spki(SubjectPublicKeyInfoOwned { algorithm, subject_public_key })
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The SubjectPublicKeyInfo, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The bare key: an uncompressed P-256 point (65 bytes) or an Ed25519 key (32 bytes).
    pub fn raw(&self) -> &[u8] {
        self.spki.subject_public_key.raw_bytes()
    }

    /// SHA-256 of the SubjectPublicKeyInfo DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.der)
    }

    /// Whether `signature` (as it stands in a certificate: DER for ECDSA, 64 bytes for Ed25519)
    /// is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        aws_lc_rs::signature::UnparsedPublicKey::new(algorithm(self.kind), self.raw())
            .verify(message, signature)
            .is_ok()
    }

    /// RFC 7093, section 2, method 1: the leftmost 160 bits of the SHA-256 of the key.
    pub(crate) fn identifier(&self) -> Vec<u8> {
        fingerprint(self.raw())[..20].to_vec()
    }

    pub(crate) fn spki(&self) -> &SubjectPublicKeyInfoOwned {
        &self.spki
    }
}

/// The algorithm identifier of signatures made by a key of this kind.
pub(crate) fn signature_algorithm(kind: KeyKind) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: signature_oid(kind), parameters: None }
}

pub(crate) fn signature_oid(kind: KeyKind) -> ObjectIdentifier {
    match kind {
        KeyKind::P256 => ECDSA_WITH_SHA_256,
        KeyKind::Ed25519 => ID_ED_25519,
    }
}

fn kind_of(spki: &SubjectPublicKeyInfoOwned) -> Result<KeyKind, Error> {
    let refused = || Error::AlgorithmNotAllowed(format!("key algorithm {}", spki.algorithm.oid));
    match (spki.algorithm.oid, &spki.algorithm.parameters) {
        (ID_EC_PUBLIC_KEY, Some(parameters)) => {
            let curve: ObjectIdentifier = parameters.decode_as().map_err(|_| refused())?;
            if curve == SECP_256_R_1 { Ok(KeyKind::P256) } else { Err(refused()) }
        }
        (ID_ED_25519, None) => Ok(KeyKind::Ed25519),
        _ => Err(refused()),
    }
}

fn algorithm(kind: KeyKind) -> &'static dyn aws_lc_rs::signature::VerificationAlgorithm {
    match kind {
        KeyKind::P256 => &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
        KeyKind::Ed25519 => &aws_lc_rs::signature::ED25519,
    }
}

const MAX_SPKI_BYTES: usize = 1024;
