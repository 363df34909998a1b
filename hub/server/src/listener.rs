//! One socket: accepts, bounds, ends TLS, and hands requests to the router of whoever was asked for.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ringfort_acme::Challenges;
use ringfort_cose::Reason;
use ringfort_gateway::ConnectionHandle;
use ringfort_http::{Hosts, Rate, Sender, ServerNameIndication, Shares};
use ringfort_pki::fingerprint;
use rustls::server::Acceptor;
use rustls::{CertificateError, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
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
    /// Requests with one certificate.
    pub per_certificate: Rate,
    /// Requests from one address, where a handshake counts as ten; a site behind one address
    /// translator counts as one.
    pub per_address: Rate,
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
            per_certificate: Rate { per_second: 200, burst: 5_000 },
            per_address: Rate { per_second: 5_000, burst: 50_000 },
        }
    }
}

/// Puts who is calling into a request's extensions. One is made per connection.
pub(crate) type Introduce = Box<dyn Fn(&mut http::Extensions) + Send + Sync>;
/// Reads who is calling out of a finished handshake.
pub(crate) type Meet = Box<
    dyn Fn(SocketAddr, &rustls::ServerConnection, &ConnectionHandle) -> Introduce + Send + Sync,
>;

/// What clients ask for by a name: devices' side or people's.
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) hosts: Hosts,
    /// The TLS configuration in force.
    pub(crate) tls: Box<dyn Fn() -> Arc<ServerConfig> + Send + Sync>,
    pub(crate) router: Router,
    pub(crate) meet: Meet,
    pub(crate) shares: Arc<Shares>,
}

/// A socket and what is behind it: one lane, or two that are told apart by the name that the client
/// asks for (RFC 6066, section 3).
pub(crate) struct Listener {
    /// Whoever asks for no name, or for one that nobody has here, gets the first, which refuses
    /// requests for hosts that are not its own.
    pub(crate) lanes: Vec<Lane>,
    /// What an authority finds that validates a name; only where operators connect.
    pub(crate) challenges: Option<Arc<Challenges>>,
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
                    tracing::error!(listener = self.name(), %error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Listener>, stream: TcpStream, address: SocketAddr) {
        if self.loopback_only && !is_loopback(address.ip()) {
            turned_away(self.name(), address, "not-loopback");
            return;
        }
        let in_share =
            self.lanes.iter().all(|lane| lane.shares.take_handshake(address.ip()).is_ok());
        let handle = ConnectionHandle::new(self.stopping.child_token());
        let admitted = match in_share {
            true => self.connections.admit(address.ip(), handle),
            false => None,
        };
        let Some(open) = admitted else {
            turned_away(self.name(), address, Reason::TooManyRequests.code());
            return;
        };
        let listener = self.clone();
        self.tasks.spawn(async move { listener.serve(stream, address, open).await });
    }

    async fn serve(&self, stream: TcpStream, address: SocketAddr, open: OpenConnection) {
        let _ = stream.set_nodelay(true);
        let stream = WatchedIo::new(stream, self.limits.idle);
        // In a place of its own, given back afterwards: most connections are open for long.
        let shaking_hands = Box::pin(self.shake_hands(stream));
        let accepted = tokio::select! {
            () = open.handle.closed() => return,
            accepted = timeout(self.limits.handshake, shaking_hands) => accepted,
        };
        match accepted {
            Ok(Ok(Some((lane, stream)))) => {
                self.serve_http(lane, stream, address, &open.handle).await;
            }
            Ok(Ok(None)) => tracing::info!(%address, "an authority validated the operators' name"),
            Ok(Err(failed)) => {
                turned_away(failed.lane, address, handshake_reason(&failed.error));
                tokio::select! {
                    () = open.handle.closed() => {}
                    () = Box::pin(say_goodbye(failed.stream)) => {}
                }
            }
            Err(_) => turned_away(self.name(), address, Reason::SlowTransfer.code()),
        }
    }

