//! Drives the real executable: arguments in; exit code, standard output and error out.
#![allow(dead_code, clippy::unwrap_used)]

pub mod hub;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ringfort_messages::{IdentityRequest, Protection, StoreKind, Text, Ueid};
use serde_json::Value;

/// Makes a PKI; sites and other options can follow.
pub const PKI_INIT: &str = "pki init --name acme --root root --backup-root backup \
    --hub-address hub.acme.example --anchor-key a1.pub a2.pub a3.pub \
    --product acme.example/gateway --release-key r1.pub r2.pub r3.pub --command-key c1.pub \
    --root-pin-file pin --backup-root-pin-file other-pin";

/// A directory of its own for one test, with a PIN file and an agent's name for the executable.
pub struct Bench {
    dir: tempfile::TempDir,
}

/// What a run of the executable left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Bench {
    pub fn new() -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap() };
        bench.private("pin", "a passphrase of its own\n");
        bench.private("other-pin", "another passphrase\n");
        symlink(env!("CARGO_BIN_EXE_ringfort"), bench.path("ringfort-agent")).unwrap();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file for its owner alone.
    pub fn private(&self, name: &str, text: &str) -> PathBuf {
        self.with_mode(name, text, 0o600)
    }

    pub fn with_mode(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        use std::io::Write;
        let path = self.path(name);
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    /// Runs `ringfort` in the test's directory. The arguments are split at blanks.
    pub fn run(&self, arguments: &str) -> Ran {
        self.run_as(env!("CARGO_BIN_EXE_ringfort"), arguments)
    }

    /// Runs the executable by its other name.
    pub fn agent(&self, arguments: &str) -> Ran {
        self.run_as(self.path("ringfort-agent"), arguments)
    }

    fn run_as(&self, program: impl AsRef<OsStr>, arguments: &str) -> Ran {
        let output = Command::new(program)
            .args(arguments.split_whitespace())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran::from(output)
    }

    /// Runs a command that has to succeed.
    pub fn ok(&self, arguments: &str) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "ringfort {arguments}\n{}{}", ran.out, ran.err);
        ran
    }

    pub fn agent_ok(&self, arguments: &str) -> Ran {
        let ran = self.agent(arguments);
        assert_eq!(ran.code, 0, "ringfort-agent {arguments}\n{}{}", ran.out, ran.err);
        ran
    }

    /// A PKI with two anchor keys of three, two release keys of three and one site, its anchors
    /// signed and its station ready.
    pub fn pki() -> Bench {
        let bench = Bench::unsigned_pki();
        bench.ok("pki anchors sign hub/anchors/1.cbor --key a1.sealed --pin-file pin");
        bench.ok("pki anchors sign hub/anchors/1.cbor --key a2.sealed --pin-file pin");
        bench.ok("factory accept --answer hub/sites/plant.answer --anchors hub/anchors");
        bench
    }

    /// The same before anybody signed.
    pub fn unsigned_pki() -> Bench {
        let bench = Bench::new();
        bench.keys(&["a1", "a2", "a3", "r1", "r2", "r3", "c1"]);
        bench.ok("factory init --site plant --pin-file pin");
        bench.ok(&format!("{PKI_INIT} --site station/plant.request"));
        bench
    }

    /// Writes the request that a device with new keys would make, and returns its file's name.
    pub fn device_request(&self, name: &str) -> String {
        let csr = || {
            let pair = rcgen::KeyPair::generate().unwrap();
            let parameters = rcgen::CertificateParams::default();
            parameters.serialize_request(&pair).unwrap().der().to_vec()
        };
        self.device_request_of(name, &csr(), &csr())
    }

    pub fn device_request_of(&self, name: &str, idevid: &[u8], attestation: &[u8]) -> String {
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        let request = IdentityRequest {
            ueid: Ueid::from_random(random),
            protection: Protection {
                store: StoreKind::SealedFile,
                hardware_keys: false,
                hardware_counter: false,
            },
            idevid_csr: idevid,
            attestation_csr: attestation,
            agent: Text::new("a device of the tests").unwrap(),
        };
        let file = format!("{name}.request");
        fs::write(self.path(&file), request.encode().unwrap()).unwrap();
        file
    }

    /// Makes keys with the usual PIN.
    pub fn keys(&self, names: &[&str]) {
        for name in names {
            self.ok(&format!("release keygen {name} --pin-file pin"));
        }
    }
}

impl Ran {
    /// The JSON value on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }

    /// Asserts a refusal: exit code 1, the reason code, and what, why and next on standard error.
    pub fn refused(&self, reason: &str) -> &Ran {
        assert_eq!(self.code, 1, "{self:?}");
        assert!(self.err.contains(&format!("[{reason}]")), "{self:?}");
        self.explained()
    }

    /// Asserts a failure without a reason code: exit code 1, and it is explained.
    pub fn failed(&self, text: &str) -> &Ran {
        assert_eq!(self.code, 1, "{self:?}");
        assert!(self.err.contains(text), "{self:?}");
        self.explained()
    }

    /// Asserts wrong usage: exit code 2.
    pub fn wrong_usage(&self, text: &str) -> &Ran {
        assert_eq!(self.code, 2, "{self:?}");
        assert!(self.err.contains(text), "{self:?}");
        self
    }

    fn explained(&self) -> &Ran {
        for part in ["error: ", "  why:  ", "  next: "] {
            assert!(self.err.contains(part), "no {part:?} in {self:?}");
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Flips one bit of a file.
pub fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}
