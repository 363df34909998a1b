//! Weak RSA keys: common primes (batch GCD after Bernstein), ROCA (CVE-2017-15361), primes
//! close together (Fermat), small factors.

use dashu_int::{
    UBig,
    ops::{BitTest, Gcd, SquareRoot},
};

/// For each modulus, the factor that it shares with another one.
///
/// Product and remainder trees: near-linear in the total size. Moduli must be distinct.
#[must_use]
pub fn batch_gcd(moduli: &[UBig]) -> Vec<Option<UBig>> {
    if moduli.len() < 2 {
        return vec![None; moduli.len()];
    }
    let mut levels: Vec<Vec<UBig>> = vec![moduli.to_vec()];
    while let Some(last) = levels.last().filter(|l| l.len() > 1) {
        let next = last
            .chunks(2)
            .map(|pair| match pair {
                [a, b] => a * b,
                _ => pair[0].clone(),
            })
            .collect();
        levels.push(next);
    }
    // Remainders of the product modulo the squares, from the root down.
    let mut remainders = levels.pop().unwrap_or_default();
    while let Some(level) = levels.pop() {
        remainders = level
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let square = value.sqr();
                &remainders[index / 2] % &square
            })
            .collect();
    }
    moduli
        .iter()
        .zip(remainders)
        .map(|(modulus, remainder)| {
            let common = (remainder / modulus).gcd(modulus);
            (common > UBig::ONE).then_some(common)
        })
        .collect()
}

/// Whether the modulus has the structure that one faulty library gave its keys.
#[must_use]
pub fn is_roca(modulus: &UBig) -> bool {
    // Primes of that kind are powers of 65537 modulo every small prime, so the modulus is too.
    ROCA_PRIMES.iter().all(|&prime| {
        let residue = u64::try_from(modulus % UBig::from(prime)).unwrap_or(0);
        let mut power = 1u64;
        for _ in 0..prime {
            if power == residue {
                return true;
            }
            power = power * (65537 % prime) % prime;
        }
        false
    })
}

/// Whether Fermat's method splits the modulus in a few steps.
#[must_use]
pub fn close_primes(modulus: &UBig) -> bool {
    if !modulus.bit(0) {
        return false;
    }
    let mut a = modulus.sqrt();
    if a.sqr() < *modulus {
        a += UBig::ONE;
    }
    for _ in 0..FERMAT_STEPS {
        let rest = a.sqr() - modulus;
        let root = rest.sqrt();
        if root.sqr() == rest {
            return true;
        }
        a += UBig::ONE;
    }
    false
}

/// The smallest prime factor below 2^16, if there is one.
#[must_use]
pub fn small_factor(modulus: &UBig) -> Option<u32> {
    // One division of the big number for many small ones: reduce by their products first.
    let mut batch = Vec::with_capacity(4);
    let mut product = 1u64;
    let mut number = 2u32;
    while number < 1 << 16 {
        let is_prime = (2..).take_while(|d| d * d <= number).all(|d| !number.is_multiple_of(d));
        if is_prime {
            if product.checked_mul(u64::from(number)).is_none() {
                if let Some(found) = divide(modulus, product, &batch) {
                    return Some(found);
                }
                batch.clear();
                product = 1;
            }
            product *= u64::from(number);
            batch.push(number);
        }
        number += if number == 2 { 1 } else { 2 };
        // Damage shows in the first primes; the long tail is not worth its time.
        if number > SMALL_LIMIT {
            break;
        }
    }
    divide(modulus, product, &batch)
}

fn divide(modulus: &UBig, product: u64, primes: &[u32]) -> Option<u32> {
    let rest = u64::try_from(modulus % UBig::from(product)).unwrap_or(1);
    primes.iter().copied().find(|p| rest.is_multiple_of(u64::from(*p)))
}

const FERMAT_STEPS: u32 = 100;
const SMALL_LIMIT: u32 = 4096;
/// Primes modulo which 65537 does not generate everything.
const ROCA_PRIMES: &[u64] =
    &[11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

#[cfg(test)]
mod tests {
    use super::*;

    fn big(text: &str) -> UBig {
        UBig::from_str_radix(text, 10).unwrap()
    }

    fn next_prime(mut n: u64) -> u64 {
        while !(2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d)) {
            n += 1;
        }
        n
    }

    #[test]
    fn moduli_that_share_a_prime_are_found_and_others_are_not() {
        let primes: Vec<u64> = (1..9).map(|i| next_prime(i * 1_000_003)).collect();
        let moduli: Vec<UBig> = [(0, 1), (2, 3), (4, 5), (6, 1), (7, 7)]
            .iter()
            .map(|(a, b)| UBig::from(primes[*a]) * UBig::from(primes[*b]))
            .collect();
        let found = batch_gcd(&moduli);
        assert_eq!(found[0], Some(UBig::from(primes[1])));
        assert_eq!(found[3], Some(UBig::from(primes[1])));
        assert!(found[1].is_none() && found[2].is_none() && found[4].is_none());
    }

    #[test]
    fn close_primes_fall_and_distant_ones_do_not() {
        let p = big("170141183460469231731687303715884105727");
        let q = big("170141183460469231731687303715884105757");
        assert!(close_primes(&(&p * &q)));
        let far = big("2305843009213693951");
        assert!(!close_primes(&(&p * far)));
    }

    #[test]
    fn the_mark_of_roca_is_seen() {
        // Built as the faulty library did: powers of 65537 modulo the primorial.
        let primorial: UBig = ROCA_PRIMES.iter().map(|p| UBig::from(*p)).product();
        let mut power = UBig::ONE;
        for _ in 0..12345 {
            power = power * UBig::from(65537u32) % &primorial;
        }
        assert!(is_roca(&(power + primorial * UBig::from(77u8))));
        assert!(!is_roca(&big("170141183460469231731687303715884105727")));
    }

    #[test]
    fn a_small_factor_is_named() {
        let p = big("170141183460469231731687303715884105727");
        assert_eq!(small_factor(&(&p * UBig::from(641u32))), Some(641));
        assert_eq!(small_factor(&p), None);
    }
}
