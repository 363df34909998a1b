//! Password-based encryption: PBES2 (RFC 8018), the schemes of PKCS#12 (RFC 7292, appendix
//! C), and the one behind `DEK-Info` lines.

use aes::{Aes128, Aes192, Aes256};
use cbc::{
    Decryptor,
    cipher::{BlockModeDecrypt, InnerIvInit, KeyIvInit, block_padding::Pkcs7},
};
use des::{Des, TdesEde3};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rc2::Rc2;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::{DAMAGED, spend};
use crate::keys::der::{Items, tlv};

/// Decrypts `sealed` under an `AlgorithmIdentifier` (its content) and a password; `None` when
/// the padding is wrong, which is what a wrong password mostly gives.
pub(super) fn decrypt(
    algorithm: &[u8],
    sealed: &[u8],
    password: &str,
    budget: &mut u64,
) -> Result<Option<Vec<u8>>, &'static str> {
    let mut items = Items(algorithm);
    let (_, oid, _) = items.next().ok_or(DAMAGED)?;
    let (_, parameters, _) = items.next().ok_or(DAMAGED)?;
    if oid == PBES2 {
        return pbes2(parameters, sealed, password, budget);
    }
    let (key_len, vector_len, cipher) = match oid {
        PBE_3DES => (24, 8, Cipher::TripleDes),
        PBE_2DES => (16, 8, Cipher::TripleDes),
        PBE_RC2_128 => (16, 8, Cipher::Rc2(128)),
        PBE_RC2_40 => (5, 8, Cipher::Rc2(40)),
        _ => return Err(UNKNOWN),
    };
    let (salt, rounds) = salt_and_rounds(parameters)?;
    spend(budget, rounds * 2 * 2)?;
    let wide = bmp(password);
    let key = pkcs12_kdf::<Sha1>(&wide, salt, rounds, 1, key_len);
    let vector = pkcs12_kdf::<Sha1>(&wide, salt, rounds, 2, vector_len);
    let key = if oid == PBE_2DES { [&key[..], &key[..8]].concat() } else { key };
    Ok(cipher.decrypt(&key, &vector, sealed))
}

fn pbes2(
    parameters: &[u8],
    sealed: &[u8],
    password: &str,
    budget: &mut u64,
) -> Result<Option<Vec<u8>>, &'static str> {
    let mut items = Items(parameters);
    let (_, derivation, _) = items.next().ok_or(DAMAGED)?;
    let (_, encryption, _) = items.next().ok_or(DAMAGED)?;
    let mut derivation = Items(derivation);
    if derivation.next().ok_or(DAMAGED)?.1 != PBKDF2 {
        return Err(UNKNOWN);
    }
    let (_, derivation, _) = derivation.next().ok_or(DAMAGED)?;
    let (salt, rounds) = salt_and_rounds(derivation)?;
    let hash = Items(derivation)
        .skip(2)
        .find(|item| item.0 == 0x30)
        .and_then(|(_, body, _)| Items(body).next())
        .map_or(HMAC_SHA1, |(_, oid, _)| oid);
    let mut encryption = Items(encryption);
    let cipher = match encryption.next().ok_or(DAMAGED)?.1 {
        AES_128 => Cipher::Aes128,
        AES_192 => Cipher::Aes192,
        AES_256 => Cipher::Aes256,
        TRIPLE_DES => Cipher::TripleDes,
        SINGLE_DES => Cipher::Des,
        _ => return Err(UNKNOWN),
    };
    let (_, vector, _) = encryption.next().ok_or(DAMAGED)?;
    spend(budget, rounds * 2)?;
    let len = cipher.key_len();
    let word = password.as_bytes();
    let key = match hash {
        HMAC_SHA1 => pbkdf2::<Hmac<Sha1>>(word, salt, rounds, len),
        HMAC_SHA224 => pbkdf2::<Hmac<Sha224>>(word, salt, rounds, len),
        HMAC_SHA256 => pbkdf2::<Hmac<Sha256>>(word, salt, rounds, len),
        HMAC_SHA384 => pbkdf2::<Hmac<Sha384>>(word, salt, rounds, len),
        HMAC_SHA512 => pbkdf2::<Hmac<Sha512>>(word, salt, rounds, len),
        _ => return Err(UNKNOWN),
    };
    Ok(cipher.decrypt(&key, vector, sealed))
}

