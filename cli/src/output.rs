//! How results reach people and scripts.
//!
//! A command returns one value that can show itself as text and serialise itself as JSON. With
//! `--json` standard output holds exactly one JSON value, for failures too; everything else,
//! progress for instance, goes to standard error.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::failure::Outcome;

/// Shows what a command returned and gives its exit code.
pub fn conclude<T: Serialize + Display>(outcome: Outcome<T>, json: bool) -> ExitCode {
    conclude_quietly(outcome.map(|value| show(&value, json)), json)
}

/// Shows the failure of a command that has nothing to show otherwise, and gives its exit code.
pub fn conclude_quietly(outcome: Outcome<()>, json: bool) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    if json {
        line(&to_json(&failure.to_json()));
    }
    // A closed standard error cannot be reported anywhere.
    let _ = writeln!(io::stderr().lock(), "{failure}");
    failure.exit_code()
}

/// Shows one value on standard output.
pub fn show<T: Serialize + Display>(value: &T, json: bool) {
    line(&if json { to_json(value) } else { value.to_string() });
}

/// One line of progress on standard error.
pub fn progress(text: impl Display) {
    // A closed standard error cannot be reported anywhere.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Columns of text, each as wide as its widest cell.
#[derive(Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Table {
        Table { rows: vec![headings.iter().map(|h| (*h).to_owned()).collect()] }
    }

    /// A table without headings.
    pub fn plain() -> Table {
        Table::default()
    }

    /// Adds one row.
    pub fn row<I, S>(&mut self, cells: I)
    where
        I: IntoIterator<Item = S>,
        S: Display,
    {
        self.rows.push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let mut text = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                text.push_str(&format!("{cell:<width$}  "));
            }
            f.write_str(text.trim_end())?;
        }
        Ok(())
    }
}

fn to_json<T: Serialize>(value: &T) -> String {
    // The values shown here are plain structs and maps with text keys: they always serialise.
    serde_json::to_string_pretty(value).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"))
}

/// One line on standard output.
pub fn line(text: &str) {
    // A reader that went away (`| head`) is no failure of the command.
    let _ = writeln!(io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_table_aligns_its_columns_and_leaves_no_trailing_blanks() {
        let mut table = Table::new(&["name", "n"]);
        table.row(["a", "1"]);
        table.row(["longer", "2"]);
        assert_eq!(table.to_string(), "name    n\na       1\nlonger  2");
    }
}
