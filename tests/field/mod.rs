//! A hub on loopback and devices with real agents, each a process in a directory of its own.
#![allow(dead_code)]

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::Ran;
use crate::local_hub::{LocalHub, Process};

/// A fleet in the field.
pub struct Field {
    pub local: LocalHub,
    hub: Process,
    batches: Cell<u32>,
}

impl Field {
    pub fn start() -> Field {
        let local = LocalHub::new();
        let hub = local.serve();
        Field { local, hub, batches: Cell::new(0) }
    }

    /// A device with its identity, in stock: `agent.toml` and state in the directory of its name.
    pub fn make_device(&self, name: &str) {
        let bench = &self.local.bench;
        fs::create_dir(bench.path(name)).unwrap();
        fs::write(bench.path(name).join("agent.toml"), AGENT_TOML).unwrap();
        bench.agent_ok(&format!("--config {name} identity request --out {name}.request"));
        bench.ok(&format!("factory provision {name}.request --device {name} --pin-file pin"));
        bench.agent_ok(&format!("--config {name} identity install {name}.identity"));
        let number = self.batches.get() + 1;
        self.batches.set(number);
        bench.ok("factory export --pin-file pin");
        bench.ok(&format!("factory import plant-{number}.batch --dir operator"));
    }

    /// Runs the agent in a directory.
    pub fn run(&self, name: &str) -> Process {
        let bench = &self.local.bench;
        let mut command = Command::new(bench.path("ringfort-agent"));
        command.args(["--config", name, "run"]).current_dir(bench.path(""));
        Process::start(command.stdout(Stdio::null()), &self.log(name))
    }

    /// What the agent in a directory last wrote to its log.
    pub fn log(&self, name: &str) -> PathBuf {
        self.local.bench.path(&format!("{name}.log"))
    }

    /// Copies a directory as it is, as who images a disk does.
    pub fn copy(&self, from: &str, to: &str) {
        let done = Command::new("cp")
            .args(["--archive", from, to])
            .current_dir(self.local.bench.path(""))
            .status();
        assert!(done.unwrap().success());
    }

    /// Puts a copy in the place of a directory.
    pub fn restore(&self, copy: &str, name: &str) {
        fs::remove_dir_all(self.local.bench.path(name)).unwrap();
        self.copy(copy, name);
    }

    /// Runs an operator's command that has to succeed.
    pub fn ok(&self, arguments: &str) -> Ran {
        let ran = self.operator(arguments);
        assert_eq!(ran.code, 0, "ringfort {arguments}\n{}{}", ran.out, ran.err);
        ran
    }

    /// Runs an operator's command.
    pub fn operator(&self, arguments: &str) -> Ran {
        self.local.bench.run(&format!("{arguments} --dir operator"))
    }

    pub fn device(&self, name: &str) -> Value {
        self.ok(&format!("device show {name} --json")).json()
    }

    pub fn history(&self, name: &str) -> Vec<Value> {
        let history = self.ok(&format!("device history {name} --limit 200 --json")).json();
        history.as_array().unwrap().clone()
    }

    /// Waits until what the hub shows of a device is so, and gives it.
    pub fn until(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let shown = self.device(name);
            if is_so(&shown) {
                return shown;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{name} never came to: {what}\n{shown:#}\n{}",
                fs::read_to_string(self.log(name)).unwrap_or_default()
            );
            std::thread::sleep(A_MOMENT);
        }
    }

    pub fn until_state(&self, name: &str, state: &str) -> Value {
        self.until(name, state, |shown| shown["device"]["state"] == state)
    }

    /// Waits until the device was heard so many times from now on.
    pub fn until_heard(&self, name: &str, times: usize) {
        let mut last = self.device(name)["device"]["last_seen_ms"].clone();
        for _ in 0..times {
            let shown = self.until(name, "heard", |shown| {
                !shown["device"]["last_seen_ms"].is_null()
                    && shown["device"]["last_seen_ms"] != last
            });
            last = shown["device"]["last_seen_ms"].clone();
        }
    }

    /// Waits until an entry of this kind stands in the device's history.
    pub fn until_logged(&self, name: &str, kind: &str) {
        self.until(name, kind, |_| self.history(name).iter().any(|event| event["kind"] == kind));
    }

    /// Waits until the agent in a directory has said this.
    pub fn until_said(&self, directory: &str, text: &str) {
        let begun = Instant::now();
        let said = || fs::read_to_string(self.log(directory)).unwrap_or_default();
        while !said().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "{directory} never said {text}: {}", said());
            std::thread::sleep(A_MOMENT);
        }
    }

    /// Waits until the newest command of a device is in this state.
    pub fn until_command(&self, name: &str, state: &str) -> Value {
        self.until(name, state, |shown| shown["commands"][0]["state"] == state)
    }

    /// Signs a command with the fleet's command key, and gives its file.
    pub fn sign(&self, name: &str, action: &str) -> String {
        let file = format!("{name}.{action}.command");
        self.local.bench.ok(&format!(
            "device command sign --device {name} --action {action} --anchors hub/anchors \
             --key c1.sealed --pin-file pin --out {file}"
        ));
        file
    }

    /// Publishes a release, and gives its directory.
    pub fn publish(&self, version: &str) -> String {
        let bench = &self.local.bench;
        fs::write(bench.path(&format!("payload-{version}")), version.repeat(1000)).unwrap();
        // The default number is the time in seconds, and two of these may fit into one.
        let sequence = 1_800_000_000 + version.replace('.', "").parse::<u64>().unwrap();
        bench.ok(&format!(
            "release new payload-{version} --product acme.example/gateway --version {version} \
             --sequence {sequence} --out r-{version}"
        ));
        for key in ["r1", "r2"] {
            bench.ok(&format!("release sign r-{version} --key {key}.sealed --pin-file pin"));
        }
        bench.ok(&format!("release publish r-{version} --dir operator"));
        format!("r-{version}")
    }

    /// Publishes a release and waits until every device that it is for has confirmed it.
    pub fn update(&self, version: &str) {
        let release = self.publish(version);
        let made = self.ok(&format!("deploy create --release {release} --json")).json();
        let deployment = made["result"]["id"].as_str().unwrap();
        let ran = self
            .operator(&format!("deploy status {deployment} --wait {} --json", PATIENCE.as_secs()));
        let counted = &ran.json()["devices"];
        assert!(counted["confirmed"].as_u64() > Some(0), "{ran:?}");
        assert_eq!(counted.as_object().unwrap().len(), 1, "{ran:?}");
    }
}

const AGENT_TOML: &str = "[poll]\ninterval_seconds = 1\n[update]\n\
    [[health]]\ncommand = [\"/bin/true\"]\n";
const PATIENCE: Duration = Duration::from_secs(240);
const A_MOMENT: Duration = Duration::from_millis(200);
