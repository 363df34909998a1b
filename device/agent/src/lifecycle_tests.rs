//! Enrolment, renewal, re-entry and a whole update, over real TLS against a hub in this process.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringfort_keystore::public_key_from_der;
use ringfort_messages::{CheckIn, CheckInAnswer, Link, LinkId, Report, TimeRequest, UpdateState};
use ringfort_trust::ids::AnchorsVersion;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::keys::sequence;
use crate::testing::{Authority, Fleet, config, manifest_of, provision_by};
use crate::{identity_install, status};

/// A hub of few words.
struct TestHub {
    authority: Authority,
    fleet: Fleet,
    /// The years in which the next operational certificates end.
    years: Mutex<VecDeque<i32>>,
    /// Answer check-ins with this refusal until the next enrolment.
    refuse: Mutex<Option<Reason>>,
    log: Mutex<Vec<String>>,
    /// What fails at which of its requests, counted from 1.
    fails: Mutex<Option<(&'static str, usize)>>,
    release: Mutex<Option<(Vec<u8>, Vec<u8>)>>,
    reports: watch::Sender<Vec<UpdateState>>,
    changed: Notify,
}

impl TestHub {
    async fn start() -> (Arc<TestHub>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let mut fleet = Fleet::new();
        let authority = Authority::new();
        fleet.spec.hub.clone_from(&address);
        fleet.spec.server_cas = vec![authority.certificate.clone()];
        let hub = Arc::new(TestHub {
            authority,
            fleet,
            years: Mutex::new(VecDeque::new()),
            refuse: Mutex::new(None),
            log: Mutex::new(Vec::new()),
            fails: Mutex::new(None),
            release: Mutex::new(None),
            reports: watch::channel(Vec::new()).0,
            changed: Notify::new(),
        });
        let acceptor = TlsAcceptor::from(Arc::new(hub.tls()));
        let serving = Arc::clone(&hub);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (hub, acceptor) = (Arc::clone(&serving), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        hub.connection(stream).await;
                    }
                });
            }
        });
        (hub, address)
    }

    fn tls(&self) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2095, 1, 1);
        params.not_after = rcgen::date_time_ymd(9999, 1, 1);
        let certificate = params.signed_by(&key, &self.authority.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.certificate.clone())).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        // The clock of this machine is long before the certificates of 2090: the registry decides.
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(AnyTime::wrap(clients))
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap()
    }

    async fn connection(&self, mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
        let mut request = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            let Some((head, length)) = head(&request) else {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => request.extend(&buffer[..read]),
                }
                continue;
            };
            while request.len() < head.len() + length {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => request.extend(&buffer[..read]),
                }
            }
            let body: Vec<u8> = request.drain(..head.len() + length).skip(head.len()).collect();
            let line = head.lines().next().unwrap_or_default();
            let (status, answer) = self.answer(line.trim_end_matches(" HTTP/1.1"), &body);
            let reply = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", answer.len());
            if stream.write_all(&[reply.as_bytes(), &answer].concat()).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, line: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.log.lock().unwrap().push(line.to_owned());
        self.changed.notify_one();
        let fails = *self.fails.lock().unwrap();
        if fails.is_some_and(|(what, at)| {
            line.ends_with(what)
                && self.requests().iter().filter(|request| *request == what).count() == at
        }) {
            return (503, Vec::new());
        }
        match line.split('/').next_back().unwrap_or_default() {
            "time" => (200, self.fleet.time(TimeRequest::decode(body).unwrap().nonce)),
            "simpleenroll" | "simplereenroll" => {
                *self.refuse.lock().unwrap() = None;
                (200, self.certify(body))
            }
            "check-in" => self.check_in(&CheckIn::decode(body).unwrap()),
            "report" => {
                let state = Report::decode(body).unwrap().state;
                self.reports.send_modify(|states| states.push(state));
                (204, Vec::new())
            }
            name => match &*self.release.lock().unwrap() {
                Some((envelope, _)) if name == manifest_of(envelope).to_string() => {
                    (200, envelope.clone())
                }
                Some((_, payload)) => (200, payload.clone()),
                None => (404, Vec::new()),
            },
        }
    }

    fn check_in(&self, check_in: &CheckIn) -> (u16, Vec<u8>) {
        if let Some(reason) = *self.refuse.lock().unwrap() {
            let mut problem = ringfort_cose::cbor::Writer::to_vec();
            problem.map(1).unwrap().i64(-1).unwrap().text(reason.code()).unwrap();
            return (403, problem.finish().unwrap());
        }
        let ended = check_in.update.is_some_and(|update| update.state.is_terminal());
        let token = match &*self.release.lock().unwrap() {
            Some((envelope, _)) if !ended => {
                self.fleet.order(check_in.nonce, 1, manifest_of(envelope))
            }
            _ => self.fleet.time(check_in.nonce),
        };
        let counter = check_in.link.map_or(0, |link| link.id.counter) + 1;
        let id = LinkId { counter, random: [0; 16] };
        let device = DeviceId::new("dev-a").unwrap();
        let answer = CheckInAnswer {
            token: &token,
            command: None,
            link: Link::issue(id, &device, |_| [0; 32]),
            newest_anchors: AnchorsVersion(1),
            interval_seconds: 1,
        };
        (200, answer.encode().unwrap())
    }

    fn certify(&self, body: &[u8]) -> Vec<u8> {
        let request = STANDARD.decode(body).unwrap();
        let request = <x509_cert::request::CertReq as der::Decode>::from_der(&request).unwrap();
        let spki = der::Encode::to_der(&request.info.public_key).unwrap();
        let year = self.years.lock().unwrap().pop_front().unwrap_or(9999);
        let key = public_key_from_der(&spki).unwrap();
        let certificate = self.authority.issue_until(key, year);
        let tagged = |tag: u8, content: &[u8]| {
            let mut wrapped = sequence(&[content]);
            wrapped[0] = tag;
            wrapped
        };
        let id = |last: u8| [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, last];
        let signed = sequence(&[
            &[0x02, 0x01, 0x01, 0x31, 0x00],
            &sequence(&[&id(1)]),
            &tagged(0xa0, &certificate),
            &[0x31, 0x00],
        ]);
        STANDARD.encode(sequence(&[&id(2), &tagged(0xa0, &signed)])).into_bytes()
    }

    fn requests(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap()
            .iter()
            .map(|line| line.rsplit('/').next().unwrap().to_owned())
            .collect()
    }

    /// Waits until the hub has been asked this many times for something.
    async fn asked(&self, what: &str, times: usize) {
        while self.requests().iter().filter(|line| *line == what).count() < times {
            self.changed.notified().await;
        }
    }
}

