use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use der::Decode;
use der::asn1::GeneralizedTime;
use ringfort_cose::Sign;
use x509_cert::Certificate;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::name::Name;
use x509_cert::time::{Time, Validity};

use crate::crl::CrlPolicy;
use crate::key::signature_algorithm;
use crate::name::NameBuilder;
use crate::profile::{Extensions, Profile, Purpose};
use crate::signer::{CertificateSigner, key_of};
use crate::tlv::signed;
use crate::{CertificateInfo, Error, SerialNumber, SubjectKey, fingerprint};

/// An authority's certificate with the signer that belongs to it.
#[derive(Clone)]
pub struct Issuer {
    info: CertificateInfo,
    subject: Name,
    der: Vec<u8>,
    signer: Arc<dyn Sign>,
    crl: Option<CrlPolicy>,
}

/// A certificate that was issued, with what a registry records of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key_fingerprint: [u8; 32],
    /// Its serial number.
    pub serial: SerialNumber,
    /// Unix seconds.
    pub not_before: u64,
    /// Unix seconds; 253402300799 stands for "no end" (IEEE 802.1AR).
    pub not_after: u64,
}

/// A factory identity (IEEE 802.1AR-2018, section 8).
#[derive(Clone, Debug)]
pub struct Idevid<'a> {
    /// Stands as the subject's serialNumber.
    pub device_id: &'a str,
    /// Stands as the subject's organizationName.
    pub vendor: &'a str,
    /// Class or model; stands as the subject's commonName.
    pub model: &'a str,
    /// The class id (UUID); names the hardware type.
    pub class_id: [u8; 16],
    /// RFC 9711 UEID; the hardware serial number.
    pub ueid: &'a [u8],
    /// None for no end, 99991231235959Z.
    pub lifetime_days: Option<u32>,
}

/// An operational identity.
#[derive(Clone, Debug)]
pub struct Ldevid<'a> {
    /// Stands as the subject's serialNumber and commonName.
    pub device_id: &'a str,
    /// The class id and UEID, as in the factory identity; none where they are not known.
    pub hardware: Option<([u8; 16], &'a [u8])>,
    /// How long it is valid.
    pub lifetime_days: u32,
}

/// A name that a TLS server answers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// A host name in ASCII (A-labels).
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// A TLS server of the hub.
#[derive(Clone, Debug)]
pub struct Server<'a> {
    /// At least one; the first is the subject's commonName where it fits.
    pub names: &'a [ServerName],
    /// How long it is valid.
    pub lifetime_days: u32,
}

/// A person or an automation that talks to the operator interface.
#[derive(Clone, Debug)]
pub struct Operator<'a> {
    /// Stands as the subject's commonName.
    pub name: &'a str,
    /// How long it is valid.
    pub lifetime_days: u32,
}

impl Issuer {
    /// Puts a certificate and its signer together.
    ///
    /// # Errors
    /// The bytes are not a certificate of an authority, or the signer has another key.
    pub fn new(certificate_der: &[u8], signer: Arc<dyn Sign>) -> Result<Issuer, Error> {
        let info = CertificateInfo::parse(certificate_der)?;
        let certificate =
            Certificate::from_der(certificate_der).map_err(Error::malformed("certificate"))?;
        if !info.is_authority {
            return Err(Error::NotAnIssuer("the certificate is not one of an authority"));
        }
        if key_of(signer.as_ref())? != info.key {
            return Err(Error::NotAnIssuer("the signer's key is not the certificate's"));
        }
        let subject = certificate.tbs_certificate().subject().clone();
        Ok(Issuer { info, subject, der: certificate_der.to_vec(), signer, crl: None })
    }

    /// Shards this issuer's CRLs and names each certificate's shard in it.
    pub fn with_crl_policy(mut self, policy: CrlPolicy) -> Issuer {
        self.crl = Some(policy);
        self
    }

