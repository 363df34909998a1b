//! What a device decides: which anchors, orders and releases it takes, when it switches, and when
//! it goes back. Agent and firmware both drive it.
//!
//! [`Device`] is one state machine. It is given [`Event`]s and answers with [`Action`]s; it never
//! reads a socket, a file or a clock. What has to survive a power cut is one [`Record`], and
//! [`Action::Persist`] says when. The host performs the actions in order, and stops at the first
//! that it cannot do: after a restart [`Event::Started`] takes up the work wherever it was cut.
//!
//! - [`Record`] is the durable state, with a bounded encoding.
//! - [`Clock`] holds the rules of time.
//! - [`judge_release`] decides whether a release may be installed.
//!
//! `no_std`, without allocation; nothing panics on any input.
#![no_std]
#![forbid(unsafe_code)]

mod action;
mod clock;
mod event;
mod judge;
mod machine;
mod record;
mod record_codec;

pub use action::{Action, Actions, Alarm};
pub use clock::{Clock, Uptime};
pub use event::{Env, Event};
pub use judge::judge_release;
pub use machine::{Device, RolledBack};
pub use record::{
    CommandInProgress, CommandPhase, Detail, Finished, Floor, HeldAnchors, Identity, Phase, Record,
    Settings, Slot, SlotRecord, Update,
};
