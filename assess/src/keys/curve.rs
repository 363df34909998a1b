//! Public halves of private keys on curves for which the tree has no other code: short
//! Weierstrass curves (SEC 2, RFC 5639), X25519 and X448 (RFC 7748), Ed448 (RFC 8032).
//!
//! Nothing here is constant-time: the keys were found in a file, they are no secret any more.

use dashu_int::{
    UBig,
    fast_div::ConstDivisor,
    modular::Reduced,
    ops::{BitTest, Gcd},
};
use sha3::{
    Shake256,
    digest::{ExtendableOutput, Update, XofReader},
};

/// A short Weierstrass curve y² = x³ + ax + b over a prime field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weierstrass {
    /// Content of the object identifier.
    pub(super) oid: &'static [u8],
    /// In words, as [`super::der::Key::name`] has it.
    pub(super) name: &'static str,
    /// Size of the field in bits.
    pub(super) bits: u32,
    prime: &'static str,
    a: &'static str,
    x: &'static str,
    y: &'static str,
}

/// The curve with this object identifier.
pub(super) fn weierstrass(oid: &[u8]) -> Option<&'static Weierstrass> {
    CURVES.iter().find(|curve| curve.oid == oid)
}

impl Weierstrass {
    /// The uncompressed point of a private scalar; `None` for 0 and multiples of the order.
    pub(super) fn public(&self, scalar: &[u8]) -> Option<Vec<u8>> {
        let ring = ConstDivisor::new(number(self.prime));
        let scalar = UBig::from_be_bytes(scalar);
        if scalar == UBig::ZERO || scalar.bit_len() > self.bits as usize + 1 {
            return None;
        }
        let curve = Jacobian { a: ring.reduce(number(self.a)) };
        let base =
            (ring.reduce(number(self.x)), ring.reduce(number(self.y)), ring.reduce(UBig::ONE));
        let mut sum = base.clone();
        for bit in (0..scalar.bit_len() - 1).rev() {
            sum = curve.double(&sum);
            if scalar.bit(bit) {
                sum = curve.add(&sum, &base);
            }
        }
        let (x, y, z) = sum;
        let inverse = z.inv()?;
        let square = inverse.sqr();
        let width = self.bits.div_ceil(8) as usize;
        let mut out = vec![4];
        out.extend(big_endian(&(x * &square).residue(), width));
        out.extend(big_endian(&(y * square * inverse).residue(), width));
        Some(out)
    }
}

type Point<'a> = (Reduced<'a>, Reduced<'a>, Reduced<'a>);

/// Arithmetic in Jacobian coordinates (x/z², y/z³); the point at infinity has z = 0.
struct Jacobian<'a> {
    a: Reduced<'a>,
}

impl<'a> Jacobian<'a> {
    fn double(&self, (x, y, z): &Point<'a>) -> Point<'a> {
        let yy = y.sqr();
        let s = (x * &yy).dbl().dbl();
        let xx = x.sqr();
        let m = xx.clone().dbl() + xx + &self.a * z.sqr().sqr();
        let x3 = m.sqr() - s.clone().dbl();
        let y3 = m * (s - &x3) - yy.sqr().dbl().dbl().dbl();
        let z3 = (y * z).dbl();
        (x3, y3, z3)
    }

    fn add(&self, p: &Point<'a>, q: &Point<'a>) -> Point<'a> {
        if is_zero(&p.2) {
            return q.clone();
        }
        if is_zero(&q.2) {
            return p.clone();
        }
        let (z1, z2) = (p.2.sqr(), q.2.sqr());
        let (u1, u2) = (&p.0 * &z2, &q.0 * &z1);
        let (s1, s2) = (&p.1 * z2 * &q.2, &q.1 * z1 * &p.2);
        let (h, r) = (u2 - &u1, s2 - &s1);
        if is_zero(&h) && is_zero(&r) {
            return self.double(p);
        }
        let hh = h.sqr();
        let hhh = &hh * &h;
        let v = u1 * hh;
        let x3 = r.sqr() - &hhh - v.clone().dbl();
        let y3 = r * (v - &x3) - s1 * hhh;
        let z3 = &p.2 * &q.2 * h;
        (x3, y3, z3)
    }
}

