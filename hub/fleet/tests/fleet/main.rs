//! The rules of the fleet, on a real store. Each refusal stands beside the same thing without the
//! attack, succeeding.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod clock;
mod commands;
mod contact;
mod deployments;
mod developer;
mod enrolment;
mod factory;
mod lifecycle;
mod moves;
mod offline;
mod people;
mod properties;
mod releases;
mod restarts;
mod restored;
mod statements;
mod world;
