//! The rules: one definition each, from which the search, the documents and the tests
//! are made.

mod accounts;
mod build;
mod cloud;
pub mod components;
pub(crate) mod context;
mod crypto;
mod developer;
mod given;
mod joins;
mod logins;
pub mod matter;
mod messaging;
mod network;
mod passwords;
pub mod requirements;
mod secrets;
pub mod shown;
pub mod suppress;
pub(crate) mod unit_tests;
pub mod valid;

use std::sync::OnceLock;

use regex_automata::{meta, util::syntax};

use crate::{keys::Kind, model::Severity};

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Stable id: a letter for the group and a number.
    pub id: &'static str,
    /// How bad a hit is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// Why it matters.
    pub about: &'static str,
    /// What to do next.
    pub fix: &'static str,
    /// Requirements that a hit speaks against: `5.4-1` is of EN 303 645, `I2.4.1` of ISVS.
    pub requirements: &'static [&'static str],
    /// Words (lower case) of which one must be near; empty for rules that are not patterns.
    pub keywords: &'static [&'static str],
    /// Regular expression on bytes; group 1, where it exists, is what the hit is about.
    pub pattern: &'static str,
    /// How many lines of text a match may span.
    pub lines: u8,
    /// Which files it applies to.
    pub only: Only,
    /// A last check of what matched.
    pub check: fn(&Capture<'_>) -> bool,
    /// What the hit adds to the key index.
    pub kind: Option<Kind>,
    /// Samples that must be found: path and content. A middle dot stands for nothing; it
    /// keeps the samples from being findings themselves.
    pub hits: &'static [(&'static str, &'static str)],
    /// Samples that must not be found.
    pub misses: &'static [(&'static str, &'static str)],
}

/// Files that a rule applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// Every file.
    Any,
    /// Text.
    Text,
    /// Program source by its extension.
    Source,
    /// Programs, libraries and unknown binaries.
    Binary,
    /// Files whose path ends with one of these.
    Paths(&'static [&'static str]),
}

/// What a pattern matched.
#[derive(Clone, Copy, Debug)]
pub struct Capture<'a> {
    /// Group 1, or the whole match.
    pub secret: &'a [u8],
    /// The whole match.
    pub whole: &'a [u8],
    /// The line around it.
    pub line: &'a [u8],
    /// The lines around that one.
    pub near: &'a [u8],
    /// Path of the file.
    pub path: &'a str,
}

/// Defaults for the fields that most rules leave alone.
pub(crate) const BASE: Rule = Rule {
    id: "",
    severity: Severity::Medium,
    title: "",
    about: "",
    fix: "",
    requirements: &[],
    keywords: &[],
    pattern: "",
    lines: 1,
    only: Only::Any,
    check: |_| true,
    kind: None,
    hits: &[],
    misses: &[],
};

/// Every rule, by group.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [
        joins::RULES,
        cloud::RULES,
        developer::RULES,
        messaging::RULES,
        secrets::RULES,
        accounts::RULES,
        passwords::RULES,
        logins::RULES,
        crypto::RULES,
        network::RULES,
        build::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The rule with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.id == id)
}

/// A rule's compiled pattern, built at first use.
pub(crate) struct Pattern {
    pub(crate) rule: &'static Rule,
    regex: OnceLock<Option<meta::Regex>>,
}

impl Pattern {
    pub(crate) fn new(rule: &'static Rule) -> Self {
        Self { rule, regex: OnceLock::new() }
    }

    /// `None` when the pattern does not compile; a test holds that it does.
    pub(crate) fn regex(&self) -> Option<&meta::Regex> {
        self.regex.get_or_init(|| compile(self.rule.pattern)).as_ref()
    }
}

/// Compiles a pattern on bytes, with ASCII classes and bounded memory.
pub(crate) fn compile(pattern: &str) -> Option<meta::Regex> {
    meta::Regex::builder()
        .configure(
            meta::Config::new()
                .utf8_empty(false)
                .nfa_size_limit(Some(2 << 20))
                .hybrid_cache_capacity(256 << 10),
        )
        .syntax(syntax::Config::new().utf8(false).unicode(false))
        .build(pattern)
        .ok()
}

impl Only {
    /// Whether a file belongs to the set.
    #[must_use]
    pub fn admits(self, path: &str, is_text: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Text => is_text,
            Self::Binary => !is_text,
            Self::Source => {
                is_text && (SOURCE.iter().any(|e| path.ends_with(e)) || is_script(path))
            }
            Self::Paths(ends) if ends.contains(&".sh") && is_text && is_script(path) => true,
            Self::Paths(ends) => ends.iter().any(|e| {
                path.strip_suffix(e).is_some_and(|rest| {
                    e.starts_with(['.', '/', '_', '-']) || rest.is_empty() || rest.ends_with('/')
                })
            }),
        }
    }
}

