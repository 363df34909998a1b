//! A client of the operator interface.
//!
//! It trusts the Server CA it was given and nothing else, and shows the operator's certificate with
//! a key that may live anywhere. One connection is kept and opened again when it is gone. Every
//! wait ends, but that for an upload, which takes as long as its bytes do.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use ringfort_cose::{Reason, Sha256Digest, Sign};
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::io::ReaderStream;

use crate::model::{
    AnchorsTaken, Approval, AuditEntries, BatchTaken, Checkpoint, Deployment, DeveloperProduct,
    Device, DeviceAuthority, DeviceCommand, DeviceDetails, Event, Invitation, Login, Move,
    NewCommand, NewDeployment, NewDeveloperProduct, NewInvitation, NewLogin, NewOfflineOrder,
    NewOperator, NewRenewal, NewSite, NewStatement, ObjectStored, OfflineOrder, OpenInvitation,
    Operator, Outcome, Page, Problem, Registered, Release, Restored, Settled, Site, Status, Target,
};
use crate::signing_key::RemoteKey;

/// Talks to a hub as one operator.
pub struct Client {
    address: String,
    server_name: ServerName<'static>,
    connector: TlsConnector,
    connection: Mutex<Option<SendRequest<Body>>>,
}

/// What a client needs.
pub struct ClientOptions {
    /// Host and port of the operator listener, for instance `127.0.0.1:8444`.
    pub address: String,
    /// The certificates of the Server CA, DER; nothing else is trusted.
    pub server_cas: Vec<Vec<u8>>,
    /// The operator's certificate, DER.
    pub certificate: Vec<u8>,
    /// Signs with the certificate's key.
    pub key: Arc<dyn Sign>,
}

/// Why the hub did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It refused, and says why.
    #[error("{}: {}", .0.reason, if .0.detail.is_empty() { &.0.title } else { &.0.detail })]
    Refused(Box<Problem>),
    /// It could not be reached, or the connection broke.
    #[error("the hub at {address} cannot be reached: {detail}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What happened.
        detail: String,
    },
    /// It answered something else than what was expected.
    #[error("the hub's answer cannot be read: {0}")]
    Answer(String),
    /// What the client was given does not make a connection.
    #[error("{what} cannot be used: {detail}")]
    Options {
        /// Which of the options.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// A file could not be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
}

/// Which devices to list.
#[derive(Clone, Debug, Default)]
pub struct DeviceFilter {
    /// Lifecycle state.
    pub state: Option<String>,
    /// Class, a UUID.
    pub class: Option<String>,
    /// Factory site.
    pub site: Option<String>,
    /// Only those with an alarm.
    pub alarmed: bool,
}

/// What follows in a list: the `next` of the page before, and at most how many.
#[derive(Clone, Debug, Default)]
pub struct After {
    /// Where to go on.
    pub after: Option<String>,
    /// At most so many, 1 to 1000.
    pub limit: Option<u32>,
}

impl ClientError {
    /// The reason code, where the hub gave one that is known here.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            ClientError::Refused(problem) => Reason::from_code(&problem.reason),
            _ => None,
        }
    }
}

impl Client {
    /// A client; it connects with the first request.
    ///
    /// # Errors
    /// A certificate, the key or the address cannot be used.
    pub fn new(options: ClientOptions) -> Result<Client, ClientError> {
        let chain = vec![CertificateDer::from(options.certificate)];
        let certified = CertifiedKey::new(chain, Arc::new(RemoteKey(options.key)));
        let config = trusting(options.server_cas)?
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        Client::with(options.address, config)
    }

    /// A client of somebody who has no certificate yet; it can [`Client::login`] with an
    /// invitation.
    ///
    /// # Errors
    /// A certificate or the address cannot be used.
    pub fn invited(address: String, server_cas: Vec<Vec<u8>>) -> Result<Client, ClientError> {
        Client::with(address, trusting(server_cas)?.with_no_client_auth())
    }

    fn with(address: String, config: ClientConfig) -> Result<Client, ClientError> {
        let authority: http::uri::Authority =
            address.parse().map_err(|error| self::unusable("the address", error))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let server_name =
            ServerName::try_from(host).map_err(|error| self::unusable("the address", error))?;
        Ok(Client {
            address,
            server_name,
            connector: TlsConnector::from(Arc::new(config)),
            connection: Mutex::new(None),
        })
    }

    /// Whether the hub is up: its registry answers.
    pub async fn healthy(&self) -> Result<(), ClientError> {
        self.get::<serde_json::Value>("/healthz").await.map(drop)
    }

