//! `ringfort pki anchors sign`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ringfort_cose::{AwsLc, Reason};
use ringfort_trust::AnchorsSpec;
use serde::Serialize;

use super::before;
use crate::anchors::{AnchorsFile, Standing};
use crate::failure::{Failure, Outcome};
use crate::{files, keys};

/// What to sign, and with which key.
#[derive(Args)]
pub struct Options {
    /// The anchors document; the signature is added in place
    pub file: PathBuf,

    /// The anchor key: a sealed key file, or a PKCS#11 URI (RFC 7512)
    #[arg(long)]
    pub key: String,

    /// Take the key's passphrase from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// How far the document has come.
#[derive(Serialize)]
pub struct Report {
    file: PathBuf,
    #[serde(flatten)]
    standing: Standing,
}

/// Adds one signature.
pub fn run(options: &Options) -> Outcome<Report> {
    let file = AnchorsFile::read(&options.file)?;
    let before = before(&file)?;
    let standing = file.standing(before.as_ref())?;
    if let Some(reason) = standing.damage() {
        return Err(file.refused(reason).next("Start again with `ringfort pki anchors new`."));
    }
    let signer = keys::open(&options.key, options.pin_file.as_deref())?;
    let key = signer.public_key();
    let thumbprint = keys::thumbprint(&key);
    match standing.may_sign(&key) {
        Some(known) if known.has_signed => {
            return Err(Failure::refused(
                Reason::AlreadyExists,
                format!("{} has signed {} already", options.key, options.file.display()),
            )
            .why("One key counts once, however often it signs.")
            .next("Hand the file to the next signer."));
        }
        Some(_) => {}
        None => {
            return Err(Failure::refused(
                Reason::UntrustedSigner,
                format!("{} may not sign {}", options.key, options.file.display()),
            )
            .why(format!("{} is none of its anchor keys.", keys::short(&thumbprint)))
            .next(format!(
                "See who may: ringfort pki anchors inspect {}",
                options.file.display()
            )));
        }
    }
    let signed = AnchorsSpec::add_signature(&file.bytes, &AwsLc, signer.as_ref()).map_err(|e| {
        Failure::failed("nothing was signed", format!("{e}."), "Check the key, then try again.")
    })?;
    files::replace(&options.file, &signed, files::PUBLIC)?;
    let file = AnchorsFile { path: options.file.clone(), bytes: signed };
    let standing = file.standing(before.as_ref())?;
    Ok(Report { file: options.file.clone(), standing })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Signed version {} of the anchors. {}", self.standing.version, self.standing)?;
        if self.standing.complete {
            write!(
                f,
                "It is complete: {} is ready for the hub and the factory.",
                self.file.display()
            )
        } else {
            write!(f, "Next: hand {} to the next signer.", self.file.display())
        }
    }
}
