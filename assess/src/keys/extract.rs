//! Finds keys and certificates in bytes: PEM, DER, OpenSSH, PuTTY, Dropbear, OpenPGP, JWK,
//! JKS, PKCS#12, base64 without armour, and arrays in program source.

use std::sync::{Arc, OnceLock};

use aho_corasick::AhoCorasick;
use base64::{
    Engine, alphabet,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD,
    },
};
use sha2::{Digest, Sha256};

use super::{
    About, Fingerprint, Kind, der, literal, others,
    sealed::{self, Sealed},
    ssh,
};

/// Something found, at an offset of the bytes that were searched.
#[derive(Clone, Debug)]
pub struct Found {
    /// Offset of its start.
    pub at: usize,
    /// Offset after its end.
    pub end: usize,
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub fingerprint: Fingerprint,
    /// More about it.
    pub about: About,
    /// The bytes, where they are under a password that can be tried.
    pub sealed: Option<Sealed>,
}

/// Words in text, lower case, near which a key may be; `(word, what)`.
pub(crate) const WORDS: &[(&str, Word)] = &[
    ("-----begin ", Word::Pem),
    ("\"kty\"", Word::Jwk),
    ("\\\"kty\\\"", Word::Jwk),
    ("putty-user-key-file-", Word::Putty),
    ("ssh-rsa aaaa", Word::SshLine),
    ("ssh-dss aaaa", Word::SshLine),
    ("ssh-ed25519 aaaa", Word::SshLine),
    ("ecdsa-sha2-nistp", Word::SshLine),
    ("mii", Word::Base64),
    ("mhcc", Word::Base64),
    ("mhqc", Word::Base64),
    ("mhgcaq", Word::Base64),
    ("mggcaq", Word::Base64),
    ("mihc", Word::Base64),
    ("mihu", Word::Base64),
    ("mige", Word::Base64),
    ("migh", Word::Base64),
    ("migk", Word::Base64),
    ("mc4caq", Word::Base64),
    ("mecc", Word::Base64),
    ("meecaq", Word::Base64),
    ("0x30,", Word::Array),
    ("0x30 ,", Word::Array),
    ("0x30u8,", Word::Array),
    ("48, 1", Word::Array),
    ("48,1", Word::Array),
    ("48, -1", Word::Array),
    ("48,-1", Word::Array),
    ("48, 46, 2", Word::Array),
    ("48,46,2", Word::Array),
    ("\\x30\\x", Word::Array),
    ("0x2d, 0x2d, 0x2d, 0x2d, 0x2d, 0x42", Word::Array),
    ("0x2d,0x2d,0x2d,0x2d,0x2d,0x42", Word::Array),
    ("45, 45, 45, 45, 45, 66", Word::Array),
    ("45,45,45,45,45,66", Word::Array),
    ("0\\x82", Word::Text),
    ("0\\x81", Word::Text),
    ("0w\\x02", Word::Text),
    ("0.\\x02", Word::Text),
    ("\\060\\", Word::Text),
    ("\\60\\", Word::Text),
    ("0\\20", Word::Text),
    ("0w\\00", Word::Text),
    ("3082", Word::Hexadecimal),
    ("3081", Word::Hexadecimal),
    ("3077020101", Word::Hexadecimal),
    ("3074020101", Word::Hexadecimal),
    ("302e020100", Word::Hexadecimal),
    ("30:82:", Word::Hexadecimal),
    ("30:81:", Word::Hexadecimal),
    ("30:77:02:01", Word::Hexadecimal),
    ("30:2e:02:01", Word::Hexadecimal),
    ("30 82 0", Word::Hexadecimal),
    ("30 81 ", Word::Hexadecimal),
    ("30 77 02 01", Word::Hexadecimal),
    ("30 2e 02 01", Word::Hexadecimal),
    ("3082 0", Word::Hexadecimal),
    ("3077 0201", Word::Hexadecimal),
    ("302e 0201", Word::Hexadecimal),
    ("privatekey", Word::ThirtyTwo),
    ("private_key", Word::ThirtyTwo),
    ("private-key", Word::ThirtyTwo),
    ("private-key-format: v", Word::Dnssec),
    ("untrusted comment:", Word::Signify),
    ("age-secret-key-1", Word::Age),
    ("<rsakeyvalue>", Word::Xml),
    ("private-key(", Word::Gnupg),
    ("private-key (", Word::Gnupg),
    ("priv", Word::Scalar),
];

