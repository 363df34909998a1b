//! A real SoftHSM2 token in a directory of its own.
//!
//! SoftHSM reads its configuration from the environment when it is loaded, once in a process. So
//! a test that needs a token runs itself again as a child process with that environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use ringfort_keystore::{Passphrase, Pkcs11Settings};

/// Runs the body in a child process that has fresh tokens. `name` is the test's own name.
pub fn with_tokens(name: &str, body: impl FnOnce(&Tokens)) {
    if let Some(dir) = std::env::var_os(CHILD) {
        return body(&Tokens { dir: dir.into() });
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tokens")).unwrap();
    let config = dir.path().join("softhsm2.conf");
    let tokens = dir.path().join("tokens");
    std::fs::write(&config, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, dir.path())
        .env("SOFTHSM2_CONF", &config)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "the child ran no test named {name}: {text}");
}

/// The tokens of one test.
pub struct Tokens {
    dir: PathBuf,
}

impl Tokens {
    /// A directory for other files of the test.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a token.
    pub fn create(&self, label: &str) -> Pkcs11Settings {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "5678"])
            .output()
            .expect("softhsm2-util runs; Debian package softhsm2");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        self.settings(label)
    }

    /// The settings that open a token.
    pub fn settings(&self, label: &str) -> Pkcs11Settings {
        Pkcs11Settings {
            module: module(),
            token: label.to_owned(),
            serial: None,
            pin: Passphrase::new(PIN.to_owned()).unwrap(),
        }
    }

    /// Runs OpenSC's pkcs11-tool on a token.
    pub fn pkcs11_tool(&self, token: &str, arguments: &[&str]) -> String {
        let output = Command::new("pkcs11-tool")
            .arg("--module")
            .arg(module())
            .args(["--token-label", token, "--login", "--pin", PIN])
            .args(arguments)
            .output()
            .expect("pkcs11-tool runs; Debian package opensc");
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        text
    }
}

/// The SoftHSM2 module of this machine.
pub fn module() -> PathBuf {
    [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
        "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    ]
    .iter()
    .map(PathBuf::from)
    .find(|path| path.exists())
    .expect("the SoftHSM2 module is installed; Debian package softhsm2")
}

/// The user PIN of every token here.
pub const PIN: &str = "1234";

const CHILD: &str = "RINGFORT_TEST_TOKENS";
