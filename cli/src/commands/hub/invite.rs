//! `ringfort hub invite`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ringfort_fleet::Role;
use serde::Serialize;

use super::config::HubConfig;
use super::lock;
use super::open::Hub;
use crate::failure::Outcome;
use crate::{files, runtime};

/// Whom to invite.
#[derive(Args)]
pub struct Options {
    /// The hub's directory; the hub must not be serving
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,

    /// Name of the administrator; one that nobody has
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub admin: String,

    /// Where the invitation goes
    #[arg(long, value_name = "FILE", default_value = "admin.invitation")]
    pub invitation: PathBuf,
}

/// An invitation that was made.
#[derive(Serialize)]
pub struct Report {
    name: String,
    invitation: PathBuf,
    until: String,
    directory: PathBuf,
}

/// Invites an administrator, by right of whoever works with the hub's directory.
pub fn run(options: &Options) -> Outcome<Report> {
    files::must_be_absent(&options.invitation)?;
    let config = HubConfig::read(&options.dir)?;
    // A hub that serves holds the audit log in memory: two would write two logs.
    let _lock = lock::take(&options.dir)?;
    let invitation = runtime::new()?.block_on(async {
        let hub = Hub::open(&options.dir, config).await?;
        let invited = hub.invite(&options.admin, Role::Admin).await;
        hub.fleet.close().await;
        invited
    })?;
    invitation.write(&options.invitation)?;
    Ok(Report {
        name: invitation.name,
        invitation: options.invitation.clone(),
        until: invitation.until,
        directory: options.dir.clone(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { name, invitation, until, directory } = self;
        let (invitation, directory) = (invitation.display(), directory.display());
        writeln!(f, "{name} is invited (admin): {invitation} works once, until {until}")?;
        writeln!(f, "Next: ringfort hub serve --dir {directory}")?;
        write!(f, "      ringfort login {invitation}")
    }
}
