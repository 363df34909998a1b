//! PKCS#12 stores (RFC 7292): the MAC tells a password at once; the bags hold keys and
//! certificates.

use super::{DAMAGED, Outcome, WORDS, decrypt_info, scheme, spend};
use crate::keys::der::{self, Items, Object};

pub(super) fn open(raw: &[u8], budget: &mut u64) -> Outcome {
    for password in WORDS.iter().copied() {
        match attempt(raw, password, budget) {
            Ok(Some(objects)) => return Outcome::Opened { password, objects },
            Ok(None) => {}
            Err(why) => return Outcome::NotTried(why),
        }
    }
    Outcome::Locked
}

/// What is inside, when the password is right.
fn attempt(
    raw: &[u8],
    password: &str,
    budget: &mut u64,
) -> Result<Option<Vec<Object>>, &'static str> {
    let (_, body, _) = der::tlv(raw).ok_or(DAMAGED)?;
    let mut items = Items(body);
    items.next().ok_or(DAMAGED)?;
    let (_, content, _) = items.next().ok_or(DAMAGED)?;
    let safe = data(content).ok_or(scheme::UNKNOWN)?;
    let mac = items.next().map(|item| item.1);
    if let Some(mac) = mac
        && !authentic(mac, safe, password, budget)?
    {
        return Ok(None);
    }
    let mut inside = Vec::new();
    let mut all_opened = true;
    let (_, contents, _) = der::tlv(safe).ok_or(DAMAGED)?;
    for (_, content, _) in Items(contents).take(MAX_BAGS) {
        match safe_contents(content, password, budget)? {
            Some(bags) => all_opened &= read_bags(&bags, password, budget, &mut inside)?,
            None => all_opened = false,
        }
    }
    // Without a MAC only what was decrypted proves the password.
    Ok((mac.is_some() || all_opened && !inside.is_empty()).then_some(inside))
}

/// The octets of a `data` content: identifier, then `[0]` with an octet string.
fn data(content: &[u8]) -> Option<&[u8]> {
    let mut items = Items(content);
    let (_, oid, _) = items.next()?;
    if oid != DATA {
        return None;
    }
    let (_, tagged, _) = items.next()?;
    let (tag, octets, _) = Items(tagged).next()?;
    (tag == 4).then_some(octets)
}

fn authentic(
    mac: &[u8],
    safe: &[u8],
    password: &str,
    budget: &mut u64,
) -> Result<bool, &'static str> {
    let mut items = Items(mac);
    let (_, info, _) = items.next().ok_or(DAMAGED)?;
    let (_, salt, _) = items.next().ok_or(DAMAGED)?;
    let rounds = items
        .next()
        .map_or(1, |(_, count, _)| count.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)));
    let mut info = Items(info);
    let (_, algorithm, _) = info.next().ok_or(DAMAGED)?;
    let (_, expected, _) = info.next().ok_or(DAMAGED)?;
    let (_, hash, _) = Items(algorithm).next().ok_or(DAMAGED)?;
    // An empty password is written as a zero or as nothing at all.
    let wide = scheme::bmp(password);
    let forms: &[&[u8]] = if password.is_empty() { &[&wide, &[]] } else { &[&wide] };
    for form in forms {
        spend(budget, rounds)?;
        if scheme::pkcs12_mac(hash, form, salt, rounds, safe)? == expected {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The bags of one content, decrypted where they are encrypted; `None` when that fails.
fn safe_contents(
    content: &[u8],
    password: &str,
    budget: &mut u64,
) -> Result<Option<Vec<u8>>, &'static str> {
    if let Some(plain) = data(content) {
        return Ok(Some(plain.to_vec()));
    }
    let mut items = Items(content);
    if items.next().ok_or(DAMAGED)?.1 != ENCRYPTED_DATA {
        return Ok(None);
    }
    let (_, tagged, _) = items.next().ok_or(DAMAGED)?;
    let (_, encrypted, _) = Items(tagged).next().ok_or(DAMAGED)?;
    let (_, info, _) = Items(encrypted).nth(1).ok_or(DAMAGED)?;
    let mut info = Items(info).skip(1);
    let (_, algorithm, _) = info.next().ok_or(DAMAGED)?;
    let (_, sealed, _) = info.next().ok_or(DAMAGED)?;
    scheme::decrypt(algorithm, sealed, password, budget)
}

/// Reads keys and certificates; false when a key under the password did not open.
fn read_bags(
    bags: &[u8],
    password: &str,
    budget: &mut u64,
    out: &mut Vec<Object>,
) -> Result<bool, &'static str> {
    let mut opened = true;
    let Some((_, bags, _)) = der::tlv(bags) else { return Ok(false) };
    for (_, bag, _) in Items(bags).take(MAX_BAGS) {
        let mut items = Items(bag);
        let (Some((_, kind, _)), Some((_, tagged, _))) = (items.next(), items.next()) else {
            continue;
        };
        let Some((_, value, whole)) = Items(tagged).next() else { continue };
        match kind.strip_prefix(BAG) {
            Some([1]) => out.extend(der::read(whole).map(|found| found.0)),
            Some([2]) => {
                let found = decrypt_info(value, password, budget)?;
                opened &= found.is_some();
                out.extend(found.into_iter().flatten());
            }
            Some([3]) => out.extend(certificate(value)),
            _ => {}
        }
    }
    Ok(opened)
}

fn certificate(bag: &[u8]) -> Option<Object> {
    let (_, tagged, _) = Items(bag).nth(1)?;
    let (_, raw, _) = Items(tagged).next()?;
    der::read(raw).map(|found| found.0)
}

const MAX_BAGS: usize = 64;
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
const BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1];
