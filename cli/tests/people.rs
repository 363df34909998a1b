//! People at a hub: invited, logged in, listed, removed; and what their folders remember.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::hub::{Hub, hub_init, local_pki};
use common::{Bench, Ran};
use ringfort_api::client::{Client, ClientOptions};
use ringfort_keystore::{Passphrase, SealedKey};
use ringfort_pki::{CERTIFICATE, Csr, from_pem};
use serde_json::Value;

#[test]
fn a_person_is_invited_logs_in_and_loses_access() {
    let (bench, hub) = serving();
    let invited = bench.ok("user add olga --role operator --dir operator --json").json();
    assert_eq!(invited["outcome"], "invited");
    let invitation = bench.path("olga.invitation");
    assert_eq!(fs::metadata(&invitation).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = people(&bench, "operator");
    assert_eq!(listed["people"][1]["name"], "olga");
    assert_eq!(listed["people"][1]["state"], "invited");

    let kept = fs::read_to_string(&invitation).unwrap();
    let logged_in = bench.ok("login olga.invitation --dir olga --json").json();
    assert_eq!((&logged_in["name"], &logged_in["role"]), (&"olga".into(), &"operator".into()));
    assert!(!invitation.exists(), "it is of no use any more");
    bench.ok("device list --dir olga");
    bench.run("user add eve --role viewer --dir olga").refused("role-forbids");
    assert!(!bench.path("eve.invitation").exists());
    assert_eq!(people(&bench, "olga")["people"][1]["state"], "active");

    // Used up: whoever kept a copy finds a closed door.
    bench.private("copy.invitation", &kept);
    bench.run("login copy.invitation --dir copy").failed("cannot be reached");
    assert!(!bench.path("copy").exists(), "nothing is left of the attempt");

    bench.ok("user remove olga --dir operator");
    bench.run("device list --dir olga").refused("certificate-revoked");
    bench.run("user remove olga --dir operator").refused("not-found");
    assert_eq!(people(&bench, "operator")["people"][1]["state"], "removed");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_third_administrator_is_let_in_by_two() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench).replace("--approvals 1", "--approvals 2"));
    let hub = Hub::start(&bench);
    // The first one alone lets the second one in.
    bench.ok("user add bob --role admin --dir operator");
    bench.ok("login bob.invitation --dir bob");
    for _ in 0..2 {
        let alone = bench.ok("user add carol --role operator --dir operator --json").json();
        let counted = (&alone["outcome"], &alone["given"], &alone["required"]);
        assert_eq!(counted, (&"waiting".into(), &1.into(), &2.into()));
    }
    assert!(!bench.path("carol.invitation").exists());
    let waiting = people(&bench, "bob")["waiting"].clone();
    assert_eq!(waiting[0]["agrees"], "admin");
    assert_eq!(waiting[0]["what"], "operator/carol invite operator");
    let both = bench.ok("user add carol --role operator --dir bob --json").json();
    assert_eq!(both["outcome"], "invited");
    bench.ok("login carol.invitation --dir carol");
    assert_eq!(people(&bench, "carol")["waiting"].as_array().unwrap().len(), 0);
    assert_eq!(hub.stop(), 0);
}

