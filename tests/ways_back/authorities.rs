//! Authorities below the roots, replaced before they end.

use std::fs;
use std::process::Command;

use ringfort_keystore::{Passphrase, SealedKey};
use ringfort_pki::{CERTIFICATE, CertificateInfo, Csr, Issuer, Operator, from_pem, to_pem};

use crate::process::until;
use crate::trust::files;
use crate::world::{Conditions, HUB, World};

/// Freely after hashicorp/vault#29083 and aws-iot-device-client#365: the authority of the devices'
/// own certificates is replaced before it ends, and no device notices.
#[test]
fn devices_move_to_a_new_device_ca_as_they_renew_and_the_old_ones_crl_goes_on() {
    let world = World::new();
    let hub = world.open_hub();
    let one = world.agent("dev-1", &Conditions::default());
    let three = world.agent("dev-3", &Conditions::default());
    for device in ["dev-1", "dev-3"] {
        world.update("1.0", device, "operator");
    }
    world.follow(DEVICE_CA, 0);
    world
        .run("pki rotate --device-ca --root root --hub hub --pin-file pin")
        .refused("already-exists");
    world.run("hub rotate --dir hub").failed("served");
    hub.stop();
    world.follow(DEVICE_CA, 1);
    let hub = world.serve("hub");

    // Who has a certificate goes on with it; who comes now gets one of the new authority.
    world.update("1.1", "dev-1", "operator");
    let two = world.agent("dev-2", &Conditions::default());
    world.update("1.1", "dev-2", "operator");
    assert_eq!(issuers(&world, "dev-1"), ["device-ca-1"]);
    assert_eq!(issuers(&world, "dev-2"), ["device-ca"]);

    // Each one's CRL is signed by whoever issued the certificate; a broker knows both.
    world.ok("device move dev-3 --to suspended --note doubtful --dir operator");
    world.ok("pki export --for mosquitto --out broker --dir operator");
    let judged = |device: &str| broker_says(&world, device);
    assert!(judged("dev-3").contains("certificate revoked"), "{}", judged("dev-3"));
    for device in ["dev-1", "dev-2"] {
        assert!(judged(device).ends_with("OK\n"), "{device}: {}", judged(device));
    }
    world.ok("device move dev-2 --to suspended --note doubtful --dir operator");
    world.ok("pki export --for mosquitto --out broker --dir operator");
    assert!(judged("dev-2").contains("certificate revoked"), "{}", judged("dev-2"));
    assert!(judged("dev-1").ends_with("OK\n"), "{}", judged("dev-1"));
    for agent in [one, two, three] {
        agent.stop();
    }
    hub.stop();

    // Two thirds of its life are over, and its share of the jitter: the device renews, and moves.
    world.set_clock("+70d");
    let later = Conditions { clock: Some("+70d".to_owned()), ..Conditions::default() };
    let hub = world.serve("hub");
    let one = world.agent("dev-1", &later);
    until("dev-1 has moved", || issuers(&world, "dev-1").last().unwrap() == "device-ca");
    world.update("1.2", "dev-1", "operator");
    one.stop();
    hub.stop();
    let done = "earlier-device-ca-done";
    let findings = world.run("hub doctor --dir hub --json").out;
    assert!(!findings.contains(done), "{findings}");

    // Another has its place: of its own end nobody is told, of the other's everybody.
    world.set_clock("+1600d");
    let ending = world.run("hub doctor --dir hub --json").out;
    assert!(ending.contains("certs/device-ca.pem"), "{ending}");
    assert!(!ending.contains("certs/device-ca-1.pem"), "{ending}");

    // The last one of the old authority has ended: its key may go, and nobody misses it.
    world.set_clock("+92d");
    let findings = world.run("hub doctor --dir hub --json").out;
    assert!(findings.contains(done) && findings.contains("keys/device-ca-1.sealed"), "{findings}");
    fs::remove_file(world.path("hub/keys/device-ca-1.sealed")).unwrap();
    let findings = world.run("hub doctor --dir hub --json").out;
    assert!(!findings.contains(done), "{findings}");
    let hub = world.serve("hub");
    let later = Conditions { clock: Some("+92d".to_owned()), ..Conditions::default() };
    let one = world.agent("dev-1", &later);
    let heard = |of: &serde_json::Value| of["device"]["last_seen_ms"].clone();
    let before = heard(&world.device("dev-1", "operator"));
    until("dev-1 is heard", || heard(&world.device("dev-1", "operator")) != before);
    one.stop();
    hub.stop();
}

