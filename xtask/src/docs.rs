//! Documents that are made from definitions in the code, or name what is in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ringfort_cose::Reason;

use crate::run::root;

/// The task: `docs [--check]`.
pub fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => write(),
        [word] if word == "--check" => check(),
        _ => bail!("usage: docs [--check]"),
    }
}

/// Compares every generated document with what the definitions say now.
pub fn check() -> Result<()> {
    for (path, wanted) in generated() {
        let found = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if found != wanted {
            bail!("{} is not what the code says: run `cargo xtask docs`", path.display());
        }
    }
    complaints()
}

/// Every test that docs/complaints.md names is there, and every one of that kind is named.
fn complaints() -> Result<()> {
    let path = root().join("docs/complaints.md");
    let page = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let mut there = BTreeSet::new();
    tests_below(&root(), &mut there)?;
    let mut named = BTreeSet::new();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
    for (row, number) in rows.zip(1..) {
        let Some(("", rest)) = row.split_once(&format!("| {number} | ")) else {
            bail!("{}: row {number} is missing", path.display());
        };
        let tests: Vec<&str> = rest.split('`').skip(1).step_by(2).filter(|w| is_test(w)).collect();
        if tests.is_empty() && !rest.contains("| no test: ") {
            bail!("{}: row {number} names no test and does not say why", path.display());
        }
        for test in tests {
            if !there.contains(test) {
                bail!("{}: there is no test called {test}", path.display());
            }
            named.insert(test.to_owned());
        }
    }
    match there.iter().find(|test| is_numbered(test) && !named.contains(*test)) {
        Some(test) => bail!("{} does not name {test}", path.display()),
        None => Ok(()),
    }
}

fn is_test(word: &str) -> bool {
    word.contains('_') && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether a test is named by a complaint's number: `c12_…`.
fn is_numbered(test: &str) -> bool {
    let number = test.strip_prefix('c').and_then(|rest| rest.split_once('_'));
    number.is_some_and(|(digits, _)| digits.parse::<u8>().is_ok())
}

/// The names of all functions in the tests of the project.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
            tests_below(&path, found)?;
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            for rest in text.split("fn ").skip(1) {
                found.insert(rest.split('(').next().unwrap_or_default().to_owned());
            }
        }
    }
    Ok(())
}

fn write() -> Result<()> {
    for (path, text) in generated() {
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

fn generated() -> Vec<(PathBuf, String)> {
    vec![(root().join("docs/reason-codes.md"), reason_codes())]
}

fn reason_codes() -> String {
    let mut text = String::from(
        "# Reason codes\n\n\
         Every refusal carries one of these. The same word stands on the wire, in the logs, in\n\
         the answers of the command line and here; its number stands where text has no room: in\n\
         records of slots and on the console of the boot loader. Made from `formats/cose` by `cargo xtask docs`.\n\n\
         | number | code | what happened | what to do next |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        text.push_str(&format!(
            "| {} | `{}` | {} | {} |\n",
            reason.number(),
            reason.code(),
            reason.meaning(),
            reason.next_step()
        ));
    }
    text
}