    /// Reads which name the client asks for, then goes on as that lane. A validation that is waited
    /// for is over with the handshake (RFC 8737, section 3): nobody is met.
    async fn shake_hands(&self, stream: Watched) -> Result<Option<Met<'_>>, FailedHandshake> {
        let failed = |lane, error, stream| FailedHandshake { lane, error, stream };
        let greeted = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
        let greeted = greeted.map_err(|error| failed(self.name(), error, None))?;
        let hello = greeted.client_hello();
        let lane = self.lane(hello.server_name());
        if let Some(config) = self.challenges.as_ref().and_then(|shown| shown.answer(&hello)) {
            let met = greeted.into_stream(config).into_fallible().await;
            let mut stream =
                met.map_err(|(error, stream)| failed(lane.name, error, Some(stream)))?;
            // Whoever looked may be gone already.
            let _ = stream.shutdown().await;
            return Ok(None);
        }
        match greeted.into_stream((lane.tls)()).into_fallible().await {
            Ok(stream) => Ok(Some((lane, Box::new(stream)))),
            Err((error, stream)) => Err(failed(lane.name, error, Some(stream))),
        }
    }

    fn lane(&self, server_name: Option<&str>) -> &Lane {
        let asked = self
            .lanes
            .iter()
            .find(|lane| server_name.is_some_and(|server_name| lane.hosts.has_name(server_name)));
        // There is always a first one: a listener is made with one or two.
        asked.unwrap_or(&self.lanes[0])
    }

    async fn serve_http(
        &self,
        lane: &Lane,
        stream: Box<TlsStream<Watched>>,
        address: SocketAddr,
        handle: &ConnectionHandle,
    ) {
        let tls = stream.get_ref().1;
        let introduce = Arc::new((lane.meet)(address, tls, handle));
        let indication = ServerNameIndication(tls.server_name().map(Arc::from));
        let leaf = tls.peer_certificates().and_then(<[_]>::first);
        let sender =
            Sender { address: address.ip(), certificate: leaf.map(|leaf| fingerprint(leaf)) };
        metrics::counter!("ringfort_handshakes_total", "listener" => lane.name,
            "protocol" => protocol(tls), "resumed" => resumed(tls))
        .increment(1);

        let service = service_fn(|request: Request<Incoming>| {
            let (router, introduce) = (lane.router.clone(), introduce.clone());
            let indication = indication.clone();
            // A connection keeps the place of its answers; between two requests this one is empty.
            Box::pin(async move {
                let mut request = request.map(Body::new);
                introduce(request.extensions_mut());
                request.extensions_mut().insert(indication);
                request.extensions_mut().insert(sender);
                Ok::<_, Infallible>(match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                })
            })
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
                    Err(_) => return tracing::warn!(listener = lane.name, %address, "cut off"),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(listener = lane.name, %address, %error, "connection ended");
        }
    }

    /// What connections are counted under before it is known whom they are for.
    fn name(&self) -> &'static str {
        self.lanes[0].name
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
}

fn turned_away(listener: &'static str, address: SocketAddr, reason: &'static str) {
    metrics::counter!("ringfort_connections_refused_total", "listener" => listener,
        "reason" => reason)
    .increment(1);
    tracing::info!(listener, %address, reason, "connection refused");
}

/// Lets the alert of a failed handshake arrive. A client of TLS 1.3 has sent its first request by
/// then; to close with bytes unread resets the connection, and the reset takes the alert with it.
async fn say_goodbye(stream: Option<Watched>) {
    let Some(mut stream) = stream else { return };
    let read_on = async {
        let _ = stream.shutdown().await;
        let (mut bytes, mut left) = ([0; 1024], GOODBYE_BYTES);
        while let Ok(read @ 1..) = stream.read(&mut bytes).await {
            match left.checked_sub(read) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = timeout(GOODBYE, read_on).await;
}

/// A handshake that failed; with the stream, where an alert may be on its way.
struct FailedHandshake {
    lane: &'static str,
    error: io::Error,
    stream: Option<Watched>,
}

type Watched = WatchedIo<TcpStream>;
/// Whom a client wants, and the way to the client.
type Met<'a> = (&'a Lane, Box<TlsStream<Watched>>);

/// Whether an address is this machine's own, also as IPv4 in IPv6.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The reason code of a handshake that failed.
fn handshake_reason(error: &io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::NoCertificatesPresented) => Reason::NoClientCertificate.code(),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Reason::CertificateExpired.code(),
        Some(rustls::Error::InvalidCertificate(_)) => Reason::UnknownCertificate.code(),
        _ if error.kind() == io::ErrorKind::TimedOut => Reason::SlowTransfer.code(),
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

/// For what a client sends before it reads that it was refused.
const GOODBYE: Duration = Duration::from_secs(2);
const GOODBYE_BYTES: usize = 32 * 1024;
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
