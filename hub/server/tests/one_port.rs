//! Devices and operators on one port, told apart by the name that they ask for; and a certificate
//! of others for the operators' side.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use common::{Answer, Identity, Options, World, text, tls};
use ringfort_cose::Reason;
use ringfort_fleet::Role;
use ringfort_server::{PublicIdentity, Server, ServerConfig, StartError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const DEVICES: &str = "devices.example";
const OPERATORS: &str = "operators.example";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_port_serves_both_sides_by_the_name_that_is_asked_for() {
    let world = one_port().await;
    assert_eq!(world.device_port, world.operator_port);
    let (device, operator) = (world.idevid("dev-a"), world.add_operator("ada", Role::Viewer).await);
    let get = |name: &str, path: &str, identity| request(&world, name, name, path, identity);
    assert_eq!(get(DEVICES, "/v1/anchors/1", None).status, 200);
    assert_eq!(get(DEVICES, "/.well-known/est/cacerts", Some(&device)).status, 200);
    assert_eq!(get(OPERATORS, "/api/v1/status", Some(&operator)).status, 200);

    // Each side knows its own addresses and people only.
    assert_eq!(get(DEVICES, "/api/v1/status", Some(&operator)).reason(), Reason::NotFound);
    assert_eq!(get(OPERATORS, "/v1/anchors/1", Some(&operator)).reason(), Reason::NotFound);
    assert_eq!(get(OPERATORS, "/api/v1/status", Some(&device)).status, 0);
    assert_eq!(get(OPERATORS, "/api/v1/status", None).status, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_the_other_side_on_this_sides_connection_is_misdirected() {
    let world = one_port().await;
    let operator = world.add_operator("ada", Role::Admin).await;
    for (asked, host) in [(DEVICES, OPERATORS), (OPERATORS, DEVICES), (DEVICES, "other.example")] {
        let answer = request(&world, asked, host, "/v1/anchors/1", Some(&operator));
        let found = (answer.status, answer.reason());
        assert_eq!(found, (421, Reason::MisdirectedRequest), "{asked} {host}");
    }
    // A name that nobody has here leads to the devices' side, which knows it for another's.
    let answer = request(&world, "other.example", "other.example", "/v1/anchors/1", None);
    assert_eq!((answer.status, answer.reason()), (421, Reason::MisdirectedRequest));
    let own = request(&world, DEVICES, DEVICES, "/v1/anchors/1", Some(&operator));
    assert_eq!(own.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_one_side_is_not_resumed_on_the_other() {
    let world = one_port().await;
    let operator = world.add_operator("ada", Role::Viewer).await;
    let config = tls::config(&world, Some(&operator));
    let port = world.device_port;
    let get =
        |host: &str| format!("GET /healthz HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n").into_bytes();
    let mut first = connect(&config, DEVICES, port).await;
    assert_eq!(tls::exchange(&mut first, &get(DEVICES)).await.0, 200);
    let mut again = connect(&config, DEVICES, port).await;
    assert_eq!(tls::exchange(&mut again, &get(DEVICES)).await.0, 200);
    assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    let mut other = connect(&config, OPERATORS, port).await;
    assert_eq!(tls::exchange(&mut other, &get(OPERATORS)).await.0, 200);
    assert_ne!(other.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_for_both_sides_needs_two_ports() {
    let mut world = World::start().await;
    world.stop().await;
    let config = |operators: &str| ServerConfig {
        device_names: vec![ringfort_pki::ServerName::Dns("hub.example".into())],
        device_port: None,
        operator_names: vec![ringfort_pki::ServerName::Dns(operators.into())],
        operator_port: None,
        server_ca: world.operator_ca.clone(),
        operator_identity: None,
        challenges: None,
        server_lifetime_days: 30,
        operator_authority: ringfort_fleet::OperatorAuthority {
            issuer: world.operator_ca.clone(),
            lifetime_days: 30,
        },
        device_ca: world.device_ca.certificate_der().to_vec(),
        earlier_operator_cas: Vec::new(),
        earlier_device_cas: Vec::new(),
        roots: vec![],
        loopback_only: true,
        limits: Default::default(),
    };
    let socket = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let started =
        Server::start(config("HUB.example"), world.fleet.clone(), socket().await, None).await;
    assert!(matches!(started, Err(StartError::OneNameForTwo)));
    let one = Server::start(config("people.example"), world.fleet.clone(), socket().await, None);
    one.await.unwrap().shutdown().await;
    let (devices, operators) = (socket().await, socket().await);
    let two = Server::start(config("hub.example"), world.fleet.clone(), devices, operators);
    two.await.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_are_met_with_the_certificate_of_others_and_with_each_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = certificate(folder.path(), "first", "rsa:2048");
    let second = certificate(folder.path(), "second", "rsa:3072");
    let (sender, receiver) = watch::channel(Some(identity(&first)));
    let options =
        Options { one_port: true, operator_identity: Some(receiver), ..Options::default() };
    let world = World::start_with(options).await;
    let ada = world.add_operator("ada", Role::Viewer).await;
    let status = |trusted: &Identity| {
        let names = (OPERATORS, OPERATORS);
        request_of(&world, names, "/api/v1/status", Some(&ada), &trusted.certificate)
    };
    assert_eq!(status(&first).status, 200);
    assert_eq!(status(&second).status, 0, "it is not in force yet");
    // Devices are met with the Server CA's as before.
    assert_eq!(request(&world, DEVICES, DEVICES, "/v1/anchors/1", None).status, 200);

    sender.send(Some(identity(&second))).unwrap();
    let renewed = async {
        while status(&second).status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), renewed).await.unwrap();
    assert_eq!(status(&first).status, 0);
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let one = certificate(folder.path(), "one", "rsa:2048");
    let other = certificate(folder.path(), "other", "rsa:2048");
    let key = || PrivateKeyDer::from_pem_file(&other.key).unwrap();
    assert!(PublicIdentity::new(vec![der(&one)], key()).is_err());
    assert!(matches!(PublicIdentity::new(vec![], key()), Err(StartError::NoCertificate)));
    PublicIdentity::new(vec![der(&other)], key()).unwrap();
}

async fn one_port() -> World {
    World::start_with(Options { one_port: true, ..Options::default() }).await
}

fn request(
    world: &World,
    asked: &str,
    host: &str,
    path: &str,
    identity: Option<&Identity>,
) -> Answer {
    request_of(world, (asked, host), path, identity, &world.path("server-ca.pem"))
}

/// A request of a client that asks for one name in the handshake and another in the request.
fn request_of(
    world: &World,
    (asked, host): (&str, &str),
    path: &str,
    identity: Option<&Identity>,
    trusted: &Path,
) -> Answer {
    let port = world.device_port;
    let mut command = Command::new("curl");
    command
        .args(["-sS", "-i", "--max-time", "120", "--noproxy", "*"])
        .args(["--resolve", &format!("{asked}:{port}:127.0.0.1")])
        .args(["-H", &format!("host: {host}:{port}")]);
    match asked {
        DEVICES | OPERATORS => command.args(["--cacert", text(trusted)]),
        // It is asked who answers, whoever it is.
        _ => command.arg("-k"),
    };
    if let Some(identity) = identity {
        command.args(["--cert", text(&identity.certificate), "--key", text(&identity.key)]);
    }
    command.arg(format!("https://{asked}:{port}{path}"));
    Answer::of(command)
}

async fn connect(config: &Arc<ClientConfig>, name: &str, port: u16) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(config.clone()).connect(name, stream).await.unwrap()
}

/// A certificate for the operators' name that signs itself: whoever trusts it trusts nothing else.
fn certificate(folder: &Path, name: &str, kind: &str) -> Identity {
    let identity = Identity {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    };
    let subject_alternative = format!("subjectAltName=DNS:{OPERATORS}");
    common::openssl(
        &[
            "req",
            "-x509",
            "-newkey",
            kind,
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=public",
            "-addext",
            &subject_alternative,
            "-keyout",
            text(&identity.key),
            "-out",
            text(&identity.certificate),
        ],
        &[],
    );
    identity
}

fn identity(of: &Identity) -> PublicIdentity {
    PublicIdentity::new(vec![der(of)], PrivateKeyDer::from_pem_file(&of.key).unwrap()).unwrap()
}

fn der(of: &Identity) -> Vec<u8> {
    CertificateDer::from_pem_file(&of.certificate).unwrap().to_vec()
}