/// What to try at a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Pem,
    Jwk,
    Putty,
    SshLine,
    Base64,
    Array,
    Text,
    Hexadecimal,
    Scalar,
    ThirtyTwo,
    Dnssec,
    Signify,
    Age,
    Xml,
    Gnupg,
}

/// Tries what a word in text promises. `at` is where the word starts.
pub(crate) fn at_word(word: Word, data: &[u8], at: usize, out: &mut Vec<Found>) {
    match word {
        Word::Pem => pem(data, at, out),
        Word::Jwk => jwk(data, at, out),
        Word::Putty => putty(data, at, out),
        Word::SshLine => ssh_line(data, at, out),
        Word::Base64 => bare_base64(data, at, out),
        Word::Array => array(data, at, out),
        Word::Text => string(data, at, out),
        Word::Hexadecimal => hexadecimal(data, at, out),
        Word::Scalar => scalar(data, at, out),
        Word::ThirtyTwo => others::thirty_two(data, at, out),
        Word::Dnssec => others::dnssec(data, at, out),
        Word::Signify => others::signify(data, at, out),
        Word::Age => others::age(data, at, out),
        Word::Xml => others::xml(data, at, out),
        Word::Gnupg => others::gnupg(data, at, out),
    }
}

/// What is known by the first bytes of a file only.
pub(crate) fn whole(data: &[u8], out: &mut Vec<Found>) {
    others::ring(data, out);
}

/// Searches binary data for DER objects and raw SSH keys.
pub fn binary(data: &[u8], out: &mut Vec<Found>) {
    let mut done = 0;
    for hit in binary_heads().find_overlapping_iter(data) {
        let at = hit.start();
        if at < done {
            continue;
        }
        let rest = &data[at..];
        if rest.starts_with(&[0, 0, 0]) {
            if let Some((key, used)) = ssh::raw(rest) {
                out.push(ssh_found(at, at + used, key));
                done = at + used;
            }
        } else if rest.starts_with(ssh::MAGIC) {
            if let Some(key) = ssh::openssh(&rest[..rest.len().min(1 << 14)]) {
                out.push(ssh_found(at, at + ssh::MAGIC.len(), key));
            }
        } else if rest.starts_with(b"RSA2") {
            others::capi(data, at, out);
        } else if rest.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || rest.starts_with(&[0xce; 4]) {
            java_store(rest, at, out);
        } else if let Some((object, len)) = der::read(rest)
            && (!matches!(object, der::Object::Private(_)) || len > 120 || dense(&rest[..len]))
        {
            der_found(object, &rest[..len], at, at + len, "", out);
            done = at + len;
        }
    }
}

/// Whether the end of a short key looks drawn at random: programs hold the fixed head of
/// such keys too, and text follows it there.
fn dense(raw: &[u8]) -> bool {
    let tail = &raw[raw.len().saturating_sub(32)..];
    let mut seen = [false; 256];
    tail.iter().for_each(|b| seen[usize::from(*b)] = true);
    let different = seen.iter().filter(|s| **s).count();
    let printable = tail.iter().filter(|b| (0x20..0x7f).contains(*b)).count();
    different >= 16 && printable < 26
}

