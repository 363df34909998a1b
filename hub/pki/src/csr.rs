use const_oid::db::rfc4519::{COMMON_NAME, SERIAL_NUMBER};
use const_oid::db::rfc5912::ID_EXTENSION_REQ;
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::request::CertReqInfo;

use const_oid::AssociatedOid;

use crate::info::{hardware_serial, texts};
use crate::key::signature_oid;
use crate::{Error, SubjectKey};

/// A PKCS #10 request (RFC 2986) whose proof of possession was checked.
///
/// Extensions and attributes that are not known are passed over: devices ask for many things, and
/// the hub writes every certificate itself anyway.
#[derive(Clone, Debug)]
pub struct Csr {
    key: SubjectKey,
    texts: Vec<String>,
    hardware_serial: Option<Vec<u8>>,
    der: Vec<u8>,
}

/// The names that a request may carry; anything else names someone else.
#[derive(Clone, Copy, Debug, Default)]
pub struct NamesAllowed<'a> {
    /// The device's id, and for instance its model.
    pub texts: &'a [&'a str],
    /// The device's UEID.
    pub hardware_serial: Option<&'a [u8]>,
}

impl Csr {
    /// Reads a request and verifies its signature under the key that it asks a certificate for.
    ///
    /// # Errors
    /// Longer than 16 KiB, not DER, a key that is not ECDSA P-256 or Ed25519, or a signature that
    /// does not verify.
    pub fn parse(der: &[u8]) -> Result<Csr, Error> {
        if der.len() > MAX_CSR_BYTES {
            return Err(Error::TooLarge {
                what: "certificate request",
                size_bytes: der.len(),
                bound_bytes: MAX_CSR_BYTES,
            });
        }
        let malformed = Error::malformed("certificate request");
        let signed = Signed::from_der(der).map_err(&malformed)?;
        let content = signed.content.to_der().map_err(&malformed)?;
        let info = CertReqInfo::from_der(&content).map_err(&malformed)?;
        let key = SubjectKey::from_spki(info.public_key.clone())?;
        signed.verify(&key)?;

        let mut names = texts(&info.subject, COMMON_NAME)?;
        names.extend(texts(&info.subject, SERIAL_NUMBER)?);
        let alternative = alternative_names(&info)?;
        for name in &alternative {
            match name {
                GeneralName::DnsName(name) | GeneralName::Rfc822Name(name) => {
                    names.push(name.as_str().to_owned());
                }
                GeneralName::UniformResourceIdentifier(name) => {
                    names.push(name.as_str().to_owned())
                }
                GeneralName::IpAddress(address) => names.push(format!("{:?}", address.as_bytes())),
                GeneralName::DirectoryName(name) => {
                    names.extend(texts(name, COMMON_NAME)?);
                    names.extend(texts(name, SERIAL_NUMBER)?);
                }
                // A HardwareModuleName is read below; other names of these kinds identify nothing
                // that a certificate of ours would carry.
                GeneralName::OtherName(_)
                | GeneralName::EdiPartyName(_)
                | GeneralName::RegisteredId(_) => {}
            }
        }
        Ok(Csr {
            key,
            texts: names,
            hardware_serial: hardware_serial(&alternative)?,
            der: der.to_vec(),
        })
    }

    /// The key that the request asks a certificate for, proven to be its sender's.
    pub fn key(&self) -> &SubjectKey {
        &self.key
    }

    /// The request, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Every commonName, serialNumber and alternative name in it, as text.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Refuses a request that names anyone but its sender. No name at all is the best request.
    ///
    /// # Errors
    /// [`Error::NamesAnother`] with the name.
    pub fn check_names(&self, allowed: NamesAllowed<'_>) -> Result<(), Error> {
        if let Some(other) = self.texts.iter().find(|t| !allowed.texts.contains(&t.as_str())) {
            return Err(Error::NamesAnother(other.clone()));
        }
        match &self.hardware_serial {
            Some(serial) if allowed.hardware_serial != Some(serial) => {
                Err(Error::NamesAnother(serial.iter().map(|byte| format!("{byte:02x}")).collect()))
            }
            _ => Ok(()),
        }
    }
}

/// What certificates, requests and CRLs have in common: content, algorithm, signature.
#[derive(Sequence)]
pub(crate) struct Signed<'a> {
    /// Kept as it came: a decoder may put a SET in another order.
    pub(crate) content: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}

impl Signed<'_> {
    pub(crate) fn verify(&self, key: &SubjectKey) -> Result<(), Error> {
        if self.algorithm.oid != signature_oid(key.kind()) || self.algorithm.parameters.is_some() {
            return Err(Error::AlgorithmNotAllowed(format!(
                "signature algorithm {}",
                self.algorithm.oid
            )));
        }
        let malformed = Error::malformed("signature");
        let content = self.content.to_der().map_err(&malformed)?;
        let signature = self.signature.as_bytes().ok_or_else(|| Error::Malformed {
            what: "signature",
            detail: "unused bits".to_owned(),
        })?;
        if key.verifies(&content, signature) { Ok(()) } else { Err(Error::BadProofOfPossession) }
    }
}

fn alternative_names(info: &CertReqInfo) -> Result<Vec<GeneralName>, Error> {
    let malformed = Error::malformed("requested extensions");
    let mut names = Vec::new();
    for attribute in info.attributes.iter().filter(|a| a.oid == ID_EXTENSION_REQ) {
        for value in attribute.values.iter() {
            let extensions: Extensions = value.decode_as().map_err(&malformed)?;
            for extension in extensions.iter().filter(|e| e.extn_id == SubjectAltName::OID) {
                let found = SubjectAltName::from_der(extension.extn_value.as_bytes());
                names.extend(found.map_err(&malformed)?.0);
            }
        }
    }
    Ok(names)
}

const MAX_CSR_BYTES: usize = 16 * 1024;