/// Decrypts a PEM body whose key comes from MD5 over password and salt, once.
pub(super) fn decrypt_dek(
    cipher: &str,
    vector: &[u8],
    body: &[u8],
    password: &str,
    budget: &mut u64,
) -> Result<Option<Vec<u8>>, &'static str> {
    let cipher = match cipher {
        "AES-128-CBC" => Cipher::Aes128,
        "AES-192-CBC" => Cipher::Aes192,
        "AES-256-CBC" => Cipher::Aes256,
        "DES-EDE3-CBC" => Cipher::TripleDes,
        "DES-CBC" => Cipher::Des,
        _ => return Err(UNKNOWN),
    };
    let salt = vector.get(..8).ok_or(DAMAGED)?;
    spend(budget, 2)?;
    let mut key = Vec::new();
    let mut last = Vec::new();
    while key.len() < cipher.key_len() {
        last = Md5::new()
            .chain_update(&last)
            .chain_update(password)
            .chain_update(salt)
            .finalize()
            .to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(cipher.key_len());
    Ok(cipher.decrypt(&key, vector, body))
}

/// The MAC of a PKCS#12 store under its own key derivation.
pub(super) fn pkcs12_mac(
    hash: &[u8],
    wide: &[u8],
    salt: &[u8],
    rounds: u64,
    content: &[u8],
) -> Result<Vec<u8>, &'static str> {
    Ok(match hash {
        SHA1 => mac::<Hmac<Sha1>>(&pkcs12_kdf::<Sha1>(wide, salt, rounds, 3, 20), content),
        SHA256 => mac::<Hmac<Sha256>>(&pkcs12_kdf::<Sha256>(wide, salt, rounds, 3, 32), content),
        SHA384 => mac::<Hmac<Sha384>>(&pkcs12_kdf::<Sha384>(wide, salt, rounds, 3, 48), content),
        SHA512 => mac::<Hmac<Sha512>>(&pkcs12_kdf::<Sha512>(wide, salt, rounds, 3, 64), content),
        _ => return Err(UNKNOWN),
    })
}

