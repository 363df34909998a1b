//! A real Mosquitto that knows the fleet's devices by what `pki export` wrote, and nothing else.

#![allow(clippy::unwrap_used)]

#[path = "../cli/tests/common/mod.rs"]
mod common;
mod local_hub;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use local_hub::{Identity, LocalHub, Process, free_ports, program};
use rustix::process::Signal;

#[test]
fn a_device_reaches_the_broker_by_its_ldevid_and_a_suspended_one_does_not() {
    let world = World::start();
    let [one, two] = world.devices();
    let mut back_end = world.back_end("#");

    world.publish(&one, "devices/dev-1/state", "well").done();
    assert_eq!(back_end.next().unwrap(), "devices/dev-1/state well");

    // Suspended devices stand in the CRL on hold; the broker knows when it has read the new one.
    world.move_to("dev-1", "suspended");
    world.publish(&one, "devices/dev-1/state", "not yet known").done();
    assert_eq!(back_end.next().unwrap(), "devices/dev-1/state not yet known");
    let renewed = world.export();
    assert_eq!(
        (&renewed["crl"]["certificates"], &renewed["crl"]["on_hold"]),
        (&1.into(), &1.into())
    );
    world.reload();
    world.publish(&one, "devices/dev-1/state", "suspended").refused();
    world.broker_says("certificate verify failed");
    assert!(world.openssl_verify(&one).contains("certificate revoked"));
    assert!(world.openssl_verify(&two).ends_with("OK\n"));

    // The others are served as before.
    world.publish(&two, "devices/dev-2/state", "well").done();
    assert_eq!(back_end.next().unwrap(), "devices/dev-2/state well");
}

#[test]
fn a_device_cannot_publish_below_the_name_of_another() {
    let world = World::start();
    let [one, _] = world.devices();
    let mut back_end = world.back_end("#");
    for topic in ["devices/dev-2/state", "devices/dev-12/state", "devices", "state"] {
        let answer = world.publish(&one, topic, "forged");
        assert!(answer.text.contains("Not authorized"), "{topic}: {}", answer.text);
    }
    // The broker takes a device's messages in their order: had one come through, it came first.
    world.publish(&one, "devices/dev-1/state", "own").done();
    assert_eq!(back_end.next().unwrap(), "devices/dev-1/state own");
}

#[test]
fn a_device_does_not_hear_what_is_for_another() {
    let world = World::start();
    let [one, two] = world.devices();
    let mut heard = world.subscribe(&two, "#");
    world.publish(&one, "devices/dev-1/secret", "for one").done();
    // Had that come through, it came first.
    world.send_from_back_end("devices/dev-2/own", "for two");
    assert_eq!(heard.next().unwrap(), "devices/dev-2/own for two");
}

#[test]
fn a_device_cannot_take_over_the_session_of_another() {
    let world = World::start();
    let [one, two] = world.devices();
    let mut heard = world.subscribe(&two, "devices/dev-2/#");
    // The same client id would end the session of dev-2 if the broker believed it.
    let topic = "devices/dev-1/state";
    world.mosquitto_pub(&["-i", "dev-2"], Some(&one), topic, "x").done();
    world.send_from_back_end("devices/dev-2/own", "still here");
    assert_eq!(heard.next().unwrap(), "devices/dev-2/own still here");
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let world = World::start();
    let [one, _] = world.devices();
    world.mosquitto_pub(&["-u", "dev-1"], None, "devices/dev-1/state", "x").refused();
    world.broker_says("peer did not return a certificate");
    world.publish(&one, "devices/dev-1/state", "x").done();
}

#[test]
fn a_factory_identity_is_refused_although_it_comes_from_the_same_root() {
    let world = World::start();
    let [one, _] = world.devices();
    world.publish(&world.factory[0], "devices/dev-1/state", "x").refused();
    world.broker_says("certificate verify failed");
    assert!(world.openssl_verify(&world.factory[0]).contains("unable to get certificate CRL"));
    world.publish(&one, "devices/dev-1/state", "x").done();
}

