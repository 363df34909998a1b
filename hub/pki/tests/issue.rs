//! What is issued is accepted by an independent path validator for what it is for, and refused
//! for what it is not.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use ringfort_cose::{Sign, SoftSigner};
use ringfort_pki::{
    CertificateInfo, Crl, CrlPolicy, Error, Idevid, Issuer, Ldevid, Lifetimes, Operator, Plan,
    RevocationReason, Revoked, Role, Server, ServerName, SubjectKey,
};
use rustls_pki_types::{CertificateDer, ServerName as TlsName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

#[test]
fn a_device_certificate_authenticates_a_client() {
    let pki = Pki::new(None);
    let device = pki.ldevid();
    pki.validate(&device, pki.device.certificate_der(), KeyUsage::client_auth(), NOW).unwrap();
}

#[test]
fn a_device_certificate_cannot_pose_as_a_hub() {
    let pki = Pki::new(None);
    for leaf in [pki.ldevid(), pki.idevid(), pki.operator()] {
        let authority = pki.authority_of(&leaf);
        pki.validate(&leaf, authority, KeyUsage::client_auth(), NOW).unwrap();
        pki.validate(&leaf, authority, KeyUsage::server_auth(), NOW).unwrap_err();
    }
}

#[test]
fn a_server_issued_by_the_device_authority_is_refused() {
    let pki = Pki::new(None);
    let names = [ServerName::Dns("hub.example".into())];
    let profile = Server { names: &names, lifetime_days: 90 };
    let right = pki.server.issue_server(&key(), &profile, NOW).unwrap().der;
    let wrong = pki.device.issue_server(&key(), &profile, NOW).unwrap().der;
    let usage = KeyUsage::server_auth;
    pki.validate(&right, pki.server.certificate_der(), usage(), NOW).unwrap();
    pki.validate(&wrong, pki.device.certificate_der(), usage(), NOW).unwrap_err();
}

#[test]
fn a_server_answers_to_its_names_only() {
    let pki = Pki::new(None);
    let names = [ServerName::Dns("hub.example".into()), ServerName::Ip([127, 0, 0, 1].into())];
    let profile = Server { names: &names, lifetime_days: 90 };
    let der = CertificateDer::from(pki.server.issue_server(&key(), &profile, NOW).unwrap().der);
    let certificate = EndEntityCert::try_from(&der).unwrap();
    let valid = |name: &str| {
        certificate.verify_is_valid_for_subject_name(&TlsName::try_from(name).unwrap()).is_ok()
    };
    assert!(valid("hub.example") && valid("127.0.0.1"));
    assert!(!valid("other.example") && !valid("127.0.0.2"));
}

#[test]
fn an_authority_cannot_make_another_authority() {
    let pki = Pki::new(None);
    let signer = signer();
    let below =
        pki.plan.issue_authority(&pki.device, &Role::Device, &key_of(&signer), NOW).unwrap();
    let issuer = Issuer::new(&below.der, signer).unwrap();
    let leaf = issuer.issue_ldevid(&key(), &ldevid(), NOW).unwrap().der;
    let both = [pki.device.certificate_der(), below.der.as_slice()];
    pki.validate_through(&leaf, &both, KeyUsage::client_auth(), NOW).unwrap_err();
}

#[test]
fn an_operational_certificate_ends_after_90_days_and_a_factory_identity_never() {
    let pki = Pki::new(None);
    let day = 86_400;
    let usage = KeyUsage::client_auth;
    let device = pki.ldevid();
    pki.validate(&device, pki.device.certificate_der(), usage(), NOW + 90 * day - 1).unwrap();
    pki.validate(&device, pki.device.certificate_der(), usage(), NOW + 90 * day + 1).unwrap_err();
    let info = CertificateInfo::parse(&pki.idevid()).unwrap();
    assert_eq!(info.not_after, 253_402_300_799);
}

#[test]
fn a_quickstart_pki_is_named_so_and_ends_in_30_days() {
    let plan = Plan {
        organisation: "Example".into(),
        name: "quickstart".into(),
        lifetimes: Lifetimes::all_end_in(30),
    };
    let root = plan.create_root(&Role::Root, signer(), NOW).unwrap();
    assert_eq!(root.info().common_name.as_deref(), Some("quickstart Root CA"));
    assert_eq!(root.info().not_after, NOW + 30 * 86_400);
    let signer = signer();
    let der = plan.issue_authority(&root, &Role::Device, &key_of(&signer), NOW).unwrap().der;
    let device = Issuer::new(&der, signer).unwrap();
    let day_29 = NOW + 29 * 86_400;
    let issued = device.issue_ldevid(&key(), &ldevid(), day_29).unwrap();
    assert_eq!(issued.not_after, NOW + 30 * 86_400, "no certificate outlives its authority");
    let late = device.issue_ldevid(&key(), &ldevid(), NOW + 31 * 86_400);
    assert!(matches!(late, Err(Error::IssuerNotValid)));
}

#[test]
fn what_was_written_is_read_back() {
    let pki = Pki::new(None);
    let info = CertificateInfo::parse(&pki.idevid()).unwrap();
    assert_eq!(info.serial_number.as_deref(), Some("dev-a"));
    assert_eq!(info.common_name.as_deref(), Some("gateway"));
    assert_eq!(info.hardware_serial.as_deref(), Some([1; 17].as_slice()));
    assert!(!info.is_authority && pki.factory.info().is_authority);
    assert!(info.is_signed_by(&pki.idevid(), pki.factory.info()));
    assert!(!info.is_signed_by(&pki.idevid(), pki.device.info()));
}

#[test]
fn a_damaged_certificate_is_not_signed_by_its_issuer() {
    let pki = Pki::new(None);
    let mut der = pki.ldevid();
    let info = CertificateInfo::parse(&der).unwrap();
    assert!(info.is_signed_by(&der, pki.device.info()));
    let last = der.len() - 1;
    der[last] ^= 1;
    assert!(!info.is_signed_by(&der, pki.device.info()));
}

#[test]
fn a_certificate_with_anothers_signer_is_no_issuer() {
    let pki = Pki::new(None);
    let refused = Issuer::new(pki.device.certificate_der(), signer());
    assert!(matches!(refused, Err(Error::NotAnIssuer(_))));
    let signer = signer();
    let leaf = pki.device.issue_ldevid(&key_of(&signer), &ldevid(), NOW).unwrap();
    assert!(matches!(Issuer::new(&leaf.der, signer), Err(Error::NotAnIssuer(_))));
}

#[test]
fn names_that_cannot_stand_in_a_certificate_are_refused() {
    let pki = Pki::new(None);
    let long = "x".repeat(65);
    for device_id in ["", "dev_a", "dev\na", "gerät", long.as_str()] {
        let refused = pki.device.issue_ldevid(&key(), &Ldevid { device_id, ..ldevid() }, NOW);
        assert!(matches!(refused, Err(Error::Unsuitable { .. })), "{device_id:?}");
    }
}

#[test]
fn serial_numbers_name_their_shard_and_never_repeat() {
    let pki = Pki::new(Some(policy()));
    let serials: Vec<_> =
        (0..64).map(|_| pki.device.issue_ldevid(&key(), &ldevid(), NOW).unwrap().serial).collect();
    assert!(serials.iter().all(|serial| serial.shard(4) < 4));
    assert!((0..4).all(|shard| serials.iter().any(|serial| serial.shard(4) == shard)));
    let mut distinct = serials.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), serials.len());
}

