//! Public keys as SubjectPublicKeyInfo (RFC 5480, RFC 8410).

use ringfort_cose::PublicKey;

use crate::Error;

/// The DER of a public key's SubjectPublicKeyInfo.
pub fn public_key_to_der(key: &PublicKey) -> Vec<u8> {
    let prefix: &[u8] = match key {
        PublicKey::P256(_) => &P256_PREFIX,
        PublicKey::Ed25519(_) => &ED25519_PREFIX,
    };
    [prefix, key.as_bytes()].concat()
}

/// A public key from the DER of its SubjectPublicKeyInfo: P-256 uncompressed or Ed25519.
///
/// # Errors
/// [`Error::Malformed`] for anything else.
pub fn public_key_from_der(der: &[u8]) -> Result<PublicKey, Error> {
    let key = der
        .strip_prefix(&P256_PREFIX)
        .filter(|point| point.len() == 65)
        .or_else(|| der.strip_prefix(&ED25519_PREFIX).filter(|key| key.len() == 32));
    key.and_then(|bytes| PublicKey::from_bytes(bytes).ok()).ok_or_else(|| Error::Malformed {
        what: "the public key".into(),
        detail: "not a P-256 or Ed25519 SubjectPublicKeyInfo",
    })
}

/// The PEM text (`PUBLIC KEY`) of a public key.
pub fn public_key_to_pem(key: &PublicKey) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("PUBLIC KEY", public_key_to_der(key)), config)
}

/// A public key from PEM text with exactly one `PUBLIC KEY` block.
///
/// # Errors
/// [`Error::Malformed`].
pub fn public_key_from_pem(text: &str) -> Result<PublicKey, Error> {
    let malformed = |detail| Error::Malformed { what: "the public key file".into(), detail };
    let blocks = pem::parse_many(text).map_err(|_| malformed("not PEM"))?;
    match blocks.as_slice() {
        [block] if block.tag() == "PUBLIC KEY" => public_key_from_der(block.contents()),
        _ => Err(malformed("not exactly one PUBLIC KEY block")),
    }
}

const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_der_and_pem() {
        let mut point = [0x11; 65];
        point[0] = 4;
        for key in [PublicKey::P256(point), PublicKey::Ed25519([0x22; 32])] {
            assert_eq!(public_key_from_der(&public_key_to_der(&key)).unwrap(), key);
            assert_eq!(public_key_from_pem(&public_key_to_pem(&key)).unwrap(), key);
        }
    }

    #[test]
    fn what_another_maker_encodes_reads() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
            let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let key = public_key_from_pem(&pair.public_key_pem()).unwrap();
            assert_eq!(key.as_bytes(), pair.public_key_raw());
        }
    }

    #[test]
    fn other_keys_and_cut_ones_are_refused() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(public_key_from_pem(&pair.public_key_pem()).is_err());
        let der = public_key_to_der(&PublicKey::Ed25519([1; 32]));
        assert!(public_key_from_der(&der[..der.len() - 1]).is_err());
        assert!(public_key_from_der(&[&der[..], &[0]].concat()).is_err());
    }
}
