//! One key, or one secret, in one file, opened by a passphrase.
//!
//! The file is one deterministic CBOR array (CDDL):
//!
//! ```text
//! sealed-file = [
//!   "ringfort-sealed/1",
//!   kind: -9 / -19 / 5,           ; COSE algorithm: ESP256, Ed25519; 5 (HMAC 256) for a secret
//!   public: bstr,                 ; SubjectPublicKeyInfo DER; empty for a secret
//!   argon2id: [memory-kib: uint, passes: uint, lanes: uint],
//!   salt: bstr .size 16,
//!   sealed: bstr                  ; nonce (12), AES-256-GCM ciphertext, tag (16)
//! ]
//! ```
//! The encryption key is Argon2id (RFC 9106, version 0x13) of passphrase and salt; the additional
//! data are the array of the first five items, so nothing in the file can be changed. Sealed is the PKCS#8 of the key, or the 32 bytes of the secret.

use std::path::{Path, PathBuf};

use argon2::{Argon2, Block, Params, Version};
use aws_lc_rs::rand;
use ringfort_cose::cbor::{Deterministic, Writer};
use ringfort_cose::{Algorithm, PublicKey, Reason, Sign, SignError};
use zeroize::Zeroizing;

use crate::cipher::Cipher;
use crate::files::{read_private, replace_private, write_private_new};
use crate::software::SoftwareKey;
use crate::{Error, Passphrase, public_key_from_der, public_key_to_der};

/// A sealed signing key that was read but not opened: its public half is known.
#[derive(Debug)]
pub struct SealedKey {
    file: Sealed,
    algorithm: Algorithm,
    public: PublicKey,
}

impl SealedKey {
    /// Makes a key and writes it to a new file with mode 0600.
    ///
    /// # Errors
    /// [`Error::FileExists`]: nothing is overwritten.
    pub fn create(
        path: &Path,
        algorithm: Algorithm,
        passphrase: &Passphrase,
    ) -> Result<OpenedKey, Error> {
        let (key, pkcs8) = SoftwareKey::generate(algorithm)?;
        let public = public_key_to_der(&Sign::public_key(&key));
        let bytes = seal(key.algorithm().id(), &public, &pkcs8, passphrase)?;
        write_private_new(path, &bytes)?;
        Ok(OpenedKey(key))
    }

    /// Reads a file without opening it.
    ///
    /// # Errors
    /// [`Error::ModeTooWide`] and the others of a private file; [`Error::Malformed`] for a
    /// damaged or cut file.
    pub fn read(path: &Path) -> Result<SealedKey, Error> {
        let file = Sealed::read(path)?;
        let algorithm = match Algorithm::from_id(file.kind) {
            Ok(algorithm @ (Algorithm::Esp256 | Algorithm::Ed25519)) => algorithm,
            _ => return Err(Error::malformed(path, "it does not hold a signing key")),
        };
        let public = public_key_from_der(&file.public)?;
        if public.algorithm() != algorithm {
            return Err(Error::malformed(path, "its public key is of another algorithm"));
        }
        Ok(SealedKey { file, algorithm, public })
    }

    /// The algorithm of the key.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half, as the file states it; [`SealedKey::open`] proves it.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Opens the key.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`], also for a file whose bytes were changed;
    /// [`Error::Malformed`] when what was sealed is not the key that the file names.
    pub fn open(&self, passphrase: &Passphrase) -> Result<OpenedKey, Error> {
        let pkcs8 = self.file.open(passphrase)?;
        SoftwareKey::from_pkcs8(self.algorithm, &pkcs8)
            .filter(|key| Sign::public_key(key) == self.public)
            .map(OpenedKey)
            .ok_or_else(|| Error::malformed(&self.file.path, "it holds another key"))
    }

    /// Seals the key under another passphrase, in place of the file.
    ///
    /// # Errors
    /// Those of [`SealedKey::open`].
    pub fn change_passphrase(
        &self,
        passphrase: &Passphrase,
        new_passphrase: &Passphrase,
    ) -> Result<(), Error> {
        let pkcs8 = self.file.open(passphrase)?;
        let bytes = seal(self.file.kind, &self.file.public, &pkcs8, new_passphrase)?;
        replace_private(&self.file.path, &bytes)
    }
}

/// An opened key. It signs; it cannot be taken out.
#[derive(Clone)]
pub struct OpenedKey(SoftwareKey);

impl Sign for OpenedKey {
    fn public_key(&self) -> PublicKey {
        Sign::public_key(&self.0)
    }

    fn sign(&self, message: &[&[u8]]) -> Result<Vec<u8>, SignError> {
        Sign::sign(&self.0, message)
    }
}

impl std::fmt::Debug for OpenedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenedKey({:?})", self.public_key())
    }
}

/// 32 random bytes in the same file format: a key for HMAC, for instance.
#[derive(Debug)]
pub struct SealedSecret {
    file: Sealed,
}

