//! Options from words, for commands that run other commands.

use clap::{Args, Parser};

use crate::failure::{Failure, Outcome};

/// The options of a command, read from words as the command line would read them.
///
/// # Errors
/// Wrong usage, when the words are not what the command takes.
pub fn options<T: Args>(words: &[&str]) -> Outcome<T> {
    let line = Line::<T>::try_parse_from(words).map_err(|error| {
        Failure::usage("a step is given wrongly", error.to_string().trim_end(), "Correct it.")
    })?;
    Ok(line.options)
}

#[derive(Parser)]
#[command(no_binary_name = true)]
struct Line<T: Args> {
    #[command(flatten)]
    options: T,
}
