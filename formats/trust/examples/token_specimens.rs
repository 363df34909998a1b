//! Prints one specimen of each signed object as JSON, with fresh keys, for checkers that others
//! wrote (tests/python/check_cwt.py).

use ringfort_cose::{AwsLc, PublicKey, Sha256Digest, Sign, SoftSigner};
use ringfort_trust::ids::{
    AnchorsVersion, ClassId, DeviceId, FleetId, Nonce, OrderNumber, SiteId, UnixTime, VendorId,
};
use ringfort_trust::{
    AnchorsSpec, AuditHead, CommandAction, CommandClaims, Content, KeySpec, Order, ProductSpec,
    Role, Task, TokenClaims,
};
use serde_json::{Value, json};

const FLEET: FleetId = FleetId([0xf1; 16]);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let anchor = [SoftSigner::generate_p256()?, SoftSigner::generate_ed25519()?];
    let release = SoftSigner::generate_p256()?;
    let order = SoftSigner::generate_p256()?;
    let command = [SoftSigner::generate_ed25519()?, SoftSigner::generate_p256()?];
    let device = DeviceId::new("dev-a")?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();

    let anchors = AnchorsSpec {
        fleet: FLEET,
        version: AnchorsVersion(1),
        time_floor: UnixTime(now),
        keys: vec![
            KeySpec::new(Role::Anchor, anchor[0].public_key(), "ann"),
            KeySpec::new(Role::Anchor, anchor[1].public_key(), "ben"),
            KeySpec::new(Role::Order, order.public_key(), ""),
            KeySpec::new(Role::Command, command[0].public_key(), ""),
            KeySpec::new(Role::Command, command[1].public_key(), ""),
            KeySpec::station(
                SoftSigner::generate_p256()?.public_key(),
                "",
                SiteId::new("plant-1")?,
            ),
        ],
        anchor_threshold: 2,
        command_threshold: 2,
        products: vec![ProductSpec {
            vendor: VendorId([1; 16]),
            class: ClassId([2; 16]),
            vendor_name: "example.com".into(),
            class_name: "lamp".into(),
            threshold: 1,
            keys: vec![KeySpec::new(Role::Release, release.public_key(), "")],
        }],
        server_cas: vec![vec![0x30; 64]],
        hub: "https://hub.example".into(),
        spare: None,
        revoked: vec![],
    };
    let claims = TokenClaims {
        fleet: FLEET,
        device,
        issued: UnixTime(now),
        expires: UnixTime(now + 86_400),
        nonce: Some(Nonce([5; 16])),
        content: Content::Order(Order {
            number: OrderNumber(7),
            task: Task::Install { manifest: Sha256Digest([3; 32]) },
            min_anchors: AnchorsVersion(1),
        }),
    };
    let audit = AuditHead { size: 9, root: Sha256Digest([4; 32]) };
    let time = TokenClaims { content: Content::Time(audit), ..claims };
    let wipe = CommandClaims {
        fleet: FLEET,
        device,
        issued: UnixTime(now),
        expires: UnixTime(now + 86_400),
        number: OrderNumber(8),
        action: CommandAction::WipeOperational,
        nonce: None,
    };
    let specimens = json!({
        "anchors": specimen(
            "anchors",
            &anchors.sign(&AwsLc, &[&anchor[0], &anchor[1]])?,
            &[&anchor[0], &anchor[1]],
        ),
        "order": specimen("order", &claims.sign(&AwsLc, &order)?, &[&order]),
        "time": specimen("order", &time.sign(&AwsLc, &order)?, &[&order]),
        "command": specimen(
            "command",
            &wipe.sign(&AwsLc, &[&command[0], &command[1]])?,
            &[&command[0], &command[1]],
        ),
        "now": now,
        "device": device.as_str(),
        "fleet": FLEET.to_string(),
    });
    println!("{specimens:#}");
    Ok(())
}

fn specimen(object: &str, bytes: &[u8], signers: &[&dyn Sign]) -> Value {
    let keys: Vec<Value> = signers
        .iter()
        .map(|signer| {
            let key = signer.public_key();
            let kind = match key {
                PublicKey::P256(_) => "P-256",
                PublicKey::Ed25519(_) => "Ed25519",
            };
            let thumbprint = key.thumbprint(&AwsLc);
            json!({
                "kind": kind,
                "key": hex::encode(key.as_bytes()),
                "thumbprint": thumbprint.to_string(),
            })
        })
        .collect();
    json!({ "type": object, "bytes": hex::encode(bytes), "keys": keys })
}
