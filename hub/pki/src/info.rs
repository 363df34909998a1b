use const_oid::db::rfc4519::{COMMON_NAME, SERIAL_NUMBER};
use const_oid::db::rfc5911::ID_ON_HARDWARE_MODULE_NAME;
use der::asn1::{Any, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;

use crate::{Error, SerialNumber, SubjectKey, fingerprint};

/// What the hub reads in a certificate. Reading is not validating: who signed it and whether it
/// is in force are other questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// Its public key.
    pub key: SubjectKey,
    /// Its serial number.
    pub serial: SerialNumber,
    /// Unix seconds.
    pub not_before: u64,
    /// Unix seconds.
    pub not_after: u64,
    /// The issuer's name, DER.
    pub issuer: Vec<u8>,
    /// The subject's name, DER.
    pub subject: Vec<u8>,
    /// The subject's name for people (RFC 4514).
    pub subject_text: String,
    /// The subject's commonName.
    pub common_name: Option<String>,
    /// The subject's serialNumber: a device's id.
    pub serial_number: Option<String>,
    /// The hardware serial number of the HardwareModuleName: a device's UEID.
    pub hardware_serial: Option<Vec<u8>>,
    /// subjectKeyIdentifier.
    pub key_identifier: Option<Vec<u8>>,
    /// authorityKeyIdentifier.
    pub issuer_key_identifier: Option<Vec<u8>>,
    /// Whether basicConstraints says CA.
    pub is_authority: bool,
}

impl CertificateInfo {
    /// Reads a certificate of at most 16 KiB.
    pub fn parse(der: &[u8]) -> Result<CertificateInfo, Error> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(Error::TooLarge {
                what: "certificate",
                size_bytes: der.len(),
                bound_bytes: MAX_CERTIFICATE_BYTES,
            });
        }
        let malformed = Error::malformed("certificate");
        let certificate = Certificate::from_der(der).map_err(&malformed)?;
        let tbs = certificate.tbs_certificate();
        let constraints = tbs.get_extension::<BasicConstraints>().map_err(&malformed)?;
        let names = tbs.get_extension::<SubjectAltName>().map_err(&malformed)?;
        let key_identifier = tbs.get_extension::<SubjectKeyIdentifier>().map_err(&malformed)?;
        let issuer_key = tbs.get_extension::<AuthorityKeyIdentifier>().map_err(&malformed)?;
        Ok(CertificateInfo {
            fingerprint: fingerprint(der),
            key: SubjectKey::from_spki(tbs.subject_public_key_info().clone())?,
            serial: SerialNumber::from_bytes(tbs.serial_number().as_bytes())?,
            not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
            issuer: tbs.issuer().to_der().map_err(&malformed)?,
            subject: tbs.subject().to_der().map_err(&malformed)?,
            subject_text: tbs.subject().to_string(),
            common_name: texts(tbs.subject(), COMMON_NAME)?.into_iter().next(),
            serial_number: texts(tbs.subject(), SERIAL_NUMBER)?.into_iter().next(),
            hardware_serial: names
                .map(|(_, names)| hardware_serial(&names.0))
                .transpose()?
                .flatten(),
            key_identifier: key_identifier.map(|(_, id)| id.0.as_bytes().to_vec()),
            issuer_key_identifier: issuer_key
                .and_then(|(_, id)| id.key_identifier.map(|id| id.as_bytes().to_vec())),
            is_authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
        })
    }

    /// Whether this certificate says that `issuer` issued it, and the issuer's key agrees.
    pub fn is_signed_by(&self, der: &[u8], issuer: &CertificateInfo) -> bool {
        self.issuer == issuer.subject && signature_verifies(der, &issuer.key)
    }
}

/// From when to when a certificate is valid, Unix seconds, whatever its key is.
///
/// # Errors
/// It cannot be read.
pub fn validity(der: &[u8]) -> Result<(u64, u64), Error> {
    let certificate = Certificate::from_der(der).map_err(Error::malformed("certificate"))?;
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    Ok((seconds(validity.not_before), seconds(validity.not_after)))
}

fn signature_verifies(der: &[u8], key: &SubjectKey) -> bool {
    let Ok(signed) = crate::csr::Signed::from_der(der) else { return false };
    signed.verify(key).is_ok()
}

/// The values of one attribute as text.
pub(crate) fn texts(name: &Name, oid: const_oid::ObjectIdentifier) -> Result<Vec<String>, Error> {
    name.iter().filter(|attribute| attribute.oid == oid).map(|a| text(&a.value)).collect()
}

pub(crate) fn text(value: &Any) -> Result<String, Error> {
    let malformed = Error::malformed("name");
    match value.tag() {
        Tag::PrintableString => {
            PrintableStringRef::try_from(value).map(|s| s.as_str().to_owned()).map_err(malformed)
        }
        Tag::Utf8String => {
            Utf8StringRef::try_from(value).map(|s| s.as_str().to_owned()).map_err(malformed)
        }
        Tag::TeletexString => {
            TeletexStringRef::try_from(value).map(|s| s.as_str().to_owned()).map_err(malformed)
        }
        other => Err(Error::malformed("name")(format!("a {other} in it"))),
    }
}

/// The serial number of the first HardwareModuleName among the names.
pub(crate) fn hardware_serial(names: &[GeneralName]) -> Result<Option<Vec<u8>>, Error> {
    let found = names.iter().find_map(|name| match name {
        GeneralName::OtherName(other) if other.type_id == ID_ON_HARDWARE_MODULE_NAME => Some(other),
        _ => None,
    });
    let Some(other) = found else { return Ok(None) };
    // The type's arcs may be longer than 32 bits (2.25.<UUID>), so it is read as raw bytes.
    let parts: Vec<Any> =
        other.value.decode_as().map_err(Error::malformed("HardwareModuleName"))?;
    match parts.as_slice() {
        [hw_type, serial]
            if hw_type.tag() == Tag::ObjectIdentifier && serial.tag() == Tag::OctetString =>
        {
            Ok(Some(serial.value().to_vec()))
        }
        _ => Err(Error::malformed("HardwareModuleName")("not a type and a serial number")),
    }
}

const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
