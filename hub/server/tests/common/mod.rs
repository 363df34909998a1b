//! A whole hub on loopback, its factory, and devices whose keys OpenSSL made.
#![allow(dead_code, clippy::unwrap_used)]

pub mod curl;
pub mod tls;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ringfort_acme::Challenges;
use ringfort_api::client::{Client, ClientOptions};
use ringfort_cose::{AwsLc, PublicKey, Sha256Digest, Sign, SoftSigner, Verify};
use ringfort_fleet::{
    Fleet, FleetConfig, NewOperator, NewSite, Operator, OperatorAuthority, Policy, Role, State,
    SystemClock,
};
use ringfort_messages::{
    AnchorsVersion, BatchSpec, ClassId, DeviceId, FleetId, Protection, RecordSpec, SiteId,
    StoreKind, Ueid, UnixTime, VendorId,
};
use ringfort_pki::{
    CERTIFICATE, CrlPolicy, Csr, Idevid, Issuer, Lifetimes, Plan, ServerName, SubjectKey, to_pem,
};
use ringfort_server::{Limits, PublicIdentity, Running, Server, ServerConfig};
use ringfort_store::{Store, StoreConfig};
use ringfort_trust::{AnchorsSpec, KeySpec, ProductSpec, Role as KeyRole};
use tempfile::TempDir;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

pub use curl::{Answer, Request};

pub const VENDOR: VendorId = VendorId([0x0e; 16]);
pub const CLASS: ClassId = ClassId([0xc1; 16]);
pub const FLEET: FleetId = FleetId([0xf1; 16]);

/// A certificate and its key, as files that curl takes.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

pub struct World {
    pub folder: TempDir,
    pub fleet: Fleet,
    pub running: Option<Running>,
    pub device_port: u16,
    pub operator_port: u16,
    pub server_ca: Vec<u8>,
    pub root: Issuer,
    pub plan: Plan,
    pub factory: Issuer,
    pub device_ca: Issuer,
    pub operator_ca: Issuer,
    pub release_keys: [SoftSigner; 3],
    /// Of the sites north and south; only north is added.
    pub stations: [SoftSigner; 2],
    pub anchors: Vec<u8>,
    pub evidence: PublicKey,
}

/// What a test may want otherwise.
pub struct Options {
    pub limits: Limits,
    pub devices: &'static [&'static str],
    /// Both sides on one socket: `devices.example` and `operators.example`.
    pub one_port: bool,
    pub operator_identity: Option<tokio::sync::watch::Receiver<Option<PublicIdentity>>>,
    pub challenges: Option<Arc<Challenges>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            limits: Limits::default(),
            devices: &["dev-a", "dev-b"],
            one_port: false,
            operator_identity: None,
            challenges: None,
        }
    }
}

