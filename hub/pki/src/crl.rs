use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use der::Encode;
use der::asn1::{BitString, Uint};
use x509_cert::Version;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::ToExtension;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::{CrlNumber, CrlReason};

use crate::issuer::time;
use crate::key::signature_algorithm;
use crate::profile::{authority_key_identifier, full_name};
use crate::{Error, Issuer, SerialNumber};

/// How an issuer's CRLs are cut into shards, so that none grows out of hand.
///
/// Each certificate names the address of its shard and each CRL the same address
/// (RFC 5280, sections 4.2.1.13 and 5.2.5), so a shard is a full and direct CRL for its
/// certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlPolicy {
    /// What the shard's number and ".crl" are appended to, ending in "/".
    pub base_url: String,
    /// How many shards; at least 1. Never lower it while certificates live.
    pub shards: u16,
    /// The number of the first shard: 0 for an issuer that has the addresses for itself. Issuers
    /// that follow each other have [`CrlPolicy::first_of`].
    pub first: u16,
}

/// One certificate on a CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: SerialNumber,
    /// Unix seconds.
    pub revoked_at: u64,
    /// Why.
    pub reason: RevocationReason,
}

/// Why a certificate is on a CRL (RFC 5280, section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified,
    /// The key is in other hands: a clone, a theft.
    KeyCompromise,
    /// The authority's own key is in other hands.
    AuthorityCompromise,
    /// A newer certificate took its place.
    Superseded,
    /// The device is retired.
    CessationOfOperation,
    /// The device is suspended; the certificate may come back.
    CertificateHold,
    /// The device may no longer do what the certificate let it do.
    PrivilegeWithdrawn,
}

/// A signed CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// DER.
    pub der: Vec<u8>,
    /// Its cRLNumber.
    pub number: u64,
    /// Its shard; 0 where the issuer has no shards.
    pub shard: u16,
    /// Unix seconds.
    pub next_update: u64,
}

impl CrlPolicy {
    /// The first shard of the `number`th issuer, counted from 1; none when there were too many.
    pub fn first_of(number: u16) -> Option<u16> {
        number.checked_sub(1)?.checked_mul(Self::MAX_SHARDS)
    }

    /// Which shard speaks for a certificate; none where it is another issuer's.
    pub fn shard_of(&self, serial: &SerialNumber) -> Option<u16> {
        let Some(made_in) = serial.made_in_shard() else {
            return (self.first == 0).then_some(0);
        };
        let own = made_in / Self::MAX_SHARDS == self.first / Self::MAX_SHARDS;
        own.then(|| self.first + made_in % Self::MAX_SHARDS % self.shards.max(1))
    }

    /// Every shard.
    pub fn all(&self) -> std::ops::Range<u16> {
        self.first..self.first.saturating_add(self.shards.max(1))
    }

    /// So many shards one issuer has at most, so that a shard's number says whose it is.
    pub const MAX_SHARDS: u16 = 4096;

    /// The address of one shard.
    pub fn url(&self, shard: u16) -> String {
        format!("{}{shard}.crl", self.base_url)
    }
}

impl Crl {
    /// Signs a full, direct CRL of one shard. `revoked` holds what belongs to this shard, and
    /// nothing twice; for an issuer without a [`CrlPolicy`] the shard is 0 and holds everything.
    ///
    /// # Errors
    /// The shard is not one of the policy's, or the signer fails.
    pub fn sign(
        issuer: &Issuer,
        shard: u16,
        revoked: impl IntoIterator<Item = Revoked>,
        number: u64,
        now: u64,
        next_update: u64,
    ) -> Result<Crl, Error> {
        let shards = issuer.crl_policy().map_or(0..1, CrlPolicy::all);
        if !shards.contains(&shard) {
            return Err(Error::unsuitable("CRL shard")(format!("{shard} of {shards:?}")));
        }
        let url = issuer.crl_policy().map(|policy| policy.url(shard));
        Crl::sign_list(issuer, shard, url, revoked, number, now, next_update)
    }

    /// Signs one CRL of everything that the issuer revoked, for relying parties that take a single
    /// file. It names no distribution point, so its scope is every certificate of the issuer,
    /// whichever shard that one names (RFC 5280, section 5.2.5). Its shard is 0.
    ///
    /// # Errors
    /// The signer fails.
    pub fn sign_whole(
        issuer: &Issuer,
        revoked: impl IntoIterator<Item = Revoked>,
        number: u64,
        now: u64,
        next_update: u64,
    ) -> Result<Crl, Error> {
        Crl::sign_list(issuer, 0, None, revoked, number, now, next_update)
    }

