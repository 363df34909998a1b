//! A hub for tests, on loopback.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::Bench;

#[path = "../../../tests/ports/mod.rs"]
mod ports;
pub use ports::free_ports;

/// A quickstart PKI on ports that were free a moment ago, its anchors signed if asked.
pub fn local_pki(signed: bool) -> Bench {
    let bench = Bench::new();
    bench.keys(&["a1", "a2", "a3", "r1", "r2", "r3", "c1"]);
    bench.ok("factory init --site plant --pin-file pin");
    let [devices, operators] = free_ports();
    let init = super::PKI_INIT
        .replace("--name acme", "--name quickstart")
        .replace("hub.acme.example", &format!("localhost:{devices}"));
    bench.ok(&format!("{init} --site station/plant.request"));
    fs::write(bench.path("operators"), operators.to_string()).unwrap();
    if signed {
        for key in ["a1", "a2"] {
            bench.ok(&format!(
                "pki anchors sign hub/anchors/1.cbor --key {key}.sealed --pin-file pin"
            ));
        }
        bench.ok("factory accept --answer hub/sites/plant.answer --anchors hub/anchors");
    }
    bench
}

pub fn hub_init(bench: &Bench) -> String {
    let port = fs::read_to_string(bench.path("operators")).unwrap();
    format!("hub init --operator-address localhost:{port} --approvals 1")
}

/// A hub that runs until it is dropped.
pub struct Hub {
    process: Child,
    pub serving: Value,
}

impl Hub {
    pub fn start(bench: &Bench) -> Hub {
        Hub::start_with(bench, &[])
    }

    /// The same with more in its environment.
    pub fn start_with(bench: &Bench, environment: &[(&str, &str)]) -> Hub {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfort"));
        command.args(["hub", "serve", "--json", "--dir"]).arg(bench.path("hub"));
        Hub::run(command.envs(environment.iter().copied()), bench)
    }

    /// Runs a command that serves this hub, and returns when it serves.
    pub fn run(command: &mut Command, bench: &Bench) -> Hub {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(bench.path("hub.log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || fs::read_to_string(bench.path("hub.log")).unwrap();
        let serving =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}{}", log()));
        Hub { process, serving }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // A hub that has ended already is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
