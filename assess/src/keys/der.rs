//! A tolerant DER reader and the few structures that hold keys: PKCS#1, PKCS#8, SEC 1,
//! SubjectPublicKeyInfo, X.509 certificates, PKCS#12. Broken input is refused, never a panic.

use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};

use super::curve::{self, Weierstrass};

/// A public key as far as the index needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Algorithm and size in words, for example `RSA-2048` or `EC P-256`.
    pub name: String,
    /// Size in bits of the modulus or field.
    pub bits: u32,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
    /// RSA modulus and exponent, big-endian, without leading zeros.
    pub rsa: Option<(Vec<u8>, Vec<u8>)>,
    /// A value that protects nothing, such as a private scalar of 1.
    pub degenerate: bool,
}

/// What a DER object turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A private key in the clear.
    Private(Key),
    /// A private key under a passphrase (PKCS#8).
    Encrypted,
    /// A public key.
    Public(Key),
    /// An X.509 certificate.
    Certificate(Box<Certificate>),
    /// A PKCS#12 store.
    Store,
}

/// The parts of a certificate that the joins look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its public key.
    pub key: Key,
    /// SHA-256 of the whole certificate.
    pub sha256: [u8; 32],
    /// Common name of the subject, or the whole name's last part.
    pub subject: String,
    /// Whether basicConstraints say CA.
    pub ca: bool,
    /// Subject and issuer are the same.
    pub self_signed: bool,
    /// `MD5` or `SHA-1` when the signature uses it.
    pub weak_signature: Option<&'static str>,
    /// notBefore and notAfter as `YYYYMMDDhhmmss`.
    pub validity: (String, String),
}

/// Reads one object from the start of `data`; returns it with its length.
#[must_use]
pub fn read(data: &[u8]) -> Option<(Object, usize)> {
    let (tag, body, len) = tlv(data)?;
    if tag != 0x30 {
        return None;
    }
    let object = certificate(&data[..len])
        .map(|c| Object::Certificate(Box::new(c)))
        .or_else(|| pkcs8(body))
        .or_else(|| pkcs1(body))
        .or_else(|| sec1(body, None).map(Object::Private))
        .or_else(|| spki(&data[..len]).map(Object::Public))
        .or_else(|| pkcs1_public(body).map(Object::Public))
        .or_else(|| store(body))?;
    Some((object, len))
}

/// Tag, content and total length of the first element.
#[must_use]
pub fn tlv(data: &[u8]) -> Option<(u8, &[u8], usize)> {
    let tag = *data.first()?;
    let first = *data.get(1)?;
    let (len, head) = if first < 0x80 {
        (usize::from(first), 2)
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let bytes = data.get(2..2 + count)?;
        (bytes.iter().fold(0usize, |n, b| n << 8 | usize::from(*b)), 2 + count)
    };
    let body = data.get(head..head.checked_add(len)?)?;
    Some((tag, body, head + len))
}

/// The elements of a constructed value.
pub(super) struct Items<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Items<'a> {
    /// Tag, content, and the element as it stands.
    type Item = (u8, &'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, body, len) = tlv(self.0)?;
        let (whole, rest) = self.0.split_at(len);
        self.0 = rest;
        Some((tag, body, whole))
    }
}

fn integer(item: Option<(u8, &[u8], &[u8])>) -> Option<Vec<u8>> {
    let (tag, body, _) = item?;
    (tag == 2).then_some(())?;
    Some(trim(body).to_vec())
}

fn trim(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    &number[zeros..]
}

