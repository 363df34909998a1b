//! A hub that is backed up while it serves, lost, and put back: with the real hub, a real device
//! and nothing else.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::hub::{Hub, hub_init, local_pki};
use common::{Bench, flip};

#[test]
fn an_update_confirms_after_backup_updates_restore_and_acknowledgement() {
    let bench = local_pki(true);
    bench.ok(&format!("{} --poll-seconds 1", hub_init(&bench)));
    let hub = Hub::start(&bench);
    let agent = Agent::start(&bench, "dev-1");
    deploy_and_confirm(&bench, "1.0");
    bench.ok("hub backup saved");
    for version in ["1.1", "1.2", "1.3"] {
        deploy_and_confirm(&bench, version);
    }
    assert_eq!(hub.stop(), 0);
    fs::rename(bench.path("hub"), bench.path("lost")).unwrap();

    let restored = bench.ok("hub restore saved --pin-file lost/pin --json").json();
    assert_eq!(restored["state"], "restored");
    let hub = Hub::start(&bench);
    agent.hears("hub-restored");
    assert!(hub_log(&bench).contains("hub-restored"));
    let deployment = deploy(&bench, "1.4");
    bench.ok("hub acknowledge --dir operator");
    assert_confirmed(&bench, &deployment);
    bench.run("hub acknowledge --dir operator").refused("already-exists");

    // The log says what happened, and verifies.
    bench.ok("audit export log --dir operator");
    bench.ok("audit verify log --key operator/evidence.pub");
    assert_eq!(hub.stop(), 0);
}

/// While publishers and administrators write, each copy is of one moment: what it names is in it, and
/// its audit log ends where its head says.
#[test]
fn a_backup_taken_while_the_hub_writes_is_whole() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let hub = Hub::start(&bench);
    let versions = ["1.0", "1.1", "1.2", "1.3", "1.4"];
    versions.iter().for_each(|version| make_release(&bench, version));
    let copies = AtomicUsize::new(0);
    let backups = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for (version, number) in versions.iter().zip(1..) {
                bench.ok(&format!("release publish r-{version} --dir operator"));
                bench.ok(&format!("user add person-{number} --role viewer --dir operator"));
            }
            // It goes on until two copies were taken meanwhile, however long one takes.
            for number in versions.len() + 1..100 {
                if copies.load(Ordering::SeqCst) > 1 {
                    break;
                }
                bench.ok(&format!("user add person-{number} --role viewer --dir operator"));
            }
        });
        while !writer.is_finished() {
            let number = copies.load(Ordering::SeqCst) + 1;
            bench.ok(&format!("hub backup saved-{number}"));
            copies.store(number, Ordering::SeqCst);
        }
        copies.load(Ordering::SeqCst)
    });
    assert_eq!(hub.stop(), 0);
    assert!(backups > 1, "it was over before the second copy");
    for number in 1..=backups {
        bench.ok(&format!("hub restore saved-{number} --dir again-{number} --pin-file hub/pin"));
        let found = bench.run(&format!("hub doctor --dir again-{number} --json")).json();
        for fault in ["database-damaged", "object-missing", "object-damaged"] {
            assert!(!found.to_string().contains(fault), "{number}: {found}");
        }
    }
}

#[test]
fn a_hub_that_was_not_restored_has_nothing_to_acknowledge() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let hub = Hub::start(&bench);
    bench.run("hub acknowledge --dir operator").refused("not-found");
    assert_eq!(hub.stop(), 0);
}

#[test]
fn a_backup_holds_nothing_that_opens_the_hubs_keys() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    bench.ok("hub backup saved");
    let pin = fs::read_to_string(bench.path("hub/pin")).unwrap();
    let mut seen = 0;
    for file in files_below(&bench.path("saved")) {
        let bytes = fs::read(&file).unwrap();
        let found = bytes.windows(pin.trim().len()).any(|part| part == pin.trim().as_bytes());
        assert!(!found, "{} holds the PIN", file.display());
        assert!(!String::from_utf8_lossy(&bytes).contains("PRIVATE KEY"), "{}", file.display());
        seen += 1;
    }
    assert!(seen > 10, "only {seen} files");
    // Without the PIN the hub is whole but does not open; with it, it does.
    let missing = bench.ok("hub restore saved --dir again --json").json();
    assert_eq!(missing["missing_pin"], "again/pin");
    bench.run("hub serve --dir again").failed("cannot");
    bench.private("again/pin", &pin);
    fs::rename(bench.path("hub"), bench.path("lost")).unwrap();
    fs::rename(bench.path("again"), bench.path("hub")).unwrap();
    assert_eq!(Hub::start(&bench).stop(), 0);
}

#[test]
fn a_key_that_is_not_sealed_is_not_backed_up() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let key = bench.path("hub/keys/order.sealed");
    let good = fs::read(&key).unwrap();
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    bench.run("hub backup saved").failed("order.sealed");
    assert!(!bench.path("saved").exists());
    fs::write(&key, good).unwrap();
    bench.ok("hub backup saved");
}

