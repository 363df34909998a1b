//! What the listeners bear: slow and silent clients, too many, wrong names, changes of trust.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Identity, Options, World, tls};
use ringfort_api::model::NewSite;
use ringfort_cose::Reason;
use ringfort_fleet::{OperatorAuthority, Role, State};
use ringfort_messages::{Nonce, TimeRequest};
use ringfort_pki::{CERTIFICATE, Issuer, SubjectKey, to_pem};
use ringfort_server::{Limits, Server, ServerConfig, StartError};
use rustls::{HandshakeKind, NamedGroup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A limit that is waited for; whoever keeps it takes a thousandth of it, on a busy machine more.
const SHORT: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_finish_its_headers_is_cut_off() {
    let world = with_limits(Limits { headers: SHORT, ..Limits::default() }).await;
    let config = tls::config(&world, None);
    let mut slow = tls::connect(&config, world.device_port).await.unwrap();
    slow.write_all(b"GET /v1/anchors/1 HTTP/1.1\r\nho").await.unwrap();
    timeout(LONG, tls::closed(&mut slow)).await.unwrap();

    let mut quick = tls::connect(&config, world.device_port).await.unwrap();
    assert_eq!(tls::exchange(&mut quick, &anchors(&world)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_says_nothing_is_cut_off() {
    let limits = Limits { handshake: SHORT, idle: SHORT, ..Limits::default() };
    let world = with_limits(limits).await;
    let mut before_the_handshake =
        TcpStream::connect(("127.0.0.1", world.device_port)).await.unwrap();
    let mut rest = Vec::new();
    timeout(LONG, before_the_handshake.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty());

    let config = tls::config(&world, None);
    let mut after_it = tls::connect(&config, world.device_port).await.unwrap();
    timeout(LONG, tls::closed(&mut after_it)).await.unwrap();

    let mut talking = tls::connect(&config, world.device_port).await.unwrap();
    assert_eq!(tls::exchange(&mut talking, &anchors(&world)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_is_refused_with_its_reason() {
    let world = with_limits(Limits { body: SHORT, ..Limits::default() }).await;
    let config = tls::config(&world, Some(&world.idevid("dev-a")));
    let port = world.device_port;
    let mut slow = tls::connect(&config, port).await.unwrap();
    let head = tls::head(port, "POST", "/v1/time", 20);
    let (status, head) = timeout(LONG, tls::exchange(&mut slow, head.as_bytes())).await.unwrap();
    assert_eq!(status, 408);
    assert!(head.contains("reason: slow-transfer"), "{head}");

    let mut quick = tls::connect(&config, port).await.unwrap();
    let request = tls::request(port, "POST", "/v1/time", &time_request());
    assert_eq!(tls::exchange(&mut quick, &request).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_cap_are_turned_away_until_one_ends() {
    let world = with_limits(Limits { connections_per_address: 2, ..Limits::default() }).await;
    let config = tls::config(&world, None);
    let first = tls::connect(&config, world.device_port).await.unwrap();
    let _second = tls::connect(&config, world.device_port).await.unwrap();
    assert!(tls::connect(&config, world.device_port).await.is_err());
    drop(first);
    let again = async {
        while tls::connect(&config, world.device_port).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_another_host_is_misdirected() {
    let world = World::start().await;
    let operator = world.add_operator("ada", Role::Viewer).await;
    let device = |host: &str| world.device("/v1/anchors/1").header(&format!("host: {host}")).send();
    let people = |host: &str| {
        world.operator("/healthz").with(&operator).header(&format!("host: {host}")).send()
    };
    let (own, other) = (world.device_port, world.operator_port);
    for host in ["evil.example".to_owned(), format!("127.0.0.1:{other}"), "127.0.0.2".to_owned()] {
        let answer = device(&host);
        assert_eq!((answer.status, answer.reason()), (421, Reason::MisdirectedRequest), "{host}");
    }
    let answer = people(&format!("127.0.0.1:{own}"));
    assert_eq!((answer.status, answer.reason()), (421, Reason::MisdirectedRequest));
    assert_eq!(device(&format!("localhost:{own}")).status, 200);
    assert_eq!(people(&format!("localhost:{other}")).status, 200);

    // The same by the name in the handshake; the client does not check the certificate here.
    let resolve = format!("evil.example:{own}:127.0.0.1");
    let url = format!("https://evil.example:{own}/v1/anchors/1");
    let by_name = common::curl::run(
        std::process::Command::new("curl").args([
            "-sSik",
            "--resolve",
            &resolve,
            &url,
            "-H",
            "host: localhost",
        ]),
        &[],
    );
    let text = String::from_utf8_lossy(&by_name.stdout).into_owned();
    assert!(text.contains("421") && text.contains("misdirected-request"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_listener_takes_operators_only() {
    let world = World::start().await;
    let registered = world.add_operator("ada", Role::Viewer).await;
    let device = world.ldevid("dev-a");
    let stranger = stranger(&world);
    let status = || world.operator("/api/v1/status");

    let without = status().send();
    assert_eq!(without.status, 0, "{without:?}");
    for identity in [&device, &world.idevid("dev-a")] {
        let answer = status().with(identity).send();
        assert_eq!(answer.status, 0, "{answer:?}");
    }
    let answer = status().with(&stranger).send();
    assert_eq!((answer.status, answer.reason()), (403, Reason::UnknownCertificate));
    let old = status().with(&registered).args(&["--tls-max", "1.2"]).send();
    assert_eq!(old.status, 0, "{old:?}");
    assert_eq!(status().with(&registered).send().status, 200);

    // What the handshake could not say stands in the metrics, and in the log.
    let counted = async {
        loop {
            let metrics = world.operator("/metrics").with(&registered).send();
            let text = String::from_utf8(metrics.body).unwrap();
            let of_reason = |reason: &str| {
                let line = format!(r#"{{listener="operator",reason="{reason}"}}"#);
                text.contains(&format!("ringfort_connections_refused_total{line}"))
            };
            if of_reason("no-client-certificate") && of_reason("unknown-certificate") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, counted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_devices_connection_is_closed() {
    let world = World::start().await;
    let (a, b) = (world.ldevid("dev-a"), world.ldevid("dev-b"));
    let port = world.device_port;
    let request = tls::request(port, "POST", "/v1/time", &time_request());
    let mut of_a = tls::connect(&tls::config(&world, Some(&a)), port).await.unwrap();
    let mut of_b = tls::connect(&tls::config(&world, Some(&b)), port).await.unwrap();
    for stream in [&mut of_a, &mut of_b] {
        assert_eq!(tls::exchange(stream, &request).await.0, 200);
    }
    world.move_to("dev-a", State::Suspended).await;
    timeout(LONG, tls::closed(&mut of_a)).await.unwrap();
    assert_eq!(tls::exchange(&mut of_b, &request).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_session_does_not_skip_the_registry() {
    let world = World::start().await;
    let port = world.device_port;
    let config = tls::config(&world, Some(&world.ldevid("dev-a")));
    let request = tls::request(port, "POST", "/v1/time", &time_request());
    let mut full = tls::connect(&config, port).await.unwrap();
    assert_eq!(full.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    let group = full.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(tls::exchange(&mut full, &request).await.0, 200);

    let mut resumed = tls::connect(&config, port).await.unwrap();
    assert_eq!(resumed.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(tls::exchange(&mut resumed, &request).await.0, 200, "the same before it is retired");

    world.move_to("dev-a", State::Retired).await;
    let mut after = tls::connect(&config, port).await.unwrap();
    assert_eq!(after.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(tls::exchange(&mut after, &request).await.0, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_is_revoked_loses_its_identities_and_its_connections() {
    let world = World::start().await;
    let client = world.client("ada", Role::Admin).await;
    let (idevid, port) = (world.idevid("dev-a"), world.device_port);
    let config = tls::config(&world, Some(&idevid));
    let request = tls::request(port, "POST", "/v1/time", &time_request());
    let mut open = tls::connect(&config, port).await.unwrap();
    assert_eq!(tls::exchange(&mut open, &request).await.0, 200);
    client.revoke_site("north").await.unwrap();
    timeout(LONG, tls::closed(&mut open)).await.unwrap();
    let again =
        world.device("/v1/time").with(&idevid).post("application/cbor", time_request()).send();
    assert_eq!(again.reason(), Reason::UnknownCertificate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_devices_of_a_new_site_are_taken_in_without_a_restart() {
    let world = World::start().await;
    let client = world.client("ada", Role::Admin).await;
    let signer = common::signer();
    let key = SubjectKey::try_from(&signer.public_key()).unwrap();
    let role = ringfort_pki::Role::Factory { site: "south".into() };
    let der = world.plan.issue_authority(&world.root, &role, &key, common::now()).unwrap().der;
    let factory = Issuer::new(&der, signer).unwrap();
    let batch = world.batch(1, "south", &factory, &["s-1"]);
    let time = || {
        let request = world.device("/v1/time").with(&world.idevid("s-1"));
        request.post("application/cbor", time_request()).send()
    };
    assert_eq!(time().reason(), Reason::UnknownCertificate);

    let site = NewSite {
        id: "south".into(),
        factory_ca: to_pem(CERTIFICATE, &der).unwrap(),
        serial_prefix: "s-".into(),
        quota: 1,
        not_after_ms: i64::MAX,
    };
    client.add_site(&site).await.unwrap();
    assert_eq!(client.import_batch(batch).await.unwrap().devices, 1);
    let taken_in = async {
        while time().status != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, taken_in).await.unwrap();
    world.ldevid("s-1");
    let sites = client.sites(&Default::default()).await.unwrap().items;
    assert_eq!(sites.iter().map(|site| site.id.as_str()).collect::<Vec<_>>(), ["north", "south"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_progress_is_finished_before_the_server_stops() {
    let limits = Limits { drain: LONG, ..Limits::default() };
    let mut world = World::start_with(Options { limits, ..Options::default() }).await;
    let port = world.device_port;
    let config = tls::config(&world, Some(&world.idevid("dev-a")));
    let mut in_progress = tls::connect(&config, port).await.unwrap();
    let body = time_request();
    let head = tls::head(port, "POST", "/v1/time", body.len());
    let head = head.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    // The server says so once it waits for the body: the request has arrived.
    let interim = timeout(LONG, tls::exchange(&mut in_progress, head.as_bytes())).await.unwrap();
    assert_eq!(interim.0, 100);
    in_progress.write_all(&body[..5]).await.unwrap();
    let mut other = tls::connect(&config, port).await.unwrap();
    assert_eq!(
        tls::exchange(&mut other, &tls::request(port, "POST", "/v1/time", &body)).await.0,
        200
    );

    let running = world.running.take().unwrap();
    let stopping = tokio::spawn(running.shutdown());
    timeout(LONG, tls::closed(&mut other)).await.unwrap();
    in_progress.write_all(&body[5..]).await.unwrap();
    assert_eq!(timeout(LONG, tls::answer(&mut in_progress)).await.unwrap().0, 200);
    timeout(LONG, stopping).await.unwrap().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_for_this_machine_only_does_not_listen_for_others() {
    let mut world = World::start().await;
    world.stop().await;
    let config = || ServerConfig {
        device_names: vec![ringfort_pki::ServerName::Dns("localhost".into())],
        device_port: None,
        operator_names: vec![ringfort_pki::ServerName::Dns("localhost".into())],
        operator_port: None,
        server_ca: server_ca(&world),
        operator_identity: None,
        challenges: None,
        server_lifetime_days: 30,
        operator_authority: OperatorAuthority {
            issuer: world.operator_ca.clone(),
            lifetime_days: 30,
        },
        device_ca: world.device_ca.certificate_der().to_vec(),
        earlier_operator_cas: Vec::new(),
        earlier_device_cas: Vec::new(),
        roots: vec![],
        loopback_only: true,
        limits: Limits::default(),
    };
    for addresses in [("0.0.0.0:0", "127.0.0.1:0"), ("127.0.0.1:0", "0.0.0.0:0")] {
        let devices = TcpListener::bind(addresses.0).await.unwrap();
        let operators = TcpListener::bind(addresses.1).await.unwrap();
        let started = Server::start(config(), world.fleet.clone(), devices, operators).await;
        assert!(matches!(started, Err(StartError::NotLoopback(_))), "{addresses:?}");
    }
    let devices = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let operators = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let started = Server::start(config(), world.fleet.clone(), devices, operators).await;
    started.unwrap().shutdown().await;
}

fn server_ca(world: &World) -> ringfort_pki::Issuer {
    let signer = common::signer();
    let key = ringfort_pki::SubjectKey::try_from(&signer.public_key()).unwrap();
    let role = ringfort_pki::Role::Server;
    let issued = world.plan.issue_authority(&world.root, &role, &key, common::now()).unwrap();
    ringfort_pki::Issuer::new(&issued.der, signer).unwrap()
}

/// An operator's certificate that the registry does not have.
fn stranger(world: &World) -> Identity {
    let identity =
        Identity { certificate: world.path("stranger.pem"), key: world.path("stranger.key") };
    common::generate(&identity.key);
    let csr = ringfort_pki::Csr::parse(&common::request(&identity.key, "/")).unwrap();
    common::write_pem(&identity.certificate, &world.operator_certificate("eve", csr.key()));
    identity
}

fn anchors(world: &World) -> Vec<u8> {
    tls::request(world.device_port, "GET", "/v1/anchors/1", &[])
}

fn time_request() -> Vec<u8> {
    TimeRequest { nonce: Nonce([9; 16]) }.encode().unwrap()
}

async fn with_limits(limits: Limits) -> Arc<World> {
    Arc::new(World::start_with(Options { limits, ..Options::default() }).await)
}