#[test]
fn an_export_writes_into_its_own_directory_only_and_keeps_what_people_changed() {
    let hub = LocalHub::new();
    let serving = hub.serve();
    let bench = &hub.bench;
    fs::create_dir(bench.path("taken")).unwrap();
    fs::write(bench.path("taken/mine"), "mine").unwrap();
    let export = "pki export --for mosquitto --dir operator --out";
    bench.run(&format!("{export} taken")).refused("already-exists");
    for word in ["--topics #", "--topics a/+/b", "--topics a//b", "--topics %u"] {
        bench.run(&format!("{export} files {word}")).wrong_usage("cannot stand in front");
    }
    assert!(!bench.path("files").exists());

    let told = bench.ok(&format!("{export} files"));
    assert!(told.out.contains("include_dir /etc/mosquitto/ringfort"), "{}", told.out);
    fs::write(bench.path("files/acl"), "pattern read devices/%u/#\n").unwrap();
    let before = fs::read(bench.path("files/device-ca.crl.pem")).unwrap();
    let told = bench.ok(&format!("{export} files"));
    assert!(told.out.contains("systemctl reload mosquitto"), "{}", told.out);
    assert_eq!(fs::read(bench.path("files/acl")).unwrap(), b"pattern read devices/%u/#\n");
    assert_ne!(fs::read(bench.path("files/device-ca.crl.pem")).unwrap(), before);
    // The same for a hub that cannot be asked: what was there stays.
    assert_eq!(serving.stop(), 0);
    let before = fs::read(bench.path("files/device-ca.crl.pem")).unwrap();
    bench.run(&format!("{export} files")).failed("cannot be reached");
    assert_eq!(fs::read(bench.path("files/device-ca.crl.pem")).unwrap(), before);
}

/// A hub with two enrolled devices, and a broker that was told of them.
struct World {
    hub: LocalHub,
    factory: Vec<Identity>,
    operational: [Identity; 2],
    broker: Process,
    broker_log: PathBuf,
    device_port: u16,
    back_end_port: u16,
    /// The hub serves as long as the test runs.
    _serving: Process,
}

impl World {
    fn start() -> World {
        let hub = LocalHub::new();
        let serving = hub.serve();
        let factory = hub.make_devices(&["dev-1", "dev-2"]);
        let operational = [hub.enrol("dev-1", &factory[0]), hub.enrol("dev-2", &factory[1])];
        let [device_port, back_end_port] = free_ports();
        let bench = &hub.bench;
        broker_certificate(&bench.path("broker"));
        export(&hub, device_port);
        let conf = bench.path("mosquitto.conf");
        fs::write(&conf, main_configuration(&bench.path("mosquitto"), back_end_port)).unwrap();
        let broker_log = bench.path("broker.log");
        let broker = Process::start(
            program("mosquitto").arg("-c").arg(&conf).stdout(Stdio::null()),
            &broker_log,
        );
        let world = World {
            factory,
            operational,
            broker,
            broker_log,
            device_port,
            back_end_port,
            _serving: serving,
            hub,
        };
        world.broker_says(" running");
        world
    }

    fn devices(&self) -> [Identity; 2] {
        self.operational.clone()
    }

    fn export(&self) -> serde_json::Value {
        export(&self.hub, self.device_port)
    }

