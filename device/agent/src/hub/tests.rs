//! The TLS client against a rustls server in this process.

use std::sync::Arc;

use ringfort_cose::{Reason, Sha256Digest, SoftSigner};
use ringfort_device::{Clock, Uptime};
use ringfort_messages::{CheckIn, ClassStatus, List, Protection, StoreKind};
use ringfort_trust::TimeFloor;
use ringfort_trust::ids::{
    AnchorsVersion, ClassId, Nonce, OrderNumber, SequenceNumber, Text, UnixTime,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{NamedGroup, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::{Credentials, HttpsHub, Hub, Trust, fetch_anchors_unauthenticated};
use crate::AgentError;
use crate::proxy::Proxies;
use crate::testing::Authority;

/// 2030-01-01, inside the life of the test certificates (2029 to 2031).
const NOW: UnixTime = UnixTime(1_893_456_000);
const BEFORE: UnixTime = UnixTime(1_830_384_000); // 2028-01-02
const AFTER: UnixTime = UnixTime(1_956_528_000); // 2032-01-01

/// A server that answers each connection's requests with the given bytes, one after the other.
struct Server {
    address: String,
    requests: tokio::sync::mpsc::UnboundedReceiver<String>,
    handshake: oneshot::Receiver<Option<(NamedGroup, Option<Vec<u8>>)>>,
}

struct Setup {
    authority: Authority,
    name: &'static str,
    version: &'static rustls::SupportedProtocolVersion,
}

impl Setup {
    fn new() -> Setup {
        Setup { authority: Authority::new(), name: "127.0.0.1", version: &rustls::version::TLS13 }
    }

    /// Serves one connection. An empty answer stalls for ever.
    async fn serve(&self, answers: Vec<Vec<u8>>) -> Server {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![self.name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2029, 1, 1);
        params.not_after = rcgen::date_time_ymd(2031, 1, 1);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.authority.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.certificate.clone())).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (seen, requests) = tokio::sync::mpsc::unbounded_channel();
        let (shaken, handshake) = oneshot::channel();
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(tcp).await else {
                let _ = shaken.send(None);
                return;
            };
            let (_, tls) = stream.get_ref();
            let client = tls.peer_certificates().map(|chain| chain[0].to_vec());
            let group = tls.negotiated_key_exchange_group().unwrap().name();
            let _ = shaken.send(Some((group, client)));
            for answer in answers {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !complete(&request) {
                    match stream.read(&mut buffer).await {
                        Ok(0) | Err(_) => return,
                        Ok(read) => request.extend(&buffer[..read]),
                    }
                }
                let _ = seen.send(String::from_utf8_lossy(&request).into_owned());
                let _ = stream.write_all(&answer).await;
                let _ = stream.flush().await;
            }
            // Open, and silent, until the client goes.
            let _ = stream.read(&mut [0; 1]).await;
        });
        Server { address, requests, handshake }
    }

    fn trust(&self, clock: Option<UnixTime>, floor: UnixTime) -> Trust {
        let mut set = Clock::new();
        if let Some(time) = clock {
            set.set(time, Uptime(0));
        }
        Trust {
            server_cas: vec![self.authority.certificate.clone()],
            clock: set,
            floor: TimeFloor { build: floor, ..TimeFloor::default() },
            uptime: Uptime(0),
        }
    }

    fn hub(&self, server: &Server) -> HttpsHub {
        HttpsHub::new(&server.address, self.trust(Some(NOW), BEFORE), None, &Proxies::default())
            .unwrap()
    }
}

/// Has a whole request come, with the body that its head announces?
fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some(end) = text.find("\r\n\r\n") else { return false };
    let length = text
        .to_ascii_lowercase()
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
        .unwrap_or(0);
    request.len() >= end + 4 + length
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ok(body: &[u8]) -> Vec<u8> {
    answer("200 OK", "", body)
}