impl World {
    pub async fn start() -> World {
        World::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> World {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan {
            organisation: "Example Works".into(),
            name: "test".into(),
            lifetimes: Lifetimes::all_end_in(30),
        };
        let root = plan.create_root(&ringfort_pki::Role::Root, signer(), now()).unwrap();
        let authority = |role: ringfort_pki::Role| {
            let signer = signer();
            let key = SubjectKey::try_from(&signer.public_key()).unwrap();
            let issued = plan.issue_authority(&root, &role, &key, now()).unwrap();
            Issuer::new(&issued.der, signer).unwrap()
        };
        let factory = authority(ringfort_pki::Role::Factory { site: "north".into() });
        let server_ca = authority(ringfort_pki::Role::Server);
        let operator_ca = authority(ringfort_pki::Role::Operator);
        let devices = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operators = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device_port = devices.local_addr().unwrap().port();
        let device_ca = authority(ringfort_pki::Role::Device).with_crl_policy(CrlPolicy {
            base_url: format!("https://127.0.0.1:{device_port}/crl/"),
            shards: 2,
            first: 0,
        });

        let (order_key, evidence_key) = (signer(), signer());
        let stations = [(); 2].map(|()| SoftSigner::generate_p256().unwrap());
        let release_keys = [(); 3].map(|()| SoftSigner::generate_p256().unwrap());
        let (fleet, anchors) = open_fleet(
            folder.path(),
            [&order_key, &evidence_key],
            &device_ca,
            &stations,
            &release_keys,
            server_ca.certificate_der(),
            device_port,
        )
        .await;
        let host = Operator::at_the_host("test");
        let site = NewSite {
            id: SiteId::new("north").unwrap(),
            factory_ca: factory.certificate_der().to_vec(),
            serial_prefix: String::new(),
            quota: 100,
            not_after_ms: (now() as i64 + 86_400) * 1000,
        };
        fleet.add_site(&host, &site).await.unwrap();

        let server_ca_der = server_ca.certificate_der().to_vec();
        write_pem(&folder.path().join("server-ca.pem"), &server_ca_der);
        let world_devices = options.devices;
        let names = |name: &str| match options.one_port {
            true => vec![ServerName::Dns(name.into())],
            false => {
                vec![ServerName::Dns("localhost".into()), ServerName::Ip([127, 0, 0, 1].into())]
            }
        };
        let config = ServerConfig {
            device_names: names("devices.example"),
            device_port: None,
            operator_names: names("operators.example"),
            operator_port: None,
            server_ca,
            operator_identity: options.operator_identity,
            challenges: options.challenges,
            server_lifetime_days: 30,
            operator_authority: OperatorAuthority {
                issuer: operator_ca.clone(),
                lifetime_days: 30,
            },
            device_ca: device_ca.certificate_der().to_vec(),
            earlier_operator_cas: Vec::new(),
            earlier_device_cas: Vec::new(),
            roots: vec![root.certificate_der().to_vec()],
            loopback_only: true,
            limits: options.limits,
        };
        let operators = (!options.one_port).then_some(operators);
        let running = Server::start(config, fleet.clone(), devices, operators).await.unwrap();
        let world = World {
            device_port: running.device_address.port(),
            operator_port: running.operator_address.port(),
            running: Some(running),
            folder,
            fleet,
            server_ca: server_ca_der,
            root,
            plan,
            factory,
            device_ca,
            operator_ca,
            release_keys,
            stations,
            anchors,
            evidence: evidence_key.public_key(),
        };
        let batch = world.batch(0, "north", &world.factory, world_devices);
        world.fleet.import_batch(&host, &batch).await.unwrap();
        world
    }

    /// Factory identities, their keys and requests from OpenSSL, in the first batch of a site.
    pub fn batch(&self, station: usize, site: &str, factory: &Issuer, names: &[&str]) -> Vec<u8> {
        let mut records = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let ueid = Ueid::from_random([(station * 100 + index) as u8 + 1; 16]);
            let idevid_key = self.path(&format!("{name}.idevid.key"));
            let attestation_key = self.path(&format!("{name}.attestation.key"));
            generate(&idevid_key);
            generate(&attestation_key);
            let idevid_csr = request(&idevid_key, "/");
            let csr = Csr::parse(&idevid_csr).unwrap();
            let idevid = Idevid {
                device_id: name,
                vendor: "Example Works",
                model: "lamp",
                class_id: CLASS.0,
                ueid: ueid.as_bytes(),
                lifetime_days: None,
            };
            let issued = factory.issue_idevid(csr.key(), &idevid, now()).unwrap();
            write_pem(&self.path(&format!("{name}.idevid.pem")), &issued.der);
            records.push(RecordSpec {
                ueid,
                device: DeviceId::new(name).unwrap(),
                class: CLASS,
                protection: PROTECTION,
                anchors: AwsLc.sha256(&[&self.anchors]),
                idevid: issued.der,
                idevid_csr,
                attestation_csr: request(&attestation_key, "/"),
            });
        }
        let batch = BatchSpec {
            fleet: FLEET,
            site: SiteId::new(site).unwrap(),
            number: 1,
            previous: None,
            closed: UnixTime(now()),
            records,
        };
        batch.sign(&AwsLc, &self.stations[station]).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn idevid(&self, device: &str) -> Identity {
        Identity {
            certificate: self.path(&format!("{device}.idevid.pem")),
            key: self.path(&format!("{device}.idevid.key")),
        }
    }

    /// A request to the device listener.
    pub fn device(&self, path: &str) -> Request {
        Request::new(self.folder.path(), self.device_port, path)
    }

    /// A request to the operator listener.
    pub fn operator(&self, path: &str) -> Request {
        Request::new(self.folder.path(), self.operator_port, path)
    }

    /// Makes a key and enrols it, with the factory identity or another.
    pub fn enrol(&self, device: &str, with: &Identity, operation: &str) -> Identity {
        let number = std::fs::read_dir(self.folder.path()).unwrap().count();
        let identity = Identity {
            certificate: self.path(&format!("{device}.{number}.ldevid.pem")),
            key: self.path(&format!("{device}.{number}.ldevid.key")),
        };
        generate(&identity.key);
        let answer = self.est(operation, with, &request(&identity.key, "/"));
        assert_eq!(answer.status, 200, "{answer:?}");
        write_pem(&identity.certificate, &certificate_of(&answer.body));
        identity
    }

    pub fn est(&self, operation: &str, with: &Identity, csr: &[u8]) -> Answer {
        self.device(&format!("/.well-known/est/{operation}"))
            .with(with)
            .post("application/pkcs10", base64(csr).into_bytes())
            .send()
    }

    pub fn ldevid(&self, device: &str) -> Identity {
        self.enrol(device, &self.idevid(device), "simpleenroll")
    }

    /// Registers an operator and gives its certificate and key as files.
    pub async fn add_operator(&self, name: &str, role: Role) -> Identity {
        let identity = Identity {
            certificate: self.path(&format!("{name}.operator.pem")),
            key: self.path(&format!("{name}.operator.key")),
        };
        generate(&identity.key);
        let csr = Csr::parse(&request(&identity.key, "/")).unwrap();
        let der = self.operator_certificate(name, csr.key());
        write_pem(&identity.certificate, &der);
        self.register(name, role, der).await;
        identity
    }

    /// A client for the operator interface, as a new operator.
    pub async fn client(&self, name: &str, role: Role) -> Client {
        let key = signer();
        let subject = SubjectKey::try_from(&key.public_key()).unwrap();
        let certificate = self.operator_certificate(name, &subject);
        self.register(name, role, certificate.clone()).await;
        Client::new(ClientOptions {
            address: format!("127.0.0.1:{}", self.operator_port),
            server_cas: vec![self.server_ca.clone()],
            certificate,
            key,
        })
        .unwrap()
    }

    pub fn operator_certificate(&self, name: &str, key: &SubjectKey) -> Vec<u8> {
        let profile = ringfort_pki::Operator { name, lifetime_days: 30 };
        self.operator_ca.issue_operator(key, &profile, now()).unwrap().der
    }

    async fn register(&self, name: &str, role: Role, certificate: Vec<u8>) {
        let new = NewOperator { name: name.into(), role, certificate };
        self.fleet.add_operator(&Operator::at_the_host("test"), &new).await.unwrap();
    }

    pub async fn move_to(&self, device: &str, state: State) {
        let (host, id) = (Operator::at_the_host("test"), DeviceId::new(device).unwrap());
        self.fleet.move_device(&host, &id, state, "test").await.unwrap();
    }

    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().await;
        }
    }
}

