//! A device whose keys and counter are in a TPM 2.0: a real swtpm, a real hub, a real agent.

#![allow(clippy::unwrap_used)]

#[path = "../cli/tests/common/mod.rs"]
mod common;
mod local_hub;
#[path = "../device/keystore/tests/stores/swtpm.rs"]
#[allow(dead_code)]
mod swtpm;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Bench;
use local_hub::{LocalHub, Process};
use serde_json::Value;
use swtpm::{Swtpm, swtpms};

#[test]
fn c22_a_device_with_a_tpm_enrols_and_updates_and_a_copy_of_its_disk_is_worth_nothing() {
    let hub = LocalHub::new();
    let serving = hub.serve();
    let bench = &hub.bench;
    let (_alone, [own, other]) = swtpms();
    provision(bench, &own);

    let agent = run(bench, "gateway");
    until(bench, "deployed", |shown| shown["device"]["state"] == "deployed");
    update(bench, "1.0");
    let shown = until(bench, "1.0 confirmed", |shown| confirmed(shown, "1.0"));
    assert_eq!(shown["device"]["protection"], "tpm2 hardware-keys hardware-counter");

    // Another TPM opens nothing of this disk.
    assert_eq!(agent.stop(), 0);
    copy(&bench.path("gateway"), &bench.path("thief"));
    configure(bench, "thief", &other);
    let stolen = bench.agent("--config thief/agent.toml run");
    stolen.failed("the sealed secret does not open");

    // The right one does, as it was left.
    let agent = run(bench, "gateway");
    update(bench, "1.1");
    until(bench, "1.1 confirmed", |shown| confirmed(shown, "1.1"));
    assert_eq!(agent.stop(), 0);

    // An older copy of the disk lowers the floor nowhere: the counter is in the TPM.
    fs::remove_dir_all(bench.path("gateway")).unwrap();
    copy(&bench.path("thief"), &bench.path("gateway"));
    configure(bench, "gateway", &own);
    bench.agent("--config gateway/agent.toml run").refused("rolled-back");
    assert_eq!(serving.stop(), 0);
}

/// Keys, identity, and the batch that tells the hub.
fn provision(bench: &Bench, tpm: &Swtpm) {
    fs::create_dir(bench.path("gateway")).unwrap();
    configure(bench, "gateway", tpm);
    bench.agent_ok("--config gateway/agent.toml identity request --out gw-1.request");
    bench.ok("factory provision gw-1.request --device gw-1 --pin-file pin");
    bench.agent_ok("--config gateway/agent.toml identity install gw-1.identity");
    bench.ok("factory export --pin-file pin");
    bench.ok("factory import plant-1.batch --dir operator");
}

fn configure(bench: &Bench, folder: &str, tpm: &Swtpm) {
    let tcti = tpm.settings(&[]).tcti;
    let settings = format!(
        "[key_store]\nkind = \"tpm\"\ntcti = {tcti:?}\n\n\
         [poll]\ninterval_seconds = 1\n\n\
         [update]\nrestart = {{ command = [\"/bin/true\"] }}\n\n\
         [[health]]\ncommand = [\"/bin/true\"]\n"
    );
    fs::write(bench.path(folder).join("agent.toml"), settings).unwrap();
}

fn run(bench: &Bench, folder: &str) -> Process {
    let mut command = Command::new(bench.path("ringfort-agent"));
    command.arg("--config").arg(bench.path(folder).join("agent.toml")).arg("run");
    Process::start(command.stdout(Stdio::null()), &bench.path(&format!("{folder}.log")))
}

/// Builds a release, has two people sign it, and offers it.
fn update(bench: &Bench, version: &str) {
    fs::write(bench.path("payload"), format!("payload of {version}")).unwrap();
    let folder = format!("release-{version}");
    // The default number is the time in seconds, and two of these may fit into one.
    let sequence = 1_800_000_000 + version.replace('.', "").parse::<u64>().unwrap();
    bench.ok(&format!(
        "release new payload --product acme.example/gateway --version {version} \
         --sequence {sequence} --out {folder}"
    ));
    for signer in ["r1", "r2"] {
        bench.ok(&format!("release sign {folder} --key {signer}.sealed --pin-file pin"));
    }
    bench.ok(&format!("release publish {folder} --dir operator"));
    bench.ok(&format!("deploy create --release {folder} --device gw-1 --dir operator"));
}

fn confirmed(shown: &Value, version: &str) -> bool {
    let newest = &shown["updates"][0];
    newest["state"] == "confirmed" && shown["running"][0]["version"] == version
}

/// Waits for what an operator is shown about the device.
fn until(bench: &Bench, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let shown = bench.ok("device show gw-1 --dir operator --json").json();
        if reached(&shown) {
            return shown;
        }
        let log = || fs::read_to_string(bench.path("gateway.log")).unwrap_or_default();
        assert!(Instant::now() < deadline, "not {what}: {shown:#}\n{}", log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--archive").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