/// The head of a request and the length of its body, if the head is whole.
fn head(request: &[u8]) -> Option<(String, usize)> {
    let text = String::from_utf8_lossy(request);
    let head = text[..text.find("\r\n\r\n")? + 4].to_owned();
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok()).unwrap_or(0);
    Some((head, length))
}

/// A client verifier that does not ask what time it is.
#[derive(Debug)]
struct AnyTime(Arc<dyn rustls::server::danger::ClientCertVerifier>);

impl AnyTime {
    fn wrap(
        inner: Arc<dyn rustls::server::danger::ClientCertVerifier>,
    ) -> Arc<dyn rustls::server::danger::ClientCertVerifier> {
        Arc::new(AnyTime(inner))
    }
}

impl rustls::server::danger::ClientCertVerifier for AnyTime {
    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        let (validity, _) = keys::read_certificate(end_entity).unwrap();
        let inside = std::time::Duration::from_secs(validity.to.0 - 1);
        let time = rustls::pki_types::UnixTime::since_unix_epoch(inside);
        self.0.verify_client_cert(end_entity, intermediates, time)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn device(hub: &TestHub, dir: &Path) -> AgentConfig {
    let mut config = config(dir, "");
    config.poll.interval_seconds = Some(1);
    provision_by(&hub.authority, &hub.fleet, &config);
    config
}

#[tokio::test]
async fn enrolment_asks_for_time_first_and_is_done_once() {
    let (hub, _) = TestHub::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = device(&hub, dir.path());
    assert!(!status(&config).unwrap().enrolled);
    let enrolled = enrol(&config).await.unwrap();
    assert_eq!(enrolled.device.as_str(), "dev-a");
    assert_eq!(hub.requests(), ["time", "simpleenroll"]);
    assert_eq!(enrol(&config).await.unwrap(), enrolled);
    assert_eq!(hub.requests().len(), 2);
    assert!(status(&config).unwrap().enrolled);
}

#[tokio::test]
async fn a_device_enrols_updates_and_reports_in_one_run() {
    let (hub, address) = TestHub::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = device(&hub, dir.path());
    let payload = b"a payload".to_vec();
    *hub.release.lock().unwrap() = Some((hub.fleet.release(100, &[&payload]), payload.clone()));
    let mut reports = hub.reports.subscribe();
    let confirmed = async {
        reports.wait_for(|states| states.contains(&UpdateState::Confirmed)).await.unwrap();
    };
    run(&config, confirmed).await.unwrap();
    let expected = [
        UpdateState::Offered,
        UpdateState::Downloading,
        UpdateState::Written,
        UpdateState::Trial,
        UpdateState::Confirmed,
    ];
    assert_eq!(*hub.reports.borrow(), expected);
    let current = config.slots_dir().join("current/component-0");
    assert_eq!(std::fs::read(current).unwrap(), payload);
    let status = status(&config).unwrap();
    assert_eq!(status.release.unwrap().sequence, 100);
    assert_eq!(status.hub, Some(address));
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_updates_inside_the_sandbox_with_a_runner_outside_of_it() {
    let name = "lifecycle::tests::a_device_updates_inside_the_sandbox_with_a_runner_outside_of_it";
    crate::testing::in_child(name, |dir| {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                send.send(TestHub::start().await.0).unwrap();
                std::future::pending::<()>().await;
            });
        });
        let hub = receive.recv().unwrap();
        let state = dir.join("state");
        std::fs::create_dir(&state).unwrap();
        let mut config = device(&hub, &state);
        config.update.restart.command = Some(vec!["/usr/bin/env".into()]);
        let payload = b"a payload".to_vec();
        *hub.release.lock().unwrap() = Some((hub.fleet.release(100, &[&payload]), payload.clone()));
        let mut reports = hub.reports.subscribe();
        let told = dir.join("told");
        let mut runner = std::process::Command::new("/bin/sh");
        let script = "while read verb; do echo $verb >> \"$0\"; echo ok; done";
        runner.args(["-c", script]).arg(&told);
        run_sandboxed(&config, runner, || async move {
            reports.wait_for(|states| states.contains(&UpdateState::Confirmed)).await.unwrap();
        })
        .unwrap();
        let current = config.slots_dir().join("current/component-0");
        assert_eq!(std::fs::read(current).unwrap(), payload);
        assert!(std::process::Command::new("/bin/true").status().is_err(), "no longer");
        // What the runner wrote lies outside of what the agent may read.
        let log = std::fs::read_to_string(&told);
        assert!(log.is_err() || log.unwrap() == "restart\nhealth\n");
    });
}

