//! Memory protection controllers: which words of their tables are non-secure.

use toml::Spanned;

use crate::manifest::{Board, Mpc, Range};
use crate::refusal::Refusal;

/// Registers, first word of the table and number of words of every controller with non-secure
/// memory behind it. A word stands for 32 blocks.
///
/// # Errors
/// Memory that a controller cannot cut as the map says, and non-secure memory that is guarded in
/// part.
pub fn words(board: &Board, file: &str, text: &str) -> Result<Vec<[u32; 3]>, Refusal> {
    let refuse = |at: &Spanned<Mpc>, reason: &str| {
        Err(Refusal::at(file, text, at.span(), reason.to_owned()))
    };
    let mut all = Vec::new();
    for spanned in &board.mpc {
        let mpc = spanned.get_ref();
        let theirs: Vec<Range> = [board.memory.nonsecure_code, board.memory.nonsecure_ram]
            .into_iter()
            .filter(|range| range.overlaps(mpc.memory))
            .collect();
        let Some(word) = mpc.block.checked_mul(32).filter(|bytes| *bytes > 0) else {
            return refuse(spanned, "a block has no such size");
        };
        match theirs.as_slice() {
            [] => {}
            [one] => {
                let Some(first) = one.base.checked_sub(mpc.memory.base) else {
                    return refuse(spanned, "non-secure memory begins before what it guards");
                };
                if u64::from(first) + u64::from(one.size) > u64::from(mpc.memory.size) {
                    return refuse(spanned, "non-secure memory ends behind what it guards");
                }
                if first % word != 0 || one.size % word != 0 {
                    let reason = format!(
                        "non-secure memory at {:#x} does not consist of whole words of {word:#x} bytes",
                        one.base
                    );
                    return refuse(spanned, &reason);
                }
                all.push([mpc.registers, first / word, one.size / word]);
            }
            _ => return refuse(spanned, "non-secure code and RAM behind one controller"),
        }
    }
    Ok(all)
}
