//! `ringfort pki add-site`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::{AwsLc, Reason};
use ringfort_pki::{CERTIFICATE, Issuer, Role, to_pem};
use ringfort_trust::ids::SiteId;
use ringfort_trust::{Anchors, AnchorsSpec, KeyEntry, KeySpec};
use serde::Serialize;

use super::anchors::new::{encode, next_version};
use super::authorities::{open_root, pki_failure, write_certificate};
use super::record::Record;
use crate::anchors::{AnchorsFile, Chain};
use crate::failure::{Failure, Outcome};
use crate::site_files::{SiteAnswer, SiteApproval, SiteLimits, SiteRequest};
use crate::{clock, files};

/// Which site to add.
#[derive(Args)]
pub struct Options {
    /// The site's request, made with `ringfort factory init`
    #[arg(long, value_name = "FILE")]
    pub request: PathBuf,

    /// Directory of the root (after a loss: of the backup root)
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,

    /// Directory of the hub, or a copy of it: holds certs and anchors
    #[arg(long, value_name = "DIR", default_value = "hub")]
    pub hub: PathBuf,

    /// How much the site may do
    #[command(flatten)]
    pub limits: SiteLimits,

    /// Take the root's passphrase from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// What was made for the site.
#[derive(Serialize)]
pub struct Report {
    site: String,
    answer: PathBuf,
    anchors: PathBuf,
    anchors_version: u64,
}

/// Certifies the site's Factory CA and names its station key in the next anchors.
pub fn run(options: &Options) -> Outcome<Report> {
    let request = SiteRequest::read(&options.request)?;
    let record = Record::read(&options.hub)?;
    let draft = Draft::prepare(&options.hub.join("anchors"), &request)?;
    files::must_be_absent(&factory_certificate(&options.hub, &request))?;
    let root = open_root(&options.root, options.pin_file.as_deref())?;
    let answer = certify(&record, &root.issuer, &request, &options.limits, &options.hub)?;
    draft.write()?;
    Ok(Report {
        site: request.site.to_string(),
        answer,
        anchors: draft.path,
        anchors_version: draft.version,
    })
}

/// Certifies a site's Factory CA: its certificate and an approval for the hub, and the answer for
/// the site.
pub fn certify(
    record: &Record,
    root: &Issuer,
    request: &SiteRequest,
    limits: &SiteLimits,
    hub: &Path,
) -> Outcome<PathBuf> {
    let role = Role::Factory { site: request.site.to_string() };
    let plan = record.plan();
    let issued = plan
        .issue_authority(root, &role, &request.factory_ca, clock::now())
        .map_err(pki_failure)?;
    write_certificate(&factory_certificate(hub, request), &issued.der)?;
    let factory_ca = to_pem(CERTIFICATE, &issued.der).map_err(pki_failure)?;
    let approval = SiteApproval {
        site: request.site.to_string(),
        station_key: request.station.thumbprint(&AwsLc).to_string(),
        quota: limits.quota,
        serial_prefix: limits.serial_prefix.clone(),
        until: clock::text(clock::now() + u64::from(limits.site_days) * clock::DAY_S),
        factory_ca: factory_ca.clone(),
    };
    let answer = SiteAnswer {
        site: request.site.to_string(),
        factory_ca,
        root: to_pem(CERTIFICATE, root.certificate_der()).map_err(pki_failure)?,
        pki: record.clone(),
    };
    let directory = hub.join("sites");
    fs::create_dir_all(&directory).map_err(|e| {
        Failure::failed(
            format!("cannot make {}", directory.display()),
            files::sentence(&e),
            "Check who may write there.",
        )
    })?;
    let path = directory.join(format!("{}.answer", request.site));
    answer.write(&path)?;
    approval.write(&directory.join(format!("{}.toml", request.site)))?;
    Ok(path)
}

/// What a site's station key is called in the anchors.
pub fn station_name(site: &SiteId) -> String {
    format!("station {site}").chars().take(KeyEntry::MAX_NAME).collect()
}

fn factory_certificate(hub: &Path, request: &SiteRequest) -> PathBuf {
    hub.join("certs").join(format!("factory-{}.pem", request.site))
}

/// The anchors with the new station key: the next version, or version 1 while nobody signed it.
struct Draft {
    path: PathBuf,
    version: u64,
    bytes: Vec<u8>,
    replaces: bool,
}

impl Draft {
    fn prepare(directory: &Path, request: &SiteRequest) -> Outcome<Draft> {
        let first = AnchorsFile::read(&directory.join("1.cbor"))?;
        let unsigned = first.standing(None)?.signers.iter().all(|signer| !signer.has_signed);
        let mut spec = if unsigned {
            AnchorsSpec::of(&first.document()?)
        } else {
            let chain = Chain::read(directory)?;
            let newest = chain.newest()?;
            refuse_known_site(&newest, request)?;
            next_version(newest.document())
        };
        let name = station_name(&request.site);
        spec.keys.push(KeySpec::station(request.station, &name, request.site));
        let version = spec.version.0;
        let path = directory.join(format!("{version}.cbor"));
        if !unsigned {
            files::must_be_absent(&path)?;
        }
        Ok(Draft { path, version, bytes: encode(&spec)?, replaces: unsigned })
    }

    fn write(&self) -> Outcome<()> {
        if self.replaces {
            files::replace(&self.path, &self.bytes, files::PUBLIC)
        } else {
            files::write_new(&self.path, &self.bytes, files::PUBLIC)
        }
    }
}

fn refuse_known_site(anchors: &Anchors<'_>, request: &SiteRequest) -> Outcome<()> {
    let thumbprint = request.station.thumbprint(&AwsLc);
    if anchors.station_key(&thumbprint, &AwsLc).is_err() {
        return Ok(());
    }
    Err(Failure::refused(Reason::AlreadyExists, format!("site {} is in the anchors", request.site))
        .why("Its station key is named there already.")
        .next("Make a new station with `ringfort factory init` if its key was lost."))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let anchors = self.anchors.display();
        writeln!(f, "Certified the Factory CA of site {}", self.site)?;
        writeln!(f, "  {}  hand it to the site", self.answer.display())?;
        writeln!(f, "  {anchors}  version {} names its station key", self.anchors_version)?;
        writeln!(f, "Next: each signer runs ringfort pki anchors sign {anchors} --key KEY.sealed")?;
        write!(f, "Then hand the signed anchors to the hub and to the site.")
    }
}
