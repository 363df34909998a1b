//! Project tasks: `cargo xtask <task>`.

#![forbid(unsafe_code)]

mod bench;
mod deb;
mod docs;
mod firmware;
mod fuzz;
mod licenses;
mod packages;
mod picture;
mod run;
mod test;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <task>

  test [--yes] [--only STEP]   every check of the project; installs the Debian/Ubuntu
                               packages it misses after asking (--yes: without asking)
  fuzz [--seconds N] [TARGET]  every fuzz target, 60 seconds each unless told
  bench [--only NAME] [--json] figures of a release build under load, each beside its raw limit
  docs [--check]               write the generated documents, or compare them
  deb [--out DIR]              the Debian packages of hub and agent
      [--binary FILE] [--fast] (of this program instead of a release build; less compression)
  picture                      draw the README's picture from a real quickstart run
  firmware <what>              build, run, test, size, powercut, faults
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((task, rest)) = arguments.split_first() else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let done = match task.as_str() {
        "test" => test::run(rest),
        "fuzz" => fuzz::run(rest),
        "bench" => bench::run_task(rest),
        "docs" => docs::run(rest),
        "deb" => deb::run_task(rest),
        "picture" => picture::run(rest),
        "firmware" => firmware::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("there is no task '{task}'\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
