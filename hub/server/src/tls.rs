//! The TLS side of both listeners.
//!
//! Server keys are made in memory, certified by the Server CA and never written anywhere.
//! Configurations are built whole and swapped whole. Tickets resume the cryptography only: who the
//! client is and what it may do is judged again at each connection and each request.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use ringfort_pki::{Issuer, KeyKind, Server, ServerName, SubjectKey};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, ServerConfig, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, SupportedProtocolVersion};

use crate::client_auth::{ClientAuthorities, ProofOfPossession};
use crate::{PublicIdentity, StartError};

/// What makes a listener's TLS configuration.
pub(crate) struct TlsMaker {
    provider: Arc<CryptoProvider>,
    /// Each listener has its own ticket keys; they rotate by themselves and outlive swaps.
    tickets: Arc<dyn ProducesTickets>,
    /// A session that began without a certificate is not resumed where one is asked for.
    inviting_tickets: Arc<dyn ProducesTickets>,
    server_ca: Issuer,
    names: Vec<ServerName>,
    lifetime_days: u32,
}

/// A certified server key, and until when it is good.
#[derive(Clone)]
pub(crate) struct Identity {
    certified: Arc<CertifiedKey>,
    /// When to make the next one: after two thirds of its life. Unix seconds.
    pub(crate) renew_at: u64,
}

/// What operators are met with.
pub(crate) struct OperatorConfigs {
    pub(crate) strict: Arc<ServerConfig>,
    pub(crate) inviting: Arc<ServerConfig>,
}

impl Identity {
    /// A certificate that others issued and others renew.
    pub(crate) fn of_others(public: &PublicIdentity) -> Identity {
        Identity { certified: public.certified.clone(), renew_at: u64::MAX }
    }

    /// Whether both are the same certificate.
    pub(crate) fn is(&self, other: &Identity) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl TlsMaker {
    pub(crate) fn new(
        server_ca: Issuer,
        names: Vec<ServerName>,
        lifetime_days: u32,
    ) -> Result<TlsMaker, StartError> {
        Ok(TlsMaker {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            tickets: rustls::crypto::aws_lc_rs::Ticketer::new()?,
            inviting_tickets: rustls::crypto::aws_lc_rs::Ticketer::new()?,
            server_ca,
            names,
            lifetime_days,
        })
    }

    /// Makes a key and has the Server CA certify it.
    pub(crate) fn identity(&self) -> Result<Identity, StartError> {
        let no_key = |_| StartError::ServerKey;
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .map_err(no_key)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref())
            .map_err(|_| StartError::ServerKey)?;
        let key = SubjectKey::from_raw(KeyKind::P256, pair.public_key().as_ref())?;
        let now = unix_now();
        let profile = Server { names: &self.names, lifetime_days: self.lifetime_days };
        let issued = self.server_ca.issue_server(&key, &profile, now)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_ref()));
        let chain = vec![
            CertificateDer::from(issued.der),
            CertificateDer::from(self.server_ca.certificate_der().to_vec()),
        ];
        let certified = Arc::new(CertifiedKey::new(chain, any_ecdsa_type(&private)?));
        let life = issued.not_after.saturating_sub(now);
        Ok(Identity { certified, renew_at: now + life * 2 / 3 })
    }

    /// The device listener's configuration: TLS 1.3, and 1.2 for EST clients that know no other.
    pub(crate) fn device_config(
        &self,
        identity: &Identity,
        authorities: &ClientAuthorities,
    ) -> Result<Arc<ServerConfig>, StartError> {
        let verifier = ProofOfPossession::new(authorities.names(), &self.provider);
        self.config(identity, Arc::new(verifier), rustls::ALL_VERSIONS, &self.tickets)
    }

    /// The operator listener's configurations: TLS 1.3, a certificate of an Operator CA
    /// or no connection; and while somebody is invited, a certificate of one of them or none.
    pub(crate) fn operator_configs(
        &self,
        identity: &Identity,
        operator_cas: &[Vec<u8>],
    ) -> Result<OperatorConfigs, StartError> {
        let mut roots = RootCertStore::empty();
        for operator_ca in operator_cas {
            roots.add(CertificateDer::from(operator_ca.clone()))?;
        }
        let unusable =
            |error: VerifierBuilderError| StartError::OperatorAuthority(error.to_string());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let with = verifier.clone().build().map_err(unusable)?;
        let without = verifier.allow_unauthenticated().build().map_err(unusable)?;
        let versions = &[&rustls::version::TLS13];
        Ok(OperatorConfigs {
            strict: self.config(identity, with, versions, &self.tickets)?,
            inviting: self.config(identity, without, versions, &self.inviting_tickets)?,
        })
    }

    fn config(
        &self,
        identity: &Identity,
        verifier: Arc<dyn ClientCertVerifier>,
        versions: &[&'static SupportedProtocolVersion],
        tickets: &Arc<dyn ProducesTickets>,
    ) -> Result<Arc<ServerConfig>, StartError> {
        let resolver = SingleCertAndKey::from(identity.certified.as_ref().clone());
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        config.ticketer = tickets.clone();
        // Two are for clients that open several connections at once; ours keep one.
        config.send_tls13_tickets = 1;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The machine's clock, Unix seconds.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
