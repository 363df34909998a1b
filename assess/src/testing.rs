//! Helps tests: a run over bytes in memory.

use crate::{
    model::Finding,
    run::{Assessment, Input, Options, run},
};

/// Findings in one file.
pub(crate) fn assess(path: &str, content: Vec<u8>) -> Vec<Finding> {
    whole(vec![(path, content)]).findings
}

/// A run over several inputs.
pub(crate) fn whole(inputs: Vec<(&str, Vec<u8>)>) -> Assessment {
    let inputs: Vec<Input> =
        inputs.into_iter().map(|(name, bytes)| Input::Bytes(name.to_owned(), bytes)).collect();
    let options = Options { today: "2026-11-22".into(), ..Options::default() };
    run(&inputs, &options, &mut ())
}

/// A tar archive with one file.
pub(crate) fn tar(path: &str, content: &[u8]) -> Vec<u8> {
    let mut head = [0u8; 512];
    head[..path.len()].copy_from_slice(path.as_bytes());
    head[100..107].copy_from_slice(b"0000644");
    head[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    head[148..156].fill(b' ');
    head[156] = b'0';
    head[257..263].copy_from_slice(b"ustar\0");
    let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
    head[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    head[154] = 0;
    let mut out = head.to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512) + 1024, 0);
    out
}
