//! Opening a hub's directory: keys, authorities, fleet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfort_cose::{AwsLc, Reason, Sign};
use ringfort_fleet::{
    Agreed, Fleet, FleetConfig, NewSite, Operator, OperatorAuthority, Policy, Refusal, Role,
    SystemClock,
};
use ringfort_keystore::{Passphrase, SealedKey, SealedSecret};
use ringfort_pki::{CERTIFICATE, CrlPolicy, Issuer, ServerName, from_pem, to_pem};
use ringfort_store::{Store, StoreConfig, StoreError};
use ringfort_trust::Anchors;
use ringfort_trust::ids::SiteId;

use super::config::HubConfig;
use super::earlier::{self, Earlier};
use super::evidence_key;
use crate::address::Address;
use crate::anchors::Chain;
use crate::clock;
use crate::commands::pki::authorities::{DEVICE_CA, OPERATOR_CA, pki_failure, read_certificate};
use crate::commands::pki::record::Record;
use crate::failure::{Failure, Outcome};
use crate::invitation::{self, Invitation};
use crate::keys::{self, key_failure};
use crate::site_files::SiteApproval;

/// A hub's directory, opened.
pub struct Hub {
    /// What hub.toml says.
    pub config: HubConfig,
    /// The PKI.
    pub record: Record,
    /// The fleet.
    pub fleet: Fleet,
    /// Issues the listeners' certificates.
    pub server_ca: Issuer,
    /// Issues operators' certificates.
    pub operator_ca: Issuer,
    /// The certificates of those before it, DER.
    pub earlier_operator_cas: Vec<Vec<u8>>,
    /// The Device CA's certificate, DER.
    pub device_ca: Vec<u8>,
    /// The certificates of those before it that sign their CRLs yet, DER.
    pub earlier_device_cas: Vec<Vec<u8>>,
    /// The roots' certificates, DER, those of roots that were replaced among them.
    pub roots: Vec<Vec<u8>>,
    /// Hosts that earlier anchors named: a device that was off knows no other.
    earlier_hosts: Vec<String>,
    directory: PathBuf,
}

impl Hub {
    /// Opens the keys and the store.
    pub async fn open(directory: &Path, config: HubConfig) -> Outcome<Hub> {
        let record = Record::read(directory)?;
        let passphrase = config.passphrase(directory)?;
        let keys = Keys { directory, passphrase };
        let chain = Chain::read(&directory.join("anchors"))?;
        let lifetimes = record.plan().lifetimes;
        let earlier = Earlier::of(directory, DEVICE_CA);
        let base_url = format!("{}/crl/", config.devices.address()?.url());
        let crls = |number: u16| {
            let first = CrlPolicy::first_of(number).ok_or_else(too_many)?;
            Ok(CrlPolicy { base_url: base_url.clone(), shards: config.crl_shards, first })
        };
        let device_ca = keys.issuer(DEVICE_CA)?.with_crl_policy(crls(earlier.next_number())?);
        let mut earlier_device_cas = Vec::new();
        for (number, name) in earlier.with_keys() {
            earlier_device_cas.push(keys.issuer(&name)?.with_crl_policy(crls(number)?));
        }
        let earlier_der = earlier_device_cas.iter().map(|ca| ca.certificate_der().to_vec());
        let earlier_der: Vec<Vec<u8>> = earlier_der.collect();
        let (server_ca, operator_ca) = (keys.issuer("server-ca")?, keys.issuer(OPERATOR_CA)?);
        let order_key = keys.signer("order")?;
        check_named(&chain.newest()?, order_key.as_ref(), &server_ca, &record)?;
        let device_ca_der = device_ca.certificate_der().to_vec();
        let store = Store::open(StoreConfig::in_directory(directory))
            .await
            .map_err(|error| store_failure(directory, &error))?;
        let evidence_key =
            evidence_key::current(directory, &store, |name| keys.signer(name)).await?;
        let fleet = Fleet::open(FleetConfig {
            fleet: record.fleet_id()?,
            store,
            order_key,
            evidence_key,
            device_ca,
            earlier_device_cas,
            link_key: keys.secret("link")?,
            clock: Arc::new(SystemClock),
            policy: Policy {
                approvals: config.approvals,
                poll_interval_s: config.poll_seconds,
                ldevid_days: lifetimes.ldevid_days,
                ..Policy::default()
            },
        })
        .await
        .map_err(fleet_failure)?;
        let root = |name: &str| read_certificate(&directory.join("certs").join(name));
        let mut roots = vec![root("root.pem")?, root("backup-root.pem")?];
        roots.extend(earlier::roots(directory)?);
        let hub = Hub {
            fleet,
            server_ca,
            operator_ca,
            earlier_operator_cas: earlier::operator_cas(directory)?,
            device_ca: device_ca_der,
            earlier_device_cas: earlier_der,
            roots,
            directory: directory.to_owned(),
            earlier_hosts: earlier_hosts(&chain)?,
            config,
            record,
        };
        hub.take_in(&chain).await?;
        Ok(hub)
    }