fn mac<M: Mac + KeyInit>(key: &[u8], content: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    <M as KeyInit>::new_from_slice(key)
        .map(|mac| mac.chain_update(content).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

/// A password as PKCS#12 hashes it: UTF-16, big-endian, with a final zero.
pub(super) fn bmp(password: &str) -> Vec<u8> {
    password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect()
}

/// The key derivation of RFC 7292, appendix B.2.
fn pkcs12_kdf<D: Digest>(
    wide: &[u8],
    salt: &[u8],
    rounds: u64,
    purpose: u8,
    len: usize,
) -> Vec<u8> {
    let block = if <D as Digest>::output_size() > 32 { 128 } else { 64 };
    let fill = |data: &[u8]| -> Vec<u8> {
        let len = data.len().next_multiple_of(block);
        data.iter().copied().cycle().take(len).collect()
    };
    let mut input = fill(salt);
    input.extend(fill(wide));
    let mut out = Vec::new();
    while out.len() < len {
        let mut hash = D::new().chain_update(vec![purpose; block]).chain_update(&input).finalize();
        for _ in 1..rounds {
            hash = D::digest(&hash);
        }
        out.extend_from_slice(&hash);
        let stretch: Vec<u8> = hash.iter().copied().cycle().take(block).collect();
        for chunk in input.chunks_mut(block) {
            let mut carry = 1u16;
            for (slot, add) in chunk.iter_mut().zip(&stretch).rev() {
                carry += u16::from(*slot) + u16::from(*add);
                *slot = carry as u8;
                carry >>= 8;
            }
        }
    }
    out.truncate(len);
    out
}

/// PBKDF2 (RFC 8018, section 5.2).
fn pbkdf2<M: Mac + KeyInit + Clone>(
    password: &[u8],
    salt: &[u8],
    rounds: u64,
    len: usize,
) -> Vec<u8> {
    let Ok(keyed) = <M as KeyInit>::new_from_slice(password) else { return Vec::new() };
    let mut out = Vec::new();
    let mut index = 1u32;
    while out.len() < len {
        let first = keyed.clone().chain_update(salt).chain_update(index.to_be_bytes());
        let mut last = first.finalize().into_bytes().to_vec();
        let mut sum = last.clone();
        for _ in 1..rounds {
            last = keyed.clone().chain_update(&last).finalize().into_bytes().to_vec();
            for (slot, byte) in sum.iter_mut().zip(&last) {
                *slot ^= byte;
            }
        }
        out.extend(sum);
        index += 1;
    }
    out.truncate(len);
    out
}

/// Salt and count of rounds, the first two elements of every parameter set here.
pub(super) fn salt_and_rounds(parameters: &[u8]) -> Result<(&[u8], u64), &'static str> {
    let mut items = Items(parameters);
    let (tag, salt, _) = items.next().ok_or(DAMAGED)?;
    let (_, rounds, _) = items.next().ok_or(DAMAGED)?;
    if tag != 4 || rounds.len() > 5 || salt.len() > 256 {
        return Err(DAMAGED);
    }
    Ok((salt, rounds.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)).max(1)))
}

#[derive(Clone, Copy)]
enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    TripleDes,
    Des,
    Rc2(usize),
}

impl Cipher {
    fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 | Self::TripleDes => 24,
            Self::Aes256 => 32,
            Self::Des => 8,
            Self::Rc2(bits) => bits / 8,
        }
    }

    /// CBC with padding; `None` when lengths or padding are wrong.
    fn decrypt(self, key: &[u8], vector: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Aes128 => finish(Decryptor::<Aes128>::new_from_slices(key, vector).ok()?, sealed),
            Self::Aes192 => finish(Decryptor::<Aes192>::new_from_slices(key, vector).ok()?, sealed),
            Self::Aes256 => finish(Decryptor::<Aes256>::new_from_slices(key, vector).ok()?, sealed),
            Self::TripleDes => {
                finish(Decryptor::<TdesEde3>::new_from_slices(key, vector).ok()?, sealed)
            }
            Self::Des => finish(Decryptor::<Des>::new_from_slices(key, vector).ok()?, sealed),
            Self::Rc2(bits) => {
                let cipher = Rc2::new_with_eff_key_len(key, bits);
                finish(Decryptor::<Rc2>::inner_iv_slice_init(cipher, vector).ok()?, sealed)
            }
        }
    }
}

fn finish<C: BlockModeDecrypt>(cipher: C, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = sealed.to_vec();
    let plain = cipher.decrypt_padded::<Pkcs7>(&mut buffer).ok()?;
    // What is sealed here is DER throughout.
    tlv(plain).is_some().then(|| plain.to_vec())
}

pub(super) const UNKNOWN: &str = "its algorithm is not one that is tried";

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const PBE_RC2_128: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 5];
const PBE_RC2_40: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 6];
const PBE_3DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3];
const PBE_2DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 4];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 7];
const HMAC_SHA224: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 8];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9];
const HMAC_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 10];
const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 11];
const AES_128: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 2];
const AES_192: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 22];
const AES_256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
const TRIPLE_DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 3, 7];
const SINGLE_DES: &[u8] = &[0x2b, 0x0e, 3, 2, 7];
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 26];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