fn binary_heads() -> &'static AhoCorasick {
    static HEADS: OnceLock<AhoCorasick> = OnceLock::new();
    HEADS.get_or_init(|| {
        let heads: [&[u8]; 13] = [
            &[0x30, 0x82],
            &[0x30, 0x81],
            &[0x30, 0x59, 0x30, 0x13, 6, 7],
            &[0x30, 0x76, 0x30, 0x10, 6, 7],
            &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b],
            b"\0\0\0\x07ssh-rsa\0\0\0",
            b"\0\0\0\x07ssh-dss\0\0\0",
            b"\0\0\0\x0bssh-ed25519\0\0\0",
            b"\0\0\0\x13ecdsa-sha2-nistp",
            ssh::MAGIC,
            &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2],
            &[0xce, 0xce, 0xce, 0xce, 0, 0, 0, 2],
            b"RSA2",
        ];
        // Short private keys of every curve: SEC 1, then PKCS#8.
        let short = (0x22..0x80)
            .flat_map(|len| [vec![0x30, len, 2, 1, 1, 4], vec![0x30, len, 2, 1, 0, 0x30]]);
        let heads = heads.iter().map(|head| head.to_vec()).chain(short);
        AhoCorasick::new(heads).unwrap_or_else(|e| unreachable!("a handful of patterns: {e}"))
    })
}

pub(super) fn der_found(
    object: der::Object,
    raw: &[u8],
    at: usize,
    end: usize,
    note: &str,
    out: &mut Vec<Found>,
) {
    let sealed = match object {
        der::Object::Encrypted => Some(Sealed::Pkcs8(raw.to_vec())),
        der::Object::Store => Some(Sealed::Pkcs12(raw.to_vec())),
        _ => None,
    };
    let opaque = || Fingerprint(Sha256::digest(raw).into());
    let (kind, fingerprint, about) = object_about(object, note, opaque);
    out.push(Found { at, end, kind, fingerprint, about, sealed });
}

/// Kind, fingerprint and description of what a DER object turned out to be.
pub(crate) fn object_about(
    object: der::Object,
    note: &str,
    opaque: impl Fn() -> Fingerprint,
) -> (Kind, Fingerprint, About) {
    let keyed = |key: &der::Key| Fingerprint(key.spki_sha256);
    let described = |label: String, key: der::Key| {
        (keyed(&key), About { label, key: Some(Arc::new(key)), ..About::default() })
    };
    let plain = |label: &str| About { label: label.to_owned(), ..About::default() };
    match object {
        der::Object::Private(key) => {
            let (print, about) = described(format!("{}{note}", key.name), key);
            (Kind::PrivateKey, print, about)
        }
        der::Object::Public(key) => {
            let (print, about) = described(key.name.clone(), key);
            (Kind::PublicKey, print, about)
        }
        der::Object::Encrypted => {
            (Kind::EncryptedKey, opaque(), plain("PKCS#8 under a passphrase"))
        }
        der::Object::Store => (Kind::KeyStore, opaque(), plain("PKCS#12 store")),
        der::Object::Certificate(certificate) => {
            let key = certificate.key.clone();
            let label = format!("certificate of {} ({})", certificate.subject, key.name);
            let (print, mut about) = described(label, key);
            about.certificate = Some(Arc::from(certificate));
            (Kind::Certificate, print, about)
        }
    }
}

fn ssh_found(at: usize, end: usize, key: ssh::SshKey) -> Found {
    let (kind, note) = match (key.private, key.encrypted) {
        (true, false) => (Kind::PrivateKey, ""),
        (true, true) => (Kind::EncryptedKey, " under a passphrase"),
        (false, _) => (Kind::PublicKey, ""),
    };
    let label = format!("SSH {}{note}", key.key.name);
    let fingerprint = Fingerprint(key.key.spki_sha256);
    let about = About { label, key: Some(Arc::new(key.key)), ..About::default() };
    Found { at, end, kind, fingerprint, about, sealed: None }
}

