//! The operator interface: roles, bounds, pages, the audit log.
#![allow(clippy::unwrap_used)]

mod common;

use common::World;
use ringfort_api::client::{After, Client, ClientError, DeviceFilter};
use ringfort_api::model::{NewDeployment, NewOfflineOrder, NewOperator};
use ringfort_cose::{PublicKey, Reason, Sha256Digest};
use ringfort_fleet::Role;
use ringfort_pki::{CERTIFICATE, SubjectKey, to_pem};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_does_what_it_may_and_no_more() {
    let world = World::start().await;
    let file = world.path("object");
    std::fs::write(&file, b"payload").unwrap();
    let object = common::digest(b"payload");
    for (name, role) in [
        ("vic", Role::Viewer),
        ("pia", Role::Publisher),
        ("olga", Role::Operator),
        ("ada", Role::Admin),
    ] {
        let client = world.client(name, role).await;
        assert!(client.status().await.unwrap().devices.contains_key("provisioned"));
        let publishes = reason(client.put_object(&object, &file).await);
        let deploys = reason(client.create_deployment(&no_release()).await);
        let moves = reason(client.move_device("dev-z", "retired", "test").await);
        let administers = reason(client.add_operator(&nobody()).await);
        let forbidden = Some(Reason::RoleForbids);
        assert_eq!(
            publishes == forbidden,
            !matches!(role, Role::Publisher | Role::Admin),
            "{role}"
        );
        assert_eq!(deploys == forbidden, !matches!(role, Role::Operator | Role::Admin), "{role}");
        assert_eq!(moves == forbidden, !matches!(role, Role::Operator | Role::Admin), "{role}");
        assert_eq!(administers == forbidden, role != Role::Admin, "{role}");
    }
}