/// A script by where it lies, where scripts go without an extension.
fn is_script(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let directory = directory.rsplit('/').next().unwrap_or("");
    !name.contains('.') && SCRIPTS.contains(&directory)
}

const SCRIPTS: &[&str] = &[
    "init.d",
    "rc.d",
    "cron.d",
    "cron.daily",
    "cgi-bin",
    "hotplug.d",
    "uci-defaults",
    "if-up.d",
    "if-down.d",
    "udhcpc",
];

const SOURCE: &[&str] = &[
    ".c",
    ".h",
    ".cc",
    ".cpp",
    ".hpp",
    ".cxx",
    ".ino",
    ".rs",
    ".go",
    ".py",
    ".java",
    ".kt",
    ".js",
    ".mjs",
    ".ts",
    ".tsx",
    ".jsx",
    ".lua",
    ".php",
    ".rb",
    ".cs",
    ".swift",
    ".m",
    ".sh",
    ".bash",
    ".pl",
    ".pm",
    ".tcl",
    ".S",
    ".dart",
    ".scala",
    ".vue",
    ".cgi",
    ".groovy",
    ".gradle",
    ".kts",
    ".ps1",
    ".psm1",
    ".bat",
    ".ex",
    ".exs",
    ".erl",
    ".clj",
    ".vb",
    ".pas",
    ".ipynb",
    ".svelte",
    ".erb",
    ".jsp",
    ".asp",
    ".aspx",
    ".cshtml",
    ".phtml",
    ".r",
    ".R",
    ".jl",
    ".hs",
    "Jenkinsfile",
    "Dockerfile",
    ".zsh",
    ".mm",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::assess;

    #[test]
    fn there_are_at_least_120_rules_with_unique_ids() {
        let ids: BTreeSet<_> = all().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), all().count());
        assert!(ids.len() >= 120, "{}", ids.len());
    }

    #[test]
    fn every_rule_says_what_and_why_and_what_to_do() {
        for rule in all() {
            assert!(!rule.title.is_empty() && !rule.fix.is_empty(), "{}", rule.id);
            assert!(!rule.about.is_empty(), "{}", rule.id);
            assert!(!rule.requirements.is_empty(), "{}", rule.id);
            for id in rule.requirements {
                assert!(requirements::find(id).is_some(), "{}: {id}", rule.id);
            }
            assert_eq!(rule.pattern.is_empty(), rule.keywords.is_empty(), "{}", rule.id);
            for word in rule.keywords {
                assert_eq!(*word, word.to_lowercase(), "{}", rule.id);
                assert!(word.len() >= 3, "{}: keyword {word}", rule.id);
            }
        }
    }

    #[test]
    fn every_pattern_compiles() {
        for rule in all().filter(|rule| !rule.pattern.is_empty()) {
            assert!(compile(rule.pattern).is_some(), "{}", rule.id);
        }
    }

    #[test]
    fn every_pattern_rule_finds_its_hits_and_only_those() {
        let mut wrong = Vec::new();
        for rule in all().filter(|rule| !rule.pattern.is_empty()) {
            assert!(!rule.hits.is_empty() && !rule.misses.is_empty(), "{} has no samples", rule.id);
            for (samples, expected) in [(rule.hits, true), (rule.misses, false)] {
                for (path, content) in samples {
                    let content = content.replace('·', "");
                    let found = assess(path, content.into_bytes());
                    if found.iter().any(|f| f.rule == rule.id) != expected {
                        let ids: Vec<_> = found.iter().map(|f| f.rule).collect();
                        wrong
                            .push(format!("{} {path} expected {expected}, found {ids:?}", rule.id));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn samples_hold_for_a_file_inside_an_archive_too() {
        for rule in all().filter(|rule| !rule.pattern.is_empty()) {
            let (path, content) = rule.hits[0];
            let content = content.replace('·', "");
            let archive = crate::testing::tar(path, content.as_bytes());
            let found = assess("image.tar", archive);
            let hit = found.iter().find(|f| f.rule == rule.id);
            let hit = hit.unwrap_or_else(|| panic!("{} in an archive", rule.id));
            assert!(hit.locations[0].path.contains("!tar@0x0!"), "{}", rule.id);
        }
    }
}
