#![no_main]
//! A whole run and all four reports.

use libfuzzer_sys::fuzz_target;
use ringfort_assess::{Input, Options, report, run};

fuzz_target!(|data: &[u8]| {
    let options = Options { today: "2026-11-22".into(), ..Options::default() };
    let found = run(&[Input::Bytes("f".into(), data.to_vec())], &options, &mut ());
    assert!(report::screen(&found).lines().count() <= 24);
    report::json(&found).expect("JSON");
    report::sarif(&found).expect("SARIF");
    report::html(&found).expect("HTML");
});
