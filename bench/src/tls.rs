//! TLS 1.3 in the hub's settings, with keys and certificates made for the moment.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use ringfort_cose::{Sign, SoftSigner};
use ringfort_pki::{Csr, Issuer, Lifetimes, Plan, Role, Server, ServerName, SubjectKey};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::device::Key;

/// A server for localhost: its key, its certificate and the authority above that, DER.
pub struct Identity {
    key: Key,
    certificate: Vec<u8>,
    authority: Vec<u8>,
}

impl Identity {
    /// A new one.
    pub fn new() -> Result<Identity> {
        let (key, authority) = (Key::generate()?, authority(&Role::Server)?);
        let names = [ServerName::Dns("localhost".into())];
        let profile = Server { names: &names, lifetime_days: 1 };
        let certificate = authority.issue_server(&subject(&key)?, &profile, now())?.der;
        Ok(Identity { key, certificate, authority: authority.certificate_der().to_vec() })
    }

    /// Writes it into a directory, for another process.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let Identity { key, certificate, authority } = self;
        for (name, bytes) in FILES.iter().zip([&key.pkcs8, certificate, authority]) {
            fs::write(directory.join(name), bytes)?;
        }
        Ok(())
    }

    /// Reads what was written.
    pub fn read(directory: &Path) -> Result<Identity> {
        let [pkcs8, certificate, authority] = FILES.map(|name| fs::read(directory.join(name)));
        let key = Key { pkcs8: pkcs8? };
        Ok(Identity { key, certificate: certificate?, authority: authority? })
    }

    /// What its clients trust.
    pub fn roots(&self) -> Result<Arc<RootCertStore>> {
        roots(&self.authority)
    }

    /// Its configuration, for clients that this authority certified.
    pub fn config(&self, clients: &[u8]) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots(clients)?, Arc::clone(&provider))
                .build()?;
        let chain = [&self.certificate, &self.authority];
        let chain = chain.map(|der| CertificateDer::from(der.clone())).to_vec();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.pkcs8.clone()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// An authority below a root of its own.
pub fn authority(role: &Role) -> Result<Issuer> {
    let plan = Plan {
        organisation: "Bench".into(),
        name: "bench".into(),
        lifetimes: Lifetimes::all_end_in(2),
    };
    let signer = || -> Result<Arc<dyn Sign>> { Ok(Arc::new(SoftSigner::generate_p256()?)) };
    let root = plan.create_root(&Role::Root, signer()?, now())?;
    let signer = signer()?;
    let key = SubjectKey::try_from(&signer.public_key())?;
    Ok(Issuer::new(&plan.issue_authority(&root, role, &key, now())?.der, signer)?)
}

/// What a certificate says of a key.
pub fn subject(key: &Key) -> Result<SubjectKey> {
    Ok(Csr::parse(&key.request()?)?.key().clone())
}

/// Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn roots(authority: &[u8]) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec()))?;
    Ok(Arc::new(roots))
}

const FILES: [&str; 3] = ["key", "certificate", "authority"];
