//! A real swtpm process, one for each value of [`Swtpm`], on loopback.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ringfort_keystore::TpmSettings;

/// A running software TPM with a state of its own.
pub struct Swtpm {
    process: Child,
    host: Ipv4Addr,
    dir: tempfile::TempDir,
}

/// Starts some for one test, which has them to itself until it lets go of the guard.
///
/// One test at a time: the TPM software stack opens its sockets without close-on-exec, so that a
/// swtpm started meanwhile would keep a connection open that its owner has closed, and a TPM
/// serves one connection only.
pub fn swtpms<const N: usize>() -> (MutexGuard<'static, ()>, [Swtpm; N]) {
    static ONE_TEST: Mutex<()> = Mutex::new(());
    let guard = ONE_TEST.lock().unwrap_or_else(PoisonError::into_inner);
    (guard, std::array::from_fn(|_| Swtpm::start()))
}

impl Swtpm {
    fn start() -> Swtpm {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        let host = own_address();
        let port = |kind: &str, port: u16| format!("{kind},port={port},bindaddr={host}");
        let mut process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", dir.path().join("state").display()))
            .args(["--server", &port("type=tcp", PORT)])
            // Its client expects the control port right above the command port.
            .args(["--ctrl", &port("type=tcp", PORT + 1)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm runs; Debian package swtpm");
        wait_for(&mut process, host);
        Swtpm { process, host, dir }
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
        format!("swtpm:host={},port={PORT}", self.host)
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
fn wait_for(process: &mut Child, host: Ipv4Addr) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while TcpStream::connect((host, PORT + 1)).is_err() {
        assert!(process.try_wait().is_ok_and(|ended| ended.is_none()), "swtpm ended");
        assert!(Instant::now() < deadline, "swtpm did not answer within 120 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A loopback address that nobody else uses: ports on 127.0.0.1 may be taken by another program
/// between choosing and binding.
fn own_address() -> Ipv4Addr {
    static STARTED: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 100 + STARTED.fetch_add(1, Ordering::Relaxed) % 100, high, low)
}

const PORT: u16 = 2321;
