//! The device API over HTTPS.

use std::sync::Arc;

use http::header::{CONTENT_RANGE, RANGE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use ringfort_cose::{Reason, Sha256Digest, Sign};
use ringfort_messages::{CheckIn, CheckInAnswer, MEDIA_TYPE, Report, TimeRequest};
use ringfort_trust::ids::{AnchorsVersion, Nonce};
use ringfort_trust::{Document, Token};

use super::connection::{Connection, Origin, read_body};
use super::tls::{Trust, unauthenticated};
use super::{BodyError, Hub, ObjectBody, est};
use crate::AgentError;
use crate::proxy::Proxies;

/// Who the agent says it is.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: Arc<dyn Sign>,
}

/// A hub at one address, believed under one trust, spoken to as one identity. The connection is
/// kept alive and opened again when it is gone.
pub(crate) struct HttpsHub {
    origin: Origin,
    trust: Trust,
    credentials: Option<Credentials>,
    proxies: Proxies,
    connection: Option<Connection>,
}

impl HttpsHub {
    pub(crate) fn new(
        address: &str,
        trust: Trust,
        credentials: Option<Credentials>,
        proxies: &Proxies,
    ) -> Result<HttpsHub, AgentError> {
        let (origin, _) = Origin::parse(address)?;
        let proxies = proxies.clone();
        Ok(HttpsHub { origin, trust, credentials, proxies, connection: None })
    }

    /// Signed time. Over a connection that was validated without trusted time, nothing else may be
    /// asked for.
    pub(crate) async fn time(&mut self, nonce: Nonce) -> Result<Vec<u8>, AgentError> {
        let body = TimeRequest { nonce }.encode().map_err(unencodable)?;
        let connection = self.connection().await?;
        let response =
            connection.send(Method::POST, "/v1/time", Some((MEDIA_TYPE, body)), None).await?;
        read_body(response, Token::MAX_LEN).await
    }

    /// Enrols (`simpleenroll`) or renews (`simplereenroll`); returns the certificates in the
    /// answer.
    pub(crate) async fn enrol(
        &mut self,
        operation: &str,
        request: &[u8],
    ) -> Result<Vec<Vec<u8>>, AgentError> {
        let path = format!("/.well-known/est/{operation}");
        let body = est::encode_request(request);
        let connection = self.trusted().await?;
        let response =
            connection.send(Method::POST, &path, Some(("application/pkcs10", body)), None).await?;
        if response.status() == StatusCode::ACCEPTED {
            let detail = "the hub waits for an operator's approval".to_owned();
            return Err(AgentError::Refused {
                code: Reason::ApprovalRequired.code().into(),
                detail,
            });
        }
        est::decode_answer(&read_body(response, est::MAX_ANSWER_LEN).await?)
    }

    /// What is believed from now on; a connection that is open stays.
    pub(crate) fn set_trust(&mut self, trust: Trust) {
        self.trust = trust;
    }

    /// Over a connection that was validated without trusted time nothing is asked for but time.
    async fn trusted(&mut self) -> Result<&mut Connection, AgentError> {
        if !self.trust.clock.is_trusted() {
            return Err(AgentError::answer(Reason::ClockRegressed, "no signed time yet"));
        }
        self.connection().await
    }

    async fn connection(&mut self) -> Result<&mut Connection, AgentError> {
        let kept = self.connection.take().filter(Connection::is_open);
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let identity =
                    self.credentials.as_ref().map(|own| (own.chain.clone(), Arc::clone(&own.key)));
                let tls = self
                    .trust
                    .client(identity)
                    .map_err(|error| AgentError::State(format!("TLS: {error}")))?;
                Connection::open(&self.origin, &self.proxies, tls).await?
            }
        };
        Ok(self.connection.insert(connection))
    }

    async fn post(
        &mut self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Vec<u8>, AgentError> {
        let connection = self.trusted().await?;
        let response =
            connection.send(Method::POST, path, Some((content_type, body)), None).await?;
        read_body(response, limit).await
    }

    async fn get(&mut self, path: &str, limit: usize) -> Result<Vec<u8>, AgentError> {
        let connection = self.trusted().await?;
        let response = connection.send(Method::GET, path, None, None).await?;
        read_body(response, limit).await
    }
}

impl Hub for HttpsHub {
    async fn check_in(&mut self, check_in: &CheckIn) -> Result<Vec<u8>, AgentError> {
        let body = check_in.encode().map_err(unencodable)?;
        self.post("/v1/check-in", MEDIA_TYPE, body, CheckInAnswer::MAX_LEN).await
    }

    async fn manifest(&mut self, manifest: &Sha256Digest) -> Result<Vec<u8>, AgentError> {
        self.get(&format!("/v1/manifests/{manifest}"), MAX_ENVELOPE_LEN).await
    }

    async fn object(&mut self, digest: &Sha256Digest, from: u64) -> Result<ObjectBody, AgentError> {
        let path = format!("/v1/objects/{digest}");
        let range = (from > 0).then(|| (RANGE, format!("bytes={from}-")));
        let connection = self.trusted().await?;
        let response = connection.send(Method::GET, &path, None, range).await?;
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let start: Option<u64> = response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
        let from = match (partial, start) {
            (false, _) => 0,
            (true, Some(start)) if start == from => from,
            _ => return Err(AgentError::answer(Reason::TransferFailed, "another range")),
        };
        let body = response.into_body().map_err(BodyError::from).boxed_unsync();
        Ok(ObjectBody { from, body })
    }

    async fn anchors(&mut self, version: AnchorsVersion) -> Result<Option<Vec<u8>>, AgentError> {
        let connection = self.trusted().await?;
        anchors_over(connection, &format!("/v1/anchors/{version}")).await
    }

    async fn report(&mut self, report: &Report) -> Result<(), AgentError> {
        let body = report.encode().map_err(unencodable)?;
        self.post("/v1/report", MEDIA_TYPE, body, 1024).await.map(drop)
    }
}

/// One anchors version over a connection that nobody vouches for: from a hub whose certificate
/// does not validate any more, or from the spare address. The document proves itself.
pub(crate) async fn fetch_anchors_unauthenticated(
    base: &str,
    is_hub: bool,
    version: AnchorsVersion,
    proxies: &Proxies,
) -> Result<Option<Vec<u8>>, AgentError> {
    let (origin, path) = Origin::parse(base)?;
    let tls = unauthenticated().map_err(|error| AgentError::State(format!("TLS: {error}")))?;
    let mut connection = Connection::open(&origin, proxies, tls).await?;
    let path = match is_hub {
        true => format!("/v1/anchors/{version}"),
        false => format!("{path}/{version}.cbor"),
    };
    anchors_over(&mut connection, &path).await
}

async fn anchors_over(
    connection: &mut Connection,
    path: &str,
) -> Result<Option<Vec<u8>>, AgentError> {
    match connection.send(Method::GET, path, None, None).await {
        Ok(response) => read_body(response, Document::MAX_LEN).await.map(Some),
        Err(AgentError::Refused { code, .. }) if code == Reason::NotFound.code() => Ok(None),
        Err(error) => Err(error),
    }
}

fn unencodable(reason: Reason) -> AgentError {
    AgentError::State(format!("a message that cannot be written: {reason}"))
}

const MAX_ENVELOPE_LEN: usize = 64 * 1024;