    /// Invites somebody, by right of whoever works with the hub's directory.
    pub async fn invite(&self, name: &str, role: Role) -> Outcome<Invitation> {
        let who = Operator::at_the_host(HOST);
        let made = match self.fleet.invite(&who, name, role).await.map_err(fleet_failure)? {
            Agreed::Done(made) => made,
            Agreed::Waiting { .. } => {
                return Err(fleet_failure(Reason::ApprovalRequired.into()));
            }
        };
        let server_ca = match self.config.operators.has_public_certificate() {
            true => invitation::SYSTEM.to_owned(),
            false => to_pem(CERTIFICATE, self.server_ca.certificate_der()).map_err(pki_failure)?,
        };
        Ok(Invitation {
            hub: self.config.operators.address()?.authority(),
            name: made.name,
            role: made.role.name().to_owned(),
            secret: hex::encode(made.secret),
            until: invitation::until(made.ends_ms),
            server_ca,
            evidence_key: invitation::public_pem(&self.fleet.evidence_key()),
        })
    }

    /// What certifies the keys of people.
    pub fn operator_authority(&self) -> OperatorAuthority {
        OperatorAuthority {
            issuer: self.operator_ca.clone(),
            lifetime_days: self.record.plan().lifetimes.operator_days,
        }
    }

    /// The names of the device listener: its own, and the latest of those before it.
    pub fn device_names(&self) -> Outcome<Vec<ServerName>> {
        let own = self.config.devices.address()?;
        let mut names = vec![self.config.devices.server_name()?];
        let others = self.earlier_hosts.iter().rev().filter(|host| **host != own.host);
        for host in others.take(MAX_EARLIER_HOSTS) {
            names.push(ServerName::Dns(host.clone()));
        }
        Ok(names)
    }

    /// Takes in the anchors and the sites that lie in the directory and are not in the store yet.
    async fn take_in(&self, chain: &Chain) -> Outcome<()> {
        let who = Operator::at_the_host(HOST);
        let held = self.fleet.anchors_version().map_or(0, |version| version.0);
        for file in chain.files().iter().skip(usize::try_from(held).unwrap_or(usize::MAX)) {
            self.fleet.add_anchors(&who, &file.bytes).await.map_err(fleet_failure)?;
        }
        let known = self.fleet.sites(&who).await.map_err(fleet_failure)?;
        for approval in self.approvals()? {
            let site = new_site(&approval)?;
            if !known.iter().any(|known| known.id == site.id) {
                self.fleet.add_site(&who, &site).await.map_err(fleet_failure)?;
            }
        }
        Ok(())
    }

