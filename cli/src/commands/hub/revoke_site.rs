//! `ringfort hub revoke-site`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::failure::Outcome;
use crate::operator::Operator;

/// Which site to end, and as whom.
#[derive(Args)]
pub struct Options {
    /// The site's name
    pub site: String,

    /// The operator's folder [default: ~/.config/ringfort]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The site that has ended.
#[derive(Serialize)]
pub struct Report {
    site: String,
}

/// Ends a site at a running hub.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let operator = Operator::open(options.dir.as_deref().or(dir))?;
    operator.wait(operator.client().revoke_site(&options.site))?;
    Ok(Report { site: options.site.clone() })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { site } = self;
        writeln!(
            f,
            "The hub takes no further batch of site {site}. Devices that it made before stay."
        )?;
        write!(f, "Next: ringfort pki anchors new --drop-site {site}, so that its key ends too")
    }
}
