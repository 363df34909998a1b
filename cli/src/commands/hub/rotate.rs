//! `ringfort hub rotate`: the hub takes the keys that `pki rotate` made for it, or a new evidence key,
//! which nobody has to certify.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::{AwsLc, Reason};
use ringfort_fleet::HandOver;
use serde::Serialize;

use super::earlier::Earlier;
use super::{evidence_key, lock};
use crate::anchors::Chain;
use crate::commands::pki::authorities::{DEVICE_CA, OPERATOR_CA, ROOTS, read_certificate};
use crate::commands::pki::rotate::NEXT;
use crate::failure::{Failure, Outcome};
use crate::{files, keys};

/// Which hub.
#[derive(Args)]
pub struct Options {
    /// The hub's directory; the hub has to be stopped
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,

    /// Replace the key that signs the audit log's heads, and nothing else; nobody has to be told
    #[arg(long)]
    pub evidence_key: bool,
}

/// Which keys the hub has now.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Report {
    /// A Server CA and an order key.
    Keys {
        /// The hub's directory.
        directory: PathBuf,
        /// Where the old ones lie.
        previous: PathBuf,
        /// The anchors that name the new ones.
        anchors_version: u64,
    },
    /// An evidence key.
    Evidence {
        /// The hub's directory.
        directory: PathBuf,
        /// The thumbprint of the key that signs from now on.
        key: String,
        /// How often the key has been replaced.
        number: u64,
    },
    /// A Device CA, an Operator CA, or the certificate of a root.
    Authority {
        /// The hub's directory.
        directory: PathBuf,
        /// The stem of its files.
        authority: &'static str,
        /// Which of its kind it is, counted from 1.
        number: u16,
    },
}

/// Puts the new keys in the place of the old ones, which stay beside them. It may be cut at any
/// moment: the same command goes on.
pub fn run(options: &Options) -> Outcome<Report> {
    let directory = &options.dir;
    if options.evidence_key {
        let HandOver { number, key } = evidence_key::replace(directory)?;
        let key = keys::thumbprint(&key).to_string();
        return Ok(Report::Evidence { directory: directory.clone(), key, number });
    }
    let _lock = lock::take(directory)?;
    let next = directory.join(NEXT);
    if !next.is_dir() {
        return Err(Failure::refused(Reason::NotFound, "no new keys wait for this hub")
            .why(format!("There is no {}.", next.display()))
            .next("Make them with `ringfort pki rotate`."));
    }
    let mut taken = None;
    for authority in [DEVICE_CA, OPERATOR_CA, ROOTS[0], ROOTS[1]] {
        let number = take_authority(directory, &next, authority)?;
        taken = number.map(|number| (authority, number)).or(taken);
    }
    let others = FILES.iter().any(|name| next.join(name).exists());
    if let (Some((authority, number)), false) = (taken, others) {
        tidy(&next);
        return Ok(Report::Authority { directory: directory.clone(), authority, number });
    }
    let chain = Chain::read(&directory.join("anchors"))?;
    let newest = chain.newest()?;
    // A run that was cut has moved some of them already.
    let place = |name: &str| match next.join(name) {
        waiting if waiting.exists() => waiting,
        _ => directory.join(name),
    };
    let order = keys::read_public(&place("keys/order.pub"))?;
    let server_ca = read_certificate(&place("certs/server-ca.pem"))?;
    let named = newest.order_key(&keys::thumbprint(&order), &AwsLc).is_ok()
        && newest.server_cas().any(|der| der == server_ca);
    if !named {
        return Err(Failure::refused(
            Reason::UntrustedSigner,
            "the newest anchors do not name the new keys",
        )
        .why("No device would listen to the hub.")
        .next(
            "Have the anchors that `ringfort pki rotate` wrote signed, and publish them first.",
        ));
    }
    let previous = directory.join(format!("before-{}", newest.version()));
    for name in FILES {
        take(directory, &next, &previous, name)?;
    }
    tidy(&next);
    Ok(Report::Keys { directory: directory.clone(), previous, anchors_version: newest.version().0 })
}

