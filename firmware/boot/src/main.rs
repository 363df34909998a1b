//! The image: reset, the flow, and the hand-off. The judgement itself is in the library.

#![no_std]
#![no_main]
#![allow(unsafe_code)]
// A remainder is shorter code than the call, and a loop that waits for a reset is no waste.
#![allow(clippy::manual_is_multiple_of, clippy::empty_loop)]

mod log;
mod memory;
#[cfg(feature = "recovery")]
mod recovery;
mod start;

use core::hint::black_box;

use boot::{
    Ecdsa, Facts, HANDOFF_MAGIC, Handoff, Identity, Image, Keys, Memory, OTP_BYTES, Otp, Part,
    SlotHeader, entry, examine,
};
use mps2::map::{self, LAYOUT};
use mps2::{Board, Console, Watchdog, stands_above};
use ringfort_cose::{Reason, Sha256Digest};
use ringfort_suit::Outline;
use ringfort_trust::Pinned;
use slots::{Area, Candidate, Check, Choice, Pin, Sha256, SlotId, State, Store, choose};

/// The whole of a boot.
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    Watchdog::arm(BOOT_MS);
    let console = Console::open();
    let boot_digest = Sha256::digest(start::memory(start::boot_image()));
    let (device, keys) = match identity(&boot_digest) {
        Ok(done) => done,
        Err(reason) => {
            start::scrub_stack();
            stop(&console, reason)
        }
    };
    // Whatever was derived left copies below this frame.
    start::scrub_stack();
    if let Err(reason) = run(&console, &device, keys, &boot_digest) {
        stop(&console, reason);
    }
    stop(&console, Reason::Internal);
}

/// What is known of the device once its secret is gone.
struct Device {
    identity: Identity,
    fleet: [u8; 16],
    lifecycle: u32,
    anchors_digest: [u8; 32],
    anchors_len: u32,
}

/// Reads the blob, derives, wipes.
#[inline(never)]
fn identity(boot_digest: &[u8; 32]) -> Result<(Device, Keys), Reason> {
    let mut blob = [0; OTP_BYTES];
    for (to, from) in blob.iter_mut().zip(start::memory(map::OTP)) {
        *to = *from;
    }
    start::wipe(map::OTP);
    // Where it lies: moving it would make copies of the secret.
    let mut otp = Otp::parse(&blob);
    let otp = otp.as_mut().map_err(|reason| *reason)?;
    let permitted = otp.lifecycle.permits_boot();
    let keys = permitted.map(|()| otp.derive(boot_digest));
    // A device that may not boot keeps its secret to itself too.
    start::forget(&mut blob);
    start::forget(&mut otp.secret);
    let keys = keys?;
    let device = Device {
        identity: otp.identity,
        fleet: otp.fleet,
        lifecycle: otp.lifecycle.0,
        anchors_digest: otp.anchors_digest,
        anchors_len: otp.anchors_len,
    };
    Ok((device, keys))
}

/// Everything after the secret is gone.
#[inline(never)]
fn run(console: &Console, device: &Device, keys: Keys, boot: &[u8; 32]) -> Result<(), Reason> {
    let mut store = Store::mount(Board::new(keys.record));
    if matches!(store, Err(Reason::NotFound)) {
        store = first_start(device, &keys.record);
    }
    let store = store.as_mut().map_err(|reason| *reason)?;
    let mut judge = Judge { identity: &device.identity, found: None };
    match choose(store, &mut judge)? {
        Choice::Run { id, revoked, .. } => {
            let found = judge.found.as_ref().ok_or(Reason::Internal)?;
            let state = *store.state();
            start_image(console, device, &keys, boot, store, &state, (id, revoked), found)
        }
        Choice::Recover(reason) => recover(console, device, store, reason),
    }
}

/// A device with no record: its counter was never moved, and the anchors that its fuses name lie
/// in the anchors area. The image that the factory wrote gets its trial.
#[inline(never)]
fn first_start(device: &Device, record_key: &[u8; 32]) -> Result<Store<Board>, Reason> {
    // The store asks the counter too, by other code.
    if stands_above(0) != 0 {
        return Err(Reason::LifecycleForbids);
    }
    let mut made = Store::adopt_anchors(
        Board::new(*record_key),
        device.anchors_len,
        &device.anchors_digest,
        start::scratch(),
    );
    if let Ok(store) = &mut made {
        factory_image(store, &device.identity)?;
    }
    made
}

