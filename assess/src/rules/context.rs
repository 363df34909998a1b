//! Where a finding stands: documentation, tests, examples and libraries of others tell less
//! about a product than its own files. The severity is lowered there, and the report says so.

use super::unit_tests::UnitTests;
use crate::model::{Location, Severity};

/// The lower severity of a finding whose places are all of one such kind, and why.
pub(crate) fn lowered(
    rule: &str,
    severity: Severity,
    locations: &[Location],
    unit_tests: &UnitTests,
) -> Option<(Severity, String)> {
    // What is shared across products, and what a second file proves, holds wherever it stands.
    if ALWAYS.contains(&rule) || locations.is_empty() {
        return None;
    }
    let about_code = rule.starts_with(['C', 'N', 'D', 'B', 'U']);
    let kind =
        |l: &Location| Context::of(&l.path).or_else(|| unit_tests.hold(l).then_some(Context::Test));
    let kinds: Vec<Context> = locations.iter().map(kind).collect::<Option<_>>()?;
    let all = |kind: Context| kinds.iter().all(|k| *k == kind);
    let to = if about_code && !kinds.contains(&Context::Library) {
        Severity::Low
    } else {
        Severity::Medium
    };
    let words = [Context::Documentation, Context::Test, Context::Example, Context::Library]
        .into_iter()
        .find(|kind| all(*kind))
        .map_or("documentation, tests, examples or others' libraries", Context::words);
    (to < severity).then(|| {
        let from = severity.word().to_lowercase();
        (to, format!("lowered from {from}: found only in {words}"))
    })
}

/// What kind of file it is, where that tells less about the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    /// Manuals, change logs, completions, translations.
    Documentation,
    /// Tests and their data.
    Test,
    /// Examples, samples and templates.
    Example,
    /// A well-known library of others.
    Library,
}

impl Context {
    fn words(self) -> &'static str {
        match self {
            Self::Documentation => "documentation",
            Self::Test => "tests",
            Self::Example => "examples",
            Self::Library => "a library of others, which offers the choice: see who calls it",
        }
    }

    /// By the names on the way to the file.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let lower = path.to_lowercase();
        let mut parts: Vec<&str> =
            lower.split(['/', '!']).filter(|p| !p.is_empty() && !p.contains("@0x")).collect();
        let name = crate::walk::without_version(parts.pop()?);
        let within = |words: &[&str]| parts.iter().any(|p| words.contains(p));
        let starts = |words: &[&str]| words.iter().any(|w| name.starts_with(w));
        let ends = |words: &[&str]| words.iter().any(|w| name.ends_with(w));
        let stem = name.split('.').next().unwrap_or("");
        if within(TEST)
            || stem.starts_with("test_")
            || stem.ends_with("_test")
            || stem.ends_with("_tests")
            || starts(&["test."])
            || name.contains(".test.")
            || name.contains(".spec.")
            || stem == "conftest"
        {
            Some(Self::Test)
        } else if within(EXAMPLE)
            || ends(&[".example", ".sample", ".dist", ".template", ".tmpl"])
            || name.contains(".example.")
            || name.contains(".sample.")
        {
            Some(Self::Example)
        } else if within(DOCUMENTATION)
            || ends(&[".md", ".rst", ".adoc", ".pod", ".po", ".texi", ".info"])
            || starts(&[
                "readme",
                "changelog",
                "changes",
                "news.",
                "history.",
                "todo",
                "authors",
                "faq",
            ])
        {
            Some(Self::Documentation)
        } else if is_library(&parts) {
            Some(Self::Library)
        } else {
            None
        }
    }
}

/// A library that everyone knows, below a folder where packages lie.
fn is_library(parts: &[&str]) -> bool {
    parts.iter().enumerate().any(|(at, part)| match *part {
        "node_modules" | "_vendor" | "third_party" | "perl5" => true,
        "site-packages" | "dist-packages" => {
            parts.get(at + 1).is_some_and(|next| PACKAGES.contains(next))
        }
        // The standard library itself, and the modules of CMake.
        _ => {
            let python = part
                .strip_prefix("python3.")
                .is_some_and(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()));
            let packages =
                parts[at + 1..].iter().any(|p| matches!(*p, "site-packages" | "dist-packages"));
            python && !packages || part.starts_with("cmake-") || part.starts_with("pip-")
        }
    })
}

