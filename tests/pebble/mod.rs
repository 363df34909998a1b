//! Pebble, the test server of Let's Encrypt: a real ACME authority on loopback, with a name server
//! that leads every name to this machine. Nothing of it leaves loopback.
#![allow(dead_code)]

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[allow(clippy::duplicate_mod, reason = "a test of the executable has it from elsewhere too")]
#[path = "../ports/mod.rs"]
pub mod ports;
use ports::free_ports;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority that runs until it is dropped.
pub struct Pebble {
    process: Option<Child>,
    folder: PathBuf,
    names: Names,
    /// Where its directory is.
    pub directory: String,
    management: u16,
}

/// What the authority does otherwise than usual.
pub struct Habits {
    /// The port of a hub that it looks at instead of 443.
    pub tls_port: u16,
    /// How long its certificates are valid.
    pub lifetime_s: u32,
    /// Names that it issues nothing for.
    pub blocked: &'static [&'static str],
}

impl Pebble {
    /// Starts it in a folder of its own.
    pub fn start(folder: &Path, habits: &Habits) -> Pebble {
        fs::create_dir_all(folder).unwrap();
        own_certificate(folder);
        // A port that was free may be taken before Pebble comes to it.
        let begun = (0..5).find_map(|_| Pebble::at(folder, habits, free_ports()));
        begun.unwrap_or_else(|| {
            panic!("{}", fs::read_to_string(folder.join("log")).unwrap_or_default())
        })
    }

    /// Starts it at two ports; none where one of them is taken.
    fn at(folder: &Path, habits: &Habits, [port, management]: [u16; 2]) -> Option<Pebble> {
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.join("own.pem"),
            "privateKey": folder.join("own.key"),
            "httpPort": 1,
            "tlsPort": habits.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "domainBlocklist": habits.blocked,
            "certificateValidityPeriod": habits.lifetime_s,
        }});
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let mut pebble = Pebble {
            process: None,
            folder: folder.to_owned(),
            names: Names::serve(),
            directory: format!("https://127.0.0.1:{port}/dir"),
            management,
        };
        pebble.spawn();
        pebble.answers().then_some(pebble)
    }

    /// Starts the process. It forgets everything when it ends, its root too.
    pub fn begin(&mut self) {
        self.spawn();
        assert!(self.answers(), "its port was taken meanwhile\n{}", self.said());
    }

    fn spawn(&mut self) {
        assert!(self.process.is_none());
        let log =
            fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let child = Command::new("pebble")
            .arg("-config")
            .arg(self.folder.join("config.json"))
            .args(["-strict", "-dnsserver", &self.names.address])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("pebble (the package of that name): {error}"));
        self.process = Some(child);
    }

    /// Waits until it gives its directory; false where it ended, as it does where a port is taken.
    fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while self.curl(&self.directory).is_none() {
            let process = self.process.as_mut();
            if process.is_some_and(|process| process.try_wait().is_ok_and(|end| end.is_some())) {
                self.end();
                return false;
            }
            assert!(begun.elapsed() < PATIENCE, "no directory\n{}", self.said());
            std::thread::sleep(A_MOMENT);
        }
        true
    }

    /// Ends the process: from now on nobody answers.
    pub fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// What its own address is certified by, a file with PEM.
    pub fn trust(&self) -> PathBuf {
        self.folder.join("own-ca.pem")
    }

    /// The root of what it issues, PEM.
    pub fn root(&self) -> String {
        self.curl(&format!("https://127.0.0.1:{}/roots/0", self.management)).unwrap()
    }

    /// The terms that its directory names.
    pub fn terms(&self) -> String {
        let directory = self.curl(&self.directory).unwrap();
        let directory: serde_json::Value = serde_json::from_str(&directory).unwrap();
        directory["meta"]["termsOfService"].as_str().unwrap().to_owned()
    }

    /// Names lead to this machine, or to nowhere.
    pub fn names_lead_here(&self, here: bool) {
        self.names.lead_here.store(here, Ordering::SeqCst);
    }

    /// Everything that it said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn curl(&self, url: &str) -> Option<String> {
        let output = Command::new("curl")
            .args(["-sS", "--fail", "--max-time", "60", "--noproxy", "*", "--cacert"])
            .arg(self.trust())
            .arg(url)
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
    }
}

/// A name server that answers every question for an IPv4 address with this machine.
struct Names {
    address: String,
    lead_here: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Names {
    fn serve() -> Names {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(A_MOMENT)).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let (lead_here, over) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (here, ended) = (lead_here.clone(), over.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while !ended.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if let Some(answer) = answer(&buffer[..length], here.load(Ordering::SeqCst)) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Names { address, lead_here, over }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// An answer to a question with one name (RFC 1035, section 4).
fn answer(question: &[u8], here: bool) -> Option<Vec<u8>> {
    let mut end = 12;
    while *question.get(end)? != 0 {
        end += usize::from(question[end]) + 1;
    }
    let kind = question.get(end + 1..end + 3)?;
    let asked = question.get(12..end + 5)?;
    let is_address = here && kind == [0, 1];
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend(asked);
    if is_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

/// What its own address shows, and the authority for that.
fn own_certificate(folder: &Path) {
    let mut parameters = CertificateParams::default();
    // By default both would have one name, and the one below would seem to sign itself.
    parameters.distinguished_name.push(DnType::CommonName, "the authority's own authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = parameters.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(parameters, ca_key);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("own-ca.pem"), ca.pem()).unwrap();
    fs::write(folder.join("own.pem"), own.pem()).unwrap();
    fs::write(folder.join("own.key"), key.serialize_pem()).unwrap();
}

const PATIENCE: Duration = Duration::from_secs(240);
const A_MOMENT: Duration = Duration::from_millis(100);
