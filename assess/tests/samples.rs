//! A positive and a negative sample for every rule that is no text pattern, and for component
//! signatures: real keys, certificates, stores and programs made by OpenSSL, the compiler,
//! mkimage and tar. No rule is without samples.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use dashu_int::UBig;
use ringfort_assess::{
    Input, Options,
    keys::{About, Fingerprint, Index, Kind, Record, math},
    model::{Location, OwnerKind},
    rules::{self, components::COMPONENTS, shown::SHOWN},
    run,
};

#[test]
fn no_rule_is_without_a_positive_and_a_negative_sample() {
    let with_pattern: BTreeSet<&str> = rules::all()
        .filter(|r| !r.pattern.is_empty())
        .map(|r| {
            assert!(!r.hits.is_empty() && !r.misses.is_empty(), "{}", r.id);
            r.id
        })
        .collect();
    let without: BTreeSet<&str> =
        rules::all().map(|r| r.id).filter(|id| !with_pattern.contains(id)).collect();
    let shown: BTreeSet<&str> = SHOWN.iter().map(|s| s.0).collect();
    let mut made: BTreeSet<&str> = SAMPLES.iter().map(|s| s.0).collect();
    made.insert("K-030");
    // In `debian_weak.rs`.
    made.insert("K-036");
    assert_eq!(without, shown, "src/rules/shown.rs tells of each");
    assert_eq!(without, made, "and each is made here");
    assert!(rules::all().count() >= 120 && COMPONENTS.len() >= 60);
}

