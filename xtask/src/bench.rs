//! `cargo xtask bench`: builds the release of the executable and of its load, and measures.

use std::process::Command;

use anyhow::Result;

use crate::run::{cargo, output, root, run};

/// The task: `bench [--only NAME]... [--json] [--devices N] [--keep DIR] [--sources DIR]`. What
/// comes after the task's name goes to the measurement.
pub fn run_task(arguments: &[String]) -> Result<()> {
    run(cargo().args([
        "build",
        "--release",
        "--locked",
        "--package",
        "ringfort",
        "--package",
        "ringfort-bench",
    ]))?;
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target =
        metadata["target_directory"].as_str().map_or_else(|| root().join("target"), Into::into);
    let release = target.join("release");
    run(Command::new(release.join("ringfort-bench"))
        .arg("--ringfort")
        .arg(release.join("ringfort"))
        .args(arguments))
}
