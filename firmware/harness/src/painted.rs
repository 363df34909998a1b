//! How deep stacks were used: the manager paints them when their thread starts.

/// First address of secure RAM that holds stacks, and the most that a product uses.
pub const RAM: (u32, u32) = (0x3800_9000, 0x1_0000);

/// Name, bytes that were used and bytes in all of every stack of the generator's list.
///
/// # Errors
/// A line that is none, or memory that was not read.
pub fn depths(list: &str, memory: &[u8]) -> Result<Vec<(String, usize, usize)>, String> {
    list.lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let mut word = || words.next().ok_or(format!("not a stack: '{line}'"));
            let name = word()?.to_owned();
            let number = |word: &str| word.parse::<u32>().map_err(|e| format!("{line}: {e}"));
            let at = number(word()?)?.wrapping_sub(RAM.0) as usize;
            let bytes = number(word()?)? as usize;
            let stack = memory.get(at..at + bytes).ok_or("the memory was not read")?;
            let free = stack.iter().take_while(|byte| **byte == 0xa5).count();
            Ok((name, bytes - free, bytes))
        })
        .collect()
}