    /// The authority's certificate, DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.der
    }

    /// What stands in the authority's certificate.
    pub fn info(&self) -> &CertificateInfo {
        &self.info
    }

    /// How its CRLs are sharded; none for one full CRL.
    pub fn crl_policy(&self) -> Option<&CrlPolicy> {
        self.crl.as_ref()
    }

    /// Issues a factory identity.
    pub fn issue_idevid(
        &self,
        key: &SubjectKey,
        device: &Idevid<'_>,
        now: u64,
    ) -> Result<Issued, Error> {
        let subject = NameBuilder::default()
            .organisation(device.vendor)?
            .common_name(device.model)?
            .serial_number(device.device_id)?
            .build()?;
        let extensions = Extensions::end_entity(key, &self.identifier(), Purpose::Client)?
            .hardware_module(&device.class_id, device.ueid)?;
        let lifetime = device.lifetime_days.map_or(Lifetime::Endless, Lifetime::Days);
        self.issue(subject, key, extensions, lifetime, now)
    }

    /// Issues an operational identity.
    pub fn issue_ldevid(
        &self,
        key: &SubjectKey,
        device: &Ldevid<'_>,
        now: u64,
    ) -> Result<Issued, Error> {
        let subject = NameBuilder::default()
            .common_name(device.device_id)?
            .serial_number(device.device_id)?
            .build()?;
        let mut extensions = Extensions::end_entity(key, &self.identifier(), Purpose::Client)?;
        if let Some((class_id, ueid)) = &device.hardware {
            extensions = extensions.hardware_module(class_id, ueid)?;
        }
        self.issue(subject, key, extensions, Lifetime::Days(device.lifetime_days), now)
    }

    /// Issues a certificate for a TLS listener.
    pub fn issue_server(
        &self,
        key: &SubjectKey,
        server: &Server<'_>,
        now: u64,
    ) -> Result<Issued, Error> {
        if server.names.is_empty() {
            return Err(Error::unsuitable("server name")("there is none"));
        }
        // Names are in the SAN; a common name is for people who read the certificate.
        let common = server.names.iter().map(ToString::to_string).find(|name| name.len() <= 64);
        let subject =
            NameBuilder::default().common_name(common.as_deref().unwrap_or("server"))?.build()?;
        let extensions = Extensions::end_entity(key, &self.identifier(), Purpose::Server)?
            .server_names(server.names)?;
        self.issue(subject, key, extensions, Lifetime::Days(server.lifetime_days), now)
    }

    /// Issues a certificate for an operator.
    pub fn issue_operator(
        &self,
        key: &SubjectKey,
        operator: &Operator<'_>,
        now: u64,
    ) -> Result<Issued, Error> {
        let subject = NameBuilder::default().common_name(operator.name)?.build()?;
        let extensions = Extensions::end_entity(key, &self.identifier(), Purpose::Client)?;
        self.issue(subject, key, extensions, Lifetime::Days(operator.lifetime_days), now)
    }

    pub(crate) fn issue_authority(
        &self,
        subject: Name,
        key: &SubjectKey,
        extensions: Extensions,
        days: u32,
        now: u64,
    ) -> Result<Issued, Error> {
        self.issue(subject, key, extensions, Lifetime::Days(days), now)
    }

    pub(crate) fn self_signed(
        subject: Name,
        signer: Arc<dyn Sign>,
        extensions: Extensions,
        days: u32,
        now: u64,
    ) -> Result<Issuer, Error> {
        let key = key_of(signer.as_ref())?;
        let (not_before, not_after) =
            (now.saturating_sub(BACKDATE_S), now + u64::from(days) * DAY_S);
        let signer_of_key = CertificateSigner { signer: signer.as_ref(), key: &key };
        let profile =
            Profile { issuer: subject.clone(), subject, extensions: extensions.into_vec() };
        let serial = SerialNumber::random(0, 1)?;
        let issued = build(profile, serial, not_before, not_after, &key, &signer_of_key)?;
        Issuer::new(&issued.der, signer)
    }

    /// The authority's subjectKeyIdentifier, as its certificate has it.
    pub(crate) fn identifier(&self) -> Vec<u8> {
        self.info.key_identifier.clone().unwrap_or_else(|| self.info.key.identifier())
    }

    pub(crate) fn subject(&self) -> &Name {
        &self.subject
    }

    pub(crate) fn signer(&self) -> CertificateSigner<'_> {
        CertificateSigner { signer: self.signer.as_ref(), key: &self.info.key }
    }

    fn issue(
        &self,
        subject: Name,
        key: &SubjectKey,
        extensions: Extensions,
        lifetime: Lifetime,
        now: u64,
    ) -> Result<Issued, Error> {
        if now < self.info.not_before || now > self.info.not_after {
            return Err(Error::IssuerNotValid);
        }
        let not_before = now.saturating_sub(BACKDATE_S).max(self.info.not_before);
        let not_after = match lifetime {
            Lifetime::Days(days) => (now + u64::from(days) * DAY_S).min(self.info.not_after),
            Lifetime::Endless => NO_END,
        };
        let (serial, extensions) = match &self.crl {
            Some(policy) => {
                let serial = SerialNumber::random(policy.first, policy.shards)?;
                let url = policy.url(policy.shard_of(&serial).unwrap_or(policy.first));
                (serial, extensions.crl_distribution_point(&url)?)
            }
            None => (SerialNumber::random(0, 1)?, extensions),
        };
        let profile =
            Profile { issuer: self.subject.clone(), subject, extensions: extensions.into_vec() };
        build(profile, serial, not_before, not_after, key, &self.signer())
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("subject", &self.subject.to_string()).finish_non_exhaustive()
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerName::Dns(name) => f.write_str(name),
            ServerName::Ip(address) => address.fmt(f),
        }
    }
}

