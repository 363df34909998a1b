//! Authorities that were replaced, in the hub's directory: `certs/device-ca-1.pem` is the first
//! Device CA, `certs/operator-ca-1.pem` the first Operator CA, `certs/root-1.pem` the first root.
//! Their certificates stay for ever, so that each has a number.

use std::path::{Path, PathBuf};

use crate::clock;
use crate::commands::pki::authorities::{OPERATOR_CA, ROOTS, pki_failure, read_certificate};
use crate::failure::Outcome;

/// Those before the authority that is in use.
pub struct Earlier {
    directory: PathBuf,
    stem: String,
    numbers: Vec<u16>,
}

impl Earlier {
    /// Those of a hub's directory whose files have this stem.
    pub fn of(directory: &Path, stem: &str) -> Earlier {
        let entries = std::fs::read_dir(directory.join("certs"));
        let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
        let number = |name: std::ffi::OsString| {
            let rest = name.to_str()?.strip_prefix(stem)?.strip_prefix('-')?;
            rest.strip_suffix(".pem")?.parse().ok()
        };
        let mut numbers: Vec<u16> = names.filter_map(number).collect();
        numbers.sort_unstable();
        Earlier { directory: directory.to_owned(), stem: stem.to_owned(), numbers }
    }

    /// The number of the one after all of them, which is in use.
    pub fn next_number(&self) -> u16 {
        self.numbers.last().map_or(1, |last| last.saturating_add(1))
    }

    /// Those whose keys are there, with their files' stem. Device CAs sign CRLs for as long as
    /// their certificates live.
    pub fn with_keys(&self) -> Vec<(u16, String)> {
        self.named().filter(|(_, name)| self.has_key(name)).collect()
    }

    /// The stems of all of them.
    pub fn stems(&self) -> Vec<String> {
        self.named().map(|(_, name)| name).collect()
    }

    /// Their certificates, DER, as long as these last.
    pub fn certificates(&self) -> Outcome<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        for (_, name) in self.named() {
            let der = read_certificate(&self.directory.join(format!("certs/{name}.pem")))?;
            let info = ringfort_pki::CertificateInfo::parse(&der).map_err(pki_failure)?;
            if info.not_after > clock::now() {
                found.push(der);
            }
        }
        Ok(found)
    }

    fn named(&self) -> impl Iterator<Item = (u16, String)> {
        self.numbers.iter().map(|number| (*number, format!("{}-{number}", self.stem)))
    }

    fn has_key(&self, name: &str) -> bool {
        self.directory.join(format!("keys/{name}.sealed")).exists()
    }
}

/// The certificates of earlier Operator CAs: people show certificates of theirs until they renew.
pub fn operator_cas(directory: &Path) -> Outcome<Vec<Vec<u8>>> {
    Earlier::of(directory, OPERATOR_CA).certificates()
}

/// The certificates of roots that were replaced: they are above what they certified.
pub fn roots(directory: &Path) -> Outcome<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for stem in ROOTS {
        found.extend(Earlier::of(directory, stem).certificates()?);
    }
    Ok(found)
}
