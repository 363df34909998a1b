//! A hub in the place of one that was stolen or lost.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Options, copy_public, replaced};
use crate::address::Address;
use crate::anchors::Chain;
use crate::commands::pki::anchors::new::{encode, next_version};
use crate::commands::pki::authorities::{hub_passphrase, make_hub_keys, open_root};
use crate::commands::pki::record::Record;
use crate::failure::{Failure, Outcome};
use crate::files;

/// A hub's directory, its anchors not signed yet.
#[derive(Serialize)]
pub struct Made {
    by: String,
    new_hub: PathBuf,
    address: String,
    anchors: PathBuf,
    version: u64,
    /// What devices drop with these anchors: the old hub's keys and authorities.
    dropped_order_keys: usize,
    dropped_server_cas: usize,
}

/// Makes the directory: every key of its own, and the anchors that drop the old hub's.
pub fn run(
    options: &Options,
    record: &Record,
    chain: &Chain,
    place: &Path,
    address: &Address,
) -> Outcome<Made> {
    if files::same_or_nested(place, &options.hub) {
        return Err(Failure::usage(
            "the new hub and the old one cannot share a directory",
            format!("{} holds what the old hub had.", options.hub.display()),
            "Give the new hub a directory of its own.",
        ));
    }
    let newest = chain.newest()?;
    files::must_be_absent_or_empty(place)?;
    let root = open_root(&options.root, options.pin_file.as_deref())?;
    files::new_directory(place)?;
    let passphrase = hub_passphrase(place, options.hub_pin_file.as_deref())?;
    let keys = make_hub_keys(&record.plan(), &root.issuer, place, &passphrase)?;
    record.write(place)?;
    copy_public(&options.hub, place)?;
    let before = next_version(newest.document());
    let spec = replaced(before, &keys, Some(address));
    let version = spec.version.0;
    let anchors = place.join("anchors").join(format!("{version}.cbor"));
    files::write_new(&anchors, &encode(&spec)?, files::PUBLIC)?;
    Ok(Made {
        by: root.stem.replace('-', " "),
        new_hub: place.to_owned(),
        address: address.url(),
        anchors,
        version,
        dropped_order_keys: newest.keys_of(ringfort_trust::Role::Order).count(),
        dropped_server_cas: newest.server_cas().count(),
    })
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hub, anchors) = (self.new_hub.display(), self.anchors.display());
        writeln!(f, "Made another hub in {hub}; the {} certified its authorities", self.by)?;
        writeln!(f, "  devices  {}", self.address)?;
        writeln!(
            f,
            "  {anchors}  version {} drops {} order key(s) and {} Server CA(s) of the old hub",
            self.version, self.dropped_order_keys, self.dropped_server_cas
        )?;
        writeln!(f, "Next: each signer runs ringfort pki anchors sign {anchors} --key KEY.sealed")?;
        writeln!(f, "Then: put {anchors} to the spare address; devices ask it once a day")?;
        writeln!(f, "      ringfort hub init --dir {hub}")?;
        writeln!(f, "      ringfort hub serve --dir {hub}")?;
        writeln!(f, "      ringfort factory import BATCH          (every batch of every site)")?;
        write!(f, "      ringfort audit replay EXPORT --trust OPERATOR.pem")
    }
}
