//! Reads "this name is given this value" as programs, settings and logs write it, and judges
//! whether the value is a secret. Rules of several groups use it as their last check.

use super::{Capture, crypto::code, valid};

/// A name, what stands between it and its value, and the value.
struct Given<'a> {
    /// Lower case, without `_`, `-` and `.`.
    name: String,
    /// As written.
    between: &'a str,
    value: &'a str,
    /// What stands before the name and after the value on the line.
    before: &'a str,
    after: &'a str,
}

impl<'a> Given<'a> {
    fn read(found: &Capture<'a>) -> Option<Self> {
        let offset = |part: &[u8]| part.as_ptr() as usize - found.line.as_ptr() as usize;
        let (start, value_at) = (offset(found.whole), offset(found.secret));
        let line = found.line;
        let text = |range: std::ops::Range<usize>| {
            line.get(range).and_then(|bytes| std::str::from_utf8(bytes).ok())
        };
        let head = after_command(text(start..value_at)?);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '$');
        let end = head.find(|c: char| !is_name(c)).unwrap_or(head.len());
        let (name, between) = head.split_at(end);
        Some(Self {
            name: name.to_lowercase().replace(['_', '-', '.', '$'], ""),
            between,
            value: text(value_at..value_at + found.secret.len())?,
            before: text(0..start).unwrap_or(""),
            after: text(value_at + found.secret.len()..line.len()).unwrap_or(""),
        })
    }

    /// The name stands for the secret itself, not for its place, kind, size or label.
    fn names_a_secret(&self) -> bool {
        !["mock", "fake", "dummy", "sample"].iter().any(|word| self.name.starts_with(word))
            && !NOT_SECRET_ENDS.iter().any(|end| self.name.ends_with(end))
            && !NOT_SECRET.iter().any(|part| self.name.contains(part))
    }

    /// The value is given to the name, and not only near it.
    fn is_given(&self) -> bool {
        let after = self.after.trim_start_matches(['"', '\'']).trim_start();
        if self.between.contains('{') && after.starts_with(':') {
            // The first name in an object that the name stands for.
            return false;
        }
        let between = self.between.trim_start_matches(['"', '\'', '`', ']', ')']);
        let between = between.trim().trim_end_matches(['"', '\'', '`']).trim_end();
        // `pass[32] = "x"`.
        let between = match between.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((_, rest)) => rest.trim(),
            None => between,
        };
        if between.is_empty() {
            // `storePassword "x"`, `#define PASS "x"`; in a list the name would be quoted.
            let sentence = self.before.split_whitespace().count() > 2;
            return !sentence
                && self.between.matches(['"', '\'', '`']).count() <= 1
                && !self.before.trim_end().ends_with(['"', '\'', ',']);
        }
        if let Some(rest) = between.strip_prefix(',') {
            return self.is_argument(rest.trim());
        }
        if between == "(" {
            return self.is_call();
        }
        let operand = between.trim_start_matches(|c: char| {
            matches!(c, ':' | '=' | '!' | '>' | '[') || c.is_whitespace()
        });
        // A type between name and value, as in `token: &str = "x"`.
        let operand = match between.rsplit_once('=') {
            Some((types, rest)) if types.starts_with(':') => rest.trim(),
            _ => operand,
        };
        let operand = operand.trim_start_matches(['>', '=']).trim();
        let lower = operand.to_lowercase();
        operand.is_empty()
            || PREFIXES.contains(&operand)
            || ["||", "??", " or", "?:", "default="].iter().any(|end| lower.ends_with(end))
            || lower == "value"
                && self.after.trim_start_matches(['"', '\'']).starts_with(['/', '>'])
            || WRAPPERS.iter().any(|w| lower.ends_with(w))
    }

    /// `("password", "x")`, `'--password', default='x'`, `"password", value="x"`.
    fn is_argument(&self, rest: &str) -> bool {
        let closes = self.after.trim_start_matches(['"', '\'', '`']).trim_start();
        let lower = rest.to_lowercase();
        let named = ["default=", "default =", "value=", "value\":", "value:", "value':"];
        if named.iter().any(|n| lower.ends_with(n)) {
            return true;
        }
        let opens = self.before.trim_end_matches(['"', '\'', '`']).trim_end();
        rest.is_empty()
            && opens.ends_with(['(', '{', '['])
            && closes.starts_with([')', '}', ']'])
            && opens != "in ("
    }

    /// `setPassword("x")`: a setter or a check, with something that is no message.
    fn is_call(&self) -> bool {
        let getter =
            ["get", "find", "load", "read", "has", "is", "prompt", "ask", "input", "fetch"]
                .iter()
                .any(|verb| self.name.rsplit("::").next().unwrap_or("").starts_with(verb));
        !getter
            && !self.value.contains('/')
            && self.value.bytes().any(|b| !b.is_ascii_alphabetic() && b != b'_')
    }

    fn is_prose(&self) -> bool {
        let words: Vec<&str> = self.value.split_whitespace().collect();
        let plain =
            |w: &&str| w.chars().all(|c| c.is_alphabetic() || matches!(c, '.' | ',' | '!' | '?'));
        words.len() > 1 && (words.len() > 4 || words.iter().filter(|w| plain(w)).count() > 1)
    }
}

