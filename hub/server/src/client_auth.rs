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
