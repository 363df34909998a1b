//! Java key stores: JKS and JCEKS. Certificates stand there in the clear; private keys are
//! under a key stream of SHA-1 (JKS) or triple DES with an iterated MD5 (JCEKS); a SHA-1
//! over password and content ends the file and tells the password at once.

use cbc::{
    Decryptor,
    cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7},
};
use des::TdesEde3;
use md5::Md5;
use sha1::{Digest, Sha1};

use super::{DAMAGED, Outcome, WORDS, scheme, spend};
use crate::{
    keys::der::{self, Items, Object},
    unpack::Fields,
};

/// Length of the store at the start of `data`; `None` when it is damaged or cut, or has
/// entries of a kind that is not read (secret keys of JCEKS).
pub(in crate::keys) fn length(data: &[u8]) -> Option<usize> {
    entries(data).map(|found| found.1 + 20)
}

pub(super) fn open(raw: &[u8], budget: &mut u64) -> Outcome {
    let Some((keys, end)) = entries(raw) else { return Outcome::NotTried(DAMAGED) };
    let Some(digest) = raw.get(end..end + 20) else { return Outcome::NotTried(DAMAGED) };
    for password in WORDS.iter().copied() {
        let wide: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
        if let Err(why) = spend(budget, 1 + end as u64 / 64) {
            return Outcome::NotTried(why);
        }
        let sum = Sha1::new()
            .chain_update(&wide)
            .chain_update(b"Mighty Aphrodite")
            .chain_update(&raw[..end])
            .finalize();
        if sum.as_slice() == digest {
            let objects = keys.iter().filter_map(|key| private(key, password, budget)).collect();
            return Outcome::Opened { password, objects };
        }
    }
    Outcome::Locked
}

/// The protected private keys, and where the entries end.
fn entries(data: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let version = data.be32(4).ok()?;
    let count = data.be32(8).ok()?;
    if !matches!(version, 1 | 2) || count == 0 || count > 10_000 {
        return None;
    }
    let mut at = 12;
    let mut keys = Vec::new();
    for _ in 0..count {
        let tag = data.be32(at).ok()?;
        at = text(data, at + 4)? + 8;
        match tag {
            1 => {
                let (key, next) = bytes(data, at)?;
                keys.push(key);
                let chain = data.be32(next).ok()?;
                at = next + 4;
                for _ in 0..chain.min(100) {
                    at = certificate(data, at, version)?;
                }
            }
            2 => at = certificate(data, at, version)?,
            _ => return None,
        }
    }
    data.get(..at + 20).map(|_| (keys, at))
}

fn certificate(data: &[u8], at: usize, version: u32) -> Option<usize> {
    let at = if version == 2 { text(data, at)? } else { at };
    bytes(data, at).map(|found| found.1)
}

fn text(data: &[u8], at: usize) -> Option<usize> {
    let len = usize::from(data.be16(at).ok()?);
    data.get(at..at + 2 + len).map(|_| at + 2 + len)
}

fn bytes(data: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let len = data.be32(at).ok()? as usize;
    let end = at.checked_add(4)?.checked_add(len)?;
    data.get(at + 4..end).map(|found| (found, end))
}

/// The key of one entry. Its password is mostly the store's; else it is not opened.
fn private(entry: &[u8], password: &str, budget: &mut u64) -> Option<Object> {
    let (_, body, _) = der::tlv(entry)?;
    let mut items = Items(body);
    let (_, algorithm, _) = items.next()?;
    let (_, sealed, _) = items.next()?;
    let mut algorithm = Items(algorithm);
    let plain = match algorithm.next()?.1 {
        JKS => key_stream(sealed, password)?,
        JCEKS => {
            let (salt, rounds) = scheme::salt_and_rounds(algorithm.next()?.1).ok()?;
            spend(budget, rounds * 2).ok()?;
            triple_des(sealed, password, salt, rounds)?
        }
        _ => return None,
    };
    der::read(&plain).map(|found| found.0)
}

/// Salt, ciphertext, check: the stream is SHA-1 over the password and its last block.
fn key_stream(sealed: &[u8], password: &str) -> Option<Vec<u8>> {
    let (mut block, rest) = sealed.split_at_checked(20).map(|(a, b)| (a.to_vec(), b))?;
    let (body, check) = rest.split_at_checked(rest.len().checked_sub(20)?)?;
    let wide: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut plain = Vec::with_capacity(body.len());
    for chunk in body.chunks(20) {
        block = Sha1::new().chain_update(&wide).chain_update(&block).finalize().to_vec();
        plain.extend(chunk.iter().zip(&block).map(|(a, b)| a ^ b));
    }
    let sum = Sha1::new().chain_update(&wide).chain_update(&plain).finalize();
    (sum.as_slice() == check).then_some(plain)
}

/// PBEWithMD5AndTripleDES as Java has it: the two halves of the salt are hashed apart, and
/// equal halves have the first one turned round.
fn triple_des(sealed: &[u8], password: &str, salt: &[u8], rounds: u64) -> Option<Vec<u8>> {
    let mut salt = <[u8; 8]>::try_from(salt).ok()?;
    if salt[..4] == salt[4..] {
        salt[..4].reverse();
    }
    let mut derived = Vec::new();
    for half in salt.chunks(4) {
        let mut block = half.to_vec();
        for _ in 0..rounds {
            block = Md5::new().chain_update(&block).chain_update(password).finalize().to_vec();
        }
        derived.extend(block);
    }
    let cipher = Decryptor::<TdesEde3>::new_from_slices(&derived[..24], &derived[24..]).ok()?;
    let mut buffer = sealed.to_vec();
    cipher.decrypt_padded::<Pkcs7>(&mut buffer).ok().map(<[u8]>::to_vec)
}

const JKS: &[u8] = &[0x2b, 0x06, 1, 4, 1, 0x2a, 2, 17, 1, 1];
const JCEKS: &[u8] = &[0x2b, 0x06, 1, 4, 1, 0x2a, 2, 19, 1];
