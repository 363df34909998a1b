//! Checks that a match must pass: entropy, checksum, structure, and what is plainly a
//! placeholder.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Capture;
use crate::encoded;

/// Not a placeholder, and not all of one kind of character.
pub(crate) fn secret(found: &Capture<'_>) -> bool {
    !placeholder(found.secret) && entropy(found.secret) >= 2.5
}

/// As random as a generated token.
pub(crate) fn token(found: &Capture<'_>) -> bool {
    !placeholder(found.secret) && entropy(found.secret) >= 3.2
}

/// A password that someone chose: looser than a token, but no placeholder, no reference
/// to a variable and no code.
pub(crate) fn password(found: &Capture<'_>) -> bool {
    let secret = found.secret;
    if placeholder(secret) || secret.len() < 4 || secret.contains(&b' ') && secret.len() > 40 {
        return false;
    }
    let text = String::from_utf8_lossy(secret);
    let text = text.trim();
    if text.len() < 4 {
        return false;
    }
    let code =
        ["(", ")", "->", "::", "[", "]", "${", "$(", "{{", "%s", "%d", "=", "&&", ";", "\\u", "//"];
    if code.iter().any(|c| text.contains(c))
        || text.starts_with(['$', '%', '<', '@', '*', '{', '.', '/', '-', '#', '_'])
    {
        return false;
    }
    // `!vault`, `!secret`: a tag of YAML, whose value is elsewhere.
    if text.strip_prefix('!').is_some_and(|tag| tag.chars().all(char::is_alphabetic)) {
        return false;
    }
    if text.ends_with([':', '.', ',', '?', '=']) || WORDS.contains(&text.to_lowercase().as_str()) {
        return false;
    }
    // A version, an address or a date is none.
    if secret.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b':' | b'-'))
        && secret.contains(&b'.')
    {
        return false;
    }
    // A constant's name in capitals stands for a value that is elsewhere.
    if text.len() > 6
        && text.contains('_')
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    {
        return false;
    }
    // What stands at a name for a hash is a hash or a label, and other rules see hashes.
    if found.whole.to_ascii_lowercase().windows(4).any(|w| w == b"hash") {
        return false;
    }
    // An identifier such as `password_field` or `loginPassword` names a secret; it is none.
    !(is_identifier(text) && mentions_secret(text))
}

/// A JSON web token: the first part decodes to an object that names an algorithm.
pub(crate) fn jwt(found: &Capture<'_>) -> bool {
    let mut parts = found.secret.split(|b| *b == b'.').map(|part| {
        let raw = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice::<serde_json::Value>(&raw).ok()
    });
    let (head, claims) = (parts.next().flatten(), parts.next().flatten());
    let number = |name: &str| claims.as_ref().and_then(|claims| claims.get(name)?.as_i64());
    let from = number("iat").or_else(|| number("nbf"));
    let brief =
        from.zip(number("exp")).is_some_and(|(from, to)| (1..=A_DAY).contains(&(to - from)));
    head.is_some_and(|head| head.get("alg").is_some()) && !brief
}

/// A token that was valid for no longer, in seconds, ended before anyone could find it.
const A_DAY: i64 = 86_400;

/// GitHub's tokens end with a CRC-32 of the rest in base 62.
pub(crate) fn github(found: &Capture<'_>) -> bool {
    let Some(body) = found.secret.get(4..) else { return false };
    if body.len() < 36 {
        return false;
    }
    let (random, sum) = body.split_at(body.len() - 6);
    let mut crc = flate2::Crc::new();
    crc.update(random);
    let mut value = u64::from(crc.sum());
    let mut expected = [b'0'; 6];
    for slot in expected.iter_mut().rev() {
        *slot = BASE62[(value % 62) as usize];
        value /= 62;
    }
    sum == expected
}

/// Letters and digits mixed, random enough.
pub(crate) fn mixed(found: &Capture<'_>) -> bool {
    token(found)
        && found.secret.iter().any(u8::is_ascii_digit)
        && found.secret.iter().any(u8::is_ascii_alphabetic)
}

/// A hexadecimal key that is not all one digit, and not the name of one.
pub(crate) fn hex_key(found: &Capture<'_>) -> bool {
    let name = found.whole.split(|b| matches!(b, b'"' | b'\'' | b':' | b'=')).next();
    let id = name.is_some_and(|name| name.to_ascii_lowercase().ends_with(b"key_id"));
    !id && !placeholder(found.secret) && entropy(found.secret) >= 2.8
}

/// A crypt(3) hash, but not a documented example.
pub(crate) fn crypt(found: &Capture<'_>) -> bool {
    // The costs of scrypt are written with dots.
    let costs = if found.secret.starts_with(b"$7$") { 14.min(found.secret.len()) } else { 0 };
    !found.secret[costs..].windows(4).any(|w| w == b"...." || w == b"xxxx")
        && found.secret.iter().filter(|b| **b == b'$').count() <= 5
}

