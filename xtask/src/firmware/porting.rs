//! Runs docs/porting.md as it stands: each block without a language, in `firmware/`, by a shell.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::folder;
use super::toolchain::Toolchain;
use crate::run::root;

/// A block: what it holds, and what its output has to say.
struct Block {
    holds: &'static str,
    says: &'static str,
}

const BLOCKS: [Block; 3] = [
    Block { holds: "-- build", says: "image" },
    Block { holds: "arm-none-eabi-gcc", says: "" },
    Block { holds: "qemu-system-arm", says: "spm: ready" },
];
/// What the last one leaves, and what the application says there.
const LOG: &str = "app.log";
const SAID: &str = "end after 3 resets";

/// Where the target is installed: with a compiler of our own the lines would not be those of the page.
pub fn test() -> Result<()> {
    if !matches!(Toolchain::choose()?, Toolchain::Installed) {
        println!("NOT RUN  docs/porting.md: the target is not installed");
        return Ok(());
    }
    let page = root().join("docs/porting.md");
    let page = fs::read_to_string(&page).with_context(|| format!("{}", page.display()))?;
    let blocks = blocks(&page);
    if blocks.len() != BLOCKS.len() {
        bail!("docs/porting.md has {} blocks to run, not {}", blocks.len(), BLOCKS.len());
    }
    for (block, Block { holds, says }) in blocks.iter().zip(BLOCKS) {
        if !block.contains(holds) {
            bail!("docs/porting.md: a block without '{holds}':\n{block}");
        }
        let mut shell = Command::new("timeout");
        shell.args([PATIENCE, "sh", "-euc", block]).current_dir(folder()).stdin(Stdio::null());
        let output = shell.output().context("cannot start timeout")?;
        let [said, errors] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        if !output.status.success() || !said.contains(says) {
            bail!("docs/porting.md: {}\n{block}\n{said}{errors}", output.status);
        }
    }
    let log = folder().join(LOG);
    let text = fs::read_to_string(&log).with_context(|| format!("{}", log.display()))?;
    fs::remove_file(&log).with_context(|| format!("{}", log.display()))?;
    if !text.contains(SAID) {
        bail!("docs/porting.md: {LOG} does not say '{SAID}':\n{text}");
    }
    println!("ok   docs/porting.md: {} blocks, run as they stand", blocks.len());
    Ok(())
}

/// The fenced blocks that name no language, joined lines left as they are.
fn blocks(page: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.is_empty(), String::new())),
            (Some(_), Some(_)) => {
                if let Some((true, block)) = open.take() {
                    all.push(block);
                }
            }
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    all
}

/// Seconds after which a block counts as hung.
const PATIENCE: &str = "1200";
