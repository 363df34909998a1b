//! Points in Jacobian coordinates: (X, Y, Z) stands for (X / Z^2, Y / Z^3), Z = 0 for infinity.
//!
//! The formulas are programs for a small machine with sixteen registers: a fifth of the flash that
//! as many calls take.

use crate::field::{Fe, P};

/// X, Y and Z, in Montgomery form.
pub(crate) type Point = [Fe; 3];

const INFINITY: Point = [Fe::ZERO; 3];

/// Registers: 0 to 2 the point that is worked on, 3 to 5 another, the rest for steps between.
struct Machine {
    registers: [Fe; 16],
}

impl Machine {
    fn new() -> Self {
        Self { registers: [Fe::ZERO; 16] }
    }

    #[inline(never)]
    fn load(&mut self, at: usize, point: &Point) {
        for (to, from) in self.registers.iter_mut().skip(at).zip(point) {
            *to = *from;
        }
    }

    /// Carries out a program: each step names an operation, the register of its result, and those
    /// of its two operands, four bits each.
    #[inline(never)]
    fn run(&mut self, program: &[u16]) {
        for step in program {
            let register = |shift: u32| usize::from(step >> shift & 15);
            let mut value = self.registers[register(4)];
            let other = &self.registers[register(0)];
            match step >> 12 {
                0 => P.multiply(&mut value, other),
                1 => P.add(&mut value, other),
                _ => P.subtract(&mut value, other),
            }
            self.registers[register(8)] = value;
        }
    }

    /// Point + other, every case included. Costs 11 products where the other is affine, else 16.
    #[inline(never)]
    fn add(&mut self, other: &Point) {
        self.load(3, other);
        let [x, y, z, _, _, other_z, ..] = &self.registers;
        if other_z.is_zero() {
            return;
        }
        if z.is_zero() {
            return self.load(0, other);
        }
        let affine = *other_z == P.one;
        let own = [*x, *y, *z];
        self.load(6, &own);
        if !affine {
            self.run(&SCALE);
        }
        self.run(&COMPARE);
        let [.., h, r, _, _, _, _] = &self.registers;
        if !h.is_zero() {
            self.run(&ADD);
        } else if r.is_zero() {
            self.run(&DOUBLE);
        } else {
            self.load(0, &INFINITY);
        }
    }
}

const fn mul(to: u16, a: u16, b: u16) -> u16 {
    to << 8 | a << 4 | b
}

const fn add(to: u16, a: u16, b: u16) -> u16 {
    1 << 12 | mul(to, a, b)
}

const fn sub(to: u16, a: u16, b: u16) -> u16 {
    2 << 12 | mul(to, a, b)
}

/// 2 * point, for a = -3 (formulas dbl-2001-b). Infinity stays infinity: Z3 = 2YZ.
static DOUBLE: [u16; 22] = [
    mul(6, 2, 2), // delta = Z^2
    mul(7, 1, 1), // gamma = Y^2
    mul(8, 0, 7), // beta = X gamma
    sub(9, 0, 6),
    add(10, 0, 6),
    mul(9, 9, 10),
    add(10, 9, 9),
    add(9, 10, 9), // alpha = 3 (X - delta) (X + delta)
    add(8, 8, 8),
    add(8, 8, 8),  // 4 beta
    add(10, 8, 8), // 8 beta
    mul(2, 1, 2),
    add(2, 2, 2), // Z3 = 2YZ
    mul(0, 9, 9),
    sub(0, 0, 10), // X3 = alpha^2 - 8 beta
    mul(7, 7, 7),
    add(7, 7, 7),
    add(7, 7, 7),
    add(7, 7, 7), // 8 gamma^2
    sub(8, 8, 0),
    mul(8, 9, 8),
    sub(1, 8, 7), // Y3 = alpha (4 beta - X3) - 8 gamma^2
];

/// U1, S1 and Z1, in 6 to 8, brought to the other's Z.
static SCALE: [u16; 5] = [mul(9, 5, 5), mul(6, 6, 9), mul(9, 9, 5), mul(7, 7, 9), mul(8, 8, 5)];

