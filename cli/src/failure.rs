//! What every command returns when it does not do what was asked.

use std::fmt;
use std::process::ExitCode;

use ringfort_cose::Reason;
use serde_json::{Value, json};

/// The result of a command or of a step of one.
pub type Outcome<T> = Result<T, Failure>;

/// A failure as a person reads it: what happened, why, and what to do next.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    reason: Option<Reason>,
    what: String,
    why: String,
    next: String,
    details: Vec<(&'static str, Value)>,
    is_last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The command line asks for something that makes no sense: exit code 2.
    Usage,
    /// Refused, or failed: exit code 1.
    Failed,
}

impl Failure {
    /// The command line itself is wrong, whatever the files hold. Exit code 2.
    pub fn usage(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Failure {
        Failure::new(Kind::Usage, None, what.into(), why.into(), next.into())
    }

    /// Something could not be done. Exit code 1.
    pub fn failed(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Failure {
        Failure::new(Kind::Failed, None, what.into(), why.into(), next.into())
    }

    /// Something was refused for a reason that has a code. Exit code 1.
    pub fn refused(reason: Reason, what: impl Into<String>) -> Failure {
        let (why, next) = (reason.meaning().to_owned(), reason.next_step().to_owned());
        Failure::new(Kind::Failed, Some(reason), what.into(), why, next)
    }

    /// The same failure with another reason why.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Failure {
        self.why = why.into();
        self
    }

    /// The same failure with another next step.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Failure {
        self.next = next.into();
        self
    }

    /// The same failure with one more member in its JSON form.
    #[must_use]
    pub fn detail(mut self, name: &'static str, value: impl Into<Value>) -> Failure {
        self.details.push((name, value.into()));
        self
    }

    /// The same failure, after which nobody is asked again.
    #[must_use]
    pub fn last(mut self) -> Failure {
        self.is_last = true;
        self
    }

    /// Is nobody to be asked again?
    pub fn is_final(&self) -> bool {
        self.is_last
    }

    /// The reason code, where the refusal has one.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// What happened and why, in one line.
    pub fn summary(&self) -> String {
        match self.why.is_empty() {
            true => self.what.clone(),
            false => format!("{}: {}", self.what, self.why),
        }
    }

    /// 1 for refused or failed, 2 for wrong usage.
    pub fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::Usage => ExitCode::from(2),
            Kind::Failed => ExitCode::from(1),
        }
    }

    /// The failure for a script: one object.
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "ok": false,
            "reason": self.reason.map(Reason::code),
            "error": self.what,
            "why": self.why,
            "next_step": self.next,
        });
        if let Value::Object(members) = &mut object {
            for (name, value) in &self.details {
                members.insert((*name).to_owned(), value.clone());
            }
        }
        object
    }

    fn new(kind: Kind, reason: Option<Reason>, what: String, why: String, next: String) -> Failure {
        Failure { kind, reason, what, why, next, details: Vec::new(), is_last: false }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Some(reason) => writeln!(f, "error: {} [{}]", self.what, reason.code())?,
            None => writeln!(f, "error: {}", self.what)?,
        }
        if !self.why.is_empty() {
            writeln!(f, "  why:  {}", self.why)?;
        }
        write!(f, "  next: {}", self.next)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_its_code_reason_and_next_step() {
        let failure = Failure::refused(Reason::UntrustedSigner, "release.suit is refused");
        let text = failure.to_string();
        assert!(text.starts_with("error: release.suit is refused [untrusted-signer]\n"), "{text}");
        assert!(text.contains("why:") && text.contains("next:"), "{text}");
        assert_eq!(failure.to_json()["reason"], "untrusted-signer");
        assert_eq!(failure.exit_code(), ExitCode::from(1));
    }

    #[test]
    fn wrong_usage_exits_with_two() {
        assert_eq!(Failure::usage("a", "b", "c").exit_code(), ExitCode::from(2));
    }
}