#[tokio::test]
async fn a_certificate_past_two_thirds_is_renewed_with_a_new_key_and_tried_before_the_old_goes() {
    let (hub, _) = TestHub::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = device(&hub, dir.path());
    // 2090 to 2097: in 2096 its last third has begun.
    hub.years.lock().unwrap().push_back(2097);
    let first = enrol(&config).await.unwrap();
    run(&config, hub.asked("check-in", 1)).await.unwrap();
    assert_eq!(
        hub.requests()[2..],
        ["time", "simplereenroll", "time", "check-in"],
        "the new certificate is tried before it is used"
    );
    assert!(enrol(&config).await.unwrap().certificate_ends > first.certificate_ends);
    let keystore = config.state.join("keystore");
    assert!(!keystore.join("ldevid-1.key").exists() && keystore.join("ldevid-2.key").exists());
}

/// Azure/iotedge#5787, thin-edge#3541: a renewal that came to nothing left nothing. Whether the hub
/// issues no certificate, or the one that it issued does not work: the old one serves, and the next
/// try renews.
#[tokio::test]
async fn c28_a_renewal_that_fails_half_way_keeps_the_good_certificate() {
    for fails in [("simplereenroll", 1), ("time", 3)] {
        let (hub, _) = TestHub::start().await;
        let dir = tempfile::tempdir().unwrap();
        let config = device(&hub, dir.path());
        hub.years.lock().unwrap().push_back(2097);
        let first = enrol(&config).await.unwrap();
        *hub.fails.lock().unwrap() = Some(fails);
        run(&config, hub.asked("check-in", 1)).await.unwrap();
        let requests = hub.requests();
        assert!(requests.contains(&"simplereenroll".to_owned()), "{requests:?}");
        assert_eq!(requests.last().unwrap(), "check-in", "{requests:?}");
        let key = config.state.join("keystore/ldevid-1.key");
        assert!(key.exists(), "{fails:?}");
        assert_eq!(enrol(&config).await.unwrap().certificate_ends, first.certificate_ends);

        *hub.fails.lock().unwrap() = None;
        run(&config, hub.asked("check-in", 2)).await.unwrap();
        assert!(enrol(&config).await.unwrap().certificate_ends > first.certificate_ends);
        assert!(!key.exists(), "{fails:?}");
    }
}

