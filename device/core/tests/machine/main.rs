//! The state machine, driven by real signatures over real objects.
#![allow(clippy::unwrap_used)] // helpers of tests

mod commands;
mod kit;
mod paths;
mod refusals;
mod table;
