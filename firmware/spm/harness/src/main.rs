//! `spm-harness traps|figures|c --product FOLDER --app ELF [--only NAME] [--board NAME]`: started
//! by `cargo xtask firmware`.

#![forbid(unsafe_code)]

mod c;
#[path = "../../../psa/traps/src/cases.rs"]
#[allow(dead_code)]
mod cases;
mod figures;
mod machine;
#[path = "../../../harness/src/painted.rs"]
mod painted;
mod traps;

use std::path::PathBuf;
use std::process::ExitCode;

use machine::Images;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let path = |name: &str| PathBuf::from(value(name).unwrap_or_default());
    let images = Images { product: path("--product"), app: path("--app") };
    let boards: Vec<&str> = machine::BOARDS
        .into_iter()
        .filter(|board| value("--board").is_none_or(|wanted| wanted == *board))
        .collect();
    let done = match arguments.first().map(String::as_str) {
        Some("traps") => traps::run(&images, &boards, value("--only").as_deref()),
        Some("figures") => figures::run(&images, &boards),
        Some("c") => c::run(&images, &boards),
        _ => Err("spm-harness traps|figures|c --product FOLDER --app ELF".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
