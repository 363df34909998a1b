//! Suppressions: findings that somebody has looked at and accepted, by content. A moved
//! line or a renamed file does not break one; a changed secret does.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::Finding;

/// A suppression file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppressions {
    /// Accepted findings.
    #[serde(default, rename = "accept")]
    pub accepted: Vec<Accepted>,
    /// Several findings that were accepted for one reason; [`Suppressions::parse`] adds each
    /// of them to `accepted`.
    #[serde(default, rename = "accept_together")]
    pub together: Vec<Together>,
    /// Requirements that do not apply to this product.
    #[serde(default)]
    pub not_applicable: Vec<NotApplicable>,
}

/// One accepted finding.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Rule id.
    pub rule: String,
    /// Fingerprint of the finding.
    pub fingerprint: String,
    /// Who decided.
    pub owner: String,
    /// Why it is acceptable.
    pub reason: String,
    /// Last day on which it counts, `YYYY-MM-DD`.
    pub expires: String,
    /// It stands only in older versions: a run that does not read the whole history cannot say
    /// that it is unused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history: bool,
}

/// Findings that were accepted for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Together {
    /// Rule id and fingerprint of each, with a space between them.
    pub findings: Vec<String>,
    /// Who decided.
    pub owner: String,
    /// Why they are acceptable.
    pub reason: String,
    /// Last day on which it counts, `YYYY-MM-DD`.
    pub expires: String,
    /// They stand only in older versions.
    #[serde(default)]
    pub history: bool,
}

/// A requirement that does not apply.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotApplicable {
    /// Requirement id.
    pub requirement: String,
    /// Why.
    pub reason: String,
}

/// A suppression that no longer does anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// The suppression.
    #[serde(flatten)]
    pub accepted: Accepted,
    /// `expired` or `unused`.
    pub why: &'static str,
}

/// Why a suppression file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuppressError {
    /// Not TOML of the right form.
    #[error("suppression file: {0}")]
    Form(#[from] toml::de::Error),
    /// A required text is empty, or a date is none.
    #[error("suppression of {rule} {fingerprint}: {problem}")]
    Incomplete {
        /// Rule id.
        rule: String,
        /// Fingerprint.
        fingerprint: String,
        /// What is missing.
        problem: &'static str,
    },
}

impl Suppressions {
    /// Reads a suppression file.
    ///
    /// # Errors
    /// [`SuppressError`] when the form is wrong, or owner, reason or a valid expiry is missing.
    pub fn parse(text: &str) -> Result<Self, SuppressError> {
        let mut all: Self = toml::from_str(text)?;
        for group in std::mem::take(&mut all.together) {
            for finding in &group.findings {
                let (rule, fingerprint) = finding.split_once(' ').unwrap_or((finding, ""));
                all.accepted.push(Accepted {
                    rule: rule.to_owned(),
                    fingerprint: fingerprint.trim().to_owned(),
                    owner: group.owner.clone(),
                    reason: group.reason.clone(),
                    expires: group.expires.clone(),
                    history: group.history,
                });
            }
        }
        for one in &all.accepted {
            let problem = if one.fingerprint.is_empty() {
                "fingerprint is missing"
            } else if one.owner.trim().is_empty() {
                "owner is missing"
            } else if one.reason.trim().len() < 10 {
                "reason is missing or too short to be one"
            } else if !is_date(&one.expires) {
                "expires is not YYYY-MM-DD"
            } else {
                continue;
            };
            return Err(SuppressError::Incomplete {
                rule: one.rule.clone(),
                fingerprint: one.fingerprint.clone(),
                problem,
            });
        }
        Ok(all)
    }

