//! SARIF 2.1.0.

use serde_json::{Value, json};

use crate::{
    Assessment,
    model::{Finding, Severity},
    rules,
};

/// A SARIF 2.1.0 log with one run. Each rule appears once; each result has a location;
/// what was not read is a tool notification.
///
/// # Errors
/// None in practice; the serialiser's own otherwise.
pub fn sarif(assessment: &Assessment) -> Result<String, serde_json::Error> {
    let mut used: Vec<&str> = assessment.findings.iter().map(|f| f.rule).collect();
    used.sort_unstable();
    used.dedup();
    let descriptors: Vec<Value> =
        used.iter().filter_map(|id| rules::find(id)).map(descriptor).collect();
    let results: Vec<Value> = assessment
        .findings
        .iter()
        .filter(|f| !f.locations.is_empty())
        .map(|finding| result(finding, &used))
        .collect();
    let notifications: Vec<Value> = assessment
        .inputs
        .iter()
        .flat_map(|input| {
            let whole = input.error.iter().map(|error| format!("{}: {error}", input.name));
            let parts = input.unread.iter().map(|u| {
                format!("{} at 0x{:x}, {} bytes: {}", u.path, u.offset, u.bytes, u.reason)
            });
            whole.chain(parts).collect::<Vec<_>>()
        })
        .map(|text| json!({"level": "warning", "message": {"text": format!("not read: {text}")}}))
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "ringfort assess",
                "fullName": "Ringfort crystal-box assessment",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": descriptors,
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": assessment.exit != 3,
                "exitCode": assessment.exit,
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&log)
}

fn descriptor(rule: &rules::Rule) -> Value {
    json!({
        "id": rule.id,
        "name": pascal(rule.title),
        "shortDescription": {"text": sentence(rule.title)},
        "fullDescription": {"text": rule.about},
        "help": {"text": format!("Fix: {}", rule.fix)},
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {
            "tags": rule.requirements.iter().map(|r| rules::requirements::label(r)).collect::<Vec<_>>(),
            "security-severity": score(rule.severity),
        },
    })
}

fn result(finding: &Finding, used: &[&str]) -> Value {
    let mut message = sentence(&finding.title);
    if !finding.detail.is_empty() {
        message = format!("{} {}", message, sentence(&finding.detail));
    }
    if let Some(why) = &finding.lowered {
        message = format!("{message} Severity {why}.");
    }
    let mut value = json!({
        "ruleId": finding.rule,
        "ruleIndex": used.binary_search(&finding.rule).unwrap_or(0),
        "level": level(finding.severity),
        "message": {"text": message},
        "partialFingerprints": {"ringfort/1": finding.fingerprint},
        "locations": finding.locations.iter().take(1000).map(location).collect::<Vec<_>>(),
        "properties": {"places": finding.locations.len()},
    });
    if let Some(reason) = &finding.suppressed {
        value["suppressions"] = json!([{"kind": "external", "justification": reason}]);
    }
    value
}

fn location(place: &crate::model::Location) -> Value {
    let nested = place.path.contains('!');
    let mut physical = json!({"artifactLocation": {"uri": uri(&place.file)}});
    match place.line.filter(|_| !nested) {
        Some(line) => physical["region"] = json!({"startLine": line}),
        // An offset in a nested file is no offset of the artifact: it is in the logical name.
        None if !nested => {
            physical["region"] = json!({"byteOffset": place.offset, "byteLength": 1})
        }
        None => {}
    }
    let mut value = json!({"physicalLocation": physical});
    if nested {
        value["logicalLocations"] =
            json!([{"fullyQualifiedName": place.to_string(), "kind": "member"}]);
    }
    value
}

/// A relative or file URI with everything but the unreserved characters escaped.
fn uri(path: &str) -> String {
    let mut out = String::new();
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in path.trim_start_matches("./").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn sentence(text: &str) -> String {
    let mut chars = text.trim().chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    let text = format!("{first}{}", chars.as_str());
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

fn pascal(title: &str) -> String {
    title
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(|w| w[..1].to_uppercase() + &w[1..])
        .collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}
