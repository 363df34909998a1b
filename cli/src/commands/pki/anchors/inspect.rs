//! `ringfort pki anchors inspect`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use ringfort_pki::CertificateInfo;
use ringfort_trust::{Document, Role};
use serde::Serialize;

use super::before;
use crate::anchors::{AnchorsFile, Standing};
use crate::failure::Outcome;
use crate::output::Table;
use crate::{clock, keys};

/// What to show.
#[derive(Args)]
pub struct Options {
    /// The anchors document
    pub file: PathBuf,
}

/// What a document says.
#[derive(Serialize)]
pub struct Report {
    fleet: String,
    time_floor: String,
    hub: String,
    spare: Option<String>,
    digest: String,
    size_bytes: usize,
    command_threshold: usize,
    keys: Vec<Key>,
    products: Vec<Product>,
    server_cas: Vec<ServerCa>,
    revoked: Vec<String>,
    #[serde(flatten)]
    standing: Standing,
}

#[derive(Serialize)]
struct Key {
    role: &'static str,
    name: String,
    site: Option<String>,
    thumbprint: String,
}

#[derive(Serialize)]
struct Product {
    vendor: String,
    class: String,
    vendor_id: String,
    class_id: String,
    threshold: usize,
    keys: Vec<String>,
}

#[derive(Serialize)]
struct ServerCa {
    subject: Option<String>,
    fingerprint: String,
    not_after: Option<String>,
}

/// Reads the document and judges its signatures.
pub fn run(options: &Options) -> Outcome<Report> {
    let file = AnchorsFile::read(&options.file)?;
    let before = before(&file)?;
    let standing = file.standing(before.as_ref())?;
    let document = file.document()?;
    Ok(Report {
        fleet: document.fleet().to_string(),
        time_floor: clock::text(document.time_floor().0),
        hub: document.hub().to_owned(),
        spare: document.spare().map(ToOwned::to_owned),
        digest: file.digest().to_string(),
        size_bytes: file.bytes.len(),
        command_threshold: document.command_threshold(),
        keys: keys_of(&document),
        products: products_of(&document),
        server_cas: document.server_cas().map(server_ca).collect(),
        revoked: document.revoked().map(|digest| digest.to_string()).collect(),
        standing,
    })
}

fn keys_of(document: &Document<'_>) -> Vec<Key> {
    document
        .keys()
        .map(|entry| Key {
            role: entry.role.name(),
            name: entry.name.to_string(),
            site: entry.site.map(|site| site.to_string()),
            thumbprint: keys::thumbprint(&entry.key).to_string(),
        })
        .collect()
}

fn products_of(document: &Document<'_>) -> Vec<Product> {
    let name = |position: &u8| {
        let entry = document.keys().nth(usize::from(*position));
        entry.filter(|entry| entry.role == Role::Release).map(|entry| entry.name.to_string())
    };
    document
        .products()
        .map(|product| Product {
            vendor: product.vendor_name.to_string(),
            class: product.class_name.to_string(),
            vendor_id: product.vendor.to_string(),
            class_id: product.class.to_string(),
            threshold: product.threshold,
            keys: product.key_positions().iter().filter_map(name).collect(),
        })
        .collect()
}

fn server_ca(der: &[u8]) -> ServerCa {
    let info = CertificateInfo::parse(der).ok();
    ServerCa {
        subject: info.as_ref().and_then(|info| info.common_name.clone()),
        fingerprint: hex::encode(ringfort_pki::fingerprint(der)),
        not_after: info.map(|info| clock::text(info.not_after)),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = Table::plain();
        head.row([
            "anchors",
            &format!("version {} of fleet {}", self.standing.version, self.fleet),
        ]);
        head.row(["hub", &self.hub]);
        head.row(["spare", self.spare.as_deref().unwrap_or("none")]);
        let commands = self.keys.iter().filter(|key| key.role == Role::Command.name()).count();
        let signers = match commands {
            0 => "none: no command key is named".to_owned(),
            _ => format!("{} of {commands} command keys sign them", self.command_threshold),
        };
        head.row(["commands", &signers]);
        head.row(["time floor", &self.time_floor]);
        head.row(["digest", &self.digest]);
        head.row(["size", &format!("{} of {} bytes", self.size_bytes, Document::MAX_LEN)]);
        writeln!(f, "{head}\n")?;
        let mut table = Table::new(&["role", "key", "name", "site"]);
        for key in &self.keys {
            let site = key.site.as_deref().unwrap_or_default();
            table.row([key.role, &key.thumbprint[..16], &key.name, site]);
        }
        writeln!(f, "{table}\n")?;
        let mut table = Table::new(&["product", "class id", "release keys"]);
        for product in &self.products {
            let keys = format!(
                "{} of {}: {}",
                product.threshold,
                product.keys.len(),
                product.keys.join(", ")
            );
            table.row([&format!("{}/{}", product.vendor, product.class), &product.class_id, &keys]);
        }
        writeln!(f, "{table}\n")?;
        for ca in &self.server_cas {
            let subject = ca.subject.as_deref().unwrap_or("(not readable)");
            let end = ca.not_after.as_deref().unwrap_or("(not readable)");
            writeln!(f, "TLS trusts {subject} until {end}")?;
        }
        for digest in &self.revoked {
            writeln!(f, "revoked release {digest}")?;
        }
        let verdict = match (self.standing.complete, self.standing.damage()) {
            (true, _) => "complete".to_owned(),
            (false, Some(reason)) => format!("REFUSED, {reason}: {}", reason.meaning()),
            (false, None) => "not complete".to_owned(),
        };
        write!(f, "{} The document is {verdict}.", self.standing)
    }
}
