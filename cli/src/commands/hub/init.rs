//! `ringfort hub init`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use ringfort_cose::Algorithm;
use ringfort_fleet::{NewOperator, Operator as Person, Role};
use ringfort_pki::{Operator, SubjectKey};
use serde::Serialize;

use super::config::{self, HubConfig, Listener};
use super::open::{HOST, Hub, fleet_failure};
use crate::address::Address;
use crate::anchors::Chain;
use crate::commands::pki::authorities::{pki_failure, write_certificate};
use crate::commands::pki::record::Record;
use crate::failure::{Failure, Outcome};
use crate::operator::{EVIDENCE_KEY, Settings};
use crate::{clock, files, keys, passphrase, runtime};

/// How the hub is to be set up.
#[derive(Args)]
pub struct Options {
    /// The hub's directory, made by `ringfort pki init`, its anchors signed
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,

    /// What the hub listens on for devices [default: every address, the port in the anchors]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,

    /// Address under which operators reach the hub [default: the devices' host, port 8444]
    #[arg(long, value_name = "ADDRESS")]
    pub operator_address: Option<String>,

    /// What the hub listens on for operators [default: every address, that port]
    #[arg(long, value_name = "IP:PORT")]
    pub operator_listen: Option<SocketAddr>,

    /// Name of the first administrator
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub admin: String,

    /// The administrator's directory, to be made: key, certificate, the hub's address
    #[arg(long, value_name = "DIR", default_value = "operator")]
    pub operator: PathBuf,

    /// Seal the administrator's key under the passphrase in this file (mode 0600) [default: a new
    /// one, kept beside the key in a file of mode 0600]
    #[arg(long, value_name = "FILE")]
    pub operator_pin_file: Option<PathBuf>,

    /// How many people have to agree to what cannot be undone
    #[arg(long, value_name = "1|2", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub approvals: u8,

    /// Seconds between two check-ins of a device
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub poll_seconds: u32,

    /// What opens the hub's keys: file:NAME in its directory, or credential:NAME of systemd
    #[arg(long, value_name = "WHERE", default_value = "file:pin")]
    pub pin: String,
}

/// The hub that was set up.
#[derive(Serialize)]
pub struct Report {
    name: String,
    fleet: String,
    directory: PathBuf,
    devices: String,
    operators: String,
    admin: String,
    operator: PathBuf,
    admin_certificate_until: String,
    loopback_only: bool,
}

/// Sets the hub up.
pub fn run(options: &Options) -> Outcome<Report> {
    let record = Record::read(&options.dir)?;
    files::must_be_absent(&config::path(&options.dir))?;
    files::must_be_absent(&options.dir.join(DATABASE))?;
    files::must_be_absent_or_empty(&options.operator)?;
    let config = configuration(options, &record)?;
    let made = runtime::new()?.block_on(set_up(options, config));
    if made.is_err() {
        // What was begun is taken back, so that the same command can be run again.
        for name in [DATABASE, "hub.db-wal", "hub.db-shm"] {
            let _ = std::fs::remove_file(options.dir.join(name));
        }
    }
    made
}

fn configuration(options: &Options, record: &Record) -> Outcome<HubConfig> {
    let quickstart = record.is_quickstart();
    let chain = Chain::read(&options.dir.join("anchors"))?;
    let devices = Address::parse(chain.newest()?.hub())?;
    devices.check_for(quickstart)?;
    let operators = match &options.operator_address {
        Some(address) => Address::parse(address)?,
        None => Address { host: devices.host.clone(), port: OPERATOR_PORT },
    };
    operators.check_for(quickstart)?;
    let everywhere = if quickstart { [127, 0, 0, 1] } else { [0, 0, 0, 0] };
    let listen = options.listen.unwrap_or((everywhere, devices.port).into());
    let operator_listen = options.operator_listen.unwrap_or((everywhere, operators.port).into());
    if listen == operator_listen {
        return Err(Failure::usage(
            "devices and operators cannot share a port",
            format!("Both would connect to {listen}."),
            "Choose another port with --operator-address or --operator-listen.",
        ));
    }
    for address in [listen, operator_listen] {
        if quickstart && !address.ip().is_loopback() {
            return Err(Failure::usage(
                format!("a quickstart cannot listen on {address}"),
                "A PKI named \"quickstart\" is for this machine only.",
                "Listen on 127.0.0.1, or make a PKI with another name.",
            ));
        }
    }
    Ok(HubConfig {
        approvals: options.approvals,
        poll_seconds: options.poll_seconds,
        loopback_only: quickstart,
        pin: options.pin.clone(),
        crl_shards: CRL_SHARDS,
        devices: Listener { address: devices.url(), listen },
        operators: Listener { address: operators.url(), listen: operator_listen },
    })
}

