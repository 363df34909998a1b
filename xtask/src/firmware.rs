//! `cargo xtask firmware`.

use anyhow::{Result, bail};

/// The task: `firmware build|run|test|size|powercut|faults`.
pub fn run(_arguments: &[String]) -> Result<()> {
    bail!("the firmware workspace has no tasks so far")
}
