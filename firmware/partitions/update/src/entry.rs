//! Messages, health checks, watchdog: the partition on the target.
//!
//! Unsafe code: the hand-off and the statics, all this partition's alone.

#![allow(unsafe_code)]

use core::mem::MaybeUninit;

use boot::{HANDOFF_MAGIC, Handoff};
use mps2::map::{HANDOFF, ORDERS};
use mps2::{Board, Watchdog};
use psa::service::{self, HEALTH, Message};
use psa::update::{Info, Version, kind};
use psa::{Handle, Status, client};
use ringfort_cose::Reason;
use slots::{SlotId, hmac};

use crate::device::{Device, Facts, MAX_WRITE, ORDER_AT, SCRATCH, State};
use crate::refused::Refused;

#[allow(missing_docs, dead_code)]
mod product {
    include!(env!("RINGFORT_NAMES"));
}
use product::update::{FIRMWARE_UPDATE_SIGNAL, HEALTH as CHECKS, TRIAL_MS};

#[unsafe(no_mangle)]
extern "C" fn partition_main() -> ! {
    static mut SERVICE: MaybeUninit<Service> = MaybeUninit::uninit();
    static mut SCRATCH_MEMORY: [u8; SCRATCH] = [0; SCRATCH];
    let (service, scratch) = (&raw mut SERVICE, &raw mut SCRATCH_MEMORY);
    // SAFETY: the only uses, and this runs once in a life of the partition.
    let (service, scratch) = unsafe { (&mut *service, &mut *scratch) };
    let service = service.write(Service::new(scratch));
    service.open();
    loop {
        service::wait(FIRMWARE_UPDATE_SIGNAL);
        if let Ok(message) = service::get(FIRMWARE_UPDATE_SIGNAL) {
            let status = service.serve(&message);
            message.reply(status);
        }
    }
}

struct Service {
    device: Option<Device<Board>>,
    scratch: &'static mut [u8; SCRATCH],
    /// Why the last call was refused.
    reason: Option<Reason>,
    /// Failures of partitions and of the application before this start.
    failures: u32,
    /// The running release's sequence number.
    sequence: u64,
    /// The slot that runs: 0 or 1.
    slot: u32,
}

/// What one call came to.
type Done = Result<Status, Refused>;

impl Service {
    fn new(scratch: &'static mut [u8; SCRATCH]) -> Self {
        Self { device: None, scratch, reason: None, failures: 0, sequence: 0, slot: 0 }
    }

    #[inline(never)]
    fn open(&mut self) {
        // SAFETY: memory that boot has filled and only this partition reads. Not a volatile read: of
        // a structure, that is one instruction for each byte.
        let handoff = unsafe { &*(HANDOFF.at as *const Handoff) };
        let [.., failures] = client::last_failure();
        self.failures = failures;
        self.sequence = handoff.sequence;
        self.slot = handoff.slot;
        if handoff.magic != HANDOFF_MAGIC {
            // Started without the boot loader: there is no record key, and nothing to update.
            return;
        }
        let is_trial = handoff.trial == 1;
        if is_trial {
            // Boot has left ten seconds. From here on it is the trial's own time.
            Watchdog::arm(TRIAL_MS);
        }
        let boots = handoff.boots.to_le_bytes();
        let facts = Facts {
            identity: handoff.identity,
            slot: if handoff.slot == 0 { SlotId::A } else { SlotId::B },
            trial: is_trial,
            nonce_seed: hmac(&handoff.record_key, &[b"ringfort/nonce/1", &boots]),
            orders: ORDERS,
        };
        match Device::open(Board::new(handoff.record_key), facts) {
            Ok(device) => self.device = Some(device),
            Err(reason) => say("no records", reason),
        }
    }

    fn serve(&mut self, message: &Message) -> Status {
        if message.kind == kind::QUERY {
            return self.query(message).unwrap_or_else(|refused| refused.status);
        }
        match self.dispatch(message) {
            Ok(status) => {
                self.reason = None;
                status
            }
            Err(refused) => {
                say("refused", refused.reason);
                self.reason = Some(refused.reason);
                refused.status
            }
        }
    }

