//! Raw limits: the work that no hub can leave out, done alone in this process.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use ringfort_cose::{Algorithm, AwsLc, Sign, SoftSigner, Verify};
use ringfort_pki::{Issuer, Ldevid, Lifetimes, Plan, Role, Server, ServerName, SubjectKey};
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
        Ok(Limits { sign, verify, handshake: handshake()?, write: grouped_write().await? })
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
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
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
    let subject = |key: &Key| -> Result<SubjectKey> {
        Ok(ringfort_pki::Csr::parse(&key.request()?)?.key().clone())
    };
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
