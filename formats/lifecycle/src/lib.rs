//! The lifecycle of a device as the hub keeps it: states, legal moves, who may make them, and
//! what a device may do in each.
//!
//! The hub's state is the authority for access. The lifecycle value inside an attestation token
//! (RFC 9783 section 4.3.1) is evidence about the device and never moves it to more rights:
//! [`State::judge_token`] says what a value does.
//!
//! - [`judge`] is total: every pair of states has a rule or a refusal.
//! - [`State::may`] is the whole table of rights.
//!
//! Pure functions: no I/O, no clock, no memory of their own. Counting distinct people for
//! approvals and checking proofs is for the caller; the rules here say which are needed.
#![no_std]
#![forbid(unsafe_code)]

mod moves;
mod proofs;
mod right;
mod state;

pub use moves::{
    Actor, Approval, Approvals, Effect, Effects, Grade, Move, Request, Rule, Way, judge, rule,
};
pub use proofs::{Proof, Proofs};
pub use right::Right;
pub use state::{PsaLifecycle, State, TokenVerdict};

#[cfg(test)]
mod tests;