impl SealedSecret {
    /// Makes a secret and writes it to a new file with mode 0600.
    ///
    /// # Errors
    /// [`Error::FileExists`]: nothing is overwritten.
    pub fn create(path: &Path, passphrase: &Passphrase) -> Result<Zeroizing<[u8; 32]>, Error> {
        let mut secret = Zeroizing::new([0; 32]);
        rand::fill(&mut secret[..])?;
        write_private_new(path, &seal(KIND_SECRET, &[], &secret[..], passphrase)?)?;
        Ok(secret)
    }

    /// Reads a file without opening it.
    ///
    /// # Errors
    /// [`Error::ModeTooWide`] and the others of a private file; [`Error::Malformed`].
    pub fn read(path: &Path) -> Result<SealedSecret, Error> {
        let file = Sealed::read(path)?;
        if file.kind != KIND_SECRET || !file.public.is_empty() {
            return Err(Error::malformed(path, "it does not hold a secret"));
        }
        Ok(SealedSecret { file })
    }

    /// Opens the secret.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`], also for a file whose bytes were changed.
    pub fn open(&self, passphrase: &Passphrase) -> Result<Zeroizing<[u8; 32]>, Error> {
        let plain = self.file.open(passphrase)?;
        <[u8; 32]>::try_from(&plain[..])
            .map(Zeroizing::new)
            .map_err(|_| Error::malformed(&self.file.path, "its secret is not 32 bytes"))
    }
}

#[derive(Debug)]
struct Sealed {
    path: PathBuf,
    kind: i64,
    public: Vec<u8>,
    argon2: [u32; 3],
    salt: [u8; 16],
    sealed: Vec<u8>,
}

impl Sealed {
    fn read(path: &Path) -> Result<Sealed, Error> {
        let bytes = read_private(path, MAX_FILE_BYTES)?;
        Sealed::parse(path, &bytes)
            .map_err(|_| Error::malformed(path, "not a sealed file of format 1"))
            .and_then(|file| match file.argon2 {
                [memory, passes, 1] if memory <= MAX_MEMORY_KIB && passes <= MAX_PASSES => Ok(file),
                _ => Err(Error::malformed(path, "its Argon2id cost is beyond the bounds")),
            })
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Sealed, Reason> {
        let mut reader = Deterministic::read(bytes)?;
        reader.array_of(6)?;
        if reader.text()? != MAGIC {
            return Err(Reason::WrongType);
        }
        let kind = reader.i64()?;
        let public = reader.bytes()?.to_vec();
        reader.array_of(3)?;
        let argon2 = [reader.u32()?, reader.u32()?, reader.u32()?];
        let salt = reader.bytes_of()?;
        let sealed = reader.bytes()?.to_vec();
        reader.end()?;
        Ok(Sealed { path: path.to_owned(), kind, public, argon2, salt, sealed })
    }

    fn open(&self, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, Error> {
        let aad = write(self.kind, &self.public, self.argon2, &self.salt, None)?;
        stretch(passphrase, self.argon2, &self.salt)?
            .open(&aad, &self.sealed)
            .ok_or_else(|| Error::WrongPassphrase { path: self.path.clone() })
    }
}

fn seal(kind: i64, public: &[u8], plain: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, Error> {
    let mut salt = [0; 16];
    rand::fill(&mut salt)?;
    let aad = write(kind, public, COST, &salt, None)?;
    let sealed = stretch(passphrase, COST, &salt)?.seal(&aad, plain)?;
    write(kind, public, COST, &salt, Some(&sealed))
}

/// The file; without `sealed`, the array of its first five items, which are the additional data.
fn write(
    kind: i64,
    public: &[u8],
    argon2: [u32; 3],
    salt: &[u8],
    sealed: Option<&[u8]>,
) -> Result<Vec<u8>, Error> {
    let write = || -> Result<Vec<u8>, Reason> {
        let mut items = Writer::to_vec();
        items.array(if sealed.is_some() { 6 } else { 5 })?;
        items.text(MAGIC)?.i64(kind)?.bytes(public)?.array(3)?;
        for value in argon2 {
            items.u64(value.into())?;
        }
        items.bytes(salt)?;
        if let Some(sealed) = sealed {
            items.bytes(sealed)?;
        }
        items.finish()
    };
    write().map_err(|_| Error::Crypto)
}

fn stretch(passphrase: &Passphrase, cost: [u32; 3], salt: &[u8]) -> Result<Cipher, Error> {
    let [memory, passes, lanes] = cost;
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(|_| Error::Crypto)?;
    let mut key = Zeroizing::new([0; 32]);
    // glibc may keep what it is given back up to 32 MiB, once per key that was opened; what is
    // larger it returns to the system. Capacity that is never touched costs no memory.
    let mut blocks = Vec::with_capacity(params.block_count().max(GIVEN_BACK_BLOCKS));
    blocks.resize(params.block_count(), Block::default());
    Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(
            passphrase.as_str().as_bytes(),
            salt,
            &mut key[..],
            &mut blocks,
        )
        .map_err(|_| Error::Crypto)?;
    Cipher::new(&key)
}

const MAGIC: &str = "ringfort-sealed/1";
/// COSE algorithm HMAC 256/256 (RFC 9053).
const KIND_SECRET: i64 = 5;
/// Argon2id: 19 MiB, two passes, one lane.
const COST: [u32; 3] = [19 * 1024, 2, 1];
/// Just above 32 MiB, in blocks of 1 KiB.
const GIVEN_BACK_BLOCKS: usize = 33 * 1024;
/// What a file may ask of the machine that opens it.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 8;
const MAX_FILE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use ringfort_cose::{AwsLc, Verify};

    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned()).unwrap()
    }

