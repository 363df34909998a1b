//! Runs `ringfort` commands as a person would, and keeps a transcript of them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::not_interrupted;
use crate::failure::{Failure, Outcome};

/// This executable, called again for every step.
#[derive(Clone, Debug)]
pub struct Ringfort {
    program: PathBuf,
    transcript: PathBuf,
}

/// What a command answered.
pub struct Answer {
    /// The exit code: 0 done, 1 refused or failed.
    pub code: i32,
    /// The JSON on standard output; null where there was none.
    pub json: Value,
    /// Standard error, for messages.
    pub errors: String,
}

impl Ringfort {
    /// The running executable; every command is appended to `transcript`.
    pub fn new(transcript: &Path) -> Outcome<Ringfort> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::failed(
                "this executable does not know its own path",
                error.to_string(),
                "Start it by its full path.",
            )
        })?;
        Ok(Ringfort { program, transcript: transcript.to_owned() })
    }

    /// A command that has not been started, for processes that stay.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Outcome<Command> {
        self.note(arguments)?;
        let mut command = Command::new(&self.program);
        command.args(arguments);
        Ok(command)
    }

    /// Runs a command with `--json`; its refusal is an answer, not an error.
    pub fn ask<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Outcome<Answer> {
        self.ask_in(arguments, |_| ())
    }

    fn ask_in<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: &[S],
        prepare: impl FnOnce(&mut Command),
    ) -> Outcome<Answer> {
        not_interrupted()?;
        let mut command = self.command(arguments)?;
        command.arg("--json").stdin(Stdio::null());
        prepare(&mut command);
        let output = command.output().map_err(|error| {
            Failure::failed("ringfort could not be started", error.to_string(), "Try again.")
        })?;
        Ok(Answer {
            code: output.status.code().unwrap_or(-1),
            json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
            errors: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Runs a command that must be done; its failure is this step's failure.
    pub fn must<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Outcome<Value> {
        self.must_in(arguments, |_| ())
    }

    /// The same, with an environment of its own.
    pub fn must_in<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: &[S],
        prepare: impl FnOnce(&mut Command),
    ) -> Outcome<Value> {
        let answer = self.ask_in(arguments, prepare)?;
        if answer.code == 0 {
            return Ok(answer.json);
        }
        let said = answer.json.get("error").and_then(Value::as_str).unwrap_or(&answer.errors);
        Err(Failure::failed(
            format!("the step `{}` failed", words(arguments).join(" ")),
            said.to_owned(),
            format!("Run it by hand: every command so far is in {}.", self.transcript.display()),
        ))
    }

    fn note<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Outcome<()> {
        let line = format!("ringfort {}\n", words(arguments).join(" "));
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.transcript)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|error| {
                Failure::failed(
                    format!("{} cannot be written", self.transcript.display()),
                    error.to_string(),
                    "Check free space and permissions.",
                )
            })
    }
}

fn words<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Vec<String> {
    arguments
        .iter()
        .map(|word| {
            let word = word.as_ref().to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_transcript_can_be_pasted_into_a_shell() {
        assert_eq!(words(&["a", "b c", "it's", ""]), ["a", "'b c'", r"'it'\''s'", "''"]);
    }
}
