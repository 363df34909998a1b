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
        let mut difference = *self;
        !difference.combine(other, u32::MAX)
    }

    pub(crate) fn bit(&self, index: usize) -> bool {
        self.0.get(index / 32).is_some_and(|word| word >> (index % 32) & 1 == 1)
    }

    /// Adds the other or, where `flip` is all ones, subtracts it, modulo 2^256. True for a carry, or
    /// for no borrow.
    #[inline(never)]
    fn combine(&mut self, other: &Self, flip: u32) -> bool {
        let mut carry = u64::from(flip & 1);
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            carry += u64::from(*a) + u64::from(*b ^ flip);
            *a = carry as u32;
            carry >>= 32;
        }
        carry != 0
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
        self.product(a, &self.square)
    }

    /// Out of Montgomery form.
    pub(crate) fn leave(&self, a: &Fe) -> Fe {
        self.product(a, &Fe([1, 0, 0, 0, 0, 0, 0, 0]))
    }

    /// `a` modulo the modulus, for any 256-bit `a`.
    pub(crate) fn reduce_once(&self, a: &Fe) -> Fe {
        let mut a = *a;
        self.below(&mut a, false);
        a
    }

    pub(crate) fn add(&self, a: &mut Fe, b: &Fe) {
        let carry = a.combine(b, 0);
        self.below(a, carry);
    }

    pub(crate) fn subtract(&self, a: &mut Fe, b: &Fe) {
        if !a.combine(b, u32::MAX) {
            a.combine(&self.modulus, 0);
        }
    }

    /// Montgomery product a * b / R, in place of `a`.
    #[inline(never)]
    pub(crate) fn multiply(&self, a: &mut Fe, b: &Fe) {
        let top = p256_product::montgomery(&mut a.0, &b.0, &self.modulus.0, self.negative_inverse);
        self.below(a, top != 0);
    }

    /// The same, elsewhere.
    #[inline(never)]
    pub(crate) fn product(&self, a: &Fe, b: &Fe) -> Fe {
        let mut a = *a;
        self.multiply(&mut a, b);
        a
    }

    /// `a`, with a bit above it or not, less the modulus where it is not below.
    #[inline(never)]
    fn below(&self, a: &mut Fe, above: bool) {
        if !a.combine(&self.modulus, u32::MAX) && !above {
            a.combine(&self.modulus, 0);
        }
    }

    /// 1 / a by Fermat's little theorem, in Montgomery form; zero for zero.
    #[inline(never)]
    pub(crate) fn invert(&self, a: &Fe) -> Fe {
        // Both moduli are odd and end in more than two: the lowest word does not borrow.
        let mut exponent = self.modulus;
        exponent.0[0] -= 2;
        let mut result = self.one;
        for index in (0..256).rev() {
            let same = result;
            self.multiply(&mut result, &same);
            if exponent.bit(index) {
                self.multiply(&mut result, a);
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
            let same = a;
            m.add(&mut a, &same);
        }
        assert!(a == m.one);
        for _ in 0..256 {
            let same = a;
            m.add(&mut a, &same);
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
            assert!(m.product(&a, &m.invert(&a)) == m.one);
            assert!(m.invert(&Fe::ZERO) == Fe::ZERO);
        }
    }
}
