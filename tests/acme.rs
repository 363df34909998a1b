//! A hub whose operators' certificate comes from an ACME authority: the real executable, set up by
//! the commands that people type, and Pebble, which looks at its one port.

#![allow(clippy::unwrap_used)]

#[path = "../cli/tests/common/mod.rs"]
mod common;
mod pebble;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use common::hub::Hub;
use common::{Bench, PKI_INIT, Ran};
use pebble::{Habits, Pebble};
use serde_json::Value;

#[test]
fn a_hub_gets_its_operators_certificate_once_somebody_agreed_to_the_terms() {
    let scene = Scene::new();
    let mut pebble = scene.authority();
    let init = "hub init --approvals 1 --operator-acme https://127.0.0.1:1/dir --operator-address";
    scene.bench.run(&format!("{init} ops.acme.example:8444")).wrong_usage("without another port");
    assert!(!scene.bench.path("hub/hub.toml").exists());
    scene.set_up(&pebble);

    // Nobody has agreed: the log and the doctor name the terms, people meet the Server CA's.
    let hub = scene.serve();
    let state = scene.state(|state| state["code"] == "terms-not-agreed");
    assert!(state["why"].as_str().unwrap().contains(&pebble.terms()), "{state}");
    assert!(scene.log().contains("terms-not-agreed"), "{}", scene.log());
    let found = scene.finding("public-certificate-not-renewed").unwrap();
    assert!(found["seen"].as_str().unwrap().contains(&pebble.terms()), "{found}");
    assert!(!scene.bench.path("hub/acme/people.pem").exists());
    scene.trust(&fs::read_to_string(scene.bench.path("hub/certs/server-ca.pem")).unwrap());
    scene.operator("device list").done();
    assert_eq!(hub.stop(), 0);

    // Somebody reads them and agrees.
    scene.setting(&format!("terms = \"{}\"", pebble.terms()));
    scene.forget_waiting();
    let hub = scene.serve();
    scene.state(|state| state["failures"] == 0);
    for (file, mode) in [("acme", 0o700), ("acme/people.pem", 0o600), (ACCOUNT, 0o600)] {
        let path = scene.bench.path(&format!("hub/{file}"));
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    scene.trust(&pebble.root());
    scene.until("operators are met with it", || scene.operator("device list").code == 0);
    assert_eq!(scene.finding("public-certificate-not-renewed"), None);
    // What is secret in it is looked after like the hub's own keys.
    let people = scene.bench.path("hub/acme/people.pem");
    fs::set_permissions(&people, fs::Permissions::from_mode(0o644)).unwrap();
    let found = scene.finding("mode-too-wide").unwrap();
    assert!(found["at"].as_str().unwrap().contains("acme/people.pem"), "{found}");
    fs::set_permissions(&people, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(hub.stop(), 0);

    // It is kept across a restart, with nobody to ask, and is not in a backup.
    pebble.end();
    let before = fs::read(&people).unwrap();
    let hub = scene.serve();
    scene.operator("device list").done();
    scene.bench.ok("hub backup --dir hub saved");
    assert!(scene.bench.path(&format!("saved/{ACCOUNT}")).exists());
    assert!(!scene.bench.path("saved/acme").exists());
    assert_eq!(hub.stop(), 0);
    assert_eq!(fs::read(&people).unwrap(), before);
}

#[test]
fn a_certificate_for_another_name_in_the_folder_is_not_shown_and_a_new_one_is_asked_for() {
    let scene = Scene::new();
    let mut pebble = scene.authority();
    scene.set_up(&pebble);
    scene.setting(&format!("terms = \"{}\"", pebble.terms()));
    let hub = scene.serve();
    scene.state(|state| state["failures"] == 0);
    assert_eq!(hub.stop(), 0);
    // The operators move to another name.
    let settings = fs::read_to_string(scene.bench.path("hub/hub.toml")).unwrap();
    let moved = settings.replace("https://ops.acme.example", "https://new.acme.example");
    assert_ne!(moved, settings);
    fs::write(scene.bench.path("hub/hub.toml"), moved).unwrap();
    let before = fs::read(scene.bench.path("hub/acme/people.pem")).unwrap();
    let hub = scene.serve();
    scene.until("another certificate", || {
        fs::read(scene.bench.path("hub/acme/people.pem")).unwrap() != before
    });
    assert!(scene.log().contains("is not used"), "{}", scene.log());
    assert_eq!(hub.stop(), 0);
    pebble.end();
}

/// A hub's directory and its one port.
struct Scene {
    bench: Bench,
    port: u16,
}

impl Scene {
    fn new() -> Scene {
        let bench = Bench::new();
        bench.keys(&["a1", "a2", "a3", "r1", "r2", "r3", "c1"]);
        let [port] = pebble::ports::free_ports();
        let hub = format!("--hub-address hub.acme.example:{port}");
        bench.ok(&PKI_INIT.replace("--hub-address hub.acme.example", &hub));
        for key in ["a1", "a2"] {
            bench.ok(&format!(
                "pki anchors sign hub/anchors/1.cbor --key {key}.sealed --pin-file pin"
            ));
        }
        let names = "127.0.0.1 hub.acme.example\n127.0.0.1 ops.acme.example\n";
        fs::write(bench.path("hosts"), names).unwrap();
        Scene { bench, port }
    }

    fn authority(&self) -> Pebble {
        let habits = Habits { tls_port: self.port, lifetime_s: 90 * 86_400, blocked: &[] };
        Pebble::start(&self.bench.path("pebble"), &habits)
    }

    /// Nobody agrees to anything yet. What the authority's own address shows is known to few.
    fn set_up(&self, pebble: &Pebble) {
        let port = self.port;
        self.bench.ok(&format!(
            "hub init --approvals 1 --listen 127.0.0.1:{port} --operator-listen 127.0.0.1:{port} \
             --operator-address ops.acme.example --operator-acme {} --operator-acme-mail a@b.example",
            pebble.directory
        ));
        self.setting(&format!("trust = \"{}\"", pebble.trust().display()));
        // From outside it is port 443 that leads here; the operator's folder names the port itself.
        let folder = self.bench.path("operator/operator.toml");
        let text = fs::read_to_string(&folder).unwrap();
        assert!(text.contains("server_ca = \"system\""), "{text}");
        let text = text
            .replace("server_ca = \"system\"", "server_ca = \"trusted.pem\"")
            .replace("ops.acme.example:443", &format!("ops.acme.example:{port}"));
        fs::write(&folder, text).unwrap();
    }

    /// Adds a line to the last section of hub.toml.
    fn setting(&self, line: &str) {
        let file = self.bench.path("hub/hub.toml");
        let text = fs::read_to_string(&file).unwrap();
        let with = text.replace("[operators.acme]\n", &format!("[operators.acme]\n{line}\n"));
        assert_ne!(with, text);
        fs::write(&file, with).unwrap();
    }

    /// A new start waits a minute after a failure; a test does not.
    fn forget_waiting(&self) {
        fs::remove_file(self.bench.path("hub/acme/state.json")).unwrap();
    }

    fn serve(&self) -> Hub {
        Hub::start(&self.bench)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.bench.path("hub.log")).unwrap()
    }

    /// What the operator's folder trusts from now on.
    fn trust(&self, pem: &str) {
        fs::write(self.bench.path("operator/trusted.pem"), pem).unwrap();
    }

    /// How things stand, as soon as they are so.
    fn state(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        self.until("the state", || {
            let text = fs::read_to_string(self.bench.path("hub/acme/state.json"));
            let state = text.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
            found = state.filter(|state| is_so(state));
            found.is_some()
        });
        found.unwrap()
    }

    fn finding(&self, fault: &str) -> Option<Value> {
        let report = self.bench.run("hub doctor --dir hub --json").json();
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["fault"] == fault).cloned()
    }

    /// Runs an operator's command; the hub's names lead to this machine.
    fn operator(&self, arguments: &str) -> Shown {
        let output = Command::new(env!("CARGO_BIN_EXE_ringfort"))
            .args(["--dir", "operator"])
            .args(arguments.split_whitespace())
            .current_dir(self.bench.path(""))
            .env("LD_PRELOAD", "libnss_wrapper.so")
            .env("NSS_WRAPPER_HOSTS", self.bench.path("hosts"))
            .output();
        Shown(Ran::from(output.unwrap()))
    }

    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "never: {what}\n{}", self.log());
            std::thread::sleep(A_MOMENT);
        }
    }
}

struct Shown(Ran);

impl Shown {
    fn done(&self) {
        assert_eq!(self.0.code, 0, "{:?}", self.0);
    }
}

impl std::ops::Deref for Shown {
    type Target = Ran;

    fn deref(&self) -> &Ran {
        &self.0
    }
}

const ACCOUNT: &str = "keys/acme-account.sealed";
const PATIENCE: Duration = Duration::from_secs(300);
const A_MOMENT: Duration = Duration::from_millis(100);
