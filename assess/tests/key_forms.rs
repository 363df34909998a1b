//! One private key in every form in which programs, settings and dumps write it out, and keys in
//! forms of their own; each is found, and none where the bytes are no key. Needs openssl, gpg.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use std::process::{Command, Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use ringfort_assess::{Input, Options, run};

#[test]
fn a_key_in_every_notation_is_one_key() {
    let der = sec1();
    let pem = format!("-----BEGIN EC {0}-----\n{1}-----END EC {0}-----\n", KEY, wrapped(&der, 64));
    for (name, text) in notations(&der, &pem) {
        assert_eq!(keys(&name, text.as_bytes()), 1, "{name}: {text}");
    }
    // The same bytes, but no key: the version of the structure is wrong.
    let mut other = der.clone();
    other[4] ^= 0x40;
    for (name, text) in notations(&other, "no PEM") {
        assert_eq!(keys(&name, text.as_bytes()), 0, "{name}: {text}");
    }
}

#[test]
fn armour_that_code_looks_for_is_no_key() {
    let code = format!(
        "if (0 != strncmp(b, \"-----BEGIN \", 11) ||\n\t0 != strcmp(b + n, \"{KEY}-----\"))\n{}\n{}",
        "\tgoto out_of_here_with_a_message;\n".repeat(20),
        "strcmp(b, \"-----END \");\n",
    );
    assert_eq!(keys("import.c", code.as_bytes()), 0);
    let code = format!(
        "#define HEAD \"-----BEGIN ENCRYPTED {KEY}-----\"\n#define A_LONG_NAME_OF_SOMETHING_ELSE 1\n#define TAIL \"-----END ENCRYPTED {KEY}-----\"\n"
    );
    let found =
        run(&[Input::Bytes("parse.c".into(), code.into_bytes())], &Options::default(), &mut ());
    assert!(found.findings.is_empty(), "{:#?}", found.findings);
}

#[test]
fn short_keys_of_every_curve_stand_in_binary_data() {
    for curve in ["secp224r1", "prime256v1", "secp384r1", "secp521r1", "brainpoolP256r1"] {
        for form in ["ec -no_public", "ec", "pkcs8 -topk8 -nocrypt"] {
            let made = format!(
                "openssl ecparam -name {curve} -genkey -noout | openssl {form} -outform DER"
            );
            let der = shell(&made);
            let dump = [&[1, 2, 3, 0].repeat(500), &der[..], &[5, 6, 7, 0].repeat(500)].concat();
            assert_eq!(keys("dump.bin", &dump), 1, "{made}");
        }
    }
}

#[test]
fn keys_in_forms_of_their_own() {
    let der = sec1();
    let scalar: [u8; 32] = der[7..39].try_into().unwrap();
    let mut clamped = scalar;
    clamped[0] &= 0xf8;
    clamped[31] = clamped[31] & 0x7f | 0x40;
    let wire = STANDARD.encode(clamped);
    let pair = [scalar, clamped].concat();
    let signify = |rounds: u8| {
        STANDARD.encode([b"EdBK\0\0\0".as_slice(), &[rounds], &[7; 32], &pair].concat())
    };
    let minisign = STANDARD.encode([b"Ed\0\0B2".as_slice(), &[9; 56], &pair, &[3; 32]].concat());
    let age = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE";
    let jwk = |curve: &str| {
        let d = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(scalar);
        format!("{{\"{}\":\"OKP\",\"crv\":\"{curve}\",\"x\":\"AAAA\",\"d\":\"{d}\"}}", "kty")
    };
    let found = [
        ("wg0.conf", format!("[Interface]\nPrivate{} = {wire}\n", "Key")),
        ("etc/config/network", format!("\toption private{} '{wire}'\n", "_key")),
        ("key-build", format!("untrusted comment: private key 12\n{}\n", signify(0))),
        ("minisign.key", format!("untrusted comment: minisign secret\n{minisign}\n")),
        ("keys.txt", format!("# created\nAGE-SECRET-{}-1{age}\n", "KEY")),
        (
            "Kacme.+013+1.private",
            format!("Private-key-format: v1.3\nAlgorithm: 13\nPrivate{}: {wire}\n", "Key"),
        ),
        ("x25519.json", jwk("X25519")),
        ("other.json", jwk("Ed448")),
        ("escaped.json", format!("{{\"c\":\"{}\"}}", jwk("X25519").replace('"', "\\\""))),
    ];
    for (name, text) in &found {
        assert_eq!(keys(name, text.as_bytes()), 1, "{name}: {text}");
    }
    for (name, text) in [
        ("wg0.conf", format!("[Peer]\nPublicKey = {wire}\n")),
        ("wg0.conf", format!("Private{} = {}\n", "Key", "A".repeat(43) + "=")),
        ("key-build", format!("untrusted comment: private key 12\n{}\n", signify(42))),
        ("keys.txt", "AGE-SECRET-KEY-1 and what follows it\n".to_owned()),
        ("x25519.json", jwk("X25519").replace("\"d\"", "\"e\"")),
    ] {
        assert_eq!(keys(name, text.as_bytes()), 0, "{name}: {text}");
    }
}