    /// Metrics in Prometheus' text format.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let (_, body) = self.send(Method::GET, "/metrics", None).await?;
        String::from_utf8(body.to_vec()).map_err(|error| ClientError::Answer(error.to_string()))
    }

    /// The fleet at a glance.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/api/v1/status").await
    }

    /// Acknowledges that the hub was restored from a backup, or asks for it where two
    /// administrators exist.
    pub async fn acknowledge_restore(&self) -> Result<Outcome<Restored>, ClientError> {
        let (_, body) = self.send(Method::POST, "/api/v1/restore/acknowledge", None).await?;
        json(&body)
    }

    /// Devices, by id.
    pub async fn devices(
        &self,
        filter: &DeviceFilter,
        after: &After,
    ) -> Result<Page<Device>, ClientError> {
        let mut query = Query::default();
        query.add("state", filter.state.as_deref());
        query.add("class", filter.class.as_deref());
        query.add("site", filter.site.as_deref());
        query.add("alarmed", filter.alarmed.then_some("true"));
        self.get(&query.page(after).on("/api/v1/devices")).await
    }

    /// One device with everything about it.
    pub async fn device(&self, id: &str) -> Result<DeviceDetails, ClientError> {
        self.get(&format!("/api/v1/devices/{}", segment(id))).await
    }

    /// What happened to a device: the newest entries of the audit log about it, oldest first.
    pub async fn history(&self, id: &str, limit: u32) -> Result<Vec<Event>, ClientError> {
        self.get(&format!("/api/v1/devices/{}/history?limit={limit}", segment(id))).await
    }

    /// Moves a device to another lifecycle state, or asks for it where two people are needed.
    pub async fn move_device(
        &self,
        id: &str,
        to: &str,
        note: &str,
    ) -> Result<Outcome<Device>, ClientError> {
        let wanted = Move { to: to.to_owned(), note: note.to_owned(), command: None, owner: None };
        self.move_device_with(id, &wanted).await
    }

    /// The same with a command or a new owner.
    pub async fn move_device_with(
        &self,
        id: &str,
        wanted: &Move,
    ) -> Result<Outcome<Device>, ClientError> {
        self.post(&format!("/api/v1/devices/{}/move", segment(id)), wanted).await
    }

    /// Hands in a command that people signed for a device.
    pub async fn give_command(
        &self,
        id: &str,
        wanted: &NewCommand,
    ) -> Result<Outcome<DeviceCommand>, ClientError> {
        self.post(&format!("/api/v1/devices/{}/commands", segment(id)), wanted).await
    }

    /// Signs, for a medium, the order that waits for a device.
    pub async fn offline_order(
        &self,
        id: &str,
        wanted: &NewOfflineOrder,
    ) -> Result<OfflineOrder, ClientError> {
        self.post(&format!("/api/v1/devices/{}/offline-order", segment(id)), wanted).await
    }

    /// The products for developers.
    pub async fn developer_products(&self) -> Result<Vec<DeveloperProduct>, ClientError> {
        self.get("/api/v1/developer-products").await
    }

    /// Makes a product one for developers.
    pub async fn add_developer_product(
        &self,
        wanted: &NewDeveloperProduct,
    ) -> Result<DeveloperProduct, ClientError> {
        self.post("/api/v1/developer-products", wanted).await
    }

    /// Hands in what the operator signed about a device; hexadecimal.
    pub async fn add_statement(&self, id: &str, statement: &str) -> Result<(), ClientError> {
        let new = NewStatement { statement: statement.to_owned() };
        let path = format!("/api/v1/devices/{}/statements", segment(id));
        self.send_json(&path, &new).await.map(drop)
    }

    /// The authority that issues devices' operational certificates.
    pub async fn device_ca(&self) -> Result<DeviceAuthority, ClientError> {
        self.get("/api/v1/device-ca").await
    }

    /// Its CRL of everything that is revoked or on hold, DER.
    pub async fn device_crl(&self) -> Result<Bytes, ClientError> {
        let (_, body) = self.send(Method::GET, "/api/v1/device-ca/crl", None).await?;
        Ok(body)
    }

    /// Factory sites.
    pub async fn sites(&self, after: &After) -> Result<Page<Site>, ClientError> {
        self.get(&Query::default().page(after).on("/api/v1/sites")).await
    }

    /// Adds a factory site.
    pub async fn add_site(&self, site: &NewSite) -> Result<(), ClientError> {
        self.send_json("/api/v1/sites", site).await.map(drop)
    }

    /// Ends a site.
    pub async fn revoke_site(&self, id: &str) -> Result<(), ClientError> {
        let path = format!("/api/v1/sites/{}/revoke", segment(id));
        self.send(Method::POST, &path, None).await.map(drop)
    }

    /// Hands in a factory batch.
    pub async fn import_batch(&self, batch: Vec<u8>) -> Result<BatchTaken, ClientError> {
        self.post_bytes("/api/v1/factory/batches", CBOR, batch).await
    }

    /// Adds the next version of the anchors.
    pub async fn add_anchors(&self, document: Vec<u8>) -> Result<AnchorsTaken, ClientError> {
        self.post_bytes("/api/v1/anchors", CBOR, document).await
    }

    /// One version of the anchors.
    pub async fn anchors(&self, version: u64) -> Result<Bytes, ClientError> {
        let path = format!("/api/v1/anchors/{version}");
        self.send(Method::GET, &path, None).await.map(|(_, body)| body)
    }

    /// Uploads a file under its SHA-256.
    pub async fn put_object(
        &self,
        digest: &Sha256Digest,
        file: &Path,
    ) -> Result<ObjectStored, ClientError> {
        let file = tokio::fs::File::open(file).await?;
        let size_bytes = file.metadata().await?.len();
        let stream = ReaderStream::with_capacity(file, 64 * 1024).map_ok(Frame::data);
        let content = Content {
            media_type: "application/octet-stream",
            size_bytes,
            body: BodyExt::boxed(StreamBody::new(stream)),
        };
        let path = format!("/api/v1/objects/{digest}");
        let (_, body) = self.send(Method::PUT, &path, Some(content)).await?;
        json(&body)
    }

    /// Publishes a release.
    pub async fn add_release(&self, envelope: Vec<u8>) -> Result<Release, ClientError> {
        self.post_bytes("/api/v1/releases", crate::handlers::releases::ENVELOPE, envelope).await
    }

    /// Releases, newest first.
    pub async fn releases(&self, after: &After) -> Result<Page<Release>, ClientError> {
        self.get(&Query::default().page(after).on("/api/v1/releases")).await
    }

    /// Creates a deployment, or asks for it where two people are needed.
    pub async fn create_deployment(
        &self,
        new: &NewDeployment,
    ) -> Result<Outcome<Deployment>, ClientError> {
        self.post("/api/v1/deployments", new).await
    }

    /// Deployments, newest first.
    pub async fn deployments(&self, after: &After) -> Result<Page<Deployment>, ClientError> {
        self.get(&Query::default().page(after).on("/api/v1/deployments")).await
    }

    /// One deployment.
    pub async fn deployment(&self, id: &str) -> Result<Deployment, ClientError> {
        self.get(&format!("/api/v1/deployments/{}", segment(id))).await
    }

    /// The devices of a deployment and how far each is.
    pub async fn targets(&self, id: &str, after: &After) -> Result<Page<Target>, ClientError> {
        let path = format!("/api/v1/deployments/{}/targets", segment(id));
        self.get(&Query::default().page(after).on(&path)).await
    }

    /// Stops offering a deployment to devices that have not begun.
    pub async fn pause(&self, id: &str) -> Result<Deployment, ClientError> {
        self.change(id, "pause").await
    }

    /// Offers it again.
    pub async fn resume(&self, id: &str) -> Result<Deployment, ClientError> {
        self.change(id, "resume").await
    }

    /// Ends it.
    pub async fn halt(&self, id: &str) -> Result<Deployment, ClientError> {
        self.change(id, "halt").await
    }

    /// The signed head of the audit log.
    pub async fn audit_checkpoint(&self) -> Result<String, ClientError> {
        self.audit_head().await.map(|head| head.checkpoint)
    }

    /// The same with the tree at that head.
    pub async fn audit_head(&self) -> Result<Checkpoint, ClientError> {
        self.get("/api/v1/audit/checkpoint").await
    }

    /// Entries of the audit log, as they are hashed.
    pub async fn audit_entries(&self, from: u64, limit: u32) -> Result<AuditEntries, ClientError> {
        self.get(&format!("/api/v1/audit/entries?from={from}&limit={limit}")).await
    }

    /// Operators.
    pub async fn operators(&self, after: &After) -> Result<Page<Operator>, ClientError> {
        self.get(&Query::default().page(after).on("/api/v1/operators")).await
    }

    /// Adds an operator, or asks for it where two people are needed.
    pub async fn add_operator(
        &self,
        operator: &NewOperator,
    ) -> Result<Outcome<Registered>, ClientError> {
        self.post("/api/v1/operators", operator).await
    }

    /// Invites somebody, or asks for it where two people are needed.
    pub async fn invite(&self, new: &NewInvitation) -> Result<Outcome<Invitation>, ClientError> {
        self.post("/api/v1/invitations", new).await
    }

    /// Invitations that can still be used.
    pub async fn invitations(&self, after: &After) -> Result<Page<OpenInvitation>, ClientError> {
        self.get(&Query::default().page(after).on("/api/v1/invitations")).await
    }

    /// Takes back the invitations of a name.
    pub async fn withdraw_invitation(&self, name: &str) -> Result<(), ClientError> {
        let path = format!("/api/v1/invitations/{}", segment(name));
        self.send(Method::DELETE, &path, None).await.map(drop)
    }

    /// What waits for a second person.
    pub async fn approvals(&self, after: &After) -> Result<Page<Approval>, ClientError> {
        self.get(&Query::default().page(after).on("/api/v1/approvals")).await
    }

    /// Registers a key with an invitation.
    pub async fn login(&self, login: &NewLogin) -> Result<Login, ClientError> {
        self.post("/api/v1/login", login).await
    }

    /// Asks for a certificate for a new key of the caller, in the name and role that it has.
    pub async fn renew(&self, renewal: &NewRenewal) -> Result<Login, ClientError> {
        self.post("/api/v1/operators/self/renew", renewal).await
    }

    /// Ends the certificates that the caller had before the one it shows.
    pub async fn settle(&self) -> Result<Settled, ClientError> {
        let (_, body) = self.send(Method::POST, "/api/v1/operators/self/settle", None).await?;
        json(&body)
    }

    /// Ends an operator's access.
    pub async fn remove_operator(&self, fingerprint: &str) -> Result<(), ClientError> {
        let path = format!("/api/v1/operators/{}", segment(fingerprint));
        self.send(Method::DELETE, &path, None).await.map(drop)
    }

    async fn change(&self, id: &str, what: &str) -> Result<Deployment, ClientError> {
        let path = format!("/api/v1/deployments/{}/{what}", segment(id));
        let (_, body) = self.send(Method::POST, &path, None).await?;
        json(&body)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let (_, body) = self.send(Method::GET, path, None).await?;
        json(&body)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        value: &impl Serialize,
    ) -> Result<T, ClientError> {
        json(&self.send_json(path, value).await?)
    }

    async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        bytes: Vec<u8>,
    ) -> Result<T, ClientError> {
        let (_, body) =
            self.send(Method::POST, path, Some(Content::new(media_type, bytes))).await?;
        json(&body)
    }

    async fn send_json(&self, path: &str, value: &impl Serialize) -> Result<Bytes, ClientError> {
        let bytes =
            serde_json::to_vec(value).map_err(|error| ClientError::Answer(error.to_string()))?;
        let content = Content::new("application/json", bytes);
        self.send(Method::POST, path, Some(content)).await.map(|(_, body)| body)
    }

    /// Sends one request. A kept connection that the hub has closed in the meantime is opened
    /// again before anything is sent.
    async fn send(
        &self,
        method: Method,
        path: &str,
        content: Option<Content>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.address);
        let uploads = content.as_ref().is_some_and(|content| content.size_bytes > UPLOAD_BYTES);
        let patience = if uploads { None } else { Some(PATIENCE) };
        let body = match content {
            Some(content) => {
                request = request
                    .header(CONTENT_TYPE, content.media_type)
                    .header(CONTENT_LENGTH, content.size_bytes);
                content.body
            }
            None => empty(),
        };
        let request = request.body(body).map_err(|error| unusable("the request", error))?;

        let mut kept = self.connection.lock().await;
        let open = match kept.take() {
            Some(sender) => still_open(sender).await,
            None => None,
        };
        let mut sender = match open {
            Some(sender) => sender,
            None => self.within(Some(CONNECT), self.connect()).await?,
        };
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|e| self.unreachable(e))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES)
                .collect()
                .await
                .map_err(|error| ClientError::Answer(error.to_string()))?
                .to_bytes();
            Ok((parts, body))
        };
        let (parts, body) = self.within(patience, exchange).await?;
        *kept = Some(sender);
        if parts.status.is_success() {
            return Ok((parts.status, body));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(ClientError::Answer(format!("HTTP {}", parts.status))),
        }
    }

    /// Waits no longer than this, where there is a bound.
    async fn within<T>(
        &self,
        patience: Option<Duration>,
        exchange: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let Some(patience) = patience else { return exchange.await };
        timeout(patience, exchange).await.unwrap_or_else(|_| {
            Err(ClientError::Unreachable {
                address: self.address.clone(),
                detail: format!("no answer within {} s", patience.as_secs()),
            })
        })
    }

    async fn connect(&self) -> Result<SendRequest<Body>, ClientError> {
        let stream = TcpStream::connect(&self.address).await.map_err(|e| self.unreachable(e))?;
        let _ = stream.set_nodelay(true);
        let stream = self
            .connector
            .connect(self.server_name.clone(), stream)
            .await
            .map_err(|error| self.unreachable(error))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| self.unreachable(error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to the hub ended");
            }
        });
        Ok(sender)
    }

    fn unreachable(&self, error: impl std::error::Error) -> ClientError {
        // What matters is often the innermost: a TLS alert, a refused connection.
        let mut detail = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            detail = format!("{detail}: {inner}");
            source = inner.source();
        }
        ClientError::Unreachable { address: self.address.clone(), detail }
    }
}

