//! A certificate request (PKCS #10, RFC 2986) without a name, for EST: the hub writes the names.

use crate::port::Failure;

/// Writes the request for a P-256 key. `sign` makes ECDSA with SHA-256 over what it is given, as
/// r || s. Returns how long it is.
///
/// # Errors
/// [`Failure::TooLarge`] for a buffer of less than [`MAX_LEN`] bytes; what `sign` says.
pub fn certificate_request(
    public_key: &[u8; 65],
    sign: impl FnOnce(&[u8], &mut [u8; 64]) -> Result<(), Failure>,
    out: &mut [u8],
) -> Result<usize, Failure> {
    let mut info = [0; INFO];
    info[..HEAD.len()].copy_from_slice(HEAD);
    info[HEAD.len()..HEAD.len() + 65].copy_from_slice(public_key);
    info[INFO - 2..].copy_from_slice(&[0xa0, 0]);
    let mut raw = [0; 64];
    sign(&info, &mut raw)?;
    let (r, s) = raw.split_at(32);
    let mut signature = [0; 72];
    let mut length = 2;
    for number in [r, s] {
        length += integer(number, signature.get_mut(length..).ok_or(Failure::TooLarge)?)?;
    }
    signature[..2].copy_from_slice(&[0x30, (length - 2) as u8]);
    let content = INFO + ECDSA_WITH_SHA256.len() + 3 + length;
    // Between 128 and 255 bytes.
    let head = [0x30, 0x81, content as u8];
    let bit_string = [0x03, (length + 1) as u8, 0];
    let parts: [&[u8]; 5] =
        [&head, &info, ECDSA_WITH_SHA256, &bit_string, signature.get(..length).unwrap_or(&[])];
    let mut end = 0;
    for part in parts {
        let place = out.get_mut(end..end + part.len()).ok_or(Failure::TooLarge)?;
        place.copy_from_slice(part);
        end += part.len();
    }
    Ok(end)
}

/// A positive INTEGER without leading zeros. Returns how long it is.
fn integer(number: &[u8], out: &mut [u8]) -> Result<usize, Failure> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count().min(number.len() - 1);
    let number = number.get(zeros..).unwrap_or(&[0]);
    let sign = usize::from(number.first().is_some_and(|byte| byte & 0x80 != 0));
    let length = sign + number.len();
    let place = out.get_mut(..2 + length).ok_or(Failure::TooLarge)?;
    place.fill(0);
    place[..2].copy_from_slice(&[0x02, length as u8]);
    place[2 + sign..].copy_from_slice(number);
    Ok(2 + length)
}

/// Bytes of a request at most.
pub const MAX_LEN: usize = 3 + INFO + 12 + 3 + 72;
const INFO: usize = HEAD.len() + 65 + 2;
/// CertificationRequestInfo: version 0, an empty name, id-ecPublicKey with prime256v1, and the
/// head of the key's bit string.
const HEAD: &[u8] = &[
    0x30, 0x62, 0x02, 0x01, 0x00, 0x30, 0x00, 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42,
    0x00,
];
const ECDSA_WITH_SHA256: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_positive_and_as_short_as_they_can_be() {
        let der = |number: &[u8]| {
            let mut out = [0; 40];
            let length = integer(number, &mut out).unwrap();
            out[..length].to_vec()
        };
        assert_eq!(der(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(der(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(der(&[0, 0]), [2, 1, 0]);
        assert_eq!(der(&[0x7f, 0]), [2, 2, 0x7f, 0]);
    }

    #[test]
    fn a_buffer_of_the_stated_size_suffices_and_a_smaller_one_is_refused() {
        let worst = |_: &[u8], out: &mut [u8; 64]| {
            out.fill(0xff);
            Ok(())
        };
        let mut out = [0; MAX_LEN];
        assert_eq!(certificate_request(&[4; 65], worst, &mut out), Ok(MAX_LEN));
        assert_eq!(
            certificate_request(&[4; 65], worst, &mut out[..MAX_LEN - 1]),
            Err(Failure::TooLarge)
        );
    }
}
