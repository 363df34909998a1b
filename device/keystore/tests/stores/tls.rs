//! TLS client authentication with keys that stay in their stores, against a rustls server.

use std::sync::Arc;

use ringfort_cose::{Algorithm, PublicKey};
use ringfort_keystore::{KeyStore, Label, Pkcs11Store, SealedFile, StoreKey, StoreSecret, tls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use crate::support::with_tokens;

#[test]
fn sealed_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keystore");
    let store = Arc::new(SealedFile::open(&path, &StoreSecret::InDirectory).unwrap());
    let authority = Authority::new();
    for algorithm in [Algorithm::Esp256, Algorithm::Ed25519] {
        authenticates(&authority, store.clone(), algorithm);
    }
    a_certificate_of_another_key_is_refused(&authority, store);
}

#[test]
fn pkcs11() {
    with_tokens("tls::pkcs11", |tokens| {
        let store = Arc::new(Pkcs11Store::open(&tokens.create("device")).unwrap());
        let authority = Authority::new();
        authenticates(&authority, store.clone(), Algorithm::Esp256);
        a_certificate_of_another_key_is_refused(&authority, store);
    });
}

fn authenticates(authority: &Authority, store: Arc<dyn KeyStore>, algorithm: Algorithm) {
    let label = Label::new(&format!("tls{}", algorithm.id())).unwrap();
    let public = store.generate(&label, algorithm).unwrap();
    let certificate = authority.issue(public);
    store.put_certificates(&label, std::slice::from_ref(&certificate)).unwrap();
    let chain = store.certificates(&label).unwrap();
    let key = Arc::new(StoreKey::new(store, label).unwrap());
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let resolver = tls::client_certificate(chain.clone(), key.clone());
        let seen = authority.handshake(version, resolver).unwrap();
        assert_eq!(seen, certificate, "{version:?}");
    }
}

fn a_certificate_of_another_key_is_refused(authority: &Authority, store: Arc<dyn KeyStore>) {
    let (own, other) = (Label::new("own").unwrap(), Label::new("other").unwrap());
    store.generate(&own, Algorithm::Esp256).unwrap();
    let public = store.generate(&other, Algorithm::Esp256).unwrap();
    let certificate = authority.issue(public);
    let key = Arc::new(StoreKey::new(store, own).unwrap());
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let resolver = tls::client_certificate(vec![certificate.clone()], key.clone());
        let refused = authority.handshake(version, resolver).unwrap_err();
        assert!(matches!(refused, rustls::Error::InvalidCertificate(_)), "{refused}");
    }
}

/// A CA with a server of its own.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Authority {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Authority { issuer: rcgen::Issuer::new(params, key), certificate }
    }

    fn issue(&self, key: PublicKey) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "device");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.signed_by(&Certified(key), &self.issuer).unwrap().der().to_vec()
    }

    /// Shakes hands in memory; returns the client certificate that the server saw.
    fn handshake(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
        resolver: Arc<dyn rustls::client::ResolvesClientCert>,
    ) -> Result<Vec<u8>, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let roots = Arc::new(roots);

        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["hub.test".into()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(resolver);

        let name = ServerName::try_from("hub.test").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            pass(&mut client, &mut server)?;
            pass(&mut server, &mut client)?;
        }
        Ok(server.peer_certificates().unwrap()[0].to_vec())
    }
}

/// The public key of a store, for the test's CA to certify.
struct Certified(PublicKey);

impl rcgen::PublicKeyData for Certified {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.0 {
            PublicKey::P256(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
            PublicKey::Ed25519(_) => &rcgen::PKCS_ED25519,
        }
    }
}

/// Carries what one side wrote to the other.
fn pass<A, B, S, T>(from: &mut A, to: &mut B) -> Result<(), rustls::Error>
where
    A: std::ops::DerefMut<Target = rustls::ConnectionCommon<S>>,
    B: std::ops::DerefMut<Target = rustls::ConnectionCommon<T>>,
    S: rustls::SideData,
    T: rustls::SideData,
{
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        to.read_tls(&mut wire).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}
