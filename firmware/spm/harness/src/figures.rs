//! Instruction counts and stacks.

use crate::machine::{Images, Run, run as start};

/// The number that asks the application for figures.
const CASE: u32 = 0xf16;
/// `-icount shift=9`: an instruction takes 512 ns of virtual time, which is 10.24 ticks of 20 MHz.
const TICKS: f64 = 10.24;

/// Secure RAM, as much as the product of the tests uses.
const RAM: u32 = 0x3800_9000;
const RAM_LEN: u32 = 0x1_0000;

/// What must not be exceeded, in instructions.
const BARS: &[(&str, u32)] = &[
    ("psa_framework_version", 250),
    ("psa_version", 250),
    ("psa_call_16_in", 2500),
    ("psa_call_16_in_16_out", 2500),
    ("psa_call_0_in_0_out", 2500),
];

/// Prints every figure beside its bar.
pub fn run(images: &Images, boards: &[&str]) -> Result<(), String> {
    let mut missed = Vec::new();
    for board in boards {
        let arguments = ["-icount", "shift=9,sleep=off"];
        // The monitor sees memory by its non-secure address, and may read all of it.
        let dump = Some(("figures end", RAM - 0x1000_0000, RAM_LEN));
        let outcome = start(images, board, &Run { case: CASE, arguments: &arguments, dump })?;
        if outcome.code != Some(0) {
            return Err(format!("{board}: {outcome:?}"));
        }
        let figures: Vec<(&str, f64)> = outcome.nonsecure.lines().filter_map(figure).collect();
        let nothing = figures.first().map_or(0.0, |(_, ticks)| *ticks);
        for (name, ticks) in figures.iter().skip(1) {
            let count = ((ticks - nothing) / TICKS).round() as u32;
            let bar = BARS.iter().find(|(bar, _)| bar == name).map(|(_, most)| *most);
            let shown = bar.map_or_else(String::new, |most| format!("<= {most}"));
            println!("{board} {name:<32} {count:>6} instructions {shown}");
            if bar.is_some_and(|most| count > most) {
                missed.push(format!("{board} {name}: {count}"));
            }
        }
        stacks(images, board, &outcome.memory)?;
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("over the bar: {}", missed.join(", "))) }
}

/// Prints how much of each stack was ever used: the manager paints them at the start.
fn stacks(images: &Images, board: &str, memory: &[u8]) -> Result<(), String> {
    let path = images.product.join("stacks.txt");
    let list = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    for line in list.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(at), Some(bytes)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("{}: '{line}'", path.display()));
        };
        let parse = |word: &str| word.parse::<u32>().map_err(|e| format!("{word}: {e}"));
        let (at, bytes) = (parse(at)?.wrapping_sub(RAM) as usize, parse(bytes)? as usize);
        let stack = memory.get(at..at + bytes).ok_or("the memory was not read")?;
        let free = stack.iter().take_while(|byte| **byte == 0xa5).count();
        println!("{board} stack of {name:<23} {:>6} of {bytes} bytes", bytes - free);
    }
    Ok(())
}

fn figure(line: &str) -> Option<(&str, f64)> {
    let mut words = line.strip_prefix("figure ")?.split_whitespace();
    let name = words.next()?;
    let ticks = u32::from_str_radix(words.next()?, 16).ok()?;
    Some((name, f64::from(ticks)))
}
