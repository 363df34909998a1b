//! Arithmetic modulo the field prime and the group order, in Montgomery form with R = 2^256.

/// 256 bits, least significant word first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fe(pub(crate) [u32; 8]);

impl Fe {
    pub(crate) const ZERO: Self = Self([0; 8]);

    pub(crate) fn from_be(bytes: &[u8; 32]) -> Self {
        let mut words = [0; 8];
        let (chunks, _) = bytes.as_chunks::<4>();
        for (word, chunk) in words.iter_mut().rev().zip(chunks) {
            *word = u32::from_be_bytes(*chunk);
        }
        Self(words)
    }

    pub(crate) fn to_be(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (chunks, _) = bytes.as_chunks_mut::<4>();
        for (chunk, word) in chunks.iter_mut().zip(self.0.iter().rev()) {
            *chunk = word.to_be_bytes();
        }
        bytes
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().fold(0, |all, word| all | word) == 0
    }

    pub(crate) fn less_than(&self, other: &Self) -> bool {
        self.minus(other).1
    }

    pub(crate) fn bit(&self, index: usize) -> bool {
        self.0.get(index / 32).is_some_and(|word| word >> (index % 32) & 1 == 1)
    }

    /// The difference modulo 2^256, and whether it borrowed.
    fn minus(&self, other: &Self) -> (Self, bool) {
        let mut out = [0; 8];
        let borrow = p256_product::subtract(&mut out, &self.0, &other.0);
        (Self(out), borrow != 0)
    }

    /// The sum modulo 2^256, and whether it carried.
    fn plus(&self, other: &Self) -> (Self, bool) {
        let mut out = [0; 8];
        let carry = p256_product::add(&mut out, &self.0, &other.0);
        (Self(out), carry != 0)
    }
}

/// A prime modulus above 2^255 and what Montgomery multiplication needs to know of it.
pub(crate) struct Modulus {
    pub(crate) modulus: Fe,
    /// -modulus^-1 modulo 2^32.
    negative_inverse: u32,
    /// R modulo the modulus: one, in Montgomery form.
    pub(crate) one: Fe,
    /// R^2 modulo the modulus.
    square: Fe,
}

impl Modulus {
    /// Into Montgomery form.
    pub(crate) fn enter(&self, a: &Fe) -> Fe {
        self.multiply(a, &self.square)
    }

    /// Out of Montgomery form.
    pub(crate) fn leave(&self, a: &Fe) -> Fe {
        self.multiply(a, &Fe([1, 0, 0, 0, 0, 0, 0, 0]))
    }

    /// `a` modulo the modulus, for any 256-bit `a`.
    pub(crate) fn reduce_once(&self, a: &Fe) -> Fe {
        self.below(a, false)
    }

    #[inline(never)]
    pub(crate) fn add(&self, a: &Fe, b: &Fe) -> Fe {
        let (sum, carry) = a.plus(b);
        self.below(&sum, carry)
    }

    #[inline(never)]
    pub(crate) fn subtract(&self, a: &Fe, b: &Fe) -> Fe {
        let (difference, borrow) = a.minus(b);
        if borrow { difference.plus(&self.modulus).0 } else { difference }
    }

    /// Montgomery product a * b / R.
    #[inline(never)]
    pub(crate) fn multiply(&self, a: &Fe, b: &Fe) -> Fe {
        let mut t = [0; 8];
        let m = &self.modulus.0;
        let top = p256_product::montgomery(&mut t, &a.0, &b.0, m, self.negative_inverse);
        self.below(&Fe(t), top != 0)
    }

    /// `a`, with a bit above it or not, less the modulus where it is not below.
    fn below(&self, a: &Fe, above: bool) -> Fe {
        let (less, borrow) = a.minus(&self.modulus);
        if above || !borrow { less } else { *a }
    }

    /// 1 / a by Fermat's little theorem, in Montgomery form; zero for zero.
    #[inline(never)]
    pub(crate) fn invert(&self, a: &Fe) -> Fe {
        // Both moduli are odd and end in more than two: the lowest word does not borrow.
        let mut exponent = self.modulus;
        exponent.0[0] -= 2;
        let mut result = self.one;
        for index in (0..256).rev() {
            result = self.multiply(&result, &result);
            if exponent.bit(index) {
                result = self.multiply(&result, a);
            }
        }
        result
    }
}

/// The field: p = 2^256 - 2^224 + 2^192 + 2^96 - 1.
pub(crate) static P: Modulus = Modulus {
    modulus: Fe([0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0, 0, 0, 1, 0xffff_ffff]),
    negative_inverse: 1,
    one: Fe([1, 0, 0, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_fffe, 0]),
    square: Fe([3, 0, 0xffff_ffff, 0xffff_fffb, 0xffff_fffe, 0xffff_ffff, 0xffff_fffd, 4]),
};

/// The order of the group.
pub(crate) static N: Modulus = Modulus {
    modulus: Fe([
        0xfc63_2551,
        0xf3b9_cac2,
        0xa717_9e84,
        0xbce6_faad,
        0xffff_ffff,
        0xffff_ffff,
        0,
        0xffff_ffff,
    ]),
    negative_inverse: 0xee00_bc4f,
    one: Fe([0x039c_daaf, 0x0c46_353d, 0x58e8_617b, 0x4319_0552, 0, 0, 0xffff_ffff, 0]),
    square: Fe([
        0xbe79_eea2,
        0x8324_4c95,
        0x49bd_6fa6,
        0x4699_799c,
        0x2b6b_ec59,
        0x2845_b239,
        0xf3d9_5620,
        0x66e1_2d94,
    ]),
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubling one 256 times modulo m gives R, 256 times more R^2: the constants are derived
    /// here a second time, without multiplication.
    fn constants(m: &Modulus) {
        let mut a = Fe([1, 0, 0, 0, 0, 0, 0, 0]);
        for _ in 0..256 {
            a = m.add(&a, &a);
        }
        assert!(a == m.one);
        for _ in 0..256 {
            a = m.add(&a, &a);
        }
        assert!(a == m.square);
        assert_eq!(m.modulus.0[0].wrapping_mul(m.negative_inverse), u32::MAX);
    }

    #[test]
    fn constants_follow_from_the_moduli() {
        constants(&P);
        constants(&N);
    }

    #[test]
    fn inverse_times_itself_is_one() {
        for m in [&P, &N] {
            let a = m.enter(&Fe([7, 1, 9, 0, 0xffff_ffff, 3, 2, 1]));
            assert!(m.multiply(&a, &m.invert(&a)) == m.one);
            assert!(m.invert(&Fe::ZERO) == Fe::ZERO);
        }
    }
}
