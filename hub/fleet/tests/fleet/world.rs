//! A whole small world: people with keys, a factory, devices, and a fleet on a real store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ringfort_cose::{AwsLc, Reason, Sha256Digest, Sign, SoftSigner, Verify};
use ringfort_fleet::{
    Answer, CertificateKind, ClientCertificate, Clock, Created, Deadlines, DeploymentView,
    DeviceSession, Enrolled, Fleet, FleetConfig, ManualClock, NewDeployment, NewSite, Operator,
    Policy, Refusal, Reported, Restored, Target,
};
use ringfort_messages::{
    BatchSpec, CheckIn, ClassStatus, Link, List, Protection, ReasonCode, RecordSpec, Report,
    Running, StoreKind, Text, UpdateStatus,
};
use ringfort_pki::{Csr, Idevid, Issuer, Lifetimes, Plan, Role as Authority, SubjectKey};
use ringfort_store::{Outside, Store, StoreConfig};
use ringfort_suit::{NewComponent, NewRelease};
use ringfort_trust::ids::{
    AnchorsVersion, ClassId, DeviceId, FleetId, Nonce, OrderNumber, SequenceNumber, SiteId, Ueid,
    UnixTime, VendorId,
};
use ringfort_trust::{
    Anchors, AnchorsSpec, CommandAction, CommandClaims, Content, KeySpec, Order, ProductSpec, Role,
    Task, Token, TokenClaims,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

pub const NOW_MS: i64 = 1_795_000_000_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;
pub const VENDOR: VendorId = VendorId([0xaa; 16]);
pub const CLASS: ClassId = ClassId([0xcc; 16]);
pub const OTHER_CLASS: ClassId = ClassId([0xcd; 16]);
pub const FLEET: FleetId = FleetId([0xff; 16]);
pub const SITE: &str = "plant-1";

pub fn key() -> Arc<SoftSigner> {
    Arc::new(SoftSigner::generate_p256().unwrap())
}

pub fn device_id(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    AwsLc.sha256(&[bytes])
}

/// The reason of a refusal.
pub fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Reason {
    result.unwrap_err().reason
}

/// A copy of the database, and when it was made.
pub struct Backup {
    pub directory: TempDir,
    pub made_ms: i64,
}

pub struct World {
    pub directory: TempDir,
    pub clock: Arc<ManualClock>,
    pub store: Store,
    pub fleet: Fleet,
    pub admin: Operator,
    pub policy: Policy,
    pub anchor_keys: Vec<Arc<SoftSigner>>,
    pub release_keys: Vec<Arc<SoftSigner>>,
    pub order_key: Arc<SoftSigner>,
    pub evidence_key: Arc<SoftSigner>,
    pub station_key: Arc<SoftSigner>,
    pub command_key: Arc<SoftSigner>,
    pub device_ca: Issuer,
    pub factory_ca: Issuer,
    pub anchors: Vec<Vec<u8>>,
    pub last_batch: Option<(u64, Sha256Digest)>,
    next: AtomicU64,
}

impl World {
    /// One approval suffices.
    pub async fn new() -> World {
        World::with_policy(Policy { approvals: 1, ..Policy::default() }).await
    }

    pub async fn with_policy(policy: Policy) -> World {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let now = NOW_MS as u64 / 1000;
        let plan = Plan {
            organisation: "Example".to_owned(),
            name: "Test".to_owned(),
            lifetimes: Lifetimes::STANDARD,
        };
        let root = plan.create_root(&Authority::Root, key(), now).unwrap();
        let authority = |role: Authority| {
            let signer = key();
            let subject =
                SubjectKey::from_raw(ringfort_pki::KeyKind::P256, signer.public_key().as_bytes())
                    .unwrap();
            let issued = plan.issue_authority(&root, &role, &subject, now).unwrap();
            Issuer::new(&issued.der, signer).unwrap()
        };
        let device_ca = authority(Authority::Device);
        let factory_ca = authority(Authority::Factory { site: SITE.to_owned() });
        let store = Store::open(StoreConfig::in_directory(directory.path())).await.unwrap();
        let (order_key, evidence_key) = (key(), key());
        let fleet = open(
            &store,
            &clock,
            &policy,
            Arc::clone(&order_key),
            Arc::clone(&evidence_key),
            device_ca.clone(),
        )
        .await;
        let mut world = World {
            directory,
            clock,
            store,
            fleet,
            admin: Operator::at_the_host("test"),
            policy,
            anchor_keys: vec![key(), key(), key()],
            release_keys: vec![key(), key(), key()],
            order_key,
            evidence_key,
            station_key: key(),
            command_key: key(),
            device_ca,
            factory_ca,
            anchors: Vec::new(),
            last_batch: None,
            next: AtomicU64::new(1),
        };
        let signers: Vec<&dyn Sign> =
            world.anchor_keys[..2].iter().map(|key| &**key as &dyn Sign).collect();
        let first = world.anchors_spec().sign(&AwsLc, &signers).unwrap();
        world.fleet.add_anchors(&world.admin, &first).await.unwrap();
        world.anchors.push(first);
        world
            .fleet
            .add_site(
                &world.admin,
                &NewSite {
                    id: SiteId::new(SITE).unwrap(),
                    factory_ca: world.factory_ca.certificate_der().to_vec(),
                    serial_prefix: "dev-".to_owned(),
                    quota: 100,
                    not_after_ms: NOW_MS + 365 * DAY_MS,
                },
            )
            .await
            .unwrap();
        world
    }

    /// Ends the hub without any farewell and starts it again over the same directory.
    pub async fn restart(&mut self) {
        self.store.close().await;
        self.store = Store::open(StoreConfig::in_directory(self.directory.path())).await.unwrap();
        self.fleet = open(
            &self.store,
            &self.clock,
            &self.policy,
            Arc::clone(&self.order_key),
            Arc::clone(&self.evidence_key),
            self.device_ca.clone(),
        )
        .await;
    }

    /// A copy of the database as it is now, made beside the hub that serves.
    pub async fn back_up(&self) -> Backup {
        let directory = tempfile::tempdir().unwrap();
        let mut database = Outside::open(&self.directory.path().join("hub.db")).await.unwrap();
        database.copy_to(&directory.path().join("hub.db")).await.unwrap();
        Backup { directory, made_ms: self.clock.now_ms() }
    }

    /// Loses the hub and puts a backup in its place. The objects were not lost.
    pub async fn restore(&mut self, backup: &Backup) {
        self.store.close().await;
        for name in ["hub.db-wal", "hub.db-shm"] {
            let _ = std::fs::remove_file(self.directory.path().join(name));
        }
        let database = self.directory.path().join("hub.db");
        std::fs::copy(backup.directory.path().join("hub.db"), database).unwrap();
        let store = Store::open(StoreConfig::in_directory(self.directory.path())).await.unwrap();
        Restored::mark(&store, backup.made_ms, self.clock.now_ms()).await.unwrap();
        store.close().await;
        self.restart().await;
    }

    pub fn anchors_spec(&self) -> AnchorsSpec {
        let key = |role, key: &SoftSigner, site| KeySpec {
            role,
            key: key.public_key(),
            name: String::new(),
            site,
        };
        let mut keys: Vec<KeySpec> =
            self.anchor_keys.iter().map(|k| key(Role::Anchor, k, None)).collect();
        keys.push(key(Role::Order, &self.order_key, None));
        keys.push(key(Role::Command, &self.command_key, None));
        keys.push(key(Role::Station, &self.station_key, Some(SiteId::new(SITE).unwrap())));
        let product = |class: ClassId, name: &str| ProductSpec {
            vendor: VENDOR,
            class,
            vendor_name: "Example".to_owned(),
            class_name: name.to_owned(),
            threshold: 2,
            keys: self.release_keys.iter().map(|k| key(Role::Release, k, None)).collect(),
        };
        AnchorsSpec {
            fleet: FLEET,
            version: AnchorsVersion(self.anchors.len() as u64 + 1),
            time_floor: UnixTime(1_700_000_000),
            keys,
            anchor_threshold: 2,
            command_threshold: 1,
            products: vec![product(CLASS, "gateway"), product(OTHER_CLASS, "sensor")],
            server_cas: vec![self.factory_ca.certificate_der().to_vec()],
            hub: "https://hub.example".to_owned(),
            spare: None,
            revoked: Vec::new(),
        }
    }

    pub async fn add_anchors(&mut self, spec: &AnchorsSpec) -> Result<AnchorsVersion, Refusal> {
        let signers: Vec<&dyn Sign> =
            self.anchor_keys[..2].iter().map(|key| &**key as &dyn Sign).collect();
        let document = spec.sign(&AwsLc, &signers).unwrap();
        let version = self.fleet.add_anchors(&self.admin, &document).await?;
        self.anchors.push(document);
        Ok(version)
    }

    /// A device as it leaves the line: its keys are its own.
    pub fn make_device(&self, name: &str) -> Device {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let mut random = [0; 16];
        random[..8].copy_from_slice(&number.to_be_bytes());
        let identity = SoftSigner::generate_ed25519().unwrap();
        Device::new(self, name, Ueid::from_random(random), Arc::new(identity))
    }

    pub fn batch(
        &self,
        number: u64,
        previous: Option<Sha256Digest>,
        devices: &[&Device],
    ) -> Vec<u8> {
        self.batch_spec(number, previous, devices).sign(&AwsLc, &*self.station_key).unwrap()
    }

    pub fn batch_spec(
        &self,
        number: u64,
        previous: Option<Sha256Digest>,
        devices: &[&Device],
    ) -> BatchSpec {
        BatchSpec {
            fleet: FLEET,
            site: SiteId::new(SITE).unwrap(),
            number,
            previous,
            closed: UnixTime(NOW_MS as u64 / 1000),
            records: devices.iter().map(|device| device.record(self)).collect(),
        }
    }

    pub async fn import(&mut self, devices: &[&Device]) -> Result<(), Refusal> {
        let (number, previous) = match self.last_batch {
            None => (1, None),
            Some((number, digest)) => (number + 1, Some(digest)),
        };
        let batch = self.batch(number, previous, devices);
        self.fleet.import_batch(&self.admin, &batch).await?;
        self.last_batch = Some((number, sha256(&batch)));
        Ok(())
    }

    /// A device in stock.
    pub async fn provisioned(&mut self, name: &str) -> Device {
        let device = self.make_device(name);
        self.import(&[&device]).await.unwrap();
        device
    }

    /// A device in the field that has checked in once.
    pub async fn deployed(&mut self, name: &str) -> Device {
        let mut device = self.provisioned(name).await;
        device.enrol(self).await.unwrap();
        device.check_in(self).await.unwrap();
        device
    }

    /// A command for a device, valid for a week.
    pub fn command(&self, device: &str, number: u64, action: CommandAction) -> Vec<u8> {
        self.command_by(&self.command_key, device, number, action)
    }

    pub fn command_by(
        &self,
        key: &SoftSigner,
        device: &str,
        number: u64,
        action: CommandAction,
    ) -> Vec<u8> {
        let now = self.clock.now_ms() as u64 / 1000;
        let claims = CommandClaims {
            fleet: FLEET,
            device: device_id(device),
            issued: UnixTime(now),
            expires: UnixTime(now + 7 * 24 * 3600),
            number: OrderNumber(number),
            action,
            nonce: (action == CommandAction::DebugUnlock).then_some(Nonce([1; 16])),
        };
        claims.sign(&AwsLc, &[key]).unwrap()
    }

    pub fn release_spec(&self, sequence: u64, payload: &[u8]) -> NewRelease {
        NewRelease {
            sequence_number: sequence,
            version: format!("1.{sequence}"),
            vendor_name: None,
            model_name: None,
            description: None,
            components: vec![NewComponent {
                id: vec![b"app".to_vec()],
                vendor: VENDOR.0,
                class: CLASS.0,
                digest: sha256(payload),
                size_bytes: payload.len() as u64,
                uri: format!("ringfort:{}", sha256(payload)),
            }],
        }
    }

    pub fn sign_release(&self, spec: &NewRelease, signers: &[&SoftSigner]) -> Vec<u8> {
        let envelope = spec.build(&AwsLc).unwrap();
        signers.iter().fold(envelope, |envelope, signer| {
            ringfort_suit::sign(&AwsLc, *signer, &envelope).unwrap()
        })
    }

    pub async fn put_object(&self, payload: &[u8]) -> Result<(), Refusal> {
        let part = Bytes::copy_from_slice(payload);
        let stream = futures_util::stream::iter([Ok::<_, String>(part)]);
        let size = payload.len() as u64;
        self.fleet.put_object(&self.admin, &sha256(payload), size, stream).await.map(drop)
    }

    /// A published release, by the digest of its manifest.
    pub async fn release(&self, sequence: u64) -> Sha256Digest {
        let payload = format!("software {sequence}").into_bytes();
        self.put_object(&payload).await.unwrap();
        let spec = self.release_spec(sequence, &payload);
        let signers = [&*self.release_keys[0], &*self.release_keys[1]];
        let envelope = self.sign_release(&spec, &signers);
        self.fleet.add_release(&self.admin, &envelope).await.unwrap().manifest
    }

    pub async fn deploy(&self, manifest: Sha256Digest, target: Target) -> DeploymentView {
        let new = NewDeployment { manifest, target, deadlines: Deadlines::default() };
        match self.fleet.create_deployment(&self.admin, &new).await.unwrap() {
            Created::Done(deployment) => deployment,
            Created::Waiting { .. } => panic!("waits for another person"),
        }
    }

    /// The state of a device in a deployment, its reason and grade.
    pub async fn target(&self, deployment: &str, device: &str) -> ringfort_fleet::TargetView {
        let targets = self.fleet.targets(&self.admin, deployment, None, 1000).await.unwrap();
        targets.into_iter().find(|target| target.device.as_str() == device).unwrap()
    }
}

async fn open(
    store: &Store,
    clock: &Arc<ManualClock>,
    policy: &Policy,
    order_key: Arc<SoftSigner>,
    evidence_key: Arc<SoftSigner>,
    device_ca: Issuer,
) -> Fleet {
    Fleet::open(FleetConfig {
        fleet: FLEET,
        store: store.clone(),
        order_key,
        evidence_key,
        device_ca,
        earlier_device_cas: Vec::new(),
        link_key: Zeroizing::new([9; 32]),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        policy: policy.clone(),
    })
    .await
    .unwrap()
}

/// A device and what it remembers. A clone of it is a clone in the attacker's sense.
#[derive(Clone)]
pub struct Device {
    pub id: DeviceId,
    pub ueid: Ueid,
    pub class: ClassId,
    pub identity: Arc<SoftSigner>,
    pub idevid: Vec<u8>,
    pub attestation: Arc<SoftSigner>,
    pub operational: Arc<SoftSigner>,
    pub ldevid: Option<Vec<u8>>,
    pub link: Option<Link>,
    pub last_order: u64,
    pub running: Option<Running>,
    pub floor: u64,
    pub update: Option<UpdateStatus>,
    pub anchors: u64,
}

impl Device {
    pub fn new(world: &World, name: &str, ueid: Ueid, identity: Arc<SoftSigner>) -> Device {
        Device::of_issuer(&world.factory_ca, name, name, ueid, identity)
    }

    pub fn of_issuer(
        issuer: &Issuer,
        name: &str,
        name_in_certificate: &str,
        ueid: Ueid,
        identity: Arc<SoftSigner>,
    ) -> Device {
        let csr = Csr::parse(&csr(&identity, None)).unwrap();
        let issued = issuer
            .issue_idevid(
                csr.key(),
                &Idevid {
                    device_id: name_in_certificate,
                    vendor: "Example",
                    model: "gateway",
                    class_id: CLASS.0,
                    ueid: &ueid.as_bytes()[..],
                    lifetime_days: None,
                },
                NOW_MS as u64 / 1000,
            )
            .unwrap();
        Device {
            id: device_id(name),
            ueid,
            class: CLASS,
            identity,
            idevid: issued.der,
            attestation: Arc::new(SoftSigner::generate_ed25519().unwrap()),
            operational: Arc::new(SoftSigner::generate_ed25519().unwrap()),
            ldevid: None,
            link: None,
            last_order: 0,
            running: None,
            floor: 0,
            update: None,
            anchors: 1,
        }
    }

    pub fn record(&self, world: &World) -> RecordSpec {
        RecordSpec {
            ueid: self.ueid,
            device: self.id,
            class: self.class,
            protection: Protection {
                store: StoreKind::SealedFile,
                hardware_keys: false,
                hardware_counter: false,
            },
            anchors: sha256(&world.anchors[0]),
            idevid: self.idevid.clone(),
            idevid_csr: csr(&self.identity, None),
            attestation_csr: csr(&self.attestation, None),
        }
    }

    pub fn new_operational_key(&mut self) {
        self.operational = Arc::new(SoftSigner::generate_ed25519().unwrap());
    }

    pub async fn by_idevid(&self, world: &World) -> Result<DeviceSession, Refusal> {
        identify(world, &self.idevid, CertificateKind::IDevId).await
    }

    pub async fn by_ldevid(&self, world: &World) -> Result<DeviceSession, Refusal> {
        let certificate = self.ldevid.as_ref().expect("enrolled");
        identify(world, certificate, CertificateKind::LDevId).await
    }

    pub async fn enrol(&mut self, world: &World) -> Result<Enrolled, Refusal> {
        let csr = Csr::parse(&csr(&self.operational, None)).unwrap();
        let enrolled = world.fleet.enrol(&self.by_idevid(world).await?, &csr).await?;
        self.ldevid = Some(enrolled.certificate.clone());
        Ok(enrolled)
    }

    pub async fn reenrol(&mut self, world: &World) -> Result<Enrolled, Refusal> {
        let csr = Csr::parse(&csr(&self.operational, None)).unwrap();
        let enrolled = world.fleet.reenrol(&self.by_ldevid(world).await?, &csr).await?;
        self.ldevid = Some(enrolled.certificate.clone());
        Ok(enrolled)
    }

    pub fn status(&self, world: &World) -> CheckIn {
        let nonce = world.next.fetch_add(1, Ordering::SeqCst);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&nonce.to_be_bytes());
        CheckIn {
            nonce: Nonce(bytes),
            last_order: OrderNumber(self.last_order),
            link: self.link,
            anchors: AnchorsVersion(self.anchors),
            agent: Text::new("test 1").unwrap(),
            protection: Protection {
                store: StoreKind::SealedFile,
                hardware_keys: false,
                hardware_counter: false,
            },
            classes: List::from_slice(&[ClassStatus {
                class: self.class,
                floor: SequenceNumber(self.floor),
                running: self.running,
            }])
            .unwrap(),
            update: self.update,
            audit: None,
        }
    }

    /// Asks, and loses the answer.
    pub async fn ask(&self, world: &World) -> Result<Answer, Refusal> {
        world.fleet.check_in(&self.by_ldevid(world).await?, &self.status(world)).await
    }

    /// Asks, keeps the link, and says what it is told to do.
    pub async fn check_in(&mut self, world: &World) -> Result<Option<Order>, Refusal> {
        let status = self.status(world);
        let answer = world.fleet.check_in(&self.by_ldevid(world).await?, &status).await?;
        self.link = Some(answer.link);
        let claims = open_token(world, &answer.token);
        assert_eq!(claims.nonce, Some(status.nonce));
        assert_eq!(claims.device, self.id);
        match claims.content {
            Content::Time(_) => Ok(None),
            Content::Order(order) => Ok(Some(order)),
        }
    }

    /// Checks in, and gives the order with the command that came beside it.
    pub async fn hear(&mut self, world: &World) -> (Option<Order>, Option<Vec<u8>>) {
        let status = self.status(world);
        let session = self.by_ldevid(world).await.unwrap();
        let answer = world.fleet.check_in(&session, &status).await.unwrap();
        self.link = Some(answer.link);
        let order = match open_token(world, &answer.token).content {
            Content::Time(_) => None,
            Content::Order(order) => Some(order),
        };
        (order, answer.command)
    }

    /// Takes the command it is given and says that it carries it out.
    pub async fn take_command(&mut self, world: &World) -> Order {
        let (order, command) = self.hear(world).await;
        let order = order.expect("an order");
        let Task::Command { command: digest, .. } = order.task else { panic!("a command") };
        assert_eq!(sha256(&command.expect("the command")), digest);
        self.last_order = order.number.0;
        self.report(world, &order, Reported::Written, None).await.unwrap();
        order
    }

    /// Loses its operational key, as a command told it to, and says so from then on.
    pub fn wipe(&mut self, order: &Order) {
        self.new_operational_key();
        self.link = None;
        let state = Reported::Confirmed;
        self.update = Some(UpdateStatus { order: order.number, state, reason: None });
    }

    /// Takes the order it is given.
    pub async fn take_order(&mut self, world: &World) -> Order {
        let order = self.check_in(world).await.unwrap().expect("an order");
        self.last_order = order.number.0;
        self.update =
            Some(UpdateStatus { order: order.number, state: Reported::Offered, reason: None });
        order
    }

    pub async fn report(
        &mut self,
        world: &World,
        order: &Order,
        state: Reported,
        reason: Option<Reason>,
    ) -> Result<(), Refusal> {
        let reason = reason.map(ReasonCode::from);
        self.update = Some(UpdateStatus { order: order.number, state, reason });
        let report = self.report_of(order, state, reason);
        world.fleet.report(&self.by_ldevid(world).await?, &report).await
    }

    pub fn report_of(&self, order: &Order, state: Reported, reason: Option<ReasonCode>) -> Report {
        let manifest = match order.task {
            Task::Install { manifest } => manifest,
            Task::Command { command, .. } => command,
        };
        Report {
            order: order.number,
            class: self.class,
            sequence: SequenceNumber(1),
            manifest,
            state,
            reason,
            detail: Text::EMPTY,
            version: Text::EMPTY,
        }
    }

    /// Boots the release and makes it its floor.
    pub fn boot(&mut self, manifest: Sha256Digest, sequence: u64) {
        self.running = Some(Running {
            sequence: SequenceNumber(sequence),
            manifest,
            version: Text::new("1").unwrap(),
        });
        self.floor = self.floor.max(sequence);
    }

    /// An update from order to confirmation.
    pub async fn update_to(&mut self, world: &World, manifest: Sha256Digest, sequence: u64) {
        let order = self.take_order(world).await;
        for state in [Reported::Downloading, Reported::Written, Reported::Trial] {
            self.report(world, &order, state, None).await.unwrap();
        }
        self.boot(manifest, sequence);
        self.report(world, &order, Reported::Confirmed, None).await.unwrap();
    }
}

