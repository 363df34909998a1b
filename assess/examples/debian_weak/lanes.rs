//! Fermat's test to base 2 for several numbers at once, each in a lane of its own.
//!
//! What fails is composite, so Miller-Rabin would have refused it too, but for a base drawn
//! that lies, which at these sizes does not happen. What passes and is composite would show
//! as a key that differs from all that were ever published.

use dashu_int::UBig;

/// For each number, odd and of exactly `bits` bits, whether 2^(n-1) is 1 modulo n.
pub fn fermat<const WIDE: usize>(numbers: &[UBig; WIDE], bits: usize) -> [bool; WIDE] {
    match bits {
        0..=160 => test::<6, WIDE>(numbers, bits),
        161..=512 => test::<19, WIDE>(numbers, bits),
        _ => test::<37, WIDE>(numbers, bits),
    }
}

/// One limb of each number.
///
/// Aligned as the cache is: a load that straddles two lines costs two.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lanes<const WIDE: usize>([u64; WIDE]);

/// Numbers side by side, lowest limb first.
type Limbs<const N: usize, const WIDE: usize> = [Lanes<WIDE>; N];

fn test<const N: usize, const WIDE: usize>(numbers: &[UBig; WIDE], bits: usize) -> [bool; WIDE] {
    let split = |values: &[UBig; WIDE]| -> Limbs<N, WIDE> {
        let mask = UBig::from(LOW);
        std::array::from_fn(|limb| {
            Lanes::of(|lane| u64::try_from((&values[lane] >> (limb * LIMB)) & &mask).unwrap_or(0))
        })
    };
    let modulus = split(numbers);
    // Newton's iteration doubles the bits that are right; three are from the start.
    let inverse = Lanes::of(|lane| {
        let n = modulus[0].0[lane];
        let inverse = (0..4).fold(n, |i, _| i.wrapping_mul(2u64.wrapping_sub(n.wrapping_mul(i))));
        inverse.wrapping_neg() & LOW
    });
    let one: [UBig; WIDE] = numbers.each_ref().map(|n| (UBig::ONE << (N * LIMB)) % n);
    let mut power = split(&std::array::from_fn(|lane| (&one[lane] << 1) % &numbers[lane]));
    let mut quotient = modulus;
    for bit in (0..bits - 1).rev() {
        // The exponent n - 1 has the bits of n but for the lowest.
        let limb = &modulus[bit / LIMB];
        let double = Lanes::of(|lane| limb.0[lane] >> (bit % LIMB) & u64::from(bit > 0));
        let last = power;
        square(&last, &modulus, inverse, double, &mut quotient, &mut power);
    }
    std::array::from_fn(|lane| {
        let limbs = power.iter().rev().map(|limb| UBig::from(limb.0[lane]));
        limbs.fold(UBig::ZERO, |sum, limb| (sum << LIMB) + limb) % &numbers[lane] == one[lane]
    })
}

/// Montgomery's product of `a` with itself, two columns at a time, shifted left by `double`.
///
/// So limbs of `a` may have one bit more than the rest; a column is then below 2^64 for up to
/// 37 limbs. The product is below twice the modulus, for which N limbs leave room.
#[inline(never)]
fn square<const N: usize, const WIDE: usize>(
    a: &Limbs<N, WIDE>,
    modulus: &Limbs<N, WIDE>,
    inverse: Lanes<WIDE>,
    double: Lanes<WIDE>,
    quotient: &mut Limbs<N, WIDE>,
    out: &mut Limbs<N, WIDE>,
) {
    let mut carry = Lanes([0; WIDE]);
    for column in (0..2 * N - 1).step_by(2) {
        let half = column / 2;
        let [even, mut odd, next] = columns(a, a, column, half);
        odd.add_product(&a[half], &next);
        let mut sums = [Lanes::of(|lane| 2 * even.0[lane]), Lanes::of(|lane| 2 * odd.0[lane])];
        sums[0].add_product(&a[half], &a[half]);

        let [even, odd, next] = columns(quotient, modulus, column, column.min(N));
        sums[0].add(&even);
        sums[1].add(&odd);
        for (at, mut sum) in sums.into_iter().enumerate() {
            let column = column + at;
            sum.add(&carry);
            if at == 1 && column <= N {
                sum.add_product(&quotient[column - 1], &next);
            }
            if column < N {
                let digit = |lane: usize| ((sum.0[lane] & LOW) * inverse.0[lane]) & LOW;
                quotient[column] = Lanes::of(digit);
                sum.add_product(&quotient[column], &modulus[0]);
            } else {
                out[column - N] = Lanes::of(|lane| (sum.0[lane] & LOW) << double.0[lane]);
            }
            carry = Lanes::of(|lane| sum.0[lane] >> LIMB);
        }
    }
}

/// In `column` of the product of `a` and `b`, and in the next one, the sum of what the limbs
/// of `a` before `last` give; and the limb of `b` that would come next in the second.
#[inline(always)]
fn columns<const N: usize, const WIDE: usize>(
    a: &Limbs<N, WIDE>,
    b: &Limbs<N, WIDE>,
    column: usize,
    last: usize,
) -> [Lanes<WIDE>; 3] {
    let zero = Lanes([0; WIDE]);
    let first = column.saturating_sub(N - 1);
    let (mut even, mut odd) = (zero, zero);
    let mut next = *b.get(column + 1 - first).unwrap_or(&zero);
    for (a, b) in a[first..last].iter().zip(b[column + 1 - last..=column - first].iter().rev()) {
        odd.add_product(a, &next);
        even.add_product(a, b);
        next = *b;
    }
    [even, odd, next]
}

impl<const WIDE: usize> Lanes<WIDE> {
    #[inline(always)]
    fn of(mut lane: impl FnMut(usize) -> u64) -> Self {
        let mut out = Self([0; WIDE]);
        for (at, value) in out.0.iter_mut().enumerate() {
            *value = lane(at);
        }
        out
    }

    #[inline(always)]
    fn add(&mut self, other: &Self) {
        for lane in 0..WIDE {
            self.0[lane] += other.0[lane];
        }
    }

    #[inline(always)]
    fn add_product(&mut self, a: &Self, b: &Self) {
        for lane in 0..WIDE {
            // The masks tell the compiler that half a register is enough.
            self.0[lane] += (a.0[lane] & HALF) * (b.0[lane] & HALF);
        }
    }
}

const LIMB: usize = 28;
const LOW: u64 = (1 << LIMB) - 1;
const HALF: u64 = u32::MAX as u64;
