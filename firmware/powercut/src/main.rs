//! `powercut [--seed N] [--sample | --planted]`: cuts the power everywhere and looks what boots.
//! A sample has the large write units only.

#![forbid(unsafe_code)]

mod flash;
mod release;
mod sweep;
mod world;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use release::Shelf;
use slots::{Bug, plant};
use sweep::{Configuration, Findings, Sweep};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seed = arguments
        .iter()
        .position(|a| a == "--seed")
        .and_then(|at| arguments.get(at + 1))
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let good = if arguments.iter().any(|a| a == "--planted") {
        planted(seed)
    } else {
        let least_unit = if arguments.iter().any(|a| a == "--sample") { 32 } else { 0 };
        everything(seed, least_unit)
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Sector sizes, write units and image sizes of parts that exist, and odd ones between.
fn configurations() -> Vec<Configuration> {
    let mut all = Vec::new();
    for sector in [1024, 4096] {
        for unit in [4, 8, 16, 32, 64, 256] {
            for image in [257, 1024, 3001, 8192] {
                all.push(Configuration { sector, unit, image });
            }
        }
    }
    all
}

fn everything(seed: u64, least_unit: u32) -> bool {
    let mut configurations = configurations();
    configurations.retain(|configuration| configuration.unit >= least_unit);
    let next = AtomicUsize::new(0);
    let points = AtomicU64::new(0);
    let second = AtomicU64::new(0);
    let driven = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let start = Instant::now();
    eprintln!("seed {seed}, {} configurations", configurations.len());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(configuration) =
                    configurations.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let found = sweep(*configuration, seed);
                    second.fetch_add(found.second, Ordering::Relaxed);
                    driven.fetch_add(found.driven, Ordering::Relaxed);
                    let total = points.fetch_add(found.points, Ordering::Relaxed) + found.points;
                    eprintln!(
                        "sector {:4} unit {:3} image {:4}: {:7} points, {total} in all, {} s",
                        configuration.sector,
                        configuration.unit,
                        configuration.image,
                        found.points,
                        start.elapsed().as_secs()
                    );
                    if let Ok(mut all) = failures.lock() {
                        all.extend(found.failures);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    for failure in &failures {
        println!("FAILED {failure}");
    }
    println!("seed: {seed}");
    println!("with a second cut during recovery: {}", second.into_inner());
    println!("driven on to a confirmed update: {}", driven.into_inner());
    println!("bricks, images past their budget, lowered floors: {}", failures.len());
    println!("points: {}", points.into_inner());
    failures.is_empty()
}

/// Switches each planted mistake on and asks that the sweep finds it.
fn planted(seed: u64) -> bool {
    let mut all_found = true;
    for (bug, what) in Bug::ALL {
        plant(*bug);
        let caught = [(1024, 8, 257), (2048, 16, 1024), (4096, 256, 257)].into_iter().find_map(
            |(sector, unit, image)| {
                sweep(Configuration { sector, unit, image }, seed).failures.into_iter().next()
            },
        );
        match caught {
            Some(how) => println!("caught: {what}\n        {how}"),
            None => {
                println!("MISSED: {what}");
                all_found = false;
            }
        }
    }
    plant(Bug::None);
    println!("planted mistakes: {}, all caught: {all_found}", Bug::ALL.len());
    all_found
}

fn sweep(configuration: Configuration, seed: u64) -> Findings {
    Sweep::new(configuration, &mut Shelf::new(configuration.image), seed).run()
}