/// The order for a medium, over the API: who gets one, and what is no wish for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_a_medium_is_given_to_operators_and_only_for_what_is_open() {
    let world = World::start().await;
    let day = NewOfflineOrder { life_s: 86_400 };
    for (name, role, expected) in [
        ("vic", Role::Viewer, Reason::RoleForbids),
        ("pia", Role::Publisher, Reason::RoleForbids),
        ("olga", Role::Operator, Reason::NotFound),
        ("ada", Role::Admin, Reason::NotFound),
    ] {
        let client = world.client(name, role).await;
        assert_eq!(reason(client.offline_order("dev-a", &day).await), Some(expected), "{role}");
    }
    let eve = world.add_operator("eve", Role::Operator).await;
    let path = "/api/v1/devices/dev-a/offline-order";
    let post = |body: &str| {
        world.operator(path).with(&eve).post("application/json", body.as_bytes().to_vec()).send()
    };
    for (body, expected, status) in [
        (r#"{"life_s":0}"#, Reason::Malformed, 400),
        (r#"{"life_s":2592001}"#, Reason::Malformed, 400),
        (r#"{"life_s":-1}"#, Reason::Malformed, 400),
        ("{}", Reason::Malformed, 400),
        (r#"{"life_s":60,"nonce":"00"}"#, Reason::UnknownField, 400),
        (r#"{"life_s":60}"#, Reason::NotFound, 404),
    ] {
        let answer = post(body);
        assert_eq!((answer.reason(), answer.status), (expected, status), "{body}: {answer:?}");
    }
    let get = world.operator(path).with(&eve).send();
    assert_eq!(get.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_whose_access_has_ended_is_refused_on_an_open_connection() {
    let world = World::start().await;
    let admin = world.client("ada", Role::Admin).await;
    let other = world.client("olga", Role::Operator).await;
    other.status().await.unwrap();
    let operators = admin.operators(&After::default()).await.unwrap().items;
    let olga = operators.iter().find(|operator| operator.name == "olga").unwrap();
    admin.remove_operator(&olga.fingerprint).await.unwrap();
    // The hub closes that connection too, which may come between a request and its answer. It closes
    // it once: the next connection is heard, and refused.
    let refused = match other.status().await {
        Err(ClientError::Unreachable { .. }) => other.status().await,
        first => first,
    };
    assert_eq!(reason(refused), Some(Reason::CertificateRevoked));
    admin.status().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_added_with_a_certificate_made_elsewhere() {
    let world = World::start().await;
    let admin = world.client("ada", Role::Admin).await;
    let key = common::signer();
    let subject = SubjectKey::try_from(&key.public_key()).unwrap();
    let certificate = world.operator_certificate("olga", &subject);
    let new = NewOperator {
        name: "olga".into(),
        role: "operator".into(),
        certificate: Some(to_pem(CERTIFICATE, &certificate).unwrap()),
        request: None,
    };
    admin.add_operator(&new).await.unwrap();
    let olga = Client::new(ringfort_api::client::ClientOptions {
        address: format!("localhost:{}", world.operator_port),
        server_cas: vec![world.server_ca.clone()],
        certificate,
        key,
    })
    .unwrap();
    olga.status().await.unwrap();
    assert_eq!(reason(admin.add_operator(&new).await), Some(Reason::AlreadyExists));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_trust_the_server_sends_nothing() {
    let world = World::start().await;
    let key = common::signer();
    let subject = SubjectKey::try_from(&key.public_key()).unwrap();
    let client = Client::new(ringfort_api::client::ClientOptions {
        address: format!("localhost:{}", world.operator_port),
        server_cas: vec![world.device_ca.certificate_der().to_vec()],
        certificate: world.operator_certificate("ada", &subject),
        key,
    })
    .unwrap();
    let refused = client.status().await.unwrap_err();
    assert!(matches!(refused, ringfort_api::client::ClientError::Unreachable { .. }), "{refused}");
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_not_exactly_right_are_refused() {
    let world = World::start().await;
    let ada = world.add_operator("ada", Role::Admin).await;
    let json = |path: &str, body: &str| {
        world.operator(path).with(&ada).post("application/json", body.as_bytes().to_vec()).send()
    };
    let get = |path: &str| world.operator(path).with(&ada).send();
    let (moved, deployments) = ("/api/v1/devices/dev-a/move", "/api/v1/deployments");
    let long = format!(r#"{{"to":"retired","note":"{}"}}"#, "x".repeat(64 * 1024));
    let table = [
        (json(moved, r#"{"to":"retired","note":"x","force":true}"#), Reason::UnknownField, 400),
        (json(moved, r#"{"to":"retired"}"#), Reason::Malformed, 400),
        (json(moved, r#"{"to":"broken","note":"x"}"#), Reason::Malformed, 400),
        (json(moved, "{"), Reason::Malformed, 400),
        (json(moved, &long), Reason::TooLarge, 413),
        (
            json("/api/v1/devices/dev-z/move", r#"{"to":"retired","note":""}"#),
            Reason::NotFound,
            404,
        ),
        (
            json(deployments, r#"{"manifest":"00","device":null,"deadlines":null}"#),
            Reason::Malformed,
            400,
        ),
        (get("/api/v1/devices?colour=red"), Reason::UnknownField, 400),
        (get("/api/v1/devices?limit=0"), Reason::Malformed, 400),
        (get("/api/v1/devices?limit=1001"), Reason::Malformed, 400),
        (get("/api/v1/devices?limit=x"), Reason::Malformed, 400),
        (get("/api/v1/devices/dev-z"), Reason::NotFound, 404),
        (get("/api/v1/devices/a%2Fb"), Reason::Malformed, 400),
        (get("/api/v2/devices"), Reason::NotFound, 404),
        (get(moved), Reason::WrongMethod, 405),
        (
            world.operator(moved).with(&ada).post("text/plain", b"{}".to_vec()).send(),
            Reason::WrongContentType,
            415,
        ),
        (
            world
                .operator("/api/v1/factory/batches")
                .with(&ada)
                .post("application/cbor", vec![0xA0])
                .send(),
            Reason::WrongType,
            400,
        ),
    ];
    for (index, (answer, reason, status)) in table.into_iter().enumerate() {
        assert_eq!((answer.reason(), answer.status), (reason, status), "{index}: {answer:?}");
    }
    assert_eq!(get("/api/v1/devices?limit=1000").status, 200);
    assert_eq!(
        json(moved, r#"{"to":"suspended","note":"lost"}"#).status,
        409,
        "it is not in the field"
    );
    assert_eq!(json(moved, r#"{"to":"retired","note":"lost"}"#).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_not_what_it_is_called_is_not_kept() {
    let world = World::start().await;
    let client = world.client("pia", Role::Publisher).await;
    let file = world.path("object");
    std::fs::write(&file, vec![7; 3_000_000]).unwrap();
    let (right, wrong) = (common::digest(&vec![7; 3_000_000]), Sha256Digest([0; 32]));
    assert_eq!(reason(client.put_object(&wrong, &file).await), Some(Reason::ImageDigest));
    let stored = client.put_object(&right, &file).await.unwrap();
    assert!(!stored.present);
    assert!(client.put_object(&right, &file).await.unwrap().present);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_in_pages_that_lead_to_the_end() {
    let world = World::start().await;
    let client = world.client("vic", Role::Viewer).await;
    world.client("ada", Role::Admin).await;
    let (mut ids, mut after) = (Vec::new(), After { after: None, limit: Some(1) });
    loop {
        let page = client.devices(&DeviceFilter::default(), &after).await.unwrap();
        assert!(page.items.len() <= 1);
        ids.extend(page.items.into_iter().map(|device| device.id));
        match page.next {
            Some(next) => after.after = Some(next),
            None => break,
        }
    }
    assert_eq!(ids, ["dev-a", "dev-b"]);
    let first = client.operators(&After { after: None, limit: Some(1) }).await.unwrap();
    let second = client.operators(&After { after: first.next, limit: Some(1) }).await.unwrap();
    assert_ne!(first.items, second.items);
    assert_eq!((second.items.len(), second.next), (1, None));
    let filter = DeviceFilter { state: Some("retired".into()), ..DeviceFilter::default() };
    assert!(client.devices(&filter, &After::default()).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_verifies_without_the_hub_and_one_altered_entry_does_not() {
    let world = World::start().await;
    let client = world.client("ada", Role::Admin).await;
    client.move_device("dev-b", "retired", "lost in the post").await.unwrap();
    let checkpoint = client.audit_checkpoint().await.unwrap();
    let page = client.audit_entries(0, 1000).await.unwrap();
    assert_eq!(page.next, None);
    let mut entries: Vec<Vec<u8>> = page.entries.iter().map(|entry| hex_decode(entry)).collect();
    let verify = |entries: &[Vec<u8>], key: &PublicKey| {
        ringfort_fleet::audit::verify(entries, &checkpoint, key)
    };
    let head = verify(&entries, &world.evidence).unwrap();
    assert_eq!(head.size, entries.len() as u64);
    assert!(verify(&entries, &common::signer().public_key()).is_err());
    let history = client.history("dev-b", 10).await.unwrap();
    let last = history.last().unwrap();
    assert_eq!((last.who.as_str(), last.subject.as_str()), ("ada", "dev-b"));
    let last = entries[2].len() - 1;
    entries[2][last] ^= 1;
    assert!(verify(&entries, &world.evidence).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hub_shows_its_health_its_metrics_and_its_description() {
    let world = World::start().await;
    let client = world.client("vic", Role::Viewer).await;
    client.healthy().await.unwrap();
    world.device("/v1/anchors/9").send();
    let metrics = client.metrics().await.unwrap();
    let counted = metrics.lines().any(|line| {
        line.starts_with("ringfort_exchanges_total{")
            && line.contains(r#"listener="device""#)
            && line.contains(r#"route="/v1/anchors/{version}""#)
            && line.contains(r#"reason="not-found""#)
    });
    assert!(counted, "{metrics}");
    let ada = world.add_operator("ada", Role::Viewer).await;
    let description = world.operator("/api/v1/openapi.json").with(&ada).send();
    assert!(description.body == ringfort_api::openapi().into_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_that_is_refused_at_its_first_byte_still_hears_why() {
    let world = World::start().await;
    let viewer = world.client("vic", Role::Viewer).await;
    let publisher = world.client("pia", Role::Publisher).await;
    let bytes = vec![7; 30_000_000];
    let file = world.path("object");
    std::fs::write(&file, &bytes).unwrap();
    let object = common::digest(&bytes);
    assert_eq!(reason(viewer.put_object(&object, &file).await), Some(Reason::RoleForbids));
    let stored = publisher.put_object(&object, &file).await.unwrap();
    assert_eq!(stored.size_bytes, 30_000_000);
    assert!(publisher.put_object(&object, &file).await.unwrap().present);
}

fn reason<T>(result: Result<T, ClientError>) -> Option<Reason> {
    result.err().and_then(|error| error.reason())
}

fn no_release() -> NewDeployment {
    NewDeployment { manifest: "00".repeat(32), device: None, deadlines: None }
}

fn nobody() -> NewOperator {
    let certificate = Some(String::new());
    NewOperator { name: "x".into(), role: "viewer".into(), certificate, request: None }
}

fn hex_decode(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
