//! The assessment on a command line of its own, for trials.
//!
//! `assess PATH.. [--out DIR] [--json|--sarif|--html] [--fail-on LEVEL] [--min-coverage PCT]
//! [--suppress FILE] [--ignored] [--no-history] [--coverage]`

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ringfort_assess::command_line(&arguments)
}
