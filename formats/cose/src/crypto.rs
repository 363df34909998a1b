//! The two seams to cryptography: [`Verify`] and, with feature `alloc`, [`Sign`].

use crate::{Algorithm, PublicKey, Reason, Sha256Digest};

/// Hashing and verifying, by whatever library the machine has.
pub trait Verify {
    /// SHA-256 of the parts, one after the other.
    fn sha256(&self, parts: &[&[u8]]) -> Sha256Digest;

    /// Verifies a signature over the parts, one after the other.
    ///
    /// The signature is r || s (64 bytes) for ECDSA and the 64 bytes of RFC 8032 for Ed25519.
    ///
    /// # Errors
    /// `algorithm-not-allowed` when the algorithm does not fit the key, else `bad-signature`.
    fn verify(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), Reason>;
}

impl<V: Verify + ?Sized> Verify for &V {
    fn sha256(&self, parts: &[&[u8]]) -> Sha256Digest {
        (**self).sha256(parts)
    }

    fn verify(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), Reason> {
        (**self).verify(algorithm, key, message, signature)
    }
}

/// A private key that signs where it lives: in memory, in a token, behind a socket.
#[cfg(feature = "alloc")]
pub trait Sign: Send + Sync {
    /// The public half.
    fn public_key(&self) -> PublicKey;

    /// The algorithm that signatures are labelled with. Never [`Algorithm::Es256`].
    fn algorithm(&self) -> Algorithm {
        self.public_key().algorithm()
    }

    /// Signs the parts, one after the other. Returns r || s (64 bytes), or the 64 bytes of
    /// RFC 8032.
    ///
    /// # Errors
    /// [`SignError`] when the key's store does not do it.
    fn sign(&self, message: &[&[u8]]) -> Result<alloc::vec::Vec<u8>, SignError>;
}

/// Why a key did not sign.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignError {
    /// The key's store failed; the text says how, without secrets.
    Store(alloc::string::String),
    /// The bytes handed over do not make a key.
    NotAKey,
    /// The object to be signed cannot be made.
    Object(Reason),
}

#[cfg(feature = "alloc")]
impl core::fmt::Display for SignError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            SignError::Store(text) => write!(f, "the key store did not sign: {text}"),
            SignError::NotAKey => f.write_str("not a P-256 or Ed25519 private key in PKCS#8"),
            SignError::Object(reason) => write!(f, "the object cannot be signed: {reason}"),
        }
    }
}

#[cfg(feature = "alloc")]
impl core::error::Error for SignError {}

#[cfg(feature = "alloc")]
impl From<Reason> for SignError {
    fn from(reason: Reason) -> SignError {
        SignError::Object(reason)
    }
}
