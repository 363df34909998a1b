//! `harness <what> --boot ELF --secure ELF --nonsecure ELF`: started by `cargo xtask firmware`.

#![forbid(unsafe_code)]

mod device;
mod elf;
mod flows;
mod release;
mod sign;

use std::path::PathBuf;
use std::process::ExitCode;

use device::Images;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let path = |name: &str| PathBuf::from(value(name).unwrap_or_default());
    let read = |name: &str| std::fs::read(path(name)).unwrap_or_default();
    let images = Images {
        boot: path("--boot"),
        secure: elf::flatten(&read("--secure")),
        nonsecure: elf::flatten(&read("--nonsecure")),
    };
    let folder = std::env::temp_dir().join(format!("ringfort-firmware-{}", std::process::id()));
    let good = match arguments.first().map(String::as_str) {
        Some("flows") => flows::all(&images, &folder),
        _ => false,
    };
    if !arguments.iter().any(|a| a == "--keep") {
        let _ = std::fs::remove_dir_all(&folder);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
