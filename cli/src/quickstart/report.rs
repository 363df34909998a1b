//! What a person reads while a quickstart runs, and the one object that a script reads.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};

/// Prints the steps: to standard output for people, to standard error beside `--json`.
pub struct Report {
    json: bool,
    colour: bool,
}

impl Report {
    /// A report for people, or for scripts.
    pub fn new(json: bool) -> Report {
        let terminal =
            if json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        Report { json, colour: terminal && std::env::var_os("NO_COLOR").is_none() }
    }

    /// A plain line.
    pub fn line(&self, text: &str) {
        let text = format!("  {text}\n");
        // A closed pipe must not end the run before the processes are stopped.
        let _ = if self.json {
            std::io::stderr().write_all(text.as_bytes())
        } else {
            let mut out = std::io::stdout();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
    }

    /// A step that is done, with the time it took where that matters.
    pub fn done(&self, name: &str, text: &str, took: Option<Duration>) {
        let tick = if self.colour { "\x1b[32m✓\x1b[0m" } else { "✓" };
        match took {
            Some(took) => {
                self.line(&format!("{tick} {name:<10} {text:<66} {:>5.1} s", took.as_secs_f64()));
            }
            None => self.line(&format!("{tick} {name:<10} {text}")),
        }
    }
}

/// One device as it stands at the end.
pub struct DeviceLine {
    pub id: String,
    pub key_store: String,
    pub lifecycle: String,
    pub release: String,
    pub update: String,
}

/// The object of `--json`.
pub fn object(
    seconds: f64,
    hub_rss_mib: Option<u64>,
    devices: &[DeviceLine],
    refusals: &[(&'static str, String)],
) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "seconds": (seconds * 10.0).round() / 10.0,
        "hub_rss_mib": hub_rss_mib,
        "devices": devices.iter().map(|device| json!({
            "id": device.id,
            "key_store": device.key_store,
            "lifecycle": device.lifecycle,
            "release": device.release,
            "update": device.update,
        })).collect::<Vec<_>>(),
        "refusals": refusals.iter().map(|(name, code)| ((*name).to_owned(), json!(code)))
            .collect::<serde_json::Map<_, _>>(),
    })
}
