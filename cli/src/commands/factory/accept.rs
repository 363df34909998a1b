//! `ringfort factory accept`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::{AwsLc, Reason};
use ringfort_keystore::SealedKey;
use ringfort_pki::{CERTIFICATE, CertificateInfo, SubjectKey, from_pem};
use ringfort_trust::ids::SiteId;
use serde::Serialize;

use super::station::{Layout, SITE, Station};
use crate::anchors::Chain;
use crate::commands::pki::authorities::{pki_failure, read_certificate, write_certificate};
use crate::failure::{Failure, Outcome};
use crate::keys::{self, key_failure};
use crate::site_files::SiteAnswer;
use crate::{clock, files};

/// What the people who hold the root handed over.
#[derive(Args)]
pub struct Options {
    /// The station's directory
    #[arg(long, default_value = "station")]
    pub dir: PathBuf,

    /// The answer that `ringfort pki init` or `pki add-site` made for this site; left out when
    /// only newer anchors are to be taken in
    #[arg(long, value_name = "FILE")]
    pub answer: Option<PathBuf>,

    /// The signed anchors: version 1, or a directory with 1.cbor and so on
    #[arg(long, value_name = "ANCHORS")]
    pub anchors: PathBuf,
}

/// The station, ready to provision.
#[derive(Serialize)]
pub struct Report {
    site: String,
    fleet: String,
    directory: PathBuf,
    anchors_version: u64,
    anchors_digest: String,
    factory_ca_until: String,
}

/// Checks certificates and anchors, and stores them.
pub fn run(options: &Options) -> Outcome<Report> {
    match (&options.answer, Layout::new(&options.dir).factory_ca().exists()) {
        (Some(answer), false) => first_time(options, answer),
        (None, true) => newer_anchors(options),
        (Some(_), true) => Err(Failure::refused(
            Reason::AlreadyExists,
            format!("the station in {} has its certificates", options.dir.display()),
        )
        .why("A station accepts an answer once.")
        .next("Leave --answer out to take in newer anchors.")),
        (None, false) => Err(Failure::usage(
            format!("the station in {} has no certificates yet", options.dir.display()),
            "The answer to its request is missing.",
            "Name it with --answer.",
        )),
    }
}

fn first_time(options: &Options, path: &Path) -> Outcome<Report> {
    let layout = Layout::new(&options.dir);
    let answer = SiteAnswer::read(path)?;
    let factory_ca = certificate(path, &answer.factory_ca)?;
    let root = certificate(path, &answer.root)?;
    check_certificates(&layout, &factory_ca, &root)?;
    let site = SiteId::new(&answer.site)
        .map_err(|reason| Failure::refused(reason, "the answer names no site"))?;
    let chain = Chain::read(&options.anchors)?;
    check_anchors(&layout, &chain, &site, &answer)?;

    for directory in [layout.anchors(), layout.pending(), layout.done(), layout.batches()] {
        files::new_directory(&directory)?;
    }
    for (index, file) in chain.files().iter().enumerate() {
        let path = layout.anchors().join(format!("{}.cbor", index + 1));
        files::write_new(&path, &file.bytes, files::PUBLIC)?;
    }
    answer.pki.write(&options.dir)?;
    files::write_new(&options.dir.join(SITE), format!("{site}\n").as_bytes(), files::PUBLIC)?;
    files::new_directory(&layout.certs())?;
    write_certificate(&layout.certs().join("root.pem"), &root)?;
    // The last file: a station without it has not accepted anything.
    write_certificate(&layout.factory_ca(), &factory_ca)?;
    report(options, &Station::open(&options.dir)?)
}

