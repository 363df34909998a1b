//! The parts of `cargo xtask firmware test` that do not need each other, two at a time.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// One part, by name.
pub struct Step {
    name: &'static str,
    work: Work,
}

enum Work {
    /// Its output is shown when it failed, and its last line when it did not.
    Program(Command),
    /// Speaks for itself.
    Here(fn() -> Result<()>),
}

impl Step {
    /// A program that has to end with exit code 0.
    pub fn program(name: &'static str, command: Command) -> Step {
        Step { name, work: Work::Program(command) }
    }

    /// A part of this program.
    pub fn here(name: &'static str, work: fn() -> Result<()>) -> Step {
        Step { name, work: Work::Here(work) }
    }
}

/// Runs all of them, in this order as far as there is room, and says what each took. A failure lets
/// those that run come to their end, and starts no other.
pub fn run(steps: Vec<Step>, logs: &Path) -> Result<()> {
    fs::create_dir_all(logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let queue = Mutex::new(VecDeque::from(steps));
    let failure = Mutex::new(None);
    let next = || {
        let stopped = failure.lock().map_or(true, |failure| failure.is_some());
        if stopped { None } else { queue.lock().ok()?.pop_front() }
    };
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(step) = next() {
                    if let Err(error) = one(step, logs)
                        && let Ok(mut failure) = failure.lock()
                    {
                        failure.get_or_insert(error);
                    }
                }
            });
        }
    });
    failure.into_inner().map_err(|_| anyhow!("a step panicked"))?.map_or(Ok(()), Err)
}

fn one(step: Step, logs: &Path) -> Result<()> {
    let name = step.name;
    let start = Instant::now();
    let (processor, last) = match step.work {
        Work::Here(work) => {
            work().with_context(|| format!("'{name}' failed"))?;
            (None, String::new())
        }
        Work::Program(command) => program(name, command, &logs.join(format!("{name}.log")))?,
    };
    let processor = processor.map(|s| format!(", {s:.0} s of processor")).unwrap_or_default();
    println!("ok   {name}: {:.0} s{processor}; {last}", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a program with its output in `log`; the processor time it used, and its last line.
fn program(name: &str, mut command: Command, log: &Path) -> Result<(Option<f64>, String)> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let errors = file.try_clone()?;
    command.stdin(Stdio::null()).stdout(Stdio::from(file)).stderr(Stdio::from(errors));
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let (status, processor) = wait(&mut child)?;
    let text = fs::read_to_string(log).unwrap_or_default();
    if !status.success() {
        eprintln!("{text}");
        bail!("'{name}' failed: {status}; its output is above and in {}", log.display());
    }
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Ok((processor, last.to_owned()))
}

/// Waits, and reads the processor time in the moment between the end and the waiting, when the
/// kernel still knows it: proc_pid_stat(5), in hundredths of a second. `None` where there is none.
fn wait(child: &mut Child) -> Result<(ExitStatus, Option<f64>)> {
    let stat = format!("/proc/{}/stat", child.id());
    loop {
        let text = fs::read_to_string(&stat).unwrap_or_default();
        let fields: Vec<&str> =
            text.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
        match fields.first() {
            Some(&"Z") => {
                let ticks = fields.iter().skip(11).take(4).filter_map(|f| f.parse::<f64>().ok());
                let ticks: f64 = ticks.sum();
                return Ok((child.wait()?, Some(ticks / 100.0)));
            }
            Some(_) => std::thread::sleep(Duration::from_millis(50)),
            None => return Ok((child.wait()?, None)),
        }
    }
}

/// Runs at a time: what a small machine has in cores.
const LANES: usize = 2;
