//! AES-256-GCM with a random nonce in front, and keys derived by purpose.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, rand};
use zeroize::Zeroizing;

use crate::Error;

/// A 256-bit key for AES-256-GCM.
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Cipher, Error> {
        Ok(Cipher(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?)))
    }

    /// A key for one purpose, derived from a secret by HKDF-SHA-256 (RFC 5869).
    pub(crate) fn derive(secret: &[u8; 32], purpose: &str) -> Result<Cipher, Error> {
        let mut key = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"ringfort-keystore/1")
            .extract(secret)
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)?
            .fill(&mut key[..])?;
        Cipher::new(&key)
    }

    /// Nonce (12 bytes), ciphertext and tag (16 bytes) in one.
    pub(crate) fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce)?;
        let mut body = Zeroizing::new(plain.to_vec());
        let tag = self.0.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut body,
        )?;
        Ok([&nonce[..], &body, tag.as_ref()].concat())
    }

    /// Opens what [`Cipher::seal`] made; nothing when it does not open.
    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = self.0.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len();
        body.truncate(len);
        Some(body)
    }
}

const NONCE_LEN: usize = 12;
