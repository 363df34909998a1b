//! `harness <what> --images FOLDER`: started by `cargo xtask firmware`.

#![forbid(unsafe_code)]

mod attacks;
mod device;
mod faults;
mod figures;
mod flows;
mod lane;
mod left;
mod painted;
mod patience;
mod scene;
#[path = "../../psa/updates/src/script.rs"]
#[allow(dead_code)]
mod script;
mod stacks;
mod time;
mod update;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use device::{Bench, MACHINES};
use harness::elf;
use harness::release::Images;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let images = PathBuf::from(value("--images").unwrap_or_default());
    let read = |name: &str| std::fs::read(images.join(name)).unwrap_or_default();
    let tested = if arguments.first().is_some_and(|what| what == "run") { "" } else { "-test" };
    let bench = Bench {
        boot: images.join(format!("boot{tested}")),
        images: Images {
            secure: elf::flatten(&read(&format!("secure{tested}"))),
            nonsecure: elf::flatten(&read(&format!("nonsecure{tested}"))),
        },
        folder: std::env::temp_dir().join(format!("ringfort-firmware-{}", std::process::id())),
    };
    if bench.images.secure.is_empty() || bench.images.nonsecure.is_empty() {
        eprintln!("error: no images; start this by `cargo xtask firmware {}`", arguments.join(" "));
        return ExitCode::from(2);
    }
    let board = value("--board");
    let boards: Vec<&'static str> =
        MACHINES.into_iter().filter(|name| board.as_ref().is_none_or(|b| b == name)).collect();
    if boards.is_empty() {
        eprintln!("error: the boards are {}", MACHINES.join(" and "));
        return ExitCode::from(2);
    }
    let good = match arguments.first().map(String::as_str) {
        Some("flows") => flows::all(&bench, &boards),
        Some("time") => time::all(&bench, &boards),
        Some("attacks") => attacks::all(&bench, &boards),
        Some("faults") => faults::run(
            &bench,
            &faults::Wish {
                sample: value("--sample").and_then(|n| n.parse().ok()),
                scene: value("--scene").as_deref(),
                code: value("--code").as_deref(),
                list: arguments.iter().any(|a| a == "--list"),
                jobs: jobs(value("--jobs")),
                // One board, unless the other is asked for.
                machine: boards[0],
            },
        ),
        Some("size") => figures::print(&bench),
        Some("symbols") => figures::symbols(&bench),
        Some("stacks") => {
            stacks::print(&bench, &PathBuf::from(value("--list").unwrap_or_default()))
        }
        Some("run") => flows::run(&bench),
        Some("update") => update::all(&bench, value("--only").as_deref()),
        Some("kill") => flows::kill(&bench, &boards, 100),
        _ => false,
    };
    if !arguments.iter().any(|a| a == "--keep") {
        let _ = std::fs::remove_dir_all(&bench.folder);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// As many emulators at a time as asked for, or two for each core: each waits for its files now and
/// then.
fn jobs(asked: Option<String>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    asked.and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or(2 * cores)
}
