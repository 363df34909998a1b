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
    progress(&failure);
    failure.exit_code()
}

/// Shows one value on standard output.
pub fn show<T: Serialize + Display>(value: &T, json: bool) {
    line(&if json { to_json(value) } else { value.to_string() });
}

/// One line of progress on standard error.
pub fn progress(text: impl Display) {
    // A closed standard error cannot be reported anywhere.
    let _ = writeln!(io::stderr().lock(), "{}", plain(&text.to_string()));
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
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell.to_string())).collect());
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
    let text =
        serde_json::to_string_pretty(value).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
    // What is left of such characters stands inside of strings, where it may be escaped (RFC 8259,
    // section 7). All of them are below U+10000.
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
    out
}

/// Text for a terminal. Hubs, devices and files bring words of their own; none of them moves the
/// cursor, changes the direction of writing, or hides what stands beside it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for words that have no lines of their own, and may not look as if they had.
pub fn one_line(text: &str) -> String {
    plain(text).replace(['\n', '\t'], "\u{fffd}")
}

/// Would it do something on a terminal, other than end a line or lead to the next column?
fn steers(c: char) -> bool {
    let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}');
    directs || (c.is_control() && c != '\n' && c != '\t')
}

/// One line on standard output.
pub fn line(text: &str) {
    // A reader that went away (`| head`) is no failure of the command.
    let _ = writeln!(io::stdout().lock(), "{}", plain(text));
}

#[cfg(test)]
mod tests {
    use super::{Table, one_line, plain, to_json};

    /// Clears the screen, in seven bits and in eight; goes back; writes from right to left.
    const HOSTILE: &str = "a\u{1b}[2Jb\u{9b}2Jc\rd\u{202e}e\u{2066}f\u{7f}";

    #[test]
    fn words_of_others_do_not_steer_the_terminal() {
        let shown = "a\u{fffd}[2Jb\u{fffd}2Jc\u{fffd}d\u{fffd}e\u{fffd}f\u{fffd}";
        assert_eq!(plain(HOSTILE), shown);
        assert_eq!(plain("Zürich\n\tok ✓ שלום"), "Zürich\n\tok ✓ שלום");
        let json = to_json(&HOSTILE);
        assert_eq!(plain(&json), json, "nothing is left in it");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), HOSTILE, "nothing is lost");
    }

    #[test]
    fn a_cell_cannot_pass_for_another_row() {
        let mut table = Table::new(&["DEVICE", "OWNER"]);
        table.row(["dev-a", "x\ndev-b  nobody"]);
        assert_eq!(table.to_string().lines().count(), 2);
        assert_eq!(one_line("a\r\n  next: b"), "a\u{fffd}\u{fffd}  next: b");
    }

    #[test]
    fn a_table_aligns_its_columns_and_leaves_no_trailing_blanks() {
        let mut table = Table::new(&["name", "n"]);
        table.row(["a", "1"]);
        table.row(["longer", "2"]);
        assert_eq!(table.to_string(), "name    n\na       1\nlonger  2");
    }
}
