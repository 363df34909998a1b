//! `ringfort firmware`: devices on emulated boards, started from signed releases.

mod demo;
mod device;
mod fleet;
mod images;
#[path = "../../../../firmware/psa/updates/src/script.rs"]
#[allow(dead_code)]
mod script;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::output::conclude_quietly;

/// The commands of the group.
#[derive(Subcommand)]
pub enum Command {
    /// See it at work in QEMU: signed boot, secure services, refused updates, a power cut
    Demo(Options),
    /// Boot a device from a signed release and show its two consoles
    Run(Options),
}

/// What both take.
#[derive(Args)]
pub struct Options {
    /// The emulated board
    #[arg(long, value_enum, default_value = "mps2-an505")]
    board: Board,

    /// A folder with boot, secure.bin and nonsecure.bin [default: built from the source tree]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
}

/// The boards, by QEMU's names.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Board {
    /// One Cortex-M33 with a floating-point unit
    #[value(name = "mps2-an505")]
    An505,
    /// Two Cortex-M33, the second one held
    #[value(name = "mps2-an521")]
    An521,
}

impl Board {
    fn name(self) -> &'static str {
        match self {
            Board::An505 => "mps2-an505",
            Board::An521 => "mps2-an521",
        }
    }
}

impl Command {
    /// Runs the command and shows what came of it.
    pub fn run(self, json: bool) -> ExitCode {
        match self {
            Command::Demo(options) => conclude_quietly(demo::demo(&options, json), json),
            Command::Run(options) => conclude_quietly(demo::run(&options, json), json),
        }
    }
}
