//! The firmware's demonstration, as a newcomer runs it: the real executable builds the images and
//! drives real boots of the emulated boards.

use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// One at a time: each builds the images first, in the same folder.
fn firmware(arguments: &[&str]) -> Output {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    Command::new(env!("CARGO_BIN_EXE_ringfort"))
        .arg("firmware")
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null())
        .output()
        .expect("the command starts")
}

#[test]
fn everything_happens_on_both_boards() {
    for board in ["mps2-an505", "mps2-an521"] {
        let output = firmware(&["demo", "--json", "--board", board]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let object: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert!(output.status.success(), "{object:#}\n{said}");
        assert_eq!(object["board"], board);
        assert_eq!(object["happened"], true);
        let steps = object["steps"].as_array().expect("steps");
        assert_eq!(steps.len(), 14, "{object:#}");
        for step in steps {
            assert_eq!(step["happened"], true, "{step}");
            assert_ne!(step["seen"], "nothing", "{step}");
        }
        // Each line is what a console said: the refusals with their reason codes.
        let seen = |what: &str| {
            let step = steps.iter().find(|step| step["what"] == what);
            step.and_then(|step| step["seen"].as_str()).unwrap_or_default().to_owned()
        };
        assert!(seen("rollback is refused").contains("sequence-too-low"));
        assert!(seen("tampered image is refused").contains("image-digest"));
        assert!(seen("rogue partition is restarted").contains("restarted rogue"));
    }
}

#[test]
fn run_shows_both_consoles_of_a_signed_start() {
    let output = firmware(&["run", "--board", "mps2-an521"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "secure       boot: slot 00000000",
        "secure       update: confirmed",
        "application  app: release 00000001",
        "application  accepts the running release: status 0, update updated",
        "application  answer sixteen bytes...",
        "application  has called a service: status 0, update ready",
        "application  end",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "no line '{line}':\n{shown}");
    }
    // The same for a script: both consoles as they are.
    let output = firmware(&["run", "--json"]);
    let object: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert!(output.status.success(), "{object:#}");
    let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    assert!(text("secure").contains("spm: ready") && text("application").contains("answer"));
}

#[test]
fn without_images_it_says_what_to_do() {
    let output = firmware(&["demo", "--images", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/nowhere/boot"), "{said}");
    assert!(said.contains("cargo xtask firmware images"), "{said}");
}
