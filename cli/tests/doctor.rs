//! `ringfort hub doctor`: a healthy hub has no findings; each fault that is made is found, named
//! and explained, and gone again when it is mended.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use common::hub::{Hub, free_ports, hub_init, local_pki};
use common::{Bench, PKI_INIT, flip};
use ringfort_cose::{Sign, SoftSigner};
use ringfort_pki::{CRL, Crl, Lifetimes, Plan, Role, to_pem};

#[test]
fn every_fault_that_is_made_is_found_explained_and_gone_when_it_is_mended() {
    let bench = healthy_hub();
    assert_eq!(findings(&bench), NOTHING);

    // Each damages one thing and says how to mend it.
    let whole = |name: &'static str| (name, fs::read(bench.path(name)).unwrap());
    let (pin, settings, record) = (whole("hub/pin"), whole("hub/hub.toml"), whole("hub/pki.toml"));
    let (order, link) = (whole("hub/keys/order.sealed"), whole("hub/keys/link.sealed"));
    let (device_ca, anchors) = (whole("hub/certs/device-ca.pem"), whole("hub/anchors/1.cbor"));
    let mend = |(name, bytes): &(&str, Vec<u8>)| fs::write(bench.path(name), bytes).unwrap();
    let edit = |(name, bytes): &(&str, Vec<u8>), from: &str, to: &str| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{from} is not in {name}");
        fs::write(bench.path(name), text.replacen(from, to, 1)).unwrap();
    };
    let chmod = |name: &str, mode: u32| {
        fs::set_permissions(bench.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };

    edit(&settings, "approvals = 2", "approvals = two");
    found(&bench, "settings-unreadable", "hub.toml");
    mend(&settings);
    edit(&settings, "approvals = 2", "approvals = 1");
    found(&bench, "single-approval", "hub.toml");
    mend(&settings);
    edit(&settings, "operators.acme.example", "localhost");
    found(&bench, "address-of-this-machine", "operators");
    mend(&settings);
    edit(&settings, "operators.acme.example", "192.0.2.7");
    found(&bench, "address-is-number", "operators");
    mend(&settings);
    edit(&settings, "https://hub.acme.example", "https://moved.acme.example");
    found(&bench, "anchors-name-another-address", "1.cbor");
    mend(&settings);

    for (name, wide, good) in
        [("hub", 0o750, 0o700), ("hub/pin", 0o640, 0o600), ("hub/keys/order.sealed", 0o644, 0o600)]
    {
        chmod(name, wide);
        found(&bench, "mode-too-wide", name.rsplit('/').next().unwrap());
        chmod(name, good);
    }

    fs::remove_file(bench.path("hub/pin")).unwrap();
    found(&bench, "pin-missing", "file:pin");
    bench.private("hub/pin", "not the passphrase of these keys\n");
    found(&bench, "key-does-not-open", "order.sealed");
    mend(&pin);
    for key in [&order, &link] {
        fs::remove_file(bench.path(key.0)).unwrap();
        found(&bench, "key-missing", key.0.rsplit('/').next().unwrap());
        bench.private(key.0, "");
        found(&bench, "key-does-not-open", key.0.rsplit('/').next().unwrap());
        mend(key);
    }

    fs::copy(bench.path("hub/certs/server-ca.pem"), bench.path(device_ca.0)).unwrap();
    found(&bench, "certificate-does-not-fit", "device-ca.pem");
    fs::write(bench.path(device_ca.0), "nothing").unwrap();
    found(&bench, "certificate-unreadable", "device-ca.pem");
    fs::remove_file(bench.path(device_ca.0)).unwrap();
    found(&bench, "certificate-unreadable", "device-ca.pem");
    mend(&device_ca);

    flip(&bench.path(anchors.0), anchors.1.len() / 2);
    found(&bench, "anchors-broken", "anchors");
    mend(&anchors);
    let mut other: toml::Table = String::from_utf8(record.1.clone()).unwrap().parse().unwrap();
    other.insert("fleet".into(), "00000000-0000-4000-8000-000000000000".into());
    fs::write(bench.path(record.0), other.to_string()).unwrap();
    found(&bench, "anchors-of-another-fleet", "1.cbor");
    mend(&record);

    let devices = listening(&bench, "devices");
    let taken = TcpListener::bind(devices).unwrap();
    found(&bench, "port-taken", "devices");
    drop(taken);
    assert_eq!(findings(&bench), NOTHING, "all is mended");
}

