//! A hub on loopback from the ceremony's beginning, and devices whose keys OpenSSL made.
#![allow(dead_code)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ringfort_messages::IdentityAnswer;
use ringfort_pki::{CERTIFICATE, to_pem};
use serde_json::Value;

use crate::common::{Bench, PKI_INIT};

pub use crate::common::hub::free_ports;

/// A quickstart PKI and hub directory on ports that were free a moment ago.
pub struct LocalHub {
    pub bench: Bench,
    program: PathBuf,
    directory: PathBuf,
    pub device_port: u16,
    pub operator_port: u16,
}

/// A process that ends when this value goes.
pub struct Process(Child);

/// A certificate with its key, PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl LocalHub {
    /// The ceremony, and `hub init`.
    pub fn new() -> LocalHub {
        let program = Path::new(env!("CARGO_BIN_EXE_ringfort"));
        let bench = Bench::new();
        let directory = bench.path("hub");
        LocalHub::with(bench, program, &directory)
    }

    /// The same by an installed program, in another directory.
    pub fn with(bench: Bench, program: &Path, directory: &Path) -> LocalHub {
        let [device_port, operator_port] = free_ports();
        let (program, directory) = (program.to_owned(), directory.to_owned());
        let hub = LocalHub { bench, program, directory, device_port, operator_port };
        hub.ceremony();
        hub
    }

    fn ceremony(&self) {
        let LocalHub { bench, device_port, operator_port, .. } = self;
        let hub = self.directory.display();
        bench.keys(&["a1", "a2", "a3", "r1", "r2", "r3", "c1"]);
        bench.ok("factory init --site plant --pin-file pin");
        let init = PKI_INIT
            .replace("--name acme", "--name quickstart")
            .replace("hub.acme.example", &format!("localhost:{device_port}"));
        self.ok(&format!("{init} --hub {hub} --site station/plant.request"));
        for key in ["a1", "a2"] {
            self.ok(&format!(
                "pki anchors sign {hub}/anchors/1.cbor --key {key}.sealed --pin-file pin"
            ));
        }
        self.ok(&format!(
            "factory accept --answer {hub}/sites/plant.answer --anchors {hub}/anchors"
        ));
        self.ok(&format!(
            "hub init --dir {hub} --operator-address localhost:{operator_port} --approvals 1"
        ));
    }

    /// Runs a command that has to succeed, in the test's directory.
    fn ok(&self, arguments: &str) {
        let mut command = Command::new(&self.program);
        fed(command.args(arguments.split_whitespace()).current_dir(self.bench.path("")), b"");
    }

    /// Serves it, and returns when it serves.
    pub fn serve(&self) -> Process {
        let mut command = Command::new(&self.program);
        command.args(["hub", "serve", "--json", "--dir"]).arg(&self.directory);
        Process::serving(&mut command, &self.bench.path("hub.log")).0
    }

    /// Makes devices at the factory and hands their batch to the running hub. Returns their
    /// factory identities.
    pub fn make_devices(&self, names: &[&str]) -> Vec<Identity> {
        let made = names.iter().map(|name| self.make_device(name)).collect();
        self.bench.ok("factory export --pin-file pin");
        self.bench.ok("factory import plant-1.batch --dir operator");
        made
    }

    fn make_device(&self, name: &str) -> Identity {
        let path = |what: &str| self.bench.path(&format!("{name}.{what}"));
        let identity = Identity { certificate: path("idevid.pem"), key: path("idevid.key") };
        let attestation = path("attestation.key");
        generate(&identity.key);
        generate(&attestation);
        let request = self.bench.device_request_of(name, &csr(&identity.key), &csr(&attestation));
        self.bench.ok(&format!("factory provision {request} --device {name} --pin-file pin"));
        let answer = fs::read(path("identity")).unwrap();
        let answer = IdentityAnswer::decode(&answer).unwrap();
        let chain: String =
            answer.chain.iter().map(|der| to_pem(CERTIFICATE, der).unwrap()).collect();
        fs::write(&identity.certificate, chain).unwrap();
        identity
    }

    /// Enrols over EST as any client would (RFC 7030): an operational certificate with a new key.
    pub fn enrol(&self, name: &str, factory: &Identity) -> Identity {
        let path = |what: &str| self.bench.path(&format!("{name}.{what}"));
        let identity = Identity { certificate: path("ldevid.pem"), key: path("ldevid.key") };
        generate(&identity.key);
        let body = openssl(&["base64"], &csr(&identity.key));
        let url = format!("https://localhost:{}/.well-known/est/simpleenroll", self.device_port);
        let answer = fed(
            Command::new("curl")
                .args(["--silent", "--show-error", "--fail-with-body", "--noproxy", "*"])
                .args(["--header", "content-type: application/pkcs10"])
                .args(["--header", "content-transfer-encoding: base64"])
                .args(["--data-binary", "@-", &url, "--cacert"])
                .arg(self.bench.path("operator/server-ca.pem"))
                .arg("--cert")
                .arg(&factory.certificate)
                .arg("--key")
                .arg(&factory.key),
            &body,
        );
        let der = openssl(&["base64", "-d"], &answer);
        let printed = openssl(&["pkcs7", "-inform", "DER", "-print_certs"], &der);
        fs::write(&identity.certificate, printed).unwrap();
        identity
    }
}

impl Process {
    /// Starts a process with its log in a file.
    pub fn start(command: &mut Command, log: &Path) -> Process {
        command.stdin(Stdio::null()).stderr(File::create(log).unwrap());
        Process(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// Starts a hub, and gives the line of JSON by which it says that it serves.
    pub fn serving(command: &mut Command, log: &Path) -> (Process, Value) {
        let mut process = Process::start(command.stdout(Stdio::piped()), log);
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let serving = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("{e}: {line}{}", fs::read_to_string(log).unwrap()));
        (process, serving)
    }

    /// Sends a signal to this process.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks it to end, and gives its exit code.
    pub fn stop(mut self) -> i32 {
        self.signal(rustix::process::Signal::TERM);
        self.0.wait().unwrap().code().unwrap_or(-1)
    }

    /// Waits until it has ended by itself, and gives its exit code.
    pub fn wait(mut self) -> i32 {
        self.0.wait().unwrap().code().unwrap_or(-1)
    }

    /// Keeps the process until here.
    pub fn is_here(&self) {}

    /// The lines of its standard output, where that was piped.
    pub fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stdout.take().unwrap()).lines().map(Result::unwrap)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program, also where an ordinary user's search path lacks the folders of administrators.
pub fn program(name: &str) -> Command {
    let system = ["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(name));
    match system.into_iter().find(|path| path.is_file()) {
        Some(path) => Command::new(path),
        None => Command::new(name),
    }
}

/// Runs a program that has to succeed, with this on its standard input.
pub fn fed(command: &mut Command, input: &[u8]) -> Vec<u8> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program that does not read its input closes it.
        scope.spawn(move || drop(stdin.write_all(input)));
        let output = child.wait_with_output().unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
        output.stdout
    })
}

pub fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    fed(Command::new("openssl").args(arguments), input)
}

fn generate(key: &Path) {
    let options = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
    fed(Command::new("openssl").args(options).arg(key), b"");
}

fn csr(key: &Path) -> Vec<u8> {
    let options = ["req", "-new", "-subj", "/", "-outform", "DER", "-key"];
    fed(Command::new("openssl").args(options).arg(key), b"")
}
