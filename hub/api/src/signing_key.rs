//! TLS client authentication with a key that signs elsewhere.

use std::fmt;
use std::sync::Arc;

use ringfort_cose::{Algorithm, Sign};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// A `ringfort_cose::Sign` as rustls wants it.
#[derive(Clone)]
pub(crate) struct RemoteKey(pub(crate) Arc<dyn Sign>);

impl RemoteKey {
    fn kind(&self) -> (SignatureScheme, SignatureAlgorithm) {
        match self.0.algorithm() {
            Algorithm::Ed25519 => (SignatureScheme::ED25519, SignatureAlgorithm::ED25519),
            Algorithm::Esp256 | Algorithm::Es256 => {
                (SignatureScheme::ECDSA_NISTP256_SHA256, SignatureAlgorithm::ECDSA)
            }
        }
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.kind().0).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.kind().1
    }
}

impl Signer for RemoteKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        ringfort_pki::sign_der(self.0.as_ref(), message)
            .map_err(|error| Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.kind().0
    }
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteKey")
    }
}
