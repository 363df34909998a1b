//! `ringfort hub acknowledge`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_api::model::Outcome as Answer;
use serde::Serialize;

use crate::clock;
use crate::failure::Outcome;
use crate::operator::Operator;

/// As whom.
#[derive(Args)]
pub struct Options {
    /// The operator's folder [default: ~/.config/ringfort]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The restore that was acknowledged, or by whom it has to be.
#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Report {
    /// It was.
    Done {
        /// When the backup was made.
        backup_made: String,
        /// When it was put back.
        restored: String,
    },
    /// Another administrator has to acknowledge it too.
    Waiting {
        /// Administrators who did.
        given: u8,
        /// How many it takes.
        required: u8,
    },
}

/// Tells a restored hub that an administrator has looked.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let operator = Operator::open(options.dir.as_deref().or(dir))?;
    let text = |ms: i64| clock::text(ms.unsigned_abs() / 1000);
    Ok(match operator.wait(operator.client().acknowledge_restore())? {
        Answer::Done { result } => {
            Report::Done { backup_made: text(result.backup_ms), restored: text(result.restored_ms) }
        }
        Answer::Waiting { given, required } => Report::Waiting { given, required },
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Done { backup_made, restored } => {
                writeln!(f, "The hub serves again: as of {backup_made}, restored {restored}.")?;
                writeln!(f, "Its log is shorter than what was seen: ringfort audit accept")?;
                write!(f, "Look for alarms: ringfort device list --alarmed")
            }
            Report::Waiting { given, required } => {
                writeln!(f, "{given} of {required} administrators have acknowledged the restore.")?;
                write!(f, "Next: another administrator runs the same command")
            }
        }
    }
}
