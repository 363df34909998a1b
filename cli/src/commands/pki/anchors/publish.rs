//! `ringfort pki anchors publish`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::Reason;
use serde::Serialize;

use super::before;
use crate::anchors::AnchorsFile;
use crate::failure::Outcome;
use crate::operator::Operator;

/// Which document to publish, and as whom.
#[derive(Args)]
pub struct Options {
    /// The signed anchors document
    pub file: PathBuf,

    /// The operator's folder [default: ~/.config/ringfort]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The version that the hub serves now.
#[derive(Serialize)]
pub struct Report {
    version: u64,
}

/// Hands a complete document to the hub, which serves it to every device from then on.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let file = AnchorsFile::read(&options.file)?;
    let standing = file.standing(before(&file)?.as_ref())?;
    if !standing.complete {
        let reason = standing.damage().unwrap_or(Reason::ThresholdNotMet);
        return Err(file.refused(reason).why(standing.to_string()));
    }
    let operator = Operator::open(options.dir.as_deref().or(dir))?;
    operator.wait(operator.client().add_anchors(file.bytes))?;
    Ok(Report { version: standing.version })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The hub serves version {} of the anchors. Put it to the spare address too.",
            self.version
        )
    }
}
