use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use ringfort_cose::Reason;
use ringfort_fleet::{CertificateKind, ClientCertificate, DeviceSession};
use ringfort_http::{Refused, Seen};
use ringfort_messages::DeviceId;
use tokio_util::sync::CancellationToken;

use crate::Gateway;

/// Who is at the other end of a connection, as the handshake showed.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its certificate, whose key it proved to hold and which one of our authorities issued; or
    /// why there is none.
    pub certificate: Result<Arc<DeviceCertificate>, Reason>,
    /// Its connection.
    pub connection: ConnectionHandle,
}

/// A client certificate that one of our authorities issued and whose key the client holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCertificate {
    /// DER.
    pub der: Vec<u8>,
    /// SHA-256 of it.
    pub fingerprint: [u8; 32],
    /// Which authority issued it.
    pub kind: CertificateKind,
}

/// A hold on a connection: says which device it is with, and closes it.
#[derive(Clone, Default)]
pub struct ConnectionHandle {
    closing: CancellationToken,
    device: Arc<OnceLock<DeviceId>>,
    operator: Arc<OnceLock<[u8; 32]>>,
}

impl ConnectionHandle {
    /// A handle whose connection closes with its parent.
    pub fn new(closing: CancellationToken) -> ConnectionHandle {
        ConnectionHandle { closing, device: Arc::default(), operator: Arc::default() }
    }

    /// The device at the other end, once it was identified.
    pub fn device(&self) -> Option<DeviceId> {
        self.device.get().copied()
    }

    /// Notes which device it is; the first word counts.
    pub fn is_with(&self, device: DeviceId) {
        let _ = self.device.set(device);
    }

    /// SHA-256 of the operator's certificate at the other end.
    pub fn operator(&self) -> Option<[u8; 32]> {
        self.operator.get().copied()
    }

    /// Notes which operator's certificate it is; the first word counts.
    pub fn is_with_operator(&self, fingerprint: [u8; 32]) {
        let _ = self.operator.set(fingerprint);
    }

    /// Whether it was asked to close.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Asks the connection to close after the answer in progress.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Ends when the connection has to close.
    pub async fn closed(&self) {
        self.closing.cancelled().await;
    }
}

impl fmt::Debug for ConnectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionHandle").field(&self.device.get()).finish()
    }
}

/// Which certificate a path takes.
#[derive(Clone, Copy)]
pub(crate) enum Takes {
    Idevid,
    Ldevid,
    Either,
}

impl Gateway {
    /// The registry's word on the peer, asked at every request. Whoever is refused here has its
    /// connection closed too.
    pub(crate) async fn session(
        &self,
        peer: &Peer,
        takes: Takes,
        seen: &Seen,
    ) -> Result<DeviceSession, Refused> {
        let certificate = peer.certificate.as_ref().map_err(|reason| Refused::from(*reason))?;
        let fits = match takes {
            Takes::Idevid => certificate.kind == CertificateKind::IDevId,
            Takes::Ldevid => certificate.kind == CertificateKind::LDevId,
            Takes::Either => true,
        };
        if !fits {
            return Err(Refused::from(Reason::WrongCertificateKind));
        }
        let certificate = ClientCertificate {
            der: &certificate.der,
            fingerprint: certificate.fingerprint,
            kind: certificate.kind,
        };
        match self.fleet.identify(&certificate).await {
            Ok(session) => {
                peer.connection.is_with(session.device());
                seen.set(session.device().as_str());
                Ok(session)
            }
            Err(refusal) => {
                peer.connection.close();
                Err(refused(refusal))
            }
        }
    }
}

/// A refusal of the fleet as an answer.
pub(crate) fn refused(refusal: ringfort_fleet::Refusal) -> Refused {
    Refused::new(refusal.reason, refusal.detail)
}