fn pem(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let window = &data[at..data.len().min(at + PEM_LIMIT)];
    let Some(label_end) = memchr::memmem::find(&window[11.min(window.len())..], b"-----") else {
        return;
    };
    if label_end > 64 {
        return;
    }
    // Code that looks for armour is none.
    let word = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b' ';
    if !window[11..11 + label_end].iter().all(word) {
        return;
    }
    let label = String::from_utf8_lossy(&window[11..11 + label_end]).into_owned();
    let body_at = 11 + label_end + 5;
    let Some(body_len) = memchr::memmem::find(&window[body_at..], b"-----END") else {
        // Cut off, or put together with its last line at run time.
        let text = &window[body_at..];
        let end = memchr::memmem::find(text, b"-----").unwrap_or(text.len()).min(8 << 10);
        if let Some(raw) = decode(&letters(&text[..end]))
            && let Some((object, len)) = der::read(&raw)
        {
            der_found(object, &raw[..len], at, at + body_at, "", out);
        }
        return;
    };
    let end = at + body_at + body_len + 8;
    let text = &window[body_at..body_at + body_len];
    let is_encrypted =
        memchr::memmem::find(text, b"ENCRYPTED").is_some() || label == "ENCRYPTED PRIVATE KEY";
    if label.contains("PGP PRIVATE KEY") {
        if !begins_a_secret_key(&letters(text)) {
            return;
        }
        let print = Fingerprint(Sha256::digest(letters(text)).into());
        let about = About { label: "OpenPGP private key".into(), ..About::default() };
        out.push(opaque(at, end, Kind::PrivateKey, print, about));
        return;
    }
    let Some(raw) = decode(&letters(text)) else { return };
    if label == "OPENSSH PRIVATE KEY" {
        if let Some(key) = ssh::openssh(&raw) {
            out.push(ssh_found(at, end, key));
        }
        return;
    }
    if is_encrypted {
        // Code that looks for armour is none.
        let is_key = matches!(der::read(&raw), Some((der::Object::Encrypted, _)));
        if raw.len() < 32 || dek(text).is_none() && !is_key {
            return;
        }
        let print = Fingerprint(Sha256::digest(&raw).into());
        let about = About { label: format!("{label} under a passphrase"), ..About::default() };
        let sealed = match dek(text) {
            Some((cipher, vector)) => Some(Sealed::Pem { cipher, vector, body: raw }),
            None => Some(Sealed::Pkcs8(raw)).filter(|_| label == "ENCRYPTED PRIVATE KEY"),
        };
        out.push(Found { sealed, ..opaque(at, end, Kind::EncryptedKey, print, about) });
        return;
    }
    match der::read(&raw) {
        Some((object, len)) => der_found(object, &raw[..len], at, end, "", out),
        // A key whose inside is broken still was put there as a key.
        None if label.ends_with("PRIVATE KEY") && raw.len() >= 32 => {
            let print = Fingerprint(Sha256::digest(&raw).into());
            let about =
                About { label: format!("{label}, inside not understood"), ..About::default() };
            out.push(opaque(at, end, Kind::PrivateKey, print, about));
        }
        None => {}
    }
}

/// A find that nothing more is known of than its fingerprint.
pub(super) fn opaque(
    at: usize,
    end: usize,
    kind: Kind,
    fingerprint: Fingerprint,
    about: About,
) -> Found {
    Found { at, end, kind, fingerprint, about, sealed: None }
}

/// Cipher and vector of a `DEK-Info` line.
fn dek(text: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(text).replace("\\n", "\n");
    let line = text.lines().find_map(|l| l.split_once("DEK-Info:").map(|parts| parts.1))?;
    let (cipher, vector) = line.trim().split_once(',')?;
    let vector: String = vector.chars().take_while(char::is_ascii_hexdigit).collect();
    Some((cipher.to_owned(), hex::decode(vector).ok()?))
}

/// Whether the first packet is a secret key or subkey (RFC 9580, sections 4.2 and 5).
fn begins_a_secret_key(letters: &[u8]) -> bool {
    let first = letters.get(..4).and_then(decode).and_then(|raw| raw.first().copied());
    let first = first.unwrap_or(0);
    let tag = if first & 0x40 == 0 { first >> 2 & 0x0f } else { first & 0x3f };
    first & 0x80 != 0 && matches!(tag, 5 | 7)
}

