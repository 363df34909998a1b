//! Raw limits: the work that no hub can leave out, done alone in this process.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use futures_util::future::join_all;
use ringfort_cose::{Algorithm, AwsLc, Sign, SoftSigner, Verify};
use ringfort_pki::{
    CrlPolicy, Csr, Issuer, Ldevid, Lifetimes, Plan, Role, Server, ServerName, SubjectKey,
};
use ringfort_store::{NewCertificate, NewDevice, Store, StoreConfig, StoreError, Want};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use crate::cpu::{self, Share};
use crate::device::Key;
use crate::table::{Figure, Table, Unit};

/// CPU seconds of each.
pub struct Limits {
    /// One P-256 signature.
    pub sign: f64,
    /// One P-256 verification.
    pub verify: f64,
    /// The server's side of a full TLS 1.3 handshake with both certificates and X25519MLKEM768.
    pub handshake: f64,
    /// One row of a device's contact, written to SQLite in a transaction of [`GROUP`] with its
    /// flush to disk.
    pub write: f64,
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
            write: grouped_write().await?,
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
        table.add(figure("raw: grouped write", self.write).note(format!(
            "one row of 150 bytes among 100,000, {GROUP} to a transaction, SQLite with WAL and \
             synchronous = FULL"
        )));
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let plan = Plan {
        organisation: "Bench".into(),
        name: "bench".into(),
        lifetimes: Lifetimes::all_end_in(2),
    };
    let signer = || -> Result<Arc<dyn Sign>> { Ok(Arc::new(SoftSigner::generate_p256()?)) };
    let root = plan.create_root(&Role::Root, signer()?, now)?;
    let authority = |role| -> Result<Issuer> {
        let signer = signer()?;
        let key = SubjectKey::try_from(&signer.public_key())?;
        Ok(Issuer::new(&plan.issue_authority(&root, &role, &key, now)?.der, signer)?)
    };
    let (device_ca, server_ca) = (authority(Role::Device)?, authority(Role::Server)?);
    let subject =
        |key: &Key| -> Result<SubjectKey> { Ok(Csr::parse(&key.request()?)?.key().clone()) };
    let private = |key: &Key| PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8.clone()));
    let (own, theirs) = (Key::generate()?, Key::generate()?);
    let names = [ServerName::Dns("localhost".into())];
    let profile = Server { names: &names, lifetime_days: 1 };
    let leaf = server_ca.issue_server(&subject(&own)?, &profile, now)?.der;
    let profile = Ldevid { device_id: "a-device", hardware: None, lifetime_days: 1 };
    let ldevid = device_ca.issue_ldevid(&subject(&theirs)?, &profile, now)?.der;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = |issuer: &Issuer| -> Result<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(issuer.certificate_der().to_vec()))?;
        Ok(Arc::new(roots))
    };
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(&device_ca)?, Arc::clone(&provider))
            .build()?;
    let chain = [leaf, server_ca.certificate_der().to_vec()].map(CertificateDer::from).to_vec();
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, private(&own))?;
    server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(&server_ca)?)
        .with_client_auth_cert(vec![CertificateDer::from(ldevid)], private(&theirs))?;
    client.resumption = rustls::client::Resumption::disabled();
    // A key that does not parse is found here, not within the measurement.
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &theirs.pkcs8)?;
    Ok((Arc::new(client), Arc::new(server)))
}

/// What an enrolment asks of the PKI: to read a request, and to make a certificate.
fn certificates() -> Result<(f64, f64)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let plan = Plan {
        organisation: "Bench".into(),
        name: "bench".into(),
        lifetimes: Lifetimes::all_end_in(2),
    };
    let policy = CrlPolicy { base_url: "https://localhost/crl/".into(), shards: 64, first: 0 };
    let signer: Arc<dyn Sign> = Arc::new(SoftSigner::generate_p256()?);
    let authority = plan.create_root(&Role::Root, signer, now)?.with_crl_policy(policy);
    let request = Key::generate()?.request()?;
    let read = cpu::of_one(|| {
        Csr::parse(&request)?;
        Ok(())
    })?;
    let csr = Csr::parse(&request)?;
    let hardware = Some(([1; 16], &[2; 17][..]));
    let device = Ldevid { device_id: "gateway-0000001", hardware, lifetime_days: 1 };
    let issued = cpu::of_one(|| {
        authority.issue_ldevid(csr.key(), &device, now)?;
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

/// The narrow row that every check-in writes, alone in a database of its own.
async fn grouped_write() -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let mut database = SqliteConnectOptions::new()
        .filename(directory.path().join("raw.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await?;
    sqlx::query(
        "CREATE TABLE rows (device TEXT PRIMARY KEY, a BIGINT, b BIGINT, c BLOB, d BLOB, e BLOB) \
         WITHOUT ROWID",
    )
    .execute(&mut database)
    .await?;
    let mut best = f64::INFINITY;
    // The first round fills the table, the others write over rows that are spread over it.
    let mut number = 0_u64;
    for (round, groups) in [ROWS / GROUP, 200, 200, 200].into_iter().enumerate() {
        let before = cpu::of_this_process()?;
        for _ in 0..groups {
            let mut transaction = database.begin().await?;
            for _ in 0..GROUP {
                number += 1;
                let row = (number * 7919) % ROWS;
                sqlx::query(
                    "INSERT INTO rows VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (device) \
                     DO UPDATE SET a = excluded.a, b = excluded.b, c = excluded.c, \
                     d = excluded.d, e = excluded.e",
                )
                .bind(format!("device-{row:08}"))
                .bind(number as i64)
                .bind(round as i64)
                .bind(&[1_u8; 24][..])
                .bind(&[2_u8; 24][..])
                .bind(&[3_u8; 32][..])
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await?;
        }
        let used = cpu::of_this_process()? - before;
        if round > 0 {
            best = best.min(used / (groups * GROUP) as f64);
        }
    }
    database.close().await?;
    Ok(best)
}

const HANDSHAKES: u32 = 200;
/// Rows of one transaction.
pub const GROUP: u64 = 64;
const ROWS: u64 = 100_000;
/// Devices in stock, each enrolled once.
const STOCK: usize = 8_192;
