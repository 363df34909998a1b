//! Makes `data/debian-weak.bin`: fingerprints of the keys that follow from a process id, by
//! doing again what OpenSSL 0.9.8 did on Debian (CVE-2008-0166). No key is stored.
//!
//! ```text
//! cargo run --release -p ringfort-assess --example debian_weak -- sets
//! … derive SET [FIRST LAST] > FILE        one line for each process: SET PROCESS FINGERPRINT
//! … show SET PROCESS                      the public key in hexadecimal
//! … pack DATE FILE.. > data/debian-weak.bin
//! ```
//! SET is MACHINE/PROGRAM/KIND. With `cargo rustc --release … -- -C target-cpu=native` and a
//! processor that has AVX-512, 32,768 keys of RSA-2048 take about 5 minutes of one core.

#![allow(clippy::print_stderr, clippy::expect_used, reason = "a tool for developers")]

mod keys;
mod lanes;
mod pack;
mod prime;
mod random;

use std::{collections::BTreeMap, fs, io::Write};

use keys::{Public, Set};
use ringfort_assess::keys::debian;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match &words[..] {
        ["sets"] => {
            keys::all().for_each(|set| println!("{set}"));
            Ok(())
        }
        ["derive", set] => derive(set, "0", "32767"),
        ["derive", set, first, last] => derive(set, first, last),
        ["show", set, process] => show(set, process),
        ["pack", day, files @ ..] if !files.is_empty() => pack(day, files),
        _ => Err(USAGE.to_owned()),
    };
    if let Err(why) = result {
        eprintln!("{why}");
        std::process::exit(2);
    }
}

fn derive(set: &str, first: &str, last: &str) -> Result<(), String> {
    let set: Set = set.parse()?;
    let sieve = prime::Sieve::new();
    let mut out = std::io::stdout().lock();
    for process in number(first)?..=number(last)? {
        let key = set.key::<WIDE>(&sieve, process).key();
        let (_, print) = key.as_ref().and_then(debian::fingerprint).ok_or("no key came out")?;
        writeln!(out, "{set} {process} {}", hex::encode(print)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn show(set: &str, process: &str) -> Result<(), String> {
    let set: Set = set.parse()?;
    let numbers = match set.key::<WIDE>(&prime::Sieve::new(), number(process)?) {
        Public::Rsa(n) => vec![n],
        Public::Dsa(all) => all.to_vec(),
    };
    numbers.iter().for_each(|n| println!("{}", hex::encode(n.to_be_bytes())));
    Ok(())
}

fn pack(day: &str, files: &[&str]) -> Result<(), String> {
    let mut found: BTreeMap<String, BTreeMap<u32, [u8; 32]>> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [set, process, print] = words[..] else { return Err(format!("{file}: {line}")) };
            let print = hex::decode(print).ok().and_then(|print| print.try_into().ok());
            let print = print.ok_or_else(|| format!("{file}: {line}"))?;
            found.entry(set.to_owned()).or_default().insert(number(process)?, print);
        }
    }
    for (set, keys) in &found {
        if keys.len() != PROCESSES || keys.keys().any(|process| *process >= PROCESSES as u32) {
            return Err(format!("{set}: {} of {PROCESSES} keys", keys.len()));
        }
    }
    let sets = found.into_iter().map(|(set, keys)| (set, keys.into_values().collect())).collect();
    std::io::stdout().write_all(&pack::pack(day, &sets)).map_err(|e| e.to_string())
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|e| format!("{text}: {e}"))
}

const USAGE: &str =
    "usage: debian_weak sets | derive SET [FIRST LAST] | show SET PROCESS | pack DATE FILE..";
/// Numbers that are tested at once: a register of 512 bits.
const WIDE: usize = 8;
const PROCESSES: usize = 32_768;