/// Which of the hub's Device CAs issued a device's certificates, oldest first.
fn issuers(world: &World, device: &str) -> Vec<String> {
    let own = |name: &str| {
        let text = fs::read_to_string(world.path(&format!("hub/certs/{name}.pem"))).unwrap();
        CertificateInfo::parse(&from_pem(CERTIFICATE, &text).unwrap()).unwrap()
    };
    let cas = ["device-ca", "device-ca-1"].map(|name| (name, own(name)));
    let issuer = |der: &Vec<u8>| {
        let info = CertificateInfo::parse(der).unwrap();
        let found = cas.iter().find(|(_, ca)| info.is_signed_by(der, ca));
        found.map_or("nobody", |(name, _)| name).to_owned()
    };
    ldevids(world, device).iter().map(issuer).collect()
}

/// The operational certificates of a device as the hub's database has them, oldest first.
fn ldevids(world: &World, device: &str) -> Vec<Vec<u8>> {
    let script = "import sqlite3,sys\n\
                  c=sqlite3.connect('file:'+sys.argv[1]+'?mode=ro',uri=True)\n\
                  q='SELECT hex(der) FROM certificates WHERE device=? AND kind=\"ldevid\"'\n\
                  q+=' ORDER BY not_before_ms'\n\
                  [print(r[0]) for r in c.execute(q,(sys.argv[2],))]";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(world.path("hub/hub.db"))
        .arg(device)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| hex::decode(line).unwrap()).collect()
}

/// What OpenSSL says of a device's newest certificate by the files that a broker has.
fn broker_says(world: &World, device: &str) -> String {
    let newest = ldevids(world, device).pop().unwrap();
    let certificate = world.path(&format!("{device}.ldevid.pem"));
    fs::write(&certificate, to_pem(CERTIFICATE, &newest).unwrap()).unwrap();
    let trusted = ["device-ca.pem", "device-ca.crl.pem"]
        .map(|name| fs::read_to_string(world.path(&format!("broker/{name}"))).unwrap());
    let bundle = world.path("broker.pem");
    fs::write(&bundle, trusted.concat()).unwrap();
    let output = Command::new("openssl")
        .args(["verify", "-crl_check", "-purpose", "sslclient", "-CAfile"])
        .arg(&bundle)
        .arg(&certificate)
        .output()
        .unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// The same for people: each has a certificate of the new one as soon as it is renewed, and the
/// old one's key is worth nothing from the first moment on.
#[test]
fn people_move_to_a_new_operator_ca_as_they_renew_and_the_old_ones_key_is_worth_nothing() {
    let world = World::new();
    let hub = world.open_hub();
    world.ok("user add olga --role operator --invitation olga.invitation --dir operator");
    world.ok("login olga.invitation --dir olga");
    // Somebody keeps a copy of the key that certifies people.
    fs::copy(world.path("hub/keys/operator-ca.sealed"), world.path("stolen.sealed")).unwrap();
    let thief = thief(&world);
    let before = files(&world, "hub");
    world.follow(OPERATOR_CA, 0);
    let rotate = "pki rotate --operator-ca --root root --hub hub --pin-file pin";
    world.run(rotate).refused("already-exists");
    world.run("hub rotate --dir hub").failed("served");
    hub.stop();
    world.follow(OPERATOR_CA, 1);
    assert!(!files(&world, "hub").iter().any(|(name, _)| name.contains("keys/operator-ca-")));
    let kept = |path: &str| before.iter().find(|(name, _)| name.ends_with(path)).unwrap().1.clone();
    let earlier = fs::read(world.path("hub/certs/operator-ca-1.pem")).unwrap();
    assert_eq!(earlier, kept("hub/certs/operator-ca.pem"));

    let hub = world.serve("hub");
    for folder in ["operator", "olga"] {
        world.ok(&format!("device list --dir {folder}"));
        assert_eq!(certified_by(&world, folder), "operator-ca-1");
    }
    world.follow(OPERATOR_CA, 2);
    assert_eq!(certified_by(&world, "operator"), "operator-ca");
    world.ok("device list --dir operator");
    // Who has not renewed is met as before, and who comes now comes by the new one.
    world.ok("device list --dir olga");
    world.ok("user add igor --role viewer --dir operator");
    world.ok("login igor.invitation --dir igor");
    assert_eq!(certified_by(&world, "igor"), "operator-ca");
    // What the thief certified is of a known authority and of nobody.
    let answered = asked_by(&world, &thief);
    assert!(answered.contains("unknown-certificate"), "{answered}");
    hub.stop();

    // Within a year of its end the hub itself says so, of the new one.
    world.set_clock("+1600d");
    let hub = world.serve("hub");
    hub.says("a certificate ends within");
    hub.stop();
    // Once the old one has ended nobody asks about it any more.
    world.set_clock("+1830d");
    let findings = world.run("hub doctor --dir hub --json").out;
    assert!(findings.contains("certs/device-ca.pem") && !findings.contains("operator-ca-1"));
}

/// The key of the audit log is replaced: devices and people notice nothing, and what was exported
/// before and after is of one log.
#[test]
fn the_evidence_key_is_replaced_and_nobody_has_to_be_told() {
    let world = World::new();
    let hub = world.open_hub();
    let agent = world.agent("dev-1", &Conditions::default());
    world.update("1.0", "dev-1", "operator");
    world.ok("audit export before.log --dir operator");
    hub.stop();
    world.follow(EVIDENCE_KEY, 0);
    let hub = world.serve("hub");
    let quiet = world.ok("device list --dir operator");
    assert!(!quiet.err.contains("warning"), "{quiet:?}");
    world.ok("audit export after.log --dir operator");
    for log in ["before.log", "after.log"] {
        world.ok(&format!("audit verify {log} --dir operator"));
    }
    let same =
        |a: &str, b: &str| fs::read(world.path(a)).unwrap() == fs::read(world.path(b)).unwrap();
    assert!(same("operator/evidence.pub", "hub/keys/evidence.pub"));
    assert!(!same("operator/evidence.pub", "operator/evidence-1.pub"));
    // The device has seen the log as well, and takes it for the same.
    world.update("1.1", "dev-1", "operator");
    assert!(world.device("dev-1", "operator")["device"]["alarm"].is_null());
    agent.stop();
    hub.stop();
}

/// Who certified the person of a folder.
fn certified_by(world: &World, folder: &str) -> &'static str {
    let read = |name: &str| {
        let text = fs::read_to_string(world.path(name)).unwrap();
        from_pem(CERTIFICATE, &text).unwrap()
    };
    let settings = fs::read_to_string(world.path(&format!("{folder}/operator.toml"))).unwrap();
    let settings: toml::Table = settings.parse().unwrap();
    let der = read(&format!("{folder}/{}", settings["certificate"].as_str().unwrap()));
    let info = CertificateInfo::parse(&der).unwrap();
    ["operator-ca", "operator-ca-1"]
        .into_iter()
        .find(|name| {
            let ca = CertificateInfo::parse(&read(&format!("hub/certs/{name}.pem"))).unwrap();
            info.is_signed_by(&der, &ca)
        })
        .unwrap_or("nobody")
}

