//! `ringfort pki rotate`: new keys for the hub, certified by the root or, after its loss, by the
//! backup root; and the next anchors, which tell every device.

mod authority;
mod drill;
mod new_hub;
mod other_root;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_keystore::Passphrase;
use ringfort_trust::{AnchorsSpec, KeySpec, Role};
use serde::Serialize;

use self::authority::Which;
use super::anchors::new::{encode, next_version};
use super::authorities::{HubKeys, OPERATOR_CA, make_next_keys, open_root};
use super::record::Record;
use crate::address::Address;
use crate::anchors::Chain;
use crate::failure::{Failure, Outcome};
use crate::{files, passphrase};

/// What to replace.
#[derive(Args)]
pub struct Options {
    /// Directory of the root; after its loss, of the backup root
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,

    /// The hub's directory, or a copy of it: pki.toml, certs, sites and anchors are needed
    #[arg(long, value_name = "DIR", default_value = "hub")]
    pub hub: PathBuf,

    /// The hub is stolen or lost: make another one in this directory, and have devices drop the
    /// keys and the address of the old one
    #[arg(long, value_name = "DIR", requires = "hub_address")]
    pub new_hub: Option<PathBuf>,

    /// Address under which devices reach the new hub: not one that the thief has
    #[arg(long, value_name = "ADDRESS", requires = "new_hub")]
    pub hub_address: Option<String>,

    /// Replace the Device CA in time, and nothing else: devices move to the new one as they renew
    #[arg(long, conflicts_with = "new_hub")]
    pub device_ca: bool,

    /// Replace the Operator CA in time, and nothing else: people move to the new one as they renew
    #[arg(long, conflicts_with_all = ["new_hub", "device_ca"])]
    pub operator_ca: bool,

    /// The other root is lost: make another one in its place, in this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["new_hub", "device_ca", "operator_ca", "drill"])]
    pub other_root: Option<PathBuf>,

    /// Take the passphrase for that new root from this file (mode 0600)
    #[arg(long, value_name = "FILE", requires = "other_root")]
    pub other_root_pin_file: Option<PathBuf>,

    /// Rehearse it with keys that are thrown away; nothing is changed
    #[arg(long)]
    pub drill: bool,

    /// Seal the new keys under the passphrase in this file [default: HUB/pin; a new one in
    /// NEW_HUB/pin]
    #[arg(long, value_name = "FILE")]
    pub hub_pin_file: Option<PathBuf>,

    /// Take the root's passphrase from this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}

/// What came of it.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Report {
    /// Keys for a hub that goes on.
    Next(Next),
    /// A Device CA or an Operator CA for a hub that goes on.
    Authority(authority::Next),
    /// A root in the place of a lost one.
    OtherRoot(other_root::Made),
    /// A hub in the place of another.
    NewHub(new_hub::Made),
    /// Nothing but an account.
    Drill(drill::Rehearsal),
}

/// Keys that wait for the hub to take them.
#[derive(Serialize)]
pub struct Next {
    by: String,
    directory: PathBuf,
    anchors: PathBuf,
    version: u64,
}

/// Makes the keys and the draft of the anchors.
pub fn run(options: &Options) -> Outcome<Report> {
    let record = Record::read(&options.hub)?;
    let chain = Chain::read(&options.hub.join("anchors"))?;
    let address = options.hub_address.as_deref().map(Address::parse).transpose()?;
    if let Some(address) = &address {
        address.check_for(record.is_quickstart())?;
    }
    let one = match (options.device_ca, options.operator_ca) {
        (true, _) => Some(Which::Device),
        (_, true) => Some(Which::Operator),
        _ => None,
    };
    match (one, &options.other_root) {
        (Some(which), _) if options.drill => {
            return authority::drill(options, &record, which).map(Report::Drill);
        }
        (Some(which), _) => return authority::run(options, &record, which).map(Report::Authority),
        (None, Some(place)) => {
            return other_root::run(options, &record, place).map(Report::OtherRoot);
        }
        (None, None) => {}
    }
    if options.drill {
        return drill::run(options, &record, &chain, address.as_ref()).map(Report::Drill);
    }
    match (&options.new_hub, &address) {
        (Some(place), Some(address)) => {
            new_hub::run(options, &record, &chain, place, address).map(Report::NewHub)
        }
        _ => next(options, &record, &chain).map(Report::Next),
    }
}