/// Rules that no place excuses.
const ALWAYS: &[&str] = &["K-001", "K-005", "K-007", "K-008", "K-023", "K-030", "K-032"];

const TEST: &[&str] = &[
    "test",
    "tests",
    "testing",
    "testdata",
    "test_data",
    "test-data",
    "testsuite",
    "fixtures",
    "fixture",
    "__tests__",
    "spec",
    "specs",
    "mock",
    "mocks",
    "e2e",
];

const EXAMPLE: &[&str] = &[
    "example",
    "examples",
    "sample",
    "samples",
    "demo",
    "demos",
    "tutorial",
    "tutorials",
    "snippets",
    "templates",
    "contrib",
];

const DOCUMENTATION: &[&str] = &[
    "doc",
    "docs",
    "documentation",
    "man",
    "man1",
    "man2",
    "man3",
    "man4",
    "man5",
    "man6",
    "man7",
    "man8",
    "info",
    "bash-completion",
    "zsh",
    "locale",
    "po",
    "help",
    "vim",
];

const PACKAGES: &[&str] = &[
    "aiohttp",
    "amqp",
    "apt",
    "azure",
    "boto",
    "boto3",
    "botocore",
    "certbot",
    "certifi",
    "cryptography",
    "django",
    "docker",
    "eventlet",
    "flask",
    "gevent",
    "google",
    "grpc",
    "httpcore",
    "httplib2",
    "httpx",
    "idna",
    "jwt",
    "kombu",
    "launchpadlib",
    "lazr",
    "ldap3",
    "numpy",
    "oauthlib",
    "openssl",
    "paho",
    "pip",
    "psycopg2",
    "pygments",
    "pymongo",
    "pymysql",
    "redis",
    "requests",
    "setuptools",
    "sqlalchemy",
    "tornado",
    "trio",
    "twisted",
    "urllib3",
    "websocket",
    "websockets",
    "yaml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_what_kind_of_file_it_is() {
        for (path, kind) in [
            ("a.tar!tar@0x0!usr/share/doc/curl/README", Some(Context::Documentation)),
            ("/usr/share/man/man1/curl.1.gz!gzip@0x0", Some(Context::Documentation)),
            ("src/tests/login.py", Some(Context::Test)),
            ("pkg/login_test.go", Some(Context::Test)),
            ("examples/mqtt.c", Some(Context::Example)),
            ("etc/app.conf.example", Some(Context::Example)),
            ("/usr/lib/python3/dist-packages/urllib3/util.py", Some(Context::Library)),
            ("/usr/lib/python3.11/ssl.py", Some(Context::Library)),
            ("/usr/lib/python3/dist-packages/acmegw/cloud.py", None),
            ("fw.bin!squashfs@0x10000!/etc/init.d/rcS", None),
            ("src/protest.c", None),
            ("latest/main.c", None),
            (
                ".git/objects/pack/a.pack!git-pack@0x0!/notes.md@0123456789ab",
                Some(Context::Documentation),
            ),
            (".git/objects/pack/a.pack!git-pack@0x0!/main.c@0123456789ab", None),
        ] {
            assert_eq!(Context::of(path), kind, "{path}");
        }
    }

    #[test]
    fn one_place_outside_keeps_the_severity() {
        let at = |path: &str| Location {
            owner: 0,
            file: path.into(),
            path: path.into(),
            offset: 0,
            line: None,
        };
        let (doc, code) = (at("doc/a.txt"), at("src/a.c"));
        let (high, none) = (Severity::High, UnitTests::default());
        assert_eq!(
            lowered("C-005", high, std::slice::from_ref(&doc), &none).map(|l| l.0),
            Some(Severity::Low)
        );
        assert_eq!(
            lowered("P-010", high, std::slice::from_ref(&doc), &none).map(|l| l.0),
            Some(Severity::Medium)
        );
        assert_eq!(lowered("P-010", high, &[doc.clone(), code], &none), None);
        assert_eq!(lowered("K-001", Severity::Critical, &[doc], &none), None);
    }
}