#[test]
fn a_ring_and_an_agents_file_of_gnupg() {
    let home = tempfile::tempdir().unwrap();
    let gpg = |line: &str| shell(&format!("GNUPGHOME={} {line}", home.path().display()));
    for kind in ["rsa2048", "ed25519"] {
        gpg(&format!(
            "gpg --batch -q --passphrase '' --quick-gen-key {kind}@x {kind} default never"
        ));
        let ring = gpg(&format!("gpg --batch -q --export-secret-keys {kind}@x"));
        assert_eq!(keys("secring.gpg", &ring), 1, "{kind}");
        let public = gpg(&format!("gpg --batch -q --export {kind}@x"));
        assert_eq!(keys("pubring.gpg", &public), 0, "{kind}");
    }
    gpg("gpgconf --kill all; true");
    let agents = home.path().join("private-keys-v1.d");
    for file in std::fs::read_dir(agents).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(keys("agent.key", &std::fs::read(&path).unwrap()), 1, "{path:?}");
    }
}

fn notations(der: &[u8], pem: &str) -> Vec<(String, String)> {
    let list = |each: &dyn Fn(u8) -> String, join: &str| -> String {
        der.iter().map(|b| each(*b)).collect::<Vec<_>>().join(join)
    };
    let base64 = STANDARD.encode(der);
    let digits = hex::encode(der);
    let dump: Vec<String> = der
        .chunks(16)
        .enumerate()
        .map(|(n, line)| {
            let pairs: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
            format!("{:08x}  {}  |................|", n * 16, pairs.join(" "))
        })
        .collect();
    let lines: Vec<String> = der
        .chunks(8)
        .map(|line| {
            let numbers: Vec<String> = line.iter().map(|b| format!("0x{b:02x}")).collect();
            format!("    .byte {}", numbers.join(", "))
        })
        .collect();
    let mut out = vec![
        ("a.conf", format!("key={base64}\n")),
        ("a.xml", format!("<Key>{base64}</Key>\n")),
        ("a.plist", format!("<data>\n\t{}\t</data>\n", wrapped(der, 68).replace('\n', "\n\t"))),
        ("decimal.c", format!("{{{}}};", list(&|b| b.to_string(), ","))),
        ("signed.java", format!("{{ {} }};", list(&|b| (b as i8).to_string(), ", "))),
        ("cast.java", format!("{{ {} }};", list(&|b| format!("(byte)0x{b:02x}"), ", "))),
        ("typed.rs", format!("[{}];", list(&|b| format!("0x{b:02x}u8"), ", "))),
        ("octal.c", format!("\"{}\";", list(&|b| format!("\\{b:03o}"), ""))),
        ("python.py", format!("k = b'{}'\n", list(&python, ""))),
        ("lines.s", format!("key:\n{}\n", lines.join("\n"))),
        ("hex.txt", format!("key={digits}\n")),
        ("colons.txt", list(&|b| format!("{b:02x}"), ":")),
        ("upper.txt", digits.to_uppercase()),
        ("dump.txt", dump.join("\n")),
    ];
    if pem.starts_with('-') {
        let cut = pem.rsplit_once("-----END").unwrap().0;
        let numbers: Vec<String> = pem.bytes().map(|b| b.to_string()).collect();
        out.push(("cut.pem", cut.to_owned()));
        out.push(("pem.c", format!("{{{}, 0}};", numbers.join(", "))));
    }
    out.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

/// As Python shows bytes.
fn python(byte: u8) -> String {
    match byte {
        b'\\' | b'\'' => format!("\\{}", char::from(byte)),
        0x20..=0x7e => char::from(byte).to_string(),
        b'\n' => "\\n".into(),
        b'\r' => "\\r".into(),
        b'\t' => "\\t".into(),
        _ => format!("\\x{byte:02x}"),
    }
}

fn wrapped(der: &[u8], width: usize) -> String {
    let letters = STANDARD.encode(der);
    letters
        .as_bytes()
        .chunks(width)
        .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
        .collect()
}

fn sec1() -> Vec<u8> {
    shell("openssl ecparam -name prime256v1 -genkey -noout | openssl ec -outform DER")
}

fn shell(line: &str) -> Vec<u8> {
    let out = Command::new("sh").args(["-ec", line]).stderr(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{line}");
    out.stdout
}

/// Findings that name a private key in the clear.
fn keys(name: &str, content: &[u8]) -> usize {
    let options = Options { today: "2026-11-23".into(), ..Options::default() };
    let found = run(&[Input::Bytes(name.into(), content.to_vec())], &options, &mut ());
    let rules = ["K-002", "K-024", "K-025"];
    found.findings.iter().filter(|f| rules.contains(&f.rule)).count()
}

const KEY: &str = "PRIVATE KEY";
