//! Certificate requests made by OpenSSL are read; those that lie are refused.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use ringfort_pki::{Csr, Error, KeyKind, NamesAllowed, certs_only, csr_attributes, from_pem};

const OWN: NamesAllowed<'_> =
    NamesAllowed { texts: &["dev-a", "gateway"], hardware_serial: Some(&[0xAB, 0xCD]) };

#[test]
fn requests_of_p256_and_ed25519_keys_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (algorithm, kind) in [(P256, KeyKind::P256), (ED25519, KeyKind::Ed25519)] {
        let csr = Csr::parse(&request(folder.path(), algorithm, "/CN=dev-a", "")).unwrap();
        assert_eq!(csr.key().kind(), kind);
        assert_eq!(csr.texts(), ["dev-a"]);
        csr.check_names(OWN).unwrap();
    }
}

#[test]
fn a_request_without_any_name_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let csr = Csr::parse(&request(folder.path(), P256, "/", "")).unwrap();
    csr.check_names(NamesAllowed::default()).unwrap();
}

#[test]
fn extensions_and_attributes_that_are_not_known_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let extensions = "1.3.6.1.4.1.311.20.2=ASN1:UTF8String:Template\n\
                      1.2.3.4.5.6=critical,DER:0400\nkeyUsage=critical,keyAgreement\n\
                      subjectAltName=otherName:1.3.6.1.5.5.7.8.4;SEQUENCE:hardware\n\
                      [hardware]\ntype=OID:1.2.3\nserial=FORMAT:HEX,OCT:ABCD";
    let csr = Csr::parse(&request(folder.path(), P256, "/CN=dev-a", extensions)).unwrap();
    csr.check_names(OWN).unwrap();
}

#[test]
fn a_request_that_names_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("/CN=dev-b", ""),
        ("/serialNumber=dev-b/CN=dev-a", ""),
        ("/CN=dev-a/CN=dev-b", ""),
        ("/CN=dev-a", "subjectAltName=DNS:dev-b"),
        ("/CN=dev-a", "subjectAltName=DNS:dev-a,URI:urn:dev-b"),
        ("/CN=dev-a", "subjectAltName=IP:127.0.0.1"),
        ("/CN=dev-a", "subjectAltName=email:dev-a@example.com"),
        (
            "/CN=dev-a",
            "subjectAltName=otherName:1.3.6.1.5.5.7.8.4;SEQUENCE:hw\n[hw]\ntype=OID:1.2.3\n\
             serial=FORMAT:HEX,OCT:ABCE",
        ),
    ];
    for (subject, extensions) in cases {
        let csr = Csr::parse(&request(folder.path(), P256, subject, extensions)).unwrap();
        let refused = csr.check_names(OWN);
        assert!(matches!(refused, Err(Error::NamesAnother(_))), "{subject} {extensions}");
    }
}

#[test]
fn a_key_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in [["rsa", "rsa_keygen_bits:2048"], ["ec", "ec_paramgen_curve:P-384"]] {
        let der = request(folder.path(), &algorithm, "/CN=dev-a", "");
        assert!(matches!(Csr::parse(&der), Err(Error::AlgorithmNotAllowed(_))), "{algorithm:?}");
    }
}

#[test]
fn a_request_whose_signature_is_not_its_keys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let der = request(folder.path(), P256, "/CN=dev-a", "");
    Csr::parse(&der).unwrap();
    let name = der.windows(5).position(|window| window == b"dev-a").unwrap();
    let mut renamed = der.clone();
    renamed[name + 4] = b'b';
    assert!(matches!(Csr::parse(&renamed), Err(Error::BadProofOfPossession)));
}

#[test]
fn every_single_bit_flip_of_a_request_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let der = request(folder.path(), P256, "/CN=dev-a", "");
    for bit in 0..der.len() * 8 {
        let mut flipped = der.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Csr::parse(&flipped).is_err(), "bit {bit}");
    }
    for length in 0..der.len() {
        assert!(Csr::parse(&der[..length]).is_err(), "{length} bytes");
    }
    assert!(Csr::parse(&[der.as_slice(), &[0]].concat()).is_err(), "trailing byte");
}

#[test]
fn a_request_beyond_16_kilobytes_is_refused_before_it_is_read() {
    assert!(matches!(Csr::parse(&[0x30; 16 * 1024 + 1]), Err(Error::TooLarge { .. })));
}

#[test]
fn openssl_reads_certs_only_messages() {
    let folder = tempfile::tempdir().unwrap();
    let certificates: Vec<_> = ["/CN=one", "/CN=two"]
        .iter()
        .map(|subject| {
            let key = folder.path().join("key.pem");
            generate(P256, &key);
            let certificate = folder.path().join("certificate.pem");
            openssl(&[
                "req",
                "-x509",
                "-key",
                text(&key),
                "-subj",
                subject,
                "-out",
                text(&certificate),
            ]);
            from_pem(ringfort_pki::CERTIFICATE, &std::fs::read_to_string(certificate).unwrap())
                .unwrap()
        })
        .collect();
    let message = certs_only(certificates.iter().map(Vec::as_slice)).unwrap();
    let file = folder.path().join("message.p7");
    std::fs::write(&file, message).unwrap();
    let printed =
        openssl(&["pkcs7", "-inform", "DER", "-in", text(&file), "-print_certs", "-noout"]);
    // Newer versions leave the blanks out.
    let printed = printed.replace(" = ", "=");
    assert!(printed.contains("CN=one") && printed.contains("CN=two"), "{printed}");
    openssl(&["cms", "-cmsout", "-print", "-inform", "DER", "-in", text(&file)]);
}

#[test]
fn openssl_reads_the_csr_attributes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("csrattrs");
    std::fs::write(&file, csr_attributes().unwrap()).unwrap();
    let printed = openssl(&["asn1parse", "-inform", "DER", "-in", text(&file)]);
    for part in ["id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256", "1.2.840.113549.1.9.16.2.61"]
    {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
}

const P256: &[&str] = &["ec", "ec_paramgen_curve:P-256"];
const ED25519: &[&str] = &["ed25519"];

fn request(folder: &Path, algorithm: &[&str], subject: &str, extensions: &str) -> Vec<u8> {
    let (key, config, out) =
        (folder.join("key.pem"), folder.join("request.cnf"), folder.join("request.der"));
    generate(algorithm, &key);
    let wanted = if extensions.is_empty() { "" } else { "req_extensions=extensions" };
    let text_of_config = format!(
        "[req]\ndistinguished_name=name\nprompt=no\n{wanted}\n[name]\n[extensions]\n{extensions}\n"
    );
    std::fs::write(&config, text_of_config).unwrap();
    openssl(&[
        "req",
        "-new",
        "-key",
        text(&key),
        "-config",
        text(&config),
        "-subj",
        subject,
        "-outform",
        "DER",
        "-out",
        text(&out),
    ]);
    std::fs::read(out).unwrap()
}

fn generate(algorithm: &[&str], key: &Path) {
    let mut arguments = vec!["genpkey", "-algorithm", algorithm[0], "-out", text(key)];
    if let Some(option) = algorithm.get(1) {
        arguments.extend(["-pkeyopt", option]);
    }
    openssl(&arguments);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn openssl(arguments: &[&str]) -> String {
    let done = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(
        done.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}
