//! The sealed-file key store: one directory, no hardware.
//!
//! ```text
//! DIR/            0700
//!   secret        32 random bytes, unless the secret comes from elsewhere
//!   LABEL.key     ["ringfort-key/1", algorithm, public bytes, sealed PKCS#8]
//!   LABEL.pem     certificate chain
//!   NAME.counter  ["ringfort-counter/1", value, tag over both]
//! ```
//! All files have mode 0600 and are replaced by a rename. What is sealed is sealed under keys
//! derived from the secret, bound to its label. Where the secret lies in the same directory, the
//! seal keeps one leaked file from being a leaked key, and no more: who copies the directory has
//! the keys. The secret may come from a credential of the service manager instead.
//!
//! Counters are honest about what they are: whoever restores an older copy of the directory
//! restores the counter ([`CounterKind::SoftwareFile`]).

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand;
use ringfort_cose::cbor::{Deterministic, Writer};
use ringfort_cose::{Algorithm, PublicKey, Reason, Sign};
use zeroize::Zeroizing;

use crate::chain;
use crate::cipher::Cipher;
use crate::files::{
    create_private_dir, read_private, read_private_if_there, remove, replace_private,
    write_private_new,
};
use crate::software::SoftwareKey;
use crate::store::{check_chain, check_secret};
use crate::{CounterKind, Error, KeyStore, Label, Protection};

/// A key store in one directory.
pub struct SealedFile {
    dir: PathBuf,
    keys: Cipher,
    secrets: Cipher,
    counters: Cipher,
    opened: Mutex<HashMap<Label, SoftwareKey>>,
    counting: Mutex<()>,
}

/// Where the secret of a [`SealedFile`] comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSecret {
    /// The file `secret` in the store's directory, made when the store is.
    InDirectory,
    /// A file elsewhere with exactly 32 bytes, such as a credential of the service manager. It is
    /// never made here.
    File(PathBuf),
}

impl SealedFile {
    /// Opens the store in a directory, or makes it there.
    ///
    /// # Errors
    /// [`Error::ModeTooWide`] for a directory wider than 0700 or a secret wider than 0600;
    /// [`Error::Malformed`] for a secret that is not 32 bytes.
    pub fn open(dir: &Path, secret: &StoreSecret) -> Result<SealedFile, Error> {
        create_private_dir(dir)?;
        let path = match secret {
            StoreSecret::InDirectory => dir.join("secret"),
            StoreSecret::File(path) => path.clone(),
        };
        if *secret == StoreSecret::InDirectory && !path.exists() {
            if has_keys(dir)? {
                return Err(Error::malformed(&path, "it is missing, and there are sealed keys"));
            }
            let mut fresh = Zeroizing::new([0; 32]);
            rand::fill(&mut fresh[..])?;
            write_private_new(&path, &fresh[..])?;
        }
        let bytes = read_private(&path, 32)?;
        let secret = <[u8; 32]>::try_from(&bytes[..])
            .map(Zeroizing::new)
            .map_err(|_| Error::malformed(&path, "the secret is not 32 bytes"))?;
        Ok(SealedFile {
            dir: dir.to_owned(),
            keys: Cipher::derive(&secret, "key")?,
            secrets: Cipher::derive(&secret, "secret")?,
            counters: Cipher::derive(&secret, "counter")?,
            opened: Mutex::default(),
            counting: Mutex::default(),
        })
    }

    fn key(&self, label: &Label) -> Result<SoftwareKey, Error> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = opened.get(label) {
            return Ok(key.clone());
        }
        let path = self.path(label, "key");
        let bytes = read_private_if_there(&path, MAX_KEY_FILE)?
            .ok_or_else(|| Error::NoSuchKey(label.to_string()))?;
        let (algorithm, public, sealed) =
            parse_key(&bytes).map_err(|_| Error::malformed(&path, "not a key of format 1"))?;
        let not_opened = || Error::NotOpened { what: path.display().to_string() };
        let aad = key_aad(label, algorithm, public)?;
        let pkcs8 = self.keys.open(&aad, sealed).ok_or_else(not_opened)?;
        let key = SoftwareKey::from_pkcs8(algorithm, &pkcs8).ok_or_else(not_opened)?;
        opened.insert(label.clone(), key.clone());
        Ok(key)
    }

    fn path(&self, label: &Label, extension: &str) -> PathBuf {
        self.dir.join(format!("{label}.{extension}"))
    }

    fn read_counter(&self, name: &Label) -> Result<u64, Error> {
        let path = self.path(name, "counter");
        let Some(bytes) = read_private_if_there(&path, MAX_COUNTER_FILE)? else {
            return Ok(0);
        };
        let (value, tag) = parse_counter(&bytes)
            .map_err(|_| Error::malformed(&path, "not a counter of format 1"))?;
        self.counters
            .open(&counter_aad(name, value)?, tag)
            .ok_or_else(|| Error::NotOpened { what: path.display().to_string() })?;
        Ok(value)
    }
}