    fn move_to(&self, device: &str, state: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfort"));
        let done = command
            .args(["device", "move", device, "--to", state, "--note", "a test", "--dir"])
            .arg(self.hub.bench.path("operator"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// As `systemctl reload mosquitto` does.
    fn reload(&self) {
        self.broker.signal(Signal::HUP);
        // What follows the line in the log happens before the next connection is accepted.
        self.broker_says("Reloading config.");
    }

    /// What OpenSSL says to a certificate and the files that the broker has.
    fn openssl_verify(&self, device: &Identity) -> String {
        let exported = |name: &str| self.hub.bench.path("mosquitto").join(name);
        let mut command = Command::new("openssl");
        command.args(["verify", "-crl_check", "-CAfile"]).arg(exported("device-ca.pem"));
        command.arg("-CRLfile").arg(exported("device-ca.crl.pem"));
        command.arg("-untrusted").arg(&device.certificate).arg(&device.certificate);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Waits until the broker's log says this.
    fn broker_says(&self, text: &str) {
        let patience = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(&self.broker_log).unwrap();
            if log.contains(text) {
                return;
            }
            assert!(Instant::now() < patience, "the broker never said {text:?}:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn publish(&self, device: &Identity, topic: &str, text: &str) -> Answer {
        self.mosquitto_pub(&[], Some(device), topic, text)
    }

    /// Publishes as the team's own service does.
    fn send_from_back_end(&self, topic: &str, text: &str) {
        let port = self.back_end_port.to_string();
        let mut command = Command::new("timeout");
        command.args([SECONDS, "mosquitto_pub", "-h", "127.0.0.1", "-p", &port, "-q", "1"]);
        Answer::from(command.args(["-t", topic, "-m", text]).output().unwrap()).done();
    }

    fn mosquitto_pub(
        &self,
        more: &[&str],
        device: Option<&Identity>,
        topic: &str,
        text: &str,
    ) -> Answer {
        let mut command = Command::new("timeout");
        command.args([SECONDS, "mosquitto_pub", "-V", "5", "-q", "1", "-t", topic, "-m", text]);
        command.args(more);
        self.over_tls(&mut command, device);
        command.output().unwrap().into()
    }

    fn over_tls(&self, command: &mut Command, device: Option<&Identity>) {
        command.args(["-h", "localhost", "-p", &self.device_port.to_string(), "--cafile"]);
        command.arg(self.hub.bench.path("broker/ca.pem"));
        if let Some(Identity { certificate, key }) = device {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
    }

    /// What a device hears, from when the broker has taken its subscription.
    fn subscribe(&self, device: &Identity, topic: &str) -> impl Iterator<Item = String> + use<> {
        let mut command = Command::new("mosquitto_sub");
        command.args(["-v", "-W", SECONDS, "-t", topic]);
        self.over_tls(&mut command, Some(device));
        self.listen(&mut command, "dev-2")
    }

    /// What the team's own service hears, on a listener of its own.
    fn back_end(&self, topic: &str) -> impl Iterator<Item = String> + use<> {
        let mut command = Command::new("mosquitto_sub");
        let port = self.back_end_port.to_string();
        command.args(["-v", "-W", SECONDS, "-t", topic]);
        command.args(["-i", "back-end", "-h", "127.0.0.1", "-p", &port]);
        self.listen(&mut command, "back-end")
    }

    fn listen(&self, command: &mut Command, id: &str) -> impl Iterator<Item = String> + use<> {
        let log = self.hub.bench.path("subscriber.log");
        let mut process = Process::start(command.stdout(Stdio::piped()), &log);
        self.broker_says(&format!("Sending SUBACK to {id}"));
        let lines = process.lines();
        // The process lives as long as its lines are asked for.
        lines.inspect(move |_| process.is_here())
    }
}

/// How a client ended.
struct Answer {
    ended: bool,
    text: String,
}

impl Answer {
    fn done(&self) {
        assert!(self.ended && self.text.is_empty(), "{}", self.text);
    }

    fn refused(&self) {
        assert!(!self.ended, "{}", self.text);
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Answer {
        let text = [output.stdout, output.stderr].concat();
        Answer { ended: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
    }
}

fn export(hub: &LocalHub, port: u16) -> serde_json::Value {
    let path = |name: &str| hub.bench.path(name).display().to_string();
    let (at, certificate, key) =
        (path("mosquitto"), path("broker/broker.pem"), path("broker/broker.key"));
    hub.bench
        .ok(&format!(
            "pki export --for mosquitto --dir operator --out mosquitto --json --at {at} \
             --certificate {certificate} --key {key} --port {port}"
        ))
        .json()
}

/// The broker's own part: what was exported, and a listener for the team's services.
fn main_configuration(exported: &Path, back_end_port: u16) -> String {
    // A broker that root starts becomes another user, who cannot read a test's files.
    let user = if rustix::process::geteuid().is_root() { "user root\n" } else { "" };
    format!(
        "{user}log_dest stderr\nlog_type all\ninclude_dir {}\n\
         listener {back_end_port} 127.0.0.1\nallow_anonymous true\n",
        exported.display()
    )
}

/// The broker's own certificate, from an authority that is not the fleet's.
fn broker_certificate(directory: &Path) {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "the broker's own authority");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let authority =
        rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap())
            .unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority).unwrap();
    fs::create_dir(directory).unwrap();
    fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
    fs::write(directory.join("broker.pem"), certificate.pem()).unwrap();
    fs::write(directory.join("broker.key"), key.serialize_pem()).unwrap();
}

/// How long a client may take, and a subscriber listens in all: a test is long over by then.
const SECONDS: &str = "600";
const PATIENCE: Duration = Duration::from_secs(300);
