//! Keys as people name them: a sealed file or a PKCS#11 URI for the private half, a PEM file for
//! the public half.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfort_cose::{Algorithm, AwsLc, PublicKey, Reason, Sign, Thumbprint};
use ringfort_keystore::{Error, Passphrase, SealedKey, public_key_from_pem, public_key_to_pem};

use crate::failure::{Failure, Outcome};
use crate::{files, passphrase};

/// Opens a private key for signing: the path of a sealed key file, or a `pkcs11:` URI (RFC 7512).
/// Its passphrase comes from the PIN file, from `NAME.pin` beside `NAME.sealed`, or from a prompt.
pub fn open(location: &str, pin_file: Option<&Path>) -> Outcome<Arc<dyn Sign>> {
    let mut refused = None;
    let beside = Path::new(location).with_extension("pin");
    let beside = Some(&*beside).filter(|pin| location.ends_with(".sealed") && pin.is_file());
    let opened = ringfort_keystore::open_signer(location, |_| {
        passphrase::existing(pin_file.or(beside), location).map_err(|failure| {
            refused = Some(failure);
            Error::BadPassphrase("none was given")
        })
    });
    opened.map_err(|error| refused.unwrap_or_else(|| key_failure(error)))
}

/// Makes a sealed key `NAME.sealed` and its public half `NAME.pub`.
pub fn make(stem: &Path, algorithm: Algorithm, passphrase: &Passphrase) -> Outcome<Made> {
    must_be_free(stem)?;
    let (sealed, public) = names(stem);
    let key = SealedKey::create(&sealed, algorithm, passphrase).map_err(key_failure)?;
    files::write_new(&public, public_key_to_pem(&key.public_key()).as_bytes(), files::PUBLIC)?;
    Ok(Made { sealed, public, key: Arc::new(key) })
}

/// Refuses the name of a key that exists.
pub fn must_be_free(stem: &Path) -> Outcome<()> {
    let (sealed, public) = names(stem);
    files::must_be_absent(&sealed).and_then(|()| files::must_be_absent(&public))
}

/// A new key and its two files.
pub struct Made {
    /// The private half, sealed.
    pub sealed: PathBuf,
    /// The public half.
    pub public: PathBuf,
    /// The key, opened.
    pub key: Arc<dyn Sign>,
}

/// The RFC 9679 thumbprint of a key: the name that signatures carry.
pub fn thumbprint(key: &PublicKey) -> Thumbprint {
    key.thumbprint(&AwsLc)
}

/// The first 16 digits of a thumbprint: enough for people to tell keys apart.
pub fn short(thumbprint: &Thumbprint) -> String {
    thumbprint.to_string()[..16].to_owned()
}

/// Reads a public key: PEM, SubjectPublicKeyInfo (RFC 5480, RFC 8410), P-256 or Ed25519.
pub fn read_public(path: &Path) -> Outcome<PublicKey> {
    public_key_from_pem(&files::read_text(path, MAX_PEM)?).map_err(|error| {
        Failure::refused(
            Reason::Malformed,
            format!("{} is not a public key that can be used", path.display()),
        )
        .why(format!("It has to be PEM with one P-256 or Ed25519 key; {error}."))
        .next("Name the .pub file of the key: it begins with BEGIN PUBLIC KEY.")
    })
}

/// What a key store refused, as a person reads it.
pub fn key_failure(error: Error) -> Failure {
    let what = match &error {
        Error::FileExists { .. } | Error::KeyExists(_) => {
            return Failure::refused(Reason::AlreadyExists, error.to_string())
                .why("Keys are never overwritten.")
                .next("Choose another name, or move the old file away yourself.");
        }
        Error::Io { path, source } => {
            return Failure::failed(
                format!("cannot use {}", path.display()),
                files::sentence(source),
                "Check the name and who may read it.",
            );
        }
        error => error.to_string(),
    };
    let (why, next) = match &error {
        Error::WrongPassphrase { .. } => (
            "It does not open the file, or the file was changed.",
            "Try again; a forgotten passphrase cannot be recovered.",
        ),
        Error::WrongPin => ("The token did not accept it.", "Check the PIN before you try again."),
        Error::ModeTooWide { .. } | Error::WrongOwner { .. } => (
            "A secret that others can read or change is no secret.",
            "Give the file to its user alone (chmod 600); replace the secret if others could read it.",
        ),
        Error::Malformed { .. } | Error::NotOpened { .. } => (
            "Its bytes are not what was written.",
            "Take the file from a backup, or make a new key.",
        ),
        Error::TokenNotFound { .. } | Error::BadUri(_) | Error::NoSuchKey(_) => (
            "The URI must name exactly one token and one key in it.",
            "List tokens and keys with `pkcs11-tool --module MODULE -O`, then correct the URI.",
        ),
        Error::Module(_) => (
            "The PKCS#11 module did not do what was asked.",
            "Check that the token is plugged in and module-path names its library.",
        ),
        _ => ("The key store refused.", "Check which key was named, then try again."),
    };
    Failure::failed(what, why, next)
}

fn names(stem: &Path) -> (PathBuf, PathBuf) {
    (with_suffix(stem, ".sealed"), with_suffix(stem, ".pub"))
}

fn with_suffix(stem: &Path, suffix: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Largest PEM file of one key.
const MAX_PEM: usize = 16 * 1024;
