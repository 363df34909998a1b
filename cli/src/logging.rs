//! The log of the long-running commands: standard error, one line an event.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts the log. `RINGFORT_LOG` chooses what is in it (`info` without it); with `json` each line
/// is one JSON object.
pub fn start(json: bool) {
    let filter =
        EnvFilter::try_from_env("RINGFORT_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that cannot be written, on a full disk say, must not stop what it tells of.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start in the same process keeps the first log, which is what is wanted.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}

/// The TPM software stack tells of every handle that it opens and closes.
const DEFAULT: &str = "info,tss_esapi=warn";