/// A line that tells of a value and gives it to nothing: a comment such as "pass `flags` on", an
/// assertion of a test, a manual.
fn tells(found: &Capture<'_>, given: &Given<'_>) -> bool {
    let line = found.line.trim_ascii_start();
    let assertion = ASSERTIONS.iter().any(|word| line.starts_with(word.as_bytes()));
    let side_by_side = given.between.trim_matches(['"', '\'', '`']).trim().is_empty();
    let comment = !code(found) || given.between.ends_with('`');
    // A word that repeats its name, and the last part of a path of names.
    let value = given.value.to_lowercase().replace(['_', '-', '.', '$'], "");
    let word = given.value.eq_ignore_ascii_case(&given.name)
        || value.len() >= 6 && given.name.contains(&value)
        || given.before.ends_with("::");
    assertion || word || side_by_side && comment || in_a_manual(found)
}

/// Rust writes its manuals into comments of their own kind.
pub(super) fn in_a_manual(found: &Capture<'_>) -> bool {
    let line = found.line.trim_ascii_start();
    found.path.ends_with(".rs") && (line.starts_with(b"///") || line.starts_with(b"//!"))
}

/// What stands before a value, without indentation and without the command that sets it:
/// `setenv api_key ` is about `api_key`.
fn after_command(head: &str) -> &str {
    let head = head.trim_start_matches(|c: char| c.is_whitespace() || "\"';#*/-".contains(c));
    ["setenv", "fw_setenv", "export", "set", "option", "ENV", "ARG"]
        .iter()
        .find_map(|word| {
            let rest = head.strip_prefix(word)?;
            let name = rest.trim_start();
            (name.len() < rest.len() && name.starts_with(char::is_alphabetic)).then_some(name)
        })
        .unwrap_or(head)
}

/// A password that is given to a name.
pub(super) fn password(found: &Capture<'_>) -> bool {
    let Some(given) = Given::read(found) else { return false };
    given.names_a_secret()
        && given.is_given()
        && !given.is_prose()
        && !tells(found, &given)
        && !mentions(given.value)
        && valid::password(found)
}

/// A password that stands without quotes behind a name.
pub(super) fn bare_password(found: &Capture<'_>) -> bool {
    let Some(given) = Given::read(found) else { return false };
    given.names_a_secret() && !mentions(given.value) && valid::password(found)
}

/// A token, key or other secret that is given to a name.
pub(super) fn token(found: &Capture<'_>) -> bool {
    let Some(given) = Given::read(found) else { return false };
    // What a parser compares its next word with.
    let parsed = given.name == "token" && given.before.ends_with("cmp(");
    given.is_given() && !parsed && bare(&given) && random_enough(found) && !in_a_manual(found)
}

/// The same without quotes.
pub(super) fn bare_token(found: &Capture<'_>) -> bool {
    let Some(given) = Given::read(found) else { return false };
    bare(&given) && random_enough(found)
}

