//! How long a machine may run: by the processor time that it used, so that a busy host does not make
//! a slow run look like one that hangs.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

/// Watches one process.
pub struct Patience {
    most: u64,
    used: u64,
    since: Instant,
    looked: Instant,
}

impl Patience {
    /// As much as a sound run may take, or this much processor time.
    pub fn new(most: Option<Duration>) -> Patience {
        let now = Instant::now();
        let most = most.map_or(MOST_TICKS, |most| most.as_millis() as u64 / 10);
        Patience { most, used: 0, since: now, looked: now }
    }

    /// Whether the process has used up its time, or stands still.
    pub fn is_over(&mut self, child: &Child) -> bool {
        if self.looked.elapsed() < LOOK {
            return false;
        }
        self.looked = Instant::now();
        let used = ticks(child.id());
        if used != self.used {
            (self.used, self.since) = (used, Instant::now());
        }
        used >= self.most || self.since.elapsed() >= STILL
    }
}

/// Processor time in clock ticks, user and system: fields 14 and 15 of proc_pid_stat(5). 0 where it
/// cannot be read, which ends the patience after [`STILL`].
fn ticks(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

const LOOK: Duration = Duration::from_millis(5);
/// A minute with the usual hundred ticks a second; on a fast host no sound run needs two seconds.
const MOST_TICKS: u64 = 6000;
/// A busy host may leave a process alone for long.
const STILL: Duration = Duration::from_secs(120);
