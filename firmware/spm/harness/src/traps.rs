//! Every case of the table, on every board.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::cases::{ADVISORIES, CASES, Case, End};
use crate::machine::{Images, Outcome, Run, run as start};

/// Runs them all, or the ones with this in their name.
pub fn run(images: &Images, boards: &[&str], only: Option<&str>) -> Result<(), String> {
    let wanted: Vec<(&str, usize, &Case)> = boards
        .iter()
        .flat_map(|board| CASES.iter().enumerate().map(move |(index, case)| (*board, index, case)))
        .filter(|(_, _, case)| only.is_none_or(|part| case.name.contains(part)))
        .collect();
    for (number, what, name) in ADVISORIES {
        if !name.contains(": ") && CASES.iter().all(|case| case.name != *name) {
            return Err(format!("TFMV-{number} ({what}) has no case '{name}'"));
        }
        println!("TFMV-{number}: {what}: {name}");
    }
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((board, index, case)) = wanted.get(next.fetch_add(1, Relaxed)) {
                    let verdict = one(images, board, *index, case);
                    match &verdict {
                        Ok(()) => println!("ok   {board} {}", case.name),
                        Err(why) => println!("FAIL {board} {}: {why}", case.name),
                    }
                    if verdict.is_err()
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(format!("{board} {}", case.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    println!("{} cases, {} failed", wanted.len(), failed.len());
    match failed.as_slice() {
        _ if wanted.is_empty() => Err("no case has that name".to_owned()),
        [] => Ok(()),
        some => Err(format!("failed: {}", some.join(", "))),
    }
}

fn one(images: &Images, board: &str, index: usize, case: &Case) -> Result<(), String> {
    // One instruction is 64 ns of virtual time: interrupts come at the same instruction each run.
    let arguments = ["-icount", "shift=6,sleep=off"];
    let outcome =
        start(images, board, &Run { case: index as u32, arguments: &arguments, ..Run::default() })?;
    judge(case, board, &outcome).map_err(|why| {
        format!("{why}\n--- secure\n{}--- nonsecure\n{}", outcome.console, outcome.nonsecure)
    })
}

fn judge(case: &Case, board: &str, outcome: &Outcome) -> Result<(), String> {
    if outcome.code != Some(0) {
        return Err(format!("ended with {:?}", outcome.code));
    }
    if !outcome.console.contains(case.console) {
        return Err(format!("the console does not say '{}'", case.console));
    }
    let starts = outcome.console.matches("spm: ready").count();
    let expected = if case.end == End::Resets { 2 } else { 1 };
    if starts != expected {
        return Err(format!("started {starts} times instead of {expected}"));
    }
    // The board without the unit has nothing to keep: the application must have said so.
    if case.name.starts_with("floating_point") {
        let says = outcome.nonsecure.contains("no floating-point unit");
        if says != (board == "mps2-an521") {
            return Err("the floating-point unit is not where it should be".to_owned());
        }
    }
    Ok(())
}
