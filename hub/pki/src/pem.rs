use der::pem::{LineEnding, PemLabel};

use crate::Error;

/// The PEM label of a certificate.
pub const CERTIFICATE: &str = <x509_cert::Certificate as PemLabel>::PEM_LABEL;
/// The PEM label of a CRL.
pub const CRL: &str = "X509 CRL";
/// The PEM label of a public key.
pub const PUBLIC_KEY: &str = "PUBLIC KEY";

/// DER as PEM (RFC 7468) under one of the labels of this crate.
pub fn to_pem(label: &'static str, der: &[u8]) -> Result<String, Error> {
    der::pem::encode_string(label, LineEnding::LF, der).map_err(Error::unsuitable("PEM"))
}

/// The DER of the first PEM block, which must have this label; what stands before and after it is
/// passed over.
pub fn from_pem(label: &'static str, pem: &str) -> Result<Vec<u8>, Error> {
    let malformed = |detail: String| Error::Malformed { what: "PEM", detail };
    let begin = pem.find(BEGIN).ok_or_else(|| malformed("there is no block in it".to_owned()))?;
    let block = &pem[begin..];
    let end = block.find(END).ok_or_else(|| malformed("the block does not end".to_owned()))?;
    let tail = block[end + END.len()..]
        .find(DASHES)
        .map_or(block.len(), |dashes| end + END.len() + dashes + DASHES.len());
    let (found, der) =
        der::pem::decode_vec(&block.as_bytes()[..tail]).map_err(|e| malformed(e.to_string()))?;
    match found == label {
        true => Ok(der),
        false => Err(malformed(format!("found \"{found}\", expected \"{label}\""))),
    }
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_is_read_and_what_stands_around_it_is_not() {
        let block = to_pem(CRL, b"first").unwrap();
        let text = format!("subject=x\n{block}\nmore\n{}", to_pem(CRL, b"second").unwrap());
        assert_eq!(from_pem(CRL, &text).unwrap(), b"first");
        assert_eq!(from_pem(CRL, &block.replace('\n', "\r\n")).unwrap(), b"first");
    }

    #[test]
    fn another_label_and_half_a_block_are_refused() {
        let block = to_pem(CRL, b"first").unwrap();
        for text in ["", "first", &block[..20], &block[..block.len() - 30]] {
            assert!(from_pem(CRL, text).is_err(), "{text}");
        }
        assert!(from_pem(CERTIFICATE, &block).is_err());
    }
}
