//! What the tests of this crate share: a fleet in memory, and a device that has its identity.

use std::path::Path;

use ringfort_cose::{AwsLc, PublicKey, Sha256Digest, Sign, SoftSigner, Verify};
use ringfort_keystore::public_key_from_der;
use ringfort_messages::{Chain, IdentityAnswer, IdentityRequest};
use ringfort_suit::{Envelope, NewComponent, NewRelease};
use ringfort_trust::ids::*;
use ringfort_trust::{
    AnchorsSpec, AuditHead, CommandAction, CommandClaims, Content, KeySpec, Order, ProductSpec,
    Role, Task, TokenClaims,
};

use crate::{AgentConfig, identity_install, identity_request};

/// A time above every floor.
pub(crate) const NOW: u64 = 4_000_000_000;

pub(crate) struct Fleet {
    anchor_keys: Vec<SoftSigner>,
    release_keys: Vec<SoftSigner>,
    order_key: SoftSigner,
    command_key: SoftSigner,
    pub(crate) spec: AnchorsSpec,
}

impl Fleet {
    pub(crate) fn new() -> Fleet {
        let keys = || (0..3).map(|_| SoftSigner::generate_p256().unwrap()).collect::<Vec<_>>();
        let (anchor_keys, release_keys) = (keys(), keys());
        let (order_key, command_key) =
            (SoftSigner::generate_p256().unwrap(), SoftSigner::generate_p256().unwrap());
        let specs = |role, keys: &[SoftSigner]| -> Vec<KeySpec> {
            let name = |index: usize| format!("key {index}");
            keys.iter()
                .enumerate()
                .map(|(index, key)| KeySpec::new(role, key.public_key(), &name(index)))
                .collect()
        };
        let mut named = specs(Role::Anchor, &anchor_keys);
        named.push(KeySpec::new(Role::Order, order_key.public_key(), "order"));
        named.push(KeySpec::new(Role::Command, command_key.public_key(), "command"));
        let spec = AnchorsSpec {
            fleet: FleetId([1; 16]),
            version: AnchorsVersion(1),
            time_floor: UnixTime(0),
            keys: named,
            anchor_threshold: 2,
            command_threshold: 1,
            products: vec![ProductSpec {
                vendor: VendorId([2; 16]),
                class: ClassId([3; 16]),
                vendor_name: "Acme".into(),
                class_name: "Gate".into(),
                threshold: 2,
                keys: specs(Role::Release, &release_keys),
            }],
            server_cas: vec![vec![0x30, 0x00]],
            hub: "https://hub.test".into(),
            spare: None,
            revoked: Vec::new(),
        };
        Fleet { anchor_keys, release_keys, order_key, command_key, spec }
    }

    pub(crate) fn anchors(&self) -> Vec<u8> {
        let signers: Vec<&dyn Sign> = self.anchor_keys[..2].iter().map(|key| key as _).collect();
        self.spec.sign(&AwsLc, &signers).unwrap()
    }

    pub(crate) fn release(&self, sequence: u64, payloads: &[&[u8]]) -> Vec<u8> {
        let component = |(index, payload): (usize, &&[u8])| NewComponent {
            id: vec![vec![index as u8]],
            vendor: [2; 16],
            class: [3; 16],
            digest: AwsLc.sha256(&[payload]),
            size_bytes: payload.len() as u64,
            uri: "payload".into(),
        };
        let release = NewRelease {
            sequence_number: sequence,
            version: format!("v{sequence}"),
            components: payloads.iter().enumerate().map(component).collect(),
            ..NewRelease::default()
        };
        let envelope = release.build(&AwsLc).unwrap();
        self.release_keys[..2]
            .iter()
            .fold(envelope, |envelope, key| ringfort_suit::sign(&AwsLc, key, &envelope).unwrap())
    }

    fn claims(&self, nonce: Nonce, content: Content) -> TokenClaims {
        TokenClaims {
            fleet: self.spec.fleet,
            device: DeviceId::new("dev-a").unwrap(),
            issued: UnixTime(NOW),
            expires: UnixTime(NOW + 86_400),
            nonce: Some(nonce),
            content,
        }
    }

    pub(crate) fn order(&self, nonce: Nonce, number: u64, manifest: Sha256Digest) -> Vec<u8> {
        let order = Order {
            number: OrderNumber(number),
            task: Task::Install { manifest },
            min_anchors: AnchorsVersion(1),
        };
        self.claims(nonce, Content::Order(order)).sign(&AwsLc, &self.order_key).unwrap()
    }

