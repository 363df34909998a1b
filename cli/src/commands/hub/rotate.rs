//! `ringfort hub rotate`: the hub takes the keys that `pki rotate` made for it.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::{AwsLc, Reason};
use serde::Serialize;

use super::lock;
use super::open::EarlierDeviceCas;
use crate::anchors::Chain;
use crate::commands::pki::authorities::{DEVICE_CA, read_certificate};
use crate::commands::pki::rotate::NEXT;
use crate::failure::{Failure, Outcome};
use crate::{files, keys};

/// Which hub.
#[derive(Args)]
pub struct Options {
    /// The hub's directory; the hub has to be stopped
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,
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
    /// A Device CA.
    DeviceCa {
        /// The hub's directory.
        directory: PathBuf,
        /// Which of the hub's Device CAs it is, counted from 1.
        number: u16,
    },
}

/// Puts the new keys in the place of the old ones, which stay beside them. It may be cut at any
/// moment: the same command goes on.
pub fn run(options: &Options) -> Outcome<Report> {
    let directory = &options.dir;
    let _lock = lock::take(directory)?;
    let next = directory.join(NEXT);
    if !next.is_dir() {
        return Err(Failure::refused(Reason::NotFound, "no new keys wait for this hub")
            .why(format!("There is no {}.", next.display()))
            .next("Make them with `ringfort pki rotate`."));
    }
    let device_ca = take_device_ca(directory, &next)?;
    let others = FILES.iter().any(|name| next.join(name).exists());
    if let (Some(number), false) = (device_ca, others) {
        tidy(&next);
        return Ok(Report::DeviceCa { directory: directory.clone(), number });
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

/// Puts a new Device CA in the place of the old one, which gets its number and stays: it signs its
/// CRLs as long as its certificates live. The certificate comes last, so a run that was cut is seen
/// by it.
fn take_device_ca(directory: &Path, next: &Path) -> Outcome<Option<u16>> {
    let certificate = format!("certs/{DEVICE_CA}.pem");
    if !next.join(&certificate).exists() {
        return Ok(None);
    }
    let earlier = EarlierDeviceCas::of(directory).next_number();
    let number = match directory.join(&certificate).exists() {
        true => earlier,
        // A run that was cut has moved the old one already.
        false => earlier.saturating_sub(1),
    };
    for name in [format!("keys/{DEVICE_CA}.sealed"), format!("keys/{DEVICE_CA}.pub"), certificate] {
        let old = name.replace(DEVICE_CA, &format!("{DEVICE_CA}-{number}"));
        put(&next.join(&name), &directory.join(&name), &directory.join(old))?;
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
    put(&next.join(name), &directory.join(name), &previous.join(name))
}

/// Puts a new file in the place of the current one, which becomes the old one. It may be cut in
/// between, and goes on.
fn put(new: &Path, current: &Path, old: &Path) -> Outcome<()> {
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
    if let Some(parent) = old.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    if current.exists() && !old.exists() {
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
            Report::DeviceCa { directory, number } => {
                let (directory, before) = (directory.display(), number.saturating_sub(1));
                writeln!(f, "The hub in {directory} issues by Device CA {number} from now on")?;
                writeln!(
                    f,
                    "  keys/{DEVICE_CA}-{before}.sealed  the one before: it signs its CRLs until \
                     its last certificate ends; `hub doctor` says when it may go"
                )?;
                return write!(f, "Next: ringfort hub serve --dir {directory}");
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

const FILES: [&str; 5] = [
    "keys/server-ca.sealed",
    "keys/server-ca.pub",
    "keys/order.sealed",
    "keys/order.pub",
    "certs/server-ca.pem",
];
