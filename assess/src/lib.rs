//! Crystal-box assessment of source, firmware and fleet.
//!
//! [`run`] reads source trees and firmware images, opens what they are packed in
//! ([`unpack`]), searches every file ([`rules`]), keeps one index of every key and
//! credential ([`keys`]) and answers the first question: is any of them shared?
#![forbid(unsafe_code)]

pub mod blob;
mod command;
mod content;
mod elf;
mod encoded;
pub mod keys;
pub mod model;
mod progress;
pub mod report;
pub mod rules;
mod run;
#[cfg(test)]
mod testing;
pub mod unpack;
pub mod walk;

pub use command::{CommandError, Output, Printed, execute, write};
pub use model::{Finding, Severity};
pub use progress::Spinner;
pub use rules::suppress::Suppressions;
pub use run::{
    Assessment, Comparison, History, Input, InputReport, Options, Progress, Region, Seen, Shared,
    run, run_with_index, today,
};