fn newer_anchors(options: &Options) -> Outcome<Report> {
    let station = Station::open(&options.dir)?;
    let chain = Chain::read(&options.anchors)?;
    let held = station.anchors.files();
    let continues = held.iter().zip(chain.files()).all(|(old, new)| old.bytes == new.bytes);
    if !continues {
        return Err(Failure::refused(Reason::WrongFleet, "the anchors are refused")
            .why("They do not continue the ones that the station holds.")
            .next("Name the directory with every version: 1.cbor, 2.cbor and so on."));
    }
    for (index, file) in chain.files().iter().enumerate().skip(held.len()) {
        let path = station.layout.anchors().join(format!("{}.cbor", index + 1));
        files::write_new(&path, &file.bytes, files::PUBLIC)?;
    }
    drop(station);
    report(options, &Station::open(&options.dir)?)
}

fn report(options: &Options, station: &Station) -> Outcome<Report> {
    let factory_ca = read_certificate(&station.layout.factory_ca())?;
    let info = CertificateInfo::parse(&factory_ca).map_err(pki_failure)?;
    Ok(Report {
        site: station.site.to_string(),
        fleet: station.fleet.to_string(),
        directory: options.dir.clone(),
        anchors_version: station.anchors.newest()?.version().0,
        anchors_digest: station.anchors.first()?.digest().to_string(),
        factory_ca_until: clock::text(info.not_after),
    })
}

fn certificate(path: &Path, pem: &str) -> Outcome<Vec<u8>> {
    from_pem(CERTIFICATE, pem).map_err(|e| {
        Failure::refused(e.reason(), format!("{} is not the answer to a site", path.display()))
            .why(format!("{e}."))
    })
}

fn check_certificates(layout: &Layout, factory_ca: &[u8], root: &[u8]) -> Outcome<()> {
    let sealed = layout.factory_ca_key().with_extension("sealed");
    let own = SealedKey::read(&sealed).map_err(key_failure)?.public_key();
    let own = SubjectKey::try_from(&own).map_err(pki_failure)?;
    let info = CertificateInfo::parse(factory_ca).map_err(pki_failure)?;
    let root = CertificateInfo::parse(root).map_err(pki_failure)?;
    let refused = |reason, why: &str| {
        Err(Failure::refused(reason, "the Factory CA's certificate is refused").why(why))
    };
    if info.key != own {
        return refused(Reason::UnknownCertificate, "It is for another station's key.");
    }
    if !info.is_signed_by(factory_ca, &root) {
        return refused(Reason::BadSignature, "The root in the same answer did not sign it.");
    }
    Ok(())
}

fn check_anchors(
    layout: &Layout,
    chain: &Chain,
    site: &SiteId,
    answer: &SiteAnswer,
) -> Outcome<()> {
    let anchors = chain.newest()?;
    if anchors.fleet() != answer.pki.fleet_id()? {
        return Err(Failure::refused(Reason::WrongFleet, "the anchors are refused")
            .why("They and the certificates belong to different fleets."));
    }
    let sealed = layout.station_key().with_extension("sealed");
    let station = SealedKey::read(&sealed).map_err(key_failure)?.public_key();
    let named = anchors.station_key(&keys::thumbprint(&station), &AwsLc);
    if named.is_ok_and(|(_, named_site)| named_site == *site) {
        return Ok(());
    }
    Err(Failure::refused(Reason::UntrustedSigner, "the anchors are refused")
        .why("They do not name this station's key, so the hub would take no batch of it.")
        .next("Ask for the anchors that `ringfort pki add-site` made, with every version before."))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Site {} can provision devices of fleet {}", self.site, self.fleet)?;
        writeln!(f, "  its Factory CA ends {}", self.factory_ca_until)?;
        writeln!(f, "  it holds the anchors up to version {}", self.anchors_version)?;
        writeln!(f, "  devices will believe version 1, {}", self.anchors_digest)?;
        writeln!(f, "Compare these digits with the people who signed, by telephone for instance.")?;
        write!(
            f,
            "Next: ringfort factory provision --dir {} --device NAME REQUEST",
            self.directory.display()
        )
    }
}
