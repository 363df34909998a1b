//! Tries a few well-known passwords against crypt(3) hashes: MD5-crypt, SHA-256-crypt and
//! SHA-512-crypt. Other kinds are not tried.

use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

/// The well-known password behind a hash, if it is one of the list.
#[must_use]
pub fn default_password(hash: &str) -> Option<&'static str> {
    let mut parts = hash.strip_prefix('$')?.split('$');
    let kind = parts.next()?;
    let mut salt = parts.next()?;
    let mut rounds = 5000;
    if let Some(count) = salt.strip_prefix("rounds=") {
        rounds = count.parse().ok().filter(|r| (1000..=20_000).contains(r))?;
        salt = parts.next()?;
    }
    let stored = parts.next()?;
    COMMON.iter().copied().find(|password| {
        let salt = salt.as_bytes();
        let computed = match kind {
            "1" => md5_crypt(password.as_bytes(), salt),
            "5" => sha_crypt::<Sha256>(password.as_bytes(), salt, rounds, &ORDER_256),
            "6" => sha_crypt::<Sha512>(password.as_bytes(), salt, rounds, &ORDER_512),
            _ => return false,
        };
        computed == stored
    })
}

fn md5_crypt(password: &[u8], salt: &[u8]) -> String {
    let salt = &salt[..salt.len().min(8)];
    let inner =
        Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = Md5::new().chain_update(password).chain_update("$1$").chain_update(salt);
    for index in (0..password.len()).step_by(16) {
        first.update(&inner[..(password.len() - index).min(16)]);
    }
    let mut length = password.len();
    while length > 0 {
        if length & 1 == 1 {
            first.update([0]);
        } else {
            first.update(&password[..1]);
        }
        length >>= 1;
    }
    let mut sum = first.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        if round & 1 == 1 {
            next.update(password)
        } else {
            next.update(sum)
        }
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        if round & 1 == 1 {
            next.update(sum)
        } else {
            next.update(password)
        }
        sum = next.finalize();
    }
    let mut out = String::new();
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        encode(u32::from(sum[a]) << 16 | u32::from(sum[b]) << 8 | u32::from(sum[c]), 4, &mut out);
    }
    encode(u32::from(sum[11]), 2, &mut out);
    out
}

fn sha_crypt<D: Digest>(password: &[u8], salt: &[u8], rounds: u32, order: &[[u8; 3]]) -> String {
    let salt = &salt[..salt.len().min(16)];
    let width = <D as Digest>::output_size();
    let b = D::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut a = D::new().chain_update(password).chain_update(salt);
    for index in (0..password.len()).step_by(width) {
        a.update(&b[..(password.len() - index).min(width)]);
    }
    let mut length = password.len();
    while length > 0 {
        if length & 1 == 1 {
            a.update(&b)
        } else {
            a.update(password)
        }
        length >>= 1;
    }
    let mut sum = a.finalize();
    let mut dp = D::new();
    for _ in 0..password.len() {
        dp.update(password);
    }
    let p: Vec<u8> = dp.finalize().iter().copied().cycle().take(password.len()).collect();
    let mut ds = D::new();
    for _ in 0..16 + usize::from(sum[0]) {
        ds.update(salt);
    }
    let s: Vec<u8> = ds.finalize().iter().copied().cycle().take(salt.len()).collect();
    for round in 0..rounds {
        let mut next = D::new();
        if round & 1 == 1 {
            next.update(&p)
        } else {
            next.update(&sum)
        }
        if round % 3 != 0 {
            next.update(&s);
        }
        if round % 7 != 0 {
            next.update(&p);
        }
        if round & 1 == 1 {
            next.update(&sum)
        } else {
            next.update(&p)
        }
        sum = next.finalize();
    }
    let mut out = String::new();
    for [a, b, c] in order {
        let byte = |i: &u8| u32::from(sum[usize::from(*i)]);
        encode(byte(a) << 16 | byte(b) << 8 | byte(c), 4, &mut out);
    }
    if width == 32 {
        encode(u32::from(sum[31]) << 8 | u32::from(sum[30]), 3, &mut out);
    } else {
        encode(u32::from(sum[63]), 2, &mut out);
    }
    out
}

fn encode(mut value: u32, count: usize, out: &mut String) {
    for _ in 0..count {
        out.push(char::from(ALPHABET[(value & 63) as usize]));
        value >>= 6;
    }
}

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const ORDER_256: [[u8; 3]; 10] = [
    [0, 10, 20],
    [21, 1, 11],
    [12, 22, 2],
    [3, 13, 23],
    [24, 4, 14],
    [15, 25, 5],
    [6, 16, 26],
    [27, 7, 17],
    [18, 28, 8],
    [9, 19, 29],
];

const ORDER_512: [[u8; 3]; 21] = [
    [0, 21, 42],
    [22, 43, 1],
    [44, 2, 23],
    [3, 24, 45],
    [25, 46, 4],
    [47, 5, 26],
    [6, 27, 48],
    [28, 49, 7],
    [50, 8, 29],
    [9, 30, 51],
    [31, 52, 10],
    [53, 11, 32],
    [12, 33, 54],
    [34, 55, 13],
    [56, 14, 35],
    [15, 36, 57],
    [37, 58, 16],
    [59, 17, 38],
    [18, 39, 60],
    [40, 61, 19],
    [62, 20, 41],
];

/// Passwords that devices and bots use most.
const COMMON: &[&str] = &[
    "",
    "root",
    "admin",
    "password",
    "1234",
    "12345",
    "123456",
    "12345678",
    "default",
    "toor",
    "pass",
    "admin123",
    "root123",
    "changeme",
    "raspberry",
    "user",
    "guest",
    "support",
    "service",
    "system",
    "ubnt",
    "xc3511",
    "vizxv",
    "7ujMko0admin",
    "Zte521",
    "888888",
    "666666",
    "54321",
    "klv123",
    "anko",
    "alpine",
    "dreambox",
    "openelec",
    "libreelec",
    "test",
    "tech",
    "qwerty",
    "5up",
    "hi3518",
    "jvbzd",
    "juantech",
    "linux",
    "openwrt",
    "letmein",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes_are_computed() {
        assert_eq!(md5_crypt(b"password", b"xxxxxxxx"), "UYCIxa628.9qXjpQCjM4a.");
        assert_eq!(
            sha_crypt::<Sha256>(b"Hello world!", b"saltstring", 5000, &ORDER_256),
            "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
        );
        assert_eq!(
            sha_crypt::<Sha512>(b"Hello world!", b"saltstring", 5000, &ORDER_512),
            "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
        );
    }

    #[test]
    fn a_default_is_named_and_another_password_is_not() {
        let hash = |p: &str| format!("$1$abcdefgh${}", md5_crypt(p.as_bytes(), b"abcdefgh"));
        assert_eq!(default_password(&hash("admin")), Some("admin"));
        assert_eq!(default_password(&hash("k9Xq2LmN7p")), None);
    }
}