/// Puts a new authority in the place of the old one, whose certificate gets its number and stays. The
/// certificate comes last, so a run that was cut is seen by it.
///
/// An earlier Device CA keeps its key: it signs its CRLs as long as its certificates live. One of an
/// Operator CA signs nothing any more, and is gone. Keys of roots were never here.
fn take_authority(directory: &Path, next: &Path, authority: &str) -> Outcome<Option<u16>> {
    let certificate = format!("certs/{authority}.pem");
    if !next.join(&certificate).exists() {
        return Ok(None);
    }
    let earlier = Earlier::of(directory, authority).next_number();
    let number = match directory.join(&certificate).exists() {
        true => earlier,
        // A run that was cut has moved the old one already.
        false => earlier.saturating_sub(1),
    };
    let key = [format!("keys/{authority}.sealed"), format!("keys/{authority}.pub")];
    for name in key.into_iter().chain([format!("certs/{authority}.crl"), certificate]) {
        let old = name.replace(authority, &format!("{authority}-{number}"));
        let old = match authority == OPERATOR_CA && name.starts_with("keys/") {
            true => None,
            false => Some(directory.join(old)),
        };
        put(&next.join(&name), &directory.join(&name), old.as_deref())?;
    }
    Ok(Some(number.saturating_add(1)))
}

fn tidy(next: &Path) {
    for folder in ["keys", "certs", ""] {
        let path = next.join(folder);
        // Empty by now; what somebody else put there stays.
        let _ = std::fs::remove_dir(path);
    }
}

fn take(directory: &Path, next: &Path, previous: &Path, name: &str) -> Outcome<()> {
    put(&next.join(name), &directory.join(name), Some(&previous.join(name)))
}

/// Puts a new file in the place of the current one, which becomes the old one where that has a place.
/// It may be cut in between, and goes on.
pub fn put(new: &Path, current: &Path, old: Option<&Path>) -> Outcome<()> {
    if !new.exists() {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        Failure::failed(
            format!("cannot put {} in its place", new.display()),
            files::sentence(&error),
            "Mend that, then run the same command again: it goes on.",
        )
    };
    if let Some(parent) = old.and_then(Path::parent) {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    if let Some(old) = old.filter(|old| current.exists() && !old.exists()) {
        std::fs::rename(current, old).map_err(failed)?;
    }
    std::fs::rename(new, current).map_err(failed)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (directory, previous, anchors_version) = match self {
            Report::Keys { directory, previous, anchors_version } => {
                (directory.display(), previous.display(), anchors_version)
            }
            Report::Evidence { directory, key, .. } => {
                let directory = directory.display();
                writeln!(f, "The hub in {directory} has a new evidence key, {key}")?;
                writeln!(
                    f,
                    "  the one before named it and is gone; whoever follows the log learns of it"
                )?;
                return write!(f, "Next: ringfort hub serve --dir {directory}");
            }
            Report::Authority { directory, authority, number } => {
                authority_taken(f, &directory.display().to_string(), authority, *number)?;
                return write!(f, "Next: ringfort hub serve --dir {}", directory.display());
            }
        };
        writeln!(f, "The hub in {directory} has new keys; the old ones lie in {previous}")?;
        writeln!(f, "Next: ringfort hub serve --dir {directory}")?;
        writeln!(
            f,
            "      add {directory}/certs/server-ca.pem to server-ca.pem of each operator's folder"
        )?;
        writeln!(f, "When every device has version {anchors_version}:")?;
        writeln!(
            f,
            "      ringfort pki anchors new --from {directory}/anchors --drop-key {previous}/keys/order.pub \\"
        )?;
        write!(f, "        --drop-server-ca {previous}/certs/server-ca.pem")
    }
}

fn authority_taken(
    f: &mut fmt::Formatter<'_>,
    directory: &str,
    authority: &str,
    number: u16,
) -> fmt::Result {
    let before = number.saturating_sub(1);
    match authority {
        DEVICE_CA => {
            writeln!(f, "The hub in {directory} issues by Device CA {number} from now on")?;
            writeln!(
                f,
                "  keys/{DEVICE_CA}-{before}.sealed  the one before: it signs its CRLs until its \
                 last certificate ends; `hub doctor` says when it may go"
            )
        }
        OPERATOR_CA => {
            writeln!(
                f,
                "The hub in {directory} certifies people by Operator CA {number} from now on"
            )?;
            writeln!(
                f,
                "  certs/{OPERATOR_CA}-{before}.pem  the one before: what it certified is met until \
                 it ends; its key is gone"
            )
        }
        root => {
            writeln!(f, "The hub in {directory} knows {} {number}", root.replace('-', " "))?;
            writeln!(
                f,
                "  certs/{root}-{before}.pem  the one before: it stays above what it certified"
            )
        }
    }
}

const FILES: [&str; 5] = [
    "keys/server-ca.sealed",
    "keys/server-ca.pub",
    "keys/order.sealed",
    "keys/order.pub",
    "certs/server-ca.pem",
];
