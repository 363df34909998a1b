//! The operators' certificate from an ACME authority: a real one, Pebble, that looks at a real hub.
//!
//! What Pebble never does (a request for patience, a certificate for somebody else, advice when to
//! renew) is put into its answers on their way to the hub.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../../tests/pebble/mod.rs"]
mod pebble;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use common::{Answer, Identity, Options, World, text};
use http::header::RETRY_AFTER;
use http::{Request, Response};
use http_body_util::Full;
use rcgen::{CertificateParams, KeyPair};
use ringfort_acme::{
    BodyWrapper, BytesResponse, Challenges, Config, ExchangeError, HttpClient, Https, Keeper,
    Obtained, Patience, Shelf, State,
};
use ringfort_fleet::Role;
use ringfort_server::PublicIdentity;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use pebble::{Habits, Pebble};

const OPERATORS: &str = "operators.example";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_looks_at_the_one_port_and_operators_are_met_with_what_it_issues() {
    let scene = Scene::start(A_YEAR).await;
    let ada = scene.world.add_operator("ada", Role::Viewer).await;
    // As long as there is none the Server CA's is shown.
    assert_eq!(scene.status(&scene.world.path("server-ca.pem"), Some(&ada)).status, 200);

    let keeper = scene.keep(scene.config(), None, None);
    scene.until("a certificate", |seen| seen.put.len() == 1).await;
    scene.in_force(&ada).await;
    // Devices are met as before, and people still need certificates of the Operator CA.
    let world = &scene.world;
    let devices =
        request(world, "devices.example", "/v1/anchors/1", &world.path("server-ca.pem"), None);
    assert_eq!(devices.status, 200, "{devices:?}");
    let nobody = scene.status(&scene.root(), None);
    assert_eq!(nobody.status, 0, "{nobody:?}");
    assert!(nobody.error.contains("certificate required"), "{nobody:?}");
    let device = world.idevid("dev-a");
    assert_eq!(scene.status(&scene.root(), Some(&device)).status, 0);
    // It is one for this name alone, and everything that is kept fits together.
    let kept = scene.seen().put[0].clone();
    let read = Obtained::read(&kept, OPERATORS).unwrap();
    assert_eq!(read.chain.len(), 2);
    assert!(Obtained::read(&kept, "devices.example").is_err());
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
    // A third of its life is left for the renewal, on a busy machine too.
    let scene = Scene::start(60).await;
    let ada = scene.world.add_operator("ada", Role::Viewer).await;
    let keeper = scene.keep(scene.config(), None, None);
    scene.until("a second certificate", |seen| seen.put.len() == 2).await;
    scene.in_force(&ada).await;
    keeper.stop().await;
    let seen = scene.seen();
    let [first, second] = [0, 1].map(|at| Obtained::read(&seen.put[at], OPERATORS).unwrap());
    assert_ne!(first.text, second.text);
    // Not before its time, and before its end.
    let life = first.not_after - first.not_before;
    assert!(second.not_before >= first.not_before + life / 3 * 2, "{seen:?}");
    assert!(second.not_before <= first.not_after, "{seen:?}");
    assert!(seen.states.iter().all(|state| state.failures == 0), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_elsewhere_is_refused_and_tried_again_until_it_leads_here() {
    let scene = Scene::start(A_YEAR).await;
    let ada = scene.world.add_operator("ada", Role::Viewer).await;
    scene.pebble.lock().unwrap().names_lead_here(false);
    let keeper = scene.keep(scene.config(), None, None);
    scene.until("two refusals", |seen| seen.failures("challenge-refused") >= 2).await;
    assert!(scene.seen().put.is_empty());
    let last = scene.seen().last();
    assert!(last.why.unwrap().contains("resolve"), "the authority's own word is kept");
    // Nothing changed for people meanwhile.
    assert_eq!(scene.status(&scene.world.path("server-ca.pem"), Some(&ada)).status, 200);
    scene.pebble.lock().unwrap().names_lead_here(true);
    scene.until("a certificate", |seen| seen.put.len() == 1).await;
    scene.until("no failure", |seen| seen.last().failures == 0).await;
    scene.in_force(&ada).await;
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_asked_to_wait_waits_that_long_and_a_new_start_does_not_forget_it() {
    let scene = Scene::start(A_YEAR).await;
    let busy = |path: &str| {
        (path == "/order-plz").then(|| {
            let body = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#;
            let answer = Response::builder().status(429).header(RETRY_AFTER, "7200");
            answer.body(Full::new(Bytes::from(body))).unwrap()
        })
    };
    let meddler = scene.meddler(busy, |_, body| body);
    let keeper = scene.keep_over(meddler, scene.config(), None, None);
    scene.until("a refusal", |seen| seen.failures("rate-limited") == 1).await;
    keeper.stop().await;
    let state = scene.seen().last();
    let in_seconds = state.next.unwrap() - now();
    assert!((7000..=7200).contains(&in_seconds), "{in_seconds}");

    // The limit is lifted, but nobody has said so: a hub that starts anew keeps still.
    let keeper = scene.keep(scene.config(), None, Some(state.clone()));
    let ada = scene.world.add_operator("ada", Role::Viewer).await;
    for _ in 0..5 {
        assert_eq!(scene.status(&scene.world.path("server-ca.pem"), Some(&ada)).status, 200);
    }
    keeper.stop().await;
    assert!(scene.seen().put.is_empty());
    assert!(!scene.pebble.lock().unwrap().said().contains("/order-plz"));
    // Its time has come.
    let keeper = scene.keep(scene.config(), None, Some(State { next: Some(now()), ..state }));
    scene.until("a certificate", |seen| seen.put.len() == 1).await;
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_certificate_serves_on_while_the_authority_is_away_at_its_renewal() {
    // Two thirds of its life are long enough to look at it before the authority goes.
    let scene = Scene::start(60).await;
    let ada = scene.world.add_operator("ada", Role::Viewer).await;
    let keeper = scene.keep(scene.config(), None, None);
    scene.until("a certificate", |seen| seen.put.len() == 1).await;
    scene.in_force(&ada).await;
    let first = scene.root();
    scene.pebble.lock().unwrap().end();
    scene.until("two failures", |seen| seen.failures("unreachable") >= 2).await;
    // Whoever looks finds the same one, even when it has ended: there is no better.
    let leaf = scene.leaf_in_force().await;
    let kept = Obtained::read(&scene.seen().put[0], OPERATORS).unwrap();
    assert_eq!(leaf, kept.chain[0]);
    assert_eq!(scene.seen().put.len(), 1);

    // It comes back, has forgotten the account, and issues from another root.
    scene.pebble.lock().unwrap().begin();
    scene.until("a second certificate", |seen| seen.put.len() >= 2).await;
    scene.in_force(&ada).await;
    assert_ne!(std::fs::read(first).unwrap(), std::fs::read(scene.root()).unwrap());
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_is_never_put_in_force() {
    let scene = Scene::start(A_YEAR).await;
    let others = || {
        let key = KeyPair::generate().unwrap();
        let other = CertificateParams::new(["other.example".to_owned()]).unwrap();
        Bytes::from(other.self_signed(&key).unwrap().pem())
    };
    let meddler = scene.meddler(
        |_| None,
        move |path, body| match path.starts_with("/certZ/") {
            true => others(),
            false => body,
        },
    );
    let keeper = scene.keep_over(meddler, scene.config(), None, None);
    scene.until("a refusal", |seen| seen.failures("wrong-certificate") >= 1).await;
    keeper.stop().await;
    assert!(scene.seen().put.is_empty());
    assert!(scene.seen().last().why.unwrap().contains("not for operators.example"));
    // The same without the exchange.
    let keeper = scene.keep(scene.config(), None, None);
    scene.until("a certificate", |seen| seen.put.len() == 1).await;
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_issues_nothing_for_the_name_is_heard() {
    let scene = Scene::start_with(A_YEAR, &[OPERATORS]).await;
    let keeper = scene.keep(scene.config(), None, None);
    scene.until("a refusal", |seen| seen.failures("refused") >= 1).await;
    keeper.stop().await;
    let last = scene.seen().last();
    assert!(last.why.unwrap().contains("forbidden by policy"));
    assert!(last.next_step.is_some() && last.failing_since.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_advises_to_renew_now_is_followed_once() {
    let scene = Scene::start(A_YEAR).await;
    let keeper = scene.keep(scene.config(), None, None);
    scene.until("a certificate", |seen| seen.put.len() == 1).await;
    keeper.stop().await;
    let held = Obtained::read(&scene.seen().put[0], OPERATORS).unwrap();

    // Without advice there is nothing to do for months; with a window in the past there is, and
    // that the advice stays the same does not make it a loop.
    let base = scene.pebble.lock().unwrap().directory.replace("/dir", "");
    let advice = Arc::new(Mutex::new(0));
    let asked = advice.clone();
    let meddler = scene.meddler(
        move |path| {
            path.starts_with("/advice/").then(|| {
                *asked.lock().unwrap() += 1;
                let body = r#"{"suggestedWindow":{"start":"2020-01-01T00:00:00Z",
                    "end":"2020-01-02T00:00:00Z"}}"#;
                let answer = Response::builder().header(RETRY_AFTER, "21600");
                answer.body(Full::new(Bytes::from(body))).unwrap()
            })
        },
        move |path, body| match path {
            "/dir" => {
                let mut directory: serde_json::Value = serde_json::from_slice(&body).unwrap();
                directory["renewalInfo"] = format!("{base}/advice").into();
                Bytes::from(directory.to_string())
            }
            _ => body,
        },
    );
    let keeper = scene.keep_over(meddler, scene.config(), Some(&held), None);
    scene.until("a second certificate", |seen| seen.put.len() == 2).await;
    let twice = async {
        while *advice.lock().unwrap() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, twice).await.unwrap();
    keeper.stop().await;
    assert_eq!(scene.seen().put.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_of_a_validation_nobody_speaks_its_protocol_here() {
    let scene = Scene::start(A_YEAR).await;
    let asked = scene.leaf_shown(OPERATORS, &["acme-tls/1"]).await;
    assert!(asked.is_err());
    let shown = scene.challenges.present(OPERATORS, &[7; 32]).unwrap();
    let chain = scene.leaf_shown(OPERATORS, &["acme-tls/1"]).await.unwrap();
    let printed = common::openssl(&["x509", "-inform", "DER", "-noout", "-text"], &chain);
    let printed = String::from_utf8(printed).unwrap();
    // RFC 8737, section 3: one name, and the digest in a critical extension.
    assert!(printed.contains("1.3.6.1.5.5.7.1.31: critical"), "{printed}");
    assert!(printed.contains("DNS:operators.example\n"), "{printed}");
    // Who also offers HTTP is no authority and meets the operators' side; and so is another name.
    let both = scene.leaf_shown(OPERATORS, &["acme-tls/1", "http/1.1"]).await;
    assert_ne!(both.ok(), Some(chain));
    assert!(scene.leaf_shown("devices.example", &["acme-tls/1"]).await.is_err());
    drop(shown);
    assert!(scene.leaf_shown(OPERATORS, &["acme-tls/1"]).await.is_err());
}

/// A hub on one port, an authority that looks at it, and what the hub's keeper does.
struct Scene {
    world: World,
    pebble: Mutex<Pebble>,
    challenges: Arc<Challenges>,
    sender: watch::Sender<Option<PublicIdentity>>,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<u64>,
}

/// What a keeper did.
#[derive(Clone, Debug, Default)]
struct Seen {
    put: Vec<String>,
    states: Vec<State>,
}

/// A keeper that runs.
struct Kept {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Kept {
    async fn stop(self) {
        self.stopping.cancel();
        self.task.await.unwrap();
    }
}

impl Seen {
    fn failures(&self, code: &str) -> usize {
        self.states.iter().filter(|state| state.code.as_deref() == Some(code)).count()
    }

    fn last(&self) -> State {
        self.states.last().cloned().unwrap_or_default()
    }
}

impl Scene {
    async fn start(lifetime_s: u32) -> Scene {
        Scene::start_with(lifetime_s, &[]).await
    }

    async fn start_with(lifetime_s: u32, blocked: &'static [&'static str]) -> Scene {
        let challenges = Arc::new(Challenges::default());
        let (sender, receiver) = watch::channel(None);
        let options = Options {
            one_port: true,
            operator_identity: Some(receiver),
            challenges: Some(challenges.clone()),
            ..Options::default()
        };
        let world = World::start_with(options).await;
        let habits = Habits { tls_port: world.device_port, lifetime_s, blocked };
        let pebble = Mutex::new(Pebble::start(&world.path("pebble"), &habits));
        let (seen, changed) = (Arc::default(), watch::Sender::new(0));
        Scene { world, pebble, challenges, sender, seen, changed }
    }

    fn config(&self) -> Config {
        let pebble = self.pebble.lock().unwrap();
        Config {
            directory: pebble.directory.clone(),
            name: OPERATORS.to_owned(),
            terms: Some(pebble.terms()),
            contacts: Vec::new(),
            secret: Zeroizing::new([5; 32]),
            patience: Patience { first: Duration::from_secs(1), most: Duration::from_secs(2) },
        }
    }

    fn https(&self) -> Https {
        let trust = self.pebble.lock().unwrap().trust();
        Https::new(&[CertificateDer::from_pem_file(trust).unwrap().to_vec()]).unwrap()
    }

    fn meddler(
        &self,
        instead: impl Fn(&str) -> Option<Response<Full<Bytes>>> + Send + Sync + 'static,
        rewrite: impl Fn(&str, Bytes) -> Bytes + Send + Sync + 'static,
    ) -> Arc<dyn HttpClient> {
        Arc::new(Meddler {
            inner: self.https(),
            instead: Box::new(instead),
            rewrite: Arc::new(rewrite),
        })
    }

    fn keep(&self, config: Config, held: Option<&Obtained>, state: Option<State>) -> Kept {
        self.keep_over(Arc::new(self.https()), config, held, state)
    }

    fn keep_over(
        &self,
        http: Arc<dyn HttpClient>,
        config: Config,
        held: Option<&Obtained>,
        state: Option<State>,
    ) -> Kept {
        let shelf = Desk {
            seen: self.seen.clone(),
            changed: self.changed.clone(),
            sender: self.sender.clone(),
        };
        let keeper = Keeper::new(config, http, self.challenges.clone(), shelf, held, state);
        let stopping = CancellationToken::new();
        Kept { task: tokio::spawn(keeper.run(stopping.clone())), stopping }
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Returns when what the keeper did is so.
    async fn until(&self, what: &str, is_so: impl Fn(&Seen) -> bool) {
        let mut changed = self.changed.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_so(&self.seen()) {
                changed.changed().await.unwrap();
            }
        });
        let waited = waited.await;
        let said = self.pebble.lock().unwrap().said();
        assert!(waited.is_ok(), "never: {what}\n{:#?}\n{said}", self.seen().states);
    }

    /// Returns when operators are met with the newest certificate that the keeper put.
    async fn in_force(&self, operator: &Identity) {
        let newest = || Obtained::read(self.seen().put.last().unwrap(), OPERATORS).unwrap();
        let met = tokio::time::timeout(PATIENCE, async {
            while self.leaf_in_force().await != newest().chain[0] {
                tokio::task::yield_now().await;
            }
        });
        met.await.unwrap();
        let answer = self.status(&self.root(), Some(operator));
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The certificate that operators are met with, whoever issued it.
    async fn leaf_in_force(&self) -> Vec<u8> {
        self.leaf_shown(OPERATORS, &["http/1.1"]).await.unwrap()
    }

    /// The root of what the authority issues, as a file.
    fn root(&self) -> PathBuf {
        let root = self.pebble.lock().unwrap().root();
        let name = format!("root-{}.pem", common::digest(root.as_bytes()));
        std::fs::write(self.world.path(&name), root).unwrap();
        self.world.path(&name)
    }

    fn status(&self, trusted: &std::path::Path, identity: Option<&Identity>) -> Answer {
        request(&self.world, OPERATORS, "/api/v1/status", trusted, identity)
    }

    /// What a handshake for a name with these protocols is answered with: the first certificate.
    async fn leaf_shown(&self, name: &str, protocols: &[&str]) -> std::io::Result<Vec<u8>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(("127.0.0.1", self.world.device_port)).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        Ok(chain[0].to_vec())
    }
}

/// Where a keeper's work goes in these tests.
struct Desk {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<u64>,
    sender: watch::Sender<Option<PublicIdentity>>,
}

impl Shelf for Desk {
    fn put(&self, obtained: &Obtained) -> Result<(), String> {
        let key = obtained.private_key().map_err(|error| error.to_string())?;
        let identity = PublicIdentity::new(obtained.chain.clone(), key);
        self.sender.send_replace(Some(identity.map_err(|error| error.to_string())?));
        self.seen.lock().unwrap().put.push(obtained.text.to_string());
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    fn note(&self, state: &State) {
        self.seen.lock().unwrap().states.push(state.clone());
        self.changed.send_modify(|count| *count += 1);
    }
}

type Instead = Box<dyn Fn(&str) -> Option<Response<Full<Bytes>>> + Send + Sync>;
type Rewrite = Arc<dyn Fn(&str, Bytes) -> Bytes + Send + Sync>;
type Exchange =
    std::pin::Pin<Box<dyn Future<Output = Result<BytesResponse, ExchangeError>> + Send>>;

/// Answers in the authority's place, or changes what it answered.
struct Meddler {
    inner: Https,
    instead: Instead,
    rewrite: Rewrite,
}

impl HttpClient for Meddler {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Exchange {
        let path = request.uri().path().to_owned();
        if let Some(answer) = (self.instead)(&path) {
            return Box::pin(async move { Ok(BytesResponse::from(answer)) });
        }
        let (exchange, rewrite) = (self.inner.request(request), self.rewrite.clone());
        Box::pin(async move {
            let mut answer = exchange.await?;
            let body = answer.body.into_bytes().await.map_err(ExchangeError::Other)?;
            let body = Full::new(rewrite(&path, body));
            Ok(BytesResponse::from(Response::from_parts(answer.parts, body)))
        })
    }
}

/// Takes whatever certificate is shown: these tests look at it themselves.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn request(
    world: &World,
    name: &str,
    path: &str,
    trusted: &std::path::Path,
    identity: Option<&Identity>,
) -> Answer {
    let port = world.device_port;
    let mut command = Command::new("curl");
    command
        .args(["-sS", "-i", "--max-time", "120", "--noproxy", "*"])
        .args(["--resolve", &format!("{name}:{port}:127.0.0.1")])
        .args(["--cacert", text(trusted)]);
    if let Some(identity) = identity {
        command.args(["--cert", text(&identity.certificate), "--key", text(&identity.key)]);
    }
    command.arg(format!("https://{name}:{port}{path}"));
    Answer::of(command)
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

const A_YEAR: u32 = 365 * 86_400;
const PATIENCE: Duration = Duration::from_secs(300);