/// X25519 of a private key and the base point (RFC 7748, section 5).
pub(super) fn x25519(private: &[u8; 32]) -> Vec<u8> {
    let mut scalar = *private;
    scalar[0] &= 248;
    scalar[31] = scalar[31] & 127 | 64;
    ladder(&((UBig::ONE << 255) - UBig::from(19u8)), 121_665, 9, &scalar)
}

/// X448 of a private key and the base point.
pub(super) fn x448(private: &[u8; 56]) -> Vec<u8> {
    let mut scalar = *private;
    scalar[0] &= 252;
    scalar[55] |= 128;
    ladder(&goldilocks(), 39_081, 5, &scalar)
}

fn ladder(prime: &UBig, a24: u32, base: u8, scalar: &[u8]) -> Vec<u8> {
    let ring = ConstDivisor::new(prime.clone());
    let scalar = UBig::from_le_bytes(scalar);
    let a24 = ring.reduce(a24);
    let x1 = ring.reduce(base);
    let one = ring.reduce(UBig::ONE);
    let (mut x2, mut z2) = (one.clone(), ring.reduce(UBig::ZERO));
    let (mut x3, mut z3) = (x1.clone(), one);
    for bit in (0..scalar.bit_len()).rev() {
        let swap = scalar.bit(bit);
        if swap {
            std::mem::swap(&mut x2, &mut x3);
            std::mem::swap(&mut z2, &mut z3);
        }
        let (a, b) = (&x2 + &z2, &x2 - &z2);
        let (aa, bb) = (a.sqr(), b.sqr());
        let e = &aa - &bb;
        let (da, cb) = ((&x3 - &z3) * a, (&x3 + &z3) * b);
        x3 = (&da + &cb).sqr();
        z3 = &x1 * (da - cb).sqr();
        x2 = &aa * bb;
        z2 = &e * (aa + &a24 * &e);
        if swap {
            std::mem::swap(&mut x2, &mut x3);
            std::mem::swap(&mut z2, &mut z3);
        }
    }
    let width = prime.bit_len().div_ceil(8);
    // Of a clamped scalar and this base the result is never the point of order 1.
    let result = z2.inv().map_or(UBig::ZERO, |inverse| (x2 * inverse).residue());
    little_endian(&result, width)
}

/// The Ed448 public key of a seed (RFC 8032, section 5.2.5).
pub(super) fn ed448(seed: &[u8; 57]) -> Vec<u8> {
    let mut hash = Shake256::default();
    hash.update(seed);
    let mut scalar = [0u8; 57];
    hash.finalize_xof().read(&mut scalar);
    scalar[0] &= 252;
    scalar[55] |= 128;
    scalar[56] = 0;
    let ring = ConstDivisor::new(goldilocks());
    let d = -ring.reduce(39_081u32);
    let scalar = UBig::from_le_bytes(&scalar);
    let base = (ring.reduce(number(ED448_X)), ring.reduce(number(ED448_Y)), ring.reduce(UBig::ONE));
    let mut sum = base.clone();
    for bit in (0..scalar.bit_len() - 1).rev() {
        sum = edwards_add(&d, &sum, &sum);
        if scalar.bit(bit) {
            sum = edwards_add(&d, &sum, &base);
        }
    }
    let (x, y, z) = sum;
    let Some(inverse) = z.inv() else { return vec![0; 57] };
    let mut out = little_endian(&(y * &inverse).residue(), 57);
    if (x * inverse).residue().bit(0) {
        out[56] |= 0x80;
    }
    out
}

/// Addition on x² + y² = 1 + dx²y², complete: it doubles too.
fn edwards_add<'a>(d: &Reduced<'a>, p: &Point<'a>, q: &Point<'a>) -> Point<'a> {
    let a = &p.2 * &q.2;
    let b = a.sqr();
    let (c, e) = (&p.0 * &q.0, &p.1 * &q.1);
    let f = d * &c * &e;
    let (minus, plus) = (&b - &f, b + f);
    let h = (&p.0 + &p.1) * (&q.0 + &q.1);
    let x = &a * &minus * (h - &c - &e);
    let y = a * &plus * (e - c);
    (x, y, minus * plus)
}

