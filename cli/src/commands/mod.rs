//! One module a group of commands. A command is a function from an options struct to a report:
//! the options are read from the command line by clap, or filled in by another command, and the
//! report shows itself as text and as JSON.

pub mod agent;
pub mod assess;
pub mod audit;
pub mod deploy;
pub mod device;
pub mod factory;
pub mod firmware;
pub mod hub;
pub mod login;
pub mod pki;
pub mod release;
pub mod user;
