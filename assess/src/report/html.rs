//! The HTML report: one file, no script, no network.

use askama::Template;

use super::{NOT_CHECKED, shared_words};
use crate::{
    Assessment,
    model::{Severity, size},
    rules::{self, requirements::Verdict},
};

/// One self-contained page.
///
/// # Errors
/// The template engine's own; none in practice.
pub fn html(assessment: &Assessment) -> Result<String, askama::Error> {
    let open = assessment.findings.iter().filter(|f| f.suppressed.is_none());
    let findings: Vec<Row> = open.map(row).collect();
    let accepted: Vec<Row> =
        assessment.findings.iter().filter(|f| f.suppressed.is_some()).map(row).collect();
    let counts = Severity::ALL
        .iter()
        .map(|s| {
            (
                s.word(),
                assessment
                    .findings
                    .iter()
                    .filter(|f| f.suppressed.is_none() && f.severity == *s)
                    .count(),
            )
        })
        .collect();
    let verdicts =
        [Verdict::Fails, Verdict::EvidenceSupports, Verdict::NotTested, Verdict::NotApplicable]
            .iter()
            .map(|v| {
                let etsi = assessment
                    .requirements
                    .iter()
                    .filter(|r| r.verdict == *v && !r.id.starts_with('I'))
                    .count();
                let isvs = assessment
                    .requirements
                    .iter()
                    .filter(|r| r.verdict == *v && r.id.starts_with('I'))
                    .count();
                (v.words(), etsi, isvs)
            })
            .collect();
    Page {
        shared: shared_words(&assessment.shared),
        shared_class: match assessment.shared {
            crate::Shared::Yes { .. } => "bad",
            _ => "unknown",
        },
        inputs: assessment
            .inputs
            .iter()
            .map(|i| InputRow {
                name: i.name.clone(),
                size: size(i.bytes),
                read: i.coverage.read_permille() / 10,
                understood: size(i.coverage.understood),
                searched: size(i.coverage.searched),
                unread: size(i.coverage.unread),
                error: i.error.clone(),
                history: i.history.words().unwrap_or_default(),
                opened: i
                    .opened
                    .iter()
                    .map(|(f, n)| format!("{n} × {f}"))
                    .collect::<Vec<_>>()
                    .join(", "),
                regions: i
                    .unread
                    .iter()
                    .take(200)
                    .map(|u| {
                        (
                            u.path.clone(),
                            format!("0x{:x}", u.offset),
                            if u.bytes == 0 { "?".into() } else { size(u.bytes) },
                            u.reason.clone(),
                        )
                    })
                    .collect(),
                more: i.unread.len().saturating_sub(200),
            })
            .collect(),
        comparisons: assessment.comparisons.iter().map(comparison).collect(),
        findings,
        accepted,
        counts,
        verdicts,
        requirements: assessment
            .requirements
            .iter()
            .map(|r| RequirementRow {
                id: rules::requirements::label(r.id),
                status: r.status,
                text: r.text,
                verdict: r.verdict.words(),
                class: match r.verdict {
                    Verdict::Fails => "bad",
                    Verdict::EvidenceSupports => "good",
                    _ => "unknown",
                },
                reason: r.reason.clone(),
            })
            .collect(),
        components: assessment
            .components
            .iter()
            .map(|c| {
                (
                    c.name,
                    c.version.clone(),
                    c.locations.first().map(|l| l.path.clone()).unwrap_or_default(),
                    c.locations.len(),
                )
            })
            .collect(),
        stale: assessment
            .stale_suppressions
            .iter()
            .map(|s| {
                (
                    s.accepted.rule.clone(),
                    s.accepted.fingerprint.clone(),
                    s.accepted.owner.clone(),
                    s.why,
                )
            })
            .collect(),
        not_checked: NOT_CHECKED,
        rules: assessment.rules,
        known: assessment.known_keys.0,
        known_day: assessment.known_keys.1,
        weak: assessment.debian_weak_keys.0,
        weak_day: assessment.debian_weak_keys.1,
        table: assessment.requirement_table,
        version: env!("CARGO_PKG_VERSION"),
        today: assessment.today.clone(),
        exit: assessment.exit,
    }
    .render()
}

fn comparison(pair: &crate::Comparison) -> ComparisonRow {
    ComparisonRow {
        first: pair.first.clone(),
        second: pair.second.clone(),
        words: super::comparison_words(pair),
        paths: pair.paths.iter().take(200).cloned().collect(),
        regions: pair
            .regions
            .iter()
            .map(|r| format!("0x{:x}, {}", r.offset, size(r.bytes)))
            .collect(),
    }
}

fn row(finding: &crate::model::Finding) -> Row {
    let rule = rules::find(finding.rule);
    Row {
        severity: finding.severity.word(),
        class: finding.severity.word().to_lowercase(),
        rule: finding.rule,
        title: finding.title.clone(),
        detail: finding.detail.clone(),
        about: rule.map_or("", |r| r.about),
        fix: rule.map_or("", |r| r.fix),
        fingerprint: finding.fingerprint.clone(),
        requirements: finding
            .requirements
            .iter()
            .map(|r| rules::requirements::label(r))
            .collect::<Vec<_>>()
            .join(", "),
        places: finding.locations.iter().take(100).map(ToString::to_string).collect(),
        count: finding.locations.len(),
        more: finding.locations.len().saturating_sub(100),
        lowered: finding.lowered.clone().unwrap_or_default(),
        suppressed: finding.suppressed.clone().unwrap_or_default(),
    }
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    shared: String,
    shared_class: &'static str,
    inputs: Vec<InputRow>,
    comparisons: Vec<ComparisonRow>,
    findings: Vec<Row>,
    accepted: Vec<Row>,
    counts: Vec<(&'static str, usize)>,
    verdicts: Vec<(&'static str, usize, usize)>,
    requirements: Vec<RequirementRow>,
    components: Vec<(&'static str, String, String, usize)>,
    stale: Vec<(String, String, String, &'static str)>,
    not_checked: &'static [&'static str],
    rules: usize,
    known: usize,
    known_day: &'static str,
    weak: u64,
    weak_day: &'static str,
    table: &'static str,
    version: &'static str,
    today: String,
    exit: u8,
}

struct InputRow {
    name: String,
    size: String,
    read: u32,
    understood: String,
    searched: String,
    unread: String,
    error: Option<String>,
    history: &'static str,
    opened: String,
    regions: Vec<(String, String, String, String)>,
    more: usize,
}

struct ComparisonRow {
    first: String,
    second: String,
    words: String,
    paths: Vec<String>,
    regions: Vec<String>,
}

struct Row {
    severity: &'static str,
    class: String,
    rule: &'static str,
    title: String,
    detail: String,
    about: &'static str,
    fix: &'static str,
    fingerprint: String,
    requirements: String,
    places: Vec<String>,
    count: usize,
    more: usize,
    lowered: String,
    suppressed: String,
}

struct RequirementRow {
    id: String,
    status: &'static str,
    text: &'static str,
    verdict: &'static str,
    class: &'static str,
    reason: String,
}
