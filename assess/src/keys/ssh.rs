//! SSH key files: OpenSSH's own private format (PROTOCOL.key), public lines (RFC 4253),
//! Dropbear host keys, PuTTY files.

use super::der::{self, Key};

/// What an SSH structure holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey {
    /// The public part.
    pub key: Key,
    /// Whether the private part is there.
    pub private: bool,
    /// Whether the private part is under a passphrase.
    pub encrypted: bool,
}

/// Reads the body of an `openssh-key-v1` file.
#[must_use]
pub fn openssh(data: &[u8]) -> Option<SshKey> {
    let mut fields = Fields(data.strip_prefix(MAGIC)?);
    let cipher = fields.string()?;
    fields.string()?;
    fields.string()?;
    if fields.number()? == 0 {
        return None;
    }
    let key = public(fields.string()?)?;
    Some(SshKey { key, private: true, encrypted: cipher != b"none" })
}

/// Reads a public key blob (the base64 part of a public line).
#[must_use]
pub fn public(blob: &[u8]) -> Option<Key> {
    let mut fields = Fields(blob);
    match fields.string()? {
        b"ssh-rsa" => {
            let exponent = fields.string()?;
            der::rsa(fields.string()?, exponent)
        }
        b"ssh-dss" => dsa(&mut fields),
        b"ssh-ed25519" => Some(der::ed25519_public(fields.string()?.try_into().ok()?)),
        name if name.starts_with(b"ecdsa-sha2-") => {
            let curve = std::str::from_utf8(fields.string()?).ok()?;
            der::ssh_point(curve, fields.string()?)
        }
        _ => None,
    }
}

/// p, q, g and y (RFC 4253, section 6.6).
fn dsa(fields: &mut Fields<'_>) -> Option<Key> {
    let (p, q) = (fields.string()?, fields.string()?);
    der::dsa_public(p, q, fields.string()?, fields.string()?)
}

/// Reads a raw key from the start of `data`: a Dropbear host key (private) or a public
/// blob. Returns the length too.
#[must_use]
pub fn raw(data: &[u8]) -> Option<(SshKey, usize)> {
    let mut fields = Fields(data);
    let name = fields.string()?;
    let (key, private) = match name {
        b"ssh-rsa" => {
            let exponent = fields.string()?;
            let modulus = fields.string()?;
            if exponent.is_empty() || exponent.len() > 8 || !(64..=1025).contains(&modulus.len()) {
                return None;
            }
            let key = der::rsa(modulus, exponent)?;
            // Dropbear goes on with d, p and q.
            let d =
                fields.string().filter(|d| d.len() * 2 > modulus.len() && d.len() <= modulus.len());
            (key, d.is_some())
        }
        b"ssh-dss" => {
            let key = dsa(&mut fields)?;
            // Dropbear goes on with x.
            let x = fields.string().filter(|x| (16..=33).contains(&x.len()));
            (key, x.is_some())
        }
        b"ssh-ed25519" => match fields.string()? {
            both if both.len() == 64 => (der::ed25519_public(both[32..].try_into().ok()?), true),
            public => (der::ed25519_public(public.try_into().ok()?), false),
        },
        _ if name.starts_with(b"ecdsa-sha2-") => {
            let curve = std::str::from_utf8(fields.string()?).ok()?;
            let key = der::ssh_point(curve, fields.string()?)?;
            let scalar = fields.string().filter(|k| (20..=67).contains(&k.len()));
            (key, scalar.is_some())
        }
        _ => return None,
    };
    let used = data.len() - fields.0.len();
    Some((SshKey { key, private, encrypted: false }, used))
}

/// Reads a PuTTY private key file.
#[must_use]
pub fn putty(text: &str) -> Option<SshKey> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut lines = text.lines().map(str::trim);
    let encrypted =
        lines.clone().find_map(|l| l.strip_prefix("Encryption: ")).is_some_and(|e| e != "none");
    let count: usize = lines.find_map(|l| l.strip_prefix("Public-Lines: "))?.parse().ok()?;
    let body: String = lines.take(count.min(64)).collect();
    let key = public(&STANDARD.decode(body).ok()?)?;
    Some(SshKey { key, private: true, encrypted })
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_at_checked(4)?;
        self.0 = rest;
        Some(u32::from_be_bytes(head.try_into().ok()?))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let before = self.0;
        let len = self.number()? as usize;
        match self.0.split_at_checked(len) {
            Some((head, rest)) => {
                self.0 = rest;
                Some(head)
            }
            None => {
                self.0 = before;
                None
            }
        }
    }
}

/// First bytes of an OpenSSH private key.
pub const MAGIC: &[u8] = b"openssh-key-v1\0";

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().flat_map(|part| [&(part.len() as u32).to_be_bytes(), *part].concat()).collect()
    }

    #[test]
    fn a_dsa_key_is_one_as_public_blob_and_as_dropbears_private_file() {
        let (p, q, g, y) = ([0xc5; 128], [0x93; 20], [0x35; 128], [0x4b; 127]);
        let signed = |n: &[u8]| [&[0], n].concat();
        let (p0, q0) = (signed(&p), signed(&q));
        let blob = fields(&[b"ssh-dss", &p0, &q0, &g, &y]);
        let expected = der::dsa_public(&p, &q, &g, &y).unwrap();
        assert_eq!((expected.name.as_str(), expected.bits), ("DSA-1024", 1024));
        assert_eq!(public(&blob), Some(expected.clone()));
        let (found, used) = raw(&blob).unwrap();
        assert_eq!((found.private, found.key, used), (false, expected.clone(), blob.len()));
        let file = [blob.clone(), fields(&[&[0x21; 20]])].concat();
        let (found, used) = raw(&file).unwrap();
        assert_eq!((found.private, found.key, used), (true, expected, file.len()));
        // Numbers that are no group are no key.
        assert_eq!(public(&fields(&[b"ssh-dss", &p0, &p0, &g, &y])), None);
        assert_eq!(public(&fields(&[b"ssh-dss", &p0, &q0, &g, &[0]])), None);
    }
}