/// Keys beside those in use: devices trust both until the next anchors but one.
fn next(options: &Options, record: &Record, chain: &Chain) -> Outcome<Next> {
    let newest = chain.newest()?;
    let directory = options.hub.join(NEXT);
    files::must_be_absent_or_empty(&directory)?;
    let version = newest.version().0 + 1;
    let anchors = options.hub.join("anchors").join(format!("{version}.cbor"));
    files::must_be_absent(&anchors)?;
    let passphrase = existing_passphrase(options)?;
    let root = open_root(&options.root, options.pin_file.as_deref())?;
    files::new_directory(&directory)?;
    let keys = make_next_keys(&record.plan(), &root.issuer, &directory, &passphrase)?;
    let mut spec = next_version(newest.document());
    spec.keys.push(KeySpec::new(Role::Order, keys.order, &order_name(version)));
    spec.server_cas.push(keys.server_ca);
    files::write_new(&anchors, &encode(&spec)?, files::PUBLIC)?;
    Ok(Next { by: root.stem.replace('-', " "), directory, anchors, version })
}

/// What opens the keys of the hub that goes on.
fn existing_passphrase(options: &Options) -> Outcome<Passphrase> {
    let usual = options.hub.join("pin");
    let file = options.hub_pin_file.as_deref().unwrap_or(&usual);
    if !file.exists() {
        return Err(Failure::usage(
            "nothing says under which passphrase to seal the new keys",
            format!("There is no {}.", file.display()),
            "Name the file that opens the hub's keys with --hub-pin-file.",
        ));
    }
    passphrase::existing(Some(file), "the hub's keys")
}

/// The anchors after these, in which another hub has the place of the old one.
fn replaced(mut spec: AnchorsSpec, keys: &HubKeys, address: Option<&Address>) -> AnchorsSpec {
    spec.keys.retain(|key| key.role != Role::Order);
    let name = order_name(spec.version.0);
    spec.keys.push(KeySpec::new(Role::Order, keys.order, &name));
    spec.server_cas = vec![keys.server_ca.clone()];
    if let Some(address) = address {
        spec.hub = address.url();
    }
    spec
}

fn order_name(version: u64) -> String {
    format!("hub since {version}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Next(next) => next.fmt(f),
            Report::Authority(next) => next.fmt(f),
            Report::OtherRoot(made) => made.fmt(f),
            Report::NewHub(made) => made.fmt(f),
            Report::Drill(rehearsal) => rehearsal.fmt(f),
        }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (anchors, directory) = (self.anchors.display(), self.directory.display());
        writeln!(f, "The {} certified a new Server CA; a new order key is made", self.by)?;
        writeln!(f, "  {directory}  waits for the hub")?;
        writeln!(f, "  {anchors}  version {} names old and new keys", self.version)?;
        writeln!(f, "Next: each signer runs ringfort pki anchors sign {anchors} --key KEY.sealed")?;
        writeln!(f, "Then: ringfort pki anchors publish {anchors}")?;
        write!(f, "Then, with the hub stopped: ringfort hub rotate")
    }
}

/// Copies what holds no secret from one hub's directory to another's.
fn copy_public(from: &Path, to: &Path) -> Outcome<()> {
    for (folder, suffixes) in [
        ("certs", &[".pem", ".crl"][..]),
        ("sites", &[".toml", ".answer"]),
        ("anchors", &[".cbor"]),
    ] {
        let Ok(entries) = std::fs::read_dir(from.join(folder)) else { continue };
        if !to.join(folder).exists() {
            files::new_directory(&to.join(folder))?;
        }
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let kept = suffixes.iter().any(|suffix| name.ends_with(suffix));
            let place = to.join(folder).join(&name);
            // What the new hub has of its own stays, and nobody comes in by an older Operator CA.
            let own = HUBS_OWN.contains(&name.as_str()) || name.starts_with(OPERATOR_CA);
            if kept && !place.exists() && !own {
                files::write_new(&place, &files::read(&entry.path(), MAX_FILE)?, files::PUBLIC)?;
            }
        }
    }
    Ok(())
}

/// Where keys wait for the hub to take them.
pub const NEXT: &str = "next";
const HUBS_OWN: [&str; 3] = ["device-ca.pem", "server-ca.pem", "operator-ca.pem"];
const MAX_FILE: usize = 16 * 1024 * 1024;
