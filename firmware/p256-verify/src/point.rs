//! Points in Jacobian coordinates: (X, Y, Z) stands for (X / Z^2, Y / Z^3), Z = 0 for infinity.

use crate::field::{Fe, P};

#[derive(Clone, Copy)]
pub(crate) struct Point {
    x: Fe,
    y: Fe,
    z: Fe,
}

impl Point {
    const INFINITY: Self = Self { x: Fe::ZERO, y: Fe::ZERO, z: Fe::ZERO };

    pub(crate) fn affine(x: &Fe, y: &Fe) -> Self {
        Self { x: *x, y: *y, z: P.one }
    }

    /// The affine x coordinate, out of Montgomery form; `None` at infinity.
    pub(crate) fn affine_x(&self) -> Option<Fe> {
        if self.z.is_zero() {
            return None;
        }
        let inverse = P.invert(&P.multiply(&self.z, &self.z));
        Some(P.leave(&P.multiply(&self.x, &inverse)))
    }

    /// 2 * self, for a = -3 (formulas dbl-2001-b). Infinity stays infinity: Z3 = 2YZ.
    #[inline(never)]
    fn double(&mut self) {
        let delta = P.multiply(&self.z, &self.z);
        let gamma = P.multiply(&self.y, &self.y);
        let beta = P.multiply(&self.x, &gamma);
        let alpha = P.multiply(&P.subtract(&self.x, &delta), &P.add(&self.x, &delta));
        let alpha = P.add(&P.add(&alpha, &alpha), &alpha);
        let beta2 = P.add(&beta, &beta);
        let beta4 = P.add(&beta2, &beta2);
        let beta8 = P.add(&beta4, &beta4);
        let yz = P.multiply(&self.y, &self.z);
        let gamma2 = P.multiply(&gamma, &gamma);
        let gamma2 = P.add(&gamma2, &gamma2);
        let gamma4 = P.add(&gamma2, &gamma2);
        let gamma8 = P.add(&gamma4, &gamma4);
        self.x = P.subtract(&P.multiply(&alpha, &alpha), &beta8);
        self.y = P.subtract(&P.multiply(&alpha, &P.subtract(&beta4, &self.x)), &gamma8);
        self.z = P.add(&yz, &yz);
    }

    /// self + other, every case included. Costs 11 products where `other` is affine, else 16.
    #[inline(never)]
    fn add(&mut self, other: &Self) {
        if other.z.is_zero() {
            return;
        }
        if self.z.is_zero() {
            *self = *other;
            return;
        }
        let mut z = self.z;
        let (mut u1, mut s1) = (self.x, self.y);
        if other.z != P.one {
            let z2z2 = P.multiply(&other.z, &other.z);
            u1 = P.multiply(&u1, &z2z2);
            s1 = P.multiply(&s1, &P.multiply(&z2z2, &other.z));
            z = P.multiply(&z, &other.z);
        }
        let z1z1 = P.multiply(&self.z, &self.z);
        let u2 = P.multiply(&other.x, &z1z1);
        let s2 = P.multiply(&other.y, &P.multiply(&z1z1, &self.z));
        let h = P.subtract(&u2, &u1);
        let r = P.subtract(&s2, &s1);
        if h.is_zero() {
            if r.is_zero() {
                self.double();
            } else {
                *self = Self::INFINITY;
            }
            return;
        }
        let hh = P.multiply(&h, &h);
        let hhh = P.multiply(&hh, &h);
        let v = P.multiply(&u1, &hh);
        let rr = P.multiply(&r, &r);
        self.x = P.subtract(&P.subtract(&rr, &hhh), &P.add(&v, &v));
        self.y = P.subtract(&P.multiply(&r, &P.subtract(&v, &self.x)), &P.multiply(&s1, &hhh));
        self.z = P.multiply(&z, &h);
    }
}

/// y^2 = x^3 - 3x + b, coordinates in Montgomery form.
pub(crate) fn on_curve(x: &Fe, y: &Fe) -> bool {
    let xx = P.multiply(x, x);
    let three = P.add(&P.add(&P.one, &P.one), &P.one);
    let right = P.add(&P.multiply(&P.subtract(&xx, &three), x), &P.enter(&B));
    P.multiply(y, y) == right
}

/// u1 * G + u2 * Q by Shamir's trick: one pass over the bits of both.
pub(crate) fn multiply_add(u1: &Fe, u2: &Fe, q: &Point) -> Point {
    let g = Point::affine(&P.enter(&GX), &P.enter(&GY));
    let mut both = g;
    both.add(q);
    let mut sum = Point::INFINITY;
    for index in (0..256).rev() {
        sum.double();
        match (u1.bit(index), u2.bit(index)) {
            (true, true) => sum.add(&both),
            (true, false) => sum.add(&g),
            (false, true) => sum.add(q),
            (false, false) => {}
        }
    }
    sum
}

const B: Fe = Fe([
    0x27d2_604b,
    0x3bce_3c3e,
    0xcc53_b0f6,
    0x651d_06b0,
    0x7698_86bc,
    0xb3eb_bd55,
    0xaa3a_93e7,
    0x5ac6_35d8,
]);
const GX: Fe = Fe([
    0xd898_c296,
    0xf4a1_3945,
    0x2deb_33a0,
    0x7703_7d81,
    0x63a4_40f2,
    0xf8bc_e6e5,
    0xe12c_4247,
    0x6b17_d1f2,
]);
const GY: Fe = Fe([
    0x37bf_51f5,
    0xcbb6_4068,
    0x6b31_5ece,
    0x2bce_3357,
    0x7c0f_9e16,
    0x8ee7_eb4a,
    0xfe1a_7f9b,
    0x4fe3_42e2,
]);