fn pkcs8(body: &[u8]) -> Option<Object> {
    let mut items = Items(body);
    let (tag, first, _) = items.next()?;
    if tag == 0x30 {
        // EncryptedPrivateKeyInfo: an algorithm of PKCS#5 or PKCS#12, then the data.
        let (oid_tag, oid, _) = Items(first).next()?;
        let encrypted = oid_tag == 6
            && (oid.starts_with(PKCS5) || oid.starts_with(PKCS12_PBE))
            && items.next()?.0 == 4;
        return encrypted.then_some(Object::Encrypted);
    }
    if tag != 2 || first.len() != 1 || first[0] > 1 {
        return None;
    }
    let (tag, algorithm, _) = items.next()?;
    if tag != 0x30 {
        return None;
    }
    let mut algorithm = Items(algorithm);
    let (oid_tag, oid, _) = algorithm.next()?;
    let parameters = algorithm.next();
    let (tag, key, _) = items.next()?;
    if oid_tag != 6 || tag != 4 {
        return None;
    }
    if oid == RSA {
        let (_, inner, _) = tlv(key)?;
        return pkcs1(inner);
    }
    if oid == EC {
        let curve = parameters.and_then(|(_, oid, _)| Curve::of(oid))?;
        let (_, inner, _) = tlv(key)?;
        return sec1(inner, Some(curve)).map(Object::Private);
    }
    if oid == ED25519 {
        let (_, seed, _) = tlv(key)?;
        return ed25519(seed.try_into().ok()?).map(Object::Private);
    }
    if let Some(name) = edwards_or_montgomery(oid) {
        let (_, private, _) = tlv(key)?;
        let public = match oid {
            X25519 => curve::x25519(private.try_into().ok()?),
            X448 => curve::x448(private.try_into().ok()?),
            _ => curve::ed448(private.try_into().ok()?),
        };
        let mut found = bare(name, oid, &public);
        found.degenerate = trim(private).len() <= 4;
        return Some(Object::Private(found));
    }
    if oid == DSA {
        let mut group = Items(parameters?.1);
        let (p, q, g) = (integer(group.next())?, integer(group.next())?, integer(group.next())?);
        let x = integer(Items(key).next())?;
        let y = curve::dsa_public(&p, &g, &x)?;
        return Some(Object::Private(dsa_key(&p, &q, &g, &y)));
    }
    let name = match oid {
        DH => "DH",
        _ if oid.starts_with(ML_DSA) => "ML-DSA",
        _ => return None,
    };
    // The public half is not computed for these: the private part identifies the key.
    Some(Object::Private(Key {
        name: name.into(),
        bits: 0,
        spki_sha256: Sha256::digest([b"ringfort private ".as_slice(), key].concat()).into(),
        rsa: None,
        degenerate: false,
    }))
}

/// The name of an algorithm of RFC 8410 whose keys are bare byte strings.
fn edwards_or_montgomery(oid: &[u8]) -> Option<&'static str> {
    match oid {
        X25519 => Some("X25519"),
        X448 => Some("X448"),
        ED448 => Some("Ed448"),
        _ => None,
    }
}

/// The key of a private scalar of X25519 (RFC 7748).
#[must_use]
pub fn x25519(private: &[u8; 32]) -> Key {
    bare("X25519", X25519, &curve::x25519(private))
}

/// The key of a bare public byte string (RFC 8410).
fn bare(name: &str, algorithm: &[u8], public: &[u8]) -> Key {
    let spki = sequence(&[sequence(&oid(algorithm)), wrap(3, &[&[0], public].concat())].concat());
    Key {
        name: name.into(),
        bits: if public.len() > 40 { 448 } else { 256 },
        spki_sha256: Sha256::digest(spki).into(),
        rsa: None,
        degenerate: false,
    }
}

fn pkcs1(body: &[u8]) -> Option<Object> {
    let mut items = Items(body);
    let version = integer(items.next())?;
    if version.len() > 1 {
        return None;
    }
    let modulus = integer(items.next())?;
    let exponent = integer(items.next())?;
    let rest: Vec<Vec<u8>> = (0..6).map_while(|_| integer(items.next())).collect();
    if rest.len() < 6 || modulus.len() < 32 || exponent.len() > modulus.len() {
        // A DSA key has the same shape with one integer less.
        return dsa(&version, &modulus, &exponent, &rest);
    }
    Some(Object::Private(rsa(&modulus, &exponent)?))
}

fn dsa(version: &[u8], p: &[u8], q: &[u8], rest: &[Vec<u8>]) -> Option<Object> {
    if !version.is_empty() || rest.len() != 3 || p.len() < 64 || !(20..=32).contains(&q.len()) {
        return None;
    }
    Some(Object::Private(dsa_key(p, q, &rest[0], &rest[1])))
}

