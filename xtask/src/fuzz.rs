//! `cargo xtask fuzz`: every decoder against libFuzzer, a bounded time each.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{self as process, cargo, root};

/// The crates that hold fuzz targets.
const FUZZ_CRATES: [&str; 2] = ["fuzz", "assess/fuzz"];

/// Runs all targets, or the one that is named, `--seconds` each (60 unless told).
pub fn run_all(seconds: u32, only: Option<&str>) -> Result<()> {
    let host = host()?;
    let mut ran = 0;
    for folder in FUZZ_CRATES.map(|folder| root().join(folder)).iter().filter(|f| f.is_dir()) {
        let wanted: Vec<String> = targets(folder)?
            .into_iter()
            .filter(|target| only.is_none_or(|name| name == target))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        process::run(&mut build(folder, &host))?;
        for target in wanted {
            eprintln!("fuzz {target}, {seconds} s");
            process::run(&mut fuzz_command(folder, &host, &target, seconds)?)?;
            ran += 1;
        }
    }
    match (ran, only) {
        (0, Some(name)) => bail!("there is no fuzz target '{name}'"),
        (0, None) => bail!("no fuzz target found"),
        _ => eprintln!("fuzz: {ran} targets, {seconds} s each, no finding"),
    }
    Ok(())
}

/// The task: `fuzz [--seconds N] [TARGET]`.
pub fn run(arguments: &[String]) -> Result<()> {
    let mut seconds = 60;
    let mut only = None;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => {
                let value = words.next().context("--seconds needs a number")?;
                seconds = value.parse().with_context(|| format!("not a number: '{value}'"))?;
            }
            name if !name.starts_with('-') && only.is_none() => only = Some(name),
            other => bail!("unknown argument '{other}': fuzz [--seconds N] [TARGET]"),
        }
    }
    run_all(seconds, only)
}

/// Coverage instrumentation as `cargo fuzz` asks for it, without its nightly-only sanitizers: a
/// stable compiler and a C++ compiler are enough. Everything fuzzed is safe Rust, so what can go
/// wrong is a panic, an overflow or a hang, and those are seen.
fn build(folder: &Path, host: &str) -> Command {
    let mut command = cargo();
    command
        .env("RUSTFLAGS", INSTRUMENTED)
        .args(["build", "--locked", "--release", "--target", host, "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(folder.join("target"));
    command
}

/// New inputs go to a folder that is not kept; the checked-in seeds are only read.
fn fuzz_command(folder: &Path, host: &str, target: &str, seconds: u32) -> Result<Command> {
    let run_corpus = folder.join("corpus-run").join(target);
    let artifacts = folder.join("artifacts").join(target);
    std::fs::create_dir_all(&run_corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(folder.join("target").join(host).join("release").join(target));
    command
        .args([&format!("-max_total_time={seconds}"), "-timeout=10", "-rss_limit_mb=1024"])
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(&run_corpus);
    let seeds = folder.join("seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    Ok(command)
}

/// The triple of this machine, as the compiler names it.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not name its host")
}

fn targets(folder: &Path) -> Result<Vec<String>> {
    let sources = folder.join("fuzz_targets");
    let mut names: Vec<String> = std::fs::read_dir(&sources)
        .with_context(|| format!("cannot read {}", sources.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path: &PathBuf| path.extension().is_some_and(|ending| ending == "rs"))
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
