//! The extensions of each kind of certificate (RFC 5280, IEEE 802.1AR-2018, RFC 4108).

use std::net::IpAddr;

use const_oid::AssociatedOid;
use const_oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use const_oid::db::rfc5911::ID_ON_HARDWARE_MODULE_NAME;
use der::asn1::{Any, Ia5String, OctetString};
use der::{Encode, Tag};
use spki::SubjectPublicKeyInfoRef;
use x509_cert::TbsCertificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName, OtherName};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;

use crate::{Error, ServerName, SubjectKey};

/// Who may use a certificate for what. It stands in the authority's certificate too, so that an
/// authority for clients cannot make a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Client,
    Server,
}

/// Names and extensions, put together beforehand.
pub(crate) struct Profile {
    pub(crate) issuer: Name,
    pub(crate) subject: Name,
    pub(crate) extensions: Vec<Extension>,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        _key: SubjectPublicKeyInfoRef<'_>,
        _issuer_key: SubjectPublicKeyInfoRef<'_>,
        _tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        Ok(self.extensions.clone())
    }
}

/// A list of extensions in the making.
#[derive(Default)]
pub(crate) struct Extensions(Vec<Extension>);

impl Extensions {
    /// Of an authority: critical basicConstraints and keyUsage (RFC 5280, section 4.2.1.3, 4.2.1.9).
    pub(crate) fn authority(
        key: &SubjectKey,
        issuer_key: Option<&[u8]>,
        path_length: u8,
        purpose: Option<Purpose>,
    ) -> Result<Extensions, Error> {
        let constraints = BasicConstraints { ca: true, path_len_constraint: Some(path_length) };
        let list = Extensions::default()
            .add(true, &constraints)?
            .add(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?
            .key_identifiers(key, issuer_key)?;
        match purpose {
            Some(purpose) => list.purpose(purpose),
            None => Ok(list),
        }
    }

    /// Of an end entity that signs its side of a TLS handshake.
    pub(crate) fn end_entity(
        key: &SubjectKey,
        issuer_key: &[u8],
        purpose: Purpose,
    ) -> Result<Extensions, Error> {
        Extensions::default()
            .add(true, &KeyUsage(KeyUsages::DigitalSignature.into()))?
            .key_identifiers(key, Some(issuer_key))?
            .purpose(purpose)
    }

    /// HardwareModuleName (RFC 4108, section 5): the type is 2.25.<class id> (X.667), the serial
    /// number is the UEID.
    pub(crate) fn hardware_module(self, class_id: &[u8; 16], ueid: &[u8]) -> Result<Self, Error> {
        let unsuitable = Error::unsuitable("UEID");
        if ueid.is_empty() || ueid.len() > MAX_UEID_BYTES {
            return Err(unsuitable(der::Error::from(der::ErrorKind::Overlength)));
        }
        let hw_type = Any::new(Tag::ObjectIdentifier, uuid_oid(class_id)).map_err(&unsuitable)?;
        let hw_serial = Any::new(Tag::OctetString, ueid).map_err(&unsuitable)?;
        let value =
            Any::encode_from(&vec![hw_type, hw_serial]).map_err(Error::unsuitable("UEID"))?;
        self.alternative_names(vec![GeneralName::OtherName(OtherName {
            type_id: ID_ON_HARDWARE_MODULE_NAME,
            value,
        })])
    }

    pub(crate) fn server_names(self, names: &[ServerName]) -> Result<Self, Error> {
        let unsuitable = Error::unsuitable("server name");
        let names = names
            .iter()
            .map(|name| {
                Ok(match name {
                    ServerName::Dns(name) => {
                        GeneralName::DnsName(Ia5String::new(name).map_err(&unsuitable)?)
                    }
                    ServerName::Ip(address) => {
                        let bytes = match address {
                            IpAddr::V4(v4) => v4.octets().to_vec(),
                            IpAddr::V6(v6) => v6.octets().to_vec(),
                        };
                        GeneralName::IpAddress(OctetString::new(bytes).map_err(&unsuitable)?)
                    }
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        self.alternative_names(names)
    }

    /// Where the CRL that covers this certificate is (RFC 5280, section 4.2.1.13).
    pub(crate) fn crl_distribution_point(self, url: &str) -> Result<Self, Error> {
        let point = DistributionPoint {
            distribution_point: Some(full_name(url)?),
            reasons: None,
            crl_issuer: None,
        };
        self.add(false, &CrlDistributionPoints(vec![point]))
    }

    pub(crate) fn into_vec(self) -> Vec<Extension> {
        self.0
    }

    fn alternative_names(self, names: Vec<GeneralName>) -> Result<Self, Error> {
        self.add(false, &SubjectAltName(names))
    }

    fn purpose(self, purpose: Purpose) -> Result<Self, Error> {
        let usage = match purpose {
            Purpose::Client => ID_KP_CLIENT_AUTH,
            Purpose::Server => ID_KP_SERVER_AUTH,
        };
        self.add(false, &ExtendedKeyUsage(vec![usage]))
    }

    fn key_identifiers(self, key: &SubjectKey, issuer_key: Option<&[u8]>) -> Result<Self, Error> {
        let list = self.add(false, &SubjectKeyIdentifier(octets(key.identifier())?))?;
        match issuer_key {
            Some(identifier) => list.add(false, &authority_key_identifier(identifier)?),
            None => Ok(list),
        }
    }

    fn add<T: AssociatedOid + Encode>(
        mut self,
        critical: bool,
        value: &T,
    ) -> Result<Extensions, Error> {
        let extension = (critical, value)
            .to_extension(&Name::default(), &self.0)
            .map_err(Error::unsuitable("extension"))?;
        self.0.push(extension);
        Ok(self)
    }
}

pub(crate) fn authority_key_identifier(identifier: &[u8]) -> Result<AuthorityKeyIdentifier, Error> {
    Ok(AuthorityKeyIdentifier {
        key_identifier: Some(octets(identifier.to_vec())?),
        ..AuthorityKeyIdentifier::default()
    })
}

pub(crate) fn full_name(url: &str) -> Result<DistributionPointName, Error> {
    let url = Ia5String::new(url).map_err(Error::unsuitable("CRL address"))?;
    Ok(DistributionPointName::FullName(vec![GeneralName::UniformResourceIdentifier(url)]))
}

fn octets(bytes: Vec<u8>) -> Result<OctetString, Error> {
    OctetString::new(bytes).map_err(Error::unsuitable("key identifier"))
}

/// The content bytes of 2.25.<UUID as an integer>: 2.25 is one byte, the integer is in base 128.
fn uuid_oid(uuid: &[u8; 16]) -> Vec<u8> {
    let mut value = u128::from_be_bytes(*uuid);
    let mut digits = vec![(value & 0x7f) as u8];
    value >>= 7;
    while value > 0 {
        digits.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    digits.push(2 * 40 + 25);
    digits.reverse();
    digits
}

/// RFC 9711, section 4.2.1: a UEID is at most 33 bytes.
const MAX_UEID_BYTES: usize = 33;

#[cfg(test)]
mod tests {
    use super::uuid_oid;

    #[test]
    fn a_uuid_becomes_an_arc_under_2_25() {
        assert_eq!(uuid_oid(&[0; 16]), [0x69, 0]);
        let mut two_to_the_seven = [0; 16];
        two_to_the_seven[15] = 0x80;
        assert_eq!(uuid_oid(&two_to_the_seven), [0x69, 0x81, 0x00]);
        assert_eq!(uuid_oid(&[0xff; 16]).len(), 20);
    }
}