/// The key of a DSA group and a public number (RFC 3279, section 2.3.2).
fn dsa_key(p: &[u8], q: &[u8], g: &[u8], y: &[u8]) -> Key {
    let group = sequence(&[number(p), number(q), number(g)].concat());
    let algorithm = sequence(&[oid(DSA), group].concat());
    let spki = sequence(&[algorithm, wrap(3, &[&[0], &number(y)[..]].concat())].concat());
    Key {
        name: format!("DSA-{}", p.len() * 8),
        bits: p.len() as u32 * 8,
        spki_sha256: Sha256::digest(spki).into(),
        rsa: None,
        degenerate: false,
    }
}

/// The key of a DSA group and a public number; none where they cannot be one.
#[must_use]
pub fn dsa_public(p: &[u8], q: &[u8], g: &[u8], y: &[u8]) -> Option<Key> {
    let [p, q, g, y] = [p, q, g, y].map(trim);
    let plausible = (64..=512).contains(&p.len())
        && (20..=32).contains(&q.len())
        && [g, y].iter().all(|n| !n.is_empty() && n.len() <= p.len());
    plausible.then(|| dsa_key(p, q, g, y))
}

fn pkcs1_public(body: &[u8]) -> Option<Key> {
    let mut items = Items(body);
    let modulus = integer(items.next())?;
    let exponent = integer(items.next())?;
    let plausible = items.next().is_none()
        && items.0.is_empty()
        && modulus.len() >= 64
        && modulus.len() % 8 == 0
        && modulus.last().is_some_and(|b| b & 1 == 1)
        && (1..=8).contains(&exponent.len())
        // Parameters of Diffie-Hellman have the same shape with a generator of 2.
        && exponent != [2];
    if plausible { rsa(&modulus, &exponent) } else { None }
}

/// The key for an RSA modulus and exponent.
#[must_use]
pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Key> {
    let (modulus, exponent) = (trim(modulus), trim(exponent));
    if modulus.is_empty() || modulus.len() > 4096 {
        return None;
    }
    let inner = sequence(&[number(modulus), number(exponent)].concat());
    let spki = sequence(
        &[sequence(&[oid(RSA), vec![5, 0]].concat()), wrap(3, &[&[0], &inner[..]].concat())]
            .concat(),
    );
    let bits = modulus.len() as u32 * 8 - modulus[0].leading_zeros();
    Some(Key {
        name: format!("RSA-{bits}"),
        bits,
        spki_sha256: Sha256::digest(spki).into(),
        rsa: Some((modulus.to_vec(), exponent.to_vec())),
        degenerate: false,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    Other(&'static Weierstrass),
}

impl Curve {
    fn of(oid: &[u8]) -> Option<Self> {
        match oid {
            P256 => Some(Self::P256),
            P384 => Some(Self::P384),
            other => curve::weierstrass(other).map(Self::Other),
        }
    }

    fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => P256,
            Self::P384 => P384,
            Self::Other(curve) => curve.oid,
        }
    }

    fn name(self) -> (&'static str, u32) {
        match self {
            Self::P256 => ("EC P-256", 256),
            Self::P384 => ("EC P-384", 384),
            Self::Other(curve) => (curve.name, curve.bits),
        }
    }

    /// The uncompressed point of a private scalar.
    fn public(self, scalar: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::P256 => p256::SecretKey::from_slice(scalar)
                .ok()
                .map(|k| k.public_key().to_sec1_point(false).as_bytes().to_vec()),
            Self::P384 => p384::SecretKey::from_slice(scalar)
                .ok()
                .map(|k| k.public_key().to_sec1_point(false).as_bytes().to_vec()),
            Self::Other(curve) => curve.public(scalar),
        }
    }
}

fn sec1(body: &[u8], curve: Option<Curve>) -> Option<Key> {
    let mut items = Items(body);
    let (tag, version, _) = items.next()?;
    if tag != 2 || version != [1] {
        return None;
    }
    let (tag, scalar, _) = items.next()?;
    if tag != 4 || !(20..=72).contains(&scalar.len()) {
        return None;
    }
    let mut curve = curve;
    let mut point = None;
    for (tag, body, _) in items {
        match tag {
            0xa0 => curve = curve.or_else(|| Items(body).next().and_then(|i| Curve::of(i.1))),
            0xa1 => point = Items(body).next().and_then(|i| i.1.get(1..)).map(<[u8]>::to_vec),
            _ => {}
        }
    }
    private_scalar(curve?, scalar, point)
}

