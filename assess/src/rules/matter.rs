//! What a run had before it that its rules could judge. Silence says something only about what was
//! looked at: a text without a line of code is no evidence that code is sound.

use std::collections::BTreeSet;

use super::{Only, Rule, all};
use crate::{
    keys::Index,
    walk::{Leaf, LeafKind},
};

/// What was seen, by the groups of rules that judge it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matter {
    /// Program source.
    pub(crate) sources: u32,
    /// Settings and scripts.
    pub(crate) settings: u32,
    /// Programs and libraries whose hardening was read.
    pub(crate) programs: u32,
    /// Images with a vector table.
    pub(crate) vectors: u32,
    /// Rules for certain files that met one.
    pub(crate) met: BTreeSet<&'static str>,
    /// Keys, certificates and secrets in the index.
    pub(crate) keys: usize,
}

impl Matter {
    /// A leaf was looked at.
    pub(crate) fn see(&mut self, leaf: &Leaf<'_>, hardened: bool, vectors: bool) {
        let path = leaf.place.name();
        let is_text = leaf.kind == LeafKind::Text && !leaf.blob.is_empty();
        self.programs += u32::from(hardened);
        self.vectors += u32::from(vectors);
        if !is_text {
            return;
        }
        self.sources += u32::from(Only::Source.admits(path, true));
        self.settings += u32::from(SETTINGS.admits(path, true) || path.contains("/etc/"));
        // What people write for people proves nothing about a product.
        if PROSE.iter().any(|end| path.ends_with(end)) {
            return;
        }
        let certain = all().filter(|rule| matches!(rule.only, Only::Paths(_)));
        let met = certain.filter(|rule| rule.only.admits(path, true));
        self.met.extend(met.map(|rule| rule.id));
    }

    /// The index is complete.
    pub(crate) fn index(&mut self, index: &Index) {
        self.keys = index.records().len();
    }

    /// Whether a rule had something to judge.
    #[must_use]
    pub fn had(&self, rule: &Rule) -> bool {
        match (rule.id.as_bytes().first(), rule.only) {
            (Some(b'E'), _) => self.programs > 0,
            (Some(b'M'), _) => self.vectors > 0,
            (Some(b'K'), _) => self.keys > 0,
            // Headers of images are judged where they stand.
            _ if rule.pattern.is_empty() => false,
            (_, Only::Paths(_)) => self.met.contains(rule.id),
            (_, Only::Source) => self.sources > 0,
            (_, Only::Binary) => self.programs + self.vectors > 0,
            (_, Only::Any | Only::Text) => self.sources + self.settings > 0,
        }
    }
}

const PROSE: &[&str] = &[".txt", ".md", ".rst", ".adoc", ".html", ".log", ".out"];

const SETTINGS: Only = Only::Paths(&[
    ".conf",
    ".cfg",
    ".ini",
    ".json",
    ".yml",
    ".yaml",
    ".toml",
    ".xml",
    ".env",
    ".properties",
    ".sh",
    ".config",
    "_defconfig",
    "/passwd",
    "/shadow",
]);
