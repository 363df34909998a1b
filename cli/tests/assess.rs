//! `ringfort assess` as people and build servers call it: the first screen, the exit codes, and
//! what lands in which file.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::Bench;
use serde_json::Value;

#[test]
fn one_key_in_two_images_is_the_first_thing_on_the_screen() {
    let bench = two_images();
    let ran = bench.run("assess first second");
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines.len() <= 24, "{}", ran.out);
    assert!(ran.out.contains("shared?   YES: 1 private key"), "{}", ran.out);
    let first = lines.iter().position(|line| line.contains("CRITICAL K-001")).unwrap();
    assert!(lines[first + 1].contains("/etc/device.key"), "{}", ran.out);
    assert!(ran.out.contains("exit 1 (findings at or above high)"), "{}", ran.out);
    assert!(!ran.out.contains("PRIVATE KEY"), "a secret on the screen");
}

#[test]
fn the_next_step_that_the_screen_names_makes_the_page() {
    let bench = two_images();
    let screen = bench.run("assess first second").out;
    let next = screen.lines().find(|line| line.contains("Next: ")).unwrap();
    let (_, option) = next.split_once("Next: ").unwrap();
    let (option, _) = option.split_once(" | ").unwrap();
    let ran = bench.run(&format!("assess first second {option}"));
    assert_eq!((ran.code, ran.out), (1, screen));
    let page = fs::read_to_string(bench.path("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("K-001"));
    let printed = bench.run("assess first second --html -");
    assert_eq!((printed.code, printed.out), (1, page));
}

#[test]
fn an_input_in_the_place_of_the_report_is_not_written_over() {
    let bench = two_images();
    let before = fs::read(bench.path("first/etc/device.key")).unwrap();
    let ran = bench.run("assess second --html first/etc/device.key");
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("ends in .html"), "{}", ran.err);
    assert_eq!(fs::read(bench.path("first/etc/device.key")).unwrap(), before);
}

#[test]
fn standard_output_holds_one_document() {
    let bench = two_images();
    for two in ["--json --sarif", "--json --html -", "--sarif --html -"] {
        let ran = bench.run(&format!("assess first {two}"));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{two}");
    }
    for (option, version) in [("--json", "tool"), ("--sarif", "version")] {
        let ran = bench.run(&format!("assess first second {option}"));
        let document: Value = serde_json::from_str(&ran.out).unwrap();
        assert!(!document[version].is_null(), "{option}: {}", ran.out);
        assert_eq!(ran.code, 1);
    }
}

#[test]
fn a_directory_gets_all_three_documents() {
    let bench = two_images();
    assert_eq!(bench.run("assess first second --out reports/today").code, 1);
    for name in ["assessment.json", "assessment.sarif", "assessment.html"] {
        assert!(fs::metadata(bench.path("reports/today").join(name)).unwrap().len() > 1000);
    }
}

#[test]
fn exit_codes_tell_clean_findings_wrong_use_and_not_tested_apart() {
    let bench = two_images();
    fs::create_dir(bench.path("clean")).unwrap();
    fs::write(bench.path("clean/notes.txt"), "nothing secret here\n").unwrap();
    let dense: Vec<u8> = noise().collect();
    fs::write(bench.path("dense.bin"), dense).unwrap();
    for (arguments, code) in [
        ("assess clean", 0),
        ("assess first --fail-on critical", 0),
        ("assess first", 1),
        ("assess first second --fail-on critical", 1),
        ("assess", 2),
        ("assess clean --min-coverage 101", 2),
        ("assess clean --suppress clean/notes.txt", 2),
        ("assess missing.bin", 3),
        ("assess dense.bin", 3),
        ("assess dense.bin --min-coverage 0", 0),
        ("assess dense.bin first", 1),
    ] {
        let ran = bench.run(arguments);
        assert_eq!(ran.code, code, "{arguments}\n{}{}", ran.out, ran.err);
    }
    let one = bench.run("assess clean").out;
    assert!(one.contains("NOT TESTED across devices: give a second image"), "{one}");
}

/// Two root file systems with one private key, each in a place of its own.
fn two_images() -> Bench {
    let bench = Bench::new();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for image in ["first", "second"] {
        for folder in ["etc", "bin"] {
            fs::create_dir_all(bench.path(image).join(folder)).unwrap();
        }
        fs::write(bench.path(image).join("bin/run"), "#!/bin/sh\necho hello\n").unwrap();
        fs::write(bench.path(image).join("etc/device.key"), &key).unwrap();
        fs::write(bench.path(image).join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    }
    bench
}

/// Dense bytes of no format: a xorshift generator's, the same in each run.
fn noise() -> impl Iterator<Item = u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(300_000)
}