/// The key of a raw P-256 or P-384 private scalar, as it stands in program constants.
#[must_use]
pub fn raw_scalar(scalar: &[u8]) -> Option<Key> {
    match scalar.len() {
        32 => private_scalar(Curve::P256, scalar, None),
        48 => private_scalar(Curve::P384, scalar, None),
        _ => None,
    }
}

fn private_scalar(curve: Curve, scalar: &[u8], point: Option<Vec<u8>>) -> Option<Key> {
    let degenerate = trim(scalar).len() <= 4;
    let point = point.or_else(|| curve.public(scalar));
    let mut key = match point {
        Some(point) => ec(curve, &point)?,
        None => {
            let (name, bits) = curve.name();
            let tagged = [b"ringfort scalar ".as_slice(), curve.oid(), scalar].concat();
            let spki_sha256 = Sha256::digest(tagged).into();
            Key { name: name.into(), bits, spki_sha256, rsa: None, degenerate: false }
        }
    };
    key.degenerate = degenerate;
    Some(key)
}

fn ec(curve: Curve, point: &[u8]) -> Option<Key> {
    if !matches!(point.first(), Some(2..=4)) {
        return None;
    }
    // A compressed point is the same key: index it by its uncompressed form.
    let point = match (curve, point[0]) {
        (Curve::P256, 2 | 3) => {
            p256::PublicKey::from_sec1_bytes(point).ok()?.to_sec1_point(false).as_bytes().to_vec()
        }
        (Curve::P384, 2 | 3) => {
            p384::PublicKey::from_sec1_bytes(point).ok()?.to_sec1_point(false).as_bytes().to_vec()
        }
        _ => point.to_vec(),
    };
    let algorithm = sequence(&[oid(EC), oid(curve.oid())].concat());
    let spki = sequence(&[algorithm, wrap(3, &[&[0], &point[..]].concat())].concat());
    let (name, bits) = curve.name();
    Some(Key {
        name: name.into(),
        bits,
        spki_sha256: Sha256::digest(spki).into(),
        rsa: None,
        degenerate: false,
    })
}

/// The key of an elliptic-curve point named as SSH names curves.
#[must_use]
pub fn ssh_point(curve: &str, point: &[u8]) -> Option<Key> {
    let curve = match curve {
        "nistp256" => Curve::P256,
        "nistp384" => Curve::P384,
        "nistp521" => Curve::of(P521)?,
        // As JSON web keys name it.
        "nistsecp256k1" => Curve::of(&[0x2b, 0x81, 4, 0, 10])?,
        _ => return None,
    };
    ec(curve, point)
}

/// The key of an Ed25519 seed.
#[must_use]
pub fn ed25519(seed: &[u8; 32]) -> Option<Key> {
    let public = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes();
    let mut key = ed25519_public(&public);
    key.degenerate = trim(seed).len() <= 4;
    Some(key)
}

/// The key of an Ed25519 public key.
#[must_use]
pub fn ed25519_public(public: &[u8; 32]) -> Key {
    bare("Ed25519", ED25519, public)
}

fn spki(whole: &[u8]) -> Option<Key> {
    let (_, body, _) = tlv(whole)?;
    let mut items = Items(body);
    let (tag, algorithm, _) = items.next()?;
    let (bits_tag, bits, _) = items.next()?;
    if tag != 0x30 || bits_tag != 3 || bits.first() != Some(&0) || items.next().is_some() {
        return None;
    }
    let mut algorithm = Items(algorithm);
    let (oid_tag, oid, _) = algorithm.next()?;
    if oid_tag != 6 {
        return None;
    }
    let key = &bits[1..];
    if oid == RSA || oid == RSA_PSS {
        let (_, inner, _) = tlv(key)?;
        let mut items = Items(inner);
        return rsa(&integer(items.next())?, &integer(items.next())?);
    }
    if oid == EC {
        let curve = algorithm.next().and_then(|(_, oid, _)| Curve::of(oid))?;
        return ec(curve, key);
    }
    if oid == ED25519 {
        return Some(ed25519_public(key.try_into().ok()?));
    }
    if let Some(name) = edwards_or_montgomery(oid) {
        return Some(bare(name, oid, key));
    }
    if oid == DSA
        && let Some((_, group, _)) = algorithm.next()
    {
        let mut group = Items(group);
        let (p, q, g) = (integer(group.next())?, integer(group.next())?, integer(group.next())?);
        return Some(dsa_key(&p, &q, &g, &integer(Items(key).next())?));
    }
    let name = match oid {
        DSA => "DSA",
        DH => "DH",
        _ if oid.starts_with(ML_DSA) => "ML-DSA",
        _ => return None,
    };
    Some(Key {
        name: name.into(),
        bits: 0,
        spki_sha256: Sha256::digest(whole).into(),
        rsa: None,
        degenerate: false,
    })
}

