//! TLS client authentication by a key that stays in its store.
//!
//! rustls asks for a signature; the store gives one. Works for TLS 1.3 and 1.2.

use std::fmt;
use std::sync::Arc;

use ringfort_cose::{PublicKey, Sign};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::public_key_to_der;

/// A key of any store as a rustls signing key.
pub fn signing_key(key: Arc<dyn Sign>) -> Arc<dyn SigningKey> {
    Arc::new(StoredKey { spki: public_key_to_der(&key.public_key()), key })
}

/// A certificate chain (DER, the key's own first) with its key.
pub fn certified_key(chain: Vec<Vec<u8>>, key: Arc<dyn Sign>) -> CertifiedKey {
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    CertifiedKey::new(chain, signing_key(key))
}

/// A resolver that presents one chain, whatever the server hints at.
pub fn client_certificate(chain: Vec<Vec<u8>>, key: Arc<dyn Sign>) -> Arc<dyn ResolvesClientCert> {
    Arc::new(OneCertificate(Arc::new(certified_key(chain, key))))
}

struct StoredKey {
    key: Arc<dyn Sign>,
    spki: Vec<u8>,
}

impl SigningKey for StoredKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = match self.key.public_key() {
            PublicKey::P256(_) => SignatureScheme::ECDSA_NISTP256_SHA256,
            PublicKey::Ed25519(_) => SignatureScheme::ED25519,
        };
        let signer = StoredSigner { key: Arc::clone(&self.key), scheme };
        offered.contains(&scheme).then(|| Box::new(signer) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.spki.as_slice()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.key.public_key() {
            PublicKey::P256(_) => SignatureAlgorithm::ECDSA,
            PublicKey::Ed25519(_) => SignatureAlgorithm::ED25519,
        }
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredKey({:?})", self.key.public_key())
    }
}

struct StoredSigner {
    key: Arc<dyn Sign>,
    scheme: SignatureScheme,
}

impl Signer for StoredSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signature =
            self.key.sign(&[message]).map_err(|error| rustls::Error::General(error.to_string()))?;
        match self.scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => ecdsa_der(&signature)
                .ok_or_else(|| rustls::Error::General("the key store's signature is bent".into())),
            _ => Ok(signature),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

impl fmt::Debug for StoredSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredSigner({:?})", self.scheme)
    }
}

#[derive(Debug)]
struct OneCertificate(Arc<CertifiedKey>);

impl ResolvesClientCert for OneCertificate {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// ECDSA-Sig-Value (RFC 3279) of r || s, for X.509, PKCS#10 and TLS. None unless there are 64
/// bytes.
pub fn ecdsa_der(signature: &[u8]) -> Option<Vec<u8>> {
    let signature = <&[u8; 64]>::try_from(signature).ok()?;
    let mut body = Vec::with_capacity(70);
    for half in signature.chunks(32) {
        let zeros = half.iter().take_while(|byte| **byte == 0).count().min(31);
        let digits = &half[zeros..];
        let pad = usize::from(digits[0] & 0x80 != 0);
        body.extend([0x02, (digits.len() + pad) as u8]);
        body.extend(&[0][..pad]);
        body.extend(digits);
    }
    Some([&[0x30, body.len() as u8], &body[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_of_a_signature_is_minimal_and_never_negative() {
        let mut fixed = [0; 64];
        fixed[31] = 0x05;
        fixed[32] = 0x80;
        let der = ecdsa_der(&fixed).unwrap();
        assert_eq!(&der[..5], &[0x30, 38, 0x02, 0x01, 0x05]);
        assert_eq!(&der[5..9], &[0x02, 33, 0x00, 0x80]);
        assert_eq!(der.len(), 40);
        assert_eq!(ecdsa_der(&[0; 64]).unwrap(), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert!(ecdsa_der(&[0; 63]).is_none());
    }
}