/// The base64 letters of a PEM body, whatever quotes, escapes and headers surround them.
fn letters(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let unescaped: Vec<u8> = {
        let mut text = String::from_utf8_lossy(text).into_owned();
        for escape in ["\\r", "\\n", "\\t"] {
            text = text.replace(escape, "\n");
        }
        text.into_bytes()
    };
    let joined = unescaped.contains(&b'"') || unescaped.contains(&b'\'');
    for line in unescaped.split(|b| *b == b'\n') {
        // Proc-Type, DEK-Info, Comment and Version headers; OpenPGP's checksum line.
        if line.contains(&b':') || line.trim_ascii().starts_with(b"=") {
            continue;
        }
        let line = if joined { quoted(line) } else { line };
        out.extend(
            line.iter().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')),
        );
    }
    out
}

/// What stands between the quotes of one line, so that a joining `+` is not taken for a letter.
fn quoted(line: &[u8]) -> &[u8] {
    let is_quote = |b: &u8| matches!(b, b'"' | b'\'' | b'`');
    let first = line.iter().position(is_quote);
    let last = line.iter().rposition(is_quote);
    match (first, last) {
        (Some(a), Some(b)) if a < b => &line[a + 1..b],
        // One quote only: the letters are on its longer side.
        (Some(a), _) if a * 2 < line.len() => &line[a + 1..],
        (Some(a), _) => &line[..a],
        _ => line,
    }
}

fn decode(letters: &[u8]) -> Option<Vec<u8>> {
    static ENGINE: OnceLock<GeneralPurpose> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let config = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        GeneralPurpose::new(&alphabet::STANDARD, config)
    });
    let end = letters.iter().position(|b| *b == b'=').unwrap_or(letters.len());
    let whole = if end % 4 == 1 { end - 1 } else { end };
    engine.decode(&letters[..whole]).ok()
}

fn jwk(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let low = at.saturating_sub(4096);
    if data[at] == b'\\' {
        // An object inside a string of another.
        let high = data.len().min(at + 16_384);
        let plain = |part: &[u8]| String::from_utf8_lossy(part).replace("\\\"", "\"").into_bytes();
        let (before, after) = (plain(&data[low..at]), plain(&data[at..high]));
        let mut inner = Vec::new();
        jwk(&[&before[..], &after].concat(), before.len(), &mut inner);
        out.extend(inner.into_iter().map(|found| Found { at, end: at + 7, ..found }));
        return;
    }
    let from = data[low..at].iter().rposition(|b| *b == b'{');
    let Some(from) = from.map(|p| low + p) else { return };
    let window = &data[from..data.len().min(from + 16_384)];
    let mut values = serde_json::Deserializer::from_slice(window).into_iter::<serde_json::Value>();
    let Some(Ok(value)) = values.next() else { return };
    let end = from + values.byte_offset();
    let field = |name: &str| {
        value
            .get(name)
            .and_then(|v| v.as_str())
            .and_then(|v| URL_SAFE_NO_PAD.decode(v.trim_end_matches('=')).ok())
    };
    let text = |name: &str| value.get(name).and_then(|v| v.as_str()).unwrap_or("");
    if text("kty") == "oct" {
        if let Some(key) = field("k").filter(|k| k.len() >= 16) {
            let print =
                Fingerprint(Sha256::digest([b"ringfort oct ".as_slice(), &key].concat()).into());
            let about = About { label: "symmetric JSON web key".into(), ..About::default() };
            out.push(opaque(from, end, Kind::Symmetric, print, about));
        }
        return;
    }
    let key = match text("kty") {
        "RSA" => field("n").zip(field("e")).and_then(|(n, e)| der::rsa(&n, &e)),
        "EC" => field("x").zip(field("y")).and_then(|(x, y)| {
            let curve = format!("nist{}", text("crv").replace('-', "").to_lowercase());
            der::ssh_point(&curve, &[&[4], &x[..], &y[..]].concat())
        }),
        "OKP" if text("crv") == "Ed25519" => {
            field("x").and_then(|x| <[u8; 32]>::try_from(x).ok()).map(|x| der::ed25519_public(&x))
        }
        "OKP" if text("crv") == "X25519" => {
            field("d").and_then(|d| <[u8; 32]>::try_from(d).ok()).map(|d| der::x25519(&d))
        }
        _ => None,
    };
    let d = field("d").filter(|d| d.len() >= 16);
    if key.is_none()
        && let Some(d) = d
    {
        let print = Fingerprint(Sha256::digest(d).into());
        let label = format!("{} {} (JSON web key)", text("kty"), text("crv"));
        let about = About { label: crate::unpack::clean(&label), ..About::default() };
        out.push(opaque(from, end, Kind::PrivateKey, print, about));
    } else if let Some(key) = key {
        let private = d.is_some();
        let object = if private { der::Object::Private(key) } else { der::Object::Public(key) };
        der_found(object, b"", from, end, " (JSON web key)", out);
    }
}

