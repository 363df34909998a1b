//! docs/device-api.md and docs/formats.md say what the code does.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use ringfort_cose::cbor::Limits;
use ringfort_cose::{AwsLc, Reason, Sha256Digest, Sign, SoftSigner, Verify};
use ringfort_messages::{
    AnchorsVersion, AuditHead, Batch, Chain, CheckIn, CheckInAnswer, ClassId, ClassStatus,
    DeviceId, FleetId, IdentityAnswer, IdentityRequest, Link, LinkId, List, Nonce, OrderNumber,
    Problem, Protection, Report, Running, SequenceNumber, StoreKind, Text, TimeRequest, UnixTime,
    UpdateState,
};
use ringfort_trust::{
    Command, Content, Document, KeyEntry, Order, Product, Task, Token, TokenClaims, TrustedKeys,
};

const FLEET: FleetId = FleetId([
    0x6b, 0xa7, 0xb8, 0x14, 0x9d, 0xad, 0x41, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
]);
const CLASS: ClassId = ClassId([
    0x14, 0x92, 0xaf, 0x14, 0x25, 0x69, 0x5e, 0x48, 0xbf, 0x42, 0x9b, 0x2d, 0x51, 0xf2, 0xab, 0x45,
]);
const NONCE: Nonce = Nonce(*b"0123456789abcdef");
const ISSUED: UnixTime = UnixTime(1_800_000_000);

/// The key of test 1 in RFC 8032 section 7.1, as PKCS#8: known to everyone, good for documents.
fn published_key() -> SoftSigner {
    let head = "302e020100300506032b657004220420";
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    SoftSigner::from_pkcs8(&hex::decode(format!("{head}{seed}")).unwrap()).unwrap()
}

fn examples() -> BTreeMap<&'static str, Vec<u8>> {
    let key = published_key();
    let device = DeviceId::new("dev-a").unwrap();
    let manifest = Sha256Digest([0x5a; 32]);
    let claims = |content| TokenClaims {
        fleet: FLEET,
        device,
        issued: ISSUED,
        expires: UnixTime(ISSUED.0 + 86_400),
        nonce: Some(NONCE),
        content,
    };
    let time = claims(Content::Time(AuditHead { size: 41, root: Sha256Digest([0xa1; 32]) }));
    let number = OrderNumber(1_800_000_000_123);
    let order = claims(Content::Order(Order {
        number,
        task: Task::Install { manifest },
        min_anchors: AnchorsVersion(1),
    }));
    let time = time.sign(&AwsLc, &key).unwrap();
    let order = order.sign(&AwsLc, &key).unwrap();
    let check_in = CheckIn {
        nonce: NONCE,
        last_order: OrderNumber(0),
        link: None,
        anchors: AnchorsVersion(1),
        agent: Text::new("example-agent 1").unwrap(),
        protection: Protection {
            store: StoreKind::SealedFile,
            hardware_keys: false,
            hardware_counter: false,
        },
        classes: List::from_slice(&[ClassStatus {
            class: CLASS,
            floor: SequenceNumber(1_790_000_000),
            running: Some(Running {
                sequence: SequenceNumber(1_790_000_000),
                manifest: Sha256Digest([0x4a; 32]),
                version: Text::new("1.0").unwrap(),
            }),
        }])
        .unwrap(),
        update: None,
        audit: None,
    };
    let link = LinkId { counter: 1, random: *b"fedcba9876543210" };
    let answer = CheckInAnswer {
        token: &order,
        command: None,
        // HMAC-SHA-256 under 32 zero bytes: no hub has this key.
        link: Link::issue(link, &device, |parts| {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[0; 32]);
            aws_lc_rs::hmac::sign(&key, &parts.concat()).as_ref().try_into().unwrap()
        }),
        newest_anchors: AnchorsVersion(1),
        interval_seconds: 300,
    };
    let report = Report {
        order: number,
        class: CLASS,
        sequence: SequenceNumber(1_800_000_000),
        manifest,
        state: UpdateState::Confirmed,
        reason: None,
        detail: Text::EMPTY,
        version: Text::new("1.1").unwrap(),
    };
    let reverted = Report {
        state: UpdateState::Reverted,
        reason: Some(Reason::HealthCheckFailed.into()),
        detail: Text::new("GET /health: 503").unwrap(),
        version: Text::new("1.0").unwrap(),
        ..report
    };
    let problem = Problem {
        code: Reason::LifecycleForbids.into(),
        detail: Text::new("dev-a is suspended").unwrap(),
        exchange: Text::new("1f0e7c2a9d3b4c5e8f60718293a4b5c6").unwrap(),
    };
    BTreeMap::from([
        ("time-request", TimeRequest { nonce: NONCE }.encode().unwrap()),
        ("signed-time", time),
        ("check-in", check_in.encode().unwrap()),
        ("order", order.clone()),
        ("check-in-answer", answer.encode().unwrap()),
        ("report-confirmed", report.encode().unwrap()),
        ("report-reverted", reverted.encode().unwrap()),
        ("problem", problem.encode().unwrap()),
    ])
}

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The blocks that follow a line `<!-- example NAME -->`.
fn blocks(document: &str) -> BTreeMap<&str, Vec<u8>> {
    document
        .split("<!-- example ")
        .skip(1)
        .map(|part| {
            let (name, rest) = part.split_once(" -->").unwrap();
            let block = rest.split("```").nth(1).unwrap();
            let digits: String = block.split_whitespace().collect();
            (name, hex::decode(digits).unwrap())
        })
        .collect()
}