fn bare(given: &Given<'_>) -> bool {
    let value = given.value;
    let place = value.contains("://")
        || value.starts_with(['/', '.', '~', '#', '$', '<', '%', '{', '@'])
        || value.starts_with("arn:");
    let date = value.len() >= 10
        && value
            .bytes()
            .take(10)
            .enumerate()
            .all(|(at, b)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    let starts =
        !date && (value.starts_with(|c: char| c.is_ascii_alphanumeric()) || value.len() >= 20);
    let code = value.contains(['(', ')', '{', '}', '[', ']', ' ', '<', '>', '$', ',', ';'])
        || value.contains("::")
        || value.contains("->");
    given.names_a_secret() && starts && !place && !code && !is_uuid(value)
}

fn random_enough(found: &Capture<'_>) -> bool {
    let text = String::from_utf8_lossy(found.secret);
    let digits = found.secret.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = found.secret.iter().filter(|b| b.is_ascii_alphabetic()).count();
    // Words joined by signs, and a word with a number behind it, are names.
    let wordy = text
        .split(['-', '_', '.', '/', ':'])
        .all(|w| w.trim_end_matches(|c: char| c.is_ascii_digit()).chars().all(char::is_alphabetic));
    let long_enough = if found.secret.len() >= 20 { 3.0 } else { 2.7 };
    !valid::placeholder(found.secret)
        && letters > 0
        && (digits > 0 || changes_case_often(found.secret))
        && (!wordy
            || digits == 0
            || found.secret.len() <= 24 && digits >= 2 && !text.contains(['-', '_', '.', '/', ':']))
        && valid::entropy(found.secret) >= long_enough
}

/// Random letters change between upper and lower case every other time; words joined in
/// camel case do so less often.
fn changes_case_often(text: &[u8]) -> bool {
    let changes = text
        .windows(2)
        .filter(|pair| pair[0].is_ascii_uppercase() != pair[1].is_ascii_uppercase())
        .count();
    text.len() >= 16 && changes * 100 >= (text.len() - 1) * 40
}

/// A value that speaks of secrets is a label, a name or a message.
fn mentions(value: &str) -> bool {
    let lower = value.to_lowercase();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let identifier = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    (digits == 0 || identifier && digits < 2 && value.contains('_'))
        && ["password", "passwd", "passphrase", "passwort", "secret", "token", "username", "login"]
            .iter()
            .any(|word| lower.contains(word))
}

fn is_uuid(value: &str) -> bool {
    let parts: Vec<&str> = value.trim_matches(['{', '}']).split('-').collect();
    parts.iter().map(|p| p.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|p| p.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// String prefixes and type names of several languages.
const PREFIXES: &[&str] =
    &["b", "u", "r", "f", "L", "@", "u8", "rb", "br", "new", "return", "{", "+", "R", "U", "x"];

/// Calls that keep their argument's meaning.
const WRAPPERS: &[&str] = &[
    "fromhex(",
    "bytes(",
    "bytearray(",
    "string(",
    "string::from(",
    "some(",
    "securestring",
    "securestring(",
    "secret(",
    "str(",
    "text(",
    "b64decode(",
    "strdup(",
    "tochararray(",
    "new string(",
    "cstring(",
    "f(",
    "f(\"",
    "-n",
    "value(",
    "credential(",
];

/// How lines begin that compare what a test got.
const ASSERTIONS: &[&str] = &[
    "assert_eq!(",
    "assert_ne!(",
    "assertEquals(",
    "self.assertEqual(",
    "EXPECT_",
    "ASSERT_",
    "expect(",
];

const NOT_SECRET_ENDS: &[&str] = &[
    "file",
    "path",
    "url",
    "uri",
    "field",
    "fields",
    "label",
    "prompt",
    "type",
    "types",
    "len",
    "length",
    "size",
    "min",
    "max",
    "regex",
    "regexp",
    "pattern",
    "header",
    "headers",
    "hint",
    "error",
    "errors",
    "message",
    "msg",
    "text",
    "title",
    "help",
    "validators",
    "hashers",
    "count",
    "expiration",
    "lifetime",
    "expires",
    "expiry",
    "expiresin",
    "expiresat",
    "timeout",
    "format",
    "policy",
    "endpoint",
    "param",
    "params",
    "parameter",
    "column",
    "dir",
    "directory",
    "env",
    "var",
    "name",
    "names",
    "alias",
    "algorithm",
    "alg",
    "provider",
    "class",
    "selector",
    "icon",
    "button",
    "input",
    "page",
    "screen",
    "view",
    "form",
    "link",
    "desc",
    "description",
    "version",
    "strength",
    "reset",
    "attempts",
    "ttl",
    "scope",
    "prefix",
    "suffix",
    "issuer",
    "audience",
    "limit",
    "index",
    "idx",
    "kind",
    "mode",
    "state",
    "status",
    "location",
    "ref",
    "info",
    "rules",
    "schema",
    "required",
    "enabled",
    "visible",
    "id",
    "ids",
    "usage",
    "command",
    "cmd",
    "service",
    "manager",
    "handler",
    "method",
    "attr",
    "attribute",
    "property",
    "option",
    "flag",
    "event",
    "action",
    "callback",
    "hash",
    "hashed",
    "digest",
    "salt",
    "encoding",
    "charset",
    "locale",
    "comment",
    "note",
    "doc",
    "test",
    "tests",
];

const NOT_SECRET: &[&str] = &[
    "public",
    "pubkey",
    "bypass",
    "passive",
    "passing",
    "passage",
    "passenger",
    "passport",
    "compass",
    "askpass",
    "passthrough",
    "passthru",
    "bandpass",
    "lowpass",
    "highpass",
    "allpass",
    "tokeniz",
    "keyboard",
    "keycode",
    "keyword",
    "checksum",
    "sha256",
    "sha1",
    "sha512",
    "md5",
    "fingerprint",
    "thumbprint",
    "pagetoken",
    "nexttoken",
    "placeholder",
    "keystroke",
    "cachekey",
    "primarykey",
    "foreignkey",
    "sortkey",
    "partitionkey",
    "pwdx",
    "popd",
    "pushd",
    "cwd",
    "synctoken",
    "continuationtoken",
    "integrity",
    "passer",
    "passes",
    "passign",
    "passed",
    "invalid",
    "wrong",
    "forgot",
    "missing",
    "mismatch",
    "incorrect",
    "secretary",
    "tokenend",
    "tokenstart",
];
