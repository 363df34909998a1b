//! `ringfort assess`: what is inside a source tree or a firmware image, and what is shared.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ringfort_assess::keys::FingerprintKey;
use ringfort_assess::model::Severity;
use ringfort_assess::rules::suppress::Suppressions;
use ringfort_assess::{Output, Printed, Spinner, execute};

use crate::failure::{Failure, Outcome};
use crate::files;

/// What to assess, how, and what to write.
#[derive(Args)]
pub struct Options {
    /// Source trees and firmware images, in any mix; several images of one product side by side
    #[arg(required = true, value_name = "PATH")]
    inputs: Vec<PathBuf>,

    /// Write assessment.json, .sarif and .html into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Print SARIF 2.1.0 instead of the first screen
    #[arg(long)]
    sarif: bool,

    /// Write the report as one HTML file, named *.html; - is standard output
    #[arg(long, value_name = "FILE", value_parser = report_name)]
    html: Option<PathBuf>,

    /// List what was read and what was not, below the first screen
    #[arg(long)]
    coverage: bool,

    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Level::High)]
    fail_on: Level,

    /// The least share of bytes that must be read, in percent; below it the exit code is 3
    #[arg(long, value_name = "PCT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
    min_coverage: u32,

    /// Accepted findings, each with owner, reason and expiry
    #[arg(long, value_name = "FILE")]
    suppress: Option<PathBuf>,

    /// A key for the fingerprints of secrets, so that two reports can be compared (16 bytes or more)
    #[arg(long, value_name = "FILE")]
    fingerprint_key: Option<PathBuf>,

    /// Read files that git ignores, too
    #[arg(long)]
    ignored: bool,

    /// Leave git history out
    #[arg(long)]
    no_history: bool,
}

/// A severity on the command line.
#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Low,
    Medium,
    High,
    Critical,
}

/// Runs the assessment: exit code 0 nothing at or above the level, 1 findings, 2 wrong usage, 3
/// not tested.
pub fn run(options: Options, json: bool) -> ExitCode {
    match assess(options, json) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(2)
        }
    }
}

fn assess(options: Options, json: bool) -> Outcome<u8> {
    let how = ringfort_assess::Options {
        fail_on: options.fail_on.into(),
        min_coverage_percent: options.min_coverage,
        history: !options.no_history,
        ignored: options.ignored,
        suppressions: suppressions(options.suppress.as_deref())?,
        key: fingerprint_key(options.fingerprint_key.as_deref())?,
        ..ringfort_assess::Options::default()
    };
    let (page, html) = match options.html {
        Some(name) if name.as_os_str() == "-" => (true, None),
        other => (false, other),
    };
    let print = match (json, options.sarif, page, options.coverage) {
        (false, false, false, false) => Printed::Screen,
        (false, false, false, true) => Printed::ScreenAndCoverage,
        (true, false, false, _) => Printed::Json,
        (false, true, false, _) => Printed::Sarif,
        (false, false, true, _) => Printed::Html,
        _ => {
            return Err(Failure::usage(
                "standard output can hold one document",
                "Two of --json, --sarif and --html - were given.",
                "Print one of them; --out DIR writes all three as files.",
            ));
        }
    };
    let output = Output { print, html, out: options.out };
    let mut stdout = std::io::stdout().lock();
    let mut progress = Spinner::on_stderr();
    execute(&options.inputs, &how, &output, &mut progress, &mut stdout).map_err(|error| {
        Failure::failed(
            "the report could not be written",
            format!("{error}."),
            "Check free space and the names after --out and --html.",
        )
    })
}

fn suppressions(path: Option<&Path>) -> Outcome<Suppressions> {
    let Some(path) = path else { return Ok(Suppressions::default()) };
    let text = files::read_text(path, MAX_SUPPRESSIONS)?;
    Suppressions::parse(&text).map_err(|error| {
        Failure::usage(
            format!("{} cannot be used", path.display()),
            format!("{error}."),
            "docs/assess.md shows what an accepted finding looks like.",
        )
    })
}

fn fingerprint_key(path: Option<&Path>) -> Outcome<FingerprintKey> {
    let Some(path) = path else { return Ok(FingerprintKey::default()) };
    let bytes = files::read(path, 4096)?;
    if bytes.len() < 16 {
        return Err(Failure::usage(
            format!("{} is too short", path.display()),
            "A fingerprint key has 16 bytes or more.",
            "Make one with: head -c 32 /dev/urandom > FILE",
        ));
    }
    Ok(FingerprintKey::new(&bytes))
}

/// The name of an HTML report. An input that slipped in here must not be written over.
fn report_name(name: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(name);
    match path.extension().and_then(|e| e.to_str()) {
        Some("html" | "htm") => Ok(path),
        _ if name == "-" => Ok(path),
        _ => Err("the report's name ends in .html, or is - for standard output"),
    }
}

impl From<Level> for Severity {
    fn from(level: Level) -> Severity {
        match level {
            Level::Low => Severity::Low,
            Level::Medium => Severity::Medium,
            Level::High => Severity::High,
            Level::Critical => Severity::Critical,
        }
    }
}

const MAX_SUPPRESSIONS: usize = 4 << 20;