    fn approvals(&self) -> Outcome<Vec<SiteApproval>> {
        let Ok(entries) = std::fs::read_dir(self.directory.join("sites")) else {
            return Ok(Vec::new());
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort_unstable();
        let is_approval = |path: &&PathBuf| path.extension().is_some_and(|e| e == "toml");
        paths.iter().filter(is_approval).map(|path| SiteApproval::read(path)).collect()
    }
}

fn too_many() -> Failure {
    Failure::failed(
        "the Device CA was replaced too often",
        "Sixteen of them have CRLs of their own.",
        "Move the fleet to another hub: `ringfort pki rotate --new-hub`.",
    )
}

/// What the store refused, as a person reads it.
fn store_failure(directory: &Path, error: &StoreError) -> Failure {
    let what = format!("the hub's data in {} cannot be opened", directory.display());
    match error {
        StoreError::Newer { .. } => {
            Failure::refused(Reason::Unsupported, what).why(format!("{error}.")).next(
                "Run the newer ringfort again: a database never goes back. The one of before \
                   an upgrade lies beside it, as hub.db.schema-N.",
            )
        }
        StoreError::Full | StoreError::Io(_) => Failure::refused(Reason::StorageFailed, what)
            .why(format!("{error}."))
            .next("Make room, and check that the hub's user may write there."),
        StoreError::Locked => Failure::refused(Reason::StorageFailed, what)
            .why(format!("{error}."))
            .next("End the process that holds it; only one hub may run on a directory."),
        _ => Failure::failed(
            what,
            format!("{error}."),
            "Ask `ringfort hub doctor`; only one hub may run on a directory.",
        ),
    }
}

/// Names of hosts, each once, in the order in which the anchors first named them.
fn earlier_hosts(chain: &Chain) -> Outcome<Vec<String>> {
    let mut hosts: Vec<String> = Vec::new();
    for file in chain.files() {
        let address = Address::parse(file.document()?.hub())?;
        if address.ip().is_none() && !hosts.contains(&address.host) {
            hosts.push(address.host);
        }
    }
    Ok(hosts)
}

/// What the fleet refused, as a person reads it.
pub fn fleet_failure(refusal: Refusal) -> Failure {
    let what = match refusal.detail.is_empty() {
        true => "the hub refuses".to_owned(),
        false => format!("the hub refuses: {}", refusal.detail),
    };
    Failure::refused(refusal.reason, what)
}

/// The hub's sealed keys, all under one passphrase.
struct Keys<'a> {
    directory: &'a Path,
    passphrase: Passphrase,
}

impl Keys<'_> {
    fn signer(&self, name: &str) -> Outcome<Arc<dyn Sign>> {
        let path = self.directory.join("keys").join(format!("{name}.sealed"));
        let key = SealedKey::read(&path).and_then(|sealed| sealed.open(&self.passphrase));
        Ok(Arc::new(key.map_err(key_failure)?))
    }

    fn secret(&self, name: &str) -> Outcome<zeroize::Zeroizing<[u8; 32]>> {
        let path = self.directory.join("keys").join(format!("{name}.sealed"));
        let secret = SealedSecret::read(&path).and_then(|sealed| sealed.open(&self.passphrase));
        secret.map_err(key_failure)
    }

    fn issuer(&self, name: &str) -> Outcome<Issuer> {
        let path = self.directory.join("certs").join(format!("{name}.pem"));
        Issuer::new(&read_certificate(&path)?, self.signer(name)?).map_err(|error| {
            pki_failure(error).next(format!("{} does not fit its key.", path.display()))
        })
    }
}

/// The anchors have to name this hub, or no device would ever listen to it.
fn check_named(
    anchors: &Anchors<'_>,
    order: &dyn Sign,
    server_ca: &Issuer,
    record: &Record,
) -> Outcome<()> {
    let refused = |reason, why: &str| {
        Err(Failure::refused(reason, "the newest anchors do not fit this hub")
            .why(why)
            .next("Put the anchors of this PKI, every version, into the hub's directory anchors."))
    };
    if anchors.fleet() != record.fleet_id()? {
        return refused(Reason::WrongFleet, "They are of another fleet.");
    }
    if anchors.order_key(&keys::thumbprint(&order.public_key()), &AwsLc).is_err() {
        return refused(Reason::UntrustedSigner, "They do not name its order key.");
    }
    if !anchors.server_cas().any(|der| der == server_ca.certificate_der()) {
        return refused(Reason::UnknownCertificate, "They do not name its Server CA.");
    }
    Ok(())
}

fn new_site(approval: &SiteApproval) -> Outcome<NewSite> {
    let unreadable = |reason: Reason, why: String| {
        Failure::refused(reason, format!("the approval of site {} is refused", approval.site))
            .why(why)
    };
    let until = clock::parse(&approval.until).ok_or_else(|| {
        unreadable(Reason::Malformed, format!("until = \"{}\" is no time.", approval.until))
            .next("Write it like 2027-01-31T00:00:00Z.")
    })?;
    Ok(NewSite {
        id: SiteId::new(&approval.site)
            .map_err(|reason| unreadable(reason, "Its name is not one of a site.".to_owned()))?,
        factory_ca: from_pem(CERTIFICATE, &approval.factory_ca).map_err(pki_failure)?,
        serial_prefix: approval.serial_prefix.clone(),
        quota: approval.quota,
        not_after_ms: i64::try_from(until.saturating_mul(1000)).unwrap_or(i64::MAX),
    })
}

const MAX_EARLIER_HOSTS: usize = 4;
/// Who acts in the audit log when the hub's own directory is worked on.
pub const HOST: &str = "hub";
