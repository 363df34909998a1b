//! Recovery over the console: a release that every rule of an update admits, but for the order.

use boot::{Ecdsa, Source, install};
use mps2::{Board, Console, Watchdog};
use ringfort_cose::Reason;
use slots::Store;

#[cfg(not(feature = "test-exit"))]
use mps2::receive;
#[cfg(feature = "test-exit")]
use test::receive;

use crate::{Device, Ram, start};

/// Takes releases until one is good, then resets into its trial.
pub fn wait(console: &Console, device: &Device, store: &mut Store<Board>) -> Result<(), Reason> {
    #[cfg(feature = "test-exit")]
    if ![test::WANTED, test::ONCE, test::STAGED].contains(&test::wish()) {
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
                #[cfg(feature = "test-exit")]
                if test::wish() != test::WANTED {
                    start::end(crate::RECOVERS);
                }
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
                if let Some(byte) = receive() {
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

/// Polls without a byte before a transfer counts as broken off: some ten seconds at the board's 20 MHz,
/// before the watchdog speaks up.
const IDLE: u32 = 20_000_000;

/// What a test wishes, by a word behind the blob.
#[cfg(feature = "test-exit")]
mod test {
    use core::ptr::{read_volatile, write_volatile};

    use mps2::map::OTP;

    /// Recovery, for as long as it takes.
    pub const WANTED: u32 = 0x5652_4652;
    /// For one release.
    pub const ONCE: u32 = 0x4f52_4652;
    /// For one, which lies in memory: no time passes between two bytes.
    pub const STAGED: u32 = 0x5352_4652;

    /// Where the next byte lies and how many are left; the bytes follow.
    const STAGE: *mut [u32; 2] = 0x2830_0000 as *mut [u32; 2];

    pub fn wish() -> u32 {
        // SAFETY: memory of the map, behind the blob.
        unsafe { read_volatile((OTP.at + OTP.len) as *const u32) }
    }

    pub fn receive() -> Option<u8> {
        if wish() != STAGED {
            return mps2::receive();
        }
        // SAFETY: non-secure memory that only the test has written.
        unsafe {
            let [at, left] = read_volatile(STAGE);
            let left = left.checked_sub(1)?;
            write_volatile(STAGE, [at + 1, left]);
            Some(read_volatile(at as *const u8))
        }
    }
}
