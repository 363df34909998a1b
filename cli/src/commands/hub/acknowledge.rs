//! `ringfort hub acknowledge`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
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

/// The restore that was acknowledged.
#[derive(Serialize)]
pub struct Report {
    backup_made: String,
    restored: String,
}

/// Tells a restored hub that an administrator has looked.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let operator = Operator::open(options.dir.as_deref().or(dir))?;
    let restored = operator.wait(operator.client().acknowledge_restore())?;
    let text = |ms: i64| clock::text(ms.unsigned_abs() / 1000);
    Ok(Report { backup_made: text(restored.backup_ms), restored: text(restored.restored_ms) })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { backup_made, restored } = self;
        writeln!(f, "The hub serves again: as of {backup_made}, restored {restored}.")?;
        write!(f, "Look for alarms: ringfort device list --alarmed")
    }
}