#[test]
fn every_rule_without_a_pattern_finds_its_sample_and_spares_the_other() {
    let given = tempfile::tempdir().unwrap();
    prepare(given.path());
    let mut wrong = Vec::new();
    for (rule, hit, miss) in SAMPLES {
        for (script, expected) in [(hit, true), (miss, false)] {
            let directory = tempfile::tempdir().unwrap();
            let line = format!("{TOOLS}\n{script}");
            let out = Command::new("sh")
                .args(["-ec", &line])
                .current_dir(directory.path())
                .env("GIVEN", given.path())
                .env("PATH", format!("/usr/sbin:{}", std::env::var("PATH").unwrap_or_default()))
                .output()
                .unwrap();
            assert!(out.status.success(), "{rule}: {}", String::from_utf8_lossy(&out.stderr));
            let inputs: Vec<Input> = ["a.img", "b.img"]
                .iter()
                .map(|name| directory.path().join(name))
                .filter(|path| path.exists())
                .map(Input::Path)
                .collect();
            assert!(!inputs.is_empty(), "{rule}: no image");
            let options = Options { today: "2026-11-22".into(), ..Options::default() };
            let found = run(&inputs, &options, &mut ());
            if found.findings.iter().any(|f| f.rule == *rule) != expected {
                let ids: Vec<_> = found.findings.iter().map(|f| f.rule).collect();
                wrong.push(format!("{rule} expected {expected}, found {ids:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Only a fleet has devices, so this one is asked of the index.
#[test]
fn one_public_key_on_two_devices_is_k_030() {
    let rules = |second: u8| -> Vec<&'static str> {
        let mut index = Index::default();
        for (name, print) in [("device-1", 1), ("device-2", second)] {
            let owner = index.owner(name, OwnerKind::Device);
            let location =
                Location { owner, file: name.into(), path: name.into(), offset: 0, line: None };
            let about = About { label: "EC P-256".into(), ..About::default() };
            let fingerprint = Fingerprint([print; 32]);
            index.insert(Record { owner, kind: Kind::PublicKey, fingerprint, location, about });
        }
        index.joins("20261122").into_iter().map(|j| j.rule).collect()
    };
    assert_eq!(rules(1), ["K-030"]);
    assert!(rules(2).is_empty());
}

/// A version string of each kind inside a program is listed, and its text alone in a manual
/// is not.
#[test]
fn components_are_seen_in_programs_and_not_in_text() {
    for (name, text) in [
        ("BusyBox", "BusyBox v1.36.1 (2023-06-01)"),
        ("OpenSSL", "OpenSSL 3.0.11 19 Sep 2023"),
        ("Linux kernel", "Linux version 6.1.55 (build@host)"),
        ("U-Boot", "U-Boot 2023.10 (Oct 02 2023)"),
        ("mbed TLS", "mbed TLS 3.5.1"),
        ("Dropbear", "SSH-2.0-dropbear_2022.83"),
        ("dnsmasq", "dnsmasq-2.89"),
        ("lwIP", "lwIP/2.1.3"),
    ] {
        let binary = [b"\0\0\x01\x02".as_slice(), text.as_bytes(), b"\0\0\xff"].concat();
        for (path, bytes, expected) in
            [("bin/app", binary, true), ("doc/app.txt", text.as_bytes().to_vec(), false)]
        {
            let options = Options { today: "2026-11-22".into(), ..Options::default() };
            let found = run(&[Input::Bytes(path.into(), bytes)], &options, &mut ());
            let seen = found.components.iter().any(|c| c.name == name && !c.version.is_empty());
            assert_eq!(seen, expected, "{name} in {path}: {:?}", found.components);
        }
    }
}

/// Files that no tool makes: damaged moduli, vector tables, boot headers.
fn prepare(directory: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (shared, other, third) = (random.factor(), random.factor(), random.factor());
    write("shared1.pem", rsa(&(&shared * &other), 65_537).as_bytes());
    write("shared2.pem", rsa(&(&shared * &third), 65_537).as_bytes());
    let mut close = &other + UBig::from(2u8);
    while math::small_factor(&close).is_some() {
        close += UBig::from(2u8);
    }
    write("close.pem", rsa(&(&other * &close), 65_537).as_bytes());
    write(
        "small.pem",
        rsa(&(UBig::from(641u32) * ((UBig::ONE << 2038) + UBig::ONE)), 65_537).as_bytes(),
    );
    write("one.pem", rsa(&(&other * &third), 1).as_bytes());
    write("three.pem", rsa(&(&other * &third), 3).as_bytes());
    write("e1.pem", rsa(&(&other * &third), 65_537).as_bytes());
    write("e2.pem", rsa(&(&other * &third), 65_539).as_bytes());
    write("roca.pem", rsa(&roca(&mut random), 65_537).as_bytes());
    // A P-256 key (SEC 1) whose scalar is 1.
    let mut scalar_one = vec![0x30, 0x31, 2, 1, 1, 4, 0x20];
    scalar_one.extend([[0u8; 31].as_slice(), &[1]].concat());
    scalar_one.extend([0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    write("scalar-one.pem", pem("EC PRIVATE KEY", &scalar_one).as_bytes());
    // The first key of RFC 8032, section 7.1.
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let known =
        [hex::decode("302e020100300506032b657004220420").unwrap(), hex::decode(seed).unwrap()];
    write("known.der", &known.concat());
    write("known.pem", pem("PRIVATE KEY", &known.concat()).as_bytes());
    let known = [hex::decode("302a300506032b6570032100").unwrap(), hex::decode(public).unwrap()];
    write("known.pub", pem("PUBLIC KEY", &known.concat()).as_bytes());
    let array: Vec<String> = random.bytes(32).iter().map(|b| format!("0x{b:02x}")).collect();
    write(
        "array.c",
        format!("static const uint8_t private_key[32] = {{ {} }};\n", array.join(", ")).as_bytes(),
    );
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend(random.bytes(32));
    write("ssh.line", format!("ssh-ed25519 {} op\n", STANDARD.encode(blob)).as_bytes());
    // The headers of a secret and of a public key packet (RFC 9580, section 4.2).
    for (kind, header) in [("PRIVATE", [0x95, 0, 117]), ("PUBLIC", [0x99, 0, 117])] {
        let body = STANDARD.encode([&header[..], &random.bytes(117)].concat());
        let label = format!("PGP {kind} KEY BLOCK");
        let text = format!("-----BEGIN {label}-----\n\n{body}\n-----END {label}-----\n");
        write(&format!("pgp-{}.asc", kind.to_lowercase()), text.as_bytes());
    }
    for (name, words) in
        [("plain", [0u8; 4]), ("mpu", [0x94, 0xed, 0, 0xe0]), ("sau", [0xd0, 0xed, 0, 0xe0])]
    {
        write(&format!("m-{name}.bin"), &vector_table(words, false, true));
        write(&format!("m-{name}-gate.bin"), &vector_table(words, true, true));
    }
    write("m-one-handler.bin", &vector_table([0; 4], false, false));
    let both = "__asm__(\".section .both,\\\"awx\\\",@progbits\\n.long 0\\n.text\");\n";
    write("rwx.c", both.as_bytes());
    let known_hash: [u8; 32] = known_fingerprint();
    write("boot-bare.bin", &mcuboot(None, false, None));
    write("boot-signed.bin", &mcuboot(Some([7; 32]), true, Some(3)));
    write("boot-no-counter.bin", &mcuboot(Some([7; 32]), true, None));
    write("boot-known.bin", &mcuboot(Some(known_hash), true, Some(3)));
}

fn known_fingerprint() -> [u8; 32] {
    let list = include_str!("../data/known-keys.tsv");
    let line = list.lines().find(|l| !l.starts_with('#')).unwrap();
    hex::decode(line.split('\t').next().unwrap()).unwrap().try_into().unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A public key as PKCS#1 has it.
fn rsa(modulus: &UBig, exponent: u32) -> String {
    let integer = |n: &UBig| {
        let bytes = n.to_be_bytes();
        let body = if bytes[0] & 0x80 != 0 { [&[0], &bytes[..]].concat() } else { bytes.to_vec() };
        [length(2, body.len()), body].concat()
    };
    let body = [integer(modulus), integer(&UBig::from(exponent))].concat();
    pem("RSA PUBLIC KEY", &[length(0x30, body.len()), body].concat())
}

fn length(tag: u8, len: usize) -> Vec<u8> {
    match len {
        0..0x80 => vec![tag, len as u8],
        0x80..0x100 => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    }
}

/// A modulus with the mark: a power of 65537 modulo the product of the small primes.
fn roca(random: &mut Random) -> UBig {
    let primes = (3u32..=167).filter(|n| (2..*n).all(|d| n % d != 0));
    let product: UBig = primes.map(UBig::from).product();
    let mut power = UBig::ONE;
    for _ in 0..12_345 {
        power = power * UBig::from(65_537u32) % &product;
    }
    let target = (UBig::ONE << 2047) + UBig::from_be_bytes(&random.bytes(200));
    let mut modulus = &target / &product * &product + power;
    // Odd, and without a small factor that would be seen first.
    while &modulus % 2u8 == 0 || math::small_factor(&modulus).is_some() {
        modulus += &product;
    }
    modulus
}

/// A Cortex-M image of 4 KiB.
fn vector_table(words: [u8; 4], gateway: bool, own_handlers: bool) -> Vec<u8> {
    let mut out = 0x2000_8000u32.to_le_bytes().to_vec();
    for index in 1..16u32 {
        let handler = if own_handlers { 0x0800_0201 + index * 16 } else { 0x0800_0201 };
        out.extend(handler.to_le_bytes());
    }
    out.resize(1024, 0x11);
    out.extend(words);
    if gateway {
        out.extend([0x7f, 0xe9, 0x7f, 0xe9]);
    }
    out.resize(4096, 0x22);
    out
}

/// An MCUboot image: header, body, TLV trailer.
fn mcuboot(key: Option<[u8; 32]>, signed: bool, counter: Option<u32>) -> Vec<u8> {
    let mut out = vec![0x3d, 0xb8, 0xf3, 0x96, 0, 0, 0, 0, 32, 0, 0, 0];
    out.extend(512u32.to_le_bytes());
    out.extend([0; 4]);
    out.extend([1, 2, 3, 0, 0, 0, 0, 0]);
    out.resize(32, 0);
    out.resize(32 + 512, 0x33);
    let mut entries = Vec::new();
    let mut add = |kind: u16, value: &[u8]| {
        entries.extend(kind.to_le_bytes());
        entries.extend((value.len() as u16).to_le_bytes());
        entries.extend(value);
    };
    if let Some(key) = key {
        add(1, &key);
    }
    if signed {
        add(0x22, &[5; 70]);
    }
    if let Some(counter) = counter {
        add(0x50, &counter.to_le_bytes());
    }
    out.extend([0x07, 0x69]);
    out.extend((entries.len() as u16 + 4).to_le_bytes());
    out.extend(entries);
    out
}

struct Random(u64);

impl Random {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                (self.0 >> 32) as u8
            })
            .collect()
    }

    /// An odd number of 1024 bits without a small factor.
    fn factor(&mut self) -> UBig {
        loop {
            let top = UBig::from(3u8) << 1022;
            let number = UBig::from_be_bytes(&self.bytes(128)) | top | UBig::ONE;
            if math::small_factor(&number).is_none() {
                return number;
            }
        }
    }
}

/// Shell functions that the samples use; `a.img` and `b.img` are what is assessed.
const TOOLS: &str = r#"
exec 2>log
ec() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
big() { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:${2:-2048} -out "$1"; }
pub() { openssl pkey -in "$1" -pubout -out "$2"; }
cert() { openssl req -x509 -config /dev/null -key "$1" -subj "/CN=$2" -days "${4:-30}" -out "$3"; }
authority() { openssl req -x509 -key "$1" -subj "/CN=$2" -days 30 -out "$3"; }
tree() { mkdir -p "$1"; tar -cf "$2" -C "$1" .; }
build() { mkdir -p r/bin; printf '#include <string.h>\n#include <stdio.h>\nint main(int c,char**v){char b[64];strcpy(b,v[c-1]);printf("%%s",b);return 0;}\n' > s.c; cc -O2 -w -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fPIE -pie -Wl,-z,relro,-z,now,-z,noexecstack "$@" s.c -o r/bin/app; }
mkdir -p r q
cp "$GIVEN"/* .
"#;

const SAMPLES: &[(&str, &str, &str)] = &[
    (
        "K-001",
        "ec r/k.pem; tree r a.img; tree r b.img",
        "ec r/k.pem; ec q/k.pem; tree r a.img; tree q b.img",
    ),
    ("K-002", "ec r/k.pem; tree r a.img", "ec k; pub k r/k.pem; tree r a.img"),
    ("K-003", "cp known.pem r/k.pem; tree r a.img", "ec r/k.pem; tree r a.img"),
    ("K-004", "cp known.pub r/k.pem; tree r a.img", "ec k; pub k r/k.pem; tree r a.img"),
    (
        "K-005",
        "ec r/k.pem; cert r/k.pem gw-17 q/c.pem; tree r a.img; tree q b.img",
        "ec r/k.pem; ec k; cert k gw-17 q/c.pem; tree r a.img; tree q b.img",
    ),
    (
        "K-006",
        "ec k; cert k gw-17 r/c.pem; cert k gw-18 r/d.pem; tree r a.img",
        "ec k; ec l; cert k gw-17 r/c.pem; cert l gw-18 r/d.pem; tree r a.img",
    ),
    (
        "K-007",
        "mkdir r/etc; echo \"root:$(openssl passwd -1 -salt Q7xm2Lw9 k9Xq2LmN7p):18000:0:99999:7:::\" > r/etc/shadow; tree r a.img; tree r b.img",
        "mkdir r/etc q/etc; echo \"root:$(openssl passwd -1 -salt Q7xm2Lw9 k9Xq2LmN7p):18000:0:99999:7:::\" > r/etc/shadow; echo \"root:$(openssl passwd -1 -salt Ab3x2Lw9 m4Xq2LmN7p):18000:0:99999:7:::\" > q/etc/shadow; tree r a.img; tree q b.img",
    ),
    (
        "K-008",
        "echo cloud_token=$(openssl rand -hex 16)zK > r/cloud.conf; tree r a.img; tree r b.img",
        "echo cloud_token=$(openssl rand -hex 16)zK > r/cloud.conf; echo cloud_token=$(openssl rand -hex 16)zK > q/cloud.conf; tree r a.img; tree q b.img",
    ),
    (
        "K-009",
        "cp shared1.pem shared2.pem r; tree r a.img",
        "big k; big l; pub k r/k.pem; pub l r/l.pem; tree r a.img",
    ),
    ("K-010", "cp roca.pem r; tree r a.img", "big k; pub k r/k.pem; tree r a.img"),
    ("K-011", "cp close.pem r; tree r a.img", "big k; pub k r/k.pem; tree r a.img"),
    ("K-012", "cp small.pem r; tree r a.img", "big k; pub k r/k.pem; tree r a.img"),
    ("K-013", "cp one.pem r; tree r a.img", "big k; pub k r/k.pem; tree r a.img"),
    ("K-014", "big k 1024; pub k r/k.pem; tree r a.img", "big k; pub k r/k.pem; tree r a.img"),
    (
        "K-015",
        "ec k; authority k root c; ec l; openssl req -new -config /dev/null -key l -subj /CN=gw -out q.csr; openssl x509 -req -sha1 -in q.csr -CA c -CAkey k -CAcreateserial -days 30 -out r/c.pem; tree r a.img",
        "ec k; authority k root c; ec l; openssl req -new -config /dev/null -key l -subj /CN=gw -out q.csr; openssl x509 -req -sha256 -in q.csr -CA c -CAkey k -CAcreateserial -days 30 -out r/c.pem; tree r a.img",
    ),
    (
        "K-016",
        "ec k; cert k gw r/c.pem 7300; tree r a.img",
        "ec k; cert k gw r/c.pem 3000; tree r a.img",
    ),
    (
        "K-017",
        "ec r/k.pem; authority r/k.pem root r/c.pem; tree r a.img",
        "ec r/k.pem; cert r/k.pem gw r/c.pem; tree r a.img",
    ),
    (
        "K-018",
        "ec k; openssl pkcs8 -topk8 -in k -passout pass:k9Xq2LmN7p -out r/k.pem; tree r a.img",
        "ec k; pub k r/k.pem; tree r a.img",
    ),
    (
        "K-019",
        "mkdir -p r/etc/ssh; ec r/etc/ssh/ssh_host_ecdsa_key; tree r a.img",
        "mkdir -p r/etc/ssh; cp ssh.line r/etc/ssh/ssh_host_ed25519_key.pub; tree r a.img",
    ),
    (
        "K-020",
        "mkdir -p r/root/.ssh; cp ssh.line r/root/.ssh/authorized_keys; tree r a.img",
        "mkdir -p r/root/.ssh; sed 's/^/host /' ssh.line > r/root/.ssh/known_hosts; tree r a.img",
    ),
    (
        "K-021",
        "ec k; cert k gw c; openssl pkcs12 -export -inkey k -in c -passout pass:k9Xq2LmN7p -out r/s.p12; tree r a.img",
        "ec k; cert k gw r/c.pem; tree r a.img",
    ),
    (
        "K-022",
        "mkdir r/etc; echo \"root:$(openssl passwd -1 -salt Q7xm2Lw9 admin):18000:0:99999:7:::\" > r/etc/shadow; tree r a.img",
        "mkdir r/etc; echo \"root:$(openssl passwd -1 -salt Q7xm2Lw9 k9Xq2LmN7p):18000:0:99999:7:::\" > r/etc/shadow; tree r a.img",
    ),
    (
        "K-023",
        "echo db_password = acmegw4711 > r/app.conf; echo db_password = acmegw4712 > q/app.conf; tree r a.img; tree q b.img",
        "echo db_password = acmegw4711 > r/app.conf; echo db_password = t7Kq9zLmwR > q/app.conf; tree r a.img; tree q b.img",
    ),
    (
        "K-024",
        "cp array.c r; tree r a.img",
        "echo 'static const uint8_t private_key[32];' > r/array.c; tree r a.img",
    ),
    ("K-025", "cp pgp-private.asc r; tree r a.img", "cp pgp-public.asc r; tree r a.img"),
    (
        "K-026",
        "ec r/k.pem; chmod 644 r/k.pem; tree r a.img",
        "ec r/k.pem; chmod 600 r/k.pem; tree r a.img",
    ),
    ("K-027", "cp scalar-one.pem r; tree r a.img", "ec r/k.pem; tree r a.img"),
    ("K-028", "cp e1.pem e2.pem r; tree r a.img", "cp e1.pem r; tree r a.img"),
    (
        "K-029",
        "objcopy -I binary -O elf64-x86-64 known.der a.img",
        "ec k; openssl pkcs8 -topk8 -nocrypt -in k -outform DER -out k.der; objcopy -I binary -O elf64-x86-64 k.der a.img",
    ),
    (
        "K-031",
        "ec k; pub k r/k.pem; tree r a.img; tree r b.img",
        "ec k; ec l; pub k r/k.pem; pub l q/k.pem; tree r a.img; tree q b.img",
    ),
    (
        "K-032",
        "mkdir r/etc; openssl rand -hex 16 > r/etc/machine-id; tree r a.img; tree r b.img",
        "mkdir r/etc; : > r/etc/machine-id; tree r a.img; tree r b.img",
    ),
    (
        "K-033",
        "ec k; cert k gw c; openssl pkcs12 -export -inkey k -in c -passout pass:changeit -out r/s.p12; tree r a.img",
        "ec k; cert k gw c; openssl pkcs12 -export -inkey k -in c -passout pass:k9Xq2LmN7p -out r/s.p12; tree r a.img",
    ),
    (
        "K-034",
        "ec k; openssl pkcs8 -topk8 -in k -passout pass:changeit -out r/k.pem; tree r a.img",
        "ec k; openssl pkcs8 -topk8 -in k -passout pass:k9Xq2LmN7p -out r/k.pem; tree r a.img",
    ),
    ("K-035", "cp three.pem r; tree r a.img", "big k; pub k r/k.pem; tree r a.img"),
    ("E-001", "build -Wl,-z,execstack; tree r a.img", "build; tree r a.img"),
    ("E-002", "build -fno-pie -no-pie; tree r a.img", "build; tree r a.img"),
    ("E-003", "build -Wl,-z,norelro; tree r a.img", "build; tree r a.img"),
    ("E-004", "build -fno-stack-protector; tree r a.img", "build; tree r a.img"),
    ("E-005", "build -U_FORTIFY_SOURCE; tree r a.img", "build; tree r a.img"),
    ("E-006", "build -Wl,-rpath,/tmp/lib; tree r a.img", "build; tree r a.img"),
    (
        "E-007",
        "build; chmod 4755 r/bin/app; tree r a.img",
        "build; chmod 755 r/bin/app; tree r a.img",
    ),
    ("E-008", "build -g; tree r a.img", "build; tree r a.img"),
    ("E-009", "build rwx.c; tree r a.img", "build; tree r a.img"),
    ("M-001", "cp m-plain.bin a.img", "cp m-mpu.bin a.img"),
    ("M-002", "cp m-plain-gate.bin a.img", "cp m-sau-gate.bin a.img"),
    ("M-003", "cp m-one-handler.bin a.img", "cp m-plain.bin a.img"),
    ("U-008", "cp boot-bare.bin a.img", "cp boot-signed.bin a.img"),
    (
        "U-009",
        "mkimage -A arm -T kernel -C none -n k -d m-plain.bin a.img >/dev/null",
        "cp m-plain.bin r; tree r a.img",
    ),
    ("U-010", "cp boot-no-counter.bin a.img", "cp boot-signed.bin a.img"),
    ("U-011", "cp boot-known.bin a.img", "cp boot-signed.bin a.img"),
];
