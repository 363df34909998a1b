//! `ringfort hub init`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ringfort_fleet::{Role, SECRET_BYTES};
use ringfort_pki::{CERTIFICATE, Csr, to_pem};
use serde::Serialize;

use super::config::{self, Acme, HubConfig, Listener};
use super::open::{Hub, fleet_failure};
use crate::address::Address;
use crate::anchors::Chain;
use crate::commands::login::Folder;
use crate::commands::pki::authorities::pki_failure;
use crate::commands::pki::record::Record;
use crate::failure::{Failure, Outcome};
use crate::invitation::Invitation;
use crate::{ask, clock, csr, files, runtime};

/// How the hub is to be set up.
#[derive(Args)]
pub struct Options {
    /// The hub's directory, made by `ringfort pki init`, its anchors signed
    #[arg(long, default_value = "hub")]
    pub dir: PathBuf,

    /// What the hub listens on for devices [default: every address, the port in the anchors]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,

    /// Address under which operators reach the hub: another name on the devices' port, or another
    /// port [asked for on a terminal; default: the devices' host, port 8444]
    #[arg(long, value_name = "ADDRESS")]
    pub operator_address: Option<String>,

    /// What the hub listens on for operators [default: every address, that port]
    #[arg(long, value_name = "IP:PORT")]
    pub operator_listen: Option<SocketAddr>,

    /// A certificate chain for operators (PEM) that a public authority issued: a file, or
    /// credential:NAME of systemd [default: the Server CA issues one]
    #[arg(long, value_name = "FILE", requires = "operator_key")]
    pub operator_certificate: Option<String>,

    /// The key for it (PEM, mode 0600)
    #[arg(long, value_name = "FILE", requires = "operator_certificate")]
    pub operator_key: Option<String>,

    /// Have an authority issue the operators' certificate by ACME: the address of its directory
    #[arg(long, value_name = "URL", conflicts_with = "operator_certificate")]
    pub operator_acme: Option<String>,

    /// The address of that authority's terms of service: you have read them and agree
    #[arg(long, value_name = "URL", requires = "operator_acme")]
    pub operator_acme_terms: Option<String>,

    /// Where that authority may write to
    #[arg(long, value_name = "MAIL", requires = "operator_acme")]
    pub operator_acme_mail: Option<String>,

    /// Name of the first administrator
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub admin: String,

    /// Where the first administrator works on this machine: his folder, to be made, with key,
    /// certificate and the hub's address
    #[arg(long, value_name = "DIR", default_value = "operator")]
    pub operator: PathBuf,

    /// Where he works elsewhere: write an invitation for `ringfort login`, which works once, for an
    /// hour; no key of his is made here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["operator", "operator_pin_file"])]
    pub invitation: Option<PathBuf>,

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
    /// (`ringfort hub seal-pin` hands it to a TPM later)
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
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_certificate_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation_until: Option<String>,
    loopback_only: bool,
}

