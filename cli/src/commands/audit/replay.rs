//! `ringfort audit replay`: retirements and suspensions, told to a hub in the place of a lost one.
//!
//! Believed is what operators signed with keys that the caller names, and nothing that the lost
//! hub wrote by itself: it may have been in a thief's hands. So neither does the order count in which
//! it wrote things down: a word that was taken back could stand there once more, at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::{AwsLc, PublicKey, Reason};
use ringfort_fleet::{STATED, audit};
use ringfort_messages::{Statement, UnixTime};
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
    let mut words = LastWords::default();
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
                words.hear(&said);
            }
            _ => not_believed += 1,
        }
    }
    let mut moves = Vec::new();
    for (device, Word { to, note, .. }) in words.0 {
        if to != DEPLOYED {
            let outcome = tell(&operator, &device, &to, &note)?;
            moves.push(Told { device, to, note, outcome });
        }
    }
    Ok(Report { statements, not_believed, moves })
}

/// The last word about each device, by the time that whoever gave it signed.
#[derive(Default)]
struct LastWords(BTreeMap<String, Word>);

struct Word {
    at: UnixTime,
    to: String,
    note: String,
}

impl LastWords {
    /// Of two in the same second the one counts that lets less happen.
    fn hear(&mut self, said: &Statement<'_>) {
        let rank = |at: UnixTime, to: &str| (at, to != DEPLOYED);
        let device = said.device.to_string();
        let counts = self
            .0
            .get(&device)
            .is_none_or(|known| rank(said.at, said.to) >= rank(known.at, &known.to));
        if counts {
            let (to, note) = (said.to.to_owned(), said.note.to_owned());
            self.0.insert(device, Word { at: said.at, to, note });
        }
    }
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

const DEPLOYED: &str = "deployed";

#[cfg(test)]
mod tests {
    use ringfort_trust::ids::{DeviceId, FleetId};

    use super::*;

    fn last_word(words: &[(u64, &str)]) -> String {
        let mut last = LastWords::default();
        for (at, to) in words {
            last.hear(&Statement {
                fleet: FleetId([1; 16]),
                device: DeviceId::new("dev-a").unwrap(),
                to,
                at: UnixTime(*at),
                note: "",
                key: PublicKey::Ed25519([0; 32]),
            });
        }
        last.0["dev-a"].to.clone()
    }

    #[test]
    fn an_older_word_that_a_thief_wrote_down_again_does_not_count() {
        assert_eq!(last_word(&[(1, "suspended"), (2, "deployed"), (3, "retired")]), "retired");
        let replayed = [(1, "suspended"), (2, "deployed"), (3, "retired"), (2, "deployed")];
        assert_eq!(last_word(&replayed), "retired");
        assert_eq!(last_word(&[(3, "retired"), (2, "deployed"), (1, "suspended")]), "retired");
        assert_eq!(last_word(&[(5, "deployed"), (5, "suspended")]), "suspended");
        assert_eq!(last_word(&[(5, "suspended"), (5, "deployed")]), "suspended");
        assert_eq!(last_word(&[(1, "suspended"), (2, "deployed")]), "deployed");
    }
}
