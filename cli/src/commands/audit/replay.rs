//! `ringfort audit replay`: retirements and suspensions, told to a hub in the place of a lost one.
//!
//! Believed is what operators signed with keys that the caller names, and nothing that the lost
//! hub wrote by itself: it may have been in a thief's hands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::{AwsLc, PublicKey, Reason};
use ringfort_fleet::{STATED, audit};
use ringfort_messages::Statement;
use ringfort_pki::CertificateInfo;
use serde::Serialize;

use super::{judge, read};
use crate::commands::pki::authorities::{pki_failure, read_certificate};
use crate::evidence_keys::EvidenceKeys;
use crate::failure::{Failure, Outcome};
use crate::keys;
use crate::operator::Operator;

/// What to replay, and whom to believe.
#[derive(Args)]
pub struct Options {
    /// A log that `ringfort audit export` wrote at the lost hub
    #[arg(value_name = "FILE")]
    pub log: PathBuf,

    /// The key that signed the heads of that log: evidence.pub of an operator's old folder
    #[arg(long, value_name = "PUB")]
    pub key: PathBuf,

    /// An operator of the lost hub who is believed: operator.pem of the old folder
    #[arg(long, value_name = "PEM", num_args = 1.., required = true)]
    pub trust: Vec<PathBuf>,
}

/// What came of it.
#[derive(Serialize)]
pub struct Report {
    statements: usize,
    /// Signed by keys that nobody named, or damaged: left out.
    not_believed: usize,
    moves: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    device: String,
    to: String,
    note: String,
    outcome: &'static str,
}

/// Tells the running hub.
pub fn run(options: &Options, dir: Option<&Path>) -> Outcome<Report> {
    let export = read(&options.log)?;
    judge(&export, &EvidenceKeys::of(keys::read_public(&options.key)?))?;
    let trusted = options.trust.iter().map(|path| public_key(path)).collect::<Outcome<Vec<_>>>()?;
    let operator = Operator::open(dir)?;
    let checkpoint = operator.wait(operator.client().audit_checkpoint())?;
    if audit::fleet_of(&checkpoint) != audit::fleet_of(&export.checkpoint) {
        return Err(Failure::refused(Reason::WrongFleet, "the log is of another fleet"));
    }
    let (mut statements, mut not_believed) = (0, 0);
    // The last word about each device counts.
    let mut last: BTreeMap<String, (String, String)> = BTreeMap::new();
    for text in &export.entries {
        let Some(entry) = hex::decode(text).ok().and_then(|b| audit::Entry::decode(&b).ok()) else {
            continue;
        };
        if entry.kind != STATED {
            continue;
        }
        statements += 1;
        let signed = entry.details.iter().find(|(name, _)| name == "statement");
        let signed = signed.and_then(|(_, text)| hex::decode(text).ok()).unwrap_or_default();
        match Statement::verify(&signed, &AwsLc) {
            Ok(said)
                if trusted.contains(&said.key)
                    && Some(said.fleet) == audit::fleet_of(&export.checkpoint) =>
            {
                let device = said.device.to_string();
                last.insert(device, (said.to.to_owned(), said.note.to_owned()));
            }
            _ => not_believed += 1,
        }
    }
    let mut moves = Vec::new();
    for (device, (to, note)) in last {
        if to != "deployed" {
            let outcome = tell(&operator, &device, &to, &note)?;
            moves.push(Told { device, to, note, outcome });
        }
    }
    Ok(Report { statements, not_believed, moves })
}

fn tell(operator: &Operator, device: &str, to: &str, note: &str) -> Outcome<&'static str> {
    let client = operator.client();
    let known = operator.wait(client.device(device));
    let state = match known {
        Ok(details) => details.device.state,
        Err(failure) if failure.reason() == Some(Reason::NotFound) => return Ok("not known here"),
        Err(failure) => return Err(failure),
    };
    if state == to {
        return Ok("is so already");
    }
    operator.state(device, to, note)?;
    if to == "suspended" && state == "provisioned" {
        return Ok("as soon as it enrols");
    }
    match operator.wait(client.move_device(device, to, note))? {
        ringfort_api::model::Outcome::Done { .. } => Ok("done"),
        ringfort_api::model::Outcome::Waiting { .. } => Ok("waits for another person"),
    }
}

/// The key in a certificate or in a public key file.
fn public_key(path: &Path) -> Outcome<PublicKey> {
    if path.extension().is_some_and(|extension| extension == "pub") {
        return keys::read_public(path);
    }
    let info = CertificateInfo::parse(&read_certificate(path)?).map_err(pki_failure)?;
    Ok(PublicKey::from(&info.key))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { statements, not_believed, moves } = self;
        for told in moves {
            writeln!(f, "{}  {}  {}  ({})", told.device, told.to, told.outcome, told.note)?;
        }
        if *not_believed > 0 {
            writeln!(
                f,
                "{not_believed} left out: not signed by a key that --trust names. Look at them with care."
            )?;
        }
        write!(f, "{statements} statements read, {} devices told.", moves.len())
    }
}
