//! What a leaf says on its own, before anything else is known. Done on any thread; what
//! comes of it is taken in order by [`super::state::State`].

use sha2::{Digest, Sha256};

use super::compare;
use crate::{
    blob::Blob,
    content::{self, Finds, Hit},
    elf::{self, CortexM, Hardening},
    keys::extract::Found,
    rules::Rule,
    walk::{Leaf, LeafKind},
};

/// What the run asks of each leaf besides its content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// Hardening of programs and vector tables: the input is an image.
    pub(super) image: bool,
    /// A digest of the whole: there are several images to compare.
    pub(super) digest: bool,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Examined {
    pub(super) events: Vec<Event>,
    pub(super) hardening: Option<Hardening>,
    pub(super) cortex_m: Option<CortexM>,
    /// SHA-256 of the leaf, where it was asked for or its content names a finding.
    pub(super) digest: Option<[u8; 32]>,
    /// Whether the content is more than blank or a word for "none yet".
    pub(super) says_something: bool,
}

/// One thing that the scanner found.
#[derive(Debug)]
pub(super) enum Event {
    /// A match of a pattern rule.
    Hit { rule: &'static Rule, secret: Vec<u8>, whole: Vec<u8>, at: u64, line: Option<u32> },
    /// A key or a certificate.
    Key { found: Box<Found>, at: u64, line: Option<u32> },
    /// A component by its version string.
    Component { name: &'static str, version: String, at: u64 },
}

/// Looks at a leaf.
pub(super) fn examine(leaf: &Leaf<'_>, wanted: Wanted) -> Examined {
    let mut out = Examined::default();
    content::scan(leaf, &mut out);
    if wanted.image && leaf.kind == LeafKind::Elf {
        out.hardening = elf::hardening(leaf.blob);
    }
    if wanted.image && leaf.kind == LeafKind::Binary {
        out.cortex_m = elf::cortex_m(leaf.blob);
    }
    if wanted.digest || out.cortex_m.is_some() {
        out.digest = Some(digest(leaf.blob));
    }
    out.says_something = wanted.digest && compare::says_something(leaf.blob);
    out
}

/// SHA-256 of a blob.
pub(super) fn digest(blob: &Blob) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut at = 0;
    while at < blob.len() {
        let chunk = blob.bytes(at, 1 << 20);
        if chunk.is_empty() {
            break;
        }
        hash.update(&chunk);
        at += chunk.len() as u64;
    }
    hash.finalize().into()
}

impl Finds for Examined {
    fn hit(&mut self, hit: &Hit<'_>) {
        self.events.push(Event::Hit {
            rule: hit.rule,
            secret: hit.secret.to_vec(),
            // No more of it is ever shown.
            whole: hit.whole[..hit.whole.len().min(100)].to_vec(),
            at: hit.at,
            line: hit.line,
        });
    }

    fn key(&mut self, found: Found, at: u64, line: Option<u32>) {
        self.events.push(Event::Key { found: Box::new(found), at, line });
    }

    fn component(&mut self, name: &'static str, version: &str, at: u64) {
        self.events.push(Event::Component { name, version: version.to_owned(), at });
    }
}
