//! `ringfort factory init`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ringfort_cose::Algorithm;
use ringfort_trust::ids::SiteId;
use serde::Serialize;

use super::station::Layout;
use crate::failure::{Failure, Outcome};
use crate::site_files::SiteRequest;
use crate::{files, keys, passphrase};

/// What to make.
#[derive(Args)]
pub struct Options {
    /// The station's directory, to be made
    #[arg(long, default_value = "station")]
    pub dir: PathBuf,

    /// Name of the site: letters, digits, dot, underscore, hyphen
    #[arg(long)]
    pub site: String,

    /// Take the passphrase of the station's keys from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// The station that was made.
#[derive(Serialize)]
pub struct Report {
    site: String,
    directory: PathBuf,
    request: PathBuf,
    station_key: String,
}

/// Makes the station's directory, its two keys and its request.
pub fn run(options: &Options) -> Outcome<Report> {
    let site = SiteId::new(&options.site).map_err(|_| {
        Failure::usage(
            format!("\"{}\" cannot be a site's name", options.site),
            "A site's name has 1 to 32 letters, digits, dots, underscores or hyphens.",
            "Choose a name like munich-1.",
        )
    })?;
    files::must_be_absent_or_empty(&options.dir)?;
    let passphrase = passphrase::new(options.pin_file.as_deref(), "the station's keys")?;
    let layout = Layout::new(&options.dir);
    for directory in [&options.dir, &layout.keys()] {
        files::new_directory(directory)?;
    }
    let factory_ca = keys::make(&layout.factory_ca_key(), Algorithm::Esp256, &passphrase)?;
    let station = keys::make(&layout.station_key(), Algorithm::Esp256, &passphrase)?;
    let request = options.dir.join(format!("{site}.request"));
    SiteRequest::write(&request, &site, factory_ca.key.as_ref(), station.key.as_ref())?;
    Ok(Report {
        site: site.to_string(),
        directory: options.dir.clone(),
        request,
        station_key: keys::thumbprint(&station.key.public_key()).to_string(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (directory, request) = (self.directory.display(), self.request.display());
        writeln!(f, "Made the station of site {} in {directory}", self.site)?;
        writeln!(f, "  station key {}", self.station_key)?;
        writeln!(f, "Next: hand {request} to the people who hold the root. They name it in")?;
        writeln!(f, "  ringfort pki init --site {request} …       (a new PKI), or")?;
        writeln!(f, "  ringfort pki add-site --request {request} …")?;
        write!(f, "and hand back the site's certificates and the anchors.")
    }
}
