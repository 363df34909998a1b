//! `cargo xtask test`: every check of the project, in the order of what fails fastest.

use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::packages::{self, PACKAGES};
use crate::run::{self as process, cargo, on_path, root};
use crate::{docs, firmware, tools};

/// Off in a plain build because they need libraries of the system; on here.
const FEATURES: [&str; 2] = ["--features", "ringfort/tpm"];

/// The same everywhere, so that cargo chooses the same features of each dependency.
const WORKSPACE: [&str; 2] = ["--workspace", "--locked"];

/// What other programs say is read by the tests, in one language.
const LOCALE: [(&str, &str); 1] = [("LC_ALL", "C.UTF-8")];

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("format", format),
    ("documents", docs::check),
    ("clippy", clippy),
    ("deny", deny),
    ("build", build),
    ("rust", rust_tests),
    ("python", python_checks),
    ("firmware", firmware_tests),
];

/// What runs beside the Rust tests once everything is built: each side mostly waits, for processes
/// that it started or for a clock of a device.
const BESIDE_RUST: [&str; 2] = ["python", "firmware"];

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
    this()?;
    packages::ensure(PACKAGES, go_on)?;
    let begun = Instant::now();
    let mut times = Vec::new();
    for (name, step) in STEPS.iter().filter(|(name, _)| only.is_none_or(|wanted| wanted == *name)) {
        if only.is_none() && BESIDE_RUST.contains(name) {
            continue;
        }
        headline(name);
        let start = Instant::now();
        if only.is_none() && *name == "rust" {
            times.extend(rust_and_beside(*step)?);
            continue;
        }
        step().with_context(|| format!("the step '{name}' failed"))?;
        times.push((*name, start.elapsed()));
    }
    if only.is_none() {
        summary(&times, begun.elapsed());
    }
    Ok(())
}

/// The Rust tests, which speak for themselves, and beside them the other steps that need no build
/// any more: what those wrote is shown when all have come to their end.
fn rust_and_beside(rust: fn() -> Result<()>) -> Result<Vec<(&'static str, Duration)>> {
    std::thread::scope(|scope| {
        let beside = BESIDE_RUST.map(|name| scope.spawn(move || alone(name)));
        let start = Instant::now();
        let mut failure = rust().err().map(|error| error.context("the step 'rust' failed"));
        let mut times = vec![("rust", start.elapsed())];
        for (name, thread) in BESIDE_RUST.into_iter().zip(beside) {
            let ended = thread.join().map_err(|_| anyhow!("the step '{name}' panicked"))?;
            headline(name);
            match ended {
                Ok(took) => times.push((name, took)),
                Err(error) => failure = failure.or(Some(error)),
            }
            let log = log(name)?;
            let text = std::fs::read_to_string(&log)
                .with_context(|| format!("cannot read {}", log.display()))?;
            eprint!("{text}");
        }
        failure.map_or(Ok(times), Err)
    })
}

/// One step in a process of its own, its output in a file; how long it took.
fn alone(name: &'static str) -> Result<Duration> {
    let log = log(name)?;
    let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let errors = out.try_clone()?;
    let start = Instant::now();
    let status = Command::new(this()?)
        .args(["test", "--yes", "--only", name])
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(errors)
        .status()
        .with_context(|| format!("cannot start the step '{name}'"))?;
    if !status.success() {
        bail!("the step '{name}' failed: {status}");
    }
    Ok(start.elapsed())
}

/// Where a step that runs beside another writes: in the build folder, which no other run shares.
fn log(name: &str) -> Result<PathBuf> {
    Ok(this()?.with_file_name(format!("xtask-{name}.log")))
}

/// This program's file, as it was called when it started: the build may put a new one there.
fn this() -> Result<&'static Path> {
    static THIS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let this = THIS.get_or_init(|| std::env::current_exe().ok());
    this.as_deref().context("this task does not know its own place")
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
    // With what has come: a second look at the network could fail.
    let mut check = Command::new(&deny);
    process::run(check.current_dir(root()).args(["--locked", "--offline", "check", "advisories"]))
}

/// Everything that the steps after this one start, with the same packages and features, so that
/// none of them builds.
fn build() -> Result<()> {
    process::run(cargo().args(["test", "--no-run"]).args(WORKSPACE).args(FEATURES))?;
    process::run(firmware_demo().arg("--no-run"))?;
    process::run(cargo().args(["build", "--bins", "--examples"]).args(WORKSPACE).args(FEATURES))
}

fn rust_tests() -> Result<()> {
    let mut tests = cargo();
    tests.args(["test", "--no-fail-fast"]).args(WORKSPACE).args(FEATURES).envs(LOCALE);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        // Most of them wait for processes: more at a time than there are cores.
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        tests.env("RUST_TEST_THREADS", (2 * cores).to_string());
    }
    process::run(&mut tests)?;
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
    tests.args(["test", "--lib"]).args(WORKSPACE).args(FEATURES);
    process::run(tests.args(["--", "--ignored", "images_on_loop_devices"]))
}

/// Checkers that others wrote, each a script of ours that exits 0 or says what differs.
fn python_checks() -> Result<()> {
    let interpreter = tools::python()?;
    process::run(cargo().args(["build", "--bins", "--examples"]).args(WORKSPACE).args(FEATURES))?;
    let build = this()?.parent().context("this task has no folder")?;
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
        command.envs(LOCALE);
        process::run(&mut command)?;
    }
    Ok(())
}

fn is_check(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("check_") && name.ends_with(".py")
}

/// The demonstration builds its images where the tests have built theirs: one after the other.
fn firmware_tests() -> Result<()> {
    firmware::run(&["test".to_owned()])?;
    process::run(&mut firmware_demo())
}

/// No part of a plain `cargo test`: it needs the firmware's toolchain and QEMU.
fn firmware_demo() -> Command {
    let mut command = cargo();
    command.args(["test", "--test", "firmware_demo"]).args(WORKSPACE).args(FEATURES);
    command
}

/// Makes sure of a part of the toolchain. What rustup puts on the search path is there without it too.
fn component(name: &str) -> Result<()> {
    let task = if name == "rustfmt" { "fmt" } else { name };
    let is_there = || process::succeeds(cargo().args([task, "--version"]));
    if is_there() {
        return Ok(());
    }
    let unattended = std::env::var_os("CI").is_some_and(|value| value == "true");
    if unattended && on_path("rustup") {
        let mut add = Command::new("rustup");
        add.args(["component", "add", name]);
        process::over_network(|| process::run(&mut add))?;
    }
    match is_there() {
        true => Ok(()),
        false => bail!("{name} is not installed: run `rustup component add {name}`"),
    }
}

fn headline(name: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("\n\x1b[1m== {name}\x1b[0m");
    } else {
        eprintln!("\n== {name}");
    }
}

fn summary(times: &[(&str, Duration)], together: Duration) {
    eprintln!("\nall steps passed:");
    for (name, took) in times {
        eprintln!("  {name:<10} {:>6.0} s", took.as_secs_f64());
    }
    eprintln!("  {:<10} {:>6.0} s", "together", together.as_secs_f64());
}
