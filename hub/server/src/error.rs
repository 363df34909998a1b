use std::net::SocketAddr;

/// Why the server did not start, or could not renew what it needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The socket.
    #[error("the socket cannot be used: {0}")]
    Socket(#[from] std::io::Error),
    /// `loopback_only` is set and the socket is reachable from elsewhere.
    #[error("{0} is reachable from other machines, and this hub is for this machine only")]
    NotLoopback(SocketAddr),
    /// Devices and operators cannot be told apart.
    #[error("devices and operators share a port, so their addresses need different names")]
    OneNameForTwo,
    /// No key could be made for the listener.
    #[error("no key could be made for the listener")]
    ServerKey,
    /// An authority's certificate is not what it should be, or its signer failed.
    #[error("a certificate could not be read or made: {0}")]
    Pki(#[from] ringfort_pki::Error),
    /// The Operator CA's certificate cannot be trusted.
    #[error("the Operator CA's certificate cannot be used: {0}")]
    OperatorAuthority(String),
    /// A chain without a certificate.
    #[error("there is no certificate in the operator listener's chain")]
    NoCertificate,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The fleet did not answer.
    #[error("the fleet does not answer: {0}")]
    Fleet(#[from] ringfort_fleet::Refusal),
    /// Another metrics recorder is in place.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
}