#[test]
fn what_is_wrong_with_the_stored_data_is_found() {
    let bench = healthy_hub();
    let database = bench.path("hub/hub.db");
    let good = fs::read(&database).unwrap();
    let mend = || {
        for name in ["hub.db-wal", "hub.db-shm"] {
            let _ = fs::remove_file(bench.path("hub").join(name));
        }
        fs::write(&database, &good).unwrap();
    };
    for (change, fault) in [
        ("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 2", "database-newer"),
        ("UPDATE audit SET at_ms = at_ms + 86400000", "clock-behind"),
        ("UPDATE operators SET removed_ms = 2 WHERE name <> 'admin'", "too-few-people"),
        ("DELETE FROM operators WHERE name <> 'admin'", "single-approval"),
        ("INSERT INTO objects VALUES (randomblob(32), 5, 1)", "object-missing"),
    ] {
        sql(&database, change);
        found(&bench, fault, "");
        mend();
    }
    // An object whose bytes are not what its name says.
    let name = "ab".repeat(32);
    sql(&database, &format!("INSERT INTO objects VALUES (x'{name}', 5, 1)"));
    fs::create_dir_all(bench.path("hub/objects/ab")).unwrap();
    fs::write(bench.path("hub/objects/ab").join(&name), "bytes").unwrap();
    found(&bench, "object-damaged", &name);
    mend();
    fs::write(&database, "this is no database, whatever its name is").unwrap();
    found(&bench, "database-damaged", "hub.db");
    fs::remove_file(&database).unwrap();
    found(&bench, "database-missing", "hub.db");
    mend();
    assert_eq!(findings(&bench), NOTHING, "all is mended");
}

#[test]
fn anchors_that_depend_on_one_person_are_found() {
    let bench = Bench::new();
    bench.keys(&["a1", "a2", "a3", "r1", "r2", "r3", "c1"]);
    bench.ok(&format!("{PKI_INIT} --anchor-threshold 3 --release-threshold 1"));
    sign_anchors(&bench, &["a1", "a2", "a3"]);
    init(&bench);
    found(&bench, "every-anchor-key-needed", "1.cbor");
    found(&bench, "one-signer-suffices", "1.cbor");
    found(&bench, "no-spare-address", "1.cbor");
}

#[test]
fn a_hub_with_keys_that_the_anchors_do_not_name_is_found() {
    let bench = healthy_hub();
    let other = healthy_hub();
    let swap = |name: &str| {
        let own = fs::read(bench.path(name)).unwrap();
        fs::write(bench.path(name), fs::read(other.path(name)).unwrap()).unwrap();
        own
    };
    let own = swap("hub/keys/order.sealed");
    found(&bench, "anchors-name-another-order-key", "1.cbor");
    fs::write(bench.path("hub/keys/order.sealed"), own).unwrap();
    let own = swap("hub/certs/server-ca.pem");
    found(&bench, "anchors-name-another-server-ca", "1.cbor");
    fs::write(bench.path("hub/certs/server-ca.pem"), own).unwrap();
    assert_eq!(findings(&bench), NOTHING);
}

#[test]
fn certificates_and_revocation_lists_near_their_end_are_found() {
    let bench = healthy_hub();
    for (days, fault) in [
        (-1, "certificate-ended"),
        (20, "certificate-ends-in-30-days"),
        (60, "certificate-ends-in-90-days"),
        (200, "certificate-ends-in-365-days"),
    ] {
        let name = format!("hub/certs/factory-{days}.pem");
        let mut parameters = rcgen::CertificateParams::default();
        parameters.not_before = time::OffsetDateTime::now_utc() - time::Duration::days(9);
        parameters.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&pair).unwrap();
        fs::write(bench.path(&name), certificate.pem()).unwrap();
        found(&bench, fault, &format!("factory-{days}"));
        fs::remove_file(bench.path(&name)).unwrap();
    }
    let crl = bench.path("hub/certs/root.crl");
    let good = fs::read(&crl).unwrap();
    fs::write(&crl, "nothing").unwrap();
    found(&bench, "certificate-unreadable", "root.crl");
    fs::write(&crl, crl_that_ends_in(29)).unwrap();
    found(&bench, "crl-ends", "root.crl");
    fs::write(&crl, crl_that_ends_in(31)).unwrap();
    assert_eq!(findings(&bench), NOTHING);
    fs::write(&crl, good).unwrap();
    assert_eq!(findings(&bench), NOTHING);
}

