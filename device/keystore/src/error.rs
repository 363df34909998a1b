//! What can go wrong with a key store.

use std::path::{Path, PathBuf};

use ringfort_cose::SignError;

use crate::Label;

/// Why a key store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A file or directory with secrets can be reached by others.
    #[error(
        "{path} has mode {mode:04o}, wider than {allowed:04o}: others may have read it. Replace what it holds, or run chmod {allowed:04o} if you are sure",
        path = .path.display()
    )]
    ModeTooWide {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The widest bits that are accepted.
        allowed: u32,
    },
    /// A file with secrets belongs to another user.
    #[error("{path} belongs to user {owner}, not to the user who runs this", path = .path.display())]
    WrongOwner {
        /// The file or directory.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
    },
    /// The path is not a regular file, or not a directory.
    #[error("{path} is not {expected}", path = .path.display())]
    WrongKind {
        /// The path.
        path: PathBuf,
        /// What was expected there.
        expected: &'static str,
    },
    /// Something with this name exists already; nothing is overwritten.
    #[error("{path} exists already; nothing was overwritten", path = .path.display())]
    FileExists {
        /// The path.
        path: PathBuf,
    },
    /// The bytes are not, or no longer wholly, what the format asks for.
    #[error("{what} is damaged or cut short: {detail}")]
    Malformed {
        /// Which file or object.
        what: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The passphrase does not open the file.
    #[error("wrong passphrase for {path}", path = .path.display())]
    WrongPassphrase {
        /// The sealed file.
        path: PathBuf,
    },
    /// The passphrase is empty or not text.
    #[error("the passphrase is unusable: {0}")]
    BadPassphrase(&'static str),
    /// What was sealed does not open: another store, another context, or altered bytes.
    #[error(
        "{what} does not open: it was sealed by another store or for another purpose, or altered"
    )]
    NotOpened {
        /// What was to be opened.
        what: String,
    },
    /// A label that is not 1 to 48 characters of a-z, 0-9 and `-`.
    #[error("{0:?} is not a label: 1 to 48 characters of a-z, 0-9 and -")]
    BadLabel(String),
    /// There is a key with this label already; keys are never replaced.
    #[error("the key store has a key named {0} already")]
    KeyExists(Label),
    /// There is no key with this label.
    #[error("the key store has no key named {0}")]
    NoSuchKey(String),
    /// The store does not make or use keys of this algorithm.
    #[error("the key store does not do {0}")]
    AlgorithmUnsupported(String),
    /// The key could be exported from its store.
    #[error("the key {0} can be exported from its token; make a new one that cannot")]
    KeyExtractable(String),
    /// More bytes than the store takes.
    #[error("{what} is longer than {limit} bytes")]
    TooLarge {
        /// What is too long.
        what: &'static str,
        /// The bound in bytes.
        limit: usize,
    },
    /// A `pkcs11:` URI that cannot be used.
    #[error("the PKCS#11 URI cannot be used: {0}")]
    BadUri(String),
    /// No token, or more than one, fits the description.
    #[error("{found} tokens fit {wanted}; exactly one must")]
    TokenNotFound {
        /// The description.
        wanted: String,
        /// How many were found.
        found: usize,
    },
    /// The token refused the PIN.
    #[error("the token refused the PIN; a token locks itself after a few wrong ones")]
    WrongPin,
    /// The PKCS#11 module failed.
    #[error("PKCS#11 module: {0}")]
    Module(String),
    /// The random number generator or the cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Error {
        Error::Io { path: path.to_owned(), source }
    }

    pub(crate) fn malformed(path: &Path, detail: &'static str) -> Error {
        Error::Malformed { what: path.display().to_string(), detail }
    }
}

impl From<aws_lc_rs::error::Unspecified> for Error {
    fn from(_: aws_lc_rs::error::Unspecified) -> Error {
        Error::Crypto
    }
}

impl From<Error> for SignError {
    fn from(error: Error) -> SignError {
        SignError::Store(error.to_string())
    }
}
