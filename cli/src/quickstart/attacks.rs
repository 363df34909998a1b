//! Attacks on what was built. Each ends with the reason code that really came back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use ringfort_messages::Problem;
use ringfort_trust::Document;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

use super::commands::Ringfort;
use super::devices::Payload;
use super::layout::Layout;
use super::setup::{Record, make_folder, pin, text, words};
use super::updates::{build, deploy, ended, member, publish, wait};
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::{clock, files, passphrase};

/// A release for the right product, signed by two keys that nobody trusts.
pub fn wrong_signer(
    ringfort: &Ringfort,
    layout: &Layout,
    payload: &Payload,
    run: u64,
) -> Outcome<String> {
    let attackers = ["attacker-1", "attacker-2"];
    for name in attackers {
        let folder = layout.person(name);
        if !folder.exists() {
            make_folder(&folder)?;
            passphrase::new_pin_file(&folder.join("pin"))?;
            ringfort.must(&words(&[
                "release keygen",
                &text(&folder.join(name)),
                "--pin-file",
                &pin(layout, name),
            ]))?;
        }
    }
    let version = format!("6.6.{run}");
    build(ringfort, layout, payload, &version, None, &attackers)?;
    let answer = publish(ringfort, layout, &version)?;
    refused(&answer.json, answer.code, "a release by unknown signers")
}

/// A release that the right people signed, older than the one that runs.
pub fn older_version(
    ringfort: &Ringfort,
    operator: &Operator,
    layout: &Layout,
    payload: &Payload,
    run: u64,
) -> Outcome<String> {
    let version = format!("0.9.{run}");
    let sequence = clock::now() - 10 * 365 * 24 * 60 * 60;
    build(ringfort, layout, payload, &version, Some(sequence), &["release-1", "release-3"])?;
    let published = publish(ringfort, layout, &version)?;
    if published.code != 0 {
        return refused(&published.json, published.code, "an older release");
    }
    let answer = deploy(ringfort, layout, &version, Some("dev-a"))?;
    if answer.code != 0 {
        return refused(&answer.json, answer.code, "an older release");
    }
    let deployment = member(&answer.json["result"], "id").to_owned();
    let targets = wait(operator, &deployment, "refusal of the older release", ended)?;
    match targets.first() {
        Some(target) if target.state == "refused" => Ok(target.reason.clone().unwrap_or_default()),
        other => {
            let state = other.map_or("not offered", |target| target.state.as_str());
            Err(not_refused("an older release", state))
        }
    }
}

/// The keys of the first device on a second one, under another name.
pub fn cloned_key(ringfort: &Ringfort, layout: &Layout, run: u64) -> Outcome<String> {
    let clone = format!("dev-clone-{run}");
    let (original, folder) = (layout.device("dev-a"), layout.root().join("attacker").join(&clone));
    make_folder(&folder.join("keystore"))?;
    for entry in list(&original.join("keystore"))? {
        let to = folder.join("keystore").join(entry.file_name().unwrap_or_default());
        // Copies the mode too: the clone is as careful as the original.
        std::fs::copy(&entry, &to).map_err(|error| cannot_copy(&entry, &error))?;
    }
    let config = "[update]\n[[health]]\ncommand = [\"/bin/true\"]\n";
    files::write_new(&folder.join("agent.toml"), config.as_bytes(), 0o600)?;
    let request = folder.join("identity.request");
    ringfort.must(&words(&[
        "agent --config",
        &text(&folder.join("agent.toml")),
        "identity request --out",
        &text(&request),
    ]))?;
    let answer = ringfort.ask(&words(&[
        "factory provision",
        &text(&request),
        "--device",
        &clone,
        "--dir",
        &text(&layout.station()),
        "--pin-file",
        &text(&layout.station_pin()),
    ]))?;
    refused(&answer.json, answer.code, "a device with another device's keys")
}

/// A check-in over TLS without a client certificate.
pub fn no_client_certificate(layout: &Layout, record: &Record) -> Outcome<String> {
    let body = anonymous_post(layout, record.device_port, "/v1/check-in").map_err(|error| {
        Failure::failed(
            "the hub could not be asked without a certificate",
            error.to_string(),
            "Look at the hub's log.",
        )
    })?;
    let problem = Problem::decode(&body).map_err(|_| {
        not_refused("a device without a certificate", "an answer that is no refusal")
    })?;
    Ok(problem.code.to_string())
}

fn anonymous_post(
    layout: &Layout,
    port: u16,
    path: &str,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(layout.hub().join("anchors/1.cbor"))?;
    let document = Document::parse(&bytes).map_err(|reason| reason.code())?;
    let mut roots = RootCertStore::empty();
    for certificate in document.server_cas() {
        roots.add(CertificateDer::from(certificate.to_vec()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1")?;
    let mut connection = ClientConnection::new(Arc::new(config), name)?;
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/cbor\r\n\
         Content-Length: 1\r\nConnection: close\r\n\r\n\u{0}"
    )?;
    let mut answer = Vec::new();
    let _ = stream.take(64 * 1024).read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no HTTP answer")?;
    Ok(answer.split_off(end + 4))
}

fn refused(answer: &serde_json::Value, code: i32, what: &str) -> Outcome<String> {
    match (code, answer["reason"].as_str()) {
        (1, Some(reason)) => Ok(reason.to_owned()),
        (0, _) => Err(not_refused(what, "accepted")),
        _ => Err(not_refused(what, member(answer, "error"))),
    }
}

fn not_refused(what: &str, came: &str) -> Failure {
    Failure::failed(
        format!("{what} was not refused as it should be: {came}"),
        "This is a defect of Ringfort.",
        "Report it with the folder's commands.sh and logs.",
    )
}

fn list(folder: &std::path::Path) -> Outcome<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| cannot_copy(folder, &error))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}

fn cannot_copy(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::failed(
        format!("{} cannot be copied", path.display()),
        files::sentence(error),
        "Check free space and permissions.",
    )
}
