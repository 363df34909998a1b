//! Random numbers and primes as OpenSSL 0.9.8 takes them from its generator, draw by draw.

use dashu_int::UBig;

use super::{lanes::fermat, random::Generator};

/// A random number of `bits` bits; the two topmost and the lowest are set for `prime`.
fn number(random: &mut Generator, bits: usize, prime: bool) -> Vec<u8> {
    let mut bytes = vec![0; bits.div_ceil(8)];
    random.feed_time();
    random.draw(&mut bytes);
    if prime {
        // Only whole bytes are asked for.
        bytes[0] |= 0xc0;
        let last = bytes.len() - 1;
        bytes[last] |= 1;
    } else if !bits.is_multiple_of(8) {
        bytes[0] &= 0xff >> (8 - bits % 8);
    }
    bytes
}

/// A random number below `limit`.
pub fn below(random: &mut Generator, limit: &UBig) -> UBig {
    use dashu_int::ops::BitTest;
    let bits = limit.bit_len();
    // Three times a limit of 100… in bits has one bit more, so a number of that size serves
    // three times as often.
    let low = bits > 3 && !limit.bit(bits - 2) && !limit.bit(bits - 3);
    loop {
        let mut found =
            UBig::from_be_bytes(&number(random, if low { bits + 1 } else { bits }, false));
        for _ in 0..if low { 2 } else { 0 } {
            if found >= *limit {
                found -= limit;
            }
        }
        if found < *limit {
            return found;
        }
    }
}

/// The draws of as many Miller-Rabin rounds as a prime passes.
pub fn rounds(random: &mut Generator, prime: &UBig, count: usize) {
    let limit = prime - UBig::ONE;
    (0..count).for_each(|_| drop(below(random, &limit)));
}

/// Small odd primes, and what is needed to divide by all of them at once.
pub struct Sieve(Vec<Group>);

/// Some small primes side by side.
struct Group {
    primes: [u32; GROUP],
    inverses: [f64; GROUP],
    /// For each 32 bits of a number, lowest first: their weight modulo each prime.
    weights: [[u16; GROUP]; LIMBS],
}

impl Group {
    /// Whether none of the primes, all above `step`, divides the number so many steps on or
    /// the one below it.
    fn spares(&self, residues: &[u32; GROUP], step: u32) -> bool {
        let mut spares = true;
        for (prime, residue) in self.primes.iter().zip(residues) {
            let sum = residue + step;
            spares &= sum.min(sum.wrapping_sub(*prime)) > 1;
        }
        spares
    }
}

impl Sieve {
    /// For numbers of up to 1,024 bits.
    pub fn new() -> Self {
        let is_prime =
            |n: &u32| (3..).step_by(2).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
        let mut primes: Vec<u32> = (3..).step_by(2).filter(is_prime).take(SMALL_PRIMES).collect();
        // The last once more, so that all groups are full.
        primes.extend(primes.last().copied());
        let group = |primes: &[u32]| {
            let primes: [u32; GROUP] = std::array::from_fn(|i| primes[i]);
            let mut weights = [[1; GROUP]; LIMBS];
            for row in 1..LIMBS {
                weights[row] = std::array::from_fn(|i| {
                    let above = u64::from(weights[row - 1][i]) << 32;
                    (above % u64::from(primes[i])) as u16
                });
            }
            Group { primes, inverses: primes.map(|p| 1.0 / f64::from(p)), weights }
        };
        Self(primes.chunks_exact(GROUP).map(group).collect())
    }