    /// Marks accepted findings and returns what is stale on `today` (`YYYY-MM-DD`). What is
    /// only in history counts as unused only when all of the history was read.
    pub fn apply(&self, findings: &mut [Finding], today: &str, whole_history: bool) -> Vec<Stale> {
        let mut used = BTreeSet::new();
        for finding in findings {
            let hit = self.accepted.iter().position(|a| {
                a.rule == finding.rule
                    && a.fingerprint == finding.fingerprint
                    && a.expires.as_str() >= today
            });
            if let Some(index) = hit {
                let accepted = &self.accepted[index];
                finding.suppressed = Some(format!(
                    "{} ({}, until {})",
                    accepted.reason, accepted.owner, accepted.expires
                ));
                used.insert(index);
            }
        }
        self.accepted
            .iter()
            .enumerate()
            .filter_map(|(index, accepted)| {
                let why = if accepted.expires.as_str() < today {
                    "expired"
                } else if used.contains(&index) || accepted.history && !whole_history {
                    return None;
                } else {
                    "unused"
                };
                Some(Stale { accepted: accepted.clone(), why })
            })
            .collect()
    }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<u16> = text.split('-').filter_map(|p| p.parse().ok()).collect();
    let [year, month, day] = parts[..] else { return false };
    let month = u8::try_from(month).ok().and_then(|m| time::Month::try_from(m).ok());
    text.len() == 10
        && month.zip(u8::try_from(day).ok()).is_some_and(|(month, day)| {
            time::Date::from_calendar_date(i32::from(year), month, day).is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Severity;

    fn finding() -> Finding {
        Finding {
            rule: "P-010",
            severity: Severity::High,
            title: String::new(),
            detail: String::new(),
            fingerprint: "00ff".into(),
            requirements: vec![],
            locations: vec![],
            lowered: None,
            suppressed: None,
        }
    }

    fn file(extra: &str) -> String {
        format!("[[accept]]\nrule = \"P-010\"\nfingerprint = \"00ff\"\n{extra}")
    }

    const FULL: &str = "owner = \"a@b\"\nreason = \"test double only\"\nexpires = \"2030-01-31\"\n";

    #[test]
    fn a_suppression_without_owner_reason_or_date_is_refused() {
        assert!(Suppressions::parse(&file(FULL)).is_ok());
        for missing in ["owner", "reason", "expires"] {
            let text: String =
                FULL.lines().filter(|l| !l.starts_with(missing)).collect::<Vec<_>>().join("\n");
            assert!(Suppressions::parse(&file(&text)).is_err(), "{missing}");
        }
        assert!(Suppressions::parse(&file(&FULL.replace("01-31", "02-31"))).is_err());
    }

    #[test]
    fn an_expired_suppression_hides_nothing_and_is_reported() {
        let all = Suppressions::parse(&file(FULL)).unwrap();
        let mut findings = vec![finding()];
        assert!(all.apply(&mut findings, "2030-01-31", true).is_empty());
        assert!(findings[0].suppressed.is_some());
        let mut findings = vec![finding()];
        let stale = all.apply(&mut findings, "2030-02-01", true);
        assert_eq!(stale[0].why, "expired");
        assert!(findings[0].suppressed.is_none());
    }

    #[test]
    fn an_unused_suppression_is_reported() {
        let all = Suppressions::parse(&file(FULL)).unwrap();
        assert_eq!(all.apply(&mut [], "2026-01-01", false)[0].why, "unused");
    }

    #[test]
    fn what_is_only_in_history_is_unused_only_after_the_whole_history() {
        let all = Suppressions::parse(&file(&format!("{FULL}history = true\n"))).unwrap();
        assert!(all.apply(&mut [], "2026-01-01", false).is_empty());
        assert_eq!(all.apply(&mut [], "2026-01-01", true)[0].why, "unused");
        assert_eq!(all.apply(&mut [], "2030-02-01", false)[0].why, "expired");
    }

    #[test]
    fn findings_accepted_together_count_one_by_one() {
        let group = |list: &str| format!("[[accept_together]]\nfindings = [{list}]\n{FULL}");
        let all = Suppressions::parse(&group("\"P-010 00ff\", \"P-010 0f0f\"")).unwrap();
        let mut findings = vec![finding()];
        let stale = all.apply(&mut findings, "2026-01-01", true);
        assert!(findings[0].suppressed.is_some());
        assert_eq!(stale.len(), 1);
        assert_eq!(stale[0].accepted.fingerprint, "0f0f");
        assert!(Suppressions::parse(&group("\"P-010\"")).is_err());
    }
}
