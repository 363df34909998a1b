//! The files between a factory site, the people who hold the root, and the hub: the site's request
//! with two certificate requests (one for its Factory CA, one that proves it holds its station
//! key); the answer with the certificates; and what the hub is told to accept of the site. All are
//! text and hold no secret.

use std::path::Path;

use clap::Args;
use ringfort_cose::{PublicKey, Reason, Sign};
use ringfort_pki::{Csr, SubjectKey, from_pem, to_pem};
use ringfort_trust::ids::SiteId;
use serde::{Deserialize, Serialize};

use crate::commands::pki::record::Record;
use crate::failure::{Failure, Outcome};
use crate::{csr, files};

/// A request whose two proofs of possession were checked.
pub struct SiteRequest {
    /// The site.
    pub site: SiteId,
    /// The key of its Factory CA.
    pub factory_ca: SubjectKey,
    /// The key that signs its batches.
    pub station: PublicKey,
}

/// What the site gets back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteAnswer {
    /// The site.
    pub site: String,
    /// The Factory CA's certificate, PEM.
    pub factory_ca: String,
    /// The root's certificate, PEM.
    pub root: String,
    /// The PKI that the site belongs to.
    pub pki: Record,
}

impl SiteAnswer {
    /// Reads an answer.
    pub fn read(path: &Path) -> Outcome<SiteAnswer> {
        toml::from_str(&files::read_text(path, MAX_BYTES)?).map_err(|e| {
            Failure::refused(
                Reason::Malformed,
                format!("{} is not the answer to a site", path.display()),
            )
            .why(e.message().to_owned())
            .next("Name the .answer file that `ringfort pki add-site` made.")
        })
    }

    /// Writes an answer.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        write(path, "# The answer to a factory site, for `ringfort factory accept`.", self)
    }
}

/// What the hub accepts of a site: approved by people beforehand.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteApproval {
    /// The site.
    pub site: String,
    /// Thumbprint of the key that signs its batches.
    pub station_key: String,
    /// How many devices it may make.
    pub quota: u64,
    /// What the name of each of its devices starts with; empty for anything.
    pub serial_prefix: String,
    /// Until when its batches are taken: RFC 3339.
    pub until: String,
    /// Its Factory CA's certificate, PEM.
    pub factory_ca: String,
}

impl SiteApproval {
    /// Reads an approval.
    pub fn read(path: &Path) -> Outcome<SiteApproval> {
        toml::from_str(&files::read_text(path, MAX_BYTES)?).map_err(|e| {
            Failure::refused(
                Reason::Malformed,
                format!("{} is not the approval of a site", path.display()),
            )
            .why(e.message().to_owned())
            .next("Correct it, or remove it and add the site again.")
        })
    }

    /// Writes an approval.
    pub fn write(&self, path: &Path) -> Outcome<()> {
        write(path, "# What the hub accepts of a factory site.", self)
    }
}

/// How much a site may do.
#[derive(Clone, Debug, Args)]
pub struct SiteLimits {
    /// How many devices the site may make
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub quota: u64,

    /// What the name of each of its devices has to start with
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub serial_prefix: String,

    /// For how many days from now the hub takes its batches
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    pub site_days: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    site: String,
    factory_ca: String,
    station: String,
}

impl SiteRequest {
    /// Reads a request and checks it.
    pub fn read(path: &Path) -> Outcome<SiteRequest> {
        let refused = |reason: Reason, why: String| {
            Failure::refused(reason, format!("{} is not a site's request", path.display()))
                .why(why)
                .next("Name the .request file that `ringfort factory init` made.")
        };
        let file: RequestFile = toml::from_str(&files::read_text(path, MAX_BYTES)?)
            .map_err(|e| refused(Reason::Malformed, e.message().to_owned()))?;
        let key = |pem: &str| {
            let der = from_pem(CSR, pem)?;
            Ok::<SubjectKey, ringfort_pki::Error>(Csr::parse(&der)?.key().clone())
        };
        let refused_pki = |e: ringfort_pki::Error| refused(e.reason(), format!("{e}."));
        let factory_ca = key(&file.factory_ca).map_err(refused_pki)?;
        let station = key(&file.station).map_err(refused_pki)?;
        if factory_ca == station {
            return Err(refused(
                Reason::KeyInTwoRoles,
                "Its Factory CA and its station would have one key.".to_owned(),
            ));
        }
        let site = SiteId::new(&file.site).map_err(|reason| {
            refused(reason, format!("\"{}\" is not a site's name.", file.site))
        })?;
        Ok(SiteRequest { site, factory_ca, station: PublicKey::from(&station) })
    }

    /// Writes the request of a site for keys that are held here.
    pub fn write(
        path: &Path,
        site: &SiteId,
        factory_ca: &dyn Sign,
        station: &dyn Sign,
    ) -> Outcome<()> {
        let pem = |signer: &dyn Sign| {
            let der = csr::request(signer)?;
            to_pem(CSR, &der).map_err(|e| Failure::refused(e.reason(), e.to_string()))
        };
        let file = RequestFile {
            site: site.to_string(),
            factory_ca: pem(factory_ca)?,
            station: pem(station)?,
        };
        write(path, "# A factory site's request, for `ringfort pki add-site`.", &file)
    }
}

fn write(path: &Path, heading: &str, value: &impl Serialize) -> Outcome<()> {
    let text = toml::to_string_pretty(value).map_err(|e| {
        Failure::failed(format!("cannot write {}", path.display()), e.to_string(), "Report this.")
    })?;
    let text = format!("{heading} It holds no secret.\n{text}");
    files::write_new(path, text.as_bytes(), files::PUBLIC)
}

const CSR: &str = "CERTIFICATE REQUEST";
const MAX_BYTES: usize = 16 * 1024;