fn check_in() -> CheckIn {
    let class = ClassStatus { class: ClassId([3; 16]), floor: SequenceNumber(0), running: None };
    CheckIn {
        nonce: Nonce([1; 16]),
        last_order: OrderNumber(0),
        link: None,
        anchors: AnchorsVersion(1),
        agent: Text::lossy("test"),
        protection: Protection {
            store: StoreKind::SealedFile,
            hardware_keys: false,
            hardware_counter: false,
        },
        classes: List::from_slice(&[class]).unwrap(),
        update: None,
        audit: None,
    }
}

#[tokio::test]
async fn a_server_under_the_anchors_is_spoken_to_with_the_hybrid_exchange() {
    let setup = Setup::new();
    let mut server = setup.serve(vec![ok(b"one"), ok(b"two")]).await;
    let key = SoftSigner::generate_p256().unwrap();
    let certificate = setup.authority.issue(ringfort_cose::Sign::public_key(&key));
    let credentials = Credentials { chain: vec![certificate.clone()], key: Arc::new(key) };
    let trust = setup.trust(Some(NOW), BEFORE);
    let mut hub =
        HttpsHub::new(&server.address, trust, Some(credentials), &Proxies::default()).unwrap();
    assert_eq!(hub.check_in(&check_in()).await.unwrap(), b"one");
    assert_eq!(hub.check_in(&check_in()).await.unwrap(), b"two", "over the same connection");
    let shaken = server.handshake.await.unwrap().unwrap();
    assert_eq!(shaken, (NamedGroup::X25519MLKEM768, Some(certificate)));
    let request = server.requests.recv().await.unwrap();
    assert!(request.starts_with("POST /v1/check-in HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/cbor\r\n"), "{request}");
}

async fn refused_server(setup: &Setup, trust: Trust) {
    let server = setup.serve(vec![ok(b"never")]).await;
    let mut hub = HttpsHub::new(&server.address, trust, None, &Proxies::default()).unwrap();
    let refused = hub.check_in(&check_in()).await.unwrap_err();
    assert!(matches!(refused, AgentError::ServerNotTrusted(_)), "{refused}");
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let setup = Setup::new();
    let mut trust = setup.trust(Some(NOW), BEFORE);
    trust.server_cas = vec![Authority::new().certificate];
    refused_server(&setup, trust).await;
}

