use std::fmt;

use aws_lc_rs::rand;

use crate::{CrlPolicy, Error};

/// A certificate's serial number: big-endian, at most 20 bytes, no leading zero.
///
/// Those made here are 18 bytes: a fixed first byte, two bytes that name the CRL shard, and 120
/// random bits (RFC 5280, section 4.1.2.2). So the shard of a certificate never changes and needs
/// no record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber(Vec<u8>);

impl SerialNumber {
    /// A serial number read from a certificate or a database.
    pub fn from_bytes(bytes: &[u8]) -> Result<SerialNumber, Error> {
        let leading = bytes.iter().take_while(|byte| **byte == 0).count();
        let trimmed = &bytes[leading..];
        if trimmed.is_empty() || trimmed.len() > MAX_BYTES {
            return Err(Error::malformed("serial number")("not of 1 to 20 bytes"));
        }
        Ok(SerialNumber(trimmed.to_vec()))
    }

    /// A fresh one; `first` and `shards` say which CRL shards its issuer has.
    pub(crate) fn random(first: u16, shards: u16) -> Result<SerialNumber, Error> {
        let mut bytes = [0; MADE_BYTES];
        rand::fill(&mut bytes).map_err(|_| Error::Signer("no randomness".into()))?;
        let chosen = u16::from_be_bytes([bytes[1], bytes[2]]) % shards.max(1);
        let shard = first.saturating_add(chosen);
        bytes[0] = FIRST_BYTE;
        bytes[1..3].copy_from_slice(&shard.to_be_bytes());
        Ok(SerialNumber(bytes.to_vec()))
    }

    /// Big-endian, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where the serial numbers of a shard other than 0 lie: from the first to before the second.
    /// Those of shard 0 can lie anywhere.
    pub fn range_of_shard(shard: u16) -> Option<([u8; 3], [u8; 3])> {
        let bounds = |shard: u16| {
            let [high, low] = shard.to_be_bytes();
            [FIRST_BYTE, high, low]
        };
        let after = shard.checked_add(1).map_or([FIRST_BYTE + 1, 0, 0], bounds);
        (shard > 0).then(|| (bounds(shard), after))
    }

    /// The CRL shard, for an issuer with that many; 0 for a serial number made elsewhere.
    pub fn shard(&self, shards: u16) -> u16 {
        self.made_in_shard().map_or(0, |shard| shard % shards.max(1))
    }

    /// The shard that it was made for; none for a serial number made elsewhere.
    pub(crate) fn made_in_shard(&self) -> Option<u16> {
        let made_here = self.0.len() == MADE_BYTES && self.0[0] == FIRST_BYTE;
        made_here.then(|| u16::from_be_bytes([self.0[1], self.0[2]]))
    }

    /// Where the serial numbers of an issuer's shards lie, from the first of them on: from the
    /// first number to before the second.
    pub fn range_of_issuer(first: u16) -> ([u8; 3], [u8; 3]) {
        let [high, low] = first.to_be_bytes();
        let after =
            first.checked_add(CrlPolicy::MAX_SHARDS).map_or([FIRST_BYTE + 1, 0, 0], |next| {
                let [high, low] = next.to_be_bytes();
                [FIRST_BYTE, high, low]
            });
        ([FIRST_BYTE, high, low], after)
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

const MAX_BYTES: usize = 20;
const MADE_BYTES: usize = 18;
/// Below 0x80, so that the DER integer is positive without a leading zero.
const FIRST_BYTE: u8 = 0x52;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_says_which_of_several_issuers_made_it() {
        let policy = |number| CrlPolicy {
            base_url: String::new(),
            shards: 5,
            first: CrlPolicy::first_of(number).unwrap(),
        };
        for number in [1, 2, 16] {
            let own = policy(number);
            for _ in 0..50 {
                let serial = SerialNumber::random(own.first, own.shards).unwrap();
                let shard = own.shard_of(&serial).unwrap();
                assert!(own.all().contains(&shard), "{shard}");
                let others = [1, 2, 16].into_iter().filter(|other| *other != number);
                for other in others {
                    assert_eq!(policy(other).shard_of(&serial), None);
                }
                let (from, until) = SerialNumber::range_of_issuer(own.first);
                assert!((&from[..]..&until[..]).contains(&serial.as_bytes()));
            }
        }
        assert_eq!(CrlPolicy::first_of(0), None);
        assert_eq!(CrlPolicy::first_of(17), None);
        let elsewhere = SerialNumber::from_bytes(&[1, 2, 3]).unwrap();
        assert_eq!(policy(1).shard_of(&elsewhere), Some(0));
        assert_eq!(policy(2).shard_of(&elsewhere), None);
    }

    #[test]
    fn a_serial_number_lies_in_the_range_of_its_shard_and_in_no_other() {
        const SHARDS: u16 = 300;
        for _ in 0..200 {
            let serial = SerialNumber::random(0, SHARDS).unwrap();
            let within = |shard: u16| {
                let (from, until) = SerialNumber::range_of_shard(shard).unwrap();
                (&from[..]..&until[..]).contains(&serial.as_bytes())
            };
            let found: Vec<u16> = (1..SHARDS).filter(|shard| within(*shard)).collect();
            match serial.shard(SHARDS) {
                0 => assert!(found.is_empty()),
                shard => assert_eq!(found, [shard]),
            }
        }
        assert_eq!(SerialNumber::range_of_shard(0), None);
        let (_, until) = SerialNumber::range_of_shard(u16::MAX).unwrap();
        assert_eq!(until, [FIRST_BYTE + 1, 0, 0]);
    }
}
