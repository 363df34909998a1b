//! Requirements as versioned data, in our own short words: ETSI EN 303 645 v3.1.3 and the
//! OWASP IoT Security Verification Standard (ISVS) 1.0 release candidate. The wording of
//! the standards themselves decides.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{all, matter::Matter};
use crate::model::{Finding, Severity};

/// Version of this table.
pub const VERSION: &str = "EN 303 645 v3.1.3; OWASP ISVS 1.0RC; table 2";

/// One requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// `5.4-1` for EN 303 645, `I2.4.1` for ISVS.
    pub id: &'static str,
    /// M mandatory, C mandatory under a condition, R recommended, L1 to L3 for ISVS.
    pub status: &'static str,
    /// What it asks for, in our words.
    pub text: &'static str,
    /// What must have been read before silence counts as support.
    pub evidence: Evidence,
}

/// What must have been read before the absence of findings says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Source or image, by absence.
    Any,
    /// An image.
    Image,
    /// At least two images or a fleet.
    Across,
    /// An image whose header shows a signature.
    Signed,
    /// Nothing that this tool reads: a statement, a live probe or the fleet.
    Other,
}

/// A verdict on a requirement. There is no verdict "compliant".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A finding speaks against it.
    Fails,
    /// What was read speaks for it; a test case still needs a person.
    EvidenceSupports,
    /// Nothing that was read decides it.
    NotTested,
    /// Declared as not applicable, with a reason.
    NotApplicable,
}

impl Verdict {
    /// The verdict in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Fails => "fails",
            Self::EvidenceSupports => "evidence supports",
            Self::NotTested => "not tested",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// A requirement with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Requirement id.
    pub id: &'static str,
    /// Standard it belongs to.
    pub standard: &'static str,
    /// Status in the standard.
    pub status: &'static str,
    /// Our short wording.
    pub text: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// What a run has to judge by.
#[derive(Clone, Copy, Debug)]
pub struct Grounds {
    /// Images read.
    pub images: usize,
    /// Inputs read.
    pub inputs: usize,
    /// Every input was read to the least share asked for.
    pub covered: bool,
    /// A signed image was seen, and no unsigned one.
    pub signed: bool,
}

/// The requirement with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Requirement> {
    REQUIREMENTS.iter().find(|r| r.id == id)
}

/// Name of the standard that an id belongs to.
#[must_use]
pub fn standard(id: &str) -> &'static str {
    if id.starts_with('I') { "OWASP ISVS 1.0RC" } else { "ETSI EN 303 645 v3.1.3" }
}

/// An id as reports print it: `EN 303 645 5.4-1`, `ISVS 2.4.1`.
#[must_use]
pub fn label(id: &str) -> String {
    match id.strip_prefix('I') {
        Some(number) => format!("ISVS {number}"),
        None => format!("EN 303 645 {id}"),
    }
}

/// Judges every requirement.
#[must_use]
pub fn judge(
    findings: &[Finding],
    grounds: Grounds,
    matter: &Matter,
    not_applicable: &[(String, String)],
) -> Vec<Judged> {
    REQUIREMENTS
        .iter()
        .map(|requirement| {
            let (verdict, reason) = verdict(requirement, findings, grounds, matter, not_applicable);
            Judged {
                id: requirement.id,
                standard: standard(requirement.id),
                status: requirement.status,
                text: requirement.text,
                verdict,
                reason,
            }
        })
        .collect()
}

