//! TLS-ALPN-01 (RFC 8737): what the listener answers an authority's validation with.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::AcmeError;

/// What waits for an authority to look at it. Outside of a validation there is nothing, and a
/// client that asks for the protocol is refused as for any other that is not spoken.
pub struct Challenges {
    provider: Arc<CryptoProvider>,
    /// By name in lower case.
    held: RwLock<HashMap<String, Arc<ServerConfig>>>,
}

/// Is there to be seen for as long as it lives.
#[must_use]
pub struct Presented {
    challenges: Arc<Challenges>,
    name: String,
}

impl Default for Challenges {
    fn default() -> Challenges {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Challenges { provider, held: RwLock::default() }
    }
}

impl Challenges {
    /// Whether a handshake is a validation that somebody waits for: the client offers the
    /// validation's protocol and nothing else, for a name that has a challenge. The connection ends
    /// with the handshake.
    pub fn answer(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut offered = hello.alpn()?;
        if offered.next() != Some(PROTOCOL) || offered.next().is_some() {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        self.held.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }

    /// Shows the digest of a key authorization under a name.
    ///
    /// # Errors
    /// [`AcmeError::Key`].
    pub fn present(
        self: &Arc<Challenges>,
        name: &str,
        digest: &[u8],
    ) -> Result<Presented, AcmeError> {
        let name = name.to_ascii_lowercase();
        let config =
            self.config(&name, digest).map_err(|error| AcmeError::Key(error.to_string()))?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(name.clone(), Arc::new(config));
        Ok(Presented { challenges: Arc::clone(self), name })
    }

    /// A certificate that nobody but the authority is shown: self-signed, with the name and the
    /// digest (RFC 8737, section 3).
    fn config(
        &self,
        name: &str,
        digest: &[u8],
    ) -> Result<ServerConfig, Box<dyn std::error::Error>> {
        if digest.len() != 32 {
            return Err("a digest of another length".into());
        }
        let mut parameters = CertificateParams::new([name.to_owned()])?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let certified =
            CertifiedKey::new(vec![certificate.der().clone()], any_ecdsa_type(&private)?);
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl Drop for Presented {
    fn drop(&mut self) {
        let mut held = self.challenges.held.write().unwrap_or_else(PoisonError::into_inner);
        held.remove(&self.name);
    }
}

/// The protocol's name (RFC 8737, section 6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";
