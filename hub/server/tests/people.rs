//! People at the operator listener: what each role reaches, how one gets in, how access ends.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Answer, Identity, Options, World, tls};
use ringfort_api::client::{Client, ClientError};
use ringfort_api::model::{Invitation, NewInvitation, NewLogin, NewOperator, Outcome};
use ringfort_api::roles::{ADDRESSES, Address, Asks};
use ringfort_cose::Reason;
use ringfort_fleet::Role;
use ringfort_pki::{CERTIFICATE, from_pem};
use ringfort_server::{Limits, Rate};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_address_is_reached_by_the_roles_that_may_and_by_no_other() {
    let world = World::start().await;
    let mut people = BTreeMap::new();
    for role in Role::ALL {
        people.insert(role, world.add_operator(role.name(), role).await);
    }
    let mut judged = 0;
    for address in ADDRESSES {
        let Asks::Role(permission) = address.asks else { continue };
        for (role, identity) in &people {
            let answer = call(&world, address, identity);
            let forbidden = answer.status == 403 && answer.reason() == Reason::RoleForbids;
            let (method, path) = (address.method, address.path);
            assert_eq!(!forbidden, role.allows(permission), "{role}: {method} {path}: {answer:?}");
            judged += 1;
        }
    }
    let ask = ADDRESSES.iter().filter(|address| matches!(address.asks, Asks::Role(_))).count();
    assert!(ask > 30, "the table holds them all: a test of the description compares it");
    assert_eq!(judged, ask * Role::ALL.len());
}

