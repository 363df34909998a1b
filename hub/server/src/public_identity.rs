//! A certificate that browsers and systems trust, for the operator listener.

use std::fmt;
use std::sync::Arc;

use ringfort_pki::validity;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::StartError;

/// A certificate chain that a public authority issued, with its key. Whoever has it read hands it
/// to the server, and each later one too.
#[derive(Clone)]
pub struct PublicIdentity {
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) not_after: u64,
}

impl PublicIdentity {
    /// A chain in DER, the listener's own certificate first, and the key for it.
    ///
    /// # Errors
    /// The chain is empty or its first certificate cannot be read, the key is of no kind that can
    /// be used, or the two do not fit.
    pub fn new(chain: Vec<Vec<u8>>, key: PrivateKeyDer<'_>) -> Result<PublicIdentity, StartError> {
        let leaf = chain.first().ok_or(StartError::NoCertificate)?;
        let (_, not_after) = validity(leaf)?;
        let chain = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let certified = CertifiedKey::new(chain, any_supported_type(&key)?);
        certified.keys_match()?;
        Ok(PublicIdentity { certified: Arc::new(certified), not_after })
    }

    /// When the certificate ends, Unix seconds.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }
}

impl PartialEq for PublicIdentity {
    fn eq(&self, other: &PublicIdentity) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl fmt::Debug for PublicIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicIdentity(until {})", self.not_after)
    }
}
