//! Passphrases and PINs, wiped when dropped.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::Error;
use crate::files::read_private;

/// A passphrase or PIN: 1 to 1,024 bytes of text.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// From text, as typed.
    ///
    /// # Errors
    /// [`Error::BadPassphrase`] when it is empty or longer than 1,024 bytes.
    pub fn new(text: impl Into<Zeroizing<String>>) -> Result<Passphrase, Error> {
        let text = text.into();
        match text.len() {
            0 => Err(Error::BadPassphrase("it is empty")),
            1..=LIMIT => Ok(Passphrase(text)),
            _ => Err(Error::BadPassphrase("it is longer than 1024 bytes")),
        }
    }

    /// From a file that only its owner may read; one line end at its end is left off.
    ///
    /// # Errors
    /// [`Error::ModeTooWide`] and the others of a private file; [`Error::BadPassphrase`].
    pub fn from_file(path: &Path) -> Result<Passphrase, Error> {
        let bytes = read_private(path, LIMIT + 2)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::BadPassphrase("its file is not UTF-8 text"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Passphrase::new(text.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

const LIMIT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::write_private_new;

    #[test]
    fn a_file_gives_its_first_line_and_debug_gives_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        write_private_new(&path, b"correct horse\r\n").unwrap();
        let passphrase = Passphrase::from_file(&path).unwrap();
        assert_eq!(passphrase.as_str(), "correct horse");
        assert_eq!(format!("{passphrase:?}"), "Passphrase");
    }

    #[test]
    fn an_empty_passphrase_is_refused() {
        assert!(matches!(Passphrase::new(String::new()), Err(Error::BadPassphrase(_))));
        assert!(matches!(Passphrase::new("x".repeat(1025)), Err(Error::BadPassphrase(_))));
        assert!(Passphrase::new("x".repeat(1024)).is_ok());
    }
}
