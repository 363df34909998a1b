//! A private key in this process's memory, for the back ends that keep keys in files.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use ringfort_cose::{Algorithm, PublicKey, Sign, SignError};
use zeroize::Zeroizing;

use crate::Error;

#[derive(Clone)]
pub(crate) struct SoftwareKey {
    pair: Arc<Pair>,
    public: PublicKey,
}

impl SoftwareKey {
    /// A new key, and its PKCS#8 for the caller to seal.
    pub(crate) fn generate(
        algorithm: Algorithm,
    ) -> Result<(SoftwareKey, Zeroizing<Vec<u8>>), Error> {
        let random = SystemRandom::new();
        let pkcs8 = match algorithm {
            Algorithm::Esp256 | Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?
            }
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random)?,
        };
        let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
        let key = SoftwareKey::from_pkcs8(algorithm, &pkcs8).ok_or(Error::Crypto)?;
        Ok((key, pkcs8))
    }

    pub(crate) fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Option<SoftwareKey> {
        let (pair, public) = match algorithm {
            Algorithm::Esp256 | Algorithm::Es256 => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
                let public = PublicKey::from_bytes(pair.public_key().as_ref());
                (Pair::P256(pair), public)
            }
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
                let public = PublicKey::from_bytes(pair.public_key().as_ref());
                (Pair::Ed25519(pair), public)
            }
        };
        Some(SoftwareKey { pair: Arc::new(pair), public: public.ok()? })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = match &*self.pair {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message)?,
            Pair::Ed25519(pair) => pair.try_sign(message)?,
        };
        Ok(signature.as_ref().to_vec())
    }
}

impl Sign for SoftwareKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[&[u8]]) -> Result<Vec<u8>, SignError> {
        Ok(SoftwareKey::sign(self, &message.concat())?)
    }
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}
