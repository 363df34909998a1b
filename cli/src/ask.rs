//! Questions on a terminal, for what was not given as an option.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::{Failure, Outcome};
use crate::files;

/// What was given; else the answer on a terminal; else, where nobody can be asked, the default.
pub fn or(
    given: Option<&str>,
    question: &str,
    default: Option<&str>,
    option: &str,
) -> Outcome<String> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let answer = match std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        true => ask(question, default)?,
        false => String::new(),
    };
    match (answer.is_empty(), default) {
        (false, _) => Ok(answer),
        (true, Some(default)) => Ok(default.to_owned()),
        (true, None) => Err(Failure::usage(
            format!("{option} is missing"),
            "There is no default for it, and nobody answered.",
            format!("Give it with {option}; --help says what it is."),
        )),
    }
}

fn ask(question: &str, default: Option<&str>) -> Outcome<String> {
    let failed = |error: std::io::Error| {
        Failure::failed("no answer", files::sentence(&error), "Give it as an option.")
    };
    let mut terminal = std::io::stderr().lock();
    let default = default.map(|default| format!(" [{default}]")).unwrap_or_default();
    write!(terminal, "{question}{default}: ").and_then(|()| terminal.flush()).map_err(failed)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(line.trim().to_owned())
}
