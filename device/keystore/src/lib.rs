//! Key stores: where private keys live, and where they stay.
//!
//! - [`KeyStore`] is what a device has: it makes keys, signs with them and keeps their
//!   certificates, seals small secrets and counts upwards. Back ends: [`SealedFile`],
//!   [`Pkcs11Store`] and, with feature `tpm`, `TpmStore`.
//! - [`SealedKey`] is one key in one file, opened by a passphrase: for people and for the hub.
//!   [`SealedSecret`] is the same file around 32 random bytes.
//! - [`Pkcs11Uri`] names a key in a token (RFC 7512).
//! - [`open_signer`] opens either of the last two from what a person typed.
//! - [`tls`] lets rustls authenticate with a key that stays where it is.
//!
//! No type here has a call that hands out a private key.
#![forbid(unsafe_code)]

mod chain;
mod cipher;
mod error;
mod files;
mod passphrase;
mod pkcs11;
mod sealed_file;
mod sealed_key;
mod software;
mod spki;
mod store;
pub mod tls;
#[cfg(feature = "tpm")]
mod tpm;
mod worker;

use std::path::Path;
use std::sync::Arc;

use ringfort_cose::Sign;

pub use error::Error;
pub use files::{create_private_dir, read_private, replace_private, write_private_new};
pub use passphrase::Passphrase;
pub use pkcs11::{Pkcs11Settings, Pkcs11Store, Pkcs11Uri};
pub use sealed_file::{SealedFile, StoreSecret};
pub use sealed_key::{OpenedKey, SealedKey, SealedSecret};
pub use spki::{public_key_from_der, public_key_from_pem, public_key_to_der, public_key_to_pem};
pub use store::{CounterKind, KeyStore, Label, Protection, StoreKey};
#[cfg(feature = "tpm")]
pub use tpm::{TpmSettings, TpmStore};

/// Opens a signing key from what a person wrote: a `pkcs11:` URI (RFC 7512), or the path of a
/// [`SealedKey`] file.
///
/// `passphrase` is called once, with the text to prompt with, and only when it is needed: not for
/// a token whose URI has `pin-source`.
///
/// # Errors
/// Those of [`SealedKey::open`] and [`Pkcs11Uri::open`].
pub fn open_signer(
    location: &str,
    passphrase: impl FnOnce(&str) -> Result<Passphrase, Error>,
) -> Result<Arc<dyn Sign>, Error> {
    if location.starts_with("pkcs11:") {
        let uri = Pkcs11Uri::parse(location)?;
        return uri.open(passphrase);
    }
    let sealed = SealedKey::read(Path::new(location))?;
    let passphrase = passphrase(&format!("Passphrase of {location}"))?;
    Ok(Arc::new(sealed.open(&passphrase)?))
}
