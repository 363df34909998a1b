//! Who is calling: a client's key is proven in the handshake, its certificate is judged after it.
//!
//! The device listener asks for a client certificate and takes any that the peer proves to hold
//! the key of. What it is worth is decided once per connection by [`ClientAuthorities::judge`],
//! also for resumed sessions, so that every refusal reaches the peer with its reason code instead
//! of a bare TLS alert. Nothing that needs a certificate is reachable without a good judgement,
//! and the registry decides every request again.

use std::sync::Arc;
use std::time::Duration;

use ringfort_cose::Reason;
use ringfort_pki::CertificateInfo;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// What a client certificate's authority vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouches {
    /// A factory identity.
    Idevid,
    /// An operational identity.
    Ldevid,
}

/// The authorities that client certificates on the device listener may come from.
#[derive(Default)]
pub struct ClientAuthorities {
    authorities: Vec<Authority>,
}

struct Authority {
    anchor: TrustAnchor<'static>,
    subject: Vec<u8>,
    vouches: Vouches,
    not_before: u64,
    not_after: u64,
}

impl ClientAuthorities {
    /// Adds an authority by its certificate (DER).
    ///
    /// # Errors
    /// It is not a certificate of an authority.
    pub fn add(&mut self, certificate: &[u8], vouches: Vouches) -> Result<(), ringfort_pki::Error> {
        let info = CertificateInfo::parse(certificate)?;
        if !info.is_authority {
            return Err(ringfort_pki::Error::NotAnIssuer("basicConstraints does not say CA"));
        }
        let certificate = CertificateDer::from(certificate);
        let anchor = anchor_from_trusted_cert(&certificate).map_err(|error| {
            ringfort_pki::Error::Malformed { what: "certificate", detail: error.to_string() }
        })?;
        self.authorities.push(Authority {
            anchor: anchor.to_owned(),
            subject: info.subject,
            vouches,
            not_before: info.not_before,
            not_after: info.not_after,
        });
        Ok(())
    }

    /// What the certificate is, when one of the authorities itself issued it and both are in
    /// force. No intermediate is looked at: an authority here issues end entities only.
    ///
    /// # Errors
    /// `unknown-certificate` or `certificate-expired`.
    pub fn judge(&self, certificate: &CertificateDer<'_>, now: u64) -> Result<Vouches, Reason> {
        let leaf = EndEntityCert::try_from(certificate).map_err(|_| Reason::UnknownCertificate)?;
        let mut refusal = Reason::UnknownCertificate;
        for authority in &self.authorities {
            let verified = leaf.verify_for_usage(
                ALGORITHMS,
                std::slice::from_ref(&authority.anchor),
                &[],
                UnixTime::since_unix_epoch(Duration::from_secs(now)),
                KeyUsage::client_auth(),
                None,
                None,
            );
            match verified {
                // A path validator does not look at an anchor's own validity.
                Ok(_) if (authority.not_before..=authority.not_after).contains(&now) => {
                    return Ok(authority.vouches);
                }
                Ok(_)
                | Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {
                    refusal = Reason::CertificateExpired
                }
                Err(_) => {}
            }
        }
        Err(refusal)
    }

    /// The names of the authorities, for the handshake's hint to the client.
    pub fn names(&self) -> Vec<DistinguishedName> {
        self.authorities.iter().map(|a| DistinguishedName::from(a.subject.clone())).collect()
    }
}