#[tokio::test]
async fn a_device_that_was_off_longer_than_its_certificate_comes_back_by_its_factory_identity() {
    let (hub, _) = TestHub::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = device(&hub, dir.path());
    // It ended in 2091.
    hub.years.lock().unwrap().push_back(2091);
    enrol(&config).await.unwrap();
    run(&config, hub.asked("check-in", 1)).await.unwrap();
    assert_eq!(hub.requests()[2..], ["time", "simpleenroll", "check-in"]);
}

#[tokio::test]
async fn a_device_whose_certificate_is_not_taken_any_more_enters_again() {
    let (hub, _) = TestHub::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = device(&hub, dir.path());
    enrol(&config).await.unwrap();
    *hub.refuse.lock().unwrap() = Some(Reason::CertificateRevoked);
    run(&config, hub.asked("check-in", 2)).await.unwrap();
    assert_eq!(hub.requests()[2..], ["time", "check-in", "simpleenroll", "check-in"]);
}

#[tokio::test]
async fn a_suspected_clone_does_not_enter_again_by_itself() {
    let (hub, _) = TestHub::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = device(&hub, dir.path());
    enrol(&config).await.unwrap();
    *hub.refuse.lock().unwrap() = Some(Reason::CloneSuspected);
    run(&config, hub.asked("check-in", 2)).await.unwrap();
    assert_eq!(hub.requests()[2..], ["time", "check-in", "check-in"]);
}

#[tokio::test]
async fn a_device_whose_clock_stood_still_asks_for_time_again() {
    let (hub, _) = TestHub::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = device(&hub, dir.path());
    enrol(&config).await.unwrap();
    let mut agent = Agent::open(&config).unwrap();
    let mut runner = LocalRunner { config: config.clone() };
    agent.cycle(&mut runner).await.unwrap();
    // The hub's certificate begins in 2095; this is what a counter that stood still would say.
    agent.hub = None;
    agent.session.device.forget_time();
    let floor = agent.session.time_floor().unwrap();
    assert!(floor.value() >= UnixTime(crate::testing::NOW), "signed time is kept as the floor");
    agent.cycle(&mut runner).await.unwrap();
    assert_eq!(hub.requests()[2..], ["time", "check-in", "time", "check-in"]);
}

