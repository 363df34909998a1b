//! `ringfort factory import`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_api::model::BatchTaken;
use ringfort_messages::Batch;
use serde::Serialize;

use crate::failure::Outcome;
use crate::files;
use crate::operator::Operator;

/// Which batch to hand in, and as whom.
#[derive(Args)]
pub struct Options {
    /// The batch, made with `ringfort factory export`
    pub batch: PathBuf,

    /// The operator's folder [default: ~/.config/ringfort]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The batch that the hub took.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Report(BatchTaken);

/// Hands the batch to the hub, which checks it.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let batch = files::read(&options.batch, Batch::MAX_LEN)?;
    let operator = Operator::open(options.dir.as_deref().or(dir))?;
    operator.wait(operator.client().import_batch(batch)).map(Report)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BatchTaken { site, number, devices } = &self.0;
        let devices = match devices {
            1 => "1 device is".to_owned(),
            n => format!("{n} devices are"),
        };
        write!(f, "The hub took batch {number} of site {site}: {devices} in stock and may enrol.")
    }
}