    #[inline(never)]
    fn dispatch(&mut self, message: &Message) -> Done {
        let [component, offset] = words(message)?;
        let Some(device) = self.device.as_mut().filter(|_| names_one(message, component)) else {
            return Ok(Status::DOES_NOT_EXIST);
        };
        match message.kind {
            kind::START => {
                let [_, size, ..] = message.in_size;
                let mut head = [0; 4];
                if message.read(1, &mut head) != 4 {
                    return Err(Refused::ARGUMENT);
                }
                // The order stands behind the room for envelope and anchors.
                let (first, order) = self.scratch.split_at_mut(ORDER_AT);
                let order = order
                    .get_mut(..u32::from_le_bytes(head) as usize)
                    .ok_or(Refused::from(Reason::TooLarge))?;
                let read = message.read(1, order);
                let left = (size as usize).saturating_sub(4 + read);
                let envelope = first.get_mut(..left).ok_or(Refused::from(Reason::TooLarge))?;
                if read != order.len() || message.read(1, envelope) != left {
                    return Err(Refused::ARGUMENT);
                }
                device.start(order, left as u32, first)?;
            }
            kind::WRITE => {
                let [_, size, ..] = message.in_size;
                let block = self.scratch.get_mut(..size as usize).ok_or(Refused::ARGUMENT)?;
                if block.len() > MAX_WRITE || message.read(1, block) != block.len() {
                    return Err(Refused::ARGUMENT);
                }
                device.write(offset, block)?;
            }
            kind::FINISH => device.finish(self.scratch)?,
            kind::CANCEL => device.cancel()?,
            kind::CLEAN => device.clean()?,
            kind::INSTALL => {
                device.install(self.scratch)?;
                return Ok(Status::SUCCESS_REBOOT);
            }
            kind::REBOOT => {
                if !device.may_reboot() {
                    return Err(Refused { status: Status::NOT_PERMITTED, ..Refused::STATE });
                }
                service::print("reboots");
                service::reset();
            }
            kind::REJECT => {
                let reboots = device.reject(component.cast_signed())?;
                service::print("rejected");
                if reboots {
                    return Ok(Status::SUCCESS_REBOOT);
                }
            }
            kind::ACCEPT => {
                let is_healthy = device.state() != State::Trial || healthy(self.failures);
                device.accept(is_healthy)?;
                Watchdog::disarm();
                service::print("confirmed");
            }
            kind::CHALLENGE => {
                let nonce = device.challenge();
                return Ok(give(message, &nonce.0));
            }
            kind::ANCHORS => {
                let [_, size, ..] = message.in_size;
                let next = self.scratch.get_mut(device.anchors_len()..).unwrap_or_default();
                let next = next.get_mut(..size as usize).ok_or(Refused::from(Reason::TooLarge))?;
                if message.read(1, next) != next.len() {
                    return Err(Refused::ARGUMENT);
                }
                device.turn_anchors(size as usize, self.scratch)?;
            }
            _ => return Ok(Status::NOT_SUPPORTED),
        }
        Ok(Status::SUCCESS)
    }

    /// Asking changes nothing: the reason of the last refusal stays.
    #[inline(never)]
    fn query(&mut self, message: &Message) -> Done {
        let [component, _] = words(message)?;
        let Some(device) = self.device.as_mut().filter(|_| names_one(message, component)) else {
            return Ok(Status::DOES_NOT_EXIST);
        };
        let failure = device.failure();
        let reason = self.reason.or(failure.map(|refused| refused.reason));
        let (written, _) = device.progress();
        let mut info = Info {
            state: device.state() as u8,
            error: failure.map_or(Status::SUCCESS, |refused| refused.status).0,
            version: Version { build: self.sequence as u32, ..Version::default() },
            max_size: device.room(),
            location: self.slot,
            attempts: device.attempts(),
            written,
            ..Info::default()
        };
        let code = reason.map_or("", Reason::code);
        for (to, from) in info.reason.iter_mut().zip(code.bytes()) {
            *to = from;
        }
        Ok(give(message, &info.to_bytes()))
    }
}

/// The first two words of a call: the component or an argument, and an offset.
fn words(message: &Message) -> Result<[u32; 2], Refused> {
    let mut first = [0; 8];
    let [given, ..] = message.in_size;
    message.read(0, &mut first);
    if !matches!(given, 0 | 4 | 8) {
        return Err(Refused::ARGUMENT);
    }
    let (words, _) = first.as_chunks::<4>();
    let [component, offset] = words else { return Err(Refused::ARGUMENT) };
    Ok([component, offset].map(|word| u32::from_le_bytes(*word)))
}

/// Whether the call is not about another component than the one that there is.
fn names_one(message: &Message, component: u32) -> bool {
    let names = matches!(
        message.kind,
        kind::QUERY | kind::START | kind::WRITE | kind::FINISH | kind::CANCEL | kind::CLEAN
    );
    !names || component == 0
}

/// Writes the answer, if there is room: a partition that writes more than that has failed.
fn give(message: &Message, bytes: &[u8]) -> Status {
    let [room, ..] = message.out_size;
    if (room as usize) < bytes.len() {
        return Status::BUFFER_TOO_SMALL;
    }
    message.write(0, bytes);
    Status::SUCCESS
}

/// Whether every declared check holds, and nobody has failed since the start.
fn healthy(before: u32) -> bool {
    let [.., failures] = client::last_failure();
    let answers = |handle: &u32| {
        let status = client::call(Handle(handle.cast_signed()), HEALTH, &[], &mut []);
        status == Status::SUCCESS
    };
    let all = CHECKS.iter().all(answers);
    if !all {
        service::print("a health check failed");
    }
    if failures != before {
        service::print("a partition or the application failed during the trial");
    }
    all && failures == before
}

/// A line on the secure console.
#[inline(never)]
fn say(what: &str, reason: Reason) {
    let mut line = [b' '; 64];
    let bytes = what.bytes().chain([b' ']).chain(reason.code().bytes());
    let mut len = 0;
    for (to, from) in line.iter_mut().zip(bytes) {
        *to = from;
        len += 1;
    }
    let text = line.get(..len).and_then(|line| core::str::from_utf8(line).ok());
    service::print(text.unwrap_or_default());
}