fn certificate(whole: &[u8]) -> Option<Certificate> {
    let (_, body, _) = tlv(whole)?;
    let mut outer = Items(body);
    let (tag, tbs, _) = outer.next()?;
    let (algorithm_tag, algorithm, _) = outer.next()?;
    let (signature_tag, ..) = outer.next()?;
    if tag != 0x30 || algorithm_tag != 0x30 || signature_tag != 3 {
        return None;
    }
    let mut items = Items(tbs).peekable();
    if items.peek()?.0 == 0xa0 {
        items.next();
    }
    let (serial_tag, ..) = items.next()?;
    let (_, _, _) = items.next()?;
    let (issuer_tag, _, issuer) = items.next()?;
    let (validity_tag, validity, _) = items.next()?;
    let (subject_tag, _, subject) = items.next()?;
    let (key_tag, _, key) = items.next()?;
    if serial_tag != 2 || [issuer_tag, validity_tag, subject_tag, key_tag] != [0x30; 4] {
        return None;
    }
    let mut times = Items(validity);
    let (before, after) = (times.next()?, times.next()?);
    let ca = items.any(|(tag, body, _)| {
        tag == 0xa3
            && memchr::memmem::find(body, BASIC_CONSTRAINTS).is_some_and(|at| {
                memchr::memmem::find(&body[at..(at + 20).min(body.len())], &[1, 1, 0xff]).is_some()
            })
    });
    let (_, signature, _) = Items(algorithm).next()?;
    let weak_signature = match signature {
        MD5_RSA => Some("MD5"),
        SHA1_RSA | SHA1_ECDSA | SHA1_DSA => Some("SHA-1"),
        _ => None,
    };
    let unknown = || Key {
        name: "unknown".into(),
        bits: 0,
        spki_sha256: Sha256::digest(key).into(),
        rsa: None,
        degenerate: false,
    };
    Some(Certificate {
        key: spki(key).unwrap_or_else(unknown),
        sha256: Sha256::digest(whole).into(),
        subject: common_name(subject),
        ca,
        self_signed: issuer == subject,
        weak_signature,
        validity: (date(before.0, before.1)?, date(after.0, after.1)?),
    })
}

fn date(tag: u8, text: &[u8]) -> Option<String> {
    let digits: String =
        text.iter().take_while(|b| b.is_ascii_digit()).map(|b| char::from(*b)).collect();
    match tag {
        0x17 => {
            let century = if digits.get(..2)?.parse::<u32>().ok()? < 50 { "20" } else { "19" };
            Some(format!("{century}{digits}"))
        }
        0x18 => Some(digits),
        _ => None,
    }
}

fn common_name(name: &[u8]) -> String {
    let from = memchr::memmem::rfind(name, &[6, 3, 0x55, 4, 3]).map(|at| at + 5);
    let part = from
        .and_then(|at| tlv(name.get(at..)?))
        .or_else(|| {
            // No common name: the last attribute's value.
            let (_, body, _) = tlv(name)?;
            let (_, set, _) = Items(body).last()?;
            let (_, pair, _) = Items(set).next()?;
            let (tag, value, len) = Items(pair).nth(1).map(|(t, v, w)| (t, v, w.len()))?;
            Some((tag, value, len))
        })
        .map(|(_, value, _)| crate::unpack::clean(&String::from_utf8_lossy(value)));
    part.unwrap_or_default()
}

