//! Recovery over the console: a release that every rule of an update admits, but for the order.

use boot::{Ecdsa, Source, install};
use mps2::{Board, Console, Watchdog};
use ringfort_cose::Reason;
use slots::Store;

use crate::{Device, Ram, start};

/// Takes releases until one is good, then resets into its trial.
pub fn wait(console: &Console, device: &Device, store: &mut Store<Board>) -> Result<(), Reason> {
    #[cfg(feature = "test-exit")]
    if !start::recovery_wanted() {
        start::end(crate::RECOVERS);
    }
    loop {
        let taken = install(
            store,
            &mut Line { idle: 0 },
            &device.identity,
            &Ecdsa::new([0; 32]),
            &mut Ram,
            start::scratch(),
        )
        .and_then(|id| store.arm(id));
        console.text("boot: recovery, ");
        match taken {
            Ok(()) => {
                console.text("taken\n");
                start::reset()
            }
            Err(reason) => {
                console.hex(reason.number());
                console.text("\n");
            }
        }
    }
}

/// The console as a source. Each asked-for piece is acknowledged by a `.`, so that no sender has
/// to guess a pace.
struct Line {
    idle: u32,
}

impl Source for Line {
    fn next(&mut self, into: &mut [u8]) -> Result<(), Reason> {
        mps2::send(b'.');
        for byte in into {
            *byte = loop {
                if let Some(byte) = mps2::receive() {
                    Watchdog::arm(crate::BOOT_MS);
                    self.idle = 0;
                    break byte;
                }
                self.idle += 1;
                if self.idle > IDLE {
                    Watchdog::arm(crate::BOOT_MS);
                    return Err(Reason::TransferFailed);
                }
            };
        }
        Ok(())
    }
}

/// Polls without a byte before a transfer counts as broken off.
const IDLE: u32 = 50_000_000;