#[test]
fn a_damaged_or_unfinished_backup_is_refused_and_nothing_is_left_behind() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    bench.ok("hub backup saved");
    for (name, reason) in [
        ("saved/hub.db", "image-digest"),
        ("saved/keys/order.sealed", "image-digest"),
        ("saved/anchors/1.cbor", "image-digest"),
        ("saved/backup.json", "malformed"),
    ] {
        let good = fs::read(bench.path(name)).unwrap();
        match name {
            "saved/backup.json" => fs::write(bench.path(name), "{").unwrap(),
            _ => flip(&bench.path(name), good.len() / 2),
        }
        bench.run("hub restore saved --dir again").refused(reason);
        assert!(!bench.path("again").exists(), "{name}");
        fs::write(bench.path(name), good).unwrap();
    }
    fs::rename(bench.path("saved/backup.json"), bench.path("aside")).unwrap();
    bench.run("hub restore saved --dir again").failed("backup.json");
    fs::rename(bench.path("aside"), bench.path("saved/backup.json")).unwrap();
    bench.ok("hub restore saved --dir again");
}

#[test]
fn a_backup_that_names_a_file_outside_of_itself_is_refused() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    bench.ok("hub backup saved");
    let path = bench.path("saved/backup.json");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replace("\"hub.toml\"", "\"../stolen\"")).unwrap();
    bench.run("hub restore saved --dir again").refused("malformed");
    assert!(!bench.path("stolen").exists() && !bench.path("again").exists());
    fs::write(&path, good).unwrap();
    bench.ok("hub restore saved --dir again");
}

#[test]
fn nothing_is_ever_overwritten_by_a_backup_or_a_restore() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    bench.run("hub backup hub/saved").wrong_usage("cannot lie in the hub's directory");
    bench.ok("hub backup saved");
    bench.run("hub backup saved").refused("already-exists");
    let before = fs::read(bench.path("hub/hub.toml")).unwrap();
    bench.run("hub restore saved").refused("already-exists");
    assert_eq!(fs::read(bench.path("hub/hub.toml")).unwrap(), before);
    bench.ok("hub backup another");
    bench.ok("hub restore another --dir again");
}

/// A device whose agent runs until this is dropped.
struct Agent {
    process: Child,
    log: std::path::PathBuf,
}

impl Agent {
    fn start(bench: &Bench, name: &str) -> Agent {
        fs::create_dir(bench.path(name)).unwrap();
        fs::write(bench.path(name).join("agent.toml"), AGENT_TOML).unwrap();
        bench.agent_ok(&format!("--config {name} identity request --out {name}.request"));
        bench.ok(&format!("factory provision {name}.request --device {name} --pin-file pin"));
        bench.agent_ok(&format!("--config {name} identity install {name}.identity"));
        bench.ok("factory export --pin-file pin");
        bench.ok("factory import plant-1.batch --dir operator");
        let log = bench.path(&format!("{name}.log"));
        let process = Command::new(bench.path("ringfort-agent"))
            .args(["--config", name, "run"])
            .current_dir(bench.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Agent { process, log }
    }

    /// Returns when the agent's log has this word.
    fn hears(&self, word: &str) {
        let begun = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log).unwrap();
            if log.contains(word) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no {word:?} in the agent's log:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // An agent that has ended already is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn make_release(bench: &Bench, version: &str) {
    fs::write(bench.path(&format!("payload-{version}")), version.repeat(1000)).unwrap();
    // The default number is the time in seconds, and two of these fit into one.
    let sequence = 1_800_000_000 + version.replace('.', "").parse::<u64>().unwrap();
    bench.ok(&format!(
        "release new payload-{version} --product acme.example/gateway --version {version} \
         --sequence {sequence} --out r-{version}"
    ));
    for key in ["r1", "r2"] {
        bench.ok(&format!("release sign r-{version} --key {key}.sealed --pin-file pin"));
    }
}

fn deploy(bench: &Bench, version: &str) -> String {
    make_release(bench, version);
    bench.ok(&format!("release publish r-{version} --dir operator"));
    let made =
        bench.ok(&format!("deploy create --release r-{version} --dir operator --json")).json();
    made["result"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

fn deploy_and_confirm(bench: &Bench, version: &str) {
    let deployment = deploy(bench, version);
    assert_confirmed(bench, &deployment);
}

fn assert_confirmed(bench: &Bench, deployment: &str) {
    let ran = bench.run(&format!(
        "deploy status {deployment} --wait {} --dir operator --json",
        PATIENCE.as_secs()
    ));
    assert!(ran.out.contains("\"confirmed\""), "{ran:?}\n{}", hub_log(bench));
}

fn hub_log(bench: &Bench) -> String {
    fs::read_to_string(bench.path("hub.log")).unwrap()
}

fn files_below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}

const AGENT_TOML: &str = "[poll]\ninterval_seconds = 1\n[update]\n\
    [[health]]\ncommand = [\"/bin/true\"]\n";
const PATIENCE: Duration = Duration::from_secs(240);
