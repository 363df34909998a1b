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

use crate::{Assessment, Shared, rules};

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
        fields.insert("tool".into(), json!({"name": "ringfort assess", "version": env!("CARGO_PKG_VERSION")}));
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
        Shared::NotTested => {
            "NOT TESTED across devices: give --hub or a second image".to_owned()
        }
    }
}

/// What no run of this version looks at. Every report says it.
pub const NOT_CHECKED: &[&str] = &[
    "known vulnerabilities of components: versions are listed, not judged",
    "the live fleet and open ports",
    "Debian-weak keys (CVE-2008-0166): no list of them is included",
    "raw symmetric keys and private scalars in binary data without a structure around them",
    "text in UTF-16, and credentials split over several strings",
    "passwords behind PKCS#12, JKS and encrypted PEM",
    "NAND dumps with out-of-band bytes; YAFFS, exFAT, XFS, Btrfs, F2FS, EROFS, NTFS; 7-Zip, RAR; squashfs before 4.0 and vendors' variants",
    "git repositories with SHA-256 ids",
];
