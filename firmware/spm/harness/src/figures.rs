//! Instruction counts and stacks.

use crate::machine::{Images, Run, run as start};

/// The number that asks the application for figures.
const CASE: u32 = 0xf16;
/// `-icount shift=9`: an instruction takes 512 ns of virtual time, which is 10.24 ticks of 20 MHz.
const TICKS: f64 = 10.24;

/// What must not be exceeded, in instructions.
const BARS: &[(&str, u32)] = &[
    ("psa_framework_version", 250),
    ("psa_version", 250),
    ("psa_call_16_in", 2500),
    ("psa_call_0_in_0_out", 2500),
];

/// Prints every figure beside its bar.
pub fn run(images: &Images, boards: &[&str]) -> Result<(), String> {
    let mut missed = Vec::new();
    for board in boards {
        let arguments = ["-icount", "shift=9,sleep=off"];
        let outcome = start(images, board, &Run { case: CASE, arguments: &arguments })?;
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
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("over the bar: {}", missed.join(", "))) }
}

fn figure(line: &str) -> Option<(&str, f64)> {
    let mut words = line.strip_prefix("figure ")?.split_whitespace();
    let name = words.next()?;
    let ticks = u32::from_str_radix(words.next()?, 16).ok()?;
    Some((name, f64::from(ticks)))
}
