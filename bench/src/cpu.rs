//! CPU time and memory, as the kernel counts them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// CPU time of a process so far, user and system, in seconds. Its steps are of 10 ms.
pub fn of_process(pid: u32) -> Result<f64> {
    fields(pid, UTIME, 2)
}

/// The part of it that the kernel worked for the process, in seconds.
pub fn of_kernel(pid: u32) -> Result<f64> {
    fields(pid, UTIME + 1, 1)
}

/// CPU time of the processes that this one started and that have ended, in seconds.
pub fn of_children() -> Result<f64> {
    fields(std::process::id(), CUTIME, 2)
}

/// CPU time of this process so far, in seconds.
pub fn of_this_process() -> Result<f64> {
    of_process(std::process::id())
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> Result<f64> {
    memory(pid, "VmRSS:")
}

/// The most resident memory that a process ever had, in bytes.
pub fn peak_resident(pid: u32) -> Result<f64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, name: &'static str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).context(name)?;
    Ok(kibibytes.parse::<f64>()? * 1024.0)
}

/// The sum of some times, in seconds.
fn fields(pid: u32, first: usize, count: usize) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name, in parentheses, may hold anything; the fields after it are numbers.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest).context("/proc/PID/stat")?;
    let ticks = fields.split_whitespace().skip(first).take(count).map(str::parse::<f64>);
    let ticks: f64 = ticks.sum::<Result<f64, _>>().context("/proc/PID/stat")?;
    Ok(ticks / TICKS_PER_SECOND)
}

/// CPU time of this thread so far, in seconds.
fn of_this_thread() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")
        .context("this kernel does not count the time of threads")?;
    let nanoseconds = text.split_whitespace().next().context("/proc/thread-self/schedstat")?;
    Ok(nanoseconds.parse::<f64>()? * 1e-9)
}

/// CPU seconds of this thread for one call, taken over as many calls as fit into some time; the
/// best of several rounds, for other work on the machine only ever adds.
pub fn of_one(mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (begun, before, mut calls) = (Instant::now(), of_this_thread()?, 0_u32);
        while begun.elapsed() < ROUND {
            call()?;
            calls += 1;
        }
        best = best.min((of_this_thread()? - before) / f64::from(calls));
    }
    Ok(best)
}

/// Which part of a thread's CPU time some of its steps took.
#[derive(Default)]
pub struct Share {
    inside: Duration,
}

impl Share {
    /// Runs a step that counts.
    pub fn count<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = step();
        self.inside += begun.elapsed();
        done
    }

    /// CPU seconds of what was counted while `all` ran once, by its share of the time.
    pub fn of(all: impl FnOnce(&mut Share) -> Result<()>) -> Result<f64> {
        let mut share = Share::default();
        let (begun, before) = (Instant::now(), of_this_thread()?);
        all(&mut share)?;
        let (whole, cpu) = (begun.elapsed(), of_this_thread()? - before);
        Ok(cpu * share.inside.as_secs_f64() / whole.as_secs_f64())
    }
}

/// USER_HZ, the same on every Linux of the hub's architectures (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;
/// Places after the name in /proc/PID/stat: utime and stime, cutime and cstime.
const UTIME: usize = 11;
const CUTIME: usize = 13;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(200);