impl KeyStore for SealedFile {
    fn protection(&self) -> Protection {
        Protection::SoftwareFile
    }

    fn counter_kind(&self) -> CounterKind {
        CounterKind::SoftwareFile
    }

    fn generate(&self, label: &Label, algorithm: Algorithm) -> Result<PublicKey, Error> {
        let (key, pkcs8) = SoftwareKey::generate(algorithm)?;
        let public = Sign::public_key(&key);
        let algorithm = public.algorithm();
        let sealed = self.keys.seal(&key_aad(label, algorithm, public.as_bytes())?, &pkcs8)?;
        let bytes = encode(|out| {
            out.array(4)?.text(KEY_MAGIC)?.i64(algorithm.id())?;
            out.bytes(public.as_bytes())?.bytes(&sealed)?;
            Ok(())
        })?;
        match write_private_new(&self.path(label, "key"), &bytes) {
            Err(Error::FileExists { .. }) => Err(Error::KeyExists(label.clone())),
            other => other.map(|()| public),
        }
    }

    fn public_key(&self, label: &Label) -> Result<PublicKey, Error> {
        Ok(Sign::public_key(&self.key(label)?))
    }

    fn sign(&self, label: &Label, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.key(label)?.sign(message)
    }

    fn remove(&self, label: &Label) -> Result<(), Error> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.remove(label);
        remove(&self.path(label, "key"))?;
        remove(&self.path(label, "pem"))
    }

    fn put_certificates(&self, label: &Label, chain: &[Vec<u8>]) -> Result<(), Error> {
        check_chain(chain)?;
        self.key(label)?;
        chain::write(&self.path(label, "pem"), chain)
    }

    fn certificates(&self, label: &Label) -> Result<Vec<Vec<u8>>, Error> {
        self.key(label)?;
        chain::read(&self.path(label, "pem"))
    }

    fn seal(&self, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error> {
        check_secret(secret)?;
        self.secrets.seal(context, secret)
    }

    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.secrets
            .open(context, sealed)
            .ok_or_else(|| Error::NotOpened { what: "the sealed secret".into() })
    }

    fn counter(&self, name: &Label) -> Result<u64, Error> {
        self.read_counter(name)
    }

    fn advance_counter(&self, name: &Label) -> Result<u64, Error> {
        let _counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        let value = self.read_counter(name)?.checked_add(1).ok_or(Error::Crypto)?;
        let tag = self.counters.seal(&counter_aad(name, value)?, &[])?;
        let bytes = encode(|out| {
            out.array(3)?.text(COUNTER_MAGIC)?.u64(value)?.bytes(&tag)?;
            Ok(())
        })?;
        replace_private(&self.path(name, "counter"), &bytes)?;
        Ok(value)
    }
}

fn has_keys(dir: &Path) -> Result<bool, Error> {
    let entries = fs::read_dir(dir).map_err(|error| Error::io(dir, error))?;
    Ok(entries.flatten().any(|entry| entry.path().extension().is_some_and(|ext| ext == "key")))
}

fn parse_key(bytes: &[u8]) -> Result<(Algorithm, &[u8], &[u8]), Reason> {
    let mut reader = Deterministic::read(bytes)?;
    reader.array_of(4)?;
    if reader.text()? != KEY_MAGIC {
        return Err(Reason::WrongType);
    }
    let parts = (Algorithm::from_id(reader.i64()?)?, reader.bytes()?, reader.bytes()?);
    reader.end()?;
    Ok(parts)
}

fn parse_counter(bytes: &[u8]) -> Result<(u64, &[u8]), Reason> {
    let mut reader = Deterministic::read(bytes)?;
    reader.array_of(3)?;
    if reader.text()? != COUNTER_MAGIC {
        return Err(Reason::WrongType);
    }
    let parts = (reader.u64()?, reader.bytes()?);
    reader.end()?;
    Ok(parts)
}

fn key_aad(label: &Label, algorithm: Algorithm, public: &[u8]) -> Result<Vec<u8>, Error> {
    encode(|out| {
        out.array(4)?.text(KEY_MAGIC)?.text(label.as_str())?;
        out.i64(algorithm.id())?.bytes(public)?;
        Ok(())
    })
}

fn counter_aad(name: &Label, value: u64) -> Result<Vec<u8>, Error> {
    encode(|out| {
        out.array(3)?.text(COUNTER_MAGIC)?.text(name.as_str())?.u64(value)?;
        Ok(())
    })
}