/// Asks for a client certificate, and takes any whose key the client proves to hold.
#[derive(Debug)]
pub struct ProofOfPossession {
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ProofOfPossession {
    /// With the names of the authorities as a hint to the client.
    pub fn new(hints: Vec<DistinguishedName>, provider: &Arc<CryptoProvider>) -> ProofOfPossession {
        ProofOfPossession { hints, algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for ProofOfPossession {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}

const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] =
    &[webpki::aws_lc_rs::ECDSA_P256_SHA256, webpki::aws_lc_rs::ED25519];

#[cfg(test)]
mod tests {
    use ringfort_cose::{Sign, SoftSigner};
    use ringfort_pki::{Issuer, Ldevid, Lifetimes, Plan, Role, SubjectKey};

    use super::*;

    const NOW: u64 = 1_790_000_000;
    const DAY: u64 = 86_400;

    #[test]
    fn each_authority_vouches_for_its_own_kind() {
        let pki = Pki::new();
        assert_eq!(pki.judge(&pki.leaf(&pki.device), NOW), Ok(Vouches::Ldevid));
        assert_eq!(pki.judge(&pki.leaf(&pki.factory), NOW), Ok(Vouches::Idevid));
        assert_eq!(pki.judge(&pki.leaf(&pki.operator), NOW), Err(Reason::UnknownCertificate));
    }

    #[test]
    fn a_certificate_is_good_within_its_time_only() {
        let pki = Pki::new();
        let leaf = pki.leaf(&pki.device);
        assert_eq!(pki.judge(&leaf, NOW + DAY - 1), Ok(Vouches::Ldevid));
        assert_eq!(pki.judge(&leaf, NOW + DAY + 1), Err(Reason::CertificateExpired));
        assert_eq!(pki.judge(&leaf, NOW - DAY), Err(Reason::CertificateExpired));
    }

    #[test]
    fn an_authority_that_has_ended_vouches_for_nothing() {
        let pki = Pki::new();
        let device = ringfort_pki::Idevid {
            device_id: "dev-a",
            vendor: "Example",
            model: "lamp",
            class_id: [1; 16],
            ueid: &[1; 17],
            lifetime_days: None,
        };
        let leaf = pki.factory.issue_idevid(&key(), &device, NOW).unwrap().der;
        assert_eq!(pki.judge(&leaf, NOW + 29 * DAY), Ok(Vouches::Idevid));
        assert_eq!(pki.judge(&leaf, NOW + 31 * DAY), Err(Reason::CertificateExpired));
    }

    #[test]
    fn a_stolen_factory_cannot_vouch_for_operational_certificates() {
        let pki = Pki::new();
        // It makes an authority with the Device CA's name, and a certificate of that.
        let signer: Arc<dyn Sign> = Arc::new(SoftSigner::generate_p256().unwrap());
        let key_of_it = SubjectKey::try_from(&signer.public_key()).unwrap();
        let below = pki.plan.issue_authority(&pki.factory, &Role::Device, &key_of_it, NOW).unwrap();
        let below = Issuer::new(&below.der, signer).unwrap();
        assert_eq!(below.info().subject, pki.device.info().subject);
        assert_eq!(pki.judge(&pki.leaf(&below), NOW), Err(Reason::UnknownCertificate));
        assert_eq!(pki.judge(&pki.leaf(&pki.device), NOW), Ok(Vouches::Ldevid));
    }

    #[test]
    fn an_end_entity_is_no_authority() {
        let pki = Pki::new();
        let mut authorities = ClientAuthorities::default();
        assert!(authorities.add(&pki.leaf(&pki.device), Vouches::Ldevid).is_err());
        assert!(authorities.add(pki.device.certificate_der(), Vouches::Ldevid).is_ok());
    }

    struct Pki {
        plan: Plan,
        factory: Issuer,
        device: Issuer,
        operator: Issuer,
    }

    impl Pki {
        fn new() -> Pki {
            let plan = Plan {
                organisation: "Example".into(),
                name: "test".into(),
                lifetimes: Lifetimes::all_end_in(30),
            };
            let root = plan.create_root(&Role::Root, signer(), NOW).unwrap();
            let authority = |role| {
                let signer = signer();
                let key = SubjectKey::try_from(&signer.public_key()).unwrap();
                let issued = plan.issue_authority(&root, &role, &key, NOW).unwrap();
                Issuer::new(&issued.der, signer).unwrap()
            };
            Pki {
                factory: authority(Role::Factory { site: "north".into() }),
                device: authority(Role::Device),
                operator: authority(Role::Operator),
                plan,
            }
        }

        fn leaf(&self, issuer: &Issuer) -> Vec<u8> {
            let profile = Ldevid { device_id: "dev-a", hardware: None, lifetime_days: 1 };
            issuer.issue_ldevid(&key(), &profile, NOW).unwrap().der
        }

        fn judge(&self, leaf: &[u8], now: u64) -> Result<Vouches, Reason> {
            let mut authorities = ClientAuthorities::default();
            authorities.add(self.device.certificate_der(), Vouches::Ldevid).unwrap();
            authorities.add(self.factory.certificate_der(), Vouches::Idevid).unwrap();
            authorities.judge(&CertificateDer::from(leaf), now)
        }
    }

    fn signer() -> Arc<dyn Sign> {
        Arc::new(SoftSigner::generate_p256().unwrap())
    }

    fn key() -> SubjectKey {
        SubjectKey::try_from(&signer().public_key()).unwrap()
    }
}
