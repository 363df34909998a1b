//! TLS 1.3 to the hub: trusted are the Server CA certificates of the anchors, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use ringfort_cose::Sign;
use ringfort_device::{Clock, Uptime};
use ringfort_trust::TimeFloor;
use ringfort_trust::ids::UnixTime;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime as TlsTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::keys::read_certificate;

/// What the agent believes about servers, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// The Server CA certificates of the anchors.
    pub(crate) server_cas: Vec<Vec<u8>>,
    pub(crate) clock: Clock,
    pub(crate) floor: TimeFloor,
    pub(crate) uptime: Uptime,
}

/// Who the agent says it is: a certificate chain and its key.
pub(crate) type Identity = (Vec<Vec<u8>>, Arc<dyn Sign>);

impl Trust {
    /// A configuration that believes only servers under the anchors.
    pub(crate) fn client(&self, identity: Option<Identity>) -> Result<Arc<ClientConfig>, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.server_cas {
            roots.add(CertificateDer::from(certificate.as_slice()).into_owned())?;
        }
        let provider = provider();
        config(provider, Belief::Anchors { trust: self.clone(), roots }, identity)
    }
}

/// A configuration that believes any server: for the anchors chain alone, which proves itself.
pub(crate) fn unauthenticated() -> Result<Arc<ClientConfig>, Error> {
    config(provider(), Belief::Anyone, None)
}

fn config(
    provider: Arc<CryptoProvider>,
    belief: Belief,
    identity: Option<Identity>,
) -> Result<Arc<ClientConfig>, Error> {
    let verifier = Arc::new(Verifier { belief, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some((chain, key)) => builder
            .with_client_cert_resolver(ringfort_keystore::tls::client_certificate(chain, key)),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would not be validated again at the time that was learnt since.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// X25519MLKEM768 first, as the provider has it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Which servers are believed.
#[derive(Debug)]
enum Belief {
    /// Those under the Server CA certificates of the anchors.
    Anchors {
        /// What the time is, among other things.
        trust: Trust,
        /// The Server CA certificates.
        roots: RootCertStore,
    },
    /// Every one that holds the key of the certificate that it shows.
    Anyone,
}

#[derive(Debug)]
struct Verifier {
    belief: Belief,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    /// The time at which the chain is judged: signed time, or else the later of the floor and the
    /// latest notBefore in the chain.
    fn time(&self, chain: &[&CertificateDer<'_>]) -> Result<TlsTime, Error> {
        let mut latest = UnixTime(0);
        for certificate in chain {
            let (validity, _) = read_certificate(certificate)
                .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
            latest = latest.max(validity.from);
        }
        let time = self.clock.tls_time(&self.floor, latest, self.uptime);
        Ok(TlsTime::since_unix_epoch(Duration::from_secs(time.0)))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: TlsTime,
    ) -> Result<ServerCertVerified, Error> {
        let Belief::Anchors { trust, roots } = &self.belief else {
            return Ok(ServerCertVerified::assertion());
        };
        let mut chain = vec![end_entity];
        chain.extend(intermediates);
        let time = trust.time(&chain)?;
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            roots,
            intermediates,
            time,
            self.provider.signature_verification_algorithms.all,
        )?;
        verify_server_name(&parsed, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