/// TLS 1.3 with these authorities and no others. Where many are given, as a system's are, those
/// that cannot be read are passed over.
fn trusting(
    server_cas: Vec<Vec<u8>>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ClientError> {
    let mut roots = RootCertStore::empty();
    let given = server_cas.into_iter().map(CertificateDer::from);
    if let (0, _) = roots.add_parsable_certificates(given) {
        return Err(unusable("the Server CA", "it is not a certificate of an authority"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable("TLS", error))?
        .with_root_certificates(roots))
}

type Body = BoxBody<Bytes, std::io::Error>;

struct Content {
    media_type: &'static str,
    size_bytes: u64,
    body: Body,
}

impl Content {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Content {
        let size_bytes = bytes.len() as u64;
        let body = Full::from(bytes).map_err(|never| match never {}).boxed();
        Content { media_type, size_bytes, body }
    }
}

/// A query string in the making.
#[derive(Default)]
struct Query(Vec<String>);

impl Query {
    fn add(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.push(format!("{name}={}", segment(value)));
        }
    }

    fn page(mut self, after: &After) -> Query {
        self.add("after", after.after.as_deref());
        self.add("limit", after.limit.map(|limit| limit.to_string()).as_deref());
        self
    }

    fn on(&self, path: &str) -> String {
        match self.0.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", self.0.join("&")),
        }
    }
}

