//! `ringfort hub seal-pin`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ringfort_keystore::{SealedKey, read_private};
use serde::Serialize;
use zeroize::Zeroizing;

use super::config::{HubConfig, Tpm};
use super::tpm_pin;
use crate::failure::{Failure, Outcome};
use crate::files;
use crate::keys::key_failure;

/// Which hub's PIN, and which TPM.
#[derive(Args)]
pub struct Options {
    /// The hub's directory
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,

    /// How the TPM is reached
    #[arg(long, value_name = "TCTI", default_value = "device:/dev/tpmrm0")]
    pub tcti: String,

    /// The SHA-256 PCRs that must not change; 7 is the state of secure boot
    #[arg(long, value_name = "N", num_args = 0.., default_values_t = [7])]
    pub pcr: Vec<u8>,
}

/// A PIN that was sealed.
#[derive(Serialize)]
pub struct Report {
    sealed: PathBuf,
    tcti: String,
    pcrs: Vec<u8>,
    pin_file: PathBuf,
}

/// Has the TPM seal the PIN that lies in a file, and tells the hub to ask the TPM from now on.
pub fn run(options: &Options) -> Outcome<Report> {
    let directory = &options.dir;
    let mut config = HubConfig::read(directory)?;
    let Some(name) = config.pin.strip_prefix("file:") else {
        return Err(Failure::usage(
            format!("pin = \"{}\" is not a file", config.pin),
            "What is sealed is a PIN that lies in a file of the hub's directory.",
            "Put it back as a file first: pin = \"file:pin\".",
        ));
    };
    let pin_file = directory.join(name);
    // Nothing is sealed that does not open the keys.
    let passphrase = config.passphrase(directory)?;
    SealedKey::read(&directory.join("keys/order.sealed"))
        .and_then(|sealed| sealed.open(&passphrase))
        .map_err(key_failure)?;
    let bytes = read_private(&pin_file, MAX_PIN).map_err(key_failure)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let pin = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());

    let sealed = directory.join(SEALED);
    files::must_be_absent(&sealed)?;
    let tpm = Tpm { tcti: options.tcti.clone(), pcrs: options.pcr.clone() };
    tpm_pin::seal(directory, &sealed, &tpm, &pin)?;
    config.pin = format!("tpm:{SEALED}");
    config.tpm = Some(tpm);
    // It has to come out again before anything relies on it.
    config.passphrase(directory)?;
    config.replace(directory)?;
    Ok(Report { sealed, tcti: options.tcti.clone(), pcrs: options.pcr.clone(), pin_file })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sealed, pin_file) = (self.sealed.display(), self.pin_file.display());
        writeln!(f, "The PIN is in {sealed}, which only the TPM at {} opens", self.tcti)?;
        writeln!(f, "  and only while these PCRs stay as they are: {:?}", self.pcrs)?;
        write!(
            f,
            "Next: move {pin_file} off this machine and keep it: it opens backups, and this hub \
             after a change of firmware"
        )
    }
}

const SEALED: &str = "pin.tpm";
const MAX_PIN: usize = 1026;
