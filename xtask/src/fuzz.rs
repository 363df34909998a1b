//! `cargo xtask fuzz`: every decoder against libFuzzer, a bounded time each.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{self as process, root, succeeds};
use crate::tools;

/// The crates that hold fuzz targets.
const FUZZ_CRATES: [&str; 2] = ["fuzz", "assess/fuzz"];

/// Runs all targets, or the one that is named, `--seconds` each (60 unless told).
pub fn run_all(seconds: u32, only: Option<&str>) -> Result<()> {
    let cargo_fuzz = tools::cargo_fuzz()?;
    let mut ran = 0;
    for folder in FUZZ_CRATES.map(|folder| root().join(folder)).iter().filter(|f| f.is_dir()) {
        for target in targets(folder)? {
            if only.is_some_and(|name| name != target) {
                continue;
            }
            eprintln!("fuzz {target}, {seconds} s");
            process::run(&mut fuzz_command(&cargo_fuzz, folder, &target, seconds)?)?;
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

/// New inputs go to a folder that is not kept; the checked-in seeds are only read.
fn fuzz_command(cargo_fuzz: &Path, folder: &Path, target: &str, seconds: u32) -> Result<Command> {
    let run_corpus = folder.join("corpus-run").join(target);
    std::fs::create_dir_all(&run_corpus)?;
    let mut command = Command::new(cargo_fuzz);
    // libFuzzer needs sanitizer flags: a nightly compiler, or a stable one told to allow them.
    if succeeds(Command::new("cargo").args(["+nightly", "--version"])) {
        command.env("RUSTUP_TOOLCHAIN", "nightly");
    } else {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    command
        .current_dir(folder.parent().unwrap_or(folder))
        .args(["run", "--fuzz-dir"])
        .arg(folder)
        .arg(target)
        .arg(&run_corpus)
        .arg(folder.join("seeds").join(target))
        .args(["--", &format!("-max_total_time={seconds}"), "-rss_limit_mb=2048", "-timeout=10"]);
    Ok(command)
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
