//! `ringfort release new`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_suit::{Envelope, NewComponent, NewRelease};
use serde::Serialize;

use super::sign;
use crate::envelope_file::{ENVELOPE, OBJECTS, digest_of};
use crate::failure::{Failure, Outcome};
use crate::product::ProductName;
use crate::{clock, files};

/// What the release is made of.
#[derive(Args)]
pub struct Options {
    /// The payload file; with several components: NAME=FILE for each
    #[arg(required = true, value_name = "[NAME=]FILE")]
    pub payload: Vec<PayloadArgument>,

    /// The product it is for
    #[arg(long, value_name = "VENDOR/CLASS")]
    pub product: ProductName,

    /// The version that people read
    #[arg(long, value_name = "VERSION")]
    pub version: String,

    /// What the release brings, one line
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,

    /// Sequence number [default: the Unix time in seconds]
    #[arg(long, value_name = "N")]
    pub sequence: Option<u64>,

    /// Sign it at once with this release key: a sealed key file, or a PKCS#11 URI; may be repeated
    #[arg(long, value_name = "KEY", num_args = 1..)]
    pub key: Vec<String>,

    /// Take the passphrase of these keys from this file (mode 0600) [default: NAME.pin beside
    /// NAME.sealed]
    #[arg(long, value_name = "FILE", requires = "key")]
    pub pin_file: Option<PathBuf>,

    /// Directory to make [default: release-VERSION]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A payload file and the component it is for.
#[derive(Clone, Debug)]
pub struct PayloadArgument {
    /// Name of the component.
    pub component: String,
    /// The payload.
    pub file: PathBuf,
}

impl FromStr for PayloadArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<PayloadArgument, String> {
        let (component, file) = match text.split_once('=') {
            Some((name, file)) if !name.contains('/') => (name, file),
            _ => (DEFAULT_COMPONENT, text),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if component.is_empty() || component.len() > 32 || !component.bytes().all(plain) {
            return Err("a component's name has 1 to 32 letters, digits, '.', '_' or '-'".into());
        }
        if file.is_empty() {
            return Err("the file's name is missing".into());
        }
        Ok(PayloadArgument { component: component.to_owned(), file: PathBuf::from(file) })
    }
}

/// The release that was made.
#[derive(Serialize)]
pub struct Report {
    directory: PathBuf,
    envelope: PathBuf,
    product: String,
    version: String,
    sequence_number: u64,
    manifest_digest: String,
    components: Vec<ComponentReport>,
    signatures: usize,
}

#[derive(Serialize)]
struct ComponentReport {
    name: String,
    digest: String,
    size_bytes: u64,
}

/// Makes the release's directory: the unsigned envelope and a copy of each payload.
pub fn run(options: &Options) -> Outcome<Report> {
    let directory = options
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("release-{}", options.version)));
    check_version(&options.version)?;
    check_components(&options.payload)?;
    files::must_be_absent_or_empty(&directory)?;
    let mut components = Vec::new();
    for payload in &options.payload {
        let (digest, size_bytes) = digest_of(&payload.file)?;
        if size_bytes == 0 {
            return Err(Failure::refused(
                Reason::ImageSize,
                format!("{} is empty", payload.file.display()),
            )
            .why("An empty payload would leave a device without software.")
            .next("Name the file that devices are to run."));
        }
        components.push(component(options, payload, digest, size_bytes));
    }
    let release = NewRelease {
        sequence_number: options.sequence.unwrap_or_else(clock::now),
        version: options.version.clone(),
        vendor_name: Some(options.product.vendor.clone()),
        model_name: Some(options.product.class.clone()),
        description: options.description.clone(),
        components,
    };
    let bytes = release.build(&AwsLc).map_err(refused)?;
    let manifest_digest = Envelope::parse(&bytes, &AwsLc).map_err(refused)?.manifest_digest();

    files::new_directory(&directory.join(OBJECTS))?;
    for (payload, component) in options.payload.iter().zip(&release.components) {
        copy(&payload.file, &directory.join(OBJECTS), &component.digest)?;
    }
    let envelope = directory.join(ENVELOPE);
    files::write_new(&envelope, &bytes, files::PUBLIC)?;
    for key in &options.key {
        sign::run(&sign::Options {
            release: directory.clone(),
            key: key.clone(),
            pin_file: options.pin_file.clone(),
        })?;
    }
    Ok(Report {
        directory,
        envelope,
        product: options.product.to_string(),
        version: release.version,
        sequence_number: release.sequence_number,
        manifest_digest: manifest_digest.to_string(),
        signatures: options.key.len(),
        components: options
            .payload
            .iter()
            .zip(&release.components)
            .map(|(payload, component)| ComponentReport {
                name: payload.component.clone(),
                digest: component.digest.to_string(),
                size_bytes: component.size_bytes,
            })
            .collect(),
    })
}

