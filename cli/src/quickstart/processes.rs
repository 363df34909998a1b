//! The real processes of a quickstart: started here, ended here, by their own ids.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};

/// A child process that ends when this value goes.
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command` with its output in `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Outcome<Process> {
        let file = log
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(log));
        let started = file.and_then(|file| {
            let errors = file.try_clone()?;
            // A group of its own: Ctrl-C reaches this process only, which ends them in order.
            command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0).spawn()
        });
        match started {
            Ok(child) => Ok(Process { name: name.to_owned(), child }),
            Err(error) => Err(Failure::failed(
                format!("{name} could not be started"),
                error.to_string(),
                format!("Look at {}.", log.display()),
            )),
        }
    }

    /// What it is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit code, when the process has ended already.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().map(|status| status.code().unwrap_or(-1))
    }

    /// Asks the process to end and waits; after `patience` it is killed.
    pub fn stop(&mut self, patience: Duration) {
        if self.ended().is_some() {
            return;
        }
        terminate(self.child.id());
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.ended().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        tracing::warn!(process = self.name, "did not end in time and was killed");
        self.kill();
    }

    /// Ends the process at once, as a power cut would.
    pub fn kill(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(5));
    }
}

/// The resident memory of a process in MiB, rounded up; none where the system does not tell.
pub fn resident_mib(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok();
    let kib: u64 = match status {
        Some(text) => {
            let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_ascii_whitespace().nth(1)?.parse().ok()?
        }
        None => {
            let id = id.to_string();
            let output = Command::new("ps").args(["-o", "rss=", "-p", &id]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()?
        }
    };
    Some(kib.div_ceil(1024))
}

fn terminate(id: u32) {
    if let Some(id) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
        // Fails only when the process is gone already.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
}
