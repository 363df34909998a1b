//! Names: fleets, devices, products, sites, and the numbers that order them.
//!
//! Text types hold their bytes inside themselves, so that no message needs memory of its own.

use core::fmt;
use core::str::FromStr;

use ringfort_cose::Reason;

/// Up to `N` bytes of UTF-8 text without control characters. May be empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<const N: usize> {
    // First, so that the derived order is that of the text; the rest of the array is zero.
    bytes: [u8; N],
    len: u16,
}

impl<const N: usize> Text<N> {
    /// The empty text.
    pub const EMPTY: Text<N> = Text { bytes: [0; N], len: 0 };

    /// Takes a text.
    ///
    /// # Errors
    /// `too-large` beyond `N` bytes; `malformed` for control characters.
    pub fn new(text: &str) -> Result<Text<N>, Reason> {
        let len = u16::try_from(text.len()).map_err(|_| Reason::TooLarge)?;
        if text.chars().any(char::is_control) {
            return Err(Reason::Malformed);
        }
        let mut bytes = [0; N];
        bytes.get_mut(..text.len()).ok_or(Reason::TooLarge)?.copy_from_slice(text.as_bytes());
        Ok(Text { bytes, len })
    }

    /// As much of a text as fits, with control characters replaced by spaces; for the details of
    /// an error, which may be long.
    pub fn lossy(text: &str) -> Text<N> {
        let mut out = Text::EMPTY;
        for character in text.chars() {
            let character = if character.is_control() { ' ' } else { character };
            let start = usize::from(out.len);
            let end = start + character.len_utf8();
            let Some(room) = out.bytes.get_mut(start..end) else { break };
            let Ok(len) = u16::try_from(end) else { break };
            character.encode_utf8(room);
            out.len = len;
        }
        out
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Is it empty?
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> FromStr for Text<N> {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Text<N>, Reason> {
        Text::new(text)
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Text<$max>);

        impl $name {
            /// Bytes at most.
            pub const MAX_LEN: usize = $max;

            /// Takes a name.
            ///
            /// # Errors
            /// `too-large` when it is too long, `malformed` when it is empty or holds other
            /// characters than letters, digits, `.` and `-` (what a PrintableString, and so a certificate's
            /// serial number, can hold).
            pub fn new(name: &str) -> Result<$name, Reason> {
                let text = Text::new(name)?;
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
                if name.is_empty() || !name.bytes().all(plain) {
                    return Err(Reason::Malformed);
                }
                Ok($name(text))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl FromStr for $name {
            type Err = Reason;

            fn from_str(name: &str) -> Result<$name, Reason> {
                $name::new(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    };
}

name_type! {
    /// A device's name: the serial number given at the factory, unique in its fleet. 1 to 64
    /// letters, digits, `.`, `-`.
    DeviceId, 64
}
name_type! {
    /// A factory site's name. 1 to 32 letters, digits, `.`, `-`.
    SiteId, 32
}

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        /// Lower-case, with hyphens (RFC 9562).
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (index, byte) in self.0.iter().enumerate() {
                    if matches!(index, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// From the form with hyphens, either case.
        impl FromStr for $name {
            type Err = Reason;

            fn from_str(text: &str) -> Result<$name, Reason> {
                let mut out = [0; 16];
                let text = text.as_bytes();
                if text.len() != 36 || [8, 13, 18, 23].iter().any(|at| text[*at] != b'-') {
                    return Err(Reason::Malformed);
                }
                let starts = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
                for (byte, start) in out.iter_mut().zip(starts) {
                    *byte = hex_byte(&text[start..start + 2])?;
                }
                Ok($name(out))
            }
        }
    };
}

uuid_type! {
    /// A fleet: everything that one chain of anchors governs. Fixed for life.
    FleetId
}
uuid_type! {
    /// A SUIT vendor id: UUIDv5 of the vendor's name in the DNS name space.
    VendorId
}
uuid_type! {
    /// A SUIT class id: UUIDv5 of the class's name in the name space of its vendor id.
    ClassId
}

/// A universal entity id (RFC 9711 section 4.2.1) of type RAND: 0x01 and 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ueid([u8; 17]);

impl Ueid {
    /// From 16 random bytes.
    pub fn from_random(random: [u8; 16]) -> Ueid {
        let mut bytes = [RAND; 17];
        bytes[1..].copy_from_slice(&random);
        Ueid(bytes)
    }

    /// From its 17 bytes.
    ///
    /// # Errors
    /// `malformed` for another length or type.
    pub fn from_bytes(bytes: &[u8]) -> Result<Ueid, Reason> {
        match <[u8; 17]>::try_from(bytes) {
            Ok(bytes) if bytes[0] == RAND => Ok(Ueid(bytes)),
            _ => Err(Reason::Malformed),
        }
    }

    /// The 17 bytes.
    pub fn as_bytes(&self) -> &[u8; 17] {
        &self.0
    }
}

/// Lower-case hexadecimal, 34 digits.
impl fmt::Display for Ueid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Ueid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ueid {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Ueid, Reason> {
        let mut bytes = [0; 17];
        if text.len() != 34 {
            return Err(Reason::Malformed);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = hex_byte(pair)?;
        }
        Ueid::from_bytes(&bytes)
    }
}

macro_rules! number_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number_type! {
    /// The version of an anchors document: 1 at the factory, then one by one.
    AnchorsVersion
}
number_type! {
    /// The number of an order or of a command: max(last + 1, Unix milliseconds) of its signer.
    /// Nought stands for "none yet".
    OrderNumber
}
number_type! {
    /// A SUIT manifest sequence number.
    SequenceNumber
}
number_type! {
    /// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
    UnixTime
}

/// 16 random bytes that are used once.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 16]);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn hex_byte(pair: &[u8]) -> Result<u8, Reason> {
    pair.iter().try_fold(0u8, |value, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(Reason::Malformed)?;
        Ok(value << 4 | digit as u8)
    })
}

const RAND: u8 = 0x01;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_device_id_is_plain_and_bounded() {
        assert_eq!(DeviceId::new("dev-a-1.X").unwrap().as_str(), "dev-a-1.X");
        assert!(DeviceId::new(&"a".repeat(64)).is_ok());
        assert_eq!(DeviceId::new(&"a".repeat(65)), Err(Reason::TooLarge));
        for bad in ["", "a_b", "a b", "a/b", "ä", "a\n", "a\0"] {
            assert_eq!(DeviceId::new(bad), Err(Reason::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn uuids_and_ueids_read_what_they_print() {
        let fleet =
            FleetId([0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(fleet.to_string(), "12345678-9abc-def0-0102-030405060708");
        assert_eq!(fleet.to_string().parse(), Ok(fleet));
        assert_eq!(
            "12345678-9abc-def0-0102-03040506070".parse::<FleetId>(),
            Err(Reason::Malformed)
        );
        assert_eq!(
            "123456789abc-def0-0102-0304050607080".parse::<FleetId>(),
            Err(Reason::Malformed)
        );
        let ueid = Ueid::from_random([7; 16]);
        assert_eq!(ueid.to_string().parse(), Ok(ueid));
        assert_eq!(Ueid::from_bytes(&[2; 17]), Err(Reason::Malformed));
        assert_eq!(Ueid::from_bytes(&[1; 16]), Err(Reason::Malformed));
        assert_eq!("é".repeat(17).parse::<Ueid>(), Err(Reason::Malformed));
    }

    #[test]
    fn lossy_text_keeps_whole_characters() {
        assert_eq!(Text::<4>::lossy("aäöü").as_str(), "aä");
        assert_eq!(Text::<4>::lossy("a\nb").as_str(), "a b");
        assert_eq!(Text::<4>::new("aäö"), Err(Reason::TooLarge));
        assert_eq!(Text::<4>::new("a\n"), Err(Reason::Malformed));
        assert_eq!(Text::<4>::new("aäb").unwrap().as_str(), "aäb");
    }
}
