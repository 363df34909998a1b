//! Private keys in forms of their own: WireGuard, signify and minisign, age, DNSSEC, XML
//! signatures, key blobs of CryptoAPI, key files and rings of GnuPG.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{
    About, Fingerprint, Kind, der,
    extract::{Found, der_found, opaque},
};
use crate::rules::valid::entropy;

/// `PrivateKey = …` of WireGuard, and what else keeps 32 bytes under such a name.
pub(super) fn thirty_two(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let window = &data[at..data.len().min(at + 96)];
    let Some(start) = window.iter().position(|b| matches!(b, b'=' | b':' | b' ' | b'\t')) else {
        return;
    };
    let sign = |b: &u8| !matches!(b, b'=' | b':' | b' ' | b'\t' | b'"' | b'\'');
    let Some(first) = window[start..].iter().take(10).position(sign) else { return };
    let (from, end) = (start + first, start + first + 44);
    let Some(letters) = window.get(from..end).filter(|l| l.ends_with(b"=")) else { return };
    let goes_on = window.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'=');
    let Some(raw) = STANDARD.decode(letters).ok().and_then(|raw| <[u8; 32]>::try_from(raw).ok())
    else {
        return;
    };
    if goes_on || entropy(&raw) < 3.5 {
        return;
    }
    // WireGuard's own tool sets the bits of a scalar (RFC 7748, section 5).
    if raw[0] & 7 == 0 && raw[31] & 0xc0 == 0x40 {
        let key = der::x25519(&raw);
        der_found(der::Object::Private(key), b"", at, at + end, " (WireGuard)", out);
    } else {
        found("private key of 32 bytes in base64", Kind::PrivateKey, &raw, at, at + end, out);
    }
}

/// The second line of a key file of signify, usign or minisign.
pub(super) fn signify(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let window = &data[at..data.len().min(at + 1024)];
    let Some(feed) = memchr::memchr(b'\n', window) else { return };
    let line = window[feed + 1..].split(|b| matches!(b, b'\r' | b'\n')).next();
    let Some(raw) = line.and_then(|line| STANDARD.decode(line.trim_ascii()).ok()) else { return };
    // signify: algorithm, hash, rounds, salt, checksum, number, key. minisign: three names, salt,
    // two limits, number, key, checksum.
    let (open, key) = match raw.len() {
        104 if raw.starts_with(b"EdBK") => (raw[4..8] == [0; 4], &raw[40..104]),
        158 if raw.starts_with(b"Ed") => (raw[2..4] == [0; 2], &raw[62..126]),
        _ => return,
    };
    let end = at + feed + 1 + raw.len();
    let Ok(public) = <[u8; 32]>::try_from(&key[32..]) else { return };
    if open {
        let key = der::ed25519_public(&public);
        der_found(der::Object::Private(key), b"", at, end, " (signify)", out);
    } else {
        found("signify key under a passphrase", Kind::EncryptedKey, &raw, at, end, out);
    }
}

/// `AGE-SECRET-KEY-1` and 58 letters.
pub(super) fn age(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let Some(letters) = data.get(at..at + 74) else { return };
    let rest = &letters[16..];
    let is_letter = |b: &u8| b"023456789ACDEFGHJKLMNPQRSTUVWXYZ".contains(b);
    if letters.starts_with(b"AGE-SECRET-KEY-1") && rest.iter().all(is_letter) && entropy(rest) > 3.5
    {
        found("X25519 (age)", Kind::PrivateKey, letters, at, at + 74, out);
    }
}

/// A `K*.private` file of DNSSEC.
pub(super) fn dnssec(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let text = &data[at..data.len().min(at + 4096)];
    let secret = [b"PrivateKey: ".as_slice(), b"PrivateExponent: "]
        .iter()
        .find_map(|name| memchr::memmem::find(text, name).map(|place| &text[place + name.len()..]));
    let line = secret.and_then(|rest| rest.split(|b| *b == b'\n').next()).map(<[u8]>::trim_ascii);
    if let Some(raw) = line.and_then(|line| STANDARD.decode(line).ok()).filter(|r| r.len() >= 32) {
        found("DNSSEC key", Kind::PrivateKey, &raw, at, at + text.len(), out);
    }
}

/// An `RSAKeyValue` with its private exponent (XML signatures of .NET).
pub(super) fn xml(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let text = &data[at..data.len().min(at + 8192)];
    let end = memchr::memmem::find(text, b"</RSAKeyValue>").unwrap_or(text.len());
    let text = &text[..end];
    let field = |name: &str| {
        let from = memchr::memmem::find(text, format!("<{name}>").as_bytes())? + name.len() + 2;
        let len = memchr::memmem::find(&text[from..], b"</")?;
        let letters: Vec<u8> =
            text[from..from + len].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        STANDARD.decode(letters).ok()
    };
    let (Some(modulus), Some(exponent), Some(_)) =
        (field("Modulus"), field("Exponent"), field("D"))
    else {
        return;
    };
    if let Some(key) = der::rsa(&modulus, &exponent).filter(|key| key.bits >= 256) {
        der_found(der::Object::Private(key), b"", at, at + end, " (RSAKeyValue)", out);
    }
}

