//! Processes that end with the value that stands for them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::Ran;

/// A process with its log in a file.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it says on standard error goes to the end of the log.
    pub fn start(mut command: Command, log: PathBuf) -> Process {
        let file = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stderr(file);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Process { child, log }
    }

    /// Starts a hub and returns when it serves.
    pub fn serving(mut command: Command, log: PathBuf) -> Process {
        command.stdout(Stdio::piped());
        let mut process = Process::start(command, log);
        let mut line = String::new();
        BufReader::new(process.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("\"serving\""), "{line}{}", process.said());
        process
    }

    /// Everything that it said, and those before it with the same log.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Returns when the log has this text.
    pub fn says(&self, text: &str) {
        until(&format!("{text:?} in {}", self.log.display()), || self.said().contains(text));
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks it to end and waits until it has.
    pub fn stop(mut self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.said());
    }

    /// Ends it as a power cut does: nothing more is written.
    pub fn kill(self) {}
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        forget_clock(self.child.id());
    }
}

/// Runs a program to its end.
pub fn finish(mut command: Command) -> Ran {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    forget_clock(pid);
    Ran::from(output)
}

/// What the clock's library shares between processes outlives one that was killed, or that another
/// program took the place of.
fn forget_clock(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        let _ = fs::remove_file(Path::new("/dev/shm").join(name));
    }
}

/// Waits for something that comes about elsewhere.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "still not: {what}");
        std::thread::sleep(A_MOMENT);
    }
}

/// Longer than anything takes, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(300);
const A_MOMENT: Duration = Duration::from_millis(50);

/// Runs a command until its log has this many lines and kills it then.
pub fn killed_at_line(mut command: Command, log: &Path, line: usize) {
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut process = Process { child, log: log.to_owned() };
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        stderr.lines().map_while(Result::ok).all(|l| sender.send(l).is_ok())
    });
    let mut said = String::new();
    for number in 1..=line {
        let text = lines.recv_timeout(PATIENCE);
        let text = text.unwrap_or_else(|e| panic!("{e} before line {number} of {line}:\n{said}"));
        said.push_str(&text);
        said.push('\n');
    }
    process.child.kill().unwrap();
    fs::write(log, said).unwrap();
}