    /// The number modulo each small prime; its bytes are big-endian, a multiple of four.
    fn residues(&self, bytes: &[u8]) -> Vec<[u32; GROUP]> {
        let limbs: Vec<u32> = bytes
            .rchunks_exact(4)
            .map(|limb| u32::from_be_bytes([limb[0], limb[1], limb[2], limb[3]]))
            .collect();
        let residues = |group: &Group| {
            let mut sums = [0u64; GROUP];
            for (limb, weights) in limbs.iter().zip(&group.weights) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += u64::from(*limb) * u64::from(*weight);
                }
            }
            let mut out = [0; GROUP];
            for (i, out) in out.iter_mut().enumerate() {
                // Sums are below 2^52, so that the quotient is wrong by one at most.
                let prime = i64::from(group.primes[i]);
                let quotient = (sums[i] as f64 * group.inverses[i]) as i64;
                let mut rest = sums[i] as i64 - quotient * prime;
                rest += if rest < 0 { prime } else { 0 };
                rest -= if rest >= prime { prime } else { 0 };
                *out = rest as u32;
            }
            out
        };
        self.0.iter().map(residues).collect()
    }

    /// Whether one of the small primes divides the number.
    pub fn divides(&self, number: &UBig) -> bool {
        // Most fall to the first few; these need no pass over all.
        let first = number % UBig::from(FIRST.iter().map(|p| u64::from(*p)).product::<u64>());
        let first = u64::try_from(first).unwrap_or(0);
        FIRST.iter().any(|prime| first.is_multiple_of(u64::from(*prime)))
            || self.residues(&number.to_be_bytes()).as_flattened().contains(&0)
    }

    /// The next number to try as a prime: the first one from a random odd number on that has
    /// no odd factor among the small primes, and no more has the number below it.
    fn candidate(&self, random: &mut Generator, bits: usize) -> UBig {
        let bytes = number(random, bits, true);
        let mut residues = self.residues(&bytes);
        let (few, rest) = self.0.split_at(FEW);
        let mut steps = 0;
        loop {
            // The smallest primes mark what they exclude, every second number being looked at.
            let mut marked = [false; SPAN / 2];
            for (group, residues) in few.iter().zip(&residues) {
                for (prime, residue) in group.primes.iter().zip(residues) {
                    for bad in [prime - residue, prime - residue + 1] {
                        let step = if bad >= *prime { bad - prime } else { bad };
                        let mut at = (step + if step % 2 == 0 { 0 } else { *prime }) as usize / 2;
                        while at < SPAN / 2 {
                            marked[at] = true;
                            at += *prime as usize;
                        }
                    }
                }
            }
            for step in (0..SPAN / 2).filter(|at| !marked[*at]).map(|at| 2 * at) {
                let mut groups = rest.iter().zip(&residues[FEW..]);
                if groups.all(|(group, residues)| group.spares(residues, step as u32)) {
                    return UBig::from_be_bytes(&bytes) + UBig::from(steps + step);
                }
            }
            steps += SPAN;
            for (group, residues) in self.0.iter().zip(&mut residues) {
                for (prime, residue) in group.primes.iter().zip(residues) {
                    *residue = (*residue + SPAN as u32) % prime;
                }
            }
        }
    }

    /// A prime of 512 or 1,024 bits for an RSA key.
    ///
    /// A number that fails has cost one draw for the base of its one round, so `WIDE` of them
    /// can be taken in advance and looked at together; the first that holds is returned to.
    pub fn prime<const WIDE: usize>(&self, random: &mut Generator, bits: usize) -> UBig {
        let count = if bits >= 850 { 3 } else { 6 };
        loop {
            let mut after = Vec::with_capacity(WIDE);
            let candidates: [UBig; WIDE] = std::array::from_fn(|_| {
                let candidate = self.candidate(random, bits);
                after.push(random.clone());
                rounds(random, &candidate, 1);
                candidate
            });
            if let Some(first) = fermat(&candidates, bits).iter().position(|holds| *holds) {
                random.clone_from(&after[first]);
                rounds(random, &candidates[first], count);
                return candidates[first].clone();
            }
        }
    }
}

/// The odd ones among the first 2,048 primes.
const SMALL_PRIMES: usize = 2047;
const GROUP: usize = 8;
const LIMBS: usize = 32;
/// Numbers looked at at once; the primes after the first `FEW` groups are above it.
const SPAN: usize = 1024;
const FEW: usize = 22;
const FIRST: [u32; 15] = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53];
