//! One run of a script, and what the application says of each call.

use super::package::Package;
use crate::device::{Device, Outcome, Run};
use crate::script::{BYTES, PACKAGES, SCRIPT, op};

/// One line of the application: what a call came to, and how things stand after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) operation: u32,
    pub(super) status: i32,
    pub(super) state: u32,
    pub(super) error: i32,
    pub(super) build: u32,
    pub(super) written: u32,
    pub(super) reason: String,
}

/// Runs a script to its end.
pub(super) fn run(
    device: &Device,
    script: &[[u32; 3]],
    packages: &[Package],
    arguments: &[&str],
) -> (Outcome, Vec<Line>) {
    let mut more: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    more.extend(loaders(device, script, packages));
    let kill_after = Some(std::time::Duration::from_secs(120));
    let outcome = device.run(&Run { arguments: more, kill_after, ..Run::default() });
    let lines = outcome.nonsecure.lines().filter_map(line).collect();
    (outcome, lines)
}

/// What QEMU has to be told so that the application finds its script.
pub fn loaders(device: &Device, script: &[[u32; 3]], packages: &[Package]) -> Vec<String> {
    let mut words: Vec<u32> = script.iter().flatten().copied().collect();
    words.extend([op::END, 0, 0]);
    let mut table: Vec<u32> = Vec::new();
    let mut bytes = Vec::new();
    for package in packages {
        for part in [&package.manifest, &package.image] {
            table.extend([BYTES + bytes.len() as u32, part.len() as u32]);
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
    }
    let flat =
        |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut more = Vec::new();
    for (name, at, content) in [
        ("script", SCRIPT, flat(&words)),
        ("packages", PACKAGES, flat(&table)),
        ("bytes", BYTES, bytes),
    ] {
        let path = device.folder.join(name);
        std::fs::write(&path, &content).expect("a file for QEMU");
        if !content.is_empty() {
            let loader = format!("loader,file={},addr={at:#x},force-raw=on", path.display());
            more.extend(["-device".to_owned(), loader]);
        }
    }
    more
}

pub(super) fn pairs(lines: &[Line]) -> Vec<(i32, u32)> {
    lines.iter().map(|line| (line.status, line.state)).collect()
}

pub(super) fn reason_at(lines: &[Line], at: usize) -> &str {
    lines.get(at).map_or("", |line| &line.reason)
}

fn line(text: &str) -> Option<Line> {
    let mut words = text.strip_prefix("op ")?.split(' ');
    let mut number = || u32::from_str_radix(words.next()?, 16).ok();
    let (operation, status, state, error) = (number()?, number()?, number()?, number()?);
    let (build, _, written) = (number()?, number()?, number()?);
    let reason = words.next().unwrap_or_default().to_owned();
    let (status, error) = (status.cast_signed(), error.cast_signed());
    Some(Line { operation, status, state, error, build, written, reason })
}

/// To the end of an image.
pub(super) const ALL: u32 = u32::MAX;
/// One instruction is 64 ns of virtual time: no watchdog comes earlier on a busy host, and time that
/// nobody uses passes in a moment.
pub(super) const EVEN: [&str; 2] = ["-icount", "shift=6,sleep=off"];
