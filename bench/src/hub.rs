//! The hub's process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use ringfort_api::client::{Client, ClientOptions};
use ringfort_keystore::{Passphrase, SealedKey};
use ringfort_pki::{CERTIFICATE, from_pem};
use rustix::process::{Pid, Signal, kill_process};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::cpu;
use crate::load::Target;

/// A hub that runs until this value goes.
pub struct Hub {
    process: Child,
    directory: PathBuf,
    /// Where devices connect.
    pub target: Target,
}

impl Hub {
    /// Starts it, and returns when it serves.
    pub fn start(ringfort: &Path, directory: &Path) -> Result<Hub> {
        let log = File::create(directory.join("hub.log"))?;
        let mut process = Command::new(ringfort)
            .args(["hub", "serve", "--json", "--dir", "hub"])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", ringfort.display()))?;
        let mut line = String::new();
        let output = process.stdout.take().context("no standard output")?;
        BufReader::new(output).read_line(&mut line)?;
        if !line.starts_with('{') {
            let log = fs::read_to_string(directory.join("hub.log")).unwrap_or_default();
            let _ = process.wait();
            anyhow::bail!("the hub does not serve: {log}");
        }
        let [port, _] = ports(directory)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate(&directory.join("operator/server-ca.pem"))?))?;
        let target = Target { port, roots: Arc::new(roots) };
        Ok(Hub { process, directory: directory.to_owned(), target })
    }

    /// CPU seconds that it used so far.
    pub fn cpu(&self) -> Result<f64> {
        cpu::of_process(self.process.id())
    }

    /// The part of them that the kernel worked for it.
    pub fn kernel_cpu(&self) -> Result<f64> {
        cpu::of_kernel(self.process.id())
    }

    /// Its resident memory, in bytes.
    pub fn resident(&self) -> Result<f64> {
        cpu::resident(self.process.id())
    }

    /// The first administrator's connection.
    pub fn operator(&self) -> Result<Client> {
        let folder = self.directory.join("operator");
        let passphrase = Passphrase::from_file(&folder.join("pin"))?;
        let key = SealedKey::read(&folder.join("operator.sealed"))?.open(&passphrase)?;
        let [_, port] = ports(&self.directory)?;
        Ok(Client::new(ClientOptions {
            address: format!("localhost:{port}"),
            server_cas: vec![certificate(&folder.join("server-ca.pem"))?],
            certificate: certificate(&folder.join("operator.pem"))?,
            key: Arc::new(key),
        })?)
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the hub ended with {status}");
        Ok(())
    }

    /// Ends it as a cut of power would (SIGKILL), and waits until it is gone.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A certificate in a PEM file, DER.
pub fn certificate(path: &Path) -> Result<Vec<u8>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(from_pem(CERTIFICATE, &text)?)
}

fn ports(directory: &Path) -> Result<[u16; 2]> {
    let text = fs::read_to_string(directory.join("ports"))?;
    let (devices, operators) = text.split_once(' ').context("ports")?;
    Ok([devices.parse()?, operators.parse()?])
}