/// Whether it stands for a secret without being one, in the clear or under base64.
#[must_use]
pub(crate) fn placeholder(secret: &[u8]) -> bool {
    // A whole file in base64 may well speak of an example; a short value that does is one.
    let said = encoded::text(secret).filter(|said| said.len() <= 64 && !said.contains(&b'{'));
    PUBLISHED.iter().any(|known| known.as_bytes() == secret)
        || stands_for_one(secret)
        || said.is_some_and(|said| {
            // A prompt, as a mail server sends it.
            stands_for_one(&said) || said.ends_with(b":") || said.windows(5).any(|w| w == b"12345")
        })
}

/// Tokens that their owners show or ship to everyone: GitHub's documents; Chromium's keys for its
/// platforms; the one of Google's analytics pages. Nobody's secret.
const PUBLISHED: &[&str] = &[
    concat!("gho_", "16C7e42F292c6912E7710c838347Ae178B4a"),
    concat!("AIzaSy", "BqJZh-7pA44blAaAkH6490hUFOwX0KCYM"),
    concat!("AIzaSy", "Dr2UxVnv_U85AbhhY8XSHSIavUW0DC-sY"),
    concat!("AIzaSy", "A2KlwBX3mkFo30om9LUFYQhpqLoa_BNhE"),
    concat!("AIzaSy", "A65lEHUEizIsNtlbNo-l2K18dT680nsaM"),
];

fn stands_for_one(secret: &[u8]) -> bool {
    let lower = secret.to_ascii_lowercase();
    let text = String::from_utf8_lossy(&lower);
    let marks = [
        "example",
        "placeholder",
        "changeme",
        "change_me",
        "change-me",
        "your",
        "xxxx",
        "****",
        "....",
        "<",
        "redacted",
        "dummy",
        "replace",
        "todo",
        "insert",
        "sample",
        "foobar",
        "${",
        "{{",
        "%(",
        "none",
        "null",
        "undefined",
        "not_set",
        "notset",
        "n/a",
        "abcdefghij",
        "1234567890abcdef",
        "000102030405",
        "0011223344556677",
        "deadbeef",
        "secret_here",
        "my_",
        "enter_",
        "-----",
        "______",
    ];
    // In a long token eight equal letters in a row are a field that is empty.
    let repeated = ["0000000000", "aaaaaaaa"].iter().any(|run| text.contains(run));
    text.is_empty()
        || repeated && text.len() <= 48
        || marks.iter().any(|m| text.contains(m))
        || secret.iter().all(|b| *b == secret[0])
}

/// Shannon entropy in bits per byte.
#[must_use]
pub(crate) fn entropy(data: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in data {
        counts[usize::from(*byte)] += 1;
    }
    let n = data.len().max(1) as f64;
    counts
        .iter()
        .filter(|c| **c > 0)
        .map(|c| {
            let p = f64::from(*c) / n;
            -p * p.log2()
        })
        .sum()
}

fn is_identifier(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphabetic() || c == '_' || c == '-' || c == '.')
}

fn mentions_secret(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["pass", "pwd", "secret", "token", "key", "cred", "auth", "field", "input", "user", "name"]
        .iter()
        .any(|word| lower.contains(word))
}

const WORDS: &[&str] = &[
    "true",
    "false",
    "null",
    "none",
    "nil",
    "yes",
    "no",
    "string",
    "text",
    "password",
    "passwd",
    "pass",
    "passed",
    "fail",
    "failed",
    "secret",
    "required",
    "optional",
    "default",
    "empty",
    "hidden",
    "bool",
    "int",
    "char",
    "str",
    "value",
    "type",
    "self",
    "this",
    "test",
    "enabled",
    "disabled",
    "undefined",
    "prompt",
    "ask",
    "any",
    "unknown",
    "invalid",
    "missing",
    "file",
    "env",
    "auto",
    "plain",
    "whatever",
    "sha256",
    "md5",
    "bcrypt",
    "hash",
    "scram",
    "form",
    "post",
    "get",
    "const",
    "void",
    "label",
    "new",
    "old",
    "utf-8",
    "utf8",
    "utf-16",
    "latin1",
    "latin-1",
    "ascii",
    "base64",
    "hex",
];

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(secret: &str) -> Capture<'_> {
        Capture { secret: secret.as_bytes(), whole: b"", line: b"", near: b"", path: "" }
    }

    #[test]
    fn placeholders_are_no_secrets() {
        for word in ["your-password-here", "changeme", "${DB_PASSWORD}", "<password>", "xxxxxxxx"] {
            assert!(!password(&capture(word)), "{word}");
        }
        for word in ["hunter2!", "Tr0ub4dor", "s3cr3t-admin", "gw4y2019"] {
            assert!(password(&capture(word)), "{word}");
        }
    }

    #[test]
    fn a_forged_github_checksum_is_refused() {
        let mut crc = flate2::Crc::new();
        let random = "r4nd0mPartOfATokenOf30Chars000";
        crc.update(random.as_bytes());
        let mut value = crc.sum();
        let mut sum = String::new();
        for _ in 0..6 {
            sum.insert(0, char::from(BASE62[(value % 62) as usize]));
            value /= 62;
        }
        assert!(github(&capture(&format!("ghp_{random}{sum}"))));
        assert!(!github(&capture(&format!("ghp_{random}000000"))));
    }
}
