//! The command line without a parser library, for trials and for who embeds the crate.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    Assessment, Input, Options, Progress, keys::FingerprintKey, model::Severity, report,
    rules::suppress::Suppressions, run,
};

/// What to write besides the first screen.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Directory for `assessment.json`, `assessment.sarif` and `assessment.html`.
    pub out: Option<PathBuf>,
    /// JSON on standard output instead of the screen.
    pub json: bool,
    /// SARIF on standard output instead of the screen.
    pub sarif: bool,
    /// HTML on standard output, or into this file.
    pub html: Option<Option<PathBuf>>,
    /// The coverage list after the screen.
    pub coverage: bool,
}

/// Why a run could not be reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A report could not be made.
    #[error("cannot make the report: {0}")]
    Report(String),
}

/// Runs, writes the reports, and returns the exit code (0, 1 or 3).
///
/// # Errors
/// [`CommandError`] when a report cannot be written.
pub fn execute(
    inputs: &[PathBuf],
    options: &Options,
    output: &Output,
    progress: &mut dyn Progress,
    stdout: &mut dyn Write,
) -> Result<u8, CommandError> {
    let inputs: Vec<Input> = inputs.iter().cloned().map(Input::Path).collect();
    let assessment = run(&inputs, options, progress);
    write(&assessment, output, stdout)?;
    Ok(assessment.exit)
}

/// Writes the reports of an assessment.
///
/// # Errors
/// [`CommandError`] when a report cannot be written.
pub fn write(
    assessment: &Assessment,
    output: &Output,
    stdout: &mut dyn Write,
) -> Result<(), CommandError> {
    let made = |e: &dyn std::fmt::Display| CommandError::Report(e.to_string());
    let json = || report::json(assessment).map_err(|e| made(&e));
    let sarif = || report::sarif(assessment).map_err(|e| made(&e));
    let html = || report::html(assessment).map_err(|e| made(&e));
    let mut screen = true;
    let mut print = |text: String| {
        stdout
            .write_all(text.as_bytes())
            .map_err(|source| CommandError::Write { path: "standard output".into(), source })
    };
    if output.json {
        screen = false;
        print(json()? + "\n")?;
    }
    if output.sarif {
        screen = false;
        print(sarif()? + "\n")?;
    }
    match &output.html {
        Some(Some(path)) => save(path, &html()?)?,
        Some(None) => {
            screen = false;
            print(html()?)?;
        }
        None => {}
    }
    if let Some(directory) = &output.out {
        std::fs::create_dir_all(directory).map_err(|source| CommandError::Write {
            path: directory.display().to_string(),
            source,
        })?;
        save(&directory.join("assessment.json"), &(json()? + "\n"))?;
        save(&directory.join("assessment.sarif"), &(sarif()? + "\n"))?;
        save(&directory.join("assessment.html"), &html()?)?;
    }
    if screen {
        print(report::screen(assessment))?;
        if output.coverage {
            print(report::coverage(assessment))?;
        }
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<(), CommandError> {
    std::fs::write(path, text)
        .map_err(|source| CommandError::Write { path: path.display().to_string(), source })
}

/// The whole command: `PATH.. [--out DIR] [--json|--sarif|--html [FILE]] [--fail-on LEVEL]
/// [--min-coverage PCT] [--suppress FILE] [--fingerprint-key FILE] [--ignored]
/// [--no-history] [--coverage]`. Exit code 2 on wrong usage.
#[must_use]
pub fn command_line(arguments: &[String]) -> ExitCode {
    let (inputs, options, output) = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    match execute(&inputs, &options, &output, &mut (), &mut std::io::stdout().lock()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Result<(Vec<PathBuf>, Options, Output), String> {
    let mut inputs = Vec::new();
    let mut options = Options::default();
    let mut output = Output::default();
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--out" => output.out = Some(PathBuf::from(value()?)),
            "--json" => output.json = true,
            "--sarif" => output.sarif = true,
            "--html" => {
                let file = rest.next_if(|next| next.ends_with(".html"));
                output.html = Some(file.map(PathBuf::from));
            }
            "--coverage" => output.coverage = true,
            "--ignored" => options.ignored = true,
            "--no-history" => options.history = false,
            "--fail-on" => {
                let word = value()?;
                options.fail_on = Severity::parse(word)
                    .ok_or_else(|| format!("--fail-on {word}: low, medium, high or critical"))?;
            }
            "--min-coverage" => {
                let word = value()?;
                options.min_coverage_percent = word
                    .parse()
                    .ok()
                    .filter(|p| *p <= 100)
                    .ok_or_else(|| format!("--min-coverage {word}: a number from 0 to 100"))?;
            }
            "--today" => options.today = value()?.clone(),
            "--suppress" => {
                let path = value()?;
                let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
                options.suppressions = Suppressions::parse(&text).map_err(|e| e.to_string())?;
            }
            "--fingerprint-key" => {
                let path = value()?;
                let bytes = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
                if bytes.len() < 16 {
                    return Err(format!("{path}: a fingerprint key has 16 bytes or more"));
                }
                options.key = FingerprintKey::new(&bytes);
            }
            flag if flag.starts_with("--") => return Err(format!("unknown option {flag}")),
            path => inputs.push(PathBuf::from(path)),
        }
    }
    if inputs.is_empty() {
        return Err("give at least one source tree or image".into());
    }
    Ok((inputs, options, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(arguments: &[&str]) -> Result<(), String> {
        parse(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>()).map(|_| ())
    }

    #[test]
    fn wrong_usage_is_refused() {
        assert!(code(&["a.bin", "--fail-on", "medium", "--min-coverage", "80"]).is_ok());
        for wrong in [
            &["--json"][..],
            &["a", "--fail-on", "worse"],
            &["a", "--min-coverage", "101"],
            &["a", "--nope"],
            &["a", "--out"],
        ] {
            assert!(code(wrong).is_err(), "{wrong:?}");
        }
    }
}
