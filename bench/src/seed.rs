//! The fleet: devices that went the whole way. A station's batches announce them, the fleet's own
//! rules take the batches in, enrol every device and hear its first check-in; nothing is written
//! past those rules. That part runs in this process, on the hub's directory, before the hub does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ringfort_cose::{AwsLc, Sha256Digest, Sign, Verify};
use ringfort_fleet::{
    CertificateKind, ClientCertificate, Fleet, FleetConfig, Operator, Policy, SystemClock,
};
use ringfort_keystore::{Passphrase, SealedKey, SealedSecret};
use ringfort_messages::{
    BatchSpec, ClassId, DeviceId, FleetId, Link, RecordSpec, SiteId, Ueid, UnixTime, VendorId,
};
use ringfort_pki::{CrlPolicy, Csr, Idevid, Issuer, fingerprint};
use ringfort_store::{Store, StoreConfig};
use ringfort_trust::Anchors;
use tempfile::TempDir;

use crate::arguments::Arguments;
use crate::ceremony;
use crate::device::{Device, Key, PROTECTION, attestation_request};
use crate::hub::{Hub, certificate};

/// A hub's directory with its fleet.
pub struct Site {
    /// The executable.
    pub ringfort: PathBuf,
    /// Where everything lies.
    pub directory: PathBuf,
    /// The devices' class.
    pub class: ClassId,
    /// The devices' vendor.
    pub vendor: VendorId,
    /// How many devices are registered, enrolled and have checked in.
    pub devices: usize,
    /// Some of them, spread evenly, with their keys.
    pub load: Vec<Device>,
    hub: Option<Hub>,
    station: Station,
    kept: bool,
    _temporary: Option<TempDir>,
}

/// What a factory station holds.
#[derive(Clone)]
struct Station {
    fleet: FleetId,
    class: ClassId,
    anchors: Sha256Digest,
    factory_ca: Issuer,
    signer: Arc<dyn Sign>,
    /// How many devices it made.
    made: usize,
    /// Its last batch.
    last: Option<(u64, Sha256Digest)>,
}

/// A device in a batch, with the key of its IDevID.
struct Made {
    record: RecordSpec,
    key: Key,
}