fn component(
    options: &Options,
    payload: &PayloadArgument,
    digest: Sha256Digest,
    size_bytes: u64,
) -> NewComponent {
    NewComponent {
        id: vec![payload.component.as_bytes().to_vec()],
        vendor: options.product.vendor_id().0,
        class: options.product.class_id().0,
        digest,
        size_bytes,
        // Relative to the envelope, here as on the hub: an object's name is its digest.
        uri: format!("{OBJECTS}/{digest}"),
    }
}

/// The version is also part of a directory's name.
fn check_version(version: &str) -> Outcome<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    if (1..=64).contains(&version.len()) && version.chars().all(plain) {
        return Ok(());
    }
    Err(Failure::usage(
        format!("\"{version}\" cannot be a version"),
        "A version has 1 to 64 letters, digits, '.', '_', '-' or '+'.",
        "Choose one like 1.1 or 2026.11.2.",
    ))
}

fn check_components(payloads: &[PayloadArgument]) -> Outcome<()> {
    for (index, payload) in payloads.iter().enumerate() {
        if payloads[..index].iter().any(|earlier| earlier.component == payload.component) {
            return Err(Failure::usage(
                format!("there are two payloads for the component {}", payload.component),
                "A component has one payload.",
                "Give each payload a component of its own: NAME=FILE.",
            ));
        }
    }
    Ok(())
}

fn copy(from: &Path, objects: &Path, digest: &Sha256Digest) -> Outcome<()> {
    let to = objects.join(digest.to_string());
    if to.exists() {
        return Ok(());
    }
    let copied = fs::copy(from, &to).and_then(|_| fs::File::open(&to)?.sync_all());
    copied.map_err(|e| {
        Failure::failed(
            format!("cannot copy {} to {}", from.display(), to.display()),
            files::sentence(&e),
            "Check free space and who may write there.",
        )
    })?;
    if digest_of(&to)?.0 == *digest {
        return Ok(());
    }
    Err(Failure::refused(
        Reason::ImageDigest,
        format!("{} changed while it was read", from.display()),
    )
    .next("Make the release again when nothing writes to the payload."))
}

fn refused(reason: Reason) -> Failure {
    Failure::refused(reason, "this release cannot be made")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = match self.signatures {
            0 => "not signed yet".to_owned(),
            1 => "1 signature".to_owned(),
            n => format!("{n} signatures"),
        };
        writeln!(f, "Made release {} of {}, {signed}", self.version, self.product)?;
        writeln!(f, "  sequence {}  manifest {}", self.sequence_number, self.manifest_digest)?;
        for component in &self.components {
            writeln!(
                f,
                "  {}  {} bytes  {}",
                component.name, component.size_bytes, component.digest
            )?;
        }
        write!(
            f,
            "Next: each further signer runs ringfort release sign {} --key KEY",
            self.directory.display()
        )
    }
}

/// What a release with one payload calls it.
const DEFAULT_COMPONENT: &str = "image";