async fn open_fleet(
    folder: &Path,
    [order_key, evidence_key]: [&Arc<dyn Sign>; 2],
    device_ca: &Issuer,
    stations: &[SoftSigner; 2],
    release_keys: &[SoftSigner; 3],
    server_ca: &[u8],
    device_port: u16,
) -> (Fleet, Vec<u8>) {
    let store = Store::open(StoreConfig::in_directory(folder)).await.unwrap();
    let fleet = Fleet::open(FleetConfig {
        fleet: FLEET,
        store,
        order_key: order_key.clone(),
        evidence_key: evidence_key.clone(),
        device_ca: device_ca.clone(),
        earlier_device_cas: Vec::new(),
        link_key: Zeroizing::new([7; 32]),
        clock: Arc::new(SystemClock),
        policy: Policy { approvals: 1, ..Policy::default() },
    })
    .await
    .unwrap();
    let people = [(); 3].map(|()| SoftSigner::generate_p256().unwrap());
    let mut keys: Vec<KeySpec> =
        people.iter().map(|k| KeySpec::new(KeyRole::Anchor, k.public_key(), "")).collect();
    keys.push(KeySpec::new(KeyRole::Order, order_key.public_key(), ""));
    for (station, site) in stations.iter().zip(["north", "south"]) {
        keys.push(KeySpec::station(station.public_key(), "", SiteId::new(site).unwrap()));
    }
    let spec = AnchorsSpec {
        fleet: FLEET,
        version: AnchorsVersion(1),
        time_floor: UnixTime(now()),
        keys,
        anchor_threshold: 2,
        command_threshold: 1,
        products: vec![ProductSpec {
            vendor: VENDOR,
            class: CLASS,
            vendor_name: "example.com".into(),
            class_name: "lamp".into(),
            threshold: 2,
            keys: release_keys
                .iter()
                .map(|k| KeySpec::new(KeyRole::Release, k.public_key(), ""))
                .collect(),
        }],
        server_cas: vec![server_ca.to_vec()],
        hub: format!("https://127.0.0.1:{device_port}"),
        spare: None,
        revoked: vec![],
    };
    let anchors = spec.sign(&AwsLc, &[&people[0], &people[1]]).unwrap();
    fleet.add_anchors(&Operator::at_the_host("test"), &anchors).await.unwrap();
    (fleet, anchors)
}

pub fn signer() -> Arc<dyn Sign> {
    Arc::new(SoftSigner::generate_p256().unwrap())
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn write_pem(path: &Path, der: &[u8]) {
    std::fs::write(path, to_pem(CERTIFICATE, der).unwrap()).unwrap();
}

pub fn digest(bytes: &[u8]) -> Sha256Digest {
    AwsLc.sha256(&[bytes])
}

/// A P-256 key in a file.
pub fn generate(key: &Path) {
    openssl(
        &["genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", text(key)],
        &[],
    );
}

/// A certificate request, DER.
pub fn request(key: &Path, subject: &str) -> Vec<u8> {
    openssl(&["req", "-new", "-key", text(key), "-subj", subject, "-outform", "DER"], &[])
}

/// The certificate in an answer of EST.
pub fn certificate_of(body: &[u8]) -> Vec<u8> {
    let der = openssl(&["base64", "-d"], body);
    let printed = openssl(&["pkcs7", "-inform", "DER", "-print_certs"], &der);
    let pem = String::from_utf8(printed).unwrap();
    ringfort_pki::from_pem(CERTIFICATE, &pem[pem.find("-----BEGIN").unwrap()..]).unwrap()
}

pub fn base64(bytes: &[u8]) -> String {
    String::from_utf8(openssl(&["base64"], bytes)).unwrap()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let done = curl::run(Command::new("openssl").args(arguments), input);
    assert!(
        done.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}

const PROTECTION: Protection =
    Protection { store: StoreKind::SealedFile, hardware_keys: false, hardware_counter: false };
