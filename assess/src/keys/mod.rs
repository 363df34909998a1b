//! One index of every key, credential and verifier, and the questions it answers.
//!
//! The index knows owners, kinds, fingerprints and locations, and nothing of how they
//! were found: a fleet registry can fill it as well as a scanner.

pub mod crypt;
mod curve;
pub mod debian;
pub mod der;
pub mod extract;
mod joins;
pub mod known;
mod literal;
pub mod math;
mod others;
pub mod sealed;
pub mod ssh;

use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use joins::Join;

use crate::model::{Location, Owner, OwnerKind};

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A private key in the clear.
    PrivateKey,
    /// A private key under a passphrase.
    EncryptedKey,
    /// A store of keys (PKCS#12, JKS).
    KeyStore,
    /// A public key.
    PublicKey,
    /// A certificate.
    Certificate,
    /// A password verifier: crypt, htpasswd and the like.
    PasswordHash,
    /// A password.
    Password,
    /// An API token.
    Token,
    /// A symmetric key.
    Symmetric,
}

/// SHA-256 of the SubjectPublicKeyInfo for keys and certificates; a keyed hash for secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The first 16 bytes in hexadecimal.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..16])
    }
}

/// A secret key under which fingerprints of secrets are made.
///
/// Low-entropy secrets can be guessed from an unkeyed hash, so a report that leaves the
/// house should be made under a key of its own.
#[derive(Clone)]
pub struct FingerprintKey([u8; 32]);

impl Default for FingerprintKey {
    fn default() -> Self {
        Self::new(b"ringfort assess 1")
    }
}

impl FingerprintKey {
    /// A key from any bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// HMAC-SHA-256 (RFC 2104) of a secret, separated by `domain`.
    #[must_use]
    pub fn of(&self, domain: &str, secret: &[u8]) -> Fingerprint {
        let pad = |byte: u8| {
            let mut block = [byte; 64];
            for (slot, key) in block.iter_mut().zip(self.0) {
                *slot ^= key;
            }
            block
        };
        let inner = Sha256::new()
            .chain_update(pad(0x36))
            .chain_update((domain.len() as u32).to_be_bytes())
            .chain_update(domain)
            .chain_update(secret)
            .finalize();
        Fingerprint(Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into())
    }
}

/// What is known about a record besides its fingerprint; never the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// In words: `RSA-2048`, `SHA-512-crypt`, `AWS access key AKIA…`.
    pub label: String,
    /// The public key, for keys and certificates.
    pub key: Option<Arc<der::Key>>,
    /// The certificate.
    pub certificate: Option<Arc<der::Certificate>>,
    /// Unix mode of the file, where known.
    pub mode: Option<u32>,
    /// Fingerprint of the secret's pattern (digits replaced), for weak families.
    pub shape: Option<Fingerprint>,
    /// Found inside a program or library, not in a file of its own.
    pub in_program: bool,
    /// The well-known password behind a hash.
    pub default_password: Option<&'static str>,
    /// The well-known password that opened it, or what it was in.
    pub opened_with: Option<&'static str>,
}

/// One sighting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Owner, from [`Index::owner`].
    pub owner: u32,
    /// What it is.
    pub kind: Kind,
    /// Which one it is.
    pub fingerprint: Fingerprint,
    /// Where it is.
    pub location: Location,
    /// More about it.
    pub about: About,
}

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    owners: Vec<Owner>,
    records: Vec<Record>,
}

impl Index {
    /// Adds an owner and returns its number.
    pub fn owner(&mut self, name: &str, kind: OwnerKind) -> u32 {
        self.owners.push(Owner { name: name.to_owned(), kind });
        (self.owners.len() - 1) as u32
    }

    /// Adds a sighting.
    pub fn insert(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Every sighting.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Every owner.
    #[must_use]
    pub fn owners(&self) -> &[Owner] {
        &self.owners
    }

    /// Asks every question; `today` is `YYYYMMDD`.
    #[must_use]
    pub fn joins(&self, today: &str) -> Vec<Join> {
        joins::run(self, today)
    }

    /// How many sightings of each kind, and how many different ones.
    #[must_use]
    pub fn counts(&self) -> Vec<(Kind, usize, usize)> {
        let mut keys: Vec<(Kind, Fingerprint)> =
            self.records.iter().map(|r| (r.kind, r.fingerprint)).collect();
        keys.sort_unstable();
        let mut out: Vec<(Kind, usize, usize)> = Vec::new();
        let mut last = None;
        for key in keys {
            let fresh = last != Some(key);
            last = Some(key);
            match out.last_mut().filter(|o| o.0 == key.0) {
                Some(slot) => {
                    slot.1 += 1;
                    slot.2 += usize::from(fresh);
                }
                None => out.push((key.0, 1, 1)),
            }
        }
        out
    }
}
