//! Algorithms, public keys and their thumbprints.

use core::fmt;

use crate::cbor::{Reader, Writer};
use crate::{Reason, Verify};

/// A signature algorithm (RFC 9053, RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256, fully specified: -9. The one we emit.
    Esp256,
    /// ECDSA with SHA-256, -7; accepted wherever ESP256 is, and with P-256 only.
    Es256,
    /// EdDSA with Ed25519, fully specified: -19.
    Ed25519,
}

impl Algorithm {
    /// The COSE algorithm identifier.
    pub const fn id(self) -> i64 {
        match self {
            Algorithm::Esp256 => -9,
            Algorithm::Es256 => -7,
            Algorithm::Ed25519 => -19,
        }
    }

    /// The algorithm with this identifier.
    ///
    /// # Errors
    /// `algorithm-not-allowed` for every other number.
    pub const fn from_id(id: i64) -> Result<Algorithm, Reason> {
        match id {
            -9 => Ok(Algorithm::Esp256),
            -7 => Ok(Algorithm::Es256),
            -19 => Ok(Algorithm::Ed25519),
            _ => Err(Reason::AlgorithmNotAllowed),
        }
    }

    /// Reads an algorithm identifier; names in text are not accepted.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Algorithm, Reason> {
        Algorithm::from_id(reader.i64().map_err(|_| Reason::AlgorithmNotAllowed)?)
    }
}

/// A public key that can verify signatures. One key has one kind of algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// P-256, uncompressed SEC1: 0x04, x, y. Whether the point is on the curve is for
    /// [`Verify::verify`] to find.
    P256([u8; 65]),
    /// Ed25519, 32 bytes (RFC 8032).
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// A key from its bytes: 65 that start with 0x04 for P-256, 32 for Ed25519.
    ///
    /// # Errors
    /// `algorithm-not-allowed` for any other length or form (a P-384 key, for instance).
    pub fn from_bytes(bytes: &[u8]) -> Result<PublicKey, Reason> {
        if let Ok(point) = <[u8; 65]>::try_from(bytes)
            && point[0] == 0x04
        {
            return Ok(PublicKey::P256(point));
        }
        if let Ok(key) = <[u8; 32]>::try_from(bytes) {
            return Ok(PublicKey::Ed25519(key));
        }
        Err(Reason::AlgorithmNotAllowed)
    }

    /// The key's bytes, as [`PublicKey::from_bytes`] takes them.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            PublicKey::P256(point) => point,
            PublicKey::Ed25519(key) => key,
        }
    }

    /// The algorithm that we emit for this key.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            PublicKey::P256(_) => Algorithm::Esp256,
            PublicKey::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// May a signature by this key name this algorithm?
    ///
    /// # Errors
    /// `algorithm-not-allowed`.
    pub fn check_algorithm(&self, algorithm: Algorithm) -> Result<(), Reason> {
        match (self, algorithm) {
            (PublicKey::P256(_), Algorithm::Esp256 | Algorithm::Es256)
            | (PublicKey::Ed25519(_), Algorithm::Ed25519) => Ok(()),
            _ => Err(Reason::AlgorithmNotAllowed),
        }
    }

    /// Writes the key as a COSE_Key (RFC 9052 section 7) of key type, algorithm, curve and
    /// coordinates.
    ///
    /// # Errors
    /// `too-large` when the buffer is full.
    pub fn write<W: minicbor::encode::Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        let algorithm = self.algorithm().id();
        match self {
            PublicKey::P256(_) => out.map(5)?.i64(KTY)?.i64(KTY_EC2)?.i64(ALG)?.i64(algorithm)?,
            PublicKey::Ed25519(_) => {
                out.map(4)?.i64(KTY)?.i64(KTY_OKP)?.i64(ALG)?.i64(algorithm)?
            }
        };
        self.write_curve(out)
    }

    /// Reads a COSE_Key.
    ///
    /// # Errors
    /// `malformed`; `unknown-field` for parameters other than kty, alg, crv, x, y;
    /// `algorithm-not-allowed` for another kind of key, a private key, a compressed point, or an
    /// algorithm that does not fit.
    pub fn read(reader: &mut Reader<'_>) -> Result<PublicKey, Reason> {
        let (mut kty, mut algorithm, mut curve) = (None, None, None);
        let (mut x, mut y) = (None, None);
        for _ in 0..reader.map()? {
            match reader.i64().map_err(|_| Reason::UnknownField)? {
                KTY => kty = Some(reader.i64().map_err(|_| Reason::AlgorithmNotAllowed)?),
                ALG => algorithm = Some(Algorithm::read(reader)?),
                CRV => curve = Some(reader.i64().map_err(|_| Reason::AlgorithmNotAllowed)?),
                X => x = Some(reader.bytes_of::<32>().map_err(|_| Reason::AlgorithmNotAllowed)?),
                Y => y = Some(reader.bytes_of::<32>().map_err(|_| Reason::AlgorithmNotAllowed)?),
                D => return Err(Reason::AlgorithmNotAllowed),
                _ => return Err(Reason::UnknownField),
            }
        }
        let key = match (kty, curve, x, y) {
            (Some(KTY_EC2), Some(CRV_P256), Some(x), Some(y)) => {
                let mut point = [0x04; 65];
                point[1..33].copy_from_slice(&x);
                point[33..].copy_from_slice(&y);
                PublicKey::P256(point)
            }
            (Some(KTY_OKP), Some(CRV_ED25519), Some(x), None) => PublicKey::Ed25519(x),
            (Some(_), Some(_), _, _) => return Err(Reason::AlgorithmNotAllowed),
            _ => return Err(Reason::Malformed),
        };
        algorithm.map_or(Ok(()), |algorithm| key.check_algorithm(algorithm))?;
        Ok(key)
    }

    /// The thumbprint (RFC 9679): SHA-256 of the COSE_Key with its required parameters only.
    pub fn thumbprint(&self, verifier: &(impl Verify + ?Sized)) -> Thumbprint {
        let digest = match self {
            PublicKey::P256(point) => verifier.sha256(&[
                &[0xa4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 0x20],
                &point[1..33],
                &[0x22, 0x58, 0x20],
                &point[33..],
            ]),
            PublicKey::Ed25519(key) => {
                verifier.sha256(&[&[0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20], key])
            }
        };
        Thumbprint(digest.0)
    }

    fn write_curve<W: minicbor::encode::Write>(&self, out: &mut Writer<W>) -> Result<(), Reason> {
        match self {
            PublicKey::P256(point) => {
                out.i64(CRV)?.i64(CRV_P256)?;
                out.i64(X)?.bytes(&point[1..33])?.i64(Y)?.bytes(&point[33..])?
            }
            PublicKey::Ed25519(key) => out.i64(CRV)?.i64(CRV_ED25519)?.i64(X)?.bytes(key)?,
        };
        Ok(())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublicKey::P256(_) => "P256(",
            PublicKey::Ed25519(_) => "Ed25519(",
        })?;
        write_hex(f, self.as_bytes())?;
        f.write_str(")")
    }
}