/// g^x mod p of a DSA key; `None` where the numbers are none of a DSA key.
pub(super) fn dsa_public(p: &[u8], g: &[u8], x: &[u8]) -> Option<Vec<u8>> {
    let prime = UBig::from_be_bytes(p);
    let g = UBig::from_be_bytes(g);
    // The bound keeps a forged key from costing more than a real one.
    let plausible =
        (512..=8192).contains(&prime.bit_len()) && x.len() <= 64 && (&prime).gcd(&g) == UBig::ONE;
    plausible.then(|| {
        let ring = ConstDivisor::new(prime);
        let y = ring.reduce(g).pow(&UBig::from_be_bytes(x)).residue();
        y.to_be_bytes().to_vec()
    })
}

fn is_zero(value: &Reduced<'_>) -> bool {
    value.residue() == UBig::ZERO
}

fn goldilocks() -> UBig {
    (UBig::ONE << 448) - (UBig::ONE << 224) - UBig::ONE
}

fn number(hex: &str) -> UBig {
    UBig::from_str_radix(hex, 16)
        .unwrap_or_else(|error| unreachable!("constants below are hexadecimal: {error}"))
}

fn big_endian(value: &UBig, width: usize) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let mut out = vec![0; width.saturating_sub(bytes.len())];
    out.extend_from_slice(&bytes);
    out
}

fn little_endian(value: &UBig, width: usize) -> Vec<u8> {
    let mut out = value.to_le_bytes().to_vec();
    out.resize(width, 0);
    out
}

/// Parameters as SEC 2 and RFC 5639 give them.
const CURVES: &[Weierstrass] = &[
    Weierstrass {
        oid: &[0x2b, 0x81, 4, 0, 35],
        name: "EC P-521",
        bits: 521,
        prime: "1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        a: "1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc",
        x: "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
        y: "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
    },
    Weierstrass {
        oid: &[0x2b, 0x81, 4, 0, 33],
        name: "EC P-224",
        bits: 224,
        prime: "ffffffffffffffffffffffffffffffff000000000000000000000001",
        a: "fffffffffffffffffffffffffffffffefffffffffffffffffffffffe",
        x: "b70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21",
        y: "bd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34",
    },
    Weierstrass {
        oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1],
        name: "EC P-192",
        bits: 192,
        prime: "fffffffffffffffffffffffffffffffeffffffffffffffff",
        a: "fffffffffffffffffffffffffffffffefffffffffffffffc",
        x: "188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012",
        y: "07192b95ffc8da78631011ed6b24cdd573f977a11e794811",
    },
    Weierstrass {
        oid: &[0x2b, 0x81, 4, 0, 10],
        name: "EC secp256k1",
        bits: 256,
        prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
        a: "0",
        x: "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        y: "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
    },
    Weierstrass {
        oid: &[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7],
        name: "EC brainpoolP256r1",
        bits: 256,
        prime: "a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377",
        a: "7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9",
        x: "8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262",
        y: "547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997",
    },
    Weierstrass {
        oid: &[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11],
        name: "EC brainpoolP384r1",
        bits: 384,
        prime: "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53",
        a: "7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826",
        x: "1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1e",
        y: "8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315",
    },
    Weierstrass {
        oid: &[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 13],
        name: "EC brainpoolP512r1",
        bits: 512,
        prime: "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3",
        a: "7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94ca",
        x: "81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047406a5e688b352209bcb9f822",
        y: "7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892",
    },
];

const ED448_X: &str = "4f1970c66bed0ded221d15a622bf36da9e146570470f1767ea6de324a3d3a46412ae1af72ab66511433b80e18b00938e2626a82bc70cc05e";
const ED448_Y: &str = "693f46716eb6bc248876203756c9c7624bea73736ca3984087789c1e05a0c2d73ad3ff1ce67c39c4fdbd132c4ed7c8ad9808795bf230fa14";