pub async fn identify(
    world: &World,
    der: &[u8],
    kind: CertificateKind,
) -> Result<DeviceSession, Refusal> {
    let fingerprint = sha256(der).0;
    world.fleet.identify(&ClientCertificate { der, fingerprint, kind }).await
}

pub fn open_token(world: &World, token: &[u8]) -> TokenClaims {
    let document = world.anchors.last().unwrap();
    let anchors = Anchors::verify_pinned(document, &sha256(document), &AwsLc).unwrap();
    *Token::verify(token, &anchors, &AwsLc).unwrap().claims()
}

/// A PKCS#10 request (RFC 2986) of an Ed25519 key, with a commonName if one is given.
pub fn csr(key: &SoftSigner, name: Option<&str>) -> Vec<u8> {
    const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
    let subject = match name {
        None => tlv(0x30, &[]),
        Some(name) => {
            let attribute = [&[0x06, 0x03, 0x55, 0x04, 0x03][..], &tlv(0x0c, name.as_bytes())];
            tlv(0x30, &tlv(0x31, &tlv(0x30, &attribute.concat())))
        }
    };
    let public = [&[0][..], key.public_key().as_bytes()].concat();
    let spki = tlv(0x30, &[ED25519, &tlv(0x03, &public)].concat());
    let info = tlv(0x30, &[&[0x02, 0x01, 0x00][..], &subject, &spki, &tlv(0xa0, &[])].concat());
    let signature = [vec![0], key.sign(&[&info]).unwrap()].concat();
    tlv(0x30, &[&info[..], ED25519, &tlv(0x03, &signature)].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=127 => out.push(short as u8),
        medium @ 128..=255 => out.extend([0x81, medium as u8]),
        long => {
            out.push(0x82);
            out.extend((long as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}
