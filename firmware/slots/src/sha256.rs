//! SHA-256 (FIPS 180-4) and HMAC (RFC 2104) over RustCrypto's compression function, without its
//! generic buffering: a third of the flash, and nothing that can panic.

use core::hint::black_box;

use sha2::block_api::compress256;

/// A running SHA-256.
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    block: [[u8; 64]; 1],
    len: u64,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// Nothing hashed yet.
    pub const fn new() -> Self {
        Self { state: INITIAL, block: [[0; 64]], len: 0 }
    }

    /// Hashes `bytes` after what came before.
    #[inline(never)]
    pub fn update(&mut self, mut bytes: &[u8]) {
        let used = (self.len % 64) as usize;
        self.len += bytes.len() as u64;
        if used > 0 {
            let [block] = &mut self.block;
            let free = block.get_mut(used..).unwrap_or_default();
            let take = free.len().min(bytes.len());
            let (now, later) = bytes.split_at_checked(take).unwrap_or((bytes, &[]));
            copy(free, now);
            bytes = later;
            if take < free.len() {
                return;
            }
            compress256(&mut self.state, &self.block);
        }
        let (blocks, rest) = bytes.as_chunks::<64>();
        compress256(&mut self.state, blocks);
        let [block] = &mut self.block;
        copy(block, rest);
    }

    /// The digest.
    #[inline(never)]
    pub fn finish(mut self) -> [u8; 32] {
        let bits = (self.len * 8).to_be_bytes();
        let used = (self.len % 64) as usize;
        let zeros = if used < 56 { 55 - used } else { 119 - used };
        self.update(&[0x80]);
        self.update(PADDING.get(..zeros).unwrap_or(&PADDING));
        self.update(&bits);
        let mut digest = [0; 32];
        let (words, _) = digest.as_chunks_mut::<4>();
        for (word, state) in words.iter_mut().zip(self.state) {
            *word = state.to_be_bytes();
        }
        digest
    }

    /// The digest of `bytes`.
    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        let mut hash = Self::new();
        hash.update(bytes);
        hash.finish()
    }
}

/// HMAC-SHA256 of the parts, one after the other.
#[inline(never)]
pub fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut inner = keyed(key, 0x36);
    for part in parts {
        inner.update(part);
    }
    let mut outer = keyed(key, 0x5c);
    outer.update(&inner.finish());
    outer.finish()
}

/// Whether both are the same tag. Takes as long wherever they differ: who writes tags into flash and
/// watches the bus must not learn how many bytes were right.
#[inline(never)]
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut all = a.len() ^ b.len();
    for (a, b) in a.iter().zip(b) {
        all |= usize::from(black_box(a ^ b));
    }
    all == 0
}

fn keyed(key: &[u8; 32], pad: u8) -> Sha256 {
    let mut block = [pad; 64];
    for (byte, key) in block.iter_mut().zip(key) {
        *byte ^= key;
    }
    let mut hash = Sha256::new();
    hash.update(&block);
    hash
}

/// As many bytes as both have.
#[inline(never)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

const PADDING: [u8; 64] = [0; 64];

const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[cfg(test)]
mod tests {
    extern crate std;

    use sha2::Digest;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn equals_sha2_for_every_length_and_split() {
        let bytes: Vec<u8> = (0..300u32).map(|i| (i * 7) as u8).collect();
        for len in 0..bytes.len() {
            let expected: [u8; 32] = sha2::Sha256::digest(&bytes[..len]).into();
            for split in [0, 1, len / 3, len.saturating_sub(1), len] {
                let mut hash = Sha256::new();
                hash.update(&bytes[..split.min(len)]);
                hash.update(&bytes[split.min(len)..len]);
                assert_eq!(hash.finish(), expected, "{len} at {split}");
            }
        }
    }

    /// RFC 4231, test case 2, its short key padded with zeros as RFC 2104 does.
    #[test]
    fn hmac_of_rfc_4231() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let tag = hmac(&key, &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(tag[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
        assert_eq!(tag[24..], [0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43]);
    }
}
