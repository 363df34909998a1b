//! Certificate requests (PKCS #10, RFC 2986) for keys that are held here.

use der::asn1::{BitString, UintRef};
use der::{Any, Decode, Encode, Sequence};
use ringfort_cose::{PublicKey, Sign};
use ringfort_pki::SubjectKey;
use spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};

use crate::failure::{Failure, Outcome};

/// A request without a name for the signer's key, DER. Whoever issues the certificate writes the
/// names.
pub fn request(signer: &dyn Sign) -> Outcome<Vec<u8>> {
    let key = signer.public_key();
    let subject_key = SubjectKey::try_from(&key).map_err(|e| cannot(&e))?;
    let info = CertReqInfo {
        version: Version::V1,
        subject: Name::default(),
        public_key: SubjectPublicKeyInfoOwned::from_der(subject_key.der())
            .map_err(|e| cannot(&e))?,
        attributes: Default::default(),
    };
    let message = info.to_der().map_err(|e| cannot(&e))?;
    let signature = signer.sign(&[&message]).map_err(|e| cannot(&e))?;
    let (oid, signature) = match key {
        PublicKey::P256(_) => (ECDSA_WITH_SHA256, ecdsa_der(&signature).map_err(|e| cannot(&e))?),
        PublicKey::Ed25519(_) => (ED25519, signature),
    };
    let request = CertReq {
        info,
        algorithm: AlgorithmIdentifierOwned { oid, parameters: None::<Any> },
        signature: BitString::from_bytes(&signature).map_err(|e| cannot(&e))?,
    };
    request.to_der().map_err(|e| cannot(&e))
}

/// The same in PEM (RFC 7468, section 7).
pub fn request_pem(signer: &dyn Sign) -> Outcome<String> {
    let request = request(signer)?;
    der::pem::encode_string("CERTIFICATE REQUEST", der::pem::LineEnding::LF, &request)
        .map_err(|e| cannot(&e))
}

/// Ecdsa-Sig-Value (RFC 5480, appendix A).
#[derive(Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

fn ecdsa_der(raw: &[u8]) -> der::Result<Vec<u8>> {
    let (r, s) = raw.split_at(raw.len() / 2);
    EcdsaSignature { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der()
}

fn cannot(error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(
        "cannot make the certificate request",
        format!("{error}."),
        "Check the key, then try again.",
    )
}

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_cose::SoftSigner;
    use ringfort_pki::Csr;

    #[test]
    fn a_request_proves_possession_and_an_altered_one_does_not() {
        let signer = SoftSigner::generate_p256().unwrap();
        let mut der = request(&signer).unwrap();
        let parsed = Csr::parse(&der).unwrap();
        assert_eq!(PublicKey::from(parsed.key()), signer.public_key());
        assert!(parsed.texts().is_empty());
        *der.last_mut().unwrap() ^= 1;
        assert!(Csr::parse(&der).is_err());
    }
}