#[test]
fn every_example_in_the_device_api_is_what_the_code_writes() {
    let document = document("device-api.md");
    let written = blocks(&document);
    let made = examples();
    let stale: String = made
        .iter()
        .filter(|(name, bytes)| written.get(*name) != Some(bytes))
        .map(|(name, bytes)| format!("<!-- example {name} -->\n```\n{}```\n", lines(bytes)))
        .collect();
    assert!(stale.is_empty(), "docs/device-api.md should read\n{stale}");
    assert_eq!(written.len(), made.len());
    // What the document says of the key.
    let key = published_key();
    assert!(document.contains(&hex::encode(key.public_key().as_bytes())));
    let signed = ringfort_cose::Sign1::parse_object(&made["order"], ringfort_trust::ORDER).unwrap();
    let verified = signed.verify_object(&AwsLc, ringfort_trust::ORDER, &key.public_key());
    assert!(verified.is_ok());
    assert!(document.contains(&key.public_key().thumbprint(&AwsLc).to_string()));
    assert!(document.contains(&AwsLc.sha256(&[&made["order"]]).to_string()));
}

fn lines(bytes: &[u8]) -> String {
    let digits = hex::encode(bytes);
    let lines = digits.as_bytes().chunks(76);
    lines.map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect()
}

#[test]
fn every_code_in_the_device_api_is_a_reason_code() {
    let document = document("device-api.md");
    let section = document.split("\n## Errors\n").nth(1).unwrap();
    let table = section.split("\n## ").next().unwrap();
    let codes: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(codes.len() > 20);
    for code in &codes {
        assert!(Reason::from_code(code).is_some(), "{code}");
    }
}

#[test]
fn every_bound_in_the_formats_is_the_one_in_the_code() {
    let bounds: BTreeMap<&str, u64> = BTreeMap::from([
        ("Document::MAX_LEN", Document::MAX_LEN as u64),
        ("Document::MAX_KEYS", Document::MAX_KEYS),
        ("TrustedKeys::MAX", TrustedKeys::MAX as u64),
        ("Document::MAX_PRODUCTS", Document::MAX_PRODUCTS),
        ("Document::MAX_SERVER_CAS", Document::MAX_SERVER_CAS),
        ("Document::MAX_CERTIFICATE_LEN", Document::MAX_CERTIFICATE_LEN as u64),
        ("Document::MAX_REVOKED", Document::MAX_REVOKED),
        ("Document::MAX_ADDRESS_LEN", Document::MAX_ADDRESS_LEN as u64),
        ("KeyEntry::MAX_NAME", KeyEntry::MAX_NAME as u64),
        ("Product::MAX_NAME", Product::MAX_NAME as u64),
        ("Token::MAX_LEN", Token::MAX_LEN as u64),
        ("Token::MAX_LIFE_SECONDS", Token::MAX_LIFE_SECONDS),
        ("Command::MAX_LEN", Command::MAX_LEN as u64),
        ("Command::MAX_LIFE_SECONDS", Command::MAX_LIFE_SECONDS),
        ("TimeRequest::MAX_LEN", TimeRequest::MAX_LEN as u64),
        ("CheckIn::MAX_LEN", CheckIn::MAX_LEN as u64),
        ("CheckIn::MAX_CLASSES", CheckIn::MAX_CLASSES as u64),
        ("CheckInAnswer::MAX_LEN", CheckInAnswer::MAX_LEN as u64),
        ("CheckInAnswer::MAX_INTERVAL_SECONDS", CheckInAnswer::MAX_INTERVAL_SECONDS.into()),
        ("Report::MAX_LEN", Report::MAX_LEN as u64),
        ("Problem::MAX_LEN", Problem::MAX_LEN as u64),
        ("IdentityRequest::MAX_LEN", IdentityRequest::MAX_LEN as u64),
        ("IdentityRequest::MAX_CSR_LEN", IdentityRequest::MAX_CSR_LEN as u64),
        ("IdentityAnswer::MAX_LEN", IdentityAnswer::MAX_LEN as u64),
        ("Chain::MAX", Chain::MAX as u64),
        ("Chain::MAX_CERTIFICATE_LEN", Chain::MAX_CERTIFICATE_LEN as u64),
        ("Batch::MAX_LEN", Batch::MAX_LEN as u64),
        ("Batch::MAX_RECORDS", Batch::MAX_RECORDS),
        ("Limits::DEPTH", Limits::DEPTH as u64),
        ("Limits::OBJECT.length", Limits::OBJECT.length as u64),
        ("Limits::OBJECT.map_entries", Limits::OBJECT.map_entries),
    ]);
    let document = document("formats.md");
    let table = document.split("\n## Bounds\n").nth(1).unwrap();
    let rows: BTreeMap<&str, u64> = table
        .lines()
        .filter_map(|line| {
            let (name, value) = line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")?;
            Some((name, value.parse().unwrap()))
        })
        .collect();
    assert_eq!(rows, bounds);
}
