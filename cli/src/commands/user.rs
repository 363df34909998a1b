//! `ringfort user`: who may do what at the hub.

mod renew;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use ringfort_api::client::After;
use ringfort_api::model::{NewInvitation, NewOperator, Outcome as Answer};
use ringfort_cose::Reason;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::files;
use crate::invitation::{Invitation, until};
use crate::operator::Operator;
use crate::output::{Table, conclude};

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// Invite a person, or certify the key of a machine
    Add(Add),
    /// Show who has access, who is invited, and what waits for a second person
    List,
    /// Make a new key for yourself, before your certificate ends: same name, same role
    Renew(renew::Options),
    /// End somebody's access and connections, or take an invitation back
    Remove {
        /// The name
        name: String,
    },
}

/// Whom to add.
#[derive(Args)]
pub struct Add {
    /// A name that nobody has
    pub name: String,

    /// What it may do
    #[arg(long)]
    pub role: Role,

    /// Where the invitation goes; hand it over unseen [default: NAME.invitation]
    #[arg(long, value_name = "FILE", conflicts_with = "csr")]
    pub invitation: Option<PathBuf>,

    /// In place of an invitation: a certificate request (PEM) of a key that was made elsewhere
    #[arg(long, value_name = "FILE", requires = "out")]
    pub csr: Option<PathBuf>,

    /// Where the certificate for that key goes
    #[arg(long, value_name = "FILE", requires = "csr")]
    pub out: Option<PathBuf>,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Look at everything
    Viewer,
    /// Look, and upload releases
    Publisher,
    /// Look, deploy, move devices, hand in factory batches
    Operator,
    /// Everything, people and trust included
    Admin,
}