async fn still_open(mut sender: SendRequest<Body>) -> Option<SendRequest<Body>> {
    sender.ready().await.is_ok().then_some(sender)
}

fn empty() -> Body {
    Full::default().map_err(|never| match never {}).boxed()
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Answer(error.to_string()))
}

fn unusable(what: &'static str, error: impl std::fmt::Display) -> ClientError {
    ClientError::Options { what, detail: error.to_string() }
}

/// Percent-encodes what is not unreserved (RFC 3986, section 2.3).
fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

const CBOR: &str = ringfort_messages::MEDIA_TYPE;
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// For a connection, its handshake included.
const CONNECT: Duration = Duration::from_secs(20);
/// For an answer: a factory's largest batch is judged in less.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is larger is an upload, and takes as long as the line does.
const UPLOAD_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_accepts_and_says_nothing_is_given_up() {
        let plan = ringfort_pki::Plan {
            organisation: "Example".into(),
            name: "test".into(),
            lifetimes: ringfort_pki::Lifetimes::all_end_in(30),
        };
        let key = Arc::new(ringfort_cose::SoftSigner::generate_p256().unwrap());
        let root = plan.create_root(&ringfort_pki::Role::Root, key, 1_790_000_000).unwrap();
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let client = Client::invited(address, vec![root.certificate_der().to_vec()]).unwrap();
        let begun = tokio::time::Instant::now();
        let failed = client.status().await.unwrap_err();
        assert!(matches!(failed, ClientError::Unreachable { .. }), "{failed}");
        assert!(failed.to_string().contains("no answer within 20 s"), "{failed}");
        assert_eq!(begun.elapsed(), CONNECT);
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(segment("dev-a_1.X~"), "dev-a_1.X~");
        assert_eq!(segment("../a?b#c d&e=%"), "..%2Fa%3Fb%23c%20d%26e%3D%25");
    }

    #[test]
    fn a_query_holds_what_was_given() {
        let after = After { after: Some("a&b".into()), limit: Some(7) };
        assert_eq!(Query::default().page(&after).on("/x"), "/x?after=a%26b&limit=7");
        assert_eq!(Query::default().page(&After::default()).on("/x"), "/x");
    }
}