#[tokio::test]
async fn a_server_without_any_anchor_is_refused_for_there_are_no_system_roots() {
    let setup = Setup::new();
    let mut trust = setup.trust(Some(NOW), BEFORE);
    trust.server_cas.clear();
    refused_server(&setup, trust).await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_signed_time_and_by_the_floor_alone() {
    let setup = Setup::new();
    refused_server(&setup, setup.trust(Some(AFTER), BEFORE)).await;
    let server = setup.serve(vec![ok(b"never")]).await;
    let trust = setup.trust(None, AFTER);
    let mut hub = HttpsHub::new(&server.address, trust, None, &Proxies::default()).unwrap();
    let refused = hub.time(Nonce([1; 16])).await.unwrap_err();
    assert!(matches!(refused, AgentError::ServerNotTrusted(_)), "{refused}");
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused_by_signed_time() {
    let setup = Setup::new();
    refused_server(&setup, setup.trust(Some(BEFORE), BEFORE)).await;
}

#[tokio::test]
async fn a_wrong_name_is_refused() {
    let setup = Setup { name: "hub.test", ..Setup::new() };
    refused_server(&setup, setup.trust(Some(NOW), BEFORE)).await;
}

#[tokio::test]
async fn a_server_that_speaks_only_tls_1_2_is_refused() {
    let setup = Setup { version: &rustls::version::TLS12, ..Setup::new() };
    let server = setup.serve(vec![ok(b"never")]).await;
    assert!(setup.hub(&server).check_in(&check_in()).await.is_err());
    assert!(server.handshake.await.unwrap().is_none());
}

#[tokio::test]
async fn a_device_that_was_off_for_years_gets_time_and_nothing_else() {
    let setup = Setup::new();
    // Its floor is before the certificate began.
    let mut server = setup.serve(vec![ok(b"a token"), ok(b"never")]).await;
    let trust = setup.trust(None, BEFORE);
    let mut hub = HttpsHub::new(&server.address, trust, None, &Proxies::default()).unwrap();
    assert_eq!(hub.time(Nonce([1; 16])).await.unwrap(), b"a token");
    assert!(hub.check_in(&check_in()).await.is_err());
    assert!(hub.manifest(&Sha256Digest([1; 32])).await.is_err());
    assert!(hub.object(&Sha256Digest([1; 32]), 0).await.is_err());
    assert!(hub.enrol("simpleenroll", b"csr").await.is_err());
    assert!(server.requests.recv().await.unwrap().starts_with("POST /v1/time "));
    drop(hub);
    assert!(server.requests.recv().await.is_none(), "nothing but time was asked for");
}

#[tokio::test]
async fn a_redirect_is_refused() {
    let setup = Setup::new();
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = "location: https://elsewhere.test/\r\n";
        let server = setup.serve(vec![answer(status, location, b"")]).await;
        let refused = setup.hub(&server).check_in(&check_in()).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::UriNotAllowed, "{refused}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_refused_announced_or_not() {
    let setup = Setup::new();
    let announced = ok(&[0; 4097]);
    let chunked = [
        &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1001\r\n"[..],
        &[0; 0x1001],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    for long in [announced, chunked] {
        let server = setup.serve(vec![long]).await;
        let refused = setup.hub(&server).check_in(&check_in()).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::TooLarge, "{refused}");
    }
    let server = setup.serve(vec![ok(&[0; 4096])]).await;
    assert_eq!(setup.hub(&server).check_in(&check_in()).await.unwrap().len(), 4096);
}

#[tokio::test]
async fn a_refusal_comes_with_the_hubs_own_reason() {
    let setup = Setup::new();
    let problem = ringfort_messages::Problem {
        code: Reason::CloneSuspected.into(),
        detail: Text::lossy("two holders"),
        exchange: Text::EMPTY,
    };
    let body = problem.encode().unwrap();
    let server = setup.serve(vec![answer("403 Forbidden", "", &body)]).await;
    let refused = setup.hub(&server).check_in(&check_in()).await.unwrap_err();
    assert!(
        matches!(&refused, AgentError::Refused { code, detail }
            if code == "clone-suspected" && detail == "two holders"),
        "{refused}"
    );
    let server = setup.serve(vec![answer("500 Oops", "", b"<html>")]).await;
    let refused = setup.hub(&server).check_in(&check_in()).await.unwrap_err();
    assert!(matches!(refused, AgentError::Answer { .. }), "{refused}");
}

#[tokio::test]
async fn an_object_resumes_at_the_range_that_was_asked_for() {
    let setup = Setup::new();
    let partial = answer("206 Partial Content", "content-range: bytes 3-5/6\r\n", b"def");
    let mut server = setup.serve(vec![partial]).await;
    let mut hub = setup.hub(&server);
    let object = hub.object(&Sha256Digest([1; 32]), 3).await.unwrap();
    assert_eq!(object.from, 3);
    let body = http_body_util::BodyExt::collect(object.body).await.unwrap().to_bytes();
    assert_eq!(&body[..], b"def");
    assert!(server.requests.recv().await.unwrap().contains("range: bytes=3-\r\n"));
    // A server without ranges sends the whole.
    let server = setup.serve(vec![ok(b"abcdef")]).await;
    let object = setup.hub(&server).object(&Sha256Digest([1; 32]), 3).await.unwrap();
    assert_eq!(object.from, 0);
    // And another range than asked for is of no use.
    let other = answer("206 Partial Content", "content-range: bytes 2-5/6\r\n", b"cdef");
    let server = setup.serve(vec![other]).await;
    let refused = setup.hub(&server).object(&Sha256Digest([1; 32]), 3).await.map(|_| ());
    assert_eq!(refused.unwrap_err().reason(), Reason::TransferFailed);
}

#[tokio::test]
async fn anchors_may_come_from_a_server_that_nobody_vouches_for() {
    let setup = Setup::new();
    let mut server = setup.serve(vec![ok(b"a document")]).await;
    let version = AnchorsVersion(2);
    let found = fetch_anchors_unauthenticated(&server.address, true, version, &Proxies::default())
        .await
        .unwrap();
    assert_eq!(found.as_deref(), Some(&b"a document"[..]));
    assert!(server.requests.recv().await.unwrap().starts_with("GET /v1/anchors/2 "));
    assert_eq!(server.handshake.await.unwrap().unwrap().1, None, "no client certificate is shown");
    let mut server = setup.serve(vec![answer("404 Not Found", "", b"")]).await;
    let spare = format!("{}/chain", server.address);
    assert_eq!(
        fetch_anchors_unauthenticated(&spare, false, version, &Proxies::default()).await.unwrap(),
        None
    );
    assert!(server.requests.recv().await.unwrap().starts_with("GET /chain/2.cbor "));
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_opened_again() {
    let setup = Setup::new();
    let closing = answer("200 OK", "connection: close\r\n", b"one");
    let server = setup.serve(vec![closing]).await;
    let mut hub = setup.hub(&server);
    assert_eq!(hub.check_in(&check_in()).await.unwrap(), b"one");
    // Nobody listens there any more: it was tried anew, not over the dead connection.
    let gone = hub.check_in(&check_in()).await.unwrap_err();
    assert!(matches!(gone, AgentError::Unreachable { .. }), "{gone}");
}

/// An honest proxy: everything that it is asked for is on this machine. Returns the way through
/// it, and what was asked of it.
async fn honest_proxy() -> (Proxies, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Some(format!("http://{}", listener.local_addr().unwrap()));
    let (seen, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(client.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let authority = request.split(' ').nth(1).unwrap().to_owned();
            let port: u16 = authority.rsplit_once(':').unwrap().1.parse().unwrap();
            let mut server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = seen.send(authority);
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let config = crate::ProxyConfig { address, ..crate::ProxyConfig::default() };
    (config.resolve("agent.toml".as_ref(), |_| None).unwrap(), asked)
}

#[tokio::test]
async fn the_hub_and_the_spare_address_are_reached_through_a_proxy_that_looks_up_their_names() {
    let setup = Setup { name: "hub.example", ..Setup::new() };
    let (proxies, mut asked) = honest_proxy().await;
    let server = setup.serve(vec![ok(b"one")]).await;
    let by_name = server.address.replace("127.0.0.1", "hub.example");
    let trust = setup.trust(Some(NOW), BEFORE);
    let mut hub = HttpsHub::new(&by_name, trust, None, &proxies).unwrap();
    assert_eq!(hub.check_in(&check_in()).await.unwrap(), b"one");
    assert_eq!(
        Some(asked.recv().await.unwrap()),
        by_name.strip_prefix("https://").map(str::to_owned)
    );

    let spare = setup.serve(vec![ok(b"two")]).await;
    let by_name = spare.address.replace("127.0.0.1", "spare.example");
    let found = fetch_anchors_unauthenticated(&by_name, false, AnchorsVersion(2), &proxies).await;
    assert_eq!(found.unwrap().as_deref(), Some(&b"two"[..]));
    assert!(asked.recv().await.unwrap().starts_with("spare.example:"));
}

#[tokio::test]
async fn a_proxy_that_answers_in_the_hubs_place_is_not_trusted() {
    // It ends TLS itself, with an authority of its own.
    let (setup, intercepting) = (Setup::new(), Setup::new());
    let (proxies, _asked) = honest_proxy().await;
    let server = intercepting.serve(vec![ok(b"never")]).await;
    let trust = setup.trust(Some(NOW), BEFORE);
    let mut hub = HttpsHub::new(&server.address, trust, None, &proxies).unwrap();
    let refused = hub.check_in(&check_in()).await.unwrap_err();
    assert!(matches!(refused, AgentError::ServerNotTrusted(_)), "{refused}");
}
