//! `ringfort release sign`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ringfort_cose::{AwsLc, Reason, SignError};
use ringfort_suit::Release;
use serde::Serialize;

use crate::envelope_file::EnvelopeFile;
use crate::failure::{Failure, Outcome};
use crate::{files, keys, output};

/// What to sign, and with which key.
#[derive(Args)]
pub struct Options {
    /// The release's directory, or its envelope; the signature is added in place
    pub release: PathBuf,

    /// The release key: a sealed key file, or a PKCS#11 URI (RFC 7512)
    #[arg(long)]
    pub key: String,

    /// Take the key's passphrase from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// The signatures that the release has now.
#[derive(Serialize)]
pub struct Report {
    envelope: PathBuf,
    manifest_digest: String,
    signer: String,
    signatures: usize,
}

/// Adds one signature.
pub fn run(options: &Options) -> Outcome<Report> {
    let file = EnvelopeFile::read(&options.release)?;
    let envelope = file.envelope()?;
    let digest = envelope.manifest_digest();
    // A signer sees what he signs before he gives his passphrase.
    match Release::of(&envelope) {
        Ok(release) => {
            for component in release.components() {
                file.check_payload(component)?;
            }
            let version = release.version.unwrap_or("(no version in it)");
            let sequence = release.sequence_number;
            output::progress(format_args!(
                "Signing release {version}, sequence {sequence}, manifest {digest}"
            ));
        }
        Err(reason) => {
            return Err(file
                .refused(reason)
                .next("Only releases that devices can run are signed."));
        }
    }
    let signer = keys::open(&options.key, options.pin_file.as_deref())?;
    let thumbprint = keys::thumbprint(&signer.public_key());
    let has_signed =
        envelope.blocks().any(|b| b.and_then(|b| b.signer()).is_ok_and(|s| s == thumbprint));
    if has_signed {
        return Err(Failure::refused(
            Reason::AlreadyExists,
            format!("{} has signed this release already", options.key),
        )
        .why("One key counts once, however often it signs.")
        .next("Hand the release to the next signer."));
    }
    let signed = ringfort_suit::sign(&AwsLc, signer.as_ref(), &file.bytes).map_err(not_signed)?;
    files::replace(&file.path, &signed, files::PUBLIC)?;
    Ok(Report {
        signatures: envelope.blocks().count() + 1,
        envelope: file.path,
        manifest_digest: digest.to_string(),
        signer: thumbprint.to_string(),
    })
}

fn not_signed(error: SignError) -> Failure {
    match error {
        SignError::Object(reason) => Failure::refused(reason, "nothing was signed"),
        error => Failure::failed(
            "nothing was signed",
            format!("{error}."),
            "Check the key, then try again.",
        ),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signatures = match self.signatures {
            1 => "1 signature".to_owned(),
            n => format!("{n} signatures"),
        };
        writeln!(
            f,
            "Signed by {}; {} has {signatures} now.",
            &self.signer[..16],
            self.envelope.display()
        )?;
        write!(
            f,
            "Check it with: ringfort release verify {} --anchors ANCHORS",
            self.envelope.display()
        )
    }
}