#[test]
fn a_certificate_on_hold_is_refused_and_its_neighbour_accepted() {
    let pki = Pki::new(Some(policy()));
    let held = pki.ldevid();
    let serial = CertificateInfo::parse(&held).unwrap().serial;
    let shard = serial.shard(4);
    let neighbour = std::iter::repeat_with(|| pki.ldevid())
        .find(|der| CertificateInfo::parse(der).unwrap().serial.shard(4) == shard)
        .unwrap();
    let revoked = Revoked { serial, revoked_at: NOW, reason: RevocationReason::CertificateHold };
    let crl = Crl::sign(&pki.device, shard, [revoked], 7, NOW, NOW + 3600).unwrap();
    assert_eq!(pki.validate_with_crl(&held, &crl), Err(webpki::Error::CertRevoked));
    assert_eq!(pki.validate_with_crl(&neighbour, &crl), Ok(()));
}

#[test]
fn a_shard_says_nothing_about_certificates_of_another_shard() {
    let pki = Pki::new(Some(policy()));
    let der = pki.ldevid();
    let shard = CertificateInfo::parse(&der).unwrap().serial.shard(4);
    let own = Crl::sign(&pki.device, shard, [], 7, NOW, NOW + 3600).unwrap();
    let other = Crl::sign(&pki.device, (shard + 1) % 4, [], 7, NOW, NOW + 3600).unwrap();
    assert_eq!(pki.validate_with_crl(&der, &own), Ok(()));
    assert_eq!(pki.validate_with_crl(&der, &other), Err(webpki::Error::UnknownRevocationStatus));
}

#[test]
fn a_whole_crl_speaks_for_certificates_of_every_shard() {
    let pki = Pki::new(Some(policy()));
    let (held, other) = (pki.ldevid(), pki.ldevid());
    let serial = CertificateInfo::parse(&held).unwrap().serial;
    let revoked = Revoked { serial, revoked_at: NOW, reason: RevocationReason::CertificateHold };
    let crl = Crl::sign_whole(&pki.device, [revoked], 7, NOW, NOW + 3600).unwrap();
    assert_eq!(pki.validate_with_crl(&held, &crl), Err(webpki::Error::CertRevoked));
    assert_eq!(pki.validate_with_crl(&other, &crl), Ok(()));
}

