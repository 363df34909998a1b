//! Montgomery multiplication. A crate of its own because optimisation for speed is chosen by
//! crate: nine tenths of a verification happen here, and nothing else is worth its bytes.

#![no_std]
#![forbid(unsafe_code)]

/// Turns `a` into a * b / 2^256 modulo `m`, below 2^256 but not always below `m`; gives the bit
/// above, which is set when it is not below 2^256. Words are least significant first.
///
/// Coarsely integrated operand scanning; `negative_inverse` is -m^-1 modulo 2^32.
#[inline(never)]
pub fn montgomery(a: &mut [u32; 8], b: &[u32; 8], m: &[u32; 8], negative_inverse: u32) -> u32 {
    let mut t = [0u32; 8];
    let mut top = 0u32;
    for &b in b {
        let mut carry = 0u64;
        for (t, &a) in t.iter_mut().zip(a.iter()) {
            carry += u64::from(*t) + u64::from(a) * u64::from(b);
            *t = carry as u32;
            carry >>= 32;
        }
        carry += u64::from(top);
        let (high, higher) = (carry as u32, (carry >> 32) as u32);

        let k = t[0].wrapping_mul(negative_inverse);
        let mut carry = (u64::from(t[0]) + u64::from(k) * u64::from(m[0])) >> 32;
        for j in 1..8 {
            carry += u64::from(t[j]) + u64::from(k) * u64::from(m[j]);
            t[j - 1] = carry as u32;
            carry >>= 32;
        }
        carry += u64::from(high);
        t[7] = carry as u32;
        top = higher + (carry >> 32) as u32;
    }
    *a = t;
    top
}
