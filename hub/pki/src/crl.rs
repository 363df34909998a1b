use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use der::asn1::Uint;
use der::{Encode, Tag, TagNumber};
use x509_cert::Version;
use x509_cert::ext::ToExtension;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::{CrlNumber, CrlReason};

use crate::issuer::time;
use crate::key::signature_algorithm;
use crate::profile::{authority_key_identifier, full_name};
use crate::tlv::{signed, tlv};
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
        let algorithm = signature_algorithm(issuer.info().key.kind());
        let entries = entries(revoked)?;
        let extensions = extensions(issuer, url.as_deref(), number)?;
        let (this_update, next) = (time(now)?, time(next_update)?);
        let content = || {
            let extensions = tlv(EXTENSIONS, &[&extensions.to_der()?])?;
            let revoked = match entries.is_empty() {
                true => Vec::new(),
                false => tlv(Tag::Sequence, &[&entries])?,
            };
            // TBSCertList (RFC 5280, section 5.1).
            let parts = [
                &Version::V2.to_der()?[..],
                &algorithm.to_der()?,
                &issuer.subject().to_der()?,
                &this_update.to_der()?,
                &next.to_der()?,
                &revoked,
                &extensions,
            ];
            tlv(Tag::Sequence, &parts)
        };
        let unsuitable = Error::unsuitable("CRL");
        let content = content().map_err(&unsuitable)?;
        let signature = issuer.signer().sign(&content)?;
        let der = signed(&content, &algorithm, &signature).map_err(&unsuitable)?;
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

/// Every entry, one after the other. There may be a hundred thousand: each is written as it stands.
fn entries(revoked: impl IntoIterator<Item = Revoked>) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    for revoked in revoked {
        let date = time(revoked.revoked_at)?.to_der().map_err(Error::unsuitable("CRL"))?;
        let serial = revoked.serial.as_bytes();
        // A first bit that is set would make it negative.
        let sign: &[u8] = if serial[0] & 0x80 == 0 { &[] } else { &[0] };
        let serial_len = sign.len() + serial.len();
        if serial_len > MAX_SERIAL_BYTES {
            return Err(Error::unsuitable("serial number")("longer than 20 bytes"));
        }
        // The code "unspecified" is left out, as RFC 5280, section 5.3.1 asks.
        let code = [revoked.reason.code()];
        let reason: [&[u8]; 2] = match revoked.reason {
            RevocationReason::Unspecified => [&[], &[]],
            _ => [REASON_CODE, &code],
        };
        let length = 2 + serial_len + date.len() + reason[0].len() + reason[1].len();
        // 22 bytes of serial number, 17 of time and 14 of reason at most: one byte says how many.
        out.extend_from_slice(&[0x30, length as u8, 0x02, serial_len as u8]);
        for part in [sign, serial, &date, reason[0], reason[1]] {
            out.extend_from_slice(part);
        }
    }
    Ok(out)
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

/// crlExtensions: [0] EXPLICIT.
const EXTENSIONS: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
/// The extensions of an entry with its reasonCode, up to the code (RFC 5280, section 5.3.1).
const REASON_CODE: &[u8] =
    &[0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01];
/// RFC 5280, section 4.1.2.2.
const MAX_SERIAL_BYTES: usize = 20;
const ALL_REASONS: [RevocationReason; 7] = [
    RevocationReason::Unspecified,
    RevocationReason::KeyCompromise,
    RevocationReason::AuthorityCompromise,
    RevocationReason::Superseded,
    RevocationReason::CessationOfOperation,
    RevocationReason::CertificateHold,
    RevocationReason::PrivilegeWithdrawn,
];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use der::Decode;
    use ringfort_cose::{Sign, SoftSigner};
    use x509_cert::crl::CertificateList;

    use super::*;
    use crate::{Lifetimes, Plan, Role};

    const NOW: u64 = 1_790_000_000;

    fn issuer() -> Issuer {
        let plan = Plan {
            organisation: "Example".into(),
            name: "test".into(),
            lifetimes: Lifetimes::all_end_in(30),
        };
        let signer: Arc<dyn Sign> = Arc::new(SoftSigner::generate_p256().unwrap());
        plan.create_root(&Role::Root, signer, NOW).unwrap()
    }

    fn serial(bytes: &[u8]) -> SerialNumber {
        SerialNumber::from_bytes(bytes).unwrap()
    }

    #[test]
    fn what_is_written_by_hand_is_what_another_encoder_writes() {
        let serials = [&[0x10][..], &[0x80], &[0x7f; 20], &[0xff; 19], &[0x52; 18]];
        let revoked: Vec<Revoked> = serials
            .iter()
            .enumerate()
            .flat_map(|(place, bytes)| {
                let mut bytes = bytes.to_vec();
                ALL_REASONS.into_iter().map(move |reason| {
                    *bytes.last_mut().unwrap() ^= reason.code();
                    // Both kinds of time: until 2049 and after.
                    let revoked_at = NOW + place as u64 * 1_000_000_000;
                    Revoked { serial: serial(&bytes), revoked_at, reason }
                })
            })
            .collect();
        let issuer = issuer();
        let crl = Crl::sign_whole(&issuer, revoked.clone(), 7, NOW, NOW + 60).unwrap();
        let list: CertificateList = CertificateList::from_der(&crl.der).unwrap();
        assert_eq!(list.to_der().unwrap(), crl.der);
        let entries = list.tbs_cert_list.revoked_certificates.unwrap();
        assert_eq!(entries.len(), revoked.len());
        for (entry, revoked) in entries.iter().zip(&revoked) {
            let own = SerialNumber::from_bytes(entry.serial_number.as_bytes()).unwrap();
            assert_eq!(own, revoked.serial);
            assert_eq!(entry.revocation_date.to_unix_duration().as_secs(), revoked.revoked_at);
            let extensions = entry.crl_entry_extensions.as_deref().unwrap_or_default();
            let codes: Vec<u8> = extensions
                .iter()
                .map(|e| CrlReason::from_der(e.extn_value.as_bytes()).unwrap() as u8)
                .collect();
            match revoked.reason {
                RevocationReason::Unspecified => assert_eq!(codes, []),
                reason => assert_eq!(codes, [reason.code()]),
            }
        }
        let empty = Crl::sign_whole(&issuer, [], 7, NOW, NOW + 60).unwrap();
        let list: CertificateList = CertificateList::from_der(&empty.der).unwrap();
        assert_eq!(
            (list.to_der().unwrap(), list.tbs_cert_list.revoked_certificates),
            (empty.der, None)
        );
    }

    #[test]
    fn a_serial_number_that_no_certificate_can_have_is_not_written() {
        let entry = |bytes: &[u8]| {
            let reason = RevocationReason::KeyCompromise;
            [Revoked { serial: serial(bytes), revoked_at: NOW, reason }]
        };
        assert!(Crl::sign_whole(&issuer(), entry(&[0xff; 20]), 7, NOW, NOW + 60).is_err());
        assert!(Crl::sign_whole(&issuer(), entry(&[0x7f; 20]), 7, NOW, NOW + 60).is_ok());
    }
}
