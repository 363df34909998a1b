//! `powercut [--seed N] [--sample | --planted]`: cuts the power everywhere and looks what boots.
//! A sample has the large write units only.

#![forbid(unsafe_code)]

mod flash;
mod orders;
mod release;
mod sweep;
mod world;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use orders::{Division, Orders};
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
        everything(seed, arguments.iter().any(|a| a == "--sample"))
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

/// The order journal is written in units of 8 bytes, so smaller ones and that.
fn divisions() -> Vec<Division> {
    [(1024, 8), (4096, 8), (1024, 4), (4096, 4)]
        .map(|(sector, unit)| Division { sector, unit })
        .to_vec()
}

/// What one thread sweeps at a time.
enum Work {
    Slots(Configuration),
    Orders(Division),
}

fn everything(seed: u64, is_sample: bool) -> bool {
    let mut divisions = divisions();
    let mut configurations = configurations();
    if is_sample {
        divisions.truncate(1);
        configurations.retain(|configuration| configuration.unit >= 32);
    }
    let work: Vec<Work> = divisions
        .into_iter()
        .map(Work::Orders)
        .chain(configurations.into_iter().map(Work::Slots))
        .collect();
    let next = AtomicUsize::new(0);
    let points = AtomicU64::new(0);
    let second = AtomicU64::new(0);
    let driven = AtomicU64::new(0);
    let orders = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let start = Instant::now();
    eprintln!("seed {seed}, {} configurations", work.len());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(work) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (found, what) = match work {
                        Work::Slots(configuration) => {
                            (sweep(*configuration, seed), configuration.to_string())
                        }
                        Work::Orders(division) => {
                            let found = Orders::new(*division, seed).run();
                            orders.fetch_add(found.points, Ordering::Relaxed);
                            (found, division.to_string())
                        }
                    };
                    second.fetch_add(found.second, Ordering::Relaxed);
                    driven.fetch_add(found.driven, Ordering::Relaxed);
                    let total = points.fetch_add(found.points, Ordering::Relaxed) + found.points;
                    let seconds = start.elapsed().as_secs();
                    eprintln!("{what}: {:7} points, {total} in all, {seconds} s", found.points);
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
    println!("in the journal of orders: {}", orders.into_inner());
    println!("driven on to a confirmed update: {}", driven.into_inner());
    println!(
        "bricks, images past their budget, lowered floors, revived orders: {}",
        failures.len()
    );
    println!("points: {}", points.into_inner());
    failures.is_empty()
}

/// Switches each planted mistake on and asks that the sweep finds it.
fn planted(seed: u64) -> bool {
    let mut all_found = true;
    for (bug, what) in Bug::ALL {
        plant(*bug);
        let caught = if what.starts_with("orders: ") {
            Orders::new(divisions()[0], seed).run().failures.into_iter().next()
        } else {
            [(1024, 8, 257), (2048, 16, 1024), (4096, 256, 257)].into_iter().find_map(
                |(sector, unit, image)| {
                    sweep(Configuration { sector, unit, image }, seed).failures.into_iter().next()
                },
            )
        };
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
