//! `ringfort hub add-site`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_api::model::NewSite;
use ringfort_cose::Reason;
use serde::Serialize;

use crate::clock;
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::site_files::SiteApproval;

/// Which site to add, and as whom.
#[derive(Args)]
pub struct Options {
    /// The approval, made with `ringfort pki add-site`: HUB/sites/SITE.toml
    pub approval: PathBuf,

    /// The operator's folder [default: ~/.config/ringfort]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The site that the hub knows now.
#[derive(Serialize)]
pub struct Report {
    site: String,
    quota: u64,
    until: String,
}

/// Tells a running hub of a site. The anchors that name its station have to be there before.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let approval = SiteApproval::read(&options.approval)?;
    let until = clock::parse(&approval.until).ok_or_else(|| {
        Failure::refused(Reason::Malformed, "the approval is refused")
            .why(format!("until = \"{}\" is no time.", approval.until))
            .next("Write it like 2027-01-31T00:00:00Z.")
    })?;
    let site = NewSite {
        id: approval.site.clone(),
        factory_ca: approval.factory_ca,
        serial_prefix: approval.serial_prefix,
        quota: approval.quota,
        not_after_ms: i64::try_from(until.saturating_mul(1000)).unwrap_or(i64::MAX),
    };
    let operator = Operator::open(options.dir.as_deref().or(dir))?;
    operator.wait(operator.client().add_site(&site))?;
    Ok(Report { site: approval.site, quota: approval.quota, until: approval.until })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { site, quota, until } = self;
        write!(f, "The hub takes batches of site {site}: {quota} devices, until {until}.")
    }
}
