//! Instruction counts and stacks.

use crate::machine::{Images, Run, run as start};
use crate::painted;

/// The number that asks the application for figures.
const CASE: u32 = 0xf16;
/// `-icount shift=9`: an instruction takes 512 ns of virtual time, which is 10.24 ticks of 20 MHz.
const TICKS: f64 = 10.24;

/// What must not be exceeded, in instructions.
const BARS: &[(&str, u32)] = &[
    ("psa_framework_version", 250),
    ("psa_version", 250),
    ("psa_call_16_in", 2500),
    ("psa_call_16_in_16_out", 2500),
    ("psa_call_0_in_0_out", 2500),
];

/// The parts that a product cannot do without, and the most that they may take together, in bytes.
const CORE: [&str; 2] = ["manager", "update"];
const FLASH: u32 = 68 * 1024;
const MEMORY: u32 = 36 * 1024;

/// Prints every figure beside its bar.
pub fn run(images: &Images, boards: &[&str]) -> Result<(), String> {
    let mut missed = sizes(images)?;
    for board in boards {
        let arguments = ["-icount", "shift=9,sleep=off"];
        // The monitor sees memory by its non-secure address, and may read all of it.
        let (at, len) = painted::RAM;
        let dump = Some(("figures end", at - 0x1000_0000, len));
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

/// Prints what each part takes; gives what is over its bar.
fn sizes(images: &Images) -> Result<Vec<String>, String> {
    let path = images.product.join("sizes.txt");
    let list = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut total = [0, 0];
    for line in list.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let numbers: Vec<u32> = words.filter_map(|word| word.parse().ok()).collect();
        let [code, data, stack] = numbers.as_slice() else {
            return Err(format!("{}: '{line}'", path.display()));
        };
        println!(
            "size of {name:<24} {code:>6} bytes of code, {data:>6} of data, {stack:>6} of stack"
        );
        if CORE.contains(&name) {
            total = [total[0] + code, total[1] + data + stack];
        }
    }
    let both = [("flash", total[0], FLASH), ("memory", total[1], MEMORY)];
    let mut missed = Vec::new();
    for (what, bytes, most) in both {
        println!("{} together: {what:<14} {bytes:>6} bytes <= {most}", CORE.join(" and "));
        if bytes > most || bytes == 0 {
            missed.push(format!("{what}: {bytes} bytes"));
        }
    }
    Ok(missed)
}

/// Prints how much of each stack was ever used.
fn stacks(images: &Images, board: &str, memory: &[u8]) -> Result<(), String> {
    let path = images.product.join("stacks.txt");
    let list = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    for (name, used, bytes) in painted::depths(&list, memory)? {
        println!("{board} stack of {name:<23} {used:>6} of {bytes} bytes");
    }
    Ok(())
}

fn figure(line: &str) -> Option<(&str, f64)> {
    let mut words = line.strip_prefix("figure ")?.split_whitespace();
    let name = words.next()?;
    let ticks = u32::from_str_radix(words.next()?, 16).ok()?;
    Some((name, f64::from(ticks)))
}