impl Command {
    /// Runs the command and shows what came of it.
    pub fn run(self, dir: Option<&Path>, json: bool) -> ExitCode {
        match self {
            Command::Add(options) => conclude(add(&options, dir), json),
            Command::Renew(options) => conclude(renew::run(&options, dir), json),
            Command::List => conclude(list(dir), json),
            Command::Remove { name } => conclude(remove(&name, dir), json),
        }
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Publisher => "publisher",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

fn add(options: &Add, dir: Option<&Path>) -> Outcome<Added> {
    match (&options.csr, &options.out) {
        (Some(csr), Some(out)) => certify(options, csr, out, dir),
        _ => invite(options, dir),
    }
}

fn invite(options: &Add, dir: Option<&Path>) -> Outcome<Added> {
    let file = options
        .invitation
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.invitation", options.name)));
    files::must_be_absent(&file)?;
    let operator = Operator::open(dir)?;
    let new = NewInvitation { name: options.name.clone(), role: options.role.name().to_owned() };
    let made = match operator.wait(operator.client().invite(&new))? {
        Answer::Done { result } => result,
        Answer::Waiting { given, required } => return Ok(waiting(options, given, required)),
    };
    let until = until(made.ends_ms);
    let invitation = Invitation {
        hub: operator.settings().hub.clone(),
        name: made.name,
        role: made.role,
        secret: made.secret,
        until: until.clone(),
        server_ca: operator.server_ca()?,
        evidence_key: crate::invitation::public_pem(operator.evidence_keys()?.newest()),
    };
    invitation.write(&file)?;
    Ok(Added { outcome: "invited", file: Some(file), until: Some(until), ..Added::of(options) })
}

fn certify(options: &Add, csr: &Path, out: &Path, dir: Option<&Path>) -> Outcome<Added> {
    files::must_be_absent(out)?;
    let request = files::read_text(csr, MAX_CSR)?;
    let operator = Operator::open(dir)?;
    let new = NewOperator {
        name: options.name.clone(),
        role: options.role.name().to_owned(),
        certificate: None,
        request: Some(request),
    };
    match operator.wait(operator.client().add_operator(&new))? {
        Answer::Waiting { given, required } => Ok(waiting(options, given, required)),
        Answer::Done { result } => {
            files::write_new(out, result.certificate.as_bytes(), files::PUBLIC)?;
            Ok(Added {
                outcome: "added",
                file: Some(out.to_owned()),
                until: Some(until(result.not_after_ms)),
                ..Added::of(options)
            })
        }
    }
}

fn waiting(options: &Add, given: u8, required: u8) -> Added {
    Added { outcome: "waiting", given: Some(given), required: Some(required), ..Added::of(options) }
}

fn list(dir: Option<&Path>) -> Outcome<List> {
    let operator = Operator::open(dir)?;
    let page = After { after: None, limit: Some(1000) };
    let client = operator.client();
    let people = operator.wait(client.operators(&page))?.items;
    let invited = operator.wait(client.invitations(&page))?.items;
    let approvals = operator.wait(client.approvals(&page))?.items;
    let mut lines: Vec<Line> = people
        .into_iter()
        .map(|person| Line {
            state: if person.removed_ms.is_some() { "removed" } else { "active" },
            until: person.removed_ms.or(person.not_after_ms).map(until),
            name: person.name,
            role: person.role,
            fingerprint: Some(person.fingerprint),
        })
        .collect();
    lines.extend(invited.into_iter().map(|invitation| Line {
        state: "invited",
        until: Some(until(invitation.ends_ms)),
        name: invitation.name,
        role: invitation.role,
        fingerprint: None,
    }));
    let waiting = approvals
        .into_iter()
        .map(|approval| Waiting {
            what: format!("{} {}", approval.subject, approval.action),
            agrees: approval.operator,
            until: until(approval.ends_ms),
        })
        .collect();
    Ok(List { people: lines, waiting })
}

fn remove(name: &str, dir: Option<&Path>) -> Outcome<Removed> {
    let operator = Operator::open(dir)?;
    let page = After { after: None, limit: Some(1000) };
    let people = operator.wait(operator.client().operators(&page))?.items;
    let theirs: Vec<_> = people
        .into_iter()
        .filter(|person| person.name == name && person.removed_ms.is_none())
        .collect();
    if theirs.is_empty() {
        let invited = operator.wait(operator.client().invitations(&page))?.items;
        if !invited.iter().any(|invitation| invitation.name == name) {
            return Err(Failure::refused(Reason::NotFound, format!("nobody is called {name}"))
                .next("`ringfort user list` shows everybody."));
        }
        operator.wait(operator.client().withdraw_invitation(name))?;
        return Ok(Removed { name: name.to_owned(), ended: "invitation" });
    }
    for person in theirs {
        operator.wait(operator.client().remove_operator(&person.fingerprint))?;
    }
    Ok(Removed { name: name.to_owned(), ended: "access" })
}

/// Somebody who was added, or not yet.
#[derive(Default, Serialize)]
struct Added {
    outcome: &'static str,
    name: String,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    given: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<u8>,
}

#[derive(Serialize)]
struct List {
    people: Vec<Line>,
    waiting: Vec<Waiting>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    role: String,
    state: &'static str,
    until: Option<String>,
    fingerprint: Option<String>,
}

#[derive(Serialize)]
struct Waiting {
    what: String,
    agrees: String,
    until: String,
}

#[derive(Serialize)]
struct Removed {
    name: String,
    ended: &'static str,
}

impl Added {
    fn of(options: &Add) -> Added {
        Added { name: options.name.clone(), role: options.role.name(), ..Added::default() }
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Added { name, role, .. } = self;
        let file = self.file.as_deref().unwrap_or(Path::new("")).display();
        let until = self.until.as_deref().unwrap_or_default();
        match self.outcome {
            "invited" => {
                writeln!(f, "{name} is invited ({role}): {file} works once, until {until}")?;
                write!(f, "Hand the file over unseen; then {name} runs: ringfort login {file}")
            }
            "added" => {
                write!(f, "{name} is known ({role}): {file} is the certificate, until {until}")
            }
            _ => {
                let (given, required) = (self.given.unwrap_or(0), self.required.unwrap_or(0));
                writeln!(f, "{given} of {required} administrators want {name} ({role})")?;
                write!(f, "Next: another administrator runs the same command")
            }
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["NAME", "ROLE", "STATE", "UNTIL"]);
        for line in &self.people {
            table.row([&line.name, &line.role, line.state, line.until.as_deref().unwrap_or("-")]);
        }
        write!(f, "{table}")?;
        if !self.waiting.is_empty() {
            let mut table = Table::new(&["WAITS FOR A SECOND PERSON", "AGREES", "UNTIL"]);
            for waiting in &self.waiting {
                table.row([&*waiting.what, &waiting.agrees, &waiting.until]);
            }
            write!(f, "\n\n{table}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended {
            "access" => write!(f, "{} has no access any more; open connections end now", self.name),
            _ => write!(f, "The invitation of {} works no more", self.name),
        }
    }
}

const MAX_CSR: usize = 16 * 1024;
