//! The runtime of the commands that talk to networks or databases.

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, Outcome};
use crate::files;

/// A runtime with as many threads as the machine has.
pub fn new() -> Outcome<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
        Failure::failed("cannot start", files::sentence(&e), "Check the limits of this machine.")
    })
}

/// The two signals that stop a process that runs for long.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Waits for them from now on; to be called inside a runtime.
    pub fn new() -> Outcome<Stop> {
        let cannot = |e: std::io::Error| {
            Failure::failed("cannot wait for signals", files::sentence(&e), "Try again.")
        };
        Ok(Stop {
            interrupt: signal(SignalKind::interrupt()).map_err(cannot)?,
            terminate: signal(SignalKind::terminate()).map_err(cannot)?,
        })
    }

    /// Ends when one came.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
