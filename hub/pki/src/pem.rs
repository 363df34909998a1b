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

/// The DER of the first PEM block, which must have this label; text before it is passed over.
pub fn from_pem(label: &'static str, pem: &str) -> Result<Vec<u8>, Error> {
    let (found, der) =
        der::pem::decode_vec(pem.as_bytes()).map_err(|e| Error::malformed("PEM")(e.to_string()))?;
    if found != label {
        return Err(Error::malformed("PEM")(format!("found \"{found}\", expected \"{label}\"")));
    }
    Ok(der)
}