/// H = U2 - U1 in 10, R = S2 - S1 in 11.
static COMPARE: [u16; 6] =
    [mul(9, 2, 2), mul(10, 3, 9), mul(11, 9, 2), mul(11, 4, 11), sub(10, 10, 6), sub(11, 11, 7)];

/// The sum of two points with different x.
static ADD: [u16; 12] = [
    mul(9, 10, 10), // H^2
    mul(12, 9, 10), // H^3
    mul(9, 6, 9),   // V = U1 H^2
    mul(0, 11, 11),
    sub(0, 0, 12),
    add(13, 9, 9),
    sub(0, 0, 13), // X3 = R^2 - H^3 - 2V
    sub(9, 9, 0),
    mul(9, 11, 9),
    mul(12, 7, 12),
    sub(1, 9, 12), // Y3 = R (V - X3) - S1 H^3
    mul(2, 8, 10), // Z3 = Z1 Z2 H
];

/// x^3 - 3x + b in 6, y^2 in 7; 2 holds one, 3 holds b.
static CURVE: [u16; 7] = [
    mul(6, 0, 0),
    add(7, 2, 2),
    add(7, 7, 2),
    sub(6, 6, 7),
    mul(6, 6, 0),
    add(6, 6, 3),
    mul(7, 1, 1),
];

/// y^2 = x^3 - 3x + b, coordinates in Montgomery form.
pub(crate) fn on_curve(point: &Point) -> bool {
    let mut machine = Machine::new();
    machine.load(0, point);
    machine.load(3, &[B, Fe::ZERO, Fe::ZERO]);
    machine.run(&CURVE);
    let [_, _, _, _, _, _, right, left, ..] = &machine.registers;
    left == right
}

/// The affine x coordinate of u1 * G + u2 * Q, out of Montgomery form; `None` at infinity. Shamir's
/// trick: one pass over the bits of both.
pub(crate) fn multiply_add(u1: &Fe, u2: &Fe, q: &Point) -> Option<Fe> {
    let mut machine = Machine::new();
    machine.load(0, &G);
    machine.add(q);
    let [x, y, z, ..] = &machine.registers;
    let both = [*x, *y, *z];
    machine.load(0, &INFINITY);
    for index in (0..256).rev() {
        machine.run(&DOUBLE);
        match (u1.bit(index), u2.bit(index)) {
            (true, true) => machine.add(&both),
            (true, false) => machine.add(&G),
            (false, true) => machine.add(q),
            (false, false) => {}
        }
    }
    let [x, _, z, ..] = &machine.registers;
    if z.is_zero() {
        return None;
    }
    let inverse = P.invert(&P.product(z, z));
    Some(P.leave(&P.product(x, &inverse)))
}

/// b, and the generator, in Montgomery form.
const B: Fe = Fe([
    0x29c4_bddf,
    0xd89c_df62,
    0x7884_3090,
    0xacf0_05cd,
    0xf721_2ed6,
    0xe5a2_20ab,
    0x0487_4834,
    0xdc30_061d,
]);
static G: Point = [
    Fe([
        0x18a9_143c,
        0x79e7_30d4,
        0x5fed_b601,
        0x75ba_95fc,
        0x7762_2510,
        0x79fb_732b,
        0xa537_55c6,
        0x1890_5f76,
    ]),
    Fe([
        0xce95_560a,
        0xddf2_5357,
        0xba19_e45c,
        0x8b4a_b8e4,
        0xdd21_f325,
        0xd2e8_8688,
        0x2588_5d85,
        0x8571_ff18,
    ]),
    Fe([1, 0, 0, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_fffe, 0]),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The first words of the constants as FIPS 186-5 prints them.
    #[test]
    fn constants_are_those_of_the_standard() {
        let [x, y, one] = &G;
        for (fe, high, low) in [
            (&B, 0x5ac6_35d8, 0x27d2_604b),
            (x, 0x6b17_d1f2, 0xd898_c296),
            (y, 0x4fe3_42e2, 0x37bf_51f5),
            (one, 0, 1),
        ] {
            let plain = P.leave(fe).0;
            assert_eq!((plain[7], plain[0]), (high, low));
        }
        assert!(on_curve(&G));
    }
}
