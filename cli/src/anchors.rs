//! Anchors documents in files: one document a file, named by its version, `1.cbor` first.

use std::path::{Path, PathBuf};

use ringfort_cose::{AwsLc, MultiSign, PublicKey, Reason, Sha256Digest, Thumbprint, Verify};
use ringfort_trust::{ANCHORS, Anchors, Document, KeyEntry, Role};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::{files, keys};

/// One document with its place. Its structure holds; its signatures are for [`AnchorsFile::standing`].
#[derive(Clone, Debug)]
pub struct AnchorsFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl AnchorsFile {
    /// Reads one document.
    pub fn read(path: &Path) -> Outcome<AnchorsFile> {
        let bytes = files::read(path, Document::MAX_LEN)?;
        let file = AnchorsFile { path: path.to_owned(), bytes };
        file.document()?;
        Ok(file)
    }

    /// The document.
    pub fn document(&self) -> Outcome<Document<'_>> {
        Document::parse(&self.bytes).map_err(|reason| self.refused(reason))
    }

    /// The document's digest.
    pub fn digest(&self) -> Sha256Digest {
        AwsLc.sha256(&[&self.bytes])
    }

    /// Whose signatures it has, and whose it may still get.
    pub fn standing(&self, before: Option<&AnchorsFile>) -> Outcome<Standing> {
        let document = self.document()?;
        let object = MultiSign::parse_object(&self.bytes, ANCHORS).map_err(|r| self.refused(r))?;
        let signed: Vec<Thumbprint> = object.entries().map(|entry| entry.signer).collect();
        let mut signers: Vec<Signer> = Vec::new();
        let mut add = |entries: Vec<KeyEntry>| {
            for entry in entries {
                let thumbprint = keys::thumbprint(&entry.key);
                if !signers.iter().any(|signer| signer.key == entry.key) {
                    let has_signed = signed.contains(&thumbprint);
                    let name = entry.name.to_string();
                    let thumbprint = thumbprint.to_string();
                    signers.push(Signer { name, thumbprint, has_signed, key: entry.key });
                }
            }
        };
        add(document.keys_of(Role::Anchor).collect());
        let mut threshold_before = None;
        if let Some(before) = before {
            let before = before.document()?;
            threshold_before = Some(before.anchor_threshold());
            add(before.keys_of(Role::Anchor).collect());
        }
        let complete = self.verify(before);
        Ok(Standing {
            version: document.version().0,
            threshold: document.anchor_threshold(),
            threshold_before,
            signers,
            complete: complete.is_ok(),
            refusal: complete.err(),
        })
    }

    /// Is it signed as it has to be: version 1 by its own keys, a later one also by the keys of
    /// the one before?
    pub fn verify(&self, before: Option<&AnchorsFile>) -> Result<(), Reason> {
        match before {
            None => Anchors::verify_first(&self.bytes, &self.digest(), &AwsLc).map(drop),
            Some(before) => {
                let before = Anchors::verify_pinned(&before.bytes, &before.digest(), &AwsLc)?;
                before.verify_next(&self.bytes, &AwsLc).map(drop)
            }
        }
    }

    /// A refusal of this file.
    pub fn refused(&self, reason: Reason) -> Failure {
        Failure::refused(reason, format!("the anchors in {} are refused", self.path.display()))
    }
}

/// A chain of documents, version 1 first, each verified by the one before.
#[derive(Debug)]
pub struct Chain {
    files: Vec<AnchorsFile>,
}

impl Chain {
    /// Reads and verifies the chain that a directory holds, or that a file stands at the end of:
    /// the versions before it lie beside it.
    pub fn read(path: &Path) -> Outcome<Chain> {
        let (directory, last) = if path.is_dir() {
            (path, None)
        } else {
            let version = AnchorsFile::read(path)?.document()?.version().0;
            (path.parent().unwrap_or(Path::new("")), Some(version))
        };
        // Version 1 alone may have any name.
        if last == Some(1) {
            return Chain::verified(vec![AnchorsFile::read(path)?]);
        }
        let mut files = Vec::new();
        for version in 1..=last.unwrap_or(u64::MAX) {
            let next = directory.join(format!("{version}.cbor"));
            if last.is_none() && version > 1 && !next.exists() {
                break;
            }
            files.push(AnchorsFile::read(&next).map_err(|f| {
                f.next("Put every version into one directory: 1.cbor, 2.cbor and so on.")
            })?);
        }
        Chain::verified(files)
    }

    /// The newest document.
    pub fn newest(&self) -> Outcome<Anchors<'_>> {
        let file = self.files.last().ok_or_else(no_anchors)?;
        Anchors::verify_pinned(&file.bytes, &file.digest(), &AwsLc).map_err(|r| file.refused(r))
    }

    /// Version 1: what a factory writes into devices.
    pub fn first(&self) -> Outcome<&AnchorsFile> {
        self.files.first().ok_or_else(no_anchors)
    }

    /// All documents, version 1 first.
    pub fn files(&self) -> &[AnchorsFile] {
        &self.files
    }

    fn verified(files: Vec<AnchorsFile>) -> Outcome<Chain> {
        let mut before = None;
        for file in &files {
            file.verify(before).map_err(|reason| {
                let failure = file.refused(reason);
                match (reason, file.standing(before)) {
                    (Reason::ThresholdNotMet, Ok(standing)) => {
                        failure.why(standing.to_string()).next(format!(
                            "Run on each signer's machine: ringfort pki anchors sign {} --key KEY",
                            file.path.display()
                        ))
                    }
                    _ => failure,
                }
            })?;
            before = Some(file);
        }
        Ok(Chain { files })
    }
}

/// How far the signing of a document has come.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// The version of the document.
    pub version: u64,
    /// How many of its own anchor keys have to sign.
    pub threshold: usize,
    /// How many of the anchor keys of the version before have to sign as well.
    pub threshold_before: Option<usize>,
    /// Who may sign, and who has.
    pub signers: Vec<Signer>,
    /// Are there enough signatures, and do all verify?
    pub complete: bool,
    #[serde(skip)]
    refusal: Option<Reason>,
}

/// An anchor key.
#[derive(Clone, Debug, Serialize)]
pub struct Signer {
    /// Its name for people.
    pub name: String,
    /// Its thumbprint.
    pub thumbprint: String,
    /// Has it signed?
    pub has_signed: bool,
    #[serde(skip)]
    key: PublicKey,
}

impl Standing {
    /// May this key sign the document?
    pub fn may_sign(&self, key: &PublicKey) -> Option<&Signer> {
        self.signers.iter().find(|signer| signer.key == *key)
    }

    /// Why it is not complete, other than for want of signatures.
    pub fn damage(&self) -> Option<Reason> {
        self.refusal.filter(|reason| *reason != Reason::ThresholdNotMet)
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |signed: bool| {
            let names: Vec<&str> =
                self.signers
                    .iter()
                    .filter(|signer| signer.has_signed == signed)
                    .map(|signer| {
                        if signer.name.is_empty() { &signer.thumbprint[..16] } else { &signer.name }
                    })
                    .collect();
            if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
        };
        write!(f, "Signed by {}; needs {} of its keys", names(true), self.threshold)?;
        if let Some(before) = self.threshold_before {
            write!(f, " and {before} of the keys of version {}", self.version - 1)?;
        }
        if !self.complete {
            write!(f, "; not yet signed by {}", names(false))?;
        }
        write!(f, ".")
    }
}

fn no_anchors() -> Failure {
    Failure::failed("there are no anchors", "The chain is empty.", "Name a directory with 1.cbor.")
}
