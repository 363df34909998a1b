//! What a run hands back.

use std::collections::BTreeMap;

use serde::Serialize;

use super::compare::Comparison;
use crate::{
    keys::Kind,
    model::{Coverage, Finding, Location, OwnerKind, Severity, Unread},
    rules::{requirements::Judged, suppress::Stale},
};

/// One input after the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputReport {
    /// Its name as given.
    pub name: String,
    /// Source tree or image.
    pub kind: OwnerKind,
    /// Size in bytes.
    pub bytes: u64,
    /// Files read in it, also inside archives.
    pub files: u64,
    /// What became of the bytes.
    pub coverage: Coverage,
    /// What was not read, and why.
    pub unread: Vec<Unread>,
    /// Containers opened, by format.
    pub opened: BTreeMap<&'static str, u64>,
    /// Symbolic links not followed.
    pub links: u64,
    /// Device nodes, sockets and pipes not opened.
    pub devices: u64,
    /// Whether older versions were read too.
    pub history: History,
    /// Member names that climb out of their archive.
    pub escaping_names: u64,
    /// Why it could not be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What was read of a repository's history; of several repositories the last of these counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// There is none: no repository, or an image.
    #[default]
    None,
    /// All that the clone has, and the clone is whole.
    Read,
    /// The clone is shallow or partial, or keeps objects elsewhere: the rest was not read.
    Cut,
    /// It was left out as asked.
    LeftOut,
}

impl History {
    /// What a reader must know, in words; nothing when there is nothing to say.
    #[must_use]
    pub fn words(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Read => None,
            Self::Cut => Some("history not whole"),
            Self::LeftOut => Some("history left out"),
        }
    }
}

/// A component seen by its version string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Seen {
    /// Name.
    pub name: &'static str,
    /// Version, may be empty.
    pub version: String,
    /// Where, sorted.
    pub locations: Vec<Location>,
}

/// The answer to the first question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shared {
    /// Shared, with counts of what.
    Yes {
        /// Private keys.
        private_keys: usize,
        /// Password hashes.
        password_hashes: usize,
        /// Other credentials.
        credentials: usize,
    },
    /// Across what was given nothing is shared.
    NotFound {
        /// How many images were compared.
        images: usize,
    },
    /// One image cannot tell.
    NotTested,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// Inputs in the order given.
    pub inputs: Vec<InputReport>,
    /// Images compared with the first one, where there are several.
    pub comparisons: Vec<Comparison>,
    /// The first question.
    pub shared: Shared,
    /// Findings, worst first.
    pub findings: Vec<Finding>,
    /// Suppressions that do nothing any more.
    pub stale_suppressions: Vec<Stale>,
    /// Requirements with verdicts.
    pub requirements: Vec<Judged>,
    /// Components.
    pub components: Vec<Seen>,
    /// Kinds in the key index: kind, sightings, different ones.
    pub index: Vec<(Kind, usize, usize)>,
    /// Exit code: 0 none, 1 findings, 3 not tested.
    pub exit: u8,
    /// Severity that counts for the exit code.
    pub fail_on: Severity,
    /// Least share of bytes asked for.
    pub min_coverage_percent: u32,
    /// Rules in force.
    pub rules: usize,
    /// Known public keys in force, and the day of the list.
    pub known_keys: (usize, &'static str),
    /// Debian-weak keys in force, and the day of the list.
    pub debian_weak_keys: (u64, &'static str),
    /// Version of the requirement table.
    pub requirement_table: &'static str,
    /// Day by which dates were judged.
    pub today: String,
}
