//! Fits a `ringfort_cose::Sign` to what certificates need.

use der::asn1::UintRef;
use der::{Encode, Sequence};
use ringfort_cose::{PublicKey, Sign};
use spki::{AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey};

use crate::key::signature_algorithm;
use crate::{Error, KeyKind, SubjectKey};

/// A signer as the certificate builder wants it.
#[derive(Clone, Copy)]
pub(crate) struct CertificateSigner<'a> {
    pub(crate) signer: &'a dyn Sign,
    pub(crate) key: &'a SubjectKey,
}

impl CertificateSigner<'_> {
    /// The signature over `message` as it stands in a certificate.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let raw = self.signer.sign(&[message]).map_err(|e| Error::Signer(e.to_string()))?;
        if raw.len() != 64 {
            return Err(Error::Signer(format!("signature of {} bytes", raw.len())));
        }
        match self.key.kind() {
            KeyKind::Ed25519 => Ok(raw),
            KeyKind::P256 => ecdsa_der(&raw[..32], &raw[32..]),
        }
    }
}

impl signature::Keypair for CertificateSigner<'_> {
    type VerifyingKey = SubjectKey;

    fn verifying_key(&self) -> SubjectKey {
        self.key.clone()
    }
}

impl DynSignatureAlgorithmIdentifier for CertificateSigner<'_> {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(signature_algorithm(self.key.kind()))
    }
}

impl EncodePublicKey for SubjectKey {
    fn to_public_key_der(&self) -> spki::Result<der::Document> {
        Ok(der::Document::try_from(self.der())?)
    }
}

/// A signature over `message` in the form that certificates and TLS use: DER for ECDSA
/// (RFC 5480, appendix A), 64 bytes for Ed25519.
///
/// # Errors
/// The signer failed.
pub fn sign_der(signer: &dyn Sign, message: &[u8]) -> Result<Vec<u8>, Error> {
    CertificateSigner { signer, key: &key_of(signer)? }.sign(message)
}

/// The key that a signer signs with.
pub(crate) fn key_of(signer: &dyn Sign) -> Result<SubjectKey, Error> {
    SubjectKey::try_from(&signer.public_key())
}

impl TryFrom<&PublicKey> for SubjectKey {
    type Error = Error;

    fn try_from(key: &PublicKey) -> Result<SubjectKey, Error> {
        let kind = match key {
            PublicKey::P256(_) => KeyKind::P256,
            PublicKey::Ed25519(_) => KeyKind::Ed25519,
        };
        SubjectKey::from_raw(kind, key.as_bytes())
    }
}

impl From<&SubjectKey> for PublicKey {
    fn from(key: &SubjectKey) -> PublicKey {
        // A SubjectKey has 65 bytes for P-256 and 32 for Ed25519: its constructor saw to it.
        match key.kind() {
            KeyKind::P256 => {
                let mut point = [0; 65];
                point.copy_from_slice(key.raw());
                PublicKey::P256(point)
            }
            KeyKind::Ed25519 => {
                let mut bytes = [0; 32];
                bytes.copy_from_slice(key.raw());
                PublicKey::Ed25519(bytes)
            }
        }
    }
}

/// Ecdsa-Sig-Value (RFC 5480, appendix A).
#[derive(Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

fn ecdsa_der(r: &[u8], s: &[u8]) -> Result<Vec<u8>, Error> {
    let signer_error = |e: der::Error| Error::Signer(e.to_string());
    let signature = EcdsaSignature {
        r: UintRef::new(r).map_err(signer_error)?,
        s: UintRef::new(s).map_err(signer_error)?,
    };
    signature.to_der().map_err(signer_error)
}

#[cfg(test)]
mod tests {
    use super::ecdsa_der;

    #[test]
    fn integers_are_minimal_and_positive() {
        let mut r = [0; 32];
        r[31] = 1;
        let s = [0x80; 32];
        let der = ecdsa_der(&r, &s).unwrap();
        assert_eq!(der[..5], [0x30, 38, 0x02, 1, 1]);
        assert_eq!(der[5..8], [0x02, 33, 0]);
        assert_eq!(der[8..], s);
    }
}
