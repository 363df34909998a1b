//! One authority replaced in time, for a hub that goes on: the Device CA or the Operator CA. No
//! anchors name them, so no device has to be told. And the rehearsal of it.

use std::fmt;
use std::path::PathBuf;

use ringfort_cose::{Sign, SoftSigner};
use ringfort_pki::{CertificateInfo, Issued, Issuer, Ldevid, Operator, Role, SubjectKey};
use serde::Serialize;

use super::drill::{Place, Rehearsal, broken, known_root};
use super::{NEXT, Options, existing_passphrase};
use crate::commands::hub::earlier::Earlier;
use crate::commands::pki::authorities::{
    DEVICE_CA, OPERATOR_CA, hub_passphrase, make_next_authority, open_root, pki_failure,
};
use crate::commands::pki::record::Record;
use crate::failure::Outcome;
use crate::{clock, files};

/// Which authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Certifies devices.
    Device,
    /// Certifies people.
    Operator,
}

/// An authority that waits for the hub to take it.
#[derive(Serialize)]
pub struct Next {
    by: String,
    directory: PathBuf,
    authority: &'static str,
    number: u16,
}

impl Which {
    fn stem(self) -> &'static str {
        match self {
            Which::Device => DEVICE_CA,
            Which::Operator => OPERATOR_CA,
        }
    }

    fn called(self) -> &'static str {
        match self {
            Which::Device => "Device CA",
            Which::Operator => "Operator CA",
        }
    }

    fn role(self, number: u16) -> Role {
        match self {
            Which::Device => Role::LaterDevice { number },
            Which::Operator => Role::LaterOperator { number },
        }
    }

    /// A certificate for a key that is thrown away.
    fn try_out(self, issuer: &Issuer) -> Outcome<Issued> {
        let signer = SoftSigner::generate_p256().map_err(|error| broken(error.to_string()))?;
        let key = SubjectKey::try_from(&signer.public_key()).map_err(pki_failure)?;
        let now = clock::now();
        let made = match self {
            Which::Device => {
                let device = Ldevid { device_id: "drill", hardware: None, lifetime_days: 1 };
                issuer.issue_ldevid(&key, &device, now)
            }
            Which::Operator => {
                issuer.issue_operator(&key, &Operator { name: "drill", lifetime_days: 1 }, now)
            }
        };
        made.map_err(pki_failure)
    }

    fn whose(self) -> &'static str {
        match self {
            Which::Device => "device",
            Which::Operator => "person",
        }
    }
}

/// Makes the authority beside the one in use.
pub fn run(options: &Options, record: &Record, which: Which) -> Outcome<Next> {
    let directory = options.hub.join(NEXT);
    files::must_be_absent_or_empty(&directory)?;
    let passphrase = existing_passphrase(options)?;
    let root = open_root(&options.root, options.pin_file.as_deref())?;
    let number = next_number(options, which);
    files::new_directory(&directory)?;
    let made = (which.stem(), &which.role(number));
    make_next_authority(&record.plan(), &root.issuer, made, &directory, &passphrase)?;
    let by = root.stem.replace('-', " ");
    Ok(Next { by, directory, authority: which.called(), number })
}

/// Rehearses it with a key that is thrown away; leaves nothing behind.
pub fn drill(options: &Options, record: &Record, which: Which) -> Outcome<Rehearsal> {
    let place = Place::new()?;
    let (root, named, opened) = known_root(options)?;
    let passphrase = hub_passphrase(place.path(), None)?;
    let (called, number) = (which.called(), next_number(options, which));
    let made = (which.stem(), &which.role(number));
    let issuer =
        make_next_authority(&record.plan(), &root.issuer, made, place.path(), &passphrase)?;
    if !issuer.info().is_signed_by(issuer.certificate_der(), root.issuer.info()) {
        return Err(broken(format!("what the {named} certified does not verify")));
    }
    let until = clock::text(issuer.info().not_after);
    let certified = format!("it certified {called} {number}, until {until}; that verifies");
    let issued = which.try_out(&issuer)?;
    let info = CertificateInfo::parse(&issued.der).map_err(pki_failure)?;
    if !info.is_signed_by(&issued.der, issuer.info()) {
        return Err(broken(format!("what {called} {number} issued does not verify")));
    }
    let whose = which.whose();
    let tried = format!("a {whose}'s certificate was issued by it; that verifies");
    Ok(Rehearsal {
        root: named,
        done: vec![opened, certified, tried],
        not_rehearsed: vec![format!("the hub's own restart, and a {whose} that renews")],
    })
}

/// The one in use is the next after the earlier ones, so this is the one after that.
fn next_number(options: &Options, which: Which) -> u16 {
    Earlier::of(&options.hub, which.stem()).next_number().saturating_add(1)
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (directory, called) = (self.directory.display(), self.authority);
        writeln!(f, "The {} certified {called} {}", self.by, self.number)?;
        writeln!(f, "  {directory}  waits for the hub")?;
        writeln!(f, "Next, with the hub stopped: ringfort hub rotate")?;
        match called == Which::Device.called() {
            true => write!(f, "Devices move to it as they renew; no device has to be told"),
            false => write!(f, "People move to it as they renew: ringfort user renew"),
        }
    }
}
