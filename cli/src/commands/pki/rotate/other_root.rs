//! A root in the place of one that was lost, so that there are two again.

use std::fmt;
use std::path::{Path, PathBuf};

use ringfort_keystore::SealedKey;
use ringfort_pki::Role;
use serde::Serialize;

use super::drill::known_root;
use super::{NEXT, Options};
use crate::commands::hub::earlier::Earlier;
use crate::commands::pki::authorities::{ROOTS, make_root, write_certificate, write_crl};
use crate::commands::pki::record::Record;
use crate::failure::{Failure, Outcome};
use crate::{files, passphrase};

/// A root whose certificate waits for the hub.
#[derive(Serialize)]
pub struct Made {
    /// The root that is left.
    left: String,
    /// Which one was made: "root" or "backup root".
    made: String,
    number: u16,
    root: PathBuf,
    directory: PathBuf,
}

/// Makes it in a directory of its own, under a passphrase of its own. The root that is left has to
/// be at hand: it shows which one is lost, and that no third person replaces it.
pub fn run(options: &Options, record: &Record, place: &Path) -> Outcome<Made> {
    for (name, other) in [("the root that is left", &options.root), ("the hub", &options.hub)] {
        if files::same_or_nested(place, other) {
            return Err(Failure::usage(
                format!("the new root and {name} cannot share a directory"),
                format!(
                    "{} and {} are one place, or one lies inside the other: whoever takes one \
                     has both.",
                    place.display(),
                    other.display()
                ),
                "Give each a directory of its own, best on separate media.",
            ));
        }
    }
    let directory = options.hub.join(NEXT);
    files::must_be_absent_or_empty(&directory)?;
    files::must_be_absent_or_empty(place)?;
    let (root, left, _) = known_root(options)?;
    let stem = if root.stem == ROOTS[0] { ROOTS[1] } else { ROOTS[0] };
    let number = Earlier::of(&options.hub, stem).next_number().saturating_add(1);
    let role = match stem == ROOTS[0] {
        true => Role::LaterRoot { number },
        false => Role::LaterBackupRoot { number },
    };
    let passphrase = passphrase::new(options.other_root_pin_file.as_deref(), "the new root")?;
    let sealed = SealedKey::read(&options.root.join(format!("{}.sealed", root.stem)));
    if sealed.is_ok_and(|sealed| sealed.open(&passphrase).is_ok()) {
        return Err(Failure::failed(
            format!("the new root and the {left} have the same passphrase"),
            "Whoever learns one has both.",
            "Choose another one.",
        ));
    }
    files::new_directory(place)?;
    record.write(place)?;
    let made = make_root(&record.plan(), &role, place, &passphrase)?;
    files::new_directory(&directory)?;
    files::new_directory(&directory.join("certs"))?;
    let certificate = directory.join("certs").join(format!("{stem}.pem"));
    write_crl(&made.issuer, &certificate.with_extension("crl"))?;
    write_certificate(&certificate, made.issuer.certificate_der())?;
    let made = stem.replace('-', " ");
    Ok(Made { left, made, number, root: place.to_owned(), directory })
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (root, directory) = (self.root.display(), self.directory.display());
        writeln!(f, "Made {} {} beside the {}", self.made, self.number, self.left)?;
        writeln!(f, "  {root}  lock it away, apart from the other")?;
        writeln!(f, "  {directory}  its certificate waits for the hub")?;
        writeln!(f, "Next, with the hub stopped: ringfort hub rotate")?;
        write!(f, "Devices trust what the anchors name, not the root: none has to be told")
    }
}
