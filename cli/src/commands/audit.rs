//! `ringfort audit`: take the hub's log away, check it without the hub, tell it to another hub.

mod replay;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use ringfort_fleet::audit;
use serde::{Deserialize, Serialize};

use crate::evidence_keys::EvidenceKeys;
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::output::conclude;
use crate::{files, keys};

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Write the whole log and its signed head to a file
    Export {
        /// The file, to be made
        #[arg(value_name = "FILE")]
        out: PathBuf,
    },
    /// Tell a hub in the place of a lost one who is retired and who is suspended: what operators
    /// signed, out of an exported log
    Replay(replay::Options),
    /// Check an exported log: nothing altered, removed or reordered. Needs no hub
    Verify {
        /// The exported file
        #[arg(value_name = "FILE")]
        log: PathBuf,
        /// The key that signs the log's heads, or did before it handed over to another
        /// [default: those in the operator's folder]
        #[arg(long, value_name = "PUB")]
        key: Option<PathBuf>,
    },
    /// Follow the hub's log from what it is now: after a restore, or once a warning was looked into
    Accept,
}

impl Command {
    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::Export { out } => conclude(export(dir, &out), json),
            Command::Replay(options) => conclude(replay::run(&options, dir), json),
            Command::Verify { log, key } => conclude(verify(dir, &log, key.as_deref()), json),
            Command::Accept => conclude(accept(dir), json),
        }
    }
}

/// An exported log: the head, and every entry in the bytes that were hashed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Export {
    checkpoint: String,
    /// How the key that signed it came into its place.
    hand_overs: Vec<String>,
    entries: Vec<String>,
}

fn export(dir: Option<&Path>, out: &Path) -> Outcome<Report> {
    files::must_be_absent(out)?;
    let operator = Operator::open(dir)?;
    // The head first: entries that come in meanwhile are more than it covers, never fewer.
    let head = operator.wait(operator.client().audit_head())?;
    let mut entries = Vec::new();
    let mut from = Some(0);
    while let Some(position) = from {
        let page = operator.wait(operator.client().audit_entries(position, PAGE))?;
        entries.extend(page.entries);
        from = page.next;
    }
    let (checkpoint, hand_overs) = (head.checkpoint, head.hand_overs);
    let export = Export { checkpoint, hand_overs, entries };
    let report = judge(&export, &operator.evidence_keys()?)?;
    let text = serde_json::to_string_pretty(&export).unwrap_or_default();
    files::write_new(out, text.as_bytes(), files::PUBLIC)?;
    Ok(report)
}

fn read(log: &Path) -> Outcome<Export> {
    let text = files::read_text(log, MAX_EXPORT_BYTES)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::refused(
            ringfort_cose::Reason::Malformed,
            format!("{} is not an exported log", log.display()),
        )
        .why(error.to_string())
    })
}

fn verify(dir: Option<&Path>, log: &Path, key: Option<&Path>) -> Outcome<Report> {
    let export = read(log)?;
    let known = match key {
        Some(path) => EvidenceKeys::of(keys::read_public(path)?),
        None => Operator::open(dir)?.evidence_keys()?,
    };
    judge(&export, &known)
}

fn accept(dir: Option<&Path>) -> Outcome<Accepted> {
    Ok(Accepted { entries: Operator::open(dir)?.accept_log()? })
}

fn judge(export: &Export, known: &EvidenceKeys) -> Outcome<Report> {
    let entries: Vec<Vec<u8>> = export
        .entries
        .iter()
        .enumerate()
        .map(|(position, text)| {
            hex::decode(text).map_err(|_| broken(format!("entry {position} was altered")))
        })
        .collect::<Outcome<_>>()?;
    let key = known.signer_of(&export.checkpoint, &export.hand_overs);
    let head =
        audit::verify(&entries, &export.checkpoint, &key).map_err(|b| broken(b.to_string()))?;
    Ok(Report { entries: head.size, root: hex::encode(head.root) })
}

fn broken(what: String) -> Failure {
    Failure::failed(
        format!("the audit log is not what the hub signed: {what}"),
        "Somebody changed the log, or the file was damaged on its way.",
        "Export it again; if it persists, compare with an older export and find out who had access.",
    )
}

#[derive(Serialize)]
struct Accepted {
    entries: u64,
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The log of {} entries is the one that is followed from here on", self.entries)
    }
}

#[derive(Serialize)]
struct Report {
    entries: u64,
    root: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} entries, none altered, removed or reordered; root {}",
            self.entries, self.root
        )
    }
}

const PAGE: u32 = 1000;
/// About five million entries.
const MAX_EXPORT_BYTES: usize = 4 << 30;
