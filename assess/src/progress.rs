//! Progress of a run on standard error: a line that moves on a terminal, nothing elsewhere.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::Progress;

/// A spinner with the count of files and the one that is being read.
#[derive(Debug)]
pub struct Spinner {
    bar: ProgressBar,
    files: u64,
    /// When the line was last written anew: a tree of small files would spend its time on it.
    shown: Instant,
}

impl Spinner {
    /// A spinner on standard error; it draws nothing where that is no terminal.
    #[must_use]
    pub fn on_stderr() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self { bar, files: 0, shown: Instant::now() }
    }
}

impl Progress for Spinner {
    fn file(&mut self, path: &str) {
        self.files += 1;
        if self.files > 1 && self.shown.elapsed() < TICK {
            return;
        }
        self.shown = Instant::now();
        let tail: Cow<'_, str> = match path.char_indices().rev().nth(WIDTH) {
            Some((at, _)) => Cow::Owned(format!("…{}", &path[at..])),
            None => Cow::Borrowed(path),
        };
        self.bar.set_message(format!("{} files, reading {tail}", self.files));
    }

    fn done(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

const TICK: Duration = Duration::from_millis(120);
const WIDTH: usize = 60;
