//! Tools that come from language registries: pinned, kept in the cache folder.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cache, cargo, over_network, root, run, succeeds};

const CARGO_DENY: &str = "0.20.2";

/// The pinned cargo-deny; built once per machine.
pub fn cargo_deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", CARGO_DENY)
}

fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let folder = cache()?.join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("building {name} {version}, once on this machine (about 3 minutes)");
    // A target folder of its own would be thrown away; the shared one keeps what both builds need.
    over_network(|| {
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", name, "--version", version, "--root"]);
        run(install.arg(&folder))
    })?;
    Ok(program)
}

/// A Python environment with the pinned packages of `tests/python/requirements.txt`.
///
/// Returns its interpreter. It is made anew when the requirements change.
pub fn python() -> Result<PathBuf> {
    let requirements = root().join("tests/python/requirements.txt");
    let wanted = std::fs::read(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let folder = cache()?.join("python");
    let interpreter = folder.join("bin/python");
    let installed = folder.join("requirements.installed");
    let current = std::fs::read(&installed).is_ok_and(|have| have == wanted);
    if current && succeeds(Command::new(&interpreter).arg("--version")) {
        return Ok(interpreter);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    over_network(|| {
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--retries", "10", "--timeout", "60", "-r"]);
        run(pip.arg(&requirements))
    })?;
    std::fs::write(&installed, wanted)?;
    Ok(interpreter)
}
