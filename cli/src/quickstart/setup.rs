//! Trust and factory: everything that is made once, by the commands that a team would run.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::commands::Ringfort;
use super::layout::Layout;
use crate::failure::{Failure, Outcome};
use crate::{files, passphrase};

/// What a quickstart has to remember between two runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Port of the device listener.
    pub device_port: u16,
    /// Port of the operator listener.
    pub operator_port: u16,
    /// The devices, in the order they were made.
    pub devices: Vec<DeviceRecord>,
    /// How many releases were made; the last one is 1.N.
    pub releases: u32,
}

/// One device.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRecord {
    /// Its name.
    pub id: String,
    /// The file that SoftHSM is told to read, where it keeps the keys in a token.
    pub softhsm_conf: Option<PathBuf>,
}

impl Record {
    /// The record of a complete quickstart; none where there is none yet.
    pub fn read(layout: &Layout) -> Outcome<Option<Record>> {
        let path = layout.record();
        if !path.exists() {
            let empty = files::must_be_absent_or_empty(layout.root());
            return empty.map(|_| None).map_err(|failure| {
                failure
                    .why("It holds no complete quickstart: one may have been stopped half way.")
                    .next("Remove it, or name another folder with --dir.")
            });
        }
        let text = files::read_text(&path, 64 * 1024)?;
        serde_json::from_str(&text).map(Some).map_err(|error| {
            Failure::failed(
                format!("{} cannot be used", path.display()),
                error.to_string(),
                "Remove the folder, or name another one with --dir.",
            )
        })
    }

    /// Writes the record in place of the one before.
    pub fn write(&self, layout: &Layout) -> Outcome<()> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        files::replace(&layout.record(), text.as_bytes(), 0o600)
    }
}

/// People's keys, roots, authorities, anchors, factory site and hub.
pub fn trust(ringfort: &Ringfort, layout: &Layout) -> Outcome<(u16, u16)> {
    let device_port = free_port(8443, &[])?;
    let operator_port = free_port(8444, &[device_port])?;
    for (name, group) in PEOPLE {
        let folder = layout.person(name);
        make_folder(&folder)?;
        passphrase::new_pin_file(&folder.join("pin"))?;
        ringfort.must(&words(&[
            group,
            "keygen",
            &text(&folder.join(name)),
            "--pin-file",
            &pin(layout, name),
        ]))?;
    }
    let pins = layout.root().join("pki");
    make_folder(&pins)?;
    for name in ["root.pin", "backup-root.pin"] {
        passphrase::new_pin_file(&pins.join(name))?;
    }
    make_folder(&layout.root().join("factory"))?;
    passphrase::new_pin_file(&layout.station_pin())?;
    ringfort.must(&words(&[
        "factory init --site site-1 --dir",
        &text(&layout.station()),
        "--pin-file",
        &text(&layout.station_pin()),
    ]))?;
    let public = |name: &str| text(&layout.person(name).join(format!("{name}.pub")));
    ringfort.must(&words(&[
        "pki init --name quickstart --root",
        &text(&layout.root_ca()),
        "--backup-root",
        &text(&layout.backup_root()),
        "--hub",
        &text(&layout.hub()),
        "--hub-address",
        &format!("127.0.0.1:{device_port}"),
        "--anchor-key",
        &public("anchor-1"),
        &public("anchor-2"),
        &public("anchor-3"),
        "--release-key",
        &public("release-1"),
        &public("release-2"),
        &public("release-3"),
        "--command-key",
        &public("command-1"),
        "--product",
        PRODUCT,
        "--site",
        &text(&layout.station().join("site-1.request")),
        "--root-pin-file",
        &text(&pins.join("root.pin")),
        "--backup-root-pin-file",
        &text(&pins.join("backup-root.pin")),
    ]))?;
    let anchors = layout.hub().join("anchors");
    for person in ["anchor-1", "anchor-2"] {
        ringfort.must(&words(&[
            "pki anchors sign",
            &text(&anchors.join("1.cbor")),
            "--key",
            &sealed(layout, person),
            "--pin-file",
            &pin(layout, person),
        ]))?;
    }
    ringfort.must(&words(&[
        "factory accept --dir",
        &text(&layout.station()),
        "--answer",
        &text(&layout.hub().join("sites/site-1.answer")),
        "--anchors",
        &text(&anchors),
    ]))?;
    ringfort.must(&words(&[
        "hub init --approvals 1 --poll-seconds 1 --dir",
        &text(&layout.hub()),
        "--operator",
        &text(&layout.operator()),
        "--operator-address",
        &format!("127.0.0.1:{operator_port}"),
    ]))?;
    Ok((device_port, operator_port))
}

/// A person's sealed key.
pub fn sealed(layout: &Layout, person: &str) -> String {
    text(&layout.person(person).join(format!("{person}.sealed")))
}

/// The file with that key's passphrase.
pub fn pin(layout: &Layout, person: &str) -> String {
    text(&layout.person(person).join("pin"))
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Arguments from pieces: literal pieces are split at blanks, so paths come as pieces of their own.
pub fn words(pieces: &[&str]) -> Vec<String> {
    let mut words = Vec::new();
    for piece in pieces {
        if Path::new(piece).is_absolute() {
            words.push((*piece).to_owned());
        } else {
            words.extend(piece.split(' ').map(str::to_owned));
        }
    }
    words
}

/// Makes a folder for its owner alone, with those above it.
pub fn make_folder(path: &Path) -> Outcome<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        Failure::failed(
            format!("{} cannot be made", path.display()),
            files::sentence(&error),
            "Check free space and permissions, or name another folder with --dir.",
        )
    })
}

/// The first free port from `first` on, so that two quickstarts can run side by side.
fn free_port(first: u16, taken: &[u16]) -> Outcome<u16> {
    (first..first.saturating_add(200))
        .filter(|port| !taken.contains(port))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| {
            Failure::failed(
                "no free port",
                format!("The 200 ports from {first} on are all in use on 127.0.0.1."),
                "End some of the programs that listen there.",
            )
        })
}

/// The product of a quickstart, vendor and class.
pub const PRODUCT: &str = "example.com/quickstart-device";
/// Each key's keeper and the group of commands that makes it.
const PEOPLE: [(&str, &str); 7] = [
    ("anchor-1", "pki"),
    ("anchor-2", "pki"),
    ("anchor-3", "pki"),
    ("release-1", "release"),
    ("release-2", "release"),
    ("release-3", "release"),
    ("command-1", "pki"),
];

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn literals_are_split_and_paths_are_not() {
        assert_eq!(words(&["a b --c", "/x y/z", "d"]), ["a", "b", "--c", "/x y/z", "d"]);
    }
}