fn encode(
    write: impl FnOnce(&mut Writer<Vec<u8>>) -> Result<(), Reason>,
) -> Result<Vec<u8>, Error> {
    let mut out = Writer::to_vec();
    write(&mut out).and_then(|()| out.finish()).map_err(|_| Error::Crypto)
}

const KEY_MAGIC: &str = "ringfort-key/1";
const COUNTER_MAGIC: &str = "ringfort-counter/1";
const MAX_KEY_FILE: usize = 1024;
const MAX_COUNTER_FILE: usize = 256;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn store() -> (tempfile::TempDir, PathBuf, SealedFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keystore");
        let store = SealedFile::open(&path, &StoreSecret::InDirectory).unwrap();
        (dir, path, store)
    }

    fn label(text: &str) -> Label {
        Label::new(text).unwrap()
    }

    #[test]
    fn a_widened_directory_key_or_secret_is_refused() {
        let (_dir, path, store) = store();
        store.generate(&label("a"), Algorithm::Esp256).unwrap();
        let reopen = || SealedFile::open(&path, &StoreSecret::InDirectory);
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        chmod(&path, 0o755);
        assert!(matches!(reopen().map(|_| ()), Err(Error::ModeTooWide { mode: 0o755, .. })));
        chmod(&path, 0o700);
        chmod(&path.join("secret"), 0o644);
        assert!(matches!(reopen().map(|_| ()), Err(Error::ModeTooWide { .. })));
        chmod(&path.join("secret"), 0o600);
        chmod(&path.join("a.key"), 0o640);
        let store = reopen().unwrap();
        assert!(matches!(store.sign(&label("a"), b"m"), Err(Error::ModeTooWide { .. })));
        chmod(&path.join("a.key"), 0o600);
        assert!(store.sign(&label("a"), b"m").is_ok());
    }

    #[test]
    fn a_key_file_under_another_name_or_in_another_store_does_not_open() {
        let (_dir, path, store) = store();
        store.generate(&label("a"), Algorithm::Esp256).unwrap();
        fs::copy(path.join("a.key"), path.join("b.key")).unwrap();
        assert!(matches!(store.sign(&label("b"), b"m"), Err(Error::NotOpened { .. })));
        let (_dir, other_path, other) = self::store();
        fs::copy(path.join("a.key"), other_path.join("a.key")).unwrap();
        assert!(matches!(other.sign(&label("a"), b"m"), Err(Error::NotOpened { .. })));
        assert!(store.sign(&label("a"), b"m").is_ok());
    }

    #[test]
    fn a_counter_edited_by_hand_does_not_open_and_a_restored_copy_does() {
        let (_dir, path, store) = store();
        let file = path.join("floor.counter");
        assert_eq!(store.advance_counter(&label("floor")).unwrap(), 1);
        let old = fs::read(&file).unwrap();
        assert_eq!(store.advance_counter(&label("floor")).unwrap(), 2);
        let mut edited = fs::read(&file).unwrap();
        let at = 2 + COUNTER_MAGIC.len();
        assert_eq!(edited[at], 2);
        edited[at] = 1;
        fs::write(&file, &edited).unwrap();
        assert!(matches!(store.counter(&label("floor")), Err(Error::NotOpened { .. })));
        // This is the weakness that `CounterKind::SoftwareFile` admits.
        fs::write(&file, &old).unwrap();
        assert_eq!(store.counter(&label("floor")).unwrap(), 1);
        assert_eq!(store.counter_kind(), CounterKind::SoftwareFile);
    }

    #[test]
    fn a_lost_secret_is_an_error_and_not_a_new_store() {
        let (_dir, path, store) = store();
        store.generate(&label("a"), Algorithm::Esp256).unwrap();
        fs::remove_file(path.join("secret")).unwrap();
        let refused = SealedFile::open(&path, &StoreSecret::InDirectory).map(|_| ());
        assert!(matches!(refused, Err(Error::Malformed { .. })));
    }

    #[test]
    fn a_secret_from_elsewhere_opens_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let credential = dir.path().join("credential");
        write_private_new(&credential, &[9; 32]).unwrap();
        let path = dir.path().join("keystore");
        let from_file = StoreSecret::File(credential.clone());
        let store = SealedFile::open(&path, &from_file).unwrap();
        store.generate(&label("a"), Algorithm::Esp256).unwrap();
        assert!(!path.join("secret").exists());
        let store = SealedFile::open(&path, &from_file).unwrap();
        assert!(store.sign(&label("a"), b"m").is_ok());
        replace_private(&credential, &[8; 32]).unwrap();
        let store = SealedFile::open(&path, &from_file).unwrap();
        assert!(matches!(store.sign(&label("a"), b"m"), Err(Error::NotOpened { .. })));
    }
}
