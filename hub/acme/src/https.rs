//! Requests to the authority: HTTPS only, each with its bounds of size and time.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HOST, HeaderValue, RETRY_AFTER};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Talks to an authority over HTTPS; the authority's own certificate has to come from these roots.
#[derive(Clone)]
pub struct Https {
    connector: TlsConnector,
}

impl Https {
    /// A client that trusts these certificates, DER, and nothing else.
    ///
    /// # Errors
    /// None of them can be used.
    pub fn new(roots: &[Vec<u8>]) -> Result<Https, rustls::Error> {
        let mut store = RootCertStore::empty();
        let (added, _) =
            store.add_parsable_certificates(roots.iter().map(|der| der.as_slice().into()));
        if added == 0 {
            return Err(rustls::Error::General("there is no root among the certificates".into()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Https { connector: TlsConnector::from(Arc::new(config)) })
    }

    async fn exchange(&self, request: Request<BodyWrapper<Bytes>>) -> Result<Answer, Broken> {
        let (mut parts, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let body = body.to_bytes();
        let Place { host, port, origin } = Place::of(&parts.uri)?;
        let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
        parts.headers.insert(HOST, HeaderValue::from_str(authority)?);
        parts.uri = origin;
        let name = ServerName::try_from(host.clone())?;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        let stream = self.connector.connect(name, stream).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; what went wrong is told by the answer.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        drop(sender);
        connection.abort();
        Ok(Response::from_parts(parts, Full::new(body)))
    }
}

impl HttpClient for Https {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Exchange {
        let own = self.clone();
        Box::pin(async move {
            let answer = timeout(PATIENCE, own.exchange(request)).await;
            let answer = answer.map_err(|_| Error::Other("no answer in time".into()))?;
            Ok(BytesResponse::from(answer.map_err(Error::Other)?))
        })
    }
}

/// Another client, and what it was last told about waiting.
#[derive(Clone)]
pub(crate) struct Listening {
    inner: Arc<dyn HttpClient>,
    retry_after: Arc<Mutex<Option<SystemTime>>>,
}

impl Listening {
    pub(crate) fn to(inner: Arc<dyn HttpClient>) -> Listening {
        Listening { inner, retry_after: Arc::default() }
    }

    /// The `Retry-After` of the last refusal, once.
    pub(crate) fn take(&self) -> Option<SystemTime> {
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl HttpClient for Listening {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Exchange {
        let (exchange, heard) = (self.inner.request(request), Arc::clone(&self.retry_after));
        Box::pin(async move {
            let answer = exchange.await?;
            let refused =
                answer.parts.status.is_client_error() || answer.parts.status.is_server_error();
            let value = answer.parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            *heard.lock().unwrap_or_else(PoisonError::into_inner) =
                value.filter(|_| refused).and_then(|value| retry_after(value, SystemTime::now()));
            Ok(answer)
        })
    }
}

type Exchange = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;
type Answer = Response<Full<Bytes>>;
type Broken = Box<dyn StdError + Send + Sync>;

/// Where a request goes.
struct Place {
    host: String,
    port: u16,
    origin: Uri,
}

impl Place {
    fn of(uri: &Uri) -> Result<Place, Broken> {
        let host = uri.host().ok_or("an address without a host")?;
        if uri.scheme_str() != Some("https") {
            return Err(format!("{uri} is not https").into());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Place {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(443),
            origin: path.parse()?,
        })
    }
}

/// When to come again (RFC 9110, section 10.2.3): a number of seconds, or a date.
fn retry_after(value: &str, now: SystemTime) -> Option<SystemTime> {
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => now.checked_add(Duration::from_secs(seconds.min(MOST_S))),
        Err(_) => httpdate::parse_http_date(value).ok(),
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 256 * 1024;
/// Nobody has to wait longer than this because of one answer.
const MOST_S: u64 = 30 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn waiting_times_are_read_in_both_forms_and_bounded() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let after = |text: &str| {
            retry_after(text, now).map(|at| at.duration_since(UNIX_EPOCH).unwrap().as_secs())
        };
        assert_eq!(after("120"), Some(1_795_000_120));
        assert_eq!(after(" 0 "), Some(1_795_000_000));
        assert_eq!(after("99999999999"), Some(1_795_000_000 + MOST_S));
        // The example of RFC 9110, section 5.6.7.
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(after("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        for nonsense in ["", "soon", "-1", "Sun, 06 Nov 1994", "Sun, 06 Xxx 1994 08:49:37 GMT"] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn plain_text_is_refused() {
        assert!(Place::of(&"http://ca.example/directory".parse().unwrap()).is_err());
        let place = Place::of(&"https://[::1]:14000/dir?x=1".parse().unwrap()).unwrap();
        assert_eq!((place.host.as_str(), place.port), ("::1", 14000));
        assert_eq!(place.origin.to_string(), "/dir?x=1");
    }
}
