use std::time::SystemTime;

/// Why there is no new certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcmeError {
    /// Nothing answers, or not as an ACME server does.
    #[error("the authority cannot be reached: {0}")]
    Unreachable(String),
    /// The authority has terms that nobody agreed to, or others than those.
    #[error("the authority's terms are not agreed to: {0}")]
    TermsNotAgreed(String),
    /// The account was refused: deactivated, revoked, or asked for what it has not.
    #[error("the authority refuses the account: {0}")]
    AccountRefused(String),
    /// The authority offers no TLS-ALPN-01 for this name.
    #[error("the authority offers no tls-alpn-01 challenge")]
    NoChallenge,
    /// The authority did not find what it looked for at the operators' address.
    #[error("the authority's validation failed: {0}")]
    ChallengeRefused(String),
    /// Too much was asked of the authority.
    #[error("the authority asks to wait: {0}")]
    RateLimited(String),
    /// Any other refusal.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// The authority took too long.
    #[error("the authority did not finish in time")]
    TimedOut,
    /// What came is not a certificate for the operators' name and the key that was made for it.
    #[error("the certificate is refused: {0}")]
    WrongCertificate(String),
    /// It came, and could not be kept.
    #[error("the certificate cannot be kept: {0}")]
    NotKept(String),
    /// A key or a request could not be made.
    #[error("no key or request could be made: {0}")]
    Key(String),
}

impl AcmeError {
    /// A word for logs, metrics and scripts.
    pub fn code(&self) -> &'static str {
        match self {
            AcmeError::Unreachable(_) => "unreachable",
            AcmeError::TermsNotAgreed(_) => "terms-not-agreed",
            AcmeError::AccountRefused(_) => "account-refused",
            AcmeError::NoChallenge => "no-challenge",
            AcmeError::ChallengeRefused(_) => "challenge-refused",
            AcmeError::RateLimited(_) => "rate-limited",
            AcmeError::Refused(_) => "refused",
            AcmeError::TimedOut => "timed-out",
            AcmeError::WrongCertificate(_) => "wrong-certificate",
            AcmeError::NotKept(_) => "not-kept",
            AcmeError::Key(_) => "key",
        }
    }

    /// What to do next.
    pub fn next_step(&self) -> &'static str {
        match self {
            AcmeError::Unreachable(_) | AcmeError::TimedOut => {
                "See whether this machine reaches the authority's directory."
            }
            AcmeError::TermsNotAgreed(_) => {
                "Read them, and write their address as terms under [operators.acme] in hub.toml."
            }
            AcmeError::AccountRefused(_) => {
                "Move keys/acme-account.sealed away and start the hub anew: it makes an account."
            }
            AcmeError::NoChallenge => "Choose an authority that has tls-alpn-01.",
            AcmeError::ChallengeRefused(_) => {
                "The operators' name has to lead to this hub, and its port 443 here."
            }
            AcmeError::RateLimited(_) => "Wait; it is tried again when the authority allows.",
            AcmeError::Refused(_) | AcmeError::WrongCertificate(_) => {
                "Ask the authority; its word stands in the log."
            }
            AcmeError::NotKept(_) => "Make room, and check who may write in the hub's directory.",
            AcmeError::Key(_) => "Report this.",
        }
    }

    /// What the library says, as far as it did not come from a challenge.
    pub(crate) fn from_exchange(error: instant_acme::Error) -> AcmeError {
        match error {
            instant_acme::Error::Api(problem) => AcmeError::from_problem(&problem),
            instant_acme::Error::Timeout(_) => AcmeError::TimedOut,
            instant_acme::Error::Crypto | instant_acme::Error::KeyRejected => {
                AcmeError::Key(error.to_string())
            }
            other => AcmeError::Unreachable(other.to_string()),
        }
    }

    /// What the authority says (RFC 8555, section 6.7).
    pub(crate) fn from_problem(problem: &instant_acme::Problem) -> AcmeError {
        let said = problem.to_string();
        let kind = problem.r#type.as_deref().unwrap_or_default();
        match kind.strip_prefix("urn:ietf:params:acme:error:") {
            Some("rateLimited") => AcmeError::RateLimited(said),
            Some("accountDoesNotExist" | "unauthorized" | "externalAccountRequired") => {
                AcmeError::AccountRefused(said)
            }
            Some("userActionRequired") => AcmeError::TermsNotAgreed(said),
            Some("serverInternal") => AcmeError::Unreachable(said),
            _ => AcmeError::Refused(said),
        }
    }
}

/// What went wrong, and before when nothing should be tried again.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) error: AcmeError,
    pub(crate) retry_after: Option<SystemTime>,
}
