//! Running an assessment and writing its reports, for the command line and for who embeds the
//! crate.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use crate::{Assessment, Input, Options, Progress, report, run};

/// What to print, and what to write besides.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// What standard output gets.
    pub print: Printed,
    /// The HTML report, into this file.
    pub html: Option<PathBuf>,
    /// Directory for `assessment.json`, `assessment.sarif` and `assessment.html`.
    pub out: Option<PathBuf>,
}

/// The one form that standard output gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Printed {
    /// The first screen.
    #[default]
    Screen,
    /// The first screen and, below it, what was read and what was not.
    ScreenAndCoverage,
    /// The JSON document.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// The report as one HTML file.
    Html,
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
    progress.done();
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
    if let Some(path) = &output.html {
        save(path, &html()?)?;
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
    let text = match output.print {
        Printed::Screen => report::screen(assessment),
        Printed::ScreenAndCoverage => report::screen(assessment) + &report::coverage(assessment),
        Printed::Json => json()? + "\n",
        Printed::Sarif => sarif()? + "\n",
        Printed::Html => html()?,
    };
    stdout
        .write_all(text.as_bytes())
        .map_err(|source| CommandError::Write { path: "standard output".into(), source })?;
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<(), CommandError> {
    std::fs::write(path, text)
        .map_err(|source| CommandError::Write { path: path.display().to_string(), source })
}
