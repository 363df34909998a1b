//! Reports: terminal, JSON, SARIF 2.1.0, HTML. The same assessment gives the same bytes.

mod docs;
mod html;
mod sarif;
mod terminal;

use serde_json::{Value, json};

pub use docs::docs;
pub use html::html;
pub use sarif::sarif;
pub use terminal::{coverage, screen};

use crate::{Assessment, Comparison, Shared, model::size, rules};

/// The schema of [`json`], a JSON Schema 2020-12 document.
pub const SCHEMA: &str = include_str!("../../data/assessment.schema.json");

/// One document with everything.
///
/// # Errors
/// None in practice; the serialiser's own otherwise.
pub fn json(assessment: &Assessment) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(assessment)?;
    if let Value::Object(fields) = &mut value {
        fields.insert("schema".into(), json!("ringfort-assessment/1"));
        fields.insert(
            "tool".into(),
            json!({"name": "ringfort assess", "version": env!("CARGO_PKG_VERSION")}),
        );
        fields.insert("shared_in_words".into(), json!(shared_words(&assessment.shared)));
        fields.insert("not_checked".into(), json!(NOT_CHECKED));
    }
    for finding in value["findings"].as_array_mut().into_iter().flatten() {
        let fix = finding["rule"].as_str().and_then(rules::find).map_or("", |r| r.fix);
        finding["fix"] = json!(fix);
    }
    serde_json::to_string_pretty(&value)
}

/// The answer to the first question in words.
#[must_use]
pub fn shared_words(shared: &Shared) -> String {
    match shared {
        Shared::Yes { private_keys, password_hashes, credentials } => {
            let mut parts = Vec::new();
            for (count, one, many) in [
                (private_keys, "private key", "private keys"),
                (password_hashes, "password hash", "password hashes"),
                (credentials, "credential", "credentials"),
            ] {
                if *count > 0 {
                    parts.push(format!("{count} {}", if *count == 1 { one } else { many }));
                }
            }
            format!("YES: {}", parts.join(", "))
        }
        Shared::NotFound { images } => {
            format!("not found in what was read of {images} images; other devices were not tested")
        }
        Shared::NotTested => "NOT TESTED across devices: give a second image".to_owned(),
    }
}

/// What two images have in common and what not, in words.
#[must_use]
pub fn comparison_words(pair: &Comparison) -> String {
    if pair.identical {
        return "the same bytes: one image given twice says nothing about two devices".to_owned();
    }
    let mut words = format!(
        "{} files the same, {} differ, {} only in the first, {} only in the second",
        pair.files_same, pair.files_different, pair.files_only_first, pair.files_only_second
    );
    if pair.bytes_same + pair.bytes_different > 0 {
        words.push_str(&format!(
            "; {} the same at their offset, {} not",
            size(pair.bytes_same),
            size(pair.bytes_different)
        ));
    }
    words
}