    fn dir_with_key() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("release-1.sealed");
        SealedKey::create(&path, Algorithm::Esp256, &passphrase("right")).unwrap();
        (dir, path)
    }

    #[test]
    fn a_key_signs_after_it_was_closed_and_opened() {
        let dir = tempfile::tempdir().unwrap();
        for (name, algorithm) in [("p", Algorithm::Esp256), ("e", Algorithm::Ed25519)] {
            let path = dir.path().join(name);
            let made = SealedKey::create(&path, algorithm, &passphrase("right")).unwrap();
            let read = SealedKey::read(&path).unwrap();
            assert_eq!(read.algorithm(), algorithm);
            assert_eq!(read.public_key(), made.public_key());
            let opened = read.open(&passphrase("right")).unwrap();
            let signature = opened.sign(&[b"mess", b"age"]).unwrap();
            AwsLc.verify(algorithm, &made.public_key(), &[b"message"], &signature).unwrap();
        }
    }

    #[test]
    fn a_wrong_passphrase_is_refused() {
        let (_dir, path) = dir_with_key();
        let key = SealedKey::read(&path).unwrap();
        let refused = key.open(&passphrase("wrong")).unwrap_err();
        assert!(matches!(refused, Error::WrongPassphrase { .. }), "{refused}");
        assert!(key.open(&passphrase("right")).is_ok());
    }

    #[test]
    fn a_file_cut_at_any_length_is_refused() {
        let (_dir, path) = dir_with_key();
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let refused = SealedKey::read(&path).unwrap_err();
            assert!(matches!(refused, Error::Malformed { .. }), "{len}: {refused}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(SealedKey::read(&path).is_ok());
    }

    #[test]
    fn a_changed_byte_is_refused_wherever_it_stands() {
        let (_dir, path) = dir_with_key();
        let whole = fs::read(&path).unwrap();
        // Every eleventh byte: each costs one Argon2id.
        for index in (0..whole.len()).step_by(11) {
            let mut changed = whole.clone();
            changed[index] ^= 0x01;
            fs::write(&path, &changed).unwrap();
            let refused = SealedKey::read(&path).and_then(|key| key.open(&passphrase("right")));
            assert!(refused.is_err(), "byte {index}");
        }
    }

    #[test]
    fn a_file_that_asks_for_too_much_memory_is_refused_before_it_gets_any() {
        let (_dir, path) = dir_with_key();
        let file = Sealed::read(&path).unwrap();
        for cost in [[MAX_MEMORY_KIB + 1, 2, 1], [19456, MAX_PASSES + 1, 1], [19456, 2, 2]] {
            let bytes =
                write(file.kind, &file.public, cost, &file.salt, Some(&file.sealed)).unwrap();
            fs::write(&path, bytes).unwrap();
            assert!(matches!(SealedKey::read(&path), Err(Error::Malformed { .. })));
        }
    }

    #[test]
    fn a_widened_file_is_refused() {
        let (_dir, path) = dir_with_key();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(SealedKey::read(&path), Err(Error::ModeTooWide { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(SealedKey::read(&path).is_ok());
    }

    #[test]
    fn a_key_is_not_overwritten() {
        let (_dir, path) = dir_with_key();
        let before = fs::read(&path).unwrap();
        let refused = SealedKey::create(&path, Algorithm::Esp256, &passphrase("right"));
        assert!(matches!(refused, Err(Error::FileExists { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_changed_passphrase_opens_and_the_old_one_does_not() {
        let (_dir, path) = dir_with_key();
        let key = SealedKey::read(&path).unwrap();
        key.change_passphrase(&passphrase("right"), &passphrase("new")).unwrap();
        let changed = SealedKey::read(&path).unwrap();
        assert_eq!(changed.public_key(), key.public_key());
        assert!(changed.open(&passphrase("new")).is_ok());
        assert!(matches!(changed.open(&passphrase("right")), Err(Error::WrongPassphrase { .. })));
    }

    #[test]
    fn a_secret_comes_back_and_is_not_taken_for_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link.sealed");
        let made = SealedSecret::create(&path, &passphrase("right")).unwrap();
        let opened = SealedSecret::read(&path).unwrap().open(&passphrase("right")).unwrap();
        assert_eq!(made, opened);
        assert!(matches!(SealedKey::read(&path), Err(Error::Malformed { .. })));
        let (_other, key) = dir_with_key();
        assert!(matches!(SealedSecret::read(&key), Err(Error::Malformed { .. })));
    }
}