#[tokio::test]
async fn a_hub_whose_certificates_are_all_lost_is_found_again_by_anchors_from_the_spare_address() {
    let (new_hub, _) = TestHub::start().await;
    let (spare, spare_address) = TestHub::start().await;
    let (mut old_fleet, old_ca) = (Fleet::new(), Authority::new());
    // Version 1 names a hub whose Server CA nobody has any more: the address answers, as another.
    old_fleet.spec.hub.clone_from(&new_hub.fleet.spec.hub);
    old_fleet.spec.server_cas = vec![old_ca.certificate.clone()];
    old_fleet.spec.spare = Some(spare_address);
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "");
    config.poll.interval_seconds = Some(1);
    provision_by(&new_hub.authority, &old_fleet, &config);
    old_fleet.spec.version = AnchorsVersion(2);
    old_fleet.spec.server_cas = vec![new_hub.authority.certificate.clone()];
    *spare.release.lock().unwrap() =
        Some((old_fleet.release(1, &[b"unused"]), old_fleet.anchors()));
    let mut agent = Agent::open(&config).unwrap();
    let mut runner = LocalRunner { config: config.clone() };
    assert!(agent.cycle(&mut runner).await.is_err(), "the first try meets a stranger");
    assert_eq!(agent.session.device.record().anchors.version, AnchorsVersion(2));
    assert!(spare.requests().contains(&"2.cbor".to_owned()));
    // Now the server is believed; what its time token says is another fleet's.
    let refused = agent.cycle(&mut runner).await.unwrap_err();
    assert!(!matches!(refused, AgentError::ServerNotTrusted(_)), "{refused}");
    assert!(new_hub.requests().contains(&"time".to_owned()));
}

/// A spare address that answers nothing, and counts who asks. Connections are made by the system.
struct CountedSpare(std::net::TcpListener);

impl CountedSpare {
    fn new() -> (CountedSpare, String) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        (CountedSpare(listener), address)
    }

    fn asked(&self) -> usize {
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_sends_a_device_away_for_a_week_does_not_keep_it_from_the_spare_address() {
    let a_week = Duration::from_secs(CheckInAnswer::MAX_INTERVAL_SECONDS.into());
    for (with_spare, expected) in [(true, 8), (false, 0)] {
        let (spare, address) = CountedSpare::new();
        let mut fleet = Fleet::new();
        fleet.spec.spare = with_spare.then_some(address);
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), "");
        provision_by(&Authority::new(), &fleet, &config);
        let mut agent = Agent::open(&config).unwrap();
        let mut runner = LocalRunner { config };
        agent.ask_spare(&mut runner).await.unwrap();
        let before = Instant::now();
        // An hour more, so that the last day's end lies inside.
        let rest = a_week + Duration::from_secs(3600);
        agent.rest(rest, &mut runner).await.unwrap();
        assert!(before.elapsed() >= rest);
        assert_eq!(spare.asked(), expected, "once at first, and once a day");
    }
}

#[tokio::test]
async fn an_identity_is_given_once_and_to_its_own_device_only() {
    let (hub, _) = TestHub::start().await;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = device(&hub, one.path());
    assert!(matches!(identity_install(&config, b""), Err(AgentError::HasIdentity)));
    assert!(matches!(crate::identity_request(&config), Err(AgentError::HasIdentity)));
    let other = crate::testing::config(two.path(), "");
    assert!(matches!(identity_install(&other, b""), Err(AgentError::NoIdentity)));
    crate::identity_request(&other).unwrap();
    let refused = identity_install(&other, b"").unwrap_err();
    assert!(matches!(refused, AgentError::Identity { reason: Reason::Malformed, .. }));
    assert!(matches!(enrol(&other).await, Err(AgentError::NoIdentity)));
}