fn verdict(
    requirement: &Requirement,
    findings: &[Finding],
    grounds: Grounds,
    matter: &Matter,
    not_applicable: &[(String, String)],
) -> (Verdict, String) {
    if let Some((_, reason)) = not_applicable.iter().find(|(id, _)| id == requirement.id) {
        return (Verdict::NotApplicable, reason.clone());
    }
    let speaking = |accepted: bool| -> BTreeSet<&str> {
        findings
            .iter()
            .filter(|f| f.suppressed.is_some() == accepted && f.severity >= Severity::Medium)
            .filter(|f| f.requirements.contains(&requirement.id))
            .map(|f| f.rule)
            .collect()
    };
    let words = |rules: BTreeSet<&str>| rules.into_iter().collect::<Vec<_>>().join(", ");
    let against = speaking(false);
    if !against.is_empty() {
        return (Verdict::Fails, format!("findings of {}", words(against)));
    }
    // What somebody accepted no longer fails, and is no evidence for anything.
    let accepted = speaking(true);
    if !accepted.is_empty() {
        let why = format!("accepted findings of {} speak against it", words(accepted));
        return (Verdict::NotTested, why);
    }
    if requirement.evidence == Evidence::Other || !has_rule(requirement.id) {
        return (Verdict::NotTested, "no automatic evidence from source or images".into());
    }
    if !grounds.covered {
        return (Verdict::NotTested, "too much of the input was not read".into());
    }
    let enough = match requirement.evidence {
        Evidence::Any => grounds.inputs > 0,
        Evidence::Image => grounds.images > 0,
        Evidence::Across => grounds.images > 1,
        Evidence::Signed => grounds.signed,
        Evidence::Other => false,
    };
    let mut had: Vec<&str> = all()
        .filter(|rule| rule.severity >= Severity::Medium && matter.had(rule))
        .filter(|rule| rule.requirements.contains(&requirement.id))
        .map(|rule| rule.id)
        .collect();
    had.sort_unstable();
    match (enough, requirement.evidence) {
        (true, Evidence::Signed) => {
            (Verdict::EvidenceSupports, "every image header that was seen shows a signature".into())
        }
        (true, _) if had.is_empty() => {
            (Verdict::NotTested, "nothing that was read is what its rules judge".into())
        }
        (true, _) => (
            Verdict::EvidenceSupports,
            format!("nothing against it in what {} judged", listed(&had)),
        ),
        (false, Evidence::Across) => {
            (Verdict::NotTested, "needs a second image or the fleet".into())
        }
        (false, Evidence::Signed) => (Verdict::NotTested, "no signed image was seen".into()),
        (false, _) => (Verdict::NotTested, "needs an image".into()),
    }
}

/// The first few ids, and how many more.
fn listed(ids: &[&str]) -> String {
    match ids {
        [first @ .., _] if first.len() >= 6 => {
            format!("{} and {} more rules", ids[..6].join(", "), ids.len() - 6)
        }
        _ => ids.join(", "),
    }
}

fn has_rule(id: &str) -> bool {
    all().any(|rule| rule.severity >= Severity::Medium && rule.requirements.contains(&id))
}

use Evidence::{Across, Any, Image, Other, Signed};

const fn r(
    id: &'static str,
    status: &'static str,
    text: &'static str,
    evidence: Evidence,
) -> Requirement {
    Requirement { id, status, text, evidence }
}