/// A public key with its thumbprint, as a list of allowed signers holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// RFC 9679 thumbprint of `key`.
    pub thumbprint: Thumbprint,
    /// The key.
    pub key: PublicKey,
}

impl TrustedKey {
    /// The key with its thumbprint, which is computed here and never taken from elsewhere.
    pub fn new(key: PublicKey, verifier: &(impl Verify + ?Sized)) -> TrustedKey {
        TrustedKey { thumbprint: key.thumbprint(verifier), key }
    }
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// From 64 hexadecimal digits, either case.
            ///
            /// # Errors
            /// `malformed`.
            pub fn from_hex(text: &str) -> Result<Self, Reason> {
                read_hex(text).map($name)
            }
        }

        /// Lower-case hexadecimal.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = Reason;

            fn try_from(bytes: &[u8]) -> Result<Self, Reason> {
                bytes.try_into().map($name).map_err(|_| Reason::Malformed)
            }
        }
    };
}

digest_type! {
    /// The name of a public key: its RFC 9679 thumbprint with SHA-256.
    Thumbprint
}
digest_type! {
    /// A SHA-256 digest.
    Sha256Digest
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn read_hex(text: &str) -> Result<[u8; 32], Reason> {
    let digits = text.as_bytes();
    let mut out = [0; 32];
    if digits.len() != 64 {
        return Err(Reason::Malformed);
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16).ok_or(Reason::Malformed)?;
            *byte = *byte << 4 | value as u8;
        }
    }
    Ok(out)
}

// COSE_Key labels and values (RFC 9052 section 7, RFC 9053 section 7).
const KTY: i64 = 1;
const ALG: i64 = 3;
const CRV: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const D: i64 = -4;
const KTY_OKP: i64 = 1;
const KTY_EC2: i64 = 2;
const CRV_P256: i64 = 1;
const CRV_ED25519: i64 = 6;