async fn set_up(options: &Options, config: HubConfig) -> Outcome<Report> {
    let operators = config.operators.address()?;
    let hub = Hub::open(&options.dir, config).await?;
    let certificate = admin(&hub, &options.operator, options, &operators).await?;
    hub.config.write(&options.dir)?;
    Ok(Report {
        name: hub.record.name.clone(),
        fleet: hub.record.fleet.clone(),
        directory: options.dir.clone(),
        devices: hub.config.devices.address.clone(),
        operators: operators.url(),
        admin: options.admin.clone(),
        operator: options.operator.clone(),
        admin_certificate_until: clock::text(certificate.not_after),
        loopback_only: hub.config.loopback_only,
    })
}

/// Makes the first administrator: the key here, the certificate by the Operator CA.
async fn admin(
    hub: &Hub,
    directory: &Path,
    options: &Options,
    operators: &Address,
) -> Outcome<ringfort_pki::Issued> {
    files::new_directory(directory)?;
    let (passphrase, pin_file) = match &options.operator_pin_file {
        Some(path) => (passphrase::new(Some(path), "the administrator's key")?, None),
        None => (passphrase::new_pin_file(&directory.join(PIN))?, Some(PIN.into())),
    };
    let signer = keys::make(&directory.join("operator"), Algorithm::Esp256, &passphrase)?.key;
    let key = SubjectKey::try_from(&signer.public_key()).map_err(pki_failure)?;
    let operator =
        Operator { name: &options.admin, lifetime_days: hub.record.plan().lifetimes.operator_days };
    let issued =
        hub.operator_ca.issue_operator(&key, &operator, clock::now()).map_err(pki_failure)?;
    let new = NewOperator {
        name: options.admin.clone(),
        role: Role::Admin,
        certificate: issued.der.clone(),
    };
    hub.fleet.add_operator(&Person::at_the_host(HOST), &new).await.map_err(fleet_failure)?;
    let settings = Settings {
        hub: operators.authority(),
        server_ca: "server-ca.pem".into(),
        certificate: "operator.pem".into(),
        key: "operator.sealed".to_owned(),
        pin_file,
    };
    let evidence = files::read_text(&options.dir.join("keys/evidence.pub"), 4096)?;
    files::write_new(&directory.join(EVIDENCE_KEY), evidence.as_bytes(), files::PUBLIC)?;
    write_certificate(&directory.join(&settings.server_ca), hub.server_ca.certificate_der())?;
    write_certificate(&directory.join(&settings.certificate), &issued.der)?;
    settings.write(directory)?;
    Ok(issued)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (directory, operator) = (self.directory.display(), self.operator.display());
        writeln!(f, "The hub {} is set up in {directory}", self.name)?;
        writeln!(f, "  devices    {}", self.devices)?;
        writeln!(f, "  operators  {}", self.operators)?;
        let until = &self.admin_certificate_until;
        writeln!(f, "  {operator}  key and certificate of {}, until {until}", self.admin)?;
        if self.loopback_only {
            writeln!(f, "  it serves this machine only")?;
        }
        write!(f, "Next: ringfort hub serve --dir {directory}")
    }
}

const DATABASE: &str = "hub.db";
/// Opens the administrator's key where no passphrase was chosen.
const PIN: &str = "pin";
const OPERATOR_PORT: u16 = 8444;
/// 100,000 revoked certificates make shards of about 30 KiB.
const CRL_SHARDS: u16 = 128;