#[test]
fn a_running_hub_is_asked_too() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let ask = |bench: &Bench| names(&bench.run("hub doctor --operator operator --json").out);
    assert!(ask(&bench).contains(&"hub-does-not-answer".to_owned()));
    let hub = Hub::start(&bench);
    let ran = bench.run("hub doctor --operator operator --json");
    assert!(!ran.out.contains("port-taken"), "its own ports are taken by itself: {ran:?}");
    assert!(!ran.out.contains("hub-does-not-answer"), "{ran:?}");
    assert_eq!(ran.json()["running"], true);
    fs::copy(bench.path("hub/anchors/1.cbor"), bench.path("hub/anchors/2.cbor")).unwrap();
    assert!(ask(&bench).contains(&"anchors-not-published".to_owned()));
    fs::remove_file(bench.path("hub/anchors/2.cbor")).unwrap();
    bench.run("hub serve").failed("Another process serves it");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn what_the_running_hub_knows_of_its_devices_is_found() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let ask = || names(&bench.run("hub doctor --operator operator --json").out);
    let hub = Hub::start(&bench);
    let before = ask();
    assert_eq!(hub.stop(), 0);
    for (device, key) in [("dev-1", "aa"), ("dev-2", "aa")] {
        sql(
            &bench.path("hub/hub.db"),
            &format!(
                "INSERT INTO devices (device, ueid, site, batch_number, vendor, class, protection, \
                 state, state_since_ms, reason, alarm, alarm_ms, pending_key, added_ms) \
                 VALUES ('{device}', randomblob(17), 'plant', 1, \
                 zeroblob(16), zeroblob(16), 'sealed-file', 'deployed', 1, NULL, \
                 'clone-suspected', 1, NULL, 1)"
            ),
        );
        sql(
            &bench.path("hub/hub.db"),
            &format!(
                "INSERT INTO certificates VALUES (randomblob(32), '{device}', 'ldevid', x'01', \
                 x'{}', 1, 2, x'00', 1, NULL, NULL, NULL)",
                key.repeat(32)
            ),
        );
    }
    let hub = Hub::start(&bench);
    let after = ask();
    for fault in ["devices-alarmed", "keys-shared"] {
        assert!(
            !before.contains(&fault.to_owned()) && after.contains(&fault.to_owned()),
            "{fault}"
        );
    }
    let own = bench.path("operator/operator.pem");
    let good = fs::read(&own).unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(5);
    let pair = rcgen::KeyPair::generate().unwrap();
    fs::write(&own, parameters.self_signed(&pair).unwrap().pem()).unwrap();
    assert!(ask().contains(&"operator-certificate-ends".to_owned()));
    fs::write(&own, good).unwrap();
    assert_eq!(ask(), after);
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_restored_hub_that_waits_is_found_until_it_is_acknowledged() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    bench.ok("hub backup saved");
    fs::rename(bench.path("hub"), bench.path("lost")).unwrap();
    bench.ok("hub restore saved --pin-file lost/pin");
    found(&bench, "restore-not-acknowledged", "hub.db");
    let hub = Hub::start(&bench);
    bench.ok("hub acknowledge --dir operator");
    assert!(!findings(&bench).contains(&"restore-not-acknowledged".to_owned()));
    assert_eq!(hub.stop(), 0);
}

#[test]
fn the_document_is_what_the_code_says() {
    let bench = Bench::new();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
    assert_eq!(
        fs::read_to_string(document).unwrap_or_default(),
        bench.ok("hub doctor --list").out,
        "run: ringfort hub doctor --list > docs/doctor.md"
    );
}

#[test]
fn what_is_no_hubs_directory_is_said_to_be_none() {
    Bench::new().run("hub doctor").failed("pki.toml");
}

