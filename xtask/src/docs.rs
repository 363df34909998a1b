//! Documents that are made from definitions in the code.

use std::path::PathBuf;

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
