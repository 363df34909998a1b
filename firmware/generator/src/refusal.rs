//! What is wrong with a manifest, and on which line.

use std::fmt;
use std::ops::Range;

/// A refusal: file, line and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The reason and the way out.
    pub reason: String,
}

impl Refusal {
    /// The refusal of the text at `span`.
    pub fn at(file: &str, text: &str, span: Range<usize>, reason: String) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        Self { file: file.to_owned(), line, reason }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

impl std::error::Error for Refusal {}
