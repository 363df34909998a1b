use ringfort_cose::Reason;

/// Why a certificate, request or CRL was not read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not the DER (or PEM) structure that was expected.
    #[error("not a valid {what}: {detail}")]
    Malformed {
        /// What was expected.
        what: &'static str,
        /// What the decoder said.
        detail: String,
    },

    /// Longer than the bound.
    #[error("{what} is {size_bytes} bytes, the bound is {bound_bytes}")]
    TooLarge {
        /// What was expected.
        what: &'static str,
        /// How long it is.
        size_bytes: usize,
        /// How long it may be.
        bound_bytes: usize,
    },

    /// The key or signature algorithm is neither ECDSA P-256 with SHA-256 nor Ed25519.
    #[error("{0} is not ECDSA P-256 with SHA-256 or Ed25519")]
    AlgorithmNotAllowed(String),

    /// The signature of a certificate request does not verify under the key it asks for.
    #[error("the request's signature does not verify under its own key")]
    BadProofOfPossession,

    /// A certificate request names someone else.
    #[error("the request names \"{0}\"")]
    NamesAnother(String),

    /// A value that the caller gave cannot stand in a certificate.
    #[error("{what} cannot stand in a certificate: {detail}")]
    Unsuitable {
        /// Which value.
        what: &'static str,
        /// Why.
        detail: String,
    },

    /// The certificate is not one of an authority, or the signer is not its key.
    #[error("not an issuer: {0}")]
    NotAnIssuer(&'static str),

    /// The issuing certificate has ended or has not begun.
    #[error("the issuer's certificate is not valid now")]
    IssuerNotValid,

    /// The signer failed.
    #[error("the signer failed: {0}")]
    Signer(String),
}

impl Error {
    /// The reason code that goes to the peer.
    pub fn reason(&self) -> Reason {
        match self {
            Error::Malformed { .. } => Reason::Malformed,
            Error::TooLarge { .. } => Reason::TooLarge,
            Error::AlgorithmNotAllowed(_) => Reason::AlgorithmNotAllowed,
            Error::BadProofOfPossession => Reason::BadProofOfPossession,
            Error::NamesAnother(_) => Reason::CsrNamesAnother,
            Error::Unsuitable { .. } => Reason::Unsupported,
            Error::IssuerNotValid => Reason::CertificateExpired,
            Error::NotAnIssuer(_) | Error::Signer(_) => Reason::Internal,
        }
    }

    /// For `map_err`: the bytes are not a valid `what`.
    pub(crate) fn malformed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Error {
        move |detail| Error::Malformed { what, detail: detail.to_string() }
    }

    /// For `map_err`: the value `what` cannot be encoded.
    pub(crate) fn unsuitable<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Error {
        move |detail| Error::Unsuitable { what, detail: detail.to_string() }
    }
}