#[test]
fn an_invitation_can_be_taken_back_and_is_worth_nothing_then() {
    let (bench, hub) = serving();
    bench.ok("user add olga --role viewer --dir operator");
    // Another stays open, so that the door is.
    bench.ok("user add vera --role viewer --dir operator");
    bench.ok("user remove olga --dir operator");
    bench.run("login olga.invitation --dir olga").refused("invitation-invalid");
    assert!(!bench.path("olga").exists());
    assert!(bench.path("olga.invitation").exists());
    bench.ok("login vera.invitation --dir vera");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn an_invitation_that_others_could_read_is_refused() {
    let (bench, hub) = serving();
    bench.ok("user add olga --role viewer --dir operator");
    let invitation = bench.path("olga.invitation");
    fs::set_permissions(&invitation, fs::Permissions::from_mode(0o644)).unwrap();
    bench.run("login olga.invitation --dir olga").failed("has mode 0644");
    fs::set_permissions(&invitation, fs::Permissions::from_mode(0o600)).unwrap();
    bench.ok("login olga.invitation --dir olga");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn the_first_administrator_comes_in_from_elsewhere_by_the_bootstrap_secret_once() {
    let bench = local_pki(true);
    let made = bench.ok(&format!("{} --invitation boot --json", hub_init(&bench))).json();
    assert!(made.get("operator").is_none() && !bench.path("operator").exists());
    let text = fs::read_to_string(bench.path("boot")).unwrap();
    let hub = Hub::start(&bench);
    bench.ok("login boot --dir operator");
    bench.ok("device list --dir operator");
    bench.private("again", &text);
    bench.run("login again --dir thief").failed("cannot be reached");
    assert_eq!(hub.stop(), 0);
    // The secret itself is nowhere at the hub, in no encoding that it could be found in.
    let invitation: toml::Table = text.parse().unwrap();
    let secret = invitation["secret"].as_str().unwrap();
    for name in ["hub.db", "hub.db-wal"] {
        let Ok(bytes) = fs::read(bench.path("hub").join(name)) else { continue };
        let raw = hex::decode(secret).unwrap();
        assert!(!bytes.windows(raw.len()).any(|window| window == raw), "{name}");
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{name}");
    }
}

/// Nobody and nothing opens a new hub but the key that was invited (hawkbit#1410, PR#295: admin with
/// the password admin, and a gateway's token that is empty).
#[test]
fn c13_a_new_hub_knows_nobody_and_no_default_opens_it() {
    let bench = local_pki(true);
    bench.ok(&format!("{} --invitation boot", hub_init(&bench)));
    let count = |table: &str| {
        let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\n\
                      print(c.execute('SELECT COUNT(*) FROM '+sys.argv[2]).fetchone()[0])";
        let output = Command::new("python3")
            .args(["-c", script])
            .arg(bench.path("hub/hub.db"))
            .arg(table)
            .output()
            .unwrap();
        Ran::from(output).out.trim().to_owned()
    };
    assert_eq!(count("operators"), "0");
    assert_eq!(count("invitations"), "1");
    let hub = Hub::start(&bench);
    let guess = curl(&bench, &hub, "/api/v1/status", &["-u", "admin:admin"]);
    assert!(guess.contains("no-client-certificate"), "{guess}");
    bench.ok("login boot --dir operator");
    assert_eq!(count("operators"), "1");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_hub_without_any_administrators_key_is_entered_by_whoever_has_its_directory() {
    let (bench, hub) = serving();
    fs::remove_dir_all(bench.path("operator")).unwrap();
    bench.run("hub invite --admin second").failed("Another process serves it");
    assert_eq!(hub.stop(), 0);
    bench.run("hub invite").refused("already-exists");
    bench.ok("hub invite --admin second --invitation second.invitation");
    let hub = Hub::start(&bench);
    bench.ok("login second.invitation --dir operator");
    bench.ok("user remove admin --dir operator");
    bench.ok("device list --dir operator");
    assert_eq!(hub.stop(), 0);
}

/// As packaging/prometheus/README.md says.
#[test]
fn a_scraper_reads_metrics_with_a_key_that_was_made_beside_it() {
    let (bench, hub) = serving();
    shell(
        &bench,
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
         -keyout viewer.key -subj / -out viewer.csr 2>/dev/null",
    );
    bench.ok("user add prometheus --role viewer --csr viewer.csr --out viewer.pem --dir operator");
    let metrics = curl(&bench, &hub, "/metrics", &["--cert", "viewer.pem", "--key", "viewer.key"]);
    assert!(metrics.contains("ringfort_certificate_expiry_timestamp_seconds{"), "{metrics}");
    let forbidden = curl(
        &bench,
        &hub,
        "/api/v1/invitations",
        &["--cert", "viewer.pem", "--key", "viewer.key", "-X", "POST"],
    );
    assert!(forbidden.contains("role-forbids"), "{forbidden}");
    // The key was not sent: what was sent is a request, which says itself that it holds none.
    let request = fs::read_to_string(bench.path("viewer.csr")).unwrap();
    Csr::parse(&from_pem("CERTIFICATE REQUEST", &request).unwrap()).unwrap();
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_load_balancer_asks_for_health_without_a_certificate() {
    let (bench, hub) = serving();
    let devices = hub.serving["device_address"].as_str().unwrap().to_owned();
    let port = devices.rsplit(':').next().unwrap();
    let health = shell(
        &bench,
        &format!(
            "curl -sS --noproxy '*' --cacert operator/server-ca.pem https://localhost:{port}/healthz"
        ),
    );
    assert_eq!(health.trim(), r#"{"status":"up"}"#);
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_log_that_was_set_back_is_reported_until_somebody_accepts_it() {
    let (bench, hub) = serving();
    bench.ok("device list --dir operator");
    assert_eq!(hub.stop(), 0);
    let saved = saved(&bench);
    let hub = Hub::start(&bench);
    bench.ok("user add olga --role viewer --dir operator");
    let quiet = bench.ok("device list --dir operator");
    assert_eq!(quiet.err, "", "a log that grows is no reason for a word");
    assert_eq!(hub.stop(), 0);

    put_back(&bench, &saved);
    let hub = Hub::start(&bench);
    for _ in 0..2 {
        let warned = bench.ok("device list --dir operator");
        assert!(warned.err.contains("audit log is not the one that was seen"), "{warned:?}");
        assert!(warned.err.contains("next: ") && warned.err.contains("audit accept"), "{warned:?}");
    }
    let doctor = bench.run("hub doctor --operator operator --json");
    assert!(doctor.out.contains("audit-log-not-as-seen"), "{doctor:?}");
    bench.ok("audit accept --dir operator");
    assert_eq!(bench.ok("device list --dir operator").err, "");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn people_follow_the_log_to_the_next_evidence_key_by_themselves() {
    let (bench, hub) = serving();
    bench.ok("device list --dir operator");
    bench.ok("audit export first.log --dir operator");
    let first = fs::read(bench.path("operator/evidence.pub")).unwrap();
    bench.run("hub rotate --evidence-key").failed("served");
    assert_eq!(hub.stop(), 0);
    let saved = [saved(&bench), fs::read(bench.path("hub/keys/evidence.sealed")).unwrap()];
    for number in 1..=2 {
        let made = bench.run("hub rotate --evidence-key --json").json();
        assert_eq!(made["number"], number);
    }
    let newest = fs::read(bench.path("hub/keys/evidence.pub")).unwrap();
    assert_ne!(newest, first);

    let hub = Hub::start(&bench);
    assert_eq!(bench.ok("device list --dir operator").err, "", "there is nothing to be told");
    let kept = |name: &str| fs::read(bench.path(&format!("operator/{name}"))).unwrap();
    assert_eq!((kept("evidence.pub"), kept("evidence-1.pub")), (newest.clone(), first.clone()));
    bench.ok("audit export last.log --dir operator");
    // A log of before and one of now, from the folder, or by any key of those that signed.
    bench.ok("audit verify first.log --dir operator");
    bench.private("first.pub", std::str::from_utf8(&first).unwrap());
    bench.ok("audit verify first.log --key first.pub");
    bench.ok("audit verify last.log --key first.pub");
    bench.ok("audit verify last.log --key hub/keys/evidence.pub");
    bench.run("audit verify first.log --key hub/keys/evidence.pub").failed("not signed");
    bench.run("audit verify last.log --key hub/keys/order.pub").failed("not signed");
    // Whoever comes now begins with the key of now.
    bench.ok("user add olga --role viewer --dir operator --invitation olga.i");
    bench.ok("login olga.i --dir olga");
    assert_eq!(fs::read(bench.path("olga/evidence.pub")).unwrap(), newest);
    let told = bench.run("audit export told.log --dir olga --json").json();
    assert!(told["entries"].as_u64().unwrap() > 2);
    assert_eq!(hub.stop(), 0);

    // A backup of before has the key of before: a person has to look, and then it is followed.
    put_back(&bench, &saved[0]);
    fs::write(bench.path("hub/keys/evidence.sealed"), &saved[1]).unwrap();
    let hub = Hub::start(&bench);
    let warned = bench.ok("device list --dir operator");
    assert!(warned.err.contains("not signed by the hub's evidence key"), "{warned:?}");
    bench.ok("audit accept --dir operator");
    assert_eq!(bench.ok("device list --dir operator").err, "");
    assert_eq!(kept("evidence.pub"), first);
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_log_that_was_rewritten_to_the_same_length_is_reported() {
    let (bench, hub) = serving();
    bench.ok("device list --dir operator");
    assert_eq!(hub.stop(), 0);
    let saved = saved(&bench);
    let invite = |name: &str| {
        let hub = Hub::start(&bench);
        bench.ok(&format!("user add {name} --role viewer --dir operator --invitation {name}.i"));
        let ran = bench.ok("device list --dir operator");
        assert_eq!(hub.stop(), 0);
        ran
    };
    assert_eq!(invite("olga").err, "");
    // The same hub, set back, goes another way: as many entries, another past.
    put_back(&bench, &saved);
    let hub = Hub::start(&bench);
    let other = bench.ok("user add mallory --role viewer --dir operator");
    let text = format!("{}{}", other.err, bench.ok("device list --dir operator").err);
    assert!(text.contains("audit log is not the one that was seen"), "{text}");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn who_asks_for_more_than_the_settings_allow_is_told_to_wait() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let settings = fs::read_to_string(bench.path("hub/hub.toml")).unwrap();
    let limits = "\n[limits.certificate]\nper_second = 1\nburst = 4\n";
    fs::write(bench.path("hub/hub.toml"), format!("{settings}{limits}")).unwrap();
    let hub = Hub::start(&bench);
    // The same person's other window asks without a pause, however slowly commands start here.
    let (client, asking) = (client(&bench, &hub), AtomicBool::new(true));
    let refused = std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            while asking.load(Ordering::SeqCst) {
                let _ = runtime.block_on(client.status());
            }
        });
        let refused = std::iter::repeat_with(|| bench.run("device list --dir operator"))
            .take(50)
            .find(|ran| ran.code != 0);
        asking.store(false, Ordering::SeqCst);
        refused
    });
    refused.expect("a share ends").refused("too-many-requests");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn both_sides_share_a_port_under_two_names() {
    let bench = local_pki(true);
    let anchors = bench.ok("pki anchors inspect hub/anchors/1.cbor --json").json();
    let text = anchors.to_string();
    let at = text.find("localhost:").unwrap() + "localhost:".len();
    let port: String = text[at..].chars().take_while(char::is_ascii_digit).collect();
    bench
        .run(&format!("hub init --operator-address localhost:{port} --approvals 1"))
        .wrong_usage("share a port and a name");
    bench.ok(&format!("hub init --operator-address people.localhost:{port} --approvals 1"));
    let hub = Hub::start(&bench);
    assert_eq!(hub.serving["device_address"], hub.serving["operator_address"]);
    shell(
        &bench,
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
         -keyout k -subj / -out c 2>/dev/null",
    );
    let ask = |name: &str, path: &str| {
        shell(
            &bench,
            &format!(
                "curl -sS --noproxy '*' --resolve {name}:{port}:127.0.0.1 \
                 --cacert operator/server-ca.pem https://{name}:{port}{path} 2>&1 || true"
            ),
        )
    };
    assert_eq!(ask("localhost", "/healthz").trim(), r#"{"status":"up"}"#);
    let people = ask("people.localhost", "/healthz");
    assert!(people.starts_with("curl: "), "without a certificate there is no connection: {people}");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn people_are_met_with_a_certificate_of_others_and_with_its_successor() {
    let bench = local_pki(true);
    let public = |name: &str| {
        shell(
            &bench,
            &format!(
                "umask 077; openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN={name} \
                 -addext subjectAltName=DNS:localhost -keyout {name}.key -out {name}.pem 2>/dev/null"
            ),
        );
    };
    public("first");
    public("second");
    for part in ["pem", "key"] {
        fs::copy(bench.path(&format!("first.{part}")), bench.path(&format!("live.{part}")))
            .unwrap();
    }
    let live = |part: &str| bench.path(&format!("live.{part}")).display().to_string();
    bench.ok(&format!(
        "{} --operator-certificate {} --operator-key {}",
        hub_init(&bench),
        live("pem"),
        live("key")
    ));
    // Whoever came in is told to trust what the machine trusts.
    let settings = fs::read_to_string(bench.path("operator/operator.toml")).unwrap();
    assert!(settings.contains("server_ca = \"system\""), "{settings}");
    let hub = Hub::start(&bench);
    let address = hub.serving["operator_address"].as_str().unwrap().to_owned();
    let shown = || {
        shell(
            &bench,
            &format!(
                "openssl s_client -connect {address} -servername localhost </dev/null 2>/dev/null \
                 | openssl x509 -noout -subject"
            ),
        )
    };
    assert!(shown().contains("first"));
    // One file without the other is no certificate: what is in force stays.
    fs::copy(bench.path("second.pem"), bench.path("live.pem")).unwrap();
    let log = || fs::read_to_string(bench.path("hub.log")).unwrap();
    until("what is in force stays", || log().contains("stays as it was"));
    assert!(shown().contains("first"));
    fs::copy(bench.path("second.key"), bench.path("live.key")).unwrap();
    until("the second is in force", || shown().contains("second"));
    assert_eq!(hub.stop(), 0);
    fs::set_permissions(bench.path("live.key"), fs::Permissions::from_mode(0o644)).unwrap();
    bench.run("hub serve").failed("has mode 0644");
}

/// Nobody has to be let in again because a certificate ends (freely after aws-iot-device-client#365:
/// no clear rotation, and old certificates that stay active).
#[test]
fn a_person_renews_before_the_end_and_the_old_certificate_ends_with_it() {
    let (bench, hub) = serving();
    bench.ok("user add olga --role operator --dir operator");
    bench.ok("login olga.invitation --dir olga");
    let listed = || -> Vec<Value> {
        let all = people(&bench, "operator")["people"].as_array().unwrap().clone();
        all.into_iter().filter(|person| person["name"] == "olga").collect()
    };
    assert_eq!(listed().len(), 1);
    let copy = bench.path("copy");
    let copied = Command::new("cp").arg("-r").arg(bench.path("olga")).arg(&copy).status();
    assert!(copied.unwrap().success());

    let renewed = bench.ok("user renew --dir olga --json").json();
    assert_eq!((&renewed["name"], &renewed["role"]), (&"olga".into(), &"operator".into()));
    assert_eq!(renewed["certificate"], "olga/operator-2.pem");
    assert!(!bench.path("olga/operator.sealed").exists(), "the old key is gone");
    let shown = bench.ok("device list --dir olga");
    assert!(!shown.err.contains("warning"), "{shown:?}");
    // A copy of the folder as it was opens nothing any more, and cannot renew.
    bench.run("device list --dir copy").refused("certificate-revoked");
    bench.run("user renew --dir copy").refused("certificate-revoked");
    assert!(!copy.join("operator-2.sealed").exists(), "nothing is left of the attempt");
    bench.run("user add eve --role viewer --dir olga").refused("role-forbids");
    let states: Vec<Value> = listed().iter().map(|person| person["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| **state == "active").count(), 1, "{states:?}");
    bench.ok("user renew --dir olga");
    bench.ok("device list --dir olga");

    bench.ok("user remove olga --dir operator");
    bench.run("user renew --dir olga").refused("certificate-revoked");
    let log = bench.ok("audit export log --dir operator");
    assert!(log.err.is_empty(), "{log:?}");
    let log = fs::read_to_string(bench.path("log")).unwrap();
    for (kind, times) in [("operator-renewed", 2), ("operator-certificate-ended", 2)] {
        assert_eq!(log.matches(&hex::encode(kind)).count(), times, "{kind}");
    }
    assert_eq!(hub.stop(), 0);
}

#[test]
fn every_command_says_that_a_certificate_ends_in_its_last_days() {
    let (bench, hub) = serving();
    // A quickstart's live for 30 days, so the last ten of them are the last third.
    for (days, warned) in [(1, false), (19, false), (25, true)] {
        let shown = Command::new("faketime")
            .args(["-f", &format!("+{days}d"), env!("CARGO_BIN_EXE_ringfort")])
            .args(["device", "list", "--json", "--dir", "operator"])
            .current_dir(bench.path(""))
            .output();
        let shown = Ran::from(shown.unwrap());
        assert_eq!(shown.code, 0, "{shown:?}");
        let said = shown.err.contains("warning: your certificate ends")
            && shown.err.contains("next: ringfort user renew");
        assert_eq!(said, warned, "{days} days: {shown:?}");
        assert!(shown.json().is_array(), "it stands beside what was asked for");
    }
    assert_eq!(hub.stop(), 0);
}

fn serving() -> (Bench, Hub) {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let hub = Hub::start(&bench);
    (bench, hub)
}

/// The connection of the administrator's folder.
fn client(bench: &Bench, hub: &Hub) -> Client {
    let certificate = |name: &str| {
        let text = fs::read_to_string(bench.path("operator").join(name)).unwrap();
        from_pem(CERTIFICATE, &text).unwrap()
    };
    let passphrase = Passphrase::from_file(&bench.path("operator/pin")).unwrap();
    let key = SealedKey::read(&bench.path("operator/operator.sealed")).unwrap();
    let address = hub.serving["operator_address"].as_str().unwrap();
    Client::new(ClientOptions {
        address: format!("localhost:{}", address.rsplit(':').next().unwrap()),
        server_cas: vec![certificate("server-ca.pem")],
        certificate: certificate("operator.pem"),
        key: Arc::new(key.open(&passphrase).unwrap()),
    })
    .unwrap()
}

/// Waits for something that comes about in the hub.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn people(bench: &Bench, folder: &str) -> Value {
    bench.ok(&format!("user list --dir {folder} --json")).json()
}

/// The database as it lies there while no hub runs.
fn saved(bench: &Bench) -> Vec<u8> {
    fs::read(bench.path("hub/hub.db")).unwrap()
}

fn put_back(bench: &Bench, saved: &[u8]) {
    for name in ["hub.db-wal", "hub.db-shm"] {
        let _ = fs::remove_file(bench.path("hub").join(name));
    }
    fs::write(bench.path("hub/hub.db"), saved).unwrap();
}

fn curl(bench: &Bench, hub: &Hub, path: &str, arguments: &[&str]) -> String {
    let address = hub.serving["operator_address"].as_str().unwrap();
    let port = address.rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}{path}");
    let output = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "--cacert", "hub/certs/server-ca.pem"])
        .args(arguments)
        .arg(url)
        .current_dir(bench.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ran = Ran::from(output);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out
}

/// Runs a line of shell in the test's directory.
fn shell(bench: &Bench, line: &str) -> String {
    run_in(&bench.path(""), line)
}

fn run_in(folder: &Path, line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).current_dir(folder).output().unwrap();
    let ran = Ran::from(output);
    assert_eq!(ran.code, 0, "{line}: {ran:?}");
    ran.out
}

const PATIENCE: Duration = Duration::from_secs(120);