fn store(body: &[u8]) -> Option<Object> {
    let mut items = Items(body);
    let (tag, version, _) = items.next()?;
    let (inner_tag, inner, _) = items.next()?;
    let (oid_tag, oid, _) = Items(inner).next()?;
    let is =
        tag == 2 && version == [3] && inner_tag == 0x30 && oid_tag == 6 && oid.starts_with(PKCS7);
    is.then_some(Object::Store)
}

fn wrap(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match body.len() {
        len @ 0..0x80 => out.push(len as u8),
        len @ 0x80..0x100 => out.extend([0x81, len as u8]),
        len @ 0x100..0x1_0000 => out.extend([0x82, (len >> 8) as u8, len as u8]),
        len => out.extend([0x83, (len >> 16) as u8, (len >> 8) as u8, len as u8]),
    }
    out.extend_from_slice(body);
    out
}

fn sequence(body: &[u8]) -> Vec<u8> {
    wrap(0x30, body)
}

fn oid(value: &[u8]) -> Vec<u8> {
    wrap(6, value)
}

fn number(value: &[u8]) -> Vec<u8> {
    if value.first().is_none_or(|b| b & 0x80 != 0) {
        wrap(2, &[&[0], value].concat())
    } else {
        wrap(2, value)
    }
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const MD5_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4];
const SHA1_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5];
const SHA1_ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
const SHA1_DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1];
const DH: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 3, 1];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];
const P521: &[u8] = &[0x2b, 0x81, 4, 0, 35];
const X25519: &[u8] = &[0x2b, 0x65, 0x6e];
const X448: &[u8] = &[0x2b, 0x65, 0x6f];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const ED448: &[u8] = &[0x2b, 0x65, 0x71];
const ML_DSA: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3];
const PKCS5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5];
const PKCS12_PBE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1];
const PKCS7: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// For every algorithm, with and without the public half in the file: the private key and
    /// the public key that OpenSSL derives from it have one fingerprint.
    #[test]
    fn the_public_half_is_the_one_that_openssl_derives() {
        let mut kinds: Vec<String> =
            ["ED25519", "ED448", "X25519", "X448"].map(str::to_owned).to_vec();
        for curve in [
            "P-256",
            "P-384",
            "P-521",
            "P-224",
            "prime192v1",
            "secp256k1",
            "brainpoolP256r1",
            "brainpoolP384r1",
            "brainpoolP512r1",
        ] {
            kinds.push(format!("EC -pkeyopt ec_paramgen_curve:{curve}"));
        }
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().display();
        for kind in kinds {
            sh(&format!("openssl genpkey -algorithm {kind} -outform DER -out {dir}/k"));
            same_key(&format!("{dir}/k"), &kind);
            if kind.starts_with("EC") {
                sh(&format!(
                    "openssl ec -inform DER -in {dir}/k -no_public -outform DER -out {dir}/n"
                ));
                same_key(&format!("{dir}/n"), &format!("{kind} without its point"));
            }
        }
        sh(&format!("openssl dsaparam -out {dir}/p 1024"));
        sh(&format!("openssl genpkey -paramfile {dir}/p -outform DER -out {dir}/k"));
        same_key(&format!("{dir}/k"), "DSA");
        sh(&format!("openssl dsa -inform DER -in {dir}/k -outform DER -out {dir}/n"));
        same_key(&format!("{dir}/n"), "DSA in its own form");
    }

    fn same_key(private: &str, kind: &str) {
        let public = sh(&format!("openssl pkey -inform DER -in {private} -pubout -outform DER"));
        let Some((Object::Public(public), _)) = read(&public) else { panic!("{kind}: public") };
        let Some((Object::Private(found), _)) = read(&std::fs::read(private).unwrap()) else {
            panic!("{kind}: private")
        };
        assert_eq!(found.spki_sha256, public.spki_sha256, "{kind}");
    }

    fn sh(line: &str) -> Vec<u8> {
        let made = Command::new("sh").args(["-ec", line]).output().unwrap();
        assert!(made.status.success(), "{line}: {}", String::from_utf8_lossy(&made.stderr));
        made.stdout
    }
}