/// A hub for two people under names of its own, never served here.
fn healthy_hub() -> Bench {
    let bench = Bench::new();
    bench.keys(&["a1", "a2", "a3", "r1", "r2", "r3", "c1"]);
    bench.ok(&format!("{PKI_INIT} --spare-address https://spare.acme.example/anchors"));
    sign_anchors(&bench, &["a1", "a2"]);
    init(&bench);
    sql(
        &bench.path("hub/hub.db"),
        "INSERT INTO operators (fingerprint, name, role, key_digest, added_ms) \
         VALUES (randomblob(32), 'second', 'operator', randomblob(32), 1)",
    );
    bench
}

fn sign_anchors(bench: &Bench, keys: &[&str]) {
    for key in keys {
        bench.ok(&format!("pki anchors sign hub/anchors/1.cbor --key {key}.sealed --pin-file pin"));
    }
}

fn init(bench: &Bench) {
    bench.ok(&format!(
        "hub init --operator-address operators.acme.example:8444 --listen {} --operator-listen {}",
        free_address(),
        free_address()
    ));
}

fn free_address() -> String {
    let [port] = free_ports();
    format!("127.0.0.1:{port}")
}

fn listening(bench: &Bench, name: &str) -> String {
    let settings: toml::Table =
        fs::read_to_string(bench.path("hub/hub.toml")).unwrap().parse().unwrap();
    settings[name]["listen"].as_str().unwrap().to_owned()
}

/// The names of what is found. How full this machine's disk is does not belong to the test.
fn findings(bench: &Bench) -> Vec<String> {
    let ran = bench.run("hub doctor --json");
    assert_eq!(ran.code == 0, names_of(&ran.out).is_empty(), "{ran:?}");
    names(&ran.out)
}

/// Asserts that a fault is found, here, and explained.
fn found(bench: &Bench, fault: &str, place: &str) {
    let ran = bench.run("hub doctor --json");
    assert_eq!(ran.code, 1, "{fault}: {ran:?}");
    let report = ran.json();
    let found = report["findings"].as_array().unwrap().iter().find(|finding| {
        finding["fault"] == fault && finding["at"].as_str().unwrap().contains(place)
    });
    let found = found.unwrap_or_else(|| panic!("no {fault} at {place:?}: {}", ran.out));
    for part in ["meaning", "next_step"] {
        assert!(found[part].as_str().unwrap().ends_with('.'), "{found}");
    }
    let text = bench.run("hub doctor");
    assert_eq!(text.code, 1);
    for part in [fault, "  why:  ", "  next: "] {
        assert!(text.out.contains(part), "{part}: {text:?}");
    }
}

fn names(json: &str) -> Vec<String> {
    names_of(json).into_iter().filter(|name| name != "disk-nearly-full").collect()
}

fn names_of(json: &str) -> Vec<String> {
    let report: serde_json::Value = serde_json::from_str(json).unwrap();
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["fault"].as_str().unwrap().to_owned()).collect()
}

/// An empty revocation list of some root, PEM.
fn crl_that_ends_in(days: u64) -> String {
    let now = time::OffsetDateTime::now_utc().unix_timestamp().unsigned_abs();
    let plan = Plan {
        organisation: "Acme".to_owned(),
        name: "acme".to_owned(),
        lifetimes: Lifetimes::STANDARD,
    };
    let key: Arc<dyn Sign> = Arc::new(SoftSigner::generate_p256().unwrap());
    let root = plan.create_root(&Role::Root, key, now).unwrap();
    let crl = Crl::sign(&root, 0, [], 1, now, now + days * 24 * 3600 + 60).unwrap();
    to_pem(CRL, &crl.der).unwrap()
}

/// Changes a database as no hub would.
fn sql(database: &Path, statement: &str) {
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\nc.execute(sys.argv[2])\n\
                  c.commit()\nc.execute('PRAGMA wal_checkpoint(TRUNCATE)')\nc.close()";
    let done = Command::new("python3").args(["-c", script]).arg(database).arg(statement).status();
    assert!(done.unwrap().success(), "{statement}");
}

const NOTHING: Vec<String> = Vec::new();
