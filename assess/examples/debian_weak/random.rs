//! The random generator of Debian's OpenSSL 0.9.8c-1 to 0.9.8g-8 (CVE-2008-0166).
//!
//! Its design is a pool of 1,023 bytes, stirred by SHA-1. The package left out the one step
//! that hashed what was fed to it, so that only *how many* bytes were fed counts, and the
//! process id, which is hashed when bytes are drawn. What else differs from machine to
//! machine is the width and the byte order of two counters that are hashed too.

use sha1::{Digest, Sha1};

/// What of a machine shows in the bytes that it draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// 32 bits, little-endian: i386, arm, mipsel.
    Le32,
    /// 64 bits, little-endian: amd64.
    Le64,
    /// 32 bits, big-endian: powerpc, sparc, hppa.
    Be32,
}

impl Machine {
    /// Bytes of C's `long` and `time_t`.
    fn word(self) -> usize {
        if self == Self::Le64 { 8 } else { 4 }
    }

    /// Bytes of C's `struct stat`, which is fed to the pool for a file of seeds.
    fn file_status(self) -> usize {
        if self == Self::Le64 { 144 } else { 88 }
    }

    fn long(self, value: u64) -> ([u8; 8], usize) {
        let mut bytes = [0; 8];
        match self {
            Self::Le32 => bytes[..4].copy_from_slice(&(value as u32).to_le_bytes()),
            Self::Le64 => bytes = value.to_le_bytes(),
            Self::Be32 => bytes[..4].copy_from_slice(&(value as u32).to_be_bytes()),
        }
        (bytes, self.word())
    }

    fn process(self, id: u32) -> [u8; 4] {
        if self == Self::Be32 { id.to_be_bytes() } else { id.to_le_bytes() }
    }
}

/// The generator of one process.
#[derive(Clone)]
pub struct Generator {
    machine: Machine,
    process: u32,
    /// The pool, and room for one step past its end.
    pool: [u8; POOL + HASH],
    at: usize,
    filled: usize,
    digest: [u8; HASH],
    /// Draws, and blocks fed.
    counts: [u64; 2],
    polled: bool,
    stirred: bool,
}

impl Generator {
    /// As it is when the process starts.
    pub fn new(machine: Machine, process: u32) -> Self {
        Self {
            machine,
            process,
            pool: [0; POOL + HASH],
            at: 0,
            filled: 0,
            digest: [0; HASH],
            counts: [0; 2],
            polled: false,
            stirred: false,
        }
    }

    /// Feeds `len` bytes, whatever they are.
    pub fn feed(&mut self, len: usize) {
        let mut at = self.at;
        let mut counts = self.counts;
        let mut local = self.digest;
        self.at += len;
        if self.at >= POOL {
            self.at %= POOL;
            self.filled = POOL;
        } else {
            self.filled = self.filled.max(self.at);
        }
        self.counts[1] += len.div_ceil(HASH) as u64;
        let mut left = len;
        while left > 0 {
            let step = left.min(HASH);
            left -= step;
            let hash = Sha1::new().chain_update(local);
            let hash = self.counted(self.window(hash, at, step, POOL), counts);
            local = hash.finalize().into();
            counts[1] += 1;
            for byte in &local[..step] {
                self.pool[at] ^= byte;
                at = if at + 1 >= POOL { 0 } else { at + 1 };
            }
        }
        for (byte, new) in self.digest.iter_mut().zip(local) {
            *byte ^= new;
        }
    }

    /// Feeds the time, as is done before every random number.
    pub fn feed_time(&mut self) {
        self.feed(self.machine.word());
    }

    /// Feeds what is known of a file.
    pub fn feed_file_status(&mut self) {
        self.feed(self.machine.file_status());
    }

    /// Feeds what the system gives: 32 random bytes, process, user, time.
    pub fn poll(&mut self) {
        if !self.polled {
            self.polled = true;
            self.feed(32);
            (0..3).for_each(|_| self.feed(self.machine.word()));
        }
    }

    /// Draws bytes.
    pub fn draw(&mut self, out: &mut [u8]) {
        self.poll();
        if !self.stirred {
            self.stirred = true;
            (0..POOL.div_ceil(HASH)).for_each(|_| self.feed(HASH));
        }
        let mut at = self.at;
        let counts = self.counts;
        let mut local = self.digest;
        self.at += out.len().div_ceil(HALF) * HALF;
        if self.at > self.filled {
            self.at %= self.filled;
        }
        self.counts[0] += 1;
        let mut process = self.process;
        for piece in out.chunks_mut(HALF) {
            let mut hash = Sha1::new();
            if process != 0 {
                hash.update(self.machine.process(process));
                process = 0;
            }
            let hash = self.counted(hash.chain_update(local), counts);
            local = self.window(hash, at, HALF, self.filled).finalize().into();
            for byte in &local[..HALF] {
                self.pool[at] ^= byte;
                at = if at + 1 >= self.filled { 0 } else { at + 1 };
            }
            piece.copy_from_slice(&local[HALF..][..piece.len()]);
        }
        let hash = self.counted(Sha1::new(), counts).chain_update(local);
        self.digest = hash.chain_update(self.digest).finalize().into();
    }

    fn counted(&self, hash: Sha1, counts: [u64; 2]) -> Sha1 {
        counts.iter().fold(hash, |hash, count| {
            let (bytes, len) = self.machine.long(*count);
            hash.chain_update(&bytes[..len])
        })
    }

    /// Hashes `len` bytes of the pool from `at` on, round its end.
    fn window(&self, hash: Sha1, at: usize, len: usize, end: usize) -> Sha1 {
        let past = (at + len).saturating_sub(end);
        hash.chain_update(&self.pool[at..at + len - past]).chain_update(&self.pool[..past])
    }
}

const POOL: usize = 1023;
const HASH: usize = 20;
const HALF: usize = HASH / 2;
