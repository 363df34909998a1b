//! Raw limits: the work that no hub can leave out, done alone in this process.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_lc_rs::digest;
use futures_util::future::join_all;
use ringfort_cose::{Algorithm, AwsLc, Sign, SoftSigner, Verify};
use ringfort_messages::DeviceId;
use ringfort_pki::{CrlPolicy, Csr, Ldevid, Role};
use ringfort_store::{NewCertificate, NewDevice, Store, StoreConfig, StoreError, Want};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use crate::cpu::{self, Share};
use crate::database::{FEW, GROUP, Writes};
use crate::device::{Device, Key};
use crate::table::{Figure, Table, Unit};
use crate::tls::{self, Identity};

/// CPU seconds of each.
pub struct Limits {
    /// One P-256 signature.
    pub sign: f64,
    /// One P-256 verification.
    pub verify: f64,
    /// The server's side of a full TLS 1.3 handshake with both certificates and X25519MLKEM768.
    pub handshake: f64,
    /// One row of a device's contact, written to SQLite and flushed to disk.
    pub write: Writes,
    /// A PKCS#10 request read, its proof of possession verified.
    request: f64,
    /// A certificate made and signed for it.
    issue: f64,
    /// What an enrolment is judged by read, its key, certificate, state and two audit entries
    /// written: by the store alone, in transactions of [`GROUP`].
    rows: f64,
}

impl Limits {
    /// Measures them.
    pub async fn measure() -> Result<Limits> {
        eprintln!("raw limits");
        let signer = SoftSigner::generate_p256()?;
        let message = [0x5a; 300];
        let sign = cpu::of_one(|| {
            signer.sign(&[&message])?;
            Ok(())
        })?;
        let (key, signature) = (signer.public_key(), signer.sign(&[&message])?);
        let verify = cpu::of_one(|| {
            let verified = AwsLc.verify(Algorithm::Esp256, &key, &[&message], &signature);
            verified.ok().context("an own signature")
        })?;
        let (request, issue) = certificates()?;
        Ok(Limits {
            sign,
            verify,
            handshake: handshake()?,
            write: Writes::measure().await?,
            request,
            issue,
            rows: enrolment_rows().await?,
        })
    }

    /// Shows them.
    pub fn show(&self, table: &mut Table) {
        let figure = |what, value| Figure::new(what, value, Unit::Cpu);
        table.add(figure("raw: P-256 signature", self.sign));
        table.add(figure("raw: P-256 verification", self.verify));
        table.add(figure("raw: TLS 1.3 handshake, server's side", self.handshake).note(
            "rustls in memory, X25519MLKEM768, P-256 certificates on both sides, without resumption",
        ));
        table.add(figure("raw: grouped write", self.write.grouped).note(format!(
            "one row of 150 bytes among 100,000, {GROUP} to a transaction, SQLite with WAL and \
             synchronous = FULL"
        )));
        table.add(figure("raw: the same row alone", self.write.alone).note("one to a transaction"));
        let clock = |what, value| Figure::new(what, value, Unit::Seconds);
        table.add(clock("raw: commit of one row, p99", self.write.alone_p99));
        table.add(
            clock("raw: commit of a few rows, p99", self.write.few_p99)
                .note(format!("{FEW} rows, what a thousand check-ins a second come to in 8 ms")),
        );
        table.add(figure("of an enrolment: its request read and verified", self.request));
        table.add(figure("of an enrolment: its certificate made and signed", self.issue));
        table.add(figure("of an enrolment: its rows judged and stored", self.rows).note(format!(
            "the hub's own store and schema with {STOCK} devices, in this process, {GROUP} at once"
        )));
    }
}

/// Both ends in this thread; what the server's end takes is counted.
fn handshake() -> Result<f64> {
    let (client, server) = tls()?;
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let cpu = Share::of(|share| {
            for _ in 0..HANDSHAKES {
                shake_hands(&client, &server, share)?;
            }
            Ok(())
        })?;
        best = best.min(cpu / f64::from(HANDSHAKES));
    }
    Ok(best)
}

fn shake_hands(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    share: &mut Share,
) -> Result<()> {
    let mut client = ClientConnection::new(Arc::clone(client), "localhost".try_into()?)?;
    let mut server = share.count(|| ServerConnection::new(Arc::clone(server)))?;
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    while client.is_handshaking() || server.is_handshaking() {
        while client.wants_write() {
            client.write_tls(&mut to_server)?;
        }
        share.count(|| -> Result<()> {
            let mut read = &to_server[..];
            while !read.is_empty() {
                server.read_tls(&mut read)?;
                server.process_new_packets()?;
            }
            while server.wants_write() {
                server.write_tls(&mut to_client)?;
            }
            Ok(())
        })?;
        let mut read = &to_client[..];
        while !read.is_empty() {
            client.read_tls(&mut read)?;
            client.process_new_packets()?;
        }
        to_server.clear();
        to_client.clear();
    }
    Ok(())
}

