//! The device API with curl as the client: one update from release to confirmation, and refusals.
#![allow(clippy::unwrap_used)]

mod common;

use common::{CLASS, Identity, Request, VENDOR, World, digest};
use ringfort_api::client::Client;
use ringfort_api::model::{NewDeployment, Outcome};
use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_fleet::{Role, State};
use ringfort_messages::{
    AnchorsVersion, CheckIn, CheckInAnswer, ClassStatus, Link, List, Nonce, OrderNumber,
    Protection, ReasonCode, Report, Running, SequenceNumber, StoreKind, Text, TimeRequest,
    UpdateState,
};
use ringfort_suit::{NewComponent, NewRelease};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_goes_from_release_to_confirmation() {
    let world = World::start().await;
    let client = world.client("ada", Role::Admin).await;
    let device = world.ldevid("dev-a");
    let first = check_in(&world, &device, None, None);
    let before = CheckInAnswer::decode(&first).unwrap();

    let payload: Vec<u8> = (0..200_000u32).map(|index| (index / 7) as u8).collect();
    let manifest = publish(&world, &client, &payload, 1_800_000_000).await;
    let new = NewDeployment { manifest: manifest.to_string(), device: None, deadlines: None };
    let Outcome::Done { result: deployment } = client.create_deployment(&new).await.unwrap() else {
        panic!("one person is enough here")
    };
    assert_eq!(get(&world, &device, "manifests", &manifest).reason(), Reason::NotFound);

    let answer = check_in(&world, &device, Some(before.link), None);
    let answer = CheckInAnswer::decode(&answer).unwrap();
    let order = order_of(&world, answer.token);
    assert_eq!(order.manifest, manifest);

    let envelope = get(&world, &device, "manifests", &manifest);
    assert_eq!(envelope.header("content-type"), "application/suit-envelope+cose");
    let parsed = ringfort_suit::Envelope::parse(&envelope.body, &AwsLc).unwrap();
    assert_eq!(parsed.manifest_digest(), manifest);

    let object = digest(&payload);
    let whole = get(&world, &device, "objects", &object);
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"));
    assert!(whole.body == payload);
    let part = range(&world, &device, &object, "bytes=150000-");
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range"), "bytes 150000-199999/200000");
    assert!(part.body == payload[150_000..]);
    let beyond = range(&world, &device, &object, "bytes=200000-");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */200000"));
    assert_eq!(beyond.reason(), Reason::Malformed);

    // Another device has no order and sees nothing.
    let other = world.ldevid("dev-b");
    assert_eq!(get(&world, &other, "objects", &object).reason(), Reason::NotFound);
    assert_eq!(get(&world, &other, "manifests", &manifest).reason(), Reason::NotFound);

    for state in [UpdateState::Downloading, UpdateState::Written, UpdateState::Trial] {
        let report = report(order.number, manifest, state);
        // The same report twice is the same as once.
        for _ in 0..2 {
            let answer = post(&world, Some(&device), "report", report.encode().unwrap());
            assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
        }
    }
    let held = client.device("dev-a").await.unwrap().updates;
    assert_eq!(held[0].state, "trial", "written and booted is not confirmed");

    let confirmed = report(order.number, manifest, UpdateState::Confirmed);
    assert_eq!(post(&world, Some(&device), "report", confirmed.encode().unwrap()).status, 204);
    let running = Running {
        sequence: SequenceNumber(1_800_000_000),
        manifest,
        version: Text::new("1.1").unwrap(),
    };
    check_in(&world, &device, Some(answer.link), Some(running));
    let details = client.device("dev-a").await.unwrap();
    assert_eq!(details.updates[0].state, "confirmed");
    assert_eq!(details.running[0].version, "1.1");
    let targets = client.targets(&deployment.id, &Default::default()).await.unwrap();
    assert!(targets.items.iter().any(|target| target.device == "dev-a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_is_signed_for_both_certificates_and_anchors_are_for_everyone() {
    let world = World::start().await;
    let request = || TimeRequest { nonce: Nonce([9; 16]) }.encode().unwrap();
    for identity in [world.idevid("dev-a"), world.ldevid("dev-b")] {
        let answer = post(&world, Some(&identity), "time", request());
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/cbor"));
        assert!(!answer.body.is_empty());
    }
    assert_eq!(post(&world, None, "time", request()).reason(), Reason::NoClientCertificate);

    let anchors = world.device("/v1/anchors/1").send();
    assert_eq!(anchors.status, 200);
    assert!(anchors.body == world.anchors);
    for version in ["0", "2", "18446744073709551616", "-1", "x"] {
        let answer = world.device(&format!("/v1/anchors/{version}")).send();
        assert_eq!(answer.reason(), Reason::NotFound, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c17_only_an_operational_certificate_of_a_known_device_is_heard() {
    let world = World::start().await;
    let device = world.ldevid("dev-a");
    let operator = world.add_operator("ada", Role::Admin).await;
    let body = || check_in_body(None, None);
    let cases = [
        (None, Reason::NoClientCertificate),
        (Some(world.idevid("dev-a")), Reason::WrongCertificateKind),
        (Some(operator), Reason::UnknownCertificate),
    ];
    for (identity, reason) in &cases {
        for path in ["check-in", "report"] {
            let answer = post(&world, identity.as_ref(), path, body());
            assert_eq!(answer.reason(), *reason, "{path}");
        }
        let digest = "00".repeat(32);
        for path in ["manifests", "objects"] {
            let mut request = world.device(&format!("/v1/{path}/{digest}"));
            if let Some(identity) = identity {
                request = request.with(identity);
            }
            assert_eq!(request.send().reason(), *reason, "{path}");
        }
    }
    assert_eq!(post(&world, Some(&device), "check-in", body()).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_not_exactly_a_check_in_are_refused() {
    let world = World::start().await;
    let device = world.ldevid("dev-a");
    let good = check_in_body(None, None);
    let mut unknown = good.clone();
    unknown[0] += 1;
    unknown.extend([0x18, 0x63, 0x00]);
    let mut trailing = good.clone();
    trailing.push(0);
    let mut indefinite = good.clone();
    indefinite[0] = 0xBF;
    indefinite.push(0xFF);
    let cases = [
        (vec![], Reason::Malformed, 400),
        (vec![0xA0], Reason::Malformed, 400),
        (vec![0x80], Reason::Malformed, 400),
        (unknown, Reason::UnknownField, 400),
        (trailing, Reason::Malformed, 400),
        (indefinite, Reason::Malformed, 400),
        (good[..good.len() - 1].to_vec(), Reason::Malformed, 400),
        (vec![0x40; CheckIn::MAX_LEN + 1], Reason::TooLarge, 413),
        (vec![0x40; 1_000_000], Reason::TooLarge, 413),
    ];
    for (body, reason, status) in cases {
        let begin = body.iter().take(4).copied().collect::<Vec<_>>();
        let answer = post(&world, Some(&device), "check-in", body);
        assert_eq!((answer.reason(), answer.status), (reason, status), "{begin:x?}");
    }
    let request = || world.device("/v1/check-in").with(&device);
    let typed = request().post("application/json", good.clone()).send();
    assert_eq!((typed.reason(), typed.status), (Reason::WrongContentType, 415));
    let method = request().send();
    assert_eq!((method.reason(), method.status), (Reason::WrongMethod, 405));
    let put = request().body("PUT", "application/cbor", good.clone()).send();
    assert_eq!(put.reason(), Reason::WrongMethod);
    assert_eq!(world.device("/v2/check-in").with(&device).send().reason(), Reason::NotFound);
    let digest = world.device("/v1/objects/xyz").with(&device).send();
    assert_eq!(digest.reason(), Reason::Malformed);
    assert_eq!(post(&world, Some(&device), "check-in", good).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloned_device_falls_out_and_is_told_why() {
    let world = World::start().await;
    let device = world.ldevid("dev-a");
    let first = CheckInAnswer::decode(&check_in(&world, &device, None, None)).unwrap().link;
    let second = CheckInAnswer::decode(&check_in(&world, &device, Some(first), None)).unwrap().link;
    CheckInAnswer::decode(&check_in(&world, &device, Some(second), None)).unwrap();
    // A copy of the disk comes with the first link.
    let clone = post(&world, Some(&device), "check-in", check_in_body(Some(first), None));
    assert_eq!((clone.reason(), clone.status), (Reason::CloneSuspected, 403));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_device_gets_time_and_a_retired_one_nothing() {
    let world = World::start().await;
    let (a, b) = (world.ldevid("dev-a"), world.ldevid("dev-b"));
    world.move_to("dev-a", State::Suspended).await;
    world.move_to("dev-b", State::Retired).await;
    let time = || TimeRequest { nonce: Nonce([9; 16]) }.encode().unwrap();
    assert_eq!(post(&world, Some(&a), "time", time()).status, 200);
    let retired = post(&world, Some(&b), "time", time());
    assert!(
        matches!(retired.reason(), Reason::LifecycleForbids | Reason::CertificateRevoked),
        "{retired:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crls_are_for_everyone_and_openssl_reads_them() {
    let world = World::start().await;
    let device = world.ldevid("dev-a");
    world.move_to("dev-a", State::Suspended).await;
    let pem = std::fs::read_to_string(&device.certificate).unwrap();
    let der = ringfort_pki::from_pem(ringfort_pki::CERTIFICATE, &pem).unwrap();
    let serial = ringfort_pki::CertificateInfo::parse(&der).unwrap().serial;
    let path = format!("/crl/{}.crl", serial.shard(2));
    let wanted = serial.to_string().to_uppercase();
    // It is signed anew shortly after the change.
    let listed = async {
        loop {
            let answer = world.device(&path).send();
            assert_eq!(answer.header("content-type"), "application/pkix-crl");
            let text = common::openssl(&["crl", "-inform", "DER", "-noout", "-text"], &answer.body);
            let text = String::from_utf8(text).unwrap();
            if text.contains(&wanted) {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let text = tokio::time::timeout(std::time::Duration::from_secs(120), listed).await.unwrap();
    assert!(text.contains("Certificate Hold"), "{text}");
    for path in ["/crl/2.crl", "/crl/0", "/crl/x.crl", "/crl/-1.crl"] {
        assert_eq!(world.device(path).send().reason(), Reason::NotFound, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_signs_the_crls_of_its_own_shards_and_they_hold_all_of_them() {
    let world = World::start().await;
    for device in ["dev-a", "dev-b"] {
        world.ldevid(device);
        world.move_to(device, State::Suspended).await;
    }
    let listed = |crl: &ringfort_pki::Crl| {
        let text = common::openssl(&["crl", "-inform", "DER", "-noout", "-text"], &crl.der);
        let text = String::from_utf8(text).unwrap();
        let serials = text.lines().filter(|line| line.contains("Serial Number:"));
        serials.map(str::to_owned).collect::<Vec<_>>()
    };
    let all = world.fleet.crls().await.unwrap();
    assert_eq!(all.iter().map(|crl| listed(crl).len()).sum::<usize>(), 2);
    for device in ["dev-a", "dev-b"] {
        let device = ringfort_messages::DeviceId::new(device).unwrap();
        let changed = world.fleet.crls_of(&[device].into()).await.unwrap();
        assert_eq!(changed.len(), 1);
        let same = &all[usize::from(changed[0].shard)];
        assert_eq!(listed(&changed[0]), listed(same));
        assert!(changed[0].number > same.number);
    }
    let nobody = ringfort_messages::DeviceId::new("dev-x").unwrap();
    assert!(world.fleet.crls_of(&[nobody].into()).await.unwrap().is_empty());
}

struct Order {
    number: OrderNumber,
    manifest: Sha256Digest,
}

fn order_of(world: &World, token: &[u8]) -> Order {
    let anchors =
        ringfort_trust::Anchors::verify_first(&world.anchors, &digest(&world.anchors), &AwsLc)
            .unwrap();
    let token = ringfort_trust::Token::verify(token, &anchors, &AwsLc).unwrap();
    match token.claims().content {
        ringfort_trust::Content::Order(order) => match order.task {
            ringfort_trust::Task::Install { manifest } => Order { number: order.number, manifest },
            other => panic!("{other:?}"),
        },
        other => panic!("no order: {other:?}"),
    }
}

async fn publish(world: &World, client: &Client, payload: &[u8], sequence: u64) -> Sha256Digest {
    let file = world.path("payload");
    std::fs::write(&file, payload).unwrap();
    let object = digest(payload);
    let stored = client.put_object(&object, &file).await.unwrap();
    assert_eq!((stored.size_bytes, stored.present), (payload.len() as u64, false));
    let release = NewRelease {
        sequence_number: sequence,
        version: "1.1".into(),
        components: vec![NewComponent {
            id: vec![b"app".to_vec()],
            vendor: VENDOR.0,
            class: CLASS.0,
            digest: object,
            size_bytes: payload.len() as u64,
            uri: format!("sha256:{object}"),
        }],
        ..NewRelease::default()
    };
    let mut envelope = release.build(&AwsLc).unwrap();
    for key in &world.release_keys[..2] {
        envelope = ringfort_suit::sign(&AwsLc, key, &envelope).unwrap();
    }
    let release = client.add_release(envelope).await.unwrap();
    Sha256Digest::from_hex(&release.manifest).unwrap()
}

fn check_in_body(link: Option<Link>, running: Option<Running>) -> Vec<u8> {
    let floor = running.map_or(SequenceNumber(0), |running| running.sequence);
    CheckIn {
        nonce: Nonce([5; 16]),
        last_order: OrderNumber(0),
        link,
        anchors: AnchorsVersion(1),
        agent: Text::new("test 0").unwrap(),
        protection: Protection {
            store: StoreKind::SealedFile,
            hardware_keys: false,
            hardware_counter: false,
        },
        classes: List::from_slice(&[ClassStatus { class: CLASS, floor, running }]).unwrap(),
        update: None,
        audit: None,
    }
    .encode()
    .unwrap()
}

fn check_in(
    world: &World,
    device: &Identity,
    link: Option<Link>,
    running: Option<Running>,
) -> Vec<u8> {
    let answer = post(world, Some(device), "check-in", check_in_body(link, running));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn report(order: OrderNumber, manifest: Sha256Digest, state: UpdateState) -> Report {
    Report {
        order,
        class: CLASS,
        sequence: SequenceNumber(1_800_000_000),
        manifest,
        state,
        reason: state.has_reason().then(|| ReasonCode::from(Reason::HealthCheckFailed)),
        detail: Text::EMPTY,
        version: Text::new("1.1").unwrap(),
    }
}

fn post(world: &World, identity: Option<&Identity>, path: &str, body: Vec<u8>) -> common::Answer {
    let request = world.device(&format!("/v1/{path}")).post("application/cbor", body);
    with(request, identity).send()
}

fn get(world: &World, device: &Identity, what: &str, digest: &Sha256Digest) -> common::Answer {
    world.device(&format!("/v1/{what}/{digest}")).with(device).send()
}

fn range(world: &World, device: &Identity, digest: &Sha256Digest, range: &str) -> common::Answer {
    let header = format!("range: {range}");
    world.device(&format!("/v1/objects/{digest}")).with(device).header(&header).send()
}

fn with(request: Request, identity: Option<&Identity>) -> Request {
    match identity {
        Some(identity) => request.with(identity),
        None => request,
    }
}