    /// An order for a medium: it answers no request.
    pub(crate) fn offline_claims(&self, number: u64, task: Task) -> TokenClaims {
        let order = Order { number: OrderNumber(number), task, min_anchors: AnchorsVersion(1) };
        TokenClaims { nonce: None, ..self.claims(Nonce([0; 16]), Content::Order(order)) }
    }

    pub(crate) fn sign_order(&self, claims: &TokenClaims) -> Vec<u8> {
        claims.sign(&AwsLc, &self.order_key).unwrap()
    }

    /// A command for the device, signed by people.
    pub(crate) fn command(
        &self,
        number: u64,
        action: CommandAction,
        nonce: Option<Nonce>,
    ) -> Vec<u8> {
        let claims = CommandClaims {
            fleet: self.spec.fleet,
            device: DeviceId::new("dev-a").unwrap(),
            issued: UnixTime(NOW - 60),
            expires: UnixTime(NOW + 86_400),
            number: OrderNumber(number),
            action,
            nonce,
        };
        claims.sign(&AwsLc, &[&self.command_key]).unwrap()
    }

    pub(crate) fn command_order(
        &self,
        nonce: Nonce,
        number: u64,
        action: CommandAction,
        command: &[u8],
    ) -> Vec<u8> {
        let order = Order {
            number: OrderNumber(number),
            task: Task::Command { action, command: AwsLc.sha256(&[command]) },
            min_anchors: AnchorsVersion(1),
        };
        self.claims(nonce, Content::Order(order)).sign(&AwsLc, &self.order_key).unwrap()
    }

    pub(crate) fn time(&self, nonce: Nonce) -> Vec<u8> {
        let head = AuditHead { size: 1, root: Sha256Digest([1; 32]) };
        self.claims(nonce, Content::Time(head)).sign(&AwsLc, &self.order_key).unwrap()
    }
}

/// A configuration for the state directory, with more settings for `[update]`.
pub(crate) fn config(dir: &Path, update: &str) -> AgentConfig {
    let text = format!("[update]\n{update}\n[[health]]\ncommand = [\"/bin/true\"]\n");
    AgentConfig::parse(&text, &dir.join("agent.toml")).unwrap()
}

/// Gives a device its identity, as the factory does.
pub(crate) fn provision(fleet: &Fleet, config: &AgentConfig) {
    provision_by(&Authority::new(), fleet, config);
}

/// Gives a device its identity by this authority.
pub(crate) fn provision_by(authority: &Authority, fleet: &Fleet, config: &AgentConfig) {
    let request = identity_request(config).unwrap();
    let again = identity_request(config).unwrap();
    let request = IdentityRequest::decode(&request).unwrap();
    assert_eq!(IdentityRequest::decode(&again).unwrap().ueid, request.ueid);
    let csr = <x509_cert::request::CertReq as der::Decode>::from_der(request.idevid_csr).unwrap();
    let spki = der::Encode::to_der(&csr.info.public_key).unwrap();
    let certificate = authority.issue(public_key_from_der(&spki).unwrap());
    let chain: [&[u8]; 1] = [&certificate];
    let anchors = fleet.anchors();
    let answer = IdentityAnswer {
        ueid: request.ueid,
        device: DeviceId::new("dev-a").unwrap(),
        vendor: VendorId([2; 16]),
        class: ClassId([3; 16]),
        chain: Chain::new(&chain).unwrap(),
        anchors: &anchors,
    };
    identity_install(config, &answer.encode().unwrap()).unwrap();
}

/// A certificate authority of the tests.
pub(crate) struct Authority {
    pub(crate) issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub(crate) certificate: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Authority { issuer: rcgen::Issuer::new(params, key), certificate }
    }

    pub(crate) fn issue(&self, key: PublicKey) -> Vec<u8> {
        self.issue_until(key, 9999)
    }

    /// A certificate from 2090 to the end of a year.
    pub(crate) fn issue_until(&self, key: PublicKey, year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = rcgen::date_time_ymd(if year == 9999 { 2020 } else { 2090 }, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        params.signed_by(&Certified(key), &self.issuer).unwrap().der().to_vec()
    }
}

struct Certified(PublicKey);

impl rcgen::PublicKeyData for Certified {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

pub(crate) fn manifest_of(envelope: &[u8]) -> Sha256Digest {
    Envelope::parse(envelope, &AwsLc).unwrap().manifest_digest()
}

/// Runs the named test again in a process of its own, which may take rights from itself. The body
/// runs there, with a directory.
pub(crate) fn in_child(name: &str, body: impl FnOnce(&Path)) {
    if let Some(dir) = std::env::var_os("RINGFORT_TEST_CHILD") {
        return body(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("RINGFORT_TEST_CHILD", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