/// Key and certificate, PEM, of somebody whom the stolen key certified.
fn thief(world: &World) -> [std::path::PathBuf; 2] {
    let passphrase = Passphrase::from_file(&world.path("hub/pin")).unwrap();
    let signer = SealedKey::read(&world.path("stolen.sealed")).unwrap().open(&passphrase).unwrap();
    let text = fs::read_to_string(world.path("hub/certs/operator-ca.pem")).unwrap();
    let ca = from_pem(CERTIFICATE, &text).unwrap();
    let issuer = Issuer::new(&ca, std::sync::Arc::new(signer)).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let csr = Csr::parse(request.der()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let profile = Operator { name: "admin", lifetime_days: 30 };
    let issued = issuer.issue_operator(csr.key(), &profile, now.as_secs()).unwrap();
    let paths = ["thief.key", "thief.pem"].map(|name| world.path(name));
    fs::write(&paths[0], key.serialize_pem()).unwrap();
    fs::write(&paths[1], to_pem(CERTIFICATE, &issued.der).unwrap()).unwrap();
    paths
}

/// What the hub answers to somebody with this key and certificate.
fn asked_by(world: &World, [key, certificate]: &[std::path::PathBuf; 2]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--cacert"])
        .arg(world.path("operator/server-ca.pem"))
        .args(["--resolve", &format!("ops.acme.example:8444:{}", world.ip(HUB))])
        .arg("--cert")
        .arg(certificate)
        .arg("--key")
        .arg(key)
        .arg("https://ops.acme.example:8444/api/v1/devices")
        .output()
        .unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

const DEVICE_CA: &str = "Replace the Device CA in time";
const OPERATOR_CA: &str = "Replace the Operator CA in time";
const EVIDENCE_KEY: &str = "Replace the evidence key in time";
