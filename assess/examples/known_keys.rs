//! Makes `data/known-keys.tsv`: fingerprints of private keys that anybody can download.
//!
//! ```text
//! cargo run -p ringfort-assess --example known_keys -- DATE LABEL=FILE.. > data/known-keys.tsv
//! ```
//! Each FILE is a published package (source archive, wheel, crate); every private key in
//! it becomes one line: SHA-256 of its SubjectPublicKeyInfo, and LABEL. Lines of the list
//! that exists are kept. No key is stored.

use std::{collections::BTreeMap, path::PathBuf};

use ringfort_assess::{
    Input, Options,
    keys::{Kind, known},
    run_with_index,
};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(date) = arguments.next() else {
        eprintln!("usage: known_keys DATE LABEL=FILE..");
        std::process::exit(2);
    };
    let mut list: BTreeMap<String, String> = BTreeMap::new();
    for argument in arguments {
        let Some((label, file)) = argument.split_once('=') else { continue };
        let options = Options { history: false, ..Options::default() };
        let (_, index) = run_with_index(&[Input::Path(PathBuf::from(file))], &options, &mut ());
        for record in index.records().iter().filter(|r| r.kind == Kind::PrivateKey) {
            // Keys whose inside is not understood have no public half to compare with.
            let Some(key) = record.about.key.as_ref().filter(|k| !k.degenerate) else { continue };
            if known::source(&key.spki_sha256).is_some() {
                continue;
            }
            let name = record.location.path.rsplit(['!', '/']).next().unwrap_or("");
            list.entry(hex::encode(key.spki_sha256)).or_insert_with(|| format!("{label}: {name}"));
        }
    }
    println!("# Keys whose private half is public: SHA-256 of the SubjectPublicKeyInfo, source.");
    println!("# made on {date}");
    println!("# made by examples/known_keys.rs from the packages named; fingerprints only");
    for line in include_str!("../data/known-keys.tsv").lines().filter(|l| !l.starts_with('#')) {
        println!("{line}");
    }
    for (print, source) in list {
        println!("{print}\t{source}");
    }
}
