//! The trait that every key store of a device fulfils.

use std::fmt;
use std::sync::Arc;

use ringfort_cose::{Algorithm, PublicKey, Sign, SignError};
use zeroize::Zeroizing;

use crate::Error;

/// Where a device's private keys are made and stay.
///
/// Every call may block for as long as the hardware needs (a TPM signs in about 70 ms). All state
/// is durable when a call returns. There is no call that exports a key.
pub trait KeyStore: Send + Sync {
    /// What protects the keys.
    fn protection(&self) -> Protection;

    /// What keeps [`KeyStore::counter`] from going back.
    fn counter_kind(&self) -> CounterKind;

    /// Makes a key. The private half never leaves the store.
    ///
    /// # Errors
    /// [`Error::KeyExists`]: a key is never replaced. [`Error::AlgorithmUnsupported`]; ESP256 is
    /// supported by every store.
    fn generate(&self, label: &Label, algorithm: Algorithm) -> Result<PublicKey, Error>;

    /// The public half of a key.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`].
    fn public_key(&self, label: &Label) -> Result<PublicKey, Error>;

    /// Signs inside the store: r || s (64 bytes) for P-256, 64 bytes for Ed25519.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`].
    fn sign(&self, label: &Label, message: &[u8]) -> Result<Vec<u8>, Error>;

    /// Destroys a key and its certificates. One that is not there is as good as destroyed.
    ///
    /// # Errors
    /// Those of the store's medium.
    fn remove(&self, label: &Label) -> Result<(), Error>;

    /// Stores the certificate chain of a key, DER, the key's own certificate first, in place of
    /// the one before. At most 8 certificates and 32 KiB.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::TooLarge`].
    fn put_certificates(&self, label: &Label, chain: &[Vec<u8>]) -> Result<(), Error>;

    /// The stored chain; empty when there is none.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`].
    fn certificates(&self, label: &Label) -> Result<Vec<Vec<u8>>, Error>;

    /// Seals at most 4 KiB so that only this store opens it again, and only with this context.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    fn seal(&self, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error>;

    /// Opens what [`KeyStore::seal`] made.
    ///
    /// # Errors
    /// [`Error::NotOpened`] for another store, another context, or altered bytes.
    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error>;

    /// A counter's value. Where it begins is the store's choice: a TPM begins above every counter
    /// it ever had.
    ///
    /// # Errors
    /// Those of the store's medium.
    fn counter(&self, name: &Label) -> Result<u64, Error>;

    /// Adds one to a counter, durably, and returns the new value.
    ///
    /// # Errors
    /// Those of the store's medium.
    fn advance_counter(&self, name: &Label) -> Result<u64, Error>;
}

/// What protects the private keys of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protection {
    /// Software and file permissions. Who copies the disk has the keys.
    SoftwareFile,
    /// A PKCS#11 token. Whether it is hardware is for its maker to say; a software token (SoftHSM)
    /// is no better than a file.
    Pkcs11Token,
    /// A TPM 2.0.
    Tpm,
}

impl Protection {
    /// The name in text: `software-file`, `pkcs11-token`, `tpm`.
    pub fn name(self) -> &'static str {
        match self {
            Protection::SoftwareFile => "software-file",
            Protection::Pkcs11Token => "pkcs11-token",
            Protection::Tpm => "tpm",
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What keeps a counter from going back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CounterKind {
    /// Nothing but the file system: restoring an older copy of the disk restores the counter.
    SoftwareFile,
    /// An object in a token: restoring the disk does not restore it, but who has the PIN can.
    TokenObject,
    /// A counter in hardware that has no way back.
    Hardware,
}

/// The name of a key or counter: 1 to 48 characters of a-z, 0-9 and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(String);

impl Label {
    /// From text.
    ///
    /// # Errors
    /// [`Error::BadLabel`].
    pub fn new(text: &str) -> Result<Label, Error> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if (1..=48).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Label(text.to_owned()));
        }
        Err(Error::BadLabel(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One key of a store, as a [`Sign`].
#[derive(Clone)]
pub struct StoreKey {
    store: Arc<dyn KeyStore>,
    label: Label,
    public: PublicKey,
}

impl StoreKey {
    /// The key with this label.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`].
    pub fn new(store: Arc<dyn KeyStore>, label: Label) -> Result<StoreKey, Error> {
        let public = store.public_key(&label)?;
        Ok(StoreKey { store, label, public })
    }

    /// Its label.
    pub fn label(&self) -> &Label {
        &self.label
    }
}

impl Sign for StoreKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[&[u8]]) -> Result<Vec<u8>, SignError> {
        Ok(self.store.sign(&self.label, &message.concat())?)
    }
}

/// Checks a chain against the bounds of [`KeyStore::put_certificates`].
pub(crate) fn check_chain(chain: &[Vec<u8>]) -> Result<(), Error> {
    let size: usize = chain.iter().map(Vec::len).sum();
    if chain.len() > MAX_CERTIFICATES || size > MAX_CHAIN_BYTES {
        return Err(Error::TooLarge { what: "the certificate chain", limit: MAX_CHAIN_BYTES });
    }
    Ok(())
}

/// Checks a secret against the bound of [`KeyStore::seal`].
pub(crate) fn check_secret(secret: &[u8]) -> Result<(), Error> {
    if secret.len() > MAX_SECRET_BYTES {
        return Err(Error::TooLarge { what: "the secret", limit: MAX_SECRET_BYTES });
    }
    Ok(())
}

const MAX_CERTIFICATES: usize = 8;
pub(crate) const MAX_CHAIN_BYTES: usize = 32 * 1024;
const MAX_SECRET_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_could_be_paths_are_refused() {
        for bad in ["", "..", "a/b", "A", "a b", "a.b", &"x".repeat(49)] {
            assert!(matches!(Label::new(bad), Err(Error::BadLabel(_))), "{bad:?}");
        }
        for good in ["a", "idevid", "ldevid-12", &"x".repeat(48)] {
            assert_eq!(Label::new(good).unwrap().as_str(), good);
        }
    }
}
