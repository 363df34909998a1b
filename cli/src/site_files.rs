//! The two files between a factory site and the people who hold the root: the request with two
//! certificate requests (one for its Factory CA, one that proves it holds its station key), and
//! the answer with the certificates. Both are text and hold no secret.

use std::path::Path;

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