/// A PRIVATEKEYBLOB of CryptoAPI, also inside a PVK file; `at` is its `RSA2`.
pub(super) fn capi(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let head = at.checked_sub(8).and_then(|from| data.get(from..at + 12));
    let Some(head) = head.filter(|h| h.starts_with(&[7, 2, 0, 0, 0])) else { return };
    let number = |from: usize| {
        u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]])
    };
    let (bytes, exponent) = (number(12) as usize / 8, number(16));
    if !(64..=1024).contains(&bytes) {
        return;
    }
    let Some(modulus) = data.get(at + 12..at + 12 + bytes) else { return };
    let modulus: Vec<u8> = modulus.iter().rev().copied().collect();
    if let Some(key) = der::rsa(&modulus, &exponent.to_be_bytes()) {
        let end = at + 12 + bytes * 9 / 2;
        der_found(der::Object::Private(key), b"", at - 8, end, " (CryptoAPI)", out);
    }
}

/// A key file of GnuPG's agent, in either of its two forms.
pub(super) fn gnupg(data: &[u8], at: usize, out: &mut Vec<Found>) {
    let text = &data[at..data.len().min(at + 2048)];
    let names: [&[u8]; 6] = [b"3:rsa", b"3:ecc", b"3:dsa", b"(rsa", b"(ecc", b"(dsa"];
    let head = &text[..text.len().min(48)];
    if !names.iter().any(|name| memchr::memmem::find(head, name).is_some()) {
        return;
    }
    let protected = at >= 10 && data[at - 10..at].eq_ignore_ascii_case(b"protected-");
    let (label, kind) = if protected {
        ("OpenPGP key of an agent under a passphrase", Kind::EncryptedKey)
    } else {
        ("OpenPGP private key of an agent", Kind::PrivateKey)
    };
    found(label, kind, text, at, at + head.len(), out);
}

/// A ring of OpenPGP packets that begins with a secret key (RFC 9580, section 5.5.3).
pub(super) fn ring(data: &[u8], out: &mut Vec<Found>) {
    let Some((body, head)) = packet(data) else { return };
    // Version 4, time, algorithm, then the public numbers, then how the secret ones are kept.
    let algorithm = body.get(5).copied().unwrap_or(0);
    let time = body.get(1..5).map_or(0, |t| u32::from_be_bytes([t[0], t[1], t[2], t[3]]));
    if body[0] != 4 || time < 600_000_000 {
        return;
    }
    let mut at = 6;
    let numbers = match algorithm {
        1..=3 => 2,
        16 => 3,
        17 => 4,
        // An object identifier comes before the point; some have more behind it.
        18 | 19 | 22 => {
            at += 1 + usize::from(body.get(at).copied().unwrap_or(0));
            1
        }
        _ => return,
    };
    for _ in 0..numbers {
        let Some(bits) = body.get(at..at + 2) else { return };
        let bits = usize::from(bits[0]) << 8 | usize::from(bits[1]);
        if !(2..=16_384).contains(&bits) {
            return;
        }
        at += 2 + bits.div_ceil(8);
    }
    if algorithm == 18 {
        at += 4;
    }
    let (label, kind) = match body.get(at) {
        Some(0) => ("OpenPGP private key", Kind::PrivateKey),
        Some(253..=255 | 1..=13) => ("OpenPGP key under a passphrase", Kind::EncryptedKey),
        _ => return,
    };
    found(label, kind, body, 0, head + body.len(), out);
}

/// The body of a secret key packet at the start, and the length of its header.
fn packet(data: &[u8]) -> Option<(&[u8], usize)> {
    let first = *data.first()?;
    let byte = |at: usize| data.get(at).map(|b| usize::from(*b));
    let (len, head) = match first {
        0x94 => (byte(1)?, 2),
        0x95 => (byte(1)? << 8 | byte(2)?, 3),
        0xc5 => match byte(1)? {
            short @ 0..192 => (short, 2),
            long @ 192..224 => (((long - 192) << 8) + byte(2)? + 192, 3),
            _ => return None,
        },
        _ => return None,
    };
    data.get(head..head + len).filter(|body| body.len() > 40).map(|body| (body, head))
}

fn found(label: &str, kind: Kind, raw: &[u8], at: usize, end: usize, out: &mut Vec<Found>) {
    let print = Fingerprint(Sha256::digest(raw).into());
    out.push(opaque(at, end, kind, print, About { label: label.into(), ..About::default() }));
}