/// Calls an address with what it takes as far as the door, and nothing that would change much.
fn call(world: &World, address: &Address, identity: &Identity) -> Answer {
    let zeros = "0".repeat(64);
    let path = address
        .path
        .replace("{id}", "dev-z")
        .replace("{digest}", &zeros)
        .replace("{fingerprint}", &zeros)
        .replace("{name}", "nobody")
        .replace("{version}", "1");
    let request = world.operator(&path).with(identity);
    match address.method {
        "GET" => request.send(),
        "DELETE" => request.args(&["-X", "DELETE"]).send(),
        method => request.body(method, "application/json", b"{".to_vec()).send(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_registers_a_key_with_an_invitation_and_nothing_else() {
    let world = World::start().await;
    let admin = world.client("ada", Role::Admin).await;
    // Without an invitation there is not even a connection without a certificate.
    let stranger = invited(&world);
    let refused = stranger.login(&login(&world, "olga", &"0".repeat(32))).await.unwrap_err();
    assert!(matches!(refused, ClientError::Unreachable { .. }), "{refused}");

    let invitation = invite(&admin, "olga", "operator").await;
    let guess = stranger.login(&login(&world, "guess", &"0".repeat(32))).await;
    assert_eq!(reason(guess), Some(Reason::InvitationInvalid));
    // The connection that an invitation opens leads to the login and nowhere else.
    for path in ["/api/v1/status", "/metrics", "/api/v1/operators"] {
        let answer = world.operator(path).send();
        assert_eq!((answer.status, answer.reason()), (403, Reason::NoClientCertificate), "{path}");
    }
    let malformed =
        NewLogin { request: "nothing".into(), ..login(&world, "x", &invitation.secret) };
    assert_eq!(reason(stranger.login(&malformed).await), Some(Reason::Malformed));

    let came_in = stranger.login(&login(&world, "olga", &invitation.secret)).await.unwrap();
    assert_eq!((came_in.name.as_str(), came_in.role.as_str()), ("olga", "operator"));
    let olga = Identity { certificate: world.path("olga.pem"), key: world.path("olga.key") };
    let certificate = from_pem(CERTIFICATE, &came_in.certificate).unwrap();
    common::write_pem(&olga.certificate, &certificate);
    assert_eq!(world.operator("/api/v1/status").with(&olga).send().status, 200);

    // Used up: the same secret is refused, and then the door is closed again.
    let again = stranger.login(&login(&world, "again", &invitation.secret)).await;
    assert_eq!(reason(again), Some(Reason::InvitationInvalid));
    let closed = invited(&world).login(&login(&world, "late", &invitation.secret)).await;
    assert!(matches!(closed, Err(ClientError::Unreachable { .. })), "{closed:?}");
    assert_eq!(world.operator("/api/v1/status").send().status, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_began_without_a_certificate_is_not_resumed_where_one_is_asked_for() {
    let world = World::start().await;
    let admin = world.client("ada", Role::Admin).await;
    invite(&admin, "olga", "viewer").await;
    let config = tls::config(&world, None);
    let port = world.operator_port;
    let mut stream = tls::connect(&config, port).await.unwrap();
    let request = tls::request(port, "GET", "/healthz", b"");
    assert_eq!(tls::exchange(&mut stream, &request).await.0, 200);
    drop(stream);
    admin.withdraw_invitation("olga").await.unwrap();
    // The handshake is refused, at the latest when its first answer is awaited.
    let refused = async {
        let Ok(mut stream) = tls::connect(&config, port).await else { return };
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = stream.write_all(&request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    };
    timeout(LONG, refused).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_added_by_its_request_and_its_key_stays_where_it_is() {
    let world = World::start().await;
    let admin = world.client("ada", Role::Admin).await;
    let scraper = Identity { certificate: world.path("s.pem"), key: world.path("s.key") };
    common::generate(&scraper.key);
    let new = NewOperator {
        name: "prometheus".into(),
        role: "viewer".into(),
        certificate: None,
        request: Some(pem_request(&scraper)),
    };
    let Outcome::Done { result: added } = admin.add_operator(&new).await.unwrap() else { panic!() };
    common::write_pem(&scraper.certificate, &from_pem(CERTIFICATE, &added.certificate).unwrap());
    let metrics = world.operator("/metrics").with(&scraper).send();
    assert_eq!(metrics.status, 200);
    assert!(String::from_utf8(metrics.body).unwrap().contains("ringfort_devices{"));
    let both = NewOperator { certificate: Some(added.certificate), ..new.clone() };
    assert_eq!(reason(admin.add_operator(&both).await), Some(Reason::Malformed));
    let neither = NewOperator { request: None, ..new };
    assert_eq!(reason(admin.add_operator(&neither).await), Some(Reason::Malformed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connections_of_somebody_who_is_removed_are_closed() {
    let world = World::start().await;
    let admin = world.client("ada", Role::Admin).await;
    let olga = world.add_operator("olga", Role::Operator).await;
    let vera = world.add_operator("vera", Role::Viewer).await;
    let port = world.operator_port;
    let request = tls::request(port, "GET", "/api/v1/status", b"");
    let mut of_olga = tls::connect(&tls::config(&world, Some(&olga)), port).await.unwrap();
    let mut of_vera = tls::connect(&tls::config(&world, Some(&vera)), port).await.unwrap();
    for stream in [&mut of_olga, &mut of_vera] {
        assert_eq!(tls::exchange(stream, &request).await.0, 200);
    }
    let operators = admin.operators(&Default::default()).await.unwrap().items;
    let entry = operators.iter().find(|operator| operator.name == "olga").unwrap();
    assert!(entry.not_after_ms.is_some());
    admin.remove_operator(&entry.fingerprint).await.unwrap();
    timeout(LONG, tls::closed(&mut of_olga)).await.unwrap();
    assert_eq!(tls::exchange(&mut of_vera, &request).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_more_than_his_share_is_told_to_wait_and_others_are_not() {
    let limits = Limits { per_certificate: Rate { per_second: 1, burst: 3 }, ..Limits::default() };
    let world = World::start_with(Options { limits, ..Options::default() }).await;
    let greedy = world.add_operator("olga", Role::Viewer).await;
    let modest = world.add_operator("vera", Role::Viewer).await;
    let port = world.operator_port;
    let request = tls::request(port, "GET", "/api/v1/status", b"");
    let mut stream = tls::connect(&tls::config(&world, Some(&greedy)), port).await.unwrap();
    let (status, head) = timeout(LONG, refusal(&mut stream, &request)).await.unwrap();
    assert_eq!(status, 429, "{head}");
    let wait = head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    assert!(wait.parse::<u64>().unwrap() >= 1);
    assert_eq!(world.operator("/api/v1/status").with(&modest).send().status, 200);

    // The same on the devices' side, in their own format.
    let (port, idevid) = (world.device_port, world.idevid("dev-a"));
    let request = tls::request(port, "GET", "/v1/anchors/1", b"");
    let mut stream = tls::connect(&tls::config(&world, Some(&idevid)), port).await.unwrap();
    let (status, head) = timeout(LONG, refusal(&mut stream, &request)).await.unwrap();
    assert_eq!(status, 429, "{head}");
    assert!(head.contains("reason: too-many-requests"), "{head}");
    assert_eq!(world.device("/v1/anchors/1").with(&world.idevid("dev-b")).send().status, 200);
}

/// Asks over one connection until the answer is another one. New connections might come more slowly
/// than a share fills.
async fn refusal(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> (u16, String) {
    loop {
        let (status, head) = tls::exchange(stream, request).await;
        if status != 200 {
            return (status, head);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_connects_too_often_is_turned_away() {
    let limits = Limits { per_address: Rate { per_second: 1, burst: 35 }, ..Limits::default() };
    let world = World::start_with(Options { limits, ..Options::default() }).await;
    assert_eq!(world.device("/v1/anchors/1").send().status, 200);
    // A handshake counts as ten requests, so that the share ends however slowly they come.
    let turned_away = async {
        while world.device("/v1/anchors/1").send().status != 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, turned_away).await.unwrap();
}

/// Identity comes from the connection itself, whatever a proxy or a stranger writes into headers
/// (hawkbit#964: there it comes from headers that a proxy has to be trusted with).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c10_an_identity_in_a_header_is_worth_nothing() {
    let world = World::start().await;
    let admin = world.client("ada", Role::Admin).await;
    let idevid = world.idevid("dev-a");
    let certificate = std::fs::read_to_string(&idevid.certificate).unwrap();
    let certificate = certificate.replace('\n', "%0A");
    let headers = [
        format!("x-ssl-client-cert: {certificate}"),
        format!("x-forwarded-client-cert: Cert=\"{certificate}\""),
        "x-ssl-client-verify: SUCCESS".to_owned(),
        "x-forwarded-for: 127.0.0.1".to_owned(),
        "x-controller-id: dev-a".to_owned(),
    ];
    let with_headers = |request: common::Request| {
        headers.iter().fold(request, |request, header| request.header(header))
    };
    let body = || ringfort_messages::TimeRequest { nonce: ringfort_messages::Nonce([9; 16]) };
    let time = || world.device("/v1/time").post("application/cbor", body().encode().unwrap());
    assert_eq!(with_headers(time()).send().reason(), Reason::NoClientCertificate);
    assert_eq!(time().with(&idevid).send().status, 200);
    // The same at the operators' side, while it lets connections in.
    invite(&admin, "olga", "viewer").await;
    let status = with_headers(world.operator("/api/v1/status")).send();
    assert_eq!(status.reason(), Reason::NoClientCertificate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_without_a_certificate_and_says_one_word() {
    let world = World::start().await;
    let answer = world.device("/healthz").send();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, b"{\"status\":\"up\"}\n");
    assert_eq!(world.operator("/healthz").send().status, 0, "people need one");
}

/// Somebody without a certificate.
fn invited(world: &World) -> Client {
    let address = format!("localhost:{}", world.operator_port);
    Client::invited(address, vec![world.server_ca.clone()]).unwrap()
}

async fn invite(admin: &Client, name: &str, role: &str) -> Invitation {
    let new = NewInvitation { name: name.into(), role: role.into() };
    match admin.invite(&new).await.unwrap() {
        Outcome::Done { result } => result,
        Outcome::Waiting { .. } => panic!("one person is enough here"),
    }
}

/// A login with a new key, which stays in a file under this name.
fn login(world: &World, name: &str, secret: &str) -> NewLogin {
    let place = Identity {
        certificate: world.path(&format!("{name}.pem")),
        key: world.path(&format!("{name}.key")),
    };
    common::generate(&place.key);
    NewLogin { secret: secret.to_owned(), request: pem_request(&place) }
}

fn pem_request(identity: &Identity) -> String {
    let key = common::text(&identity.key);
    String::from_utf8(common::openssl(&["req", "-new", "-key", key, "-subj", "/"], &[])).unwrap()
}

fn reason<T>(result: Result<T, ClientError>) -> Option<Reason> {
    result.err().and_then(|error| error.reason())
}