/// Gives the factory's image its trial, if there is a good one.
fn factory_image(store: &mut Store<Board>, identity: &Identity) -> Result<(), Reason> {
    let area = *SlotId::A.of(&LAYOUT.slots);
    let pin = factory_pin(store, area);
    let Ok(pin) = &pin else { return Ok(()) };
    let adopted = store.adopt(&Candidate { pin: *pin, len: 0 }, |board, _| {
        let verifier = Ecdsa::new(pin.digest);
        let scratch = start::scratch();
        examine(board, area, pin, identity, &verifier, &mut Ram, scratch).map(drop)
    });
    adopted.map_or(Ok(()), |id| store.arm(id))
}

/// What the record of the factory's image will bind: read, not believed.
fn factory_pin(store: &mut Store<Board>, area: Area) -> Result<Pin, Reason> {
    let state = *store.state();
    let header = SlotHeader::read(store.hardware(), area)?;
    let scratch = start::scratch();
    let envelope = scratch.get_mut(..header.envelope as usize).ok_or(Reason::TooLarge)?;
    slots::Flash::read(store.hardware(), area.at + SlotHeader::LEN as u32, envelope)?;
    let outline = Outline::read(envelope, &Ecdsa::new([0; 32]));
    let outline = outline.as_ref().map_err(|reason| *reason)?;
    Ok(Pin {
        sequence: outline.sequence_number,
        digest: outline.manifest_digest.0,
        anchors_version: state.anchors.version,
        anchors_digest: state.anchors.digest,
    })
}

/// The first judgement, as the slots ask for it.
struct Judge<'d> {
    identity: &'d Identity,
    found: Option<(Image, Ecdsa)>,
}

impl Check<Board> for Judge<'_> {
    fn check(&mut self, board: &mut Board, state: &State, id: SlotId) -> Result<(), Reason> {
        let pin = state.slot(id).pin;
        let verifier = Ecdsa::new(pin.digest);
        let area = *id.of(&LAYOUT.slots);
        let scratch = start::scratch();
        let image = examine(board, area, &pin, self.identity, &verifier, &mut Ram, scratch)?;
        self.found = Some((image, verifier));
        Ok(())
    }

    fn is_revoked(&mut self, board: &mut Board, state: &State, digest: &[u8; 32]) -> bool {
        let pin = state.anchors;
        let area = pin.area.of(&LAYOUT.anchors);
        // Whoever makes the list unreadable gains nothing by it.
        let Some(scratch) = start::scratch().get_mut(..pin.len as usize) else { return true };
        let unlisted = slots::Flash::read(board, area.at, scratch).is_ok()
            && Pinned::open(scratch, &pin.digest, &Ecdsa::new([0; 32]))
                .is_ok_and(|anchors| !anchors.is_revoked(&Sha256Digest(*digest)));
        !unlisted
    }
}

/// The destinations: components are copied there, hashed there, and run there.
struct Ram;

impl Memory<Board> for Ram {
    #[inline(never)]
    fn load(
        &mut self,
        board: &mut Board,
        part: Part,
        at: u32,
        size: u32,
    ) -> Result<[u8; 32], Reason> {
        // The largest image takes longer than the watchdog allows for a boot.
        Watchdog::arm(BOOT_MS);
        let room = destination(part);
        if size > room.len {
            return Err(Reason::ImageSize);
        }
        let place = start::memory_mut(Area { at: room.at, len: size });
        slots::Flash::read(board, at, place)?;
        Ok(Sha256::digest(place))
    }
}

fn destination(part: Part) -> Area {
    match part {
        Part::Secure => map::SECURE,
        Part::Nonsecure => map::NONSECURE,
    }
}