    fn sign_list(
        issuer: &Issuer,
        shard: u16,
        url: Option<String>,
        revoked: impl IntoIterator<Item = Revoked>,
        number: u64,
        now: u64,
        next_update: u64,
    ) -> Result<Crl, Error> {
        let unsuitable = Error::unsuitable("CRL");
        let entries = revoked.into_iter().map(entry).collect::<Result<Vec<_>, Error>>()?;
        let tbs_cert_list = TbsCertList {
            version: Version::V2,
            signature: signature_algorithm(issuer.info().key.kind()),
            issuer: issuer.subject().clone(),
            this_update: time(now)?,
            next_update: Some(time(next_update)?),
            revoked_certificates: (!entries.is_empty()).then_some(entries),
            crl_extensions: Some(extensions(issuer, url.as_deref(), number)?),
        };
        let signature = issuer.signer().sign(&tbs_cert_list.to_der().map_err(&unsuitable)?)?;
        let list: CertificateList = CertificateList {
            signature_algorithm: tbs_cert_list.signature.clone(),
            tbs_cert_list,
            signature: BitString::from_bytes(&signature).map_err(&unsuitable)?,
        };
        let der = list.to_der().map_err(&unsuitable)?;
        Ok(Crl { der, number, shard, next_update })
    }
}

impl RevocationReason {
    /// The code of RFC 5280, section 5.3.1.
    pub fn code(self) -> u8 {
        self.standard() as u8
    }

    /// The reason with this code.
    pub fn from_code(code: u8) -> Option<RevocationReason> {
        ALL_REASONS.into_iter().find(|reason| reason.code() == code)
    }

    fn standard(self) -> CrlReason {
        match self {
            RevocationReason::Unspecified => CrlReason::Unspecified,
            RevocationReason::KeyCompromise => CrlReason::KeyCompromise,
            RevocationReason::AuthorityCompromise => CrlReason::CaCompromise,
            RevocationReason::Superseded => CrlReason::Superseded,
            RevocationReason::CessationOfOperation => CrlReason::CessationOfOperation,
            RevocationReason::CertificateHold => CrlReason::CertificateHold,
            RevocationReason::PrivilegeWithdrawn => CrlReason::PrivilegeWithdrawn,
        }
    }
}

fn entry(revoked: Revoked) -> Result<RevokedCert, Error> {
    // The code "unspecified" is left out, as RFC 5280, section 5.3.1 asks.
    let crl_entry_extensions = match revoked.reason {
        RevocationReason::Unspecified => None,
        reason => Some(vec![
            (false, &reason.standard())
                .to_extension(&Default::default(), &[])
                .map_err(Error::unsuitable("CRL"))?,
        ]),
    };
    Ok(RevokedCert {
        serial_number: x509_cert::serial_number::SerialNumber::new(revoked.serial.as_bytes())
            .map_err(Error::unsuitable("serial number"))?,
        revocation_date: time(revoked.revoked_at)?,
        crl_entry_extensions,
    })
}

fn extensions(
    issuer: &Issuer,
    url: Option<&str>,
    number: u64,
) -> Result<x509_cert::ext::Extensions, Error> {
    let unsuitable = Error::unsuitable("CRL");
    let name = issuer.subject();
    // The identifier is that of the key which signs the CRL, so it is written here from the
    // issuer's own subjectKeyIdentifier.
    let issuer_key = authority_key_identifier(&issuer.identifier())?;
    let number = CrlNumber(Uint::new(&number.to_be_bytes()).map_err(&unsuitable)?);
    let mut list = vec![
        (false, &issuer_key).to_extension(name, &[]).map_err(&unsuitable)?,
        (false, &number).to_extension(name, &[]).map_err(&unsuitable)?,
    ];
    if let Some(url) = url {
        let point = IssuingDistributionPoint {
            distribution_point: Some(full_name(url)?),
            only_contains_user_certs: true,
            only_contains_ca_certs: false,
            only_some_reasons: None,
            indirect_crl: false,
            only_contains_attribute_certs: false,
        };
        let extension = (ID_CE_ISSUING_DISTRIBUTION_POINT, true, &point)
            .to_extension(name, &[])
            .map_err(&unsuitable)?;
        list.push(extension);
    }
    Ok(list)
}

const ALL_REASONS: [RevocationReason; 7] = [
    RevocationReason::Unspecified,
    RevocationReason::KeyCompromise,
    RevocationReason::AuthorityCompromise,
    RevocationReason::Superseded,
    RevocationReason::CessationOfOperation,
    RevocationReason::CertificateHold,
    RevocationReason::PrivilegeWithdrawn,
];