fn tls() -> Result<(Arc<ClientConfig>, Arc<ServerConfig>)> {
    let (devices, server) = (tls::authority(&Role::Device)?, Identity::new()?);
    let key = Key::generate()?;
    let profile = Ldevid { device_id: "a-device", hardware: None, lifetime_days: 1 };
    let certificate = devices.issue_ldevid(&tls::subject(&key)?, &profile, tls::now())?.der;
    let id = DeviceId::new("a-device").map_err(|reason| anyhow::anyhow!("{reason:?}"))?;
    let device = Device { id, certificate, key, link: None };
    Ok((device.tls(&server.roots()?)?, server.config(devices.certificate_der())?))
}

/// What an enrolment asks of the PKI: to read a request, and to make a certificate.
fn certificates() -> Result<(f64, f64)> {
    let policy = CrlPolicy { base_url: "https://localhost/crl/".into(), shards: 64, first: 0 };
    let authority = tls::authority(&Role::Device)?.with_crl_policy(policy);
    let request = Key::generate()?.request()?;
    let read = cpu::of_one(|| {
        Csr::parse(&request)?;
        Ok(())
    })?;
    let csr = Csr::parse(&request)?;
    let hardware = Some(([1; 16], &[2; 17][..]));
    let device = Ldevid { device_id: "gateway-0000001", hardware, lifetime_days: 1 };
    let issued = cpu::of_one(|| {
        authority.issue_ldevid(csr.key(), &device, tls::now())?;
        Ok(())
    })?;
    Ok((read, issued))
}

/// The rows of first enrolments, in a database of their own.
async fn enrolment_rows() -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let store = Store::open(StoreConfig::in_directory(directory.path())).await?;
    let names: Vec<String> = (0..STOCK).map(|number| format!("device-{number:08}")).collect();
    for some in names.chunks(STOCK / 8) {
        let stocked = some.iter().map(|name| {
            let device = name.clone();
            store.write::<_, StoreError, _>(move |w| {
                Box::pin(async move { w.insert_device(&in_stock(device)).await })
            })
        });
        for told in join_all(stocked).await {
            told?;
        }
    }
    let before = cpu::of_this_process()?;
    for some in names.chunks(GROUP as usize) {
        for told in join_all(some.iter().map(|name| enrol(&store, name.clone()))).await {
            told?;
        }
    }
    let used = cpu::of_this_process()? - before;
    store.close().await;
    Ok(used / STOCK as f64)
}

fn in_stock(device: String) -> NewDevice {
    NewDevice {
        ueid: digest::digest(&digest::SHA256, device.as_bytes()).as_ref()[..17].to_vec(),
        device,
        site: "plant".into(),
        batch_number: 1,
        vendor: [1; 16],
        class: [2; 16],
        protection: "sealed-file".into(),
        state: "provisioned",
        added_ms: 1,
    }
}

async fn enrol(store: &Store, device: String) -> Result<(), StoreError> {
    let mut key_digest = [0; 32];
    key_digest.copy_from_slice(digest::digest(&digest::SHA256, device.as_bytes()).as_ref());
    let want = Want::Enrolment { device: device.clone(), kind: "ldevid", key_digest };
    store
        .write_wanting(want, move |w| {
            Box::pin(async move {
                w.enrolment(&device, "ldevid", &key_digest).await?;
                w.insert_known_key(&key_digest, Some(&device), "ldevid", 2);
                w.insert_certificate(NewCertificate {
                    fingerprint: key_digest,
                    device: device.clone(),
                    kind: "ldevid",
                    serial: key_digest[..18].to_vec(),
                    key_digest,
                    not_before_ms: 1,
                    not_after_ms: 3,
                    der: vec![5; 700],
                    issued_ms: 2,
                });
                w.audit(2, &device, &[6; 250]).await?;
                w.set_device_state(&device, "deployed", None, None, 2);
                w.audit(2, &device, &[7; 200]).await?;
                Ok(())
            })
        })
        .await
}

const HANDSHAKES: u32 = 200;
/// Devices in stock, each enrolled once.
const STOCK: usize = 8_192;
