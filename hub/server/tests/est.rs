//! EST with curl and OpenSSL as the client, on TLS 1.2 and 1.3, and what it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use common::{World, base64, certificate_of, generate, openssl, request, signer, text};
use ringfort_cose::Reason;
use ringfort_fleet::State;
use ringfort_pki::{CertificateInfo, Ldevid, Role, SubjectKey};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_enrols_renews_and_re_keys_on_both_versions_of_tls() {
    let world = World::start().await;
    let versions: [&[&str]; 2] = [&["--tlsv1.2", "--tls-max", "1.2"], &["--tlsv1.3"]];
    for (device, version) in ["dev-a", "dev-b"].into_iter().zip(versions) {
        let est =
            |operation: &str| world.device(&format!("/.well-known/est/{operation}")).args(version);
        let authorities = est("cacerts").send();
        assert_eq!(authorities.status, 200);
        assert_eq!(authorities.header("content-transfer-encoding"), "base64");
        let der = openssl(&["base64", "-d"], &authorities.body);
        let printed = openssl(&["pkcs7", "-inform", "DER", "-print_certs", "-noout"], &der);
        // Newer versions leave the blanks out.
        let printed = String::from_utf8(printed).unwrap().replace(" = ", "=");
        assert!(printed.contains("CN=test Device CA") && printed.contains("CN=test Root CA"));

        let attributes = est("csrattrs").send();
        assert_eq!(attributes.header("content-type"), "application/csrattrs");
        openssl(&["asn1parse", "-inform", "DER"], &openssl(&["base64", "-d"], &attributes.body));

        // First enrolment, with the device's own name in the request.
        let key = world.path(&format!("{device}.key"));
        generate(&key);
        let csr = request(&key, &format!("/CN={device}"));
        let first =
            est("simpleenroll").with(&world.idevid(device)).post(PKCS10, pkcs10(&csr)).send();
        assert_eq!(first.status, 200, "{first:?}");
        assert_eq!(first.header("content-type"), "application/pkcs7-mime; smime-type=certs-only");
        let issued = certificate_of(&first.body);
        let info = CertificateInfo::parse(&issued).unwrap();
        assert_eq!(info.serial_number.as_deref(), Some(device));
        assert!(info.is_signed_by(&issued, world.device_ca.info()));

        // The same request again has the same answer.
        let again =
            est("simpleenroll").with(&world.idevid(device)).post(PKCS10, pkcs10(&csr)).send();
        assert_eq!(certificate_of(&again.body), issued);

        // Renewal with the same key, then with a new one.
        let certificate = world.path(&format!("{device}.pem"));
        common::write_pem(&certificate, &issued);
        let ldevid = common::Identity { certificate, key };
        let renewed = est("simplereenroll").with(&ldevid).post(PKCS10, pkcs10(&csr)).send();
        assert_eq!(renewed.status, 200, "{renewed:?}");
        let renewed = CertificateInfo::parse(&certificate_of(&renewed.body)).unwrap();
        assert_eq!(renewed.key, info.key);

        let new_key = world.path(&format!("{device}.new.key"));
        generate(&new_key);
        let new_csr = request(&new_key, "/");
        let re_keyed = est("simplereenroll").with(&ldevid).post(PKCS10, pkcs10(&new_csr)).send();
        assert_eq!(re_keyed.status, 200, "{re_keyed:?}");
        let re_keyed = CertificateInfo::parse(&certificate_of(&re_keyed.body)).unwrap();
        assert_ne!(re_keyed.key, info.key);
        assert_eq!(re_keyed.serial_number.as_deref(), Some(device));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_proves_nothing_or_names_another_is_refused() {
    let world = World::start().await;
    let key = world.path("key");
    generate(&key);
    let good = request(&key, "/CN=dev-a");
    let mut bad_signature = good.clone();
    let last = bad_signature.len() - 1;
    bad_signature[last] ^= 1;
    let p384 = world.path("p384");
    openssl(
        &[
            "genpkey",
            "-algorithm",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-384",
            "-out",
            text(&p384),
        ],
        &[],
    );

    let cases = [
        (bad_signature, Reason::BadProofOfPossession),
        (request(&key, "/CN=dev-b"), Reason::CsrNamesAnother),
        (request(&key, "/CN=dev-a/serialNumber=dev-b"), Reason::CsrNamesAnother),
        (request(&p384, "/CN=dev-a"), Reason::AlgorithmNotAllowed),
        (request(&world.idevid("dev-a").key, "/"), Reason::KeyAlreadyKnown),
        (request(&world.idevid("dev-b").key, "/"), Reason::KeyAlreadyKnown),
        (b"no request at all".to_vec(), Reason::Malformed),
    ];
    for (csr, reason) in cases {
        let answer = world.est("simpleenroll", &world.idevid("dev-a"), &csr);
        assert_eq!(answer.reason(), reason);
    }
    let answer = world.est("simpleenroll", &world.idevid("dev-a"), &good);
    assert_eq!(answer.status, 200, "the same without the attack");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_device_is_refused() {
    let world = World::start().await;
    let of_b = world.ldevid("dev-b");
    let answer = world.est("simpleenroll", &world.idevid("dev-a"), &request(&of_b.key, "/"));
    assert_eq!(answer.reason(), Reason::KeyAlreadyKnown);
    world.ldevid("dev-a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_takes_its_own_certificate_only() {
    let world = World::start().await;
    let ldevid = world.ldevid("dev-a");
    let key = world.path("key");
    generate(&key);
    let csr = request(&key, "/");
    let enrol = world.est("simpleenroll", &ldevid, &csr);
    assert_eq!(enrol.reason(), Reason::WrongCertificateKind);
    let renew = world.est("simplereenroll", &world.idevid("dev-a"), &csr);
    assert_eq!(renew.reason(), Reason::WrongCertificateKind);
    assert_eq!(world.est("simplereenroll", &ldevid, &csr).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_is_refused_and_told_why() {
    let world = World::start().await;
    let operator = world.add_operator("ada", ringfort_fleet::Role::Admin).await;
    let csr = request(&world.path("dev-a.attestation.key"), "/");
    let post = |request: common::Request| request.post(PKCS10, pkcs10(&csr)).send();
    let enrol = || world.device("/.well-known/est/simpleenroll");

    assert_eq!(post(enrol()).reason(), Reason::NoClientCertificate);
    assert_eq!(post(enrol().with(&operator)).reason(), Reason::UnknownCertificate);

    // The factory issued it, but no batch brought it.
    let unlisted = common::Identity {
        certificate: world.path("unlisted.pem"),
        key: world.path("dev-a.attestation.key"),
    };
    let certificate = world
        .factory
        .issue_idevid(
            ringfort_pki::Csr::parse(&csr).unwrap().key(),
            &ringfort_pki::Idevid {
                device_id: "dev-z",
                vendor: "Example Works",
                model: "lamp",
                class_id: common::CLASS.0,
                ueid: &[1; 17],
                lifetime_days: None,
            },
            common::now(),
        )
        .unwrap();
    common::write_pem(&unlisted.certificate, &certificate.der);
    assert_eq!(post(enrol().with(&unlisted)).reason(), Reason::UnknownCertificate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_only_looks_like_ours_is_refused() {
    let world = World::start().await;
    let identity = common::Identity {
        certificate: world.path("odd.pem"),
        key: world.path("dev-a.attestation.key"),
    };
    let csr = ringfort_pki::Csr::parse(&request(&identity.key, "/")).unwrap();
    let profile = Ldevid { device_id: "dev-a", hardware: None, lifetime_days: 1 };
    let check_in = |der: &[u8]| {
        common::write_pem(&identity.certificate, der);
        world.device("/v1/check-in").with(&identity).post("application/cbor", vec![0xA0]).send()
    };

    // Of an authority with the name of our Device CA.
    let root = world.plan.create_root(&Role::Root, signer(), common::now()).unwrap();
    let key = signer();
    let subject = SubjectKey::try_from(&key.public_key()).unwrap();
    let impostor =
        world.plan.issue_authority(&root, &Role::Device, &subject, common::now()).unwrap();
    let impostor = ringfort_pki::Issuer::new(&impostor.der, key).unwrap();
    let foreign = impostor.issue_ldevid(csr.key(), &profile, common::now()).unwrap();
    assert_eq!(check_in(&foreign.der).reason(), Reason::UnknownCertificate);

    // Of our Device CA, but the registry never heard of it.
    let unregistered = world.device_ca.issue_ldevid(csr.key(), &profile, common::now()).unwrap();
    assert_eq!(check_in(&unregistered.der).reason(), Reason::UnknownCertificate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_device_never_enrols_again() {
    let world = World::start().await;
    world.move_to("dev-b", State::Retired).await;
    let key = world.path("key");
    generate(&key);
    let refused = world.est("simpleenroll", &world.idevid("dev-b"), &request(&key, "/"));
    assert!(
        matches!(refused.reason(), Reason::LifecycleForbids | Reason::CertificateRevoked),
        "{refused:?}"
    );
    world.ldevid("dev-a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_offered_says_so() {
    let world = World::start().await;
    let idevid = world.idevid("dev-a");
    let csr = request(&idevid.key, "/");
    let keygen = world.est("serverkeygen", &idevid, &csr);
    assert_eq!((keygen.status, keygen.reason()), (501, Reason::ServerkeygenRefused));
    let cmc = world.est("fullcmc", &idevid, &csr);
    assert_eq!(cmc.reason(), Reason::Unsupported);
    let method = world.device("/.well-known/est/simpleenroll").with(&idevid).send();
    assert_eq!((method.status, method.reason()), (405, Reason::WrongMethod));
    assert_eq!(method.header("allow"), "POST");
    let nowhere = world.device("/.well-known/est/label/cacerts").send();
    assert_eq!(nowhere.reason(), Reason::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_taken_in_any_base64_and_in_no_other_form() {
    let world = World::start().await;
    let key = world.path("key");
    generate(&key);
    let csr = request(&key, "/");
    let enrol = |media_type: &str, body: Vec<u8>| {
        world
            .device("/.well-known/est/simpleenroll")
            .with(&world.idevid("dev-a"))
            .post(media_type, body)
    };
    let unfolded: String = base64(&csr).split_whitespace().collect();
    let spaced = base64(&csr).replace('\n', "\r\n \t");
    for body in [unfolded, spaced, base64(&csr)] {
        let answer = enrol("application/pkcs10; charset=x", body.into_bytes())
            .header("content-transfer-encoding: 8bit")
            .send();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(enrol(PKCS10, csr.clone()).send().reason(), Reason::Malformed);
    let typed = enrol("application/octet-stream", pkcs10(&csr)).send();
    assert_eq!(typed.reason(), Reason::WrongContentType);
    let long = enrol(PKCS10, vec![b'A'; 24 * 1024 + 1]).send();
    assert_eq!((long.status, long.reason()), (413, Reason::TooLarge));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_get_a_line_of_text_if_they_ask_for_it() {
    let world = World::start().await;
    let answer = world
        .device("/.well-known/est/simpleenroll")
        .post(PKCS10, vec![])
        .header("accept: text/plain")
        .send();
    assert_eq!(answer.header("reason"), "no-client-certificate");
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert!(text.starts_with("no-client-certificate\n"), "{text}");
    assert!(text.contains(answer.header("exchange-id")), "{text}");
}

fn pkcs10(csr: &[u8]) -> Vec<u8> {
    base64(csr).into_bytes()
}

const PKCS10: &str = "application/pkcs10";
