//! Release files: an envelope `release.suit`, and beside it `objects/` with the payloads, each
//! named by its SHA-256.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_suit::{Component, Envelope};

use crate::failure::{Failure, Outcome};
use crate::files;

/// An envelope with its place. Nothing in it is to be believed.
#[derive(Debug)]
pub struct EnvelopeFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What is known about the payload of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// It lies beside the envelope and is the one that the manifest names.
    Intact,
    /// It is not beside the envelope.
    Absent,
}

impl EnvelopeFile {
    /// Reads an envelope: the file, or `release.suit` in a directory.
    pub fn read(path: &Path) -> Outcome<EnvelopeFile> {
        let path = if path.is_dir() { path.join(ENVELOPE) } else { path.to_owned() };
        let bytes = files::read(&path, MAX_ENVELOPE)?;
        Ok(EnvelopeFile { path, bytes })
    }

    /// Parses it and checks its digests.
    pub fn envelope(&self) -> Outcome<Envelope<'_>> {
        Envelope::parse(&self.bytes, &AwsLc).map_err(|reason| self.refused(reason))
    }

    /// A refusal of this file.
    pub fn refused(&self, reason: Reason) -> Failure {
        Failure::refused(reason, format!("{} is refused", self.path.display()))
            .detail("file", self.path.display().to_string())
    }

    /// The directory of the payloads.
    pub fn objects(&self) -> PathBuf {
        self.path.with_file_name(OBJECTS)
    }

    /// Compares the payload beside the envelope with what the manifest says of it.
    pub fn check_payload(&self, component: &Component<'_>) -> Outcome<Payload> {
        let path = self.objects().join(component.digest.to_string());
        if !path.exists() {
            return Ok(Payload::Absent);
        }
        let (digest, size_bytes) = digest_of(&path)?;
        let refused = |reason| {
            Failure::refused(reason, format!("the payload {} is refused", path.display()))
                .next("Make the release again from the original payload.")
        };
        if size_bytes != component.size_bytes {
            return Err(refused(Reason::ImageSize));
        }
        if digest != component.digest {
            return Err(refused(Reason::ImageDigest));
        }
        Ok(Payload::Intact)
    }
}

/// The digest of the manifest in an envelope file: the release's name at the hub.
pub fn manifest_digest(path: &Path) -> Outcome<Sha256Digest> {
    let file = EnvelopeFile::read(path)?;
    let digest = file.envelope()?.manifest_digest();
    Ok(digest)
}

/// SHA-256 and size of a file of any size.
pub fn digest_of(path: &Path) -> Outcome<(Sha256Digest, u64)> {
    let unreadable = |e: std::io::Error| {
        Failure::failed(
            format!("cannot read {}", path.display()),
            files::sentence(&e),
            "Check the name and who may read it.",
        )
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut size_bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        context.update(&buffer[..read]);
        size_bytes += read as u64;
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok((Sha256Digest(digest), size_bytes))
}

/// The envelope's file in a release directory.
pub const ENVELOPE: &str = "release.suit";
/// The payloads' directory beside it.
pub const OBJECTS: &str = "objects";
/// Largest envelope.
const MAX_ENVELOPE: usize = 64 * 1024;