fn putty(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let window = &data[at..data.len().min(at + 16_384)];
    if let Some(key) = ssh::putty(&String::from_utf8_lossy(window)) {
        out.push(ssh_found(at, at + 20, key));
    }
}

fn ssh_line(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let window = &data[at..data.len().min(at + 4096)];
    let Some(space) = window.iter().position(|b| *b == b' ') else { return };
    let letters: Vec<u8> =
        window[space + 1..].iter().copied().take_while(|b| is_letter(*b)).collect();
    if let Some(key) = decode(&letters).and_then(|raw| ssh::public(&raw)) {
        let key = ssh::SshKey { key, private: false, encrypted: false };
        out.push(ssh_found(at, at + space + 1 + letters.len(), key));
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// DER as base64 that stands alone: in a setting, a string constant, a Kubernetes secret.
fn bare_base64(data: &[u8], at: usize, out: &mut Vec<Found>) {
    // `key=MII…`, and a line feed that is written out.
    let before = |b: u8| is_letter(b) && !matches!(b, b'n' | b'=');
    if data[at] != b'M' || at > 0 && before(data[at - 1]) {
        return;
    }
    // Inside armour it is found as PEM.
    let before = &data[at.saturating_sub(40)..at];
    if memchr::memmem::find(before, b"-----").is_some() {
        return;
    }
    let mut run: Vec<u8> = Vec::new();
    let mut end = at;
    let mut width = 0;
    while end < data.len() && run.len() < PEM_LIMIT {
        match data[end] {
            byte if is_letter(byte) => run.push(byte),
            // Wrapped: every line is as long as the first.
            b'\n' | b'\r' | b' ' | b'\t' if run.len() >= 40 => {
                width = if width == 0 { run.len() } else { width };
                if !run.len().is_multiple_of(width) {
                    break;
                }
            }
            b'\\' if matches!(data.get(end + 1), Some(b'n' | b'r')) => end += 1,
            _ => break,
        }
        end += 1;
    }
    if run.len() < 48 {
        return;
    }
    if let Some(raw) = decode(&run)
        && let Some((object, len)) = der::read(&raw)
        && len + 3 >= raw.len().min(len + 4)
    {
        der_found(object, &raw[..len], at, end, "", out);
    }
}

/// A byte array in program source that holds DER or PEM.
fn array(data: &[u8], at: usize, out: &mut Vec<Found>) {
    // Only at the start of a list: the bytes before must not be numbers.
    let before = data[at.saturating_sub(24)..at].trim_ascii_end();
    if before.last() == Some(&b',') || before.ends_with(b"\\x") {
        return;
    }
    let (bytes, end) = literal::numbers(&data[at..data.len().min(at + ARRAY_LIMIT)]);
    if bytes.starts_with(b"-----BEGIN ") {
        let mut inner = Vec::new();
        pem(&bytes, 0, &mut inner);
        out.extend(inner.into_iter().map(|f| Found { at, end: at + end, ..f }));
    } else if let Some((object, len)) = der::read(&bytes) {
        der_found(object, &bytes[..len], at, at + end, " in a constant", out);
    }
}

/// A string constant with escapes that holds DER.
fn string(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let Some(quote) = at.checked_sub(1).map(|before| data[before]) else { return };
    if !matches!(quote, b'"' | b'\'') {
        return;
    }
    let (bytes, end) = literal::string(&data[at..data.len().min(at + ARRAY_LIMIT)], quote);
    if let Some((object, len)) = der::read(&bytes) {
        der_found(object, &bytes[..len], at, at + end, " in a constant", out);
    }
}

/// Hexadecimal digits that stand for DER.
fn hexadecimal(data: &[u8], at: usize, out: &mut Vec<Found>) {
    if at > 0 && data[at - 1].is_ascii_hexdigit() {
        return;
    }
    let (bytes, end) = literal::hexadecimal(&data[at..data.len().min(at + ARRAY_LIMIT)]);
    if let Some((object, len)) = der::read(&bytes) {
        der_found(object, &bytes[..len], at, at + end, "", out);
    }
}

/// A private scalar or seed in an array whose name says "private".
fn scalar(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let window = &data[at..data.len().min(at + 1600)];
    let head = &window[..window.len().min(96)];
    if is_modifier(head) {
        return;
    }
    let Some(open) = head.iter().position(|b| matches!(b, b'{' | b'"' | b'[')) else { return };
    // `name[32] = {`: the bracket of the size is not the list.
    let open = match head[open] {
        b'[' => match head[open..].iter().position(|b| matches!(b, b'{' | b'"')) {
            Some(next) => open + next,
            None => open,
        },
        _ => open,
    };
    if !head[..open].contains(&b'=') && !head[..open].contains(&b':')
        || head[..open].contains(&b'(')
        || head[..open].contains(&b';')
    {
        return;
    }
    let rest = &window[open + 1..];
    let (bytes, end) = if head[open] == b'"' && !rest.starts_with(b"\\x") {
        let digits: Vec<u8> = rest.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
        if rest.get(digits.len()) != Some(&b'"') {
            return;
        }
        (hex::decode(&digits).unwrap_or_default(), digits.len())
    } else {
        literal::numbers(rest)
    };
    if !matches!(bytes.len(), 32 | 48) || super::super::rules::valid::entropy(&bytes) < 3.5 {
        return;
    }
    let name = String::from_utf8_lossy(&head[..open]).to_lowercase();
    let key = if name.contains("ed25519") || name.contains("seed") {
        <[u8; 32]>::try_from(&bytes[..]).ok().and_then(|seed| der::ed25519(&seed))
    } else {
        der::raw_scalar(&bytes)
    };
    if let Some(key) = key {
        der_found(der::Object::Private(key), b"", at, at + open + 1 + end, " in a constant", out);
    }
}

/// `private static final String NAME`: a word of the language, not of a name.
fn is_modifier(head: &[u8]) -> bool {
    let lower = head.to_ascii_lowercase();
    lower.strip_prefix(b"private").is_some_and(|rest| {
        rest.first().is_some_and(u8::is_ascii_whitespace)
            && !rest.trim_ascii_start().starts_with(b"key")
    })
}

/// Java key stores: the certificates stand in the clear, so a private entry is known by
/// its chain.
fn java_store(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let jks = data[0] == 0xfe;
    let count = data.get(8..12).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    if count == 0 || count > 10_000 {
        return;
    }
    let private = data.get(12..16) == Some(&[0, 0, 0, 1]);
    if !private {
        return;
    }
    let raw = sealed::java_length(data).and_then(|len| data.get(..len));
    let window = raw.unwrap_or(&data[..data.len().min(1 << 16)]);
    let print = Fingerprint(Sha256::digest(window).into());
    let label = if jks {
        "Java key store with a private key"
    } else {
        "JCEKS key store with a private key"
    };
    let about = About { label: label.into(), ..About::default() };
    let found = opaque(at, at + 12, Kind::KeyStore, print, about);
    out.push(Found { sealed: raw.map(|raw| Sealed::Java(raw.to_vec())), ..found });
}

const PEM_LIMIT: usize = 24 << 10;
const ARRAY_LIMIT: usize = 64 << 10;