enum Lifetime {
    Days(u32),
    Endless,
}

fn build(
    profile: Profile,
    serial: SerialNumber,
    not_before: u64,
    not_after: u64,
    key: &SubjectKey,
    signer: &CertificateSigner<'_>,
) -> Result<Issued, Error> {
    let unsuitable = Error::unsuitable("certificate");
    let mut builder = CertificateBuilder::new(
        profile,
        x509_cert::serial_number::SerialNumber::new(serial.as_bytes())
            .map_err(Error::unsuitable("serial number"))?,
        Validity::new(time(not_before)?, time(not_after)?),
        key.spki().clone(),
    )
    .map_err(&unsuitable)?;
    let to_be_signed = builder.finalize(signer).map_err(&unsuitable)?;
    let signature = signer.sign(&to_be_signed)?;
    let algorithm = signature_algorithm(signer.key.kind());
    let der =
        signed(&to_be_signed, &algorithm, &signature).map_err(Error::unsuitable("certificate"))?;
    Ok(Issued {
        fingerprint: fingerprint(&der),
        key_fingerprint: key.fingerprint(),
        der,
        serial,
        not_before,
        not_after,
    })
}

/// Unix seconds as X.509 has them: UTCTime through 2049, GeneralizedTime after.
pub(crate) fn time(unix_s: u64) -> Result<Time, Error> {
    let unsuitable = Error::unsuitable("time");
    if unix_s == NO_END {
        return Ok(Time::INFINITY);
    }
    let general =
        GeneralizedTime::from_unix_duration(Duration::from_secs(unix_s)).map_err(&unsuitable)?;
    Ok(Time::from(general.to_date_time()))
}

pub(crate) const DAY_S: u64 = 86_400;
/// Certificates begin a little earlier than now, for peers whose clock is behind.
pub(crate) const BACKDATE_S: u64 = 3_600;
/// 9999-12-31T23:59:59Z.
const NO_END: u64 = 253_402_300_799;
