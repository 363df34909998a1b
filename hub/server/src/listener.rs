//! One listener: accepts, bounds, ends TLS, and hands requests to a router.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ringfort_cose::Reason;
use ringfort_gateway::ConnectionHandle;
use ringfort_http::ServerNameIndication;
use rustls::{CertificateError, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::connections::{Connections, OpenConnection};
use crate::watched_io::WatchedIo;

/// The bounds of a listener. Every wait ends.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the connection to the end of the handshake.
    pub handshake: Duration,
    /// From the end of the handshake, or of the request before, to the end of a request's headers.
    pub headers: Duration,
    /// For the body of a request that is read whole.
    pub body: Duration,
    /// For a connection on which nothing moves.
    pub idle: Duration,
    /// For requests in progress when the server stops.
    pub drain: Duration,
    /// Open connections of a listener.
    pub connections: usize,
    /// Open connections of one address; a site behind one address translator counts as one.
    pub connections_per_address: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(60),
            body: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            drain: Duration::from_secs(10),
            connections: 8192,
            connections_per_address: 1024,
        }
    }
}

/// Puts who is calling into a request's extensions. One is made per connection.
pub(crate) type Introduce = Box<dyn Fn(&mut http::Extensions) + Send + Sync>;
/// Reads who is calling out of a finished handshake.
pub(crate) type Meet = Box<
    dyn Fn(SocketAddr, &rustls::ServerConnection, &ConnectionHandle) -> Introduce + Send + Sync,
>;

pub(crate) struct Listener {
    pub(crate) name: &'static str,
    pub(crate) tls: Arc<ArcSwap<ServerConfig>>,
    pub(crate) router: Router,
    pub(crate) meet: Meet,
    pub(crate) limits: Limits,
    pub(crate) connections: Arc<Connections>,
    pub(crate) loopback_only: bool,
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Listener {
    /// Accepts until the server stops.
    pub(crate) async fn run(self: Arc<Listener>, socket: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.stopping.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address),
                Err(error) => {
                    // Out of descriptors, most likely: waiting lets some go.
                    tracing::error!(listener = self.name, %error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Listener>, stream: TcpStream, address: SocketAddr) {
        if self.loopback_only && !is_loopback(address.ip()) {
            self.turned_away(address, "not-loopback");
            return;
        }
        let handle = ConnectionHandle::new(self.stopping.child_token());
        let Some(open) = self.connections.admit(address.ip(), handle) else {
            self.turned_away(address, Reason::TooManyRequests.code());
            return;
        };
        let listener = self.clone();
        self.tasks.spawn(async move { listener.serve(stream, address, open).await });
    }

    async fn serve(&self, stream: TcpStream, address: SocketAddr, open: OpenConnection) {
        let _ = stream.set_nodelay(true);
        let acceptor = TlsAcceptor::from(self.tls.load_full());
        let stream = WatchedIo::new(stream, self.limits.idle);
        let accepted = tokio::select! {
            () = open.handle.closed() => return,
            accepted = timeout(self.limits.handshake, acceptor.accept(stream)) => accepted,
        };
        let stream = match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.turned_away(address, handshake_reason(&error)),
            Err(_) => return self.turned_away(address, Reason::SlowTransfer.code()),
        };
        self.serve_http(stream, address, &open.handle).await;
    }

    async fn serve_http(
        &self,
        stream: TlsStream<WatchedIo<TcpStream>>,
        address: SocketAddr,
        handle: &ConnectionHandle,
    ) {
        let tls = stream.get_ref().1;
        let introduce = Arc::new((self.meet)(address, tls, handle));
        let indication = ServerNameIndication(tls.server_name().map(Arc::from));
        metrics::counter!("ringfort_handshakes_total", "listener" => self.name,
            "protocol" => protocol(tls), "resumed" => resumed(tls))
        .increment(1);

        let service = service_fn(|request: Request<Incoming>| {
            let (router, introduce) = (self.router.clone(), introduce.clone());
            let indication = indication.clone();
            async move {
                let mut request = request.map(Body::new);
                introduce(request.extensions_mut());
                request.extensions_mut().insert(indication);
                Ok::<_, Infallible>(match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                })
            }
        });
        let builder = self.http();
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = handle.closed() => {
                connection.as_mut().graceful_shutdown();
                match timeout(self.limits.drain, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return tracing::warn!(listener = self.name, %address, "cut off"),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(listener = self.name, %address, %error, "connection ended");
        }
    }

    fn http(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.headers)
            .max_buf_size(MAX_HEADER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES as u32);
        builder
    }

    fn turned_away(&self, address: SocketAddr, reason: &'static str) {
        metrics::counter!("ringfort_connections_refused_total", "listener" => self.name,
            "reason" => reason)
        .increment(1);
        tracing::info!(listener = self.name, %address, reason, "connection refused");
    }
}

/// Whether an address is this machine's own, also as IPv4 in IPv6.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The reason code of a handshake that failed.
fn handshake_reason(error: &std::io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::NoCertificatesPresented) => Reason::NoClientCertificate.code(),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Reason::CertificateExpired.code(),
        Some(rustls::Error::InvalidCertificate(_)) => Reason::UnknownCertificate.code(),
        _ if error.kind() == std::io::ErrorKind::TimedOut => Reason::SlowTransfer.code(),
        _ => "handshake-failed",
    }
}

fn protocol(tls: &rustls::ServerConnection) -> &'static str {
    match tls.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "tls1.2",
        _ => "tls1.3",
    }
}

fn resumed(tls: &rustls::ServerConnection) -> &'static str {
    match tls.handshake_kind() {
        Some(rustls::HandshakeKind::Resumed) => "yes",
        _ => "no",
    }
}

const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_STREAMS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machine_is_loopback() {
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(own.parse().unwrap()), "{own}");
        }
        for other in ["0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!is_loopback(other.parse().unwrap()), "{other}");
        }
    }
}
