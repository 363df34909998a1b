//! `cargo xtask test`: every check of the project, in the order of what fails fastest.

use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::packages::{self, PACKAGES};
use crate::run::{self as process, cargo, on_path, root};
use crate::{docs, firmware, tools};

/// Off in a plain build because they need libraries of the system; on here.
const FEATURES: [&str; 2] = ["--features", "ringfort/tpm"];

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("format", format),
    ("documents", docs::check),
    ("clippy", clippy),
    ("deny", deny),
    ("rust", rust_tests),
    ("python", python_checks),
    ("firmware", firmware_tests),
];

/// The task: `test [--yes] [--only STEP]`.
pub fn run(arguments: &[String]) -> Result<()> {
    let mut go_on = std::env::var_os("CI").is_some_and(|value| value == "true");
    let mut only = None;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--yes" => go_on = true,
            "--only" => only = Some(words.next().context("--only needs a step's name")?.as_str()),
            other => bail!("unknown argument '{other}': test [--yes] [--only STEP]"),
        }
    }
    let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
    if let Some(name) = only
        && !names.contains(&name)
    {
        bail!("there is no step '{name}'; the steps are: {}", names.join(", "));
    }
    packages::ensure(PACKAGES, go_on)?;
    let mut times = Vec::new();
    for (name, step) in STEPS.iter().filter(|(name, _)| only.is_none_or(|wanted| wanted == *name)) {
        headline(name);
        let start = Instant::now();
        step().with_context(|| format!("the step '{name}' failed"))?;
        times.push((*name, start.elapsed()));
    }
    summary(&times);
    Ok(())
}

fn format() -> Result<()> {
    component("rustfmt")?;
    process::run(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    component("clippy")?;
    process::run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Bans, licences and sources must be clean. Advisories need a database from outside: where it
/// cannot be had the output says so.
fn deny() -> Result<()> {
    let deny = tools::cargo_deny()?;
    let mut command = Command::new(&deny);
    process::run(
        command.current_dir(root()).args(["--locked", "check", "bans", "licenses", "sources"]),
    )?;
    let mut fetch = Command::new(&deny);
    let fetched = fetch.current_dir(root()).args(["fetch", "db"]).output()?.status.success();
    if !fetched {
        eprintln!("advisories: NOT CHECKED (the advisory database cannot be reached from here)");
        return Ok(());
    }
    process::run(Command::new(&deny).current_dir(root()).args(["--locked", "check", "advisories"]))
}

fn rust_tests() -> Result<()> {
    process::run(
        cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]).args(FEATURES),
    )?;
    loop_device_tests()
}

/// Slots on block devices: a container has none to give away.
fn loop_device_tests() -> Result<()> {
    // Whether one is given away shows only when it is asked for.
    let probe = process::cache()?.join("loop-probe");
    std::fs::write(&probe, [0; 4096])?;
    let attached = process::output(Command::new("losetup").args(["--find", "--show"]).arg(&probe));
    let detached = attached
        .is_ok_and(|device| process::succeeds(Command::new("losetup").args(["--detach", &device])));
    if !detached {
        eprintln!("slots on loop devices: NOT TESTED (none can be had here; tested on files)");
        return Ok(());
    }
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--locked", "--lib"]).args(FEATURES);
    process::run(tests.args(["--", "--ignored", "images_on_loop_devices"]))
}

/// Checkers that others wrote, each a script of ours that exits 0 or says what differs. They use
/// what the step before has built: with the same packages and features nothing is built twice.
fn python_checks() -> Result<()> {
    let interpreter = tools::python()?;
    process::run(
        cargo().args(["build", "--workspace", "--bins", "--examples", "--locked"]).args(FEATURES),
    )?;
    let build = std::env::current_exe().context("this task does not know its own place")?;
    let build = build.parent().context("this task has no folder")?;
    let folder = root().join("tests/python");
    let mut scripts: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| is_check(path))
        .collect();
    scripts.sort();
    if scripts.is_empty() {
        bail!("no check found in {}", folder.display());
    }
    for script in scripts {
        eprintln!("{}", script.file_name().unwrap_or_default().to_string_lossy());
        let mut command = Command::new(&interpreter);
        command.current_dir(root()).arg("-B").arg(&script).env("RINGFORT_BUILD", build);
        process::run(&mut command)?;
    }
    Ok(())
}

fn is_check(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("check_") && name.ends_with(".py")
}

fn firmware_tests() -> Result<()> {
    firmware::run(&["test".to_owned()])
}

fn component(name: &str) -> Result<()> {
    if on_path(&format!("cargo-{}", if name == "rustfmt" { "fmt" } else { name })) {
        return Ok(());
    }
    bail!("{name} is not installed: run `rustup component add {name}`");
}

fn headline(name: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("\n\x1b[1m== {name}\x1b[0m");
    } else {
        eprintln!("\n== {name}");
    }
}

fn summary(times: &[(&str, Duration)]) {
    eprintln!("\nall steps passed:");
    for (name, took) in times {
        eprintln!("  {name:<10} {:>6.0} s", took.as_secs_f64());
    }
    let total: Duration = times.iter().map(|(_, took)| *took).sum();
    eprintln!("  {:<10} {:>6.0} s", "together", total.as_secs_f64());
}
