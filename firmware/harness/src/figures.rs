//! Sizes, memory and instruction counts of the loader, beside their bars and the peers'.
//!
//! Instructions are those of QEMU with `-icount shift=0`: one is a nanosecond, the board's counter
//! ticks every 50. They are no cycles: QEMU models neither wait states nor caches.

use std::fs;
use std::path::Path;

use harness::elf;
use harness::release::Fleet;

use crate::device::{Bench, Device, MACHINES, Run};
use crate::flows::{CONFIRM, field};

const IMAGES_LEN: usize = 200 * 1024;

/// Prints the table; false when the loader holds what it must not.
pub fn print(bench: &Bench) -> bool {
    let full = bench.boot.with_file_name("boot");
    let small = bench.boot.with_file_name("boot-small");
    let mut clean = true;
    println!("{:64} {:>12} {:>12}", "figure", "measured", "bar");
    for (what, path, bar) in [
        ("flash: A/B, revert, anti-rollback, SUIT, DICE, recovery, bytes", &full, 20 * 1024),
        ("flash: without the features dice and recovery, bytes", &small, 16 * 1024),
    ] {
        row(what, flash(path), bar);
        clean &= is_clean(path);
    }
    println!(
        "{:64} {:>12} {:>12}",
        "  MCUboot 2.2 as TF-M's BL2: no revert, no SUIT, no DICE", 17_352, ""
    );
    for machine in MACHINES {
        let [one, two] = [1, 2].map(|k| measure(bench, &full, machine, k));
        row(&format!("{machine}: stack in use, bytes, of 12,288"), one.stack.max(two.stack), 9_830);
        row(
            &format!("{machine}: reset to first non-secure line, 200 KB, k = 1"),
            one.instructions,
            60_000_000,
        );
        println!("{:64} {:>12}", format!("{machine}: the same, k = 2"), two.instructions);
        row(
            &format!("{machine}: one more signature: P-256 verify and its block"),
            two.instructions.saturating_sub(one.instructions),
            10_000_000,
        );
    }
    println!("{:64} {:>12}", "  TF-M 2.2.2: P-256 verify", 31_290_000);
    println!(
        "{:64} {:>12}",
        "  TF-M 2.2.2: reset to first non-secure line, 197 KB, about", 370_000_000
    );
    println!("core::fmt and core::panicking symbols: {}", if clean { "none" } else { "SOME" });
    clean
}

struct Measured {
    instructions: u32,
    stack: u32,
}

/// A confirmed image's start: the loader without semihosting, images that end the emulator.
fn measure(bench: &Bench, boot: &Path, machine: &'static str, k: u8) -> Measured {
    let fleet = Fleet::new(&bench.images, k, IMAGES_LEN);
    let name = format!("size-{k}");
    let mut device = Device::new(bench, &name, machine, &fleet);
    boot.clone_into(&mut device.boot);
    device.factory_slot(&fleet.slot(&fleet.good(1), 1));
    let first = device.command(CONFIRM);
    let arguments = vec!["-icount".to_owned(), "shift=0,sleep=off".to_owned()];
    let outcome = device.run(&Run { arguments, ..Run::default() });
    let ticks = outcome
        .nonsecure
        .split("ticks ")
        .nth(1)
        .and_then(|text| u32::from_str_radix(text.trim(), 16).ok());
    let stack = [&first, &outcome].into_iter().filter_map(|outcome| field(outcome, "stack")).max();
    Measured { instructions: ticks.unwrap_or(0) * 50, stack: stack.unwrap_or(0) }
}

fn row(what: &str, measured: u32, bar: u32) {
    let verdict = if measured == 0 {
        "NOT MEASURED"
    } else if measured <= bar {
        ""
    } else {
        "MISSED"
    };
    println!("{what:64} {measured:>12} {:>12} {verdict}", format!("<= {bar}"));
}

/// Bytes that go to flash: vectors, text, constants, data.
fn flash(path: &Path) -> u32 {
    let image = fs::read(path).unwrap_or_default();
    if image.is_empty() { 0 } else { elf::flatten(&image).len() as u32 }
}

/// Whether the loader, in both its forms, is free of formatting and of panics.
pub fn symbols(bench: &Bench) -> bool {
    ["boot", "boot-small"].iter().all(|name| is_clean(&bench.boot.with_file_name(name)))
}

/// Says what an image holds that it must not.
fn is_clean(path: &Path) -> bool {
    let image = fs::read(path).unwrap_or_default();
    let symbols = if image.is_empty() { Vec::new() } else { elf::symbols(&image) };
    let bad: Vec<_> = symbols.iter().filter(|(_, name)| is_forbidden(name)).collect();
    for (_, name) in &bad {
        println!("{} HOLDS {name}", path.display());
    }
    let name = path.file_name().unwrap_or_default().display();
    println!("{name}: {} symbols, {} of core::fmt and core::panicking", symbols.len(), bad.len());
    // An image without symbols says nothing.
    symbols.len() > 50 && bad.is_empty()
}

/// A symbol of `core::fmt` or `core::panicking`, in either form of mangling.
fn is_forbidden(name: &str) -> bool {
    name.contains("core") && (name.contains("3fmt") || name.contains("9panicking"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_formatting_and_panics_are_known() {
        for bad in [
            "_ZN4core9panicking5panic17h1f3b0c2d4e5f6a7bE",
            "_ZN4core3fmt9Formatter3pad17h1f3b0c2d4e5f6a7bE",
            "_RNvNtCs1234_4core9panicking9panic_fmt",
            "_RNvMNtCs1234_4core3fmtNtB2_9Formatter3pad",
        ] {
            assert!(is_forbidden(bad), "{bad}");
        }
        for good in ["reset", "_ZN4boot3run17h1f3b0c2d4e5f6a7bE", "memcpy"] {
            assert!(!is_forbidden(good), "{good}");
        }
    }
}
