//! One HTTP/1.1 connection over TLS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use ringfort_cose::Reason;
use ringfort_messages::Problem;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tunnel;
use crate::proxy::Proxies;
use crate::{AGENT, AgentError};

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    host: String,
    port: u16,
    authority: String,
}

impl Origin {
    /// From `https://host` or `https://host:port`; what follows is returned beside it.
    pub(crate) fn parse(address: &str) -> Result<(Origin, String), AgentError> {
        let bad = || AgentError::answer(Reason::UriNotAllowed, format!("{address:?}"));
        let rest = address.strip_prefix("https://").ok_or_else(bad)?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (authority, 443),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let origin = Origin { host, port, authority: authority.to_owned() };
        Ok((origin, path.to_owned()))
    }

    fn unreachable(&self, problem: impl ToString) -> AgentError {
        AgentError::Unreachable {
            address: format!("https://{}", self.authority),
            problem: problem.to_string(),
        }
    }
}

pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    origin: Origin,
}

impl Connection {
    pub(crate) async fn open(
        origin: &Origin,
        proxies: &Proxies,
        tls: Arc<ClientConfig>,
    ) -> Result<Connection, AgentError> {
        let opened = timeout(CONNECT_TIMEOUT, Connection::handshake(origin, proxies, tls)).await;
        opened.map_err(|_| origin.unreachable("no answer in time"))?
    }

    async fn handshake(
        origin: &Origin,
        proxies: &Proxies,
        tls: Arc<ClientConfig>,
    ) -> Result<Connection, AgentError> {
        let tcp = match proxies.route(&origin.host, origin.port) {
            Some(proxy) => tunnel::open(&proxy, &origin.host, origin.port).await?,
            None => TcpStream::connect((origin.host.as_str(), origin.port))
                .await
                .map_err(|error| origin.unreachable(error))?,
        };
        let _ = tcp.set_nodelay(true);
        let name = ServerName::try_from(origin.host.clone())
            .map_err(|_| AgentError::answer(Reason::UriNotAllowed, origin.host.clone()))?;
        let stream = TlsConnector::from(tls)
            .connect(name, tcp)
            .await
            .map_err(|error| tls_error(origin, &error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| origin.unreachable(error))?;
        // It ends by itself when the sender is dropped or the server closes.
        tokio::spawn(connection);
        Ok(Connection { sender, origin: origin.clone() })
    }

    /// Is it still usable?
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request; the answer's head has to come in time. Redirects are not followed: any
    /// answer that is not a success is an error.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        header: Option<(http::HeaderName, String)>,
    ) -> Result<Response<Incoming>, AgentError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.origin.authority)
            .header(USER_AGENT, AGENT.replace(' ', "/"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let body = match body {
            Some((content_type, bytes)) => {
                request = request.header(CONTENT_TYPE, content_type);
                bytes.into()
            }
            None => Bytes::new(),
        };
        let request = request
            .body(Full::new(body))
            .map_err(|error| AgentError::answer(Reason::UriNotAllowed, error.to_string()))?;
        let method = request.method().clone();
        let exchange = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let response = timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(|_| self.origin.unreachable("no answer in time"))?
            .map_err(|error| request_error(&self.origin, &error))?;
        let (status, exchange) = (response.status().as_u16(), exchange_id(&response));
        tracing::info!(%method, path, status, exchange, "the hub answered");
        match response.status() {
            status if status.is_success() => Ok(response),
            status if status.is_redirection() => Err(AgentError::answer(
                Reason::UriNotAllowed,
                format!("it redirects ({status}); redirects are not followed"),
            )),
            status => Err(refusal(status, response).await),
        }
    }
}

/// The id under which the hub's log has this exchange; empty where it gave none.
fn exchange_id(response: &Response<Incoming>) -> &str {
    let given = response.headers().get("exchange-id").and_then(|id| id.to_str().ok());
    given.filter(|id| id.len() <= 64).unwrap_or_default()
}

/// A whole body of at most `limit` bytes, in time.
pub(crate) async fn read_body(
    response: Response<Incoming>,
    limit: usize,
) -> Result<Vec<u8>, AgentError> {
    let body = Limited::new(response.into_body(), limit).collect();
    match timeout(ANSWER_TIMEOUT, body).await {
        Err(_) => Err(AgentError::answer(Reason::SlowTransfer, "its body does not end")),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(AgentError::answer(Reason::TooLarge, format!("more than {limit} bytes")))
        }
        Ok(Err(error)) => Err(AgentError::answer(Reason::TransferFailed, error.to_string())),
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
    }
}

/// What a server said instead of an answer.
async fn refusal(status: StatusCode, response: Response<Incoming>) -> AgentError {
    let body = read_body(response, Problem::MAX_LEN).await.unwrap_or_default();
    match Problem::decode(&body) {
        Ok(problem) => AgentError::Refused {
            code: problem.code.to_string(),
            detail: problem.detail.to_string(),
        },
        Err(_) if status == StatusCode::NOT_FOUND => {
            AgentError::Refused { code: Reason::NotFound.code().into(), detail: String::new() }
        }
        Err(_) => AgentError::answer(Reason::Internal, status.to_string()),
    }
}

fn tls_error(origin: &Origin, error: &std::io::Error) -> AgentError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(problem)) => {
            AgentError::ServerNotTrusted(problem.to_string())
        }
        Some(rustls::Error::AlertReceived(alert)) => alert_error(*alert),
        _ => origin.unreachable(error),
    }
}

/// With TLS 1.3 a server that refuses the client's certificate says so only after the handshake.
fn request_error(origin: &Origin, error: &hyper::Error) -> AgentError {
    let mut source = std::error::Error::source(error);
    while let Some(current) = source {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            let inner = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if let Some(rustls::Error::AlertReceived(alert)) = inner {
                return alert_error(*alert);
            }
        }
        source = current.source();
    }
    origin.unreachable(error)
}

fn alert_error(alert: rustls::AlertDescription) -> AgentError {
    use rustls::AlertDescription as Alert;
    let reason = match alert {
        Alert::CertificateExpired => Reason::CertificateExpired,
        Alert::CertificateRevoked => Reason::CertificateRevoked,
        Alert::CertificateRequired => Reason::NoClientCertificate,
        Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown => {
            Reason::UnknownCertificate
        }
        _ => Reason::TransferFailed,
    };
    AgentError::Refused { code: reason.code().into(), detail: format!("TLS alert {alert:?}") }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_split_into_host_port_and_path() {
        let (origin, path) = Origin::parse("https://hub.example/anchors").unwrap();
        assert_eq!(
            (origin.host.as_str(), origin.port, path.as_str()),
            ("hub.example", 443, "/anchors")
        );
        let (origin, _) = Origin::parse("https://[::1]:8443").unwrap();
        assert_eq!((origin.host.as_str(), origin.port), ("::1", 8443));
        let (origin, _) = Origin::parse("https://127.0.0.1:8443").unwrap();
        assert_eq!((origin.host.as_str(), origin.port), ("127.0.0.1", 8443));
        assert!(Origin::parse("http://hub.example").is_err());
        assert!(Origin::parse("https://hub.example:x").is_err());
    }
}
