//! What opens a hub's keys: a file, a credential of the service manager, a TPM; nothing else.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::process::{Command, Stdio};

use common::hub::{Hub, hub_init, local_pki};
use common::{Bench, Ran};

#[test]
fn a_credential_of_the_service_manager_opens_the_keys() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    set_pin(&bench, "credential:hub-pin");
    let credentials = bench.path("credentials");
    fs::DirBuilder::new().mode(0o700).create(&credentials).unwrap();
    fs::rename(bench.path("hub/pin"), credentials.join("hub-pin")).unwrap();
    fs::set_permissions(credentials.join("hub-pin"), fs::Permissions::from_mode(0o400)).unwrap();

    bench.run("hub serve").failed("the credential hub-pin is not there");
    let hub = Hub::start_with(&bench, &[("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())]);
    bench.ok("device list --dir operator");
    assert_eq!(hub.stop(), 0);

    fs::set_permissions(credentials.join("hub-pin"), fs::Permissions::from_mode(0o444)).unwrap();
    serve(&bench, &[("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())])
        .failed("has mode 0444");
}

#[test]
fn neither_an_argument_nor_the_environment_opens_the_keys() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    let pin = fs::read_to_string(bench.path("hub/pin")).unwrap();
    fs::remove_file(bench.path("hub/pin")).unwrap();
    let pin = pin.trim();
    bench.run(&format!("hub serve --pin {pin}")).wrong_usage("--pin");
    for name in ["PIN", "RINGFORT_PIN", "HUB_PIN", "PASSPHRASE"] {
        serve(&bench, &[(name, pin)]).failed("pin");
    }
    set_pin(&bench, pin);
    bench.run("hub serve").failed("says nothing");
    set_pin(&bench, "file:pin");
    bench.private("hub/pin", pin);
    assert_eq!(Hub::start(&bench).stop(), 0);
}

#[cfg(not(feature = "tpm"))]
#[test]
fn without_tpm_keys_a_sealed_pin_is_refused() {
    let bench = local_pki(true);
    bench.ok(&hub_init(&bench));
    bench.run("hub seal-pin").failed("built without TPM keys");
    set_pin(&bench, "tpm:pin.tpm");
    bench.run("hub serve").failed("built without TPM keys");
    set_pin(&bench, "file:pin");
    assert_eq!(Hub::start(&bench).stop(), 0);
}

#[cfg(feature = "tpm")]
mod tpm {
    use std::net::{Ipv4Addr, TcpStream};
    use std::process::Child;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_pin_that_the_tpm_holds_opens_the_keys_until_the_machine_changes() {
        let bench = local_pki(true);
        bench.ok(&hub_init(&bench));
        let (swtpm, other) = (Swtpm::start(1), Swtpm::start(2));
        bench.run(&format!("hub seal-pin --tcti {} --pcr 99", swtpm.tcti())).failed("TPM");
        let sealed = bench.ok(&format!("hub seal-pin --tcti {} --pcr 16", swtpm.tcti()));
        assert!(sealed.out.contains("off this machine"), "{sealed:?}");
        let blob = fs::read(bench.path("hub/pin.tpm")).unwrap();
        let pin = fs::read(bench.path("hub/pin")).unwrap();
        assert!(!blob.windows(32).any(|window| window == &pin[..32]));
        fs::rename(bench.path("hub/pin"), bench.path("kept-elsewhere")).unwrap();

        let hub = Hub::start(&bench);
        bench.ok("device list --dir operator");
        assert_eq!(hub.stop(), 0);

        // Another machine's TPM does not open it.
        let settings = fs::read_to_string(bench.path("hub/hub.toml")).unwrap();
        let moved = settings.replace(&swtpm.tcti(), &other.tcti());
        fs::write(bench.path("hub/hub.toml"), moved).unwrap();
        bench.run("hub serve").failed("the TPM does not give out the PIN");
        fs::write(bench.path("hub/hub.toml"), &settings).unwrap();

        // Nor the same one once the machine has started something else.
        let digest = "sha256=".to_owned() + &"5a".repeat(32);
        let extended = Command::new("tpm2_pcrextend")
            .args(["-T", &swtpm.tcti(), &format!("16:{digest}")])
            .output()
            .expect("tpm2-tools are installed; Debian package tpm2-tools");
        assert!(extended.status.success(), "{extended:?}");
        bench.run("hub serve").failed("the TPM does not give out the PIN");

        // The way back is the PIN that people kept.
        set_pin(&bench, "file:pin");
        fs::rename(bench.path("kept-elsewhere"), bench.path("hub/pin")).unwrap();
        assert_eq!(Hub::start(&bench).stop(), 0);
    }

    /// A software TPM on a loopback address of its own.
    struct Swtpm {
        process: Child,
        host: Ipv4Addr,
        _state: tempfile::TempDir,
    }

    impl Swtpm {
        fn start(number: u8) -> Swtpm {
            let state = tempfile::tempdir().unwrap();
            let [.., high, low] = std::process::id().to_be_bytes();
            let host = Ipv4Addr::new(127, 220 + number, high, low);
            let port = |port: u16| format!("type=tcp,port={port},bindaddr={host}");
            let mut process = Command::new("swtpm")
                .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
                .args(["--tpmstate", &format!("dir={}", state.path().display())])
                .args(["--server", &port(2321), "--ctrl", &port(2322)])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("swtpm runs; Debian package swtpm");
            // The command port serves one connection only; the control port can be asked.
            let begun = Instant::now();
            while TcpStream::connect((host, 2322)).is_err() {
                assert!(process.try_wait().unwrap().is_none(), "swtpm ended");
                assert!(begun.elapsed() < PATIENCE, "swtpm never listens");
                std::thread::sleep(Duration::from_millis(20));
            }
            Swtpm { process, host, _state: state }
        }

        fn tcti(&self) -> String {
            format!("swtpm:host={},port=2321", self.host)
        }
    }

    impl Drop for Swtpm {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    const PATIENCE: Duration = Duration::from_secs(120);
}

fn set_pin(bench: &Bench, pin: &str) {
    let path = bench.path("hub/hub.toml");
    let settings = fs::read_to_string(&path).unwrap();
    let settings: Vec<String> = settings
        .lines()
        .map(|line| match line.starts_with("pin = ") {
            true => format!("pin = \"{pin}\""),
            false => line.to_owned(),
        })
        .collect();
    fs::write(path, settings.join("\n") + "\n").unwrap();
}

fn serve(bench: &Bench, environment: &[(&str, &str)]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_ringfort"))
        .args(["hub", "serve"])
        .current_dir(bench.path(""))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran::from(output)
}
