//! Writes one certificate of each profile and CRLs, so that checkers of other makers can judge
//! them: `certificate_specimens DIR`. Every file is named after what it is; `*.crt.pem` and `*.crl.pem`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ringfort_cose::{Sign, SoftSigner};
use ringfort_pki::{
    CERTIFICATE, CRL, Crl, CrlPolicy, Idevid, Issuer, Ldevid, Lifetimes, Operator, Plan,
    RevocationReason, Revoked, Role, Server, ServerName, SubjectKey, to_pem,
};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: certificate_specimens DIR")?;
    let folder = Path::new(&folder);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    for (name, lifetimes) in
        [("standard", Lifetimes::STANDARD), ("quickstart", Lifetimes::all_end_in(30))]
    {
        let plan = Plan { organisation: "Example Works".into(), name: name.into(), lifetimes };
        write_pki(&folder.join(name), &plan, now)?;
    }
    Ok(())
}

fn write_pki(folder: &Path, plan: &Plan, now: u64) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let certificate = |name: &str, der: &[u8]| -> Result<(), Box<dyn Error>> {
        Ok(std::fs::write(folder.join(format!("{name}.crt.pem")), to_pem(CERTIFICATE, der)?)?)
    };
    let root = plan.create_root(&Role::Root, p256()?, now)?;
    let backup =
        plan.create_root(&Role::BackupRoot, Arc::new(SoftSigner::generate_ed25519()?), now)?;
    certificate("root", root.certificate_der())?;
    certificate("backup-root", backup.certificate_der())?;

    let authority = |name: &str, role: &Role| -> Result<Issuer, Box<dyn Error>> {
        let signer = p256()?;
        let key = SubjectKey::try_from(&signer.public_key())?;
        let issued = plan.issue_authority(&root, role, &key, now)?;
        certificate(name, &issued.der)?;
        Ok(Issuer::new(&issued.der, signer)?)
    };
    let factory = authority("factory-ca", &Role::Factory { site: "north".into() })?;
    let device = authority("device-ca", &Role::Device)?.with_crl_policy(CrlPolicy {
        base_url: "http://hub.example/crl/".into(),
        shards: 4,
        first: 0,
    });
    let server = authority("server-ca", &Role::Server)?;
    let operator = authority("operator-ca", &Role::Operator)?;

    let key = SubjectKey::try_from(&p256()?.public_key())?;
    let ed25519 = SubjectKey::try_from(&SoftSigner::generate_ed25519()?.public_key())?;
    let ueid = [1; 17];
    let lifetimes = &plan.lifetimes;
    for (name, key) in [("idevid", &key), ("idevid-ed25519", &ed25519)] {
        let idevid = Idevid {
            device_id: "dev-a",
            vendor: "Example Works",
            model: "gateway",
            class_id: [0xA5; 16],
            ueid: &ueid,
            lifetime_days: lifetimes.idevid_days,
        };
        certificate(name, &factory.issue_idevid(key, &idevid, now)?.der)?;
    }
    let ldevid = Ldevid {
        device_id: "dev-a",
        hardware: Some(([0xA5; 16], &ueid)),
        lifetime_days: lifetimes.ldevid_days,
    };
    let issued = device.issue_ldevid(&key, &ldevid, now)?;
    certificate("ldevid", &issued.der)?;
    certificate(
        "ldevid-ed25519",
        &device.issue_ldevid(&ed25519, &Ldevid { hardware: None, ..ldevid }, now)?.der,
    )?;
    let names = [ServerName::Dns("hub.example.com".into()), ServerName::Ip([127, 0, 0, 1].into())];
    let profile = Server { names: &names, lifetime_days: lifetimes.server_days };
    certificate("server", &server.issue_server(&key, &profile, now)?.der)?;
    let profile = Operator { name: "Ada Example", lifetime_days: lifetimes.operator_days };
    certificate("operator", &operator.issue_operator(&key, &profile, now)?.der)?;

    let crl = |name: &str, issuer: &Issuer, shard, revoked| -> Result<(), Box<dyn Error>> {
        let crl = Crl::sign(issuer, shard, revoked, now * 1000, now, now + 86_400)?;
        Ok(std::fs::write(folder.join(format!("{name}.crl.pem")), to_pem(CRL, &crl.der)?)?)
    };
    let shard = issued.serial.shard(4);
    let held = Revoked {
        serial: issued.serial.clone(),
        revoked_at: now,
        reason: RevocationReason::CertificateHold,
    };
    crl("device-ca-held", &device, shard, vec![held])?;
    crl("device-ca-empty", &device, (shard + 1) % 4, vec![])?;
    let unspecified = Revoked {
        serial: factory.info().serial.clone(),
        revoked_at: now,
        reason: RevocationReason::Unspecified,
    };
    crl("root", &root, 0, vec![unspecified])
}

fn p256() -> Result<Arc<dyn Sign>, Box<dyn Error>> {
    Ok(Arc::new(SoftSigner::generate_p256()?))
}