#[test]
fn a_thousand_revoked_certificates_stay_below_64_kilobytes() {
    let pki = Pki::new(Some(policy()));
    let serial = CertificateInfo::parse(&pki.ldevid()).unwrap().serial;
    let revoked = (0u32..1000).map(|index| {
        let mut bytes = serial.as_bytes().to_vec();
        bytes[14..].copy_from_slice(&index.to_be_bytes());
        Revoked {
            serial: ringfort_pki::SerialNumber::from_bytes(&bytes).unwrap(),
            revoked_at: NOW,
            reason: RevocationReason::KeyCompromise,
        }
    });
    let crl = Crl::sign(&pki.device, serial.shard(4), revoked, 7, NOW, NOW + 3600).unwrap();
    assert!(crl.der.len() < 64 * 1024, "{}", crl.der.len());
}

const NOW: u64 = 1_790_000_000;

struct Pki {
    plan: Plan,
    root: Issuer,
    factory: Issuer,
    device: Issuer,
    server: Issuer,
    operator: Issuer,
}

impl Pki {
    fn new(crl: Option<CrlPolicy>) -> Pki {
        let plan = Plan {
            organisation: "Example Works".into(),
            name: "Example".into(),
            lifetimes: Lifetimes::STANDARD,
        };
        let root = plan.create_root(&Role::Root, signer(), NOW).unwrap();
        let authority = |role: Role| {
            let signer = signer();
            let issued = plan.issue_authority(&root, &role, &key_of(&signer), NOW).unwrap();
            Issuer::new(&issued.der, signer).unwrap()
        };
        let device = authority(Role::Device);
        Pki {
            factory: authority(Role::Factory { site: "north".into() }),
            device: match crl {
                Some(policy) => device.with_crl_policy(policy),
                None => device,
            },
            server: authority(Role::Server),
            operator: authority(Role::Operator),
            plan,
            root,
        }
    }

    fn ldevid(&self) -> Vec<u8> {
        self.device.issue_ldevid(&key(), &ldevid(), NOW).unwrap().der
    }

    fn idevid(&self) -> Vec<u8> {
        let device = Idevid {
            device_id: "dev-a",
            vendor: "Example Works",
            model: "gateway",
            class_id: [0xFF; 16],
            ueid: &[1; 17],
            lifetime_days: None,
        };
        self.factory.issue_idevid(&key(), &device, NOW).unwrap().der
    }

    fn operator(&self) -> Vec<u8> {
        let profile = Operator { name: "ada", lifetime_days: 365 };
        self.operator.issue_operator(&key(), &profile, NOW).unwrap().der
    }

    fn authority_of(&self, leaf: &[u8]) -> &[u8] {
        let issuer = CertificateInfo::parse(leaf).unwrap().issuer;
        [&self.factory, &self.device, &self.server, &self.operator]
            .into_iter()
            .find(|authority| authority.info().subject == issuer)
            .unwrap()
            .certificate_der()
    }

    fn validate(
        &self,
        leaf: &[u8],
        authority: &[u8],
        usage: KeyUsage,
        at: u64,
    ) -> Result<(), webpki::Error> {
        self.validate_through(leaf, &[authority], usage, at)
    }

    fn validate_through(
        &self,
        leaf: &[u8],
        authorities: &[&[u8]],
        usage: KeyUsage,
        at: u64,
    ) -> Result<(), webpki::Error> {
        let root = CertificateDer::from(self.root.certificate_der());
        let anchors = [anchor_from_trusted_cert(&root).unwrap()];
        let authorities: Vec<_> =
            authorities.iter().map(|der| CertificateDer::from(*der)).collect();
        let leaf = CertificateDer::from(leaf);
        EndEntityCert::try_from(&leaf)
            .unwrap()
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                &authorities,
                UnixTime::since_unix_epoch(Duration::from_secs(at)),
                usage,
                None,
                None,
            )
            .map(drop)
    }

    fn validate_with_crl(&self, leaf: &[u8], crl: &Crl) -> Result<(), webpki::Error> {
        let authority = CertificateDer::from(self.device.certificate_der());
        let anchors = [anchor_from_trusted_cert(&authority).unwrap()];
        let leaf = CertificateDer::from(leaf);
        let crl = webpki::OwnedCertRevocationList::from_der(&crl.der).unwrap().into();
        let crls = [&crl];
        let revocation = webpki::RevocationOptionsBuilder::new(&crls).unwrap().build();
        EndEntityCert::try_from(&leaf)
            .unwrap()
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                &[],
                UnixTime::since_unix_epoch(Duration::from_secs(NOW)),
                KeyUsage::client_auth(),
                Some(revocation),
                None,
            )
            .map(drop)
    }
}

fn policy() -> CrlPolicy {
    CrlPolicy { base_url: "https://hub.example/crl/".into(), shards: 4, first: 0 }
}

fn ldevid() -> Ldevid<'static> {
    Ldevid { device_id: "dev-a", hardware: None, lifetime_days: 90 }
}

fn signer() -> Arc<dyn Sign> {
    Arc::new(SoftSigner::generate_p256().unwrap())
}

fn key_of(signer: &Arc<dyn Sign>) -> SubjectKey {
    SubjectKey::try_from(&signer.public_key()).unwrap()
}

fn key() -> SubjectKey {
    key_of(&signer())
}
