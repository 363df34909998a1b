//! Questions on a terminal, for what was not given as an option.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::{Failure, Outcome};
use crate::files;

/// What was given; else the answer on a terminal, asked for again while it does not parse; else,
/// where nobody can be asked, the default.
pub fn or<T>(
    given: Option<&str>,
    question: &str,
    default: Option<&str>,
    option: &str,
    parse: impl Fn(&str) -> Outcome<T>,
) -> Outcome<T> {
    if let Some(given) = given {
        return parse(given);
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return parse(default.ok_or_else(|| missing(option))?);
    }
    again(|| {
        let answer = ask(question, default)?;
        match (answer.is_empty(), default) {
            (false, _) => parse(&answer),
            (true, Some(default)) => parse(default),
            (true, None) => Err(missing(option)),
        }
    })
}

/// Asks, and asks again after an answer that cannot be used: somebody sits there.
pub fn again<T>(mut ask: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    for _ in 1..TRIES {
        match ask() {
            Err(failure) if !failure.is_final() => eprintln!("{failure}"),
            answer => return answer,
        }
    }
    ask()
}

fn missing(option: &str) -> Failure {
    Failure::usage(
        format!("{option} is missing"),
        "There is no default for it, and nobody answered.",
        format!("Give it with {option}; --help says what it is."),
    )
}

fn ask(question: &str, default: Option<&str>) -> Outcome<String> {
    let failed = |error: std::io::Error| {
        Failure::failed("no answer", files::sentence(&error), "Give it as an option.").last()
    };
    let mut terminal = std::io::stderr().lock();
    let default = default
        .filter(|default| !default.is_empty())
        .map(|default| format!(" [{default}]"))
        .unwrap_or_default();
    write!(terminal, "{question}{default}: ").and_then(|()| terminal.flush()).map_err(failed)?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).map_err(failed)? == 0 {
        // The end of input is no answer, and takes no default.
        let _ = writeln!(terminal);
        let why = "The input ended before an answer.";
        return Err(Failure::failed("no answer", why, "Answer, or give it as an option.").last());
    }
    Ok(line.trim().to_owned())
}

/// How often somebody may answer.
const TRIES: usize = 3;