impl Site {
    /// Makes the fleet, or takes the one that was kept.
    pub async fn prepare(arguments: &Arguments) -> Result<Site> {
        let (directory, temporary) = match &arguments.keep {
            Some(directory) => {
                fs::create_dir_all(directory)?;
                (fs::canonicalize(directory)?, None)
            }
            None => {
                let temporary = tempfile::Builder::new().prefix("ringfort-bench").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        if !directory.join("hub").exists() {
            ceremony::hold(&arguments.ringfort, &directory, QUOTA)?;
        }
        let station = Station::open(&directory)?;
        let document = fs::read(directory.join("hub/anchors/1.cbor"))?;
        let anchors = open_anchors(&document)?;
        let product = anchors.products().next().context("no product")?;
        let mut site = Site {
            ringfort: arguments.ringfort.clone(),
            class: product.class,
            vendor: product.vendor,
            devices: 0,
            load: Vec::new(),
            hub: None,
            station,
            kept: arguments.keep.is_some(),
            _temporary: temporary,
            directory,
        };
        match site.directory.join(KEPT).exists() {
            true => site.load()?,
            false => site.fill(arguments.devices).await?,
        }
        Ok(site)
    }

    /// The hub; started unless it runs.
    pub fn hub(&mut self) -> Result<&Hub> {
        if self.hub.is_none() {
            self.hub = Some(Hub::start(&self.ringfort, &self.directory)?);
        }
        self.hub.as_ref().context("a hub")
    }

    /// Ends the hub, if it runs.
    pub fn stop(&mut self) -> Result<()> {
        self.hub.take().map_or(Ok(()), Hub::stop)
    }

    /// Ends the hub as a cut of power would.
    pub fn kill(&mut self) -> Result<()> {
        self.hub.take().map_or(Ok(()), Hub::kill)
    }

    /// The fleet in this process; the hub must not run.
    pub async fn fleet(&mut self) -> Result<(Fleet, Store)> {
        self.stop()?;
        open_fleet(&self.directory).await
    }

    /// New devices in stock, announced to the running hub: never enrolled so far.
    pub async fn new_devices(&mut self, count: usize) -> Result<Vec<Device>> {
        let (bytes, made) = self.station.batch(count)?;
        self.hub()?.operator()?.import_batch(bytes).await?;
        let device = |made: Made| Device {
            id: made.record.device,
            certificate: made.record.idevid,
            key: made.key,
            link: None,
        };
        Ok(made.into_iter().map(device).collect())
    }

    /// Keeps the fleet where that was asked for.
    pub fn keep(mut self) -> Result<()> {
        self.stop()?;
        if !self.kept {
            return Ok(());
        }
        let mut out = Vec::new();
        let mut put = |bytes: &[u8]| {
            out.extend((bytes.len() as u32).to_be_bytes());
            out.extend_from_slice(bytes);
        };
        put(&self.devices.to_be_bytes());
        put(&self.station.made.to_be_bytes());
        let (number, digest) = self.station.last.context("a fleet without a batch")?;
        put(&number.to_be_bytes());
        put(&digest.0);
        for device in &self.load {
            put(device.id.as_str().as_bytes());
            put(&device.certificate);
            put(&device.key.pkcs8);
            let link = device.link.context("a device without a link")?;
            put(&link.encode().map_err(|reason| anyhow!("{reason:?}"))?);
        }
        Ok(fs::write(self.directory.join(KEPT), out)?)
    }

    fn load(&mut self) -> Result<()> {
        let bytes = fs::read(self.directory.join(KEPT))?;
        let mut rest = &bytes[..];
        let mut parts = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (part, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            parts.push(part);
            rest = after;
        }
        let ([devices, made, number, digest], rest) =
            parts.split_first_chunk().context("a cut file")?;
        self.devices = usize::from_be_bytes((*devices).try_into()?);
        self.station.made = usize::from_be_bytes((*made).try_into()?);
        let number = u64::from_be_bytes((*number).try_into()?);
        self.station.last = Some((number, Sha256Digest((*digest).try_into()?)));
        for part in rest.chunks_exact(4) {
            let id = DeviceId::new(std::str::from_utf8(part[0])?).map_err(|e| anyhow!("{e:?}"))?;
            self.load.push(Device {
                id,
                certificate: part[1].to_vec(),
                key: Key { pkcs8: part[2].to_vec() },
                link: Some(Link::decode(part[3]).map_err(|reason| anyhow!("{reason:?}"))?),
            });
        }
        Ok(())
    }

    async fn fill(&mut self, devices: usize) -> Result<()> {
        let begun = Instant::now();
        let (fleet, store) = self.fleet().await?;
        let who = Operator::at_the_host("bench");
        while self.devices < devices {
            let count = BATCH.min(devices - self.devices);
            let (bytes, made) = self.station.batch(count)?;
            fleet.import_batch(&who, &bytes).await?;
            let first = self.devices;
            let mut enrolled = FuturesUnordered::new();
            let mut waiting = made.into_iter().enumerate();
            loop {
                while enrolled.len() < IN_FLIGHT
                    && let Some((index, made)) = waiting.next()
                {
                    let (fleet, class) = (fleet.clone(), self.class);
                    let take = tokio::spawn(enrol(fleet, made.record, class));
                    enrolled.push(async move { (first + index, take.await) });
                }
                let Some((index, device)) = enrolled.next().await else { break };
                if index % EVERY == 0 {
                    self.load.push(device??);
                } else {
                    device??;
                }
            }
            self.devices += count;
            let seconds = begun.elapsed().as_secs();
            eprint!("\r{} devices registered, enrolled, heard ({seconds} s)  ", self.devices);
        }
        eprintln!();
        store.close().await;
        Ok(())
    }
}

impl Station {
    fn open(directory: &Path) -> Result<Station> {
        let passphrase = Passphrase::from_file(&directory.join("pin"))?;
        let station = directory.join("station");
        let key = |name: &str| -> Result<Arc<dyn Sign>> {
            let path = station.join("keys").join(format!("{name}.sealed"));
            Ok(Arc::new(SealedKey::read(&path)?.open(&passphrase)?))
        };
        let document = fs::read(directory.join("hub/anchors/1.cbor"))?;
        let anchors = open_anchors(&document)?;
        let product = anchors.products().next().context("no product")?;
        let factory_ca = certificate(&station.join("certs/factory-ca.pem"))?;
        Ok(Station {
            fleet: anchors.fleet(),
            class: product.class,
            anchors: AwsLc.sha256(&[&document]),
            factory_ca: Issuer::new(&factory_ca, key("factory-ca")?)?,
            signer: key("station")?,
            made: 0,
            last: None,
        })
    }

    /// Makes devices and announces them, on both cores.
    fn batch(&mut self, count: usize) -> Result<(Vec<u8>, Vec<Made>)> {
        let first = self.made;
        let (station, half) = (&*self, count / 2);
        let made: Vec<Made> = std::thread::scope(|scope| -> Result<Vec<Made>> {
            let other = scope.spawn(move || {
                (half..count).map(|index| station.make(first + index)).collect::<Result<Vec<_>>>()
            });
            let mut made: Vec<Made> =
                (0..half).map(|index| station.make(first + index)).collect::<Result<_>>()?;
            made.extend(other.join().map_err(|_| anyhow!("a thread broke off"))??);
            Ok(made)
        })?;
        let spec = BatchSpec {
            fleet: self.fleet,
            site: SiteId::new("plant").map_err(|reason| anyhow!("{reason:?}"))?,
            number: self.last.map_or(1, |(number, _)| number + 1),
            previous: self.last.map(|(_, digest)| digest),
            closed: UnixTime(now()),
            records: made.iter().map(|made| made.record.clone()).collect(),
        };
        let bytes = spec.sign(&AwsLc, &*self.signer)?;
        self.made += count;
        self.last = Some((spec.number, AwsLc.sha256(&[&bytes])));
        Ok((bytes, made))
    }

    fn make(&self, number: usize) -> Result<Made> {
        let key = Key::generate()?;
        let idevid_csr = key.request()?;
        let name = format!("gateway-{number:07}");
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random)?;
        let ueid = Ueid::from_random(random);
        let issued = self.factory_ca.issue_idevid(
            Csr::parse(&idevid_csr)?.key(),
            &Idevid {
                device_id: &name,
                vendor: "bench.example",
                model: "gateway",
                class_id: self.class.0,
                ueid: ueid.as_bytes(),
                lifetime_days: Some(30),
            },
            now(),
        )?;
        let record = RecordSpec {
            ueid,
            device: DeviceId::new(&name).map_err(|reason| anyhow!("{reason:?}"))?,
            class: self.class,
            protection: PROTECTION,
            anchors: self.anchors,
            idevid: issued.der,
            idevid_csr,
            attestation_csr: attestation_request()?,
        };
        Ok(Made { record, key })
    }
}

/// Enrols a device by its IDevID and has it check in by its LDevID.
async fn enrol(fleet: Fleet, record: RecordSpec, class: ClassId) -> Result<Device> {
    let der = &record.idevid[..];
    let idevid =
        ClientCertificate { der, fingerprint: fingerprint(der), kind: CertificateKind::IDevId };
    let session = fleet.identify(&idevid).await?;
    let key = Key::generate()?;
    let request = Csr::parse(&key.request()?)?;
    let certificate = fleet.enrol(&session, &request).await?.certificate;
    let mut device = Device { id: record.device, certificate, key, link: None };
    let ldevid = ClientCertificate {
        der: &device.certificate,
        fingerprint: fingerprint(&device.certificate),
        kind: CertificateKind::LDevId,
    };
    let session = fleet.identify(&ldevid).await?;
    device.link = Some(fleet.check_in(&session, &device.check_in(class)?).await?.link);
    Ok(device)
}

/// The hub's directory, opened as the hub opens it.
async fn open_fleet(directory: &Path) -> Result<(Fleet, Store)> {
    let hub = directory.join("hub");
    let passphrase = Passphrase::from_file(&hub.join("pin"))?;
    let sealed = |name: &str| hub.join("keys").join(format!("{name}.sealed"));
    let key = |name: &str| -> Result<Arc<dyn Sign>> {
        Ok(Arc::new(SealedKey::read(&sealed(name))?.open(&passphrase)?))
    };
    let document = fs::read(hub.join("anchors/1.cbor"))?;
    let anchors = open_anchors(&document)?;
    let settings: toml::Table = fs::read_to_string(hub.join("hub.toml"))?.parse()?;
    let shards = settings.get("crl_shards").and_then(toml::Value::as_integer);
    let crls = CrlPolicy {
        base_url: format!("{}/crl/", anchors.hub()),
        shards: u16::try_from(shards.context("hub.toml: crl_shards")?)?,
        first: 0,
    };
    let device_ca =
        Issuer::new(&certificate(&hub.join("certs/device-ca.pem"))?, key("device-ca")?)?;
    let store = Store::open(StoreConfig::in_directory(&hub)).await?;
    let fleet = Fleet::open(FleetConfig {
        fleet: anchors.fleet(),
        store: store.clone(),
        order_key: key("order")?,
        evidence_key: key("evidence")?,
        device_ca: device_ca.with_crl_policy(crls),
        earlier_device_cas: Vec::new(),
        link_key: SealedSecret::read(&sealed("link"))?.open(&passphrase)?,
        clock: Arc::new(SystemClock),
        policy: Policy { approvals: 1, ldevid_days: 30, ..Policy::default() },
    })
    .await?;
    Ok((fleet, store))
}

fn open_anchors(document: &[u8]) -> Result<Anchors<'_>> {
    let digest = AwsLc.sha256(&[document]);
    Anchors::verify_pinned(document, &digest, &AwsLc).map_err(|reason| anyhow!("{reason:?}"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Devices of one batch.
const BATCH: usize = 2_000;
/// What the site may make in all.
const QUOTA: usize = 1_000_000;
/// Every how many-th device takes part in the load.
const EVERY: usize = 5;
/// Enrolments at once.
const IN_FLIGHT: usize = 128;
/// The file of a fleet that is kept.
const KEPT: &str = "load.bin";
