//! Keys that follow from a process id: the list that is built in holds what the program that
//! makes it derives today, in whatever form the key comes, and no other key.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

#[path = "../examples/debian_weak/keys.rs"]
mod keys;
#[path = "../examples/debian_weak/lanes.rs"]
mod lanes;
#[path = "../examples/debian_weak/pack.rs"]
mod pack;
#[path = "../examples/debian_weak/prime.rs"]
mod prime;
#[path = "../examples/debian_weak/random.rs"]
mod random;

use std::{collections::BTreeMap, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use dashu_int::UBig;
use keys::{Kind, Public, Set};
use ringfort_assess::{
    Input, Options,
    keys::{
        debian::{self, BLOCK, List},
        der::{self, Key},
    },
    run,
};
use sha2::{Digest, Sha256};

/// What the program derives has not changed: its keys were compared with published ones.
#[test]
fn derived_keys_are_what_they_were() {
    let sieve = prime::Sieve::new();
    for (set, process, expected) in DERIVED {
        let set: Set = set.parse().unwrap();
        let key = set.key::<1>(&sieve, *process).key().unwrap();
        let (_, print) = debian::fingerprint(&key).unwrap();
        assert_eq!(hex::encode(&print[..8]), *expected, "{set} {process}");
    }
}

/// Several numbers at once give the same key as one after the other.
#[test]
fn the_width_of_the_search_changes_no_key() {
    let sieve = prime::Sieve::new();
    let set: Set = "le64/openssl-noread/rsa1024".parse().unwrap();
    assert_eq!(set.key::<3>(&sieve, 32_767), set.key::<1>(&sieve, 32_767));
}

#[test]
fn the_list_holds_what_its_program_derives() {
    let list = debian::list().expect("the list is read");
    assert_eq!(list.made_on.len(), 10);
    assert_eq!(list.count(), 32_768 * list.sets.len() as u64);
    let sieve = prime::Sieve::new();
    let sets = list.sets.iter().map(|name| name.parse::<Set>().expect("a set that is derived"));
    // Sets of RSA-2048 differ in size alone, and take their time.
    for (at, set) in sets.filter(|set| set.kind != Kind::Rsa(2048)).enumerate() {
        let process = 300 + 2500 * at as u32;
        let key = set.key::<1>(&sieve, process);
        assert!(list.contains(&key.key().unwrap()), "{set} {process}");
        assert!(!list.contains(&twin(&key).key().unwrap()), "{set} {process}: its twin");
    }
}

#[test]
fn a_weak_key_is_k_036_in_every_form_and_its_twin_in_none() {
    let set: Set = "le32/openssl-rnd/rsa1024".parse().unwrap();
    let key = set.key::<1>(&prime::Sieve::new(), 4711);
    for (key, expected) in [(twin(&key), false), (key, true)] {
        let Public::Rsa(n) = &key else { panic!("a modulus") };
        let forms = [
            ("public.pem", public_pem(n)),
            ("private.pem", private_pem(n)),
            ("ssh.pub", ssh_line(n)),
            ("certificate.pem", certificate_pem(n)),
        ];
        for (name, text) in forms {
            let options = Options { today: "2026-11-22".into(), ..Options::default() };
            let found = run(&[Input::Bytes(name.into(), text.into_bytes())], &options, &mut ());
            let ids: Vec<&str> = found.findings.iter().map(|f| f.rule).collect();
            assert!(ids.contains(&"K-014"), "{name} was read: {ids:?}");
            assert_eq!(ids.contains(&"K-036"), expected, "{name}: {ids:?}");
        }
    }
}

/// Lists of every length about a block's, with what is in them and what is not.
#[test]
fn a_list_finds_its_own_keys_and_no_other() {
    for count in [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7] {
        let prints = |what: &str, count| -> Vec<(Key, [u8; 32])> {
            let made = (0..count).map(|n| made_up(&format!("{what} {n}")));
            made.map(|key| (debian::fingerprint(&key).unwrap().1, key))
                .map(|(p, k)| (k, p))
                .collect()
        };
        let own = prints("own", count);
        let set = own.iter().map(|(_, print)| *print).collect();
        let data = pack::pack("2026-11-22", &BTreeMap::from([("m/p/rsa1024".to_owned(), set)]));
        let list = List::read(&data).unwrap();
        assert_eq!((list.count(), &list.sets[..]), (count, &["m/p/rsa1024"][..]));
        assert!(own.iter().all(|(key, _)| list.contains(key)), "{count}");
        assert!(!prints("other", 500).iter().any(|(key, _)| list.contains(key)), "{count}");
    }
}

#[test]
fn a_damaged_list_is_refused_or_still_answers() {
    let keys: Vec<Key> = (0..40).map(|n| made_up(&n.to_string())).collect();
    let prints = keys.iter().map(|key| debian::fingerprint(key).unwrap().1).collect();
    let data = pack::pack("2026-11-22", &BTreeMap::from([("m/p/rsa1024".to_owned(), prints)]));
    assert!(List::read(&data).is_some());
    for len in 0..data.len() {
        assert!(List::read(&data[..len]).is_none(), "cut at {len}");
    }
    let (mut answers, mut fewer) = (0, 0);
    for at in 0..data.len() {
        let mut damaged = data.clone();
        damaged[at] ^= 0xff;
        if let Some(list) = List::read(&damaged) {
            let in_list = keys.iter().filter(|key| list.contains(key)).count();
            answers += 1;
            fewer += usize::from(in_list < keys.len());
        }
    }
    // The codes are most of it, and no damage to them is seen in advance.
    assert!(answers > data.len() / 2 && fewer > answers / 2, "{answers} {fewer}");
}

/// A key that differs in the last bits of one number.
fn twin(key: &Public) -> Public {
    let two = UBig::from(2u8);
    match key.clone() {
        Public::Rsa(n) => Public::Rsa(n + two),
        Public::Dsa([p, q, g, y]) => Public::Dsa([p, q, g, y + two]),
    }
}

fn made_up(seed: &str) -> Key {
    let mut modulus: Vec<u8> =
        (0..4u8).flat_map(|n| Sha256::digest([seed.as_bytes(), &[n]].concat())).collect();
    modulus[0] |= 0x80;
    der::rsa(&modulus, &[1, 0, 1]).unwrap()
}

fn public_pem(n: &UBig) -> String {
    pem("RSA PUBLIC KEY", &tagged(0x30, &[integer(n), integer(&UBig::from(3u8))].concat()))
}

/// With numbers of the right size where only the owner of such a key could tell them wrong.
fn private_pem(n: &UBig) -> String {
    let half = n >> 512 | UBig::ONE;
    let mut body = [integer(&UBig::ZERO), integer(n), integer(&UBig::from(65_537u32))].concat();
    body.extend(
        [n - UBig::from(2u8), half.clone(), half.clone(), half.clone(), half.clone(), half]
            .iter()
            .flat_map(integer),
    );
    pem("RSA PRIVATE KEY", &tagged(0x30, &body))
}

fn ssh_line(n: &UBig) -> String {
    let field = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
    let number = [&[0], &n.to_be_bytes()[..]].concat();
    let blob = [field(b"ssh-rsa"), field(&[35]), field(&number)].concat();
    format!("ssh-rsa {} root@device\n", STANDARD.encode(blob))
}

/// A certificate that another authority signed on this key: OpenSSL puts the key in by force.
fn certificate_pem(n: &UBig) -> String {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("weak.pem"), public_pem(n)).unwrap();
    let script = "exec 2>log; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k; \
        openssl req -x509 -config /dev/null -key k -subj /CN=authority -days 30 -out ca.pem; \
        openssl req -new -config /dev/null -key k -subj /CN=device -out device.csr; \
        openssl rsa -RSAPublicKey_in -in weak.pem -pubout -out public.pem; \
        openssl x509 -req -in device.csr -CA ca.pem -CAkey k -CAcreateserial -days 30 \
        -force_pubkey public.pem";
    let made =
        Command::new("sh").args(["-ec", script]).current_dir(directory.path()).output().unwrap();
    assert!(made.status.success(), "openssl");
    String::from_utf8(made.stdout).unwrap()
}

fn integer(n: &UBig) -> Vec<u8> {
    tagged(2, &[&[0], &n.to_be_bytes()[..]].concat())
}

fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16).to_be_bytes();
    [&[tag, 0x82, len[0], len[1]], body].concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Set, process, the first bytes of the fingerprint.
const DERIVED: &[(&str, u32, &str)] = &[
    ("le32/openssl-nornd/rsa1024", 4_242, "782a146519ea6b47"),
    ("be32/openssl-rnd/rsa1024", 4_242, "68edd31034525cbf"),
    ("le64/ssh-keygen/dsa1024", 1_000, "5ce5828bc67a51a0"),
    ("le64/openssl-noread/rsa1024", 1_000, "40b6d1c1d903c604"),
    ("be32/openssl-noread/rsa1024", 1_000, "40116ef501bf0901"),
    ("be32/openssl-nornd/rsa1024", 1_000, "6a9b16a3d28fe171"),
    ("be32/ssh-keygen/rsa1024", 1_000, "74ccd74d240458e6"),
];