/// What no run of this version looks at. Every report says it.
pub const NOT_CHECKED: &[&str] = &[
    "known vulnerabilities of components: versions are listed, not judged",
    "the live fleet and open ports",
    "Debian-weak keys (CVE-2008-0166) beyond the sets that docs/assess.md lists: other sizes, elliptic curves, DSA keys of the openssl command, MIPS",
    "raw symmetric keys and private scalars in binary data without a structure around them",
    "credentials split over several strings",
    "passwords of PKCS#12, JKS, JCEKS and encrypted PEM beyond a short list of well-known ones; of OpenSSH, PuTTY and OpenPGP keys none are tried",
    "NAND dumps with out-of-band bytes; YAFFS, exFAT, XFS, Btrfs, F2FS, EROFS, NTFS; 7-Zip, RAR; squashfs before 4.0 and vendors' variants",
    "git repositories with SHA-256 ids",
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing::whole;

    /// The few words of JSON Schema that ours uses.
    fn check(schema: &Value, root: &Value, value: &Value, at: &str) {
        if schema["$ref"].is_string() {
            return check(&root["$defs"]["location"], root, value, at);
        }
        if let Some(allowed) = schema["enum"].as_array() {
            assert!(allowed.contains(value), "{at}: {value}");
        }
        if schema["const"].is_string() {
            assert_eq!(&schema["const"], value, "{at}");
        }
        let is = match value {
            Value::String(_) => "string",
            Value::Number(_) => "integer",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Null => "null",
            Value::Bool(_) => "boolean",
        };
        match &schema["type"] {
            Value::String(kind) => assert_eq!(kind, is, "{at}"),
            Value::Array(kinds) => assert!(kinds.iter().any(|k| k == is), "{at}"),
            _ => {}
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(value.get(name.as_str().unwrap()).is_some(), "{at} lacks {name}");
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            match schema["properties"].get(name) {
                Some(known) => check(known, root, inner, &format!("{at}.{name}")),
                None => assert_ne!(
                    schema["additionalProperties"], false,
                    "{at}: {name} is not in the schema"
                ),
            }
        }
        for inner in value.as_array().into_iter().flatten() {
            if schema["items"].is_object() {
                check(&schema["items"], root, inner, at);
            }
        }
    }

    #[test]
    fn the_json_report_follows_its_schema() {
        let found = whole(vec![
            ("etc/shadow", b"root::10933:0:99999:7:::\n".to_vec()),
            (
                "noise.bin",
                (0..40_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
            ),
        ]);
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let document: Value = serde_json::from_str(&json(&found).unwrap()).unwrap();
        assert!(!document["findings"].as_array().unwrap().is_empty());
        check(&schema, &schema, &document, "");
    }

    #[test]
    fn every_sarif_result_has_a_location_and_a_rule_that_is_there_once() {
        let found = whole(vec![("etc/shadow", b"root::10933:0:99999:7:::\n".to_vec())]);
        let log: Value = serde_json::from_str(&sarif(&found).unwrap()).unwrap();
        let rules: Vec<&Value> = log["runs"][0]["tool"]["driver"]["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| &r["id"])
            .collect();
        for result in log["runs"][0]["results"].as_array().unwrap() {
            assert!(!result["locations"].as_array().unwrap().is_empty());
            assert_eq!(rules.iter().filter(|id| **id == &result["ruleId"]).count(), 1);
        }
    }

    #[test]
    fn an_unread_image_is_not_tested_and_never_without_findings() {
        let mut state = 1u64;
        let noise: Vec<u8> = (0..200_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            })
            .collect();
        let found = whole(vec![("fw.bin", noise)]);
        assert_eq!(found.exit, 3);
        let screen = screen(&found);
        assert!(screen.contains("NOT READ 200.0 kB") && screen.contains("not tested"), "{screen}");
        assert!(screen.contains("NOT TESTED across devices"), "{screen}");
    }

    #[test]
    fn the_same_place_in_a_second_image_is_said_in_few_words() {
        let hash = format!("root:{}Q7xm2Lw9$kT4vW8yZbC3dF5gH8jK1m.:1:0:99999:7:::\n", "$1$");
        let archive = || crate::testing::tar("etc/shadow", hash.as_bytes());
        let screen = screen(&whole(vec![("a.tar", archive()), ("b.tar", archive())]));
        assert!(screen.contains("K-007"), "{screen}");
        assert!(screen.contains("(+1 place: the same in b.tar)"), "{screen}");
        assert!(screen.lines().count() <= 24, "{screen}");
    }

    #[test]
    fn a_fix_that_is_too_long_keeps_its_beginning() {
        let line = "t = \"gl·pat-x9Kq2LmN7pRs4TvW1yZb\"\n".replace('·', "");
        let screen = screen(&whole(vec![("a.py", line.into_bytes())]));
        assert!(screen.contains("Fix: Revoke it at the service"), "{screen}");
    }

    #[test]
    fn a_name_that_speaks_to_the_terminal_is_made_harmless() {
        let archive = crate::testing::tar("etc/\x1b[2Jshadow", b"root::10933:0:99999:7:::\n");
        let found = whole(vec![("a.tar", archive)]);
        assert!(!screen(&found).contains('\x1b') && !coverage(&found).contains('\x1b'));
    }

    #[test]
    fn markup_in_a_name_stays_text() {
        let archive = crate::testing::tar(
            "etc/<script>alert(1)<-script>-shadow",
            format!("root:{}Q7xm2Lw9$kT4vW8yZbC3dF5gH8jK1m.:1:0:99999:7:::\n", "$1$").as_bytes(),
        );
        let page = html(&whole(vec![("a.tar", archive)])).unwrap();
        assert!(!page.contains("<script>") && page.contains("script"));
    }
}