/// Sets the hub up.
pub fn run(options: &Options) -> Outcome<Report> {
    let record = Record::read(&options.dir)?;
    files::must_be_absent(&config::path(&options.dir))?;
    files::must_be_absent(&options.dir.join(DATABASE))?;
    match &options.invitation {
        Some(invitation) => files::must_be_absent(invitation)?,
        None => files::must_be_absent_or_empty(&options.operator).map(drop)?,
    }
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
    let beside = Address { host: devices.host.clone(), port: OPERATOR_PORT };
    let operators = ask::or(
        options.operator_address.as_deref(),
        &format!("Devices reach the hub at {}. Address for people", devices.url()),
        Some(&beside.authority()),
        "--operator-address",
        |text| {
            let address = Address::parse(text)?;
            address.check_for(quickstart).map(|()| address)
        },
    )?;
    let everywhere = if quickstart { [127, 0, 0, 1] } else { [0, 0, 0, 0] };
    let listen = options.listen.unwrap_or((everywhere, devices.port).into());
    let operator_listen = options.operator_listen.unwrap_or((everywhere, operators.port).into());
    if listen == operator_listen && (devices.host == operators.host || devices.ip().is_some()) {
        return Err(Failure::usage(
            "devices and operators share a port and a name",
            format!("Both would connect to {listen}, and only names tell them apart."),
            "Choose another name or port with --operator-address.",
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
    let config = HubConfig {
        approvals: options.approvals,
        poll_seconds: options.poll_seconds,
        loopback_only: quickstart,
        pin: options.pin.clone(),
        crl_shards: CRL_SHARDS,
        devices: Listener::new(devices.url(), listen),
        operators: Listener {
            certificate: options.operator_certificate.clone(),
            key: options.operator_key.clone(),
            acme: acme(options),
            ..Listener::new(operators.url(), operator_listen)
        },
        limits: None,
        tpm: None,
    };
    config.check().map_err(|why| {
        Failure::usage("the hub cannot be set up like that", why, "Change the options.")
    })?;
    Ok(config)
}

fn acme(options: &Options) -> Option<Acme> {
    let mail = options.operator_acme_mail.as_ref();
    options.operator_acme.as_ref().map(|directory| Acme {
        directory: directory.clone(),
        terms: options.operator_acme_terms.clone(),
        contacts: mail.map(|mail| format!("mailto:{mail}")).into_iter().collect(),
        trust: None,
    })
}

async fn set_up(options: &Options, config: HubConfig) -> Outcome<Report> {
    let hub = Hub::open(&options.dir, config).await?;
    // Whoever the first administrator is comes in as everybody after him: by an invitation.
    let invitation = hub.invite(&options.admin, Role::Admin).await?;
    let mut report = Report {
        name: hub.record.name.clone(),
        fleet: hub.record.fleet.clone(),
        directory: options.dir.clone(),
        devices: hub.config.devices.address.clone(),
        operators: hub.config.operators.address.clone(),
        admin: options.admin.clone(),
        operator: None,
        admin_certificate_until: None,
        invitation: None,
        invitation_until: None,
        loopback_only: hub.config.loopback_only,
    };
    match &options.invitation {
        Some(file) => {
            invitation.write(file)?;
            report.invitation = Some(file.clone());
            report.invitation_until = Some(invitation.until);
        }
        None => {
            let not_after_ms = log_in(&hub, &invitation, options).await?;
            report.operator = Some(options.operator.clone());
            report.admin_certificate_until = Some(clock::text(not_after_ms.unsigned_abs() / 1000));
        }
    }
    hub.fleet.close().await;
    hub.config.write(&options.dir)?;
    Ok(report)
}

/// The first administrator works at this machine: his key is made in his folder, and the invitation
/// is used at once.
async fn log_in(hub: &Hub, invitation: &Invitation, options: &Options) -> Outcome<i64> {
    let pin_file = options.operator_pin_file.as_deref();
    let mut folder = Folder::begin(&options.operator, pin_file, None)?;
    let logged_in = async {
        let csr = Csr::parse(&csr::request(folder.key.as_ref())?).map_err(pki_failure)?;
        let mut secret = [0; SECRET_BYTES];
        // It was made as so many bytes.
        let _ = hex::decode_to_slice(&invitation.secret, &mut secret);
        let authority = hub.operator_authority();
        let redeemed = hub.fleet.redeem(&authority, &secret, &csr).await;
        let registered = redeemed.map_err(fleet_failure)?;
        let certificate = to_pem(CERTIFICATE, &registered.certificate).map_err(pki_failure)?;
        folder.finish(invitation, &certificate)?;
        Ok(registered.not_after_ms)
    };
    let logged_in = logged_in.await;
    if logged_in.is_err() {
        folder.take_back();
    }
    logged_in
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.display();
        writeln!(f, "The hub {} is set up in {directory}", self.name)?;
        writeln!(f, "  devices    {}", self.devices)?;
        writeln!(f, "  operators  {}", self.operators)?;
        if let (Some(folder), Some(until)) = (&self.operator, &self.admin_certificate_until) {
            let folder = folder.display();
            writeln!(f, "  {folder}  key and certificate of {}, until {until}", self.admin)?;
        }
        if self.loopback_only {
            writeln!(f, "  it serves this machine only")?;
        }
        write!(f, "Next: ringfort hub serve --dir {directory}")?;
        if let (Some(file), Some(until)) = (&self.invitation, &self.invitation_until) {
            let file = file.display();
            write!(f, "\n      ringfort login {file}   ({} does so until {until})", self.admin)?;
        }
        Ok(())
    }
}

const DATABASE: &str = "hub.db";
const OPERATOR_PORT: u16 = 8444;
/// 100,000 revoked certificates make shards of about 30 KiB.
const CRL_SHARDS: u16 = 128;
