//! Carries out the script at 0x28220000: calls of the update service, one after the other, over
//! resets. What each came to is said on UART1.

#![no_std]
#![no_main]
#![allow(unsafe_code)]

#[allow(dead_code)]
mod script;

#[allow(missing_docs, dead_code)]
mod product {
    include!(env!("RINGFORT_NAMES"));
}

use mps2::nonsecure::{load, say, say_number, store};
use product::sid;
use psa::client::{self, InVec, OutVec};
use psa::update::{Info, Updater, kind};
use psa::{Handle, Status};
use script::{PACKAGES, SCRIPT, op};

mps2::nonsecure_start!();

/// Where the script goes on: memory that no image is loaded over, zero at power-on.
const POSITION: u32 = 0x2820_0010;
const UPDATE: Handle = Handle(sid::FIRMWARE_UPDATE_HANDLE as i32);
const ECHO: Handle = Handle(sid::ECHO_NOW_HANDLE as i32);
const ROGUE: Handle = Handle(sid::ROGUE_HANDLE as i32);

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let release = release();
    say("app: release ");
    say_number(release);
    say("\n");
    loop {
        let at = SCRIPT + load(POSITION) * 12;
        let (operation, a, b) = (load(at), load(at + 4), load(at + 8));
        store(POSITION, load(POSITION) + 1);
        if operation == op::END {
            end(0x40 + release);
        }
        let status = carry_out(operation, a, b);
        say("op ");
        say_number(operation);
        say_number(status.0.cast_unsigned());
        show();
    }
}

/// The end of a run: of the emulator, where the build lets it.
fn end(code: u32) -> ! {
    say("end\n");
    #[cfg(feature = "semihosting")]
    mps2::semihosting::exit(code);
    #[cfg(not(feature = "semihosting"))]
    {
        let _ = code;
        loop {
            core::hint::spin_loop();
        }
    }
}

fn carry_out(operation: u32, a: u32, b: u32) -> Status {
    let updater = Updater(UPDATE);
    let status = |done: Result<(), Status>| done.err().unwrap_or(Status::SUCCESS);
    match operation {
        op::QUERY => Status::SUCCESS,
        op::START => status(updater.start(manifest(a))),
        op::WRITE => write(a, b as usize),
        op::WRITE_AT => {
            let block = [0x5a; 8192];
            status(updater.write(a, block.get(..b as usize).unwrap_or(&block)))
        }
        op::FINISH => status(updater.finish()),
        op::CANCEL => status(updater.cancel()),
        op::CLEAN => status(updater.clean()),
        op::INSTALL => updater.install().unwrap_or_else(|status| status),
        op::REBOOT => status(updater.request_reboot()),
        op::REJECT => updater.reject(a.cast_signed()).unwrap_or_else(|status| status),
        op::ACCEPT => status(updater.accept()),
        op::ANCHORS => status(updater.turn_anchors(manifest(a))),
        op::CHALLENGE => match updater.challenge() {
            Ok(nonce) => {
                say("nonce ");
                nonce.as_chunks::<4>().0.iter().for_each(|word| {
                    say_number(u32::from_be_bytes(*word));
                });
                say("\n");
                Status::SUCCESS
            }
            Err(status) => status,
        },
        op::SICKEN => client::call(ECHO, 8, &[], &mut []),
        op::CRASH => {
            client::call(ROGUE, 8, &[InVec::new(&[0; 4])], &mut []);
            Status::SUCCESS
        }
        op::HANG => loop {
            // SAFETY: waits; no interrupt of this side is open.
            unsafe { core::arch::asm!("wfi") };
        },
        op::RAW => {
            // Vectors as they should not be: `b` bytes in and 4 out.
            let bytes = [0xff; 4096];
            let mut room = [0; 4];
            let first = bytes.get(..b as usize).unwrap_or(&bytes);
            let ins = [InVec::new(first), InVec::new(&bytes)];
            client::call(UPDATE, a.cast_signed(), &ins, &mut [OutVec::new(&mut room)])
        }
        op::CALL => {
            let mut answer = [0; 16];
            let ins = [InVec::new(b"sixteen bytes...")];
            let status = client::call(ECHO, 0, &ins, &mut [OutVec::new(&mut answer)]);
            say("answer ");
            say(core::str::from_utf8(&answer).unwrap_or_default());
            say("\n");
            status
        }
        op::READ => {
            load(a);
            say("went on\n");
            Status::SUCCESS
        }
        op::COMPONENT => {
            let mut bytes = [0; Info::BYTES];
            let ins = [InVec::new(&[1, 0, 0, 0])];
            client::call(UPDATE, kind::QUERY, &ins, &mut [OutVec::new(&mut bytes)])
        }
        _ => Status::NOT_SUPPORTED,
    }
}

/// Writes the first `len` bytes of a package's image.
fn write(package: u32, len: usize) -> Status {
    let image = image(package);
    let image = image.get(..len.min(image.len())).unwrap_or_default();
    for (index, block) in image.chunks(psa::update::MAX_WRITE_SIZE).enumerate() {
        let offset = (index * psa::update::MAX_WRITE_SIZE) as u32;
        if let Err(status) = Updater(UPDATE).write(offset, block) {
            return status;
        }
    }
    Status::SUCCESS
}

fn show() {
    match Updater(UPDATE).query() {
        Ok(info) => {
            say_number(u32::from(info.state));
            say_number(info.error.cast_unsigned());
            say_number(info.version.build);
            say_number(info.attempts);
            say_number(info.written);
            say(info.reason());
        }
        Err(status) => say_number(status.0.cast_unsigned()),
    }
    say("\n");
}

fn manifest(package: u32) -> &'static [u8] {
    let at = PACKAGES + package * 16;
    bytes(load(at), load(at + 4))
}

fn image(package: u32) -> &'static [u8] {
    let at = PACKAGES + package * 16;
    bytes(load(at + 8), load(at + 12))
}

fn bytes(at: u32, len: u32) -> &'static [u8] {
    // SAFETY: memory that the runner has filled and nobody writes.
    unsafe { core::slice::from_raw_parts(at as *const u8, len as usize) }
}

/// The number that stands behind the image of this release.
fn release() -> u32 {
    unsafe extern "C" {
        static __image_end: u32;
    }
    load((&raw const __image_end) as u32)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    say("panic\n");
    end(8)
}
