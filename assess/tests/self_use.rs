//! The assessment of this repository's own tree is clean but for what `accepted.toml`
//! justifies, and nothing there is stale.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use std::path::Path;

use ringfort_assess::{Input, Options, Severity, Suppressions, run};

#[test]
fn this_repository_is_clean() {
    let assess = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
    let root = assess.parent().unwrap();
    let text = std::fs::read_to_string(assess.join("accepted.toml")).unwrap();
    let options = Options {
        suppressions: Suppressions::parse(&text).unwrap(),
        history: false,
        ..Options::default()
    };
    // Fingerprints of unsigned images contain the path, so the run starts at the root.
    std::env::set_current_dir(root).unwrap();
    let found = run(&[Input::Path(".".into())], &options, &mut ());
    let open: Vec<_> = found
        .findings
        .iter()
        .filter(|f| f.suppressed.is_none() && f.severity >= Severity::High)
        .collect();
    assert!(open.is_empty(), "{open:#?}");
    assert!(found.stale_suppressions.is_empty(), "{:#?}", found.stale_suppressions);
    assert!(found.inputs[0].coverage.read_permille() >= 990, "{:#?}", found.inputs[0].unread);
}
