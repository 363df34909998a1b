//! A real swtpm process, one for each value of [`Swtpm`], on loopback.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringfort_keystore::TpmSettings;

/// A running software TPM with a state of its own.
pub struct Swtpm {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Swtpm {
    /// Starts one and waits until it answers.
    pub fn start() -> Swtpm {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        // One at a time, so that no two choose the same ports.
        let _choosing = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
        // Its client expects the control port right above the command port.
        for _ in 0..20 {
            let port = free_pair();
            let mut process = Command::new("swtpm")
                .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
                .arg("--tpmstate")
                .arg(format!("dir={}", dir.path().join("state").display()))
                .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
                .args(["--ctrl", &format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1)])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("swtpm runs; Debian package swtpm");
            if answers(&mut process, port + 1) {
                return Swtpm { process, port, dir };
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("swtpm did not start on any port")
    }

    /// Settings of a store in this TPM.
    pub fn settings(&self, pcrs: &[u8]) -> TpmSettings {
        TpmSettings {
            tcti: self.tcti(),
            directory: self.dir.path().join("keystore"),
            pcrs: pcrs.to_vec(),
        }
    }

    /// Runs a tool of tpm2-tools on it.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> String {
        let tcti = self.tcti();
        tool(name, &[&["-T", &tcti], arguments].concat())
    }

    fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }
}

/// Runs a tool of tpm2-tools that needs no TPM.
pub fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .expect("tpm2-tools are installed; Debian package tpm2-tools");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {text}");
    text
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The control port is asked, for the command port serves one connection only.
fn answers(process: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if process.try_wait().is_ok_and(|ended| ended.is_some()) {
            return false;
        }
        let answered = TcpStream::connect(("127.0.0.1", port)).is_ok();
        std::thread::sleep(Duration::from_millis(20));
        if answered {
            return process.try_wait().is_ok_and(|ended| ended.is_none());
        }
    }
    false
}

fn free_pair() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

static CHOOSING: Mutex<()> = Mutex::new(());
