//! A PIN that only this machine's TPM gives out, and only while the machine is in the state in which
//! it was sealed.

use std::path::Path;

use ringfort_keystore::Passphrase;

use super::config::Tpm;
use crate::failure::{Failure, Outcome};

/// Has the TPM open the PIN in this file.
#[cfg(feature = "tpm")]
pub fn open(directory: &Path, sealed: &Path, tpm: Option<&Tpm>) -> Outcome<Passphrase> {
    use ringfort_keystore::{KeyStore, read_private};
    use zeroize::Zeroizing;

    use crate::keys::key_failure;

    let blob = read_private(sealed, MAX_BLOB).map_err(key_failure)?;
    let store = store(directory, tpm)?;
    let pin = store.unseal(CONTEXT, &blob).map_err(|error| {
        Failure::failed(
            "the TPM does not give out the PIN of the hub's keys",
            format!("{error}."),
            "After a change of firmware or boot settings its PCRs differ: put the PIN back as a \
             file (pin = \"file:pin\") and run `ringfort hub seal-pin` again.",
        )
    })?;
    let text = String::from_utf8(pin.to_vec()).map(Zeroizing::new).map_err(|_| {
        Failure::failed("the sealed PIN is no text", "It was sealed by another.", "Seal it again.")
    })?;
    Passphrase::new(text).map_err(key_failure)
}

/// Has the TPM seal a PIN into a new file.
#[cfg(feature = "tpm")]
pub fn seal(directory: &Path, sealed: &Path, tpm: &Tpm, pin: &str) -> Outcome<()> {
    use ringfort_keystore::{KeyStore, write_private_new};

    use crate::keys::key_failure;

    let store = store(directory, Some(tpm))?;
    let blob = store.seal(CONTEXT, pin.as_bytes()).map_err(key_failure)?;
    write_private_new(sealed, &blob).map_err(key_failure)
}

#[cfg(feature = "tpm")]
fn store(directory: &Path, tpm: Option<&Tpm>) -> Outcome<ringfort_keystore::TpmStore> {
    use ringfort_keystore::{TpmSettings, TpmStore};

    let Some(Tpm { tcti, pcrs }) = tpm else {
        return Err(Failure::failed(
            "hub.toml names no TPM",
            "pin = \"tpm:…\" needs a section [tpm] beside it.",
            "Add it: tcti = \"device:/dev/tpmrm0\", pcrs = [7].",
        ));
    };
    let settings =
        TpmSettings { tcti: tcti.clone(), directory: directory.join("keys"), pcrs: pcrs.clone() };
    TpmStore::open(&settings).map_err(|error| {
        Failure::failed(
            format!("the TPM at {tcti} cannot be used"),
            format!("{error}."),
            "Check that the hub's user may open it (group tss), and [tpm] in hub.toml.",
        )
    })
}

/// This program cannot use a TPM.
#[cfg(not(feature = "tpm"))]
pub fn open(_directory: &Path, _sealed: &Path, _tpm: Option<&Tpm>) -> Outcome<Passphrase> {
    Err(without())
}

/// This program cannot use a TPM.
#[cfg(not(feature = "tpm"))]
pub fn seal(_directory: &Path, _sealed: &Path, _tpm: &Tpm, _pin: &str) -> Outcome<()> {
    Err(without())
}

#[cfg(not(feature = "tpm"))]
fn without() -> Failure {
    Failure::failed(
        "this ringfort was built without TPM keys",
        "The cargo feature `tpm` was off when it was built.",
        "Build it with --features tpm, or use pin = \"file:pin\" or a credential of systemd.",
    )
}

/// Nothing else that this TPM sealed can be handed in for it.
#[cfg(feature = "tpm")]
const CONTEXT: &[u8] = b"ringfort/hub-pin/1";
#[cfg(feature = "tpm")]
const MAX_BLOB: usize = 4096;