/// Every requirement, EN 303 645 first.
pub const REQUIREMENTS: &[Requirement] = &[
    r("5.0-1", "M", "Justify each provision that is not met or not applicable", Other),
    r("5.1-1", "C", "Passwords are unique per device or set by the user", Across),
    r("5.1-2", "C", "Pre-set unique passwords cannot be guessed or derived", Across),
    r("5.1-2A", "R", "Machines authenticate to machines without passwords", Other),
    r("5.1-3", "C", "Authentication uses sound cryptography", Any),
    r("5.1-4", "C", "The user can change the authentication value easily", Other),
    r("5.1-5", "C", "Guessing over the network is impracticable", Other),
    r("5.2-1", "M", "A vulnerability disclosure policy is public", Other),
    r("5.2-2", "R", "Reported vulnerabilities are acted on in time", Other),
    r("5.2-3", "R", "Vulnerabilities are looked for and fixed during support", Other),
    r("5.3-1", "R", "All software parts can be updated securely", Other),
    r("5.3-2", "C", "There is a secure update mechanism", Other),
    r("5.3-3", "C", "An update is simple to apply", Other),
    r("5.3-4A", "R", "Updates are applied automatically", Other),
    r("5.3-4B", "R", "Automatic updates are on from the start once the user agrees", Other),
    r("5.3-5", "R", "The device looks for updates after start and regularly", Other),
    r("5.3-6A", "R", "The user may turn automatic updates on, off or put them off", Other),
    r("5.3-6B", "R", "The user may turn update notices on or off", Other),
    r("5.3-7", "C", "Updates use sound cryptography", Signed),
    r("5.3-8", "C", "Security updates come in time", Other),
    r("5.3-9", "R", "The device checks origin and integrity of updates", Signed),
    r("5.3-10", "C", "Networked updates are authenticated and integrity-checked", Signed),
    r("5.3-11", "R", "The user is told that a security update is needed", Other),
    r("5.3-12", "R", "The user is told when an update disturbs the function", Other),
    r("5.3-13", "M", "The support period is published", Other),
    r(
        "5.3-14",
        "R",
        "For devices that cannot be updated, the reason and the plan are published",
        Other,
    ),
    r("5.3-15A", "R", "Devices that cannot be updated can be isolated", Other),
    r("5.3-15B", "R", "Devices that cannot be updated can be replaced", Other),
    r("5.3-16", "M", "The model can be recognised", Other),
    r("5.4-1", "C", "Sensitive parameters are stored securely", Image),
    r("5.4-2", "C", "A hard-coded device identity resists tampering", Other),
    r("5.4-3", "M", "No critical security parameter is hard-coded in source", Any),
    r(
        "5.4-4",
        "C",
        "Parameters for updates and services are unique per device and well made",
        Across,
    ),
    r("5.5-1", "M", "Communication uses sound cryptography", Any),
    r("5.5-2", "R", "Network and security parts are reviewed or evaluated", Other),
    r("5.5-3", "R", "Cryptography can be updated", Other),
    r("5.5-4", "R", "Network access to functions needs authentication", Other),
    r("5.5-5", "C", "Security settings change only after authentication", Any),
    r("5.5-6", "R", "Critical parameters are encrypted in transit", Other),
    r("5.5-7", "C", "Critical parameters stay confidential over remote interfaces", Any),
    r("5.5-8", "C", "Critical parameters are managed securely through their life", Other),
    r("5.6-1", "C", "Unused interfaces are off", Image),
    r("5.6-2", "M", "Little is disclosed before authentication", Other),
    r("5.6-3", "R", "Hardware interfaces are not exposed without need", Other),
    r("5.6-4A", "C", "Debug interfaces are off or protected", Any),
    r(
        "5.6-4B",
        "R",
        "Debug interfaces that are physical ports are protected physically, too",
        Other,
    ),
    r("5.6-5", "R", "Only software that is needed runs", Image),
    r("5.6-6", "R", "Code is kept to what the service needs", Image),
    r("5.6-7", "R", "Software runs with the least rights", Image),
    r("5.6-8", "R", "The hardware controls access to memory", Image),
    r("5.6-9", "R", "Software is made by a secure development process", Other),
    r("5.7-1", "R", "The device verifies its software at boot", Signed),
    r("5.7-2", "R", "A change of software raises an alert and limits connections", Other),
    r("5.8-1", "R", "Personal data in transit is confidential", Any),
    r("5.8-2", "C", "Sensitive personal data to services is confidential", Any),
    r("5.8-3", "C", "External sensors are documented", Other),
    r("5.9-1", "R", "The device copes with outages of network and power", Other),
    r("5.9-2", "R", "It keeps its local function and recovers cleanly", Other),
    r("5.9-3", "R", "It reconnects in an orderly way", Other),
    r("5.10-1", "R", "Telemetry is looked at for anomalies", Other),
    r("5.11-1", "M", "The user can erase user data", Other),
    r("5.11-2", "R", "The user can remove personal data from services", Other),
    r("5.11-3", "R", "Clear instructions say how to delete personal data", Other),
    r("5.11-4", "R", "The user gets a confirmation of deletion", Other),
    r("5.12-1", "R", "Installation takes few decisions and follows good practice", Other),
    r("5.12-2", "R", "Guidance on secure set-up is given", Other),
    r("5.12-3", "R", "Guidance on checking the set-up is given", Other),
    r("5.13-1A", "M", "Input from users is validated", Any),
    r("5.13-1B", "M", "Input from networks and services is validated", Any),
    r("6-1", "M", "Users are told what personal data is used, by whom and why", Other),
    r("6-2", "C", "Consent is obtained validly", Other),
    r("6-3A", "C", "Consent can be withdrawn", Other),
    r("6-3B", "C", "What was consented to is kept on record", Other),
    r("6-4", "R", "Telemetry keeps personal data to what is needed", Other),
    r("6-5", "C", "Users are told about telemetry", Other),
    r("6-6", "C", "Personal data is limited to what its purpose needs and deleted after", Other),
    r(
        "6-7",
        "R",
        "What serves an aggregate only is computed without exposing single people",
        Other,
    ),
    r("6-8", "R", "Personal data is anonymised by sound techniques", Other),
    r("I1.2.3", "L1", "The release build and configuration is shipped, not a debug one", Image),
    r("I1.2.4", "L2", "Debug ports are closed before shipping", Any),
    r("I1.2.7", "L2", "Code integrity protection is on and locked", Any),
    r("I1.3.3", "L2", "Banned C functions are replaced", Any),
    r("I1.3.7", "L2", "Programs are built with object size checks", Image),
    r("I1.3.8", "L2", "Programs are built without executable data", Image),
    r("I1.3.9", "L2", "Programs are position-independent", Image),
    r("I1.3.10", "L2", "Programs are built with stack protection", Image),
    r("I1.3.11", "L2", "Programs have read-only relocations", Image),
    r("I1.3.12", "L1", "Release builds hold no debug code", Any),
    r("I1.3.13", "L2", "Debug and release images are signed with different keys", Signed),
    r("I1.3.14", "L1", "Debug information holds no secrets", Image),
    r("I1.3.15", "L1", "Commands cannot be injected", Any),
    r("I1.4.3", "L2", "Time comes from a reliable source", Other),
    r("I2.1.3", "L1", "Users and devices authenticate strongly", Any),
    r("I2.1.5", "L1", "Certificates are preferred to passwords", Any),
    r("I2.1.6", "L1", "No hard-coded and no duplicate passwords", Across),
    r("I2.1.7", "L1", "No undocumented accounts or interfaces", Image),
    r("I2.2.1", "L1", "API keys and personal data are stored encrypted", Any),
    r("I2.2.3", "L1", "Programs run with the least rights", Image),
    r("I2.3.4", "L2", "Secrets are wiped from memory", Other),
    r("I2.4.1", "L1", "Cryptographic secrets are unique per device", Across),
    r("I2.4.2", "L1", "Strong standard cryptography is used properly", Any),
    r("I2.4.3", "L2", "Random numbers come from a secure source", Any),
    r("I2.4.4", "L2", "Secrets are kept in security hardware", Other),
    r("I3.1.1", "L1", "The boot loader loads code from allowed places only", Any),
    r("I3.1.2", "L2", "Boot loader settings cannot be changed", Any),
    r("I3.1.3", "L2", "Serial and USB are off or protected during boot", Any),
    r("I3.1.4", "L2", "The first boot stage is verified by trusted hardware", Other),
    r("I3.1.5", "L2", "Every next stage is verified", Signed),
    r("I3.1.7", "L2", "Firmware at rest is encrypted", Other),
    r("I3.2.1", "L1", "The operating system is configured securely", Image),
    r("I3.2.2", "L1", "Only services that are needed are reachable", Image),
    r("I3.2.4", "L2", "Storage volumes are encrypted", Other),
    r("I3.2.6", "L2", "Memory protection of the operating system is on", Image),
    r("I3.2.7", "L2", "Hardware memory protection and privilege levels are used", Image),
    r("I3.2.10", "L3", "Third-party applications are contained", Any),
    r("I3.3.4", "L2", "Capabilities are minimal", Image),
    r("I3.3.6", "L3", "A kernel security module is in use", Image),
    r("I3.4.3", "L1", "Updates are signed and verified before they run", Signed),
    r("I3.4.6", "L1", "Downgrades to vulnerable versions are refused", Any),
    r("I3.6.1", "L2", "Kernel modules are signed and verified", Image),
    r("I4.1.1", "L1", "Communication is confidential, authentic and safe from replay", Any),
    r("I4.1.2", "L1", "TLS is configured with strong suites", Any),
    r("I4.1.3", "L1", "TLS certificates are verified", Any),
    r("I4.2.1", "L1", "Only data that is not sensitive goes unencrypted", Any),
    r("I4.2.2", "L1", "Shared secrets are not the same in each device", Across),
    r("I4.2.3", "L1", "MQTT brokers let in authorised devices only", Any),
    r("I4.3.2", "L1", "Bluetooth PINs cannot be guessed", Any),
    r("I4.4.2", "L1", "Wi-Fi uses WPA2 or higher", Any),
    r("I4.4.3", "L1", "Wi-Fi uses AES-CCMP", Any),
    r("I4.4.4", "L1", "WPS is not used", Any),
    r("I5.1.6", "L1", "A trusted execution environment is used", Other),
    r("I5.1.9", "L1", "An MPU protects sensitive memory", Other),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn plenty() -> Matter {
        let met = all().map(|rule| rule.id).collect();
        Matter { sources: 9, settings: 9, programs: 9, vectors: 9, met, keys: 9 }
    }

    #[test]
    fn an_accepted_finding_supports_nothing() {
        let verdict = |suppressed: Option<String>| {
            let finding = Finding {
                rule: "K-002",
                severity: Severity::High,
                title: String::new(),
                detail: String::new(),
                fingerprint: String::new(),
                requirements: vec!["5.4-1"],
                locations: vec![],
                lowered: None,
                suppressed,
            };
            let judged = judge(&[finding], ALL, &plenty(), &[]);
            judged.into_iter().find(|j| j.id == "5.4-1").map(|j| j.verdict)
        };
        assert_eq!(verdict(None), Some(Verdict::Fails));
        assert_eq!(verdict(Some("ours".into())), Some(Verdict::NotTested));
    }

    #[test]
    fn silence_about_what_was_not_there_supports_nothing() {
        let supported = |matter: &Matter| {
            judge(&[], Grounds { signed: false, ..ALL }, matter, &[])
                .into_iter()
                .filter(|j| j.verdict == Verdict::EvidenceSupports)
                .map(|j| j.id)
                .collect::<Vec<_>>()
        };
        assert!(supported(&Matter::default()).is_empty());
        // Programs speak for how they were built, source for how TLS is set up.
        let programs = supported(&Matter { programs: 1, ..Matter::default() });
        assert!(programs.contains(&"I1.3.8") && !programs.contains(&"I4.1.2"), "{programs:?}");
        let sources = supported(&Matter { sources: 1, ..Matter::default() });
        assert!(sources.contains(&"I4.1.2"), "{sources:?}");
    }

    const ALL: Grounds = Grounds { images: 2, inputs: 2, covered: true, signed: true };

    #[test]
    fn en_303_645_has_its_78_provisions() {
        let provisions: Vec<_> = REQUIREMENTS.iter().filter(|r| !r.id.starts_with('I')).collect();
        assert_eq!(provisions.len(), 78);
        let mandatory = provisions.iter().filter(|r| r.status != "R").count();
        assert_eq!(mandatory, 36);
        assert_eq!(provisions.iter().filter(|r| r.status == "M").count(), 11);
    }

    #[test]
    fn one_image_never_supports_uniqueness_across_devices() {
        let one = Grounds { images: 1, inputs: 1, ..ALL };
        let verdict = |grounds| {
            judge(&[], grounds, &plenty(), &[])
                .into_iter()
                .find(|j| j.id == "5.1-1")
                .map(|j| j.verdict)
        };
        assert_eq!(verdict(one), Some(Verdict::NotTested));
        assert_eq!(verdict(ALL), Some(Verdict::EvidenceSupports));
    }

    #[test]
    fn an_unread_image_supports_nothing() {
        let grounds = Grounds { covered: false, ..ALL };
        assert!(
            judge(&[], grounds, &plenty(), &[]).iter().all(|j| j.verdict == Verdict::NotTested)
        );
    }
}