/// The second judgement, the record of this boot, and the jump.
#[inline(never)]
#[allow(clippy::too_many_arguments)]
fn start_image(
    console: &Console,
    device: &Device,
    keys: &Keys,
    boot: &[u8; 32],
    store: &mut Store<Board>,
    state: &State,
    (id, revoked): (SlotId, bool),
    (image, verifier): &(Image, Ecdsa),
) -> ! {
    let slot = state.slot(id);
    let trial = state.active != Some(id);
    let mut measured = [[0; 32]; 2];
    for ((to, part), size) in measured.iter_mut().zip(&Part::ALL).zip(&image.sizes) {
        Watchdog::arm(BOOT_MS);
        *to = Sha256::digest(start::memory(Area { at: destination(*part).at, len: *size }));
    }
    let [from, to] = image.anchors;
    let anchors = start::scratch().get(from as usize..to as usize).unwrap_or_default();
    let anchors = Sha256::digest(anchors);
    let handoff = black_box(start::handoff());
    *handoff = Handoff {
        magic: HANDOFF_MAGIC,
        slot: u32::from(id == SlotId::B),
        trial: u32::from(trial),
        attempts: slot.attempts,
        reason: state.slot(id.other()).reason,
        lifecycle: device.lifecycle,
        boots: 0,
        stack: start::stack_used(),
        sequence: slot.pin.sequence,
        manifest: slot.pin.digest,
        measured,
        boot: *boot,
        anchors: slot.pin.anchors_digest,
        fleet: device.fleet,
        identity: device.identity,
        record_key: keys.record,
        #[cfg(feature = "dice")]
        cdi_id: keys.cdi_id,
        #[cfg(feature = "dice")]
        cdi_seal: keys.cdi_seal,
        #[cfg(not(feature = "dice"))]
        cdi_id: [0; 32],
        #[cfg(not(feature = "dice"))]
        cdi_seal: [0; 32],
        revoked: u32::from(revoked),
    };
    handoff.boots = log::append(store.hardware(), handoff);
    console.text("boot: slot ");
    console.hex(handoff.slot);
    console.text("\n");
    start::wipe(map::SCRATCH);
    let outdated = stands_above(state.counter);
    #[cfg(not(feature = "planted-single"))]
    let address = entry(
        map::SECURE.at,
        &Facts {
            state,
            outdated,
            id,
            budget: LAYOUT.budget,
            image,
            measured: &measured,
            anchors: &anchors,
            verifier,
            identity: &device.identity,
        },
    );
    #[cfg(feature = "planted-single")]
    let address = {
        let _ = (outdated, anchors, verifier, entry as fn(u32, &Facts<'_>) -> u32);
        map::SECURE.at
    };
    // Where nothing is, this boot ends here, and the watchdog still runs.
    start::probe(address);
    if trial {
        Watchdog::arm(TRIAL_MS);
    } else {
        Watchdog::disarm();
    }
    // SAFETY: the second judgement gave this address: the vector table of the image, or an
    // address where nothing is.
    unsafe { start::jump(address) }
}

#[inline(never)]
fn recover(
    console: &Console,
    device: &Device,
    store: &mut Store<Board>,
    reason: Reason,
) -> Result<(), Reason> {
    console.text("boot: recovery, ");
    console.hex(reason.number());
    console.text("\n");
    #[cfg(feature = "recovery")]
    return recovery::wait(console, device, store);
    #[cfg(not(feature = "recovery"))]
    {
        let _ = (device, store);
        Err(reason)
    }
}

/// Nothing can boot, and the console says why. The watchdog resets after a while: a cause that
/// passes leaves no device behind.
fn stop(console: &Console, reason: Reason) -> ! {
    console.text("boot: stopped, ");
    console.hex(reason.number());
    console.text("\n");
    start::end(STOPPED)
}

/// Milliseconds until the watchdog speaks up in boot itself.
const BOOT_MS: u32 = 20_000;
/// Milliseconds that an image on trial has, until it feeds the watchdog itself.
const TRIAL_MS: u32 = 5_000;
/// Exit code of a test build that stopped.
const STOPPED: u32 = 0x30;
/// Exit code of a test build that waits for recovery.
#[cfg(all(feature = "recovery", feature = "test-exit"))]
const RECOVERS: u32 = 0x31;
