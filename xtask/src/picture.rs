//! `cargo xtask picture`: the README's picture, drawn from a real quickstart run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, root};

/// The task: runs quickstart in a folder of its own and draws what it printed.
pub fn run(arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        bail!("usage: picture");
    }
    let folder = root().join("target/picture");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let lines = record(&folder)?;
    let path = root().join("docs/quickstart.svg");
    std::fs::write(&path, svg(&lines))
        .with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// Runs quickstart until it says what comes next, then ends it as Ctrl-C would.
fn record(folder: &std::path::Path) -> Result<Vec<String>> {
    crate::run::run(cargo().args(["build", "--release", "--locked"]))?;
    let mut child = cargo()
        .args(["run", "--release", "--quiet", "--locked", "--", "quickstart", "--dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start quickstart")?;
    let lines = until_next(&mut child);
    // An interrupt, not a kill: hub and agents must stop with it.
    let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    child.wait()?;
    stopped.context("cannot stop quickstart")?;
    lines
}

fn until_next(child: &mut Child) -> Result<Vec<String>> {
    let output = child.stdout.take().context("no output")?;
    let mut lines = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        let last = line.trim_start().starts_with("Ctrl-C");
        // The folder of this run is not the one a reader will have.
        lines.push(
            line.replace(&root().join("target/picture").display().to_string(), "./quickstart"),
        );
        if last {
            return Ok(lines);
        }
    }
    bail!("quickstart ended before it was ready:\n{}", lines.join("\n"))
}

const LINE_HEIGHT: usize = 21;
const MARGIN: usize = 22;
const CHARACTER_WIDTH: f32 = 8.4;

fn svg(lines: &[String]) -> String {
    let columns = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0) + 2;
    let width = (columns as f32 * CHARACTER_WIDTH) as usize + 2 * MARGIN;
    let height = (lines.len() + 1) * LINE_HEIGHT + 2 * MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"Output of ringfort quickstart\">\n\
         <!-- Made by `cargo xtask picture` from a real run. -->\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"10\" fill=\"#10151c\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, monospace\" \
         font-size=\"14\" fill=\"#d7dee8\">\n"
    );
    let prompt = "$ cargo run --release -- quickstart".to_owned();
    for (number, line) in std::iter::once(&prompt).chain(lines).enumerate() {
        let y = MARGIN + (number + 1) * LINE_HEIGHT - 6;
        text.push_str(&format!("<text x=\"{MARGIN}\" y=\"{y}\">{}</text>\n", coloured(line)));
    }
    text.push_str("</g>\n</svg>\n");
    text
}

/// A tick is green, a prompt is dim; the words carry the meaning without colour.
fn coloured(line: &str) -> String {
    let escaped = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // Browsers fold plain spaces, and the columns with them.
    let escaped = escaped.replace(' ', "\u{a0}");
    if let Some(rest) = escaped.strip_prefix('$') {
        return format!("<tspan fill=\"#7f8b99\">$</tspan>{rest}");
    }
    escaped.replacen('✓', "<tspan fill=\"#5fd38d\">✓</tspan>", 1)
}
