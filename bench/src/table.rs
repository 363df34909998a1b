//! The table.

use std::time::Duration;

use serde_json::{Value, json};

/// Figures in the order in which they were taken.
#[derive(Default)]
pub struct Table {
    figures: Vec<Figure>,
}

/// One figure.
pub struct Figure {
    what: String,
    value: f64,
    unit: Unit,
    raw: Option<(f64, &'static str)>,
    bar: Option<Bar>,
    note: String,
}

/// What a figure counts.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    /// CPU seconds, shown as milliseconds.
    Cpu,
    /// CPU seconds of something long.
    CpuSeconds,
    /// Bytes per CPU-second.
    BytesPerCpu,
    /// Seconds on the clock.
    Seconds,
    /// Bytes.
    Bytes,
    /// Times as much.
    Times,
}

/// What a figure has to meet.
#[derive(Clone, Copy)]
pub enum Bar {
    /// The raw limit is at least this part of the figure.
    OfRaw(f64),
    /// The figure is at most this.
    AtMost(f64),
    /// The figure is at least this.
    AtLeast(f64),
}

impl Figure {
    /// A figure without limit and bar.
    pub fn new(what: impl Into<String>, value: f64, unit: Unit) -> Figure {
        Figure { what: what.into(), value, unit, raw: None, bar: None, note: String::new() }
    }

    /// Beside its raw limit: the work that cannot be left out.
    pub fn beside(mut self, raw: f64, what: &'static str) -> Figure {
        self.raw = Some((raw, what));
        self
    }

    /// With its bar.
    pub fn bar(mut self, bar: Bar) -> Figure {
        self.bar = Some(bar);
        self
    }

    /// With how it was taken.
    pub fn note(mut self, note: impl Into<String>) -> Figure {
        self.note = note.into();
        self
    }

    fn share(&self) -> Option<f64> {
        self.raw.map(|(raw, _)| match self.unit {
            // More is better.
            Unit::BytesPerCpu => self.value / raw,
            _ => raw / self.value,
        })
    }

    fn met(&self) -> Option<bool> {
        match self.bar? {
            Bar::OfRaw(least) => self.share().map(|share| share >= least),
            Bar::AtMost(most) => Some(self.value <= most),
            Bar::AtLeast(least) => Some(self.value >= least),
        }
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "value": self.value,
            "unit": self.unit.name(),
            "raw": self.raw.map(|(raw, _)| raw),
            "raw_is": self.raw.map(|(_, what)| what),
            "share_of_raw": self.share(),
            "bar": self.bar.map(|bar| bar.text(self.unit)),
            "met": self.met(),
            "note": self.note,
        })
    }

    fn row(&self) -> [String; 6] {
        let raw = self
            .raw
            .map_or_else(String::new, |(raw, what)| format!("{} {what}", self.unit.text(raw)));
        [
            self.what.clone(),
            self.unit.text(self.value),
            raw,
            self.share().map_or_else(String::new, |share| format!("{:.0} %", share * 100.0)),
            self.bar.map_or_else(|| "-".to_owned(), |bar| bar.text(self.unit)),
            match self.met() {
                None => String::new(),
                Some(true) => "met".to_owned(),
                Some(false) => "MISSED".to_owned(),
            },
        ]
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Cpu | Unit::CpuSeconds => "CPU seconds",
            Unit::BytesPerCpu => "bytes per CPU second",
            Unit::Seconds => "seconds",
            Unit::Bytes => "bytes",
            Unit::Times => "times",
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Unit::Cpu => format!("{:.3} ms CPU", value * 1e3),
            Unit::CpuSeconds => format!("{value:.2} s CPU"),
            Unit::BytesPerCpu => format!("{:.1} MB/s CPU", value / 1e6),
            Unit::Seconds if value < 1.0 => format!("{:.1} ms", value * 1e3),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Bytes if value < 1024.0 * 1024.0 => format!("{:.1} KiB", value / 1024.0),
            Unit::Bytes => format!("{:.1} MiB", value / 1024.0 / 1024.0),
            Unit::Times => format!("{value:.2} x"),
        }
    }
}

impl Bar {
    fn text(self, unit: Unit) -> String {
        match self {
            Bar::OfRaw(least) => format!(">= {:.0} % of raw", least * 100.0),
            Bar::AtMost(most) => format!("<= {}", unit.text(most)),
            Bar::AtLeast(least) => format!(">= {}", unit.text(least)),
        }
    }
}

impl Table {
    /// Adds a figure, and says it at once on standard error: the whole table takes minutes.
    pub fn add(&mut self, figure: Figure) {
        eprintln!("  {}: {}", figure.what, figure.unit.text(figure.value));
        self.figures.push(figure);
    }

    /// Prints everything on standard output.
    pub fn print(&self, as_json: bool, took: Duration) {
        if as_json {
            let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
            println!("{}", json!({ "figures": figures, "seconds": took.as_secs_f64() }));
            return;
        }
        let head = ["what", "measured", "raw limit", "share", "bar", ""].map(str::to_owned);
        let rows: Vec<[String; 6]> =
            [head].into_iter().chain(self.figures.iter().map(Figure::row)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; 6] = std::array::from_fn(|column| width(column).unwrap_or(0));
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        println!();
        for figure in self.figures.iter().filter(|figure| !figure.note.is_empty()) {
            println!("{}: {}", figure.what, figure.note);
        }
        println!("taken in {:.0} s", took.as_secs_f64());
    }
}
