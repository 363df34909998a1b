//! The C interface: `include/ringfort_device.h` in Rust. A test compares the two.
//!
//! This is the only file with `unsafe`. Each block rests on what the header asks of its caller:
//! pointers are what they say, a device is used by one thread at a time, and the memory of a device
//! is written by these functions only.
#![allow(unsafe_code, missing_docs)]

use core::ffi::{c_char, c_void};
use core::mem::{MaybeUninit, align_of, size_of};
use core::slice;

use ringfort_cose::{Reason, Sha256Digest};
use ringfort_device::{Identity, Settings, Slot};
use ringfort_messages::{Protection, StoreKind};
use ringfort_trust::ids::{ClassId, DeviceId, Ueid, UnixTime, VendorId};

use crate::certificate_request::certificate_request;
use crate::host::{Host, Provisioning};
use crate::port::{Answer, Area, Destroy, Failure, Geometry, Method, Port, Request, Severity};

/// The version of this interface.
pub const RINGFORT_ABI: u32 = 1;
/// Bytes of a device.
pub const RINGFORT_DEVICE_SIZE: usize = 32 * 1024;
/// Bytes of a certificate request at most.
pub const RINGFORT_REQUEST_MAX: usize = crate::certificate_request::MAX_LEN;
/// No slot.
pub const RINGFORT_SLOT_NONE: u32 = 2;

/// Memory for a device.
#[repr(C, align(8))]
pub struct RingfortDevice {
    memory: [MaybeUninit<u8>; RINGFORT_DEVICE_SIZE],
}

/// What lies in it after a successful start.
struct Started {
    mark: u32,
    host: Host<CPort>,
}

const _: () = assert!(size_of::<Started>() <= RINGFORT_DEVICE_SIZE);
const _: () = assert!(align_of::<Started>() <= align_of::<RingfortDevice>());

#[repr(C)]
#[derive(Clone, Copy)]
pub struct RingfortPort {
    pub abi: u32,
    pub areas: [Geometry; 4],
    pub context: *mut c_void,
    pub flash_read: Option<extern "C" fn(*mut c_void, u32, u32, *mut u8, u32) -> i32>,
    pub flash_erase: Option<extern "C" fn(*mut c_void, u32, u32, u32) -> i32>,
    pub flash_program: Option<extern "C" fn(*mut c_void, u32, u32, *const u8, u32) -> i32>,
    pub random: Option<extern "C" fn(*mut c_void, *mut u8, u32) -> i32>,
    pub sign: Option<extern "C" fn(*mut c_void, *const u8, u32, *mut u8) -> i32>,
    pub exchange: Option<
        extern "C" fn(
            *mut c_void,
            *const RingfortRequest,
            *mut u8,
            u32,
            *mut RingfortAnswer,
        ) -> i32,
    >,
    pub activate: Option<extern "C" fn(*mut c_void, u32) -> i32>,
    pub confirm: Option<extern "C" fn(*mut c_void, u32) -> i32>,
    pub current: Option<extern "C" fn(*mut c_void) -> i32>,
    pub destroy: Option<extern "C" fn(*mut c_void, u32) -> i32>,
    pub reboot: Option<extern "C" fn(*mut c_void)>,
    pub uptime_seconds: Option<extern "C" fn(*mut c_void) -> u64>,
    pub log: Option<extern "C" fn(*mut c_void, u32, *const c_char)>,
}

#[repr(C)]
pub struct RingfortRequest {
    pub method: u32,
    pub has_range: u32,
    pub range_first: u32,
    pub range_last: u32,
    pub hub: *const c_char,
    pub path: *const c_char,
    pub body: *const u8,
    pub body_length: u32,
}

#[repr(C)]
#[derive(Default)]
pub struct RingfortAnswer {
    pub status: u32,
    pub length: u32,
}

#[repr(C)]
pub struct RingfortIdentity {
    pub device: *const c_char,
    pub ueid: [u8; 17],
    pub vendor: [u8; 16],
    pub class_id: [u8; 16],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct RingfortSettings {
    pub built: u64,
    pub trial_attempts: u32,
    pub key_store: u32,
    pub hardware_keys: u32,
}

#[repr(C)]
pub struct RingfortStatus {
    pub condition: i32,
    pub update: u32,
    pub active_slot: u32,
    pub interval_seconds: u32,
    pub time: u64,
    pub anchors: u64,
    pub floor: u64,
    pub order: u64,
    pub reason: [c_char; 32],
}

/// Writes a new device into flash.
///
/// # Safety
/// As the header says: the pointers are valid, `anchors` for `anchors_length` bytes, `digest` for 32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_provision(
    port: *const RingfortPort,
    identity: *const RingfortIdentity,
    anchors: *const u8,
    anchors_length: u32,
    digest: *const u8,
) -> i32 {
    let provision = || -> Result<(), Failure> {
        // SAFETY: the caller's pointers, checked for null.
        let (identity, anchors, digest) = unsafe {
            (
                identity.as_ref().ok_or(Failure::Argument)?,
                bytes(anchors, anchors_length)?,
                bytes(digest, 32)?,
            )
        };
        // SAFETY: a C string, by the header.
        let name = unsafe { text(identity.device) }?;
        let new = Provisioning {
            identity: Identity {
                device: DeviceId::new(name).map_err(|_| Failure::Argument)?,
                ueid: Ueid::from_bytes(&identity.ueid).map_err(|_| Failure::Argument)?,
                vendor: VendorId(identity.vendor),
                class: ClassId(identity.class_id),
            },
            anchors,
            anchors_digest: Sha256Digest(digest.try_into().map_err(|_| Failure::Argument)?),
        };
        // SAFETY: the caller's pointer.
        Host::provision(&mut unsafe { CPort::new(port) }?, &new)
    };
    code(provision().map(|()| 0))
}

/// Takes up what flash holds.
///
/// # Safety
/// As the header says: `device` points to memory of that size and alignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_start(
    device: *mut RingfortDevice,
    port: *const RingfortPort,
    settings: *const RingfortSettings,
) -> i32 {
    let start = || -> Result<i32, Failure> {
        if device.is_null() || !device.is_aligned() {
            return Err(Failure::Argument);
        }
        let place = device.cast::<Started>();
        // SAFETY: not null, aligned, large enough by the assertions above. Until the start has
        // succeeded there is nothing in it.
        unsafe { (&raw mut (*place).mark).write(0) };
        // SAFETY: the caller's pointers.
        let (settings, port) =
            unsafe { (*settings.as_ref().ok_or(Failure::Argument)?, CPort::new(port)?) };
        let store = usize::try_from(settings.key_store).ok().and_then(|n| n.checked_sub(1));
        let store = store.and_then(|n| StoreKind::ALL.get(n)).ok_or(Failure::Argument)?;
        let attempts = u8::try_from(settings.trial_attempts).map_err(|_| Failure::Argument)?;
        let host = Host::start(
            port,
            Settings {
                built: UnixTime(settings.built),
                trial_attempts: attempts,
                debug_unlock: false,
            },
            Protection {
                store: *store,
                hardware_keys: settings.hardware_keys != 0,
                hardware_counter: false,
            },
        )?;
        let condition = host.condition() as i32;
        // SAFETY: as above. What a start before this one left needs no dropping.
        unsafe { place.write(Started { mark: MARK, host }) };
        Ok(condition)
    };
    code(start())
}

/// Asks the hub and does what follows.
///
/// # Safety
/// As the header says: a device that was started, used by one thread at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_poll(device: *mut RingfortDevice) -> i32 {
    // SAFETY: the caller's pointer.
    let host = unsafe { started(device) };
    code(host.and_then(|host| host.poll().map(|condition| condition as i32)))
}

/// Says whether the image on trial is well.
///
/// # Safety
/// As [`ringfort_poll`]; `failed` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_health(
    device: *mut RingfortDevice,
    failed: *const c_char,
) -> i32 {
    let health = || -> Result<i32, Failure> {
        // SAFETY: the caller's pointers.
        let host = unsafe { started(device) }?;
        let failed = match failed.is_null() {
            true => None,
            // SAFETY: a C string, by the header.
            false => Some(unsafe { text(failed) }?),
        };
        host.health(failed).map(|condition| condition as i32)
    };
    code(health())
}

/// Shows how things are.
///
/// # Safety
/// As [`ringfort_poll`]; `status` is valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_get_status(
    device: *mut RingfortDevice,
    status: *mut RingfortStatus,
) -> i32 {
    let show = || -> Result<i32, Failure> {
        // SAFETY: the caller's pointers.
        let (host, out) = unsafe { (started(device)?, status.as_mut().ok_or(Failure::Argument)?) };
        let time = host.time()?.0;
        let record = host.device().record();
        let update = host.device().update_status();
        let reason = record.update.map_or(record.last.and_then(|last| last.reason), |_| None);
        *out = RingfortStatus {
            condition: host.condition() as i32,
            update: update.map_or(0, |update| update.state.number() as u32),
            active_slot: number(record.active),
            interval_seconds: host.interval_seconds(),
            time,
            anchors: record.anchors.version.0,
            floor: record.floor.map_or(0, |floor| floor.sequence.0),
            order: update.map_or(0, |update| update.order.0),
            reason: c_text(reason.map_or("", Reason::code)),
        };
        Ok(0)
    };
    code(show())
}

/// Copies the hub's address.
///
/// # Safety
/// As [`ringfort_poll`]; `out` is valid for `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_get_hub(
    device: *mut RingfortDevice,
    out: *mut c_char,
    capacity: u32,
) -> i32 {
    let copy = || -> Result<i32, Failure> {
        // SAFETY: the caller's pointers.
        let (host, out) = unsafe { (started(device)?, bytes_mut(out.cast(), capacity)?) };
        copy_text(host.hub()?, out)
    };
    code(copy())
}

/// Copies the spare address; an empty text where there is none.
///
/// # Safety
/// As [`ringfort_get_hub`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_get_spare(
    device: *mut RingfortDevice,
    out: *mut c_char,
    capacity: u32,
) -> i32 {
    let copy = || -> Result<i32, Failure> {
        // SAFETY: the caller's pointers.
        let (host, out) = unsafe { (started(device)?, bytes_mut(out.cast(), capacity)?) };
        copy_text(host.spare()?.unwrap_or_default(), out)
    };
    code(copy())
}

/// Takes the next anchors, wherever they came from.
///
/// # Safety
/// As [`ringfort_poll`]; `document` is valid for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_take_anchors(
    device: *mut RingfortDevice,
    document: *const u8,
    length: u32,
) -> i32 {
    let take = || -> Result<i32, Failure> {
        // SAFETY: the caller's pointers.
        let (host, document) = unsafe { (started(device)?, bytes(document, length)?) };
        host.take_anchors(document).map(|condition| condition as i32)
    };
    code(take())
}

/// Takes an order that came on a medium.
///
/// # Safety
/// As [`ringfort_poll`]; `order` is valid for `order_length` bytes, `command` is null or valid for
/// `command_length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_offline_order(
    device: *mut RingfortDevice,
    order: *const u8,
    order_length: u32,
    command: *const u8,
    command_length: u32,
) -> i32 {
    let take = || -> Result<i32, Failure> {
        // SAFETY: the caller's pointers.
        let (host, order) = unsafe { (started(device)?, bytes(order, order_length)?) };
        let command = match command.is_null() {
            true => None,
            // SAFETY: the caller's pointer.
            false => Some(unsafe { bytes(command, command_length) }?),
        };
        host.offline_order(order, command).map(|condition| condition as i32)
    };
    code(take())
}

/// Copies a Server CA certificate, and says how long it is.
///
/// # Safety
/// As [`ringfort_poll`]; `out` is valid for `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_get_server_ca(
    device: *mut RingfortDevice,
    index: u32,
    out: *mut u8,
    capacity: u32,
) -> i32 {
    let copy = || -> Result<i32, Failure> {
        // SAFETY: the caller's pointers.
        let (host, out) = unsafe { (started(device)?, bytes_mut(out, capacity)?) };
        let der = host.server_ca(index as usize)?;
        out.get_mut(..der.len()).ok_or(Failure::TooLarge)?.copy_from_slice(der);
        Ok(der.len() as i32)
    };
    code(copy())
}

/// Makes a certificate request by the platform's key.
///
/// # Safety
/// As the header says: `public_key` is 65 bytes, `out` is valid for `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringfort_certificate_request(
    port: *const RingfortPort,
    public_key: *const u8,
    out: *mut u8,
    capacity: u32,
) -> i32 {
    let make = || -> Result<i32, Failure> {
        // SAFETY: the caller's pointers.
        let (key, out, port) =
            unsafe { (bytes(public_key, 65)?, bytes_mut(out, capacity)?, CPort::new(port)?) };
        let key = key.try_into().map_err(|_| Failure::Argument)?;
        let length = certificate_request(
            key,
            |message, signature| {
                let done = (port.sign)(
                    port.raw.context,
                    message.as_ptr(),
                    message.len() as u32,
                    signature.as_mut_ptr(),
                );
                failed(done, Failure::Sign)
            },
            out,
        )?;
        Ok(length as i32)
    };
    code(make())
}

/// The version of the interface that this library was built with.
#[unsafe(no_mangle)]
pub extern "C" fn ringfort_abi() -> u32 {
    RINGFORT_ABI
}

/// A panic, which is a defect here: the platform stops.
#[cfg(not(feature = "std"))]
pub(crate) fn panicked() -> ! {
    unsafe extern "C" {
        fn ringfort_panic() -> !;
    }
    // SAFETY: the platform supplies it, and it does not return.
    unsafe { ringfort_panic() }
}

/// A platform of C functions, none of them null.
#[derive(Clone, Copy)]
struct CPort {
    raw: RingfortPort,
    flash_read: extern "C" fn(*mut c_void, u32, u32, *mut u8, u32) -> i32,
    flash_erase: extern "C" fn(*mut c_void, u32, u32, u32) -> i32,
    flash_program: extern "C" fn(*mut c_void, u32, u32, *const u8, u32) -> i32,
    random: extern "C" fn(*mut c_void, *mut u8, u32) -> i32,
    sign: extern "C" fn(*mut c_void, *const u8, u32, *mut u8) -> i32,
    exchange: extern "C" fn(
        *mut c_void,
        *const RingfortRequest,
        *mut u8,
        u32,
        *mut RingfortAnswer,
    ) -> i32,
    activate: extern "C" fn(*mut c_void, u32) -> i32,
    confirm: extern "C" fn(*mut c_void, u32) -> i32,
    current: extern "C" fn(*mut c_void) -> i32,
    destroy: extern "C" fn(*mut c_void, u32) -> i32,
    reboot: extern "C" fn(*mut c_void),
    uptime_seconds: extern "C" fn(*mut c_void) -> u64,
    log: extern "C" fn(*mut c_void, u32, *const c_char),
}

impl CPort {
    /// # Safety
    /// Null, or a port.
    unsafe fn new(port: *const RingfortPort) -> Result<CPort, Failure> {
        // SAFETY: the caller's pointer.
        let raw = *unsafe { port.as_ref() }.ok_or(Failure::Argument)?;
        if raw.abi != RINGFORT_ABI {
            return Err(Failure::Argument);
        }
        Ok(CPort {
            raw,
            flash_read: raw.flash_read.ok_or(Failure::Argument)?,
            flash_erase: raw.flash_erase.ok_or(Failure::Argument)?,
            flash_program: raw.flash_program.ok_or(Failure::Argument)?,
            random: raw.random.ok_or(Failure::Argument)?,
            sign: raw.sign.ok_or(Failure::Argument)?,
            exchange: raw.exchange.ok_or(Failure::Argument)?,
            activate: raw.activate.ok_or(Failure::Argument)?,
            confirm: raw.confirm.ok_or(Failure::Argument)?,
            current: raw.current.ok_or(Failure::Argument)?,
            destroy: raw.destroy.ok_or(Failure::Argument)?,
            reboot: raw.reboot.ok_or(Failure::Argument)?,
            uptime_seconds: raw.uptime_seconds.ok_or(Failure::Argument)?,
            log: raw.log.ok_or(Failure::Argument)?,
        })
    }
}

impl Port for CPort {
    fn geometry(&self, area: Area) -> Geometry {
        self.raw.areas[area as usize]
    }

    fn flash_read(&mut self, area: Area, offset: u32, bytes: &mut [u8]) -> Result<(), Failure> {
        let (pointer, length) = (bytes.as_mut_ptr(), bytes.len() as u32);
        let done = (self.flash_read)(self.raw.context, area as u32, offset, pointer, length);
        failed(done, Failure::Flash)
    }

    fn flash_erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), Failure> {
        failed((self.flash_erase)(self.raw.context, area as u32, offset, length), Failure::Flash)
    }

    fn flash_program(&mut self, area: Area, offset: u32, bytes: &[u8]) -> Result<(), Failure> {
        let (pointer, length) = (bytes.as_ptr(), bytes.len() as u32);
        let done = (self.flash_program)(self.raw.context, area as u32, offset, pointer, length);
        failed(done, Failure::Flash)
    }

    fn random(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        let done = (self.random)(self.raw.context, bytes.as_mut_ptr(), bytes.len() as u32);
        failed(done, Failure::Random)
    }

    fn exchange(&mut self, request: &Request<'_>, body: &mut [u8]) -> Result<Answer, Failure> {
        let hub: [c_char; 256] = c_text(request.hub);
        let path: [c_char; 128] = c_text(request.path);
        let (first, last) = request.range.unwrap_or((0, 0));
        let asked = RingfortRequest {
            method: match request.method {
                Method::Get => 0,
                Method::Post => 1,
            },
            has_range: u32::from(request.range.is_some()),
            range_first: first,
            range_last: last,
            hub: hub.as_ptr(),
            path: path.as_ptr(),
            body: request.body.as_ptr(),
            body_length: request.body.len() as u32,
        };
        let mut answer = RingfortAnswer::default();
        let (pointer, capacity) = (body.as_mut_ptr(), body.len() as u32);
        let done = (self.exchange)(self.raw.context, &asked, pointer, capacity, &mut answer);
        failed(done, Failure::Hub)?;
        if answer.length > capacity {
            return Err(Failure::Hub);
        }
        let status = u16::try_from(answer.status).map_err(|_| Failure::Hub)?;
        Ok(Answer { status, length: answer.length })
    }

    fn activate(&mut self, slot: Option<Slot>) -> Result<(), Failure> {
        failed((self.activate)(self.raw.context, number(slot)), Failure::BootLoader)
    }

    fn confirm(&mut self, slot: Slot) -> Result<(), Failure> {
        failed((self.confirm)(self.raw.context, slot as u32), Failure::BootLoader)
    }

    fn current(&mut self) -> Result<Slot, Failure> {
        match (self.current)(self.raw.context) {
            0 => Ok(Slot::A),
            1 => Ok(Slot::B),
            _ => Err(Failure::BootLoader),
        }
    }

    fn destroy(&mut self, what: Destroy) -> Result<(), Failure> {
        failed((self.destroy)(self.raw.context, what as u32), Failure::Platform)
    }

    fn reboot(&mut self) {
        (self.reboot)(self.raw.context);
    }

    fn uptime_seconds(&mut self) -> u64 {
        (self.uptime_seconds)(self.raw.context)
    }

    fn log(&mut self, severity: Severity, text: &str) {
        let text: [c_char; 128] = c_text(text);
        (self.log)(self.raw.context, severity as u32, text.as_ptr());
    }
}

/// # Safety
/// Null, or a device of the header.
unsafe fn started<'d>(device: *mut RingfortDevice) -> Result<&'d mut Host<CPort>, Failure> {
    if device.is_null() || !device.is_aligned() {
        return Err(Failure::Argument);
    }
    let place = device.cast::<Started>();
    // SAFETY: the mark is the header's: zero or written by a start; read as a number of its own
    // before anything else is believed to be there.
    if unsafe { (&raw const (*place).mark).read() } != MARK {
        return Err(Failure::Argument);
    }
    // SAFETY: a start succeeded, and nobody else uses the device now.
    Ok(unsafe { &mut (*place).host })
}

/// # Safety
/// Valid for `length` bytes.
unsafe fn bytes<'b>(pointer: *const u8, length: u32) -> Result<&'b [u8], Failure> {
    if pointer.is_null() {
        return Err(Failure::Argument);
    }
    // SAFETY: not null, and valid by the caller's word.
    Ok(unsafe { slice::from_raw_parts(pointer, length as usize) })
}

/// # Safety
/// Valid for writing `length` bytes.
unsafe fn bytes_mut<'b>(pointer: *mut u8, length: u32) -> Result<&'b mut [u8], Failure> {
    if pointer.is_null() {
        return Err(Failure::Argument);
    }
    // SAFETY: not null, and valid by the caller's word.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, length as usize) })
}

/// # Safety
/// A C string.
unsafe fn text<'t>(pointer: *const c_char) -> Result<&'t str, Failure> {
    if pointer.is_null() {
        return Err(Failure::Argument);
    }
    // SAFETY: a C string by the caller's word.
    unsafe { core::ffi::CStr::from_ptr(pointer) }.to_str().map_err(|_| Failure::Argument)
}

/// The whole text and a zero.
fn copy_text(text: &str, out: &mut [u8]) -> Result<i32, Failure> {
    let place = out.get_mut(..=text.len()).ok_or(Failure::TooLarge)?;
    let (zero, letters) = place.split_last_mut().ok_or(Failure::TooLarge)?;
    letters.copy_from_slice(text.as_bytes());
    *zero = 0;
    Ok(0)
}

/// As much as fits, and a zero.
fn c_text<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    let room = N.saturating_sub(1);
    out.iter_mut().take(room).zip(text.bytes()).for_each(|(to, from)| *to = from as c_char);
    out
}

fn number(slot: Option<Slot>) -> u32 {
    slot.map_or(RINGFORT_SLOT_NONE, |slot| slot as u32)
}

fn failed(code: i32, failure: Failure) -> Result<(), Failure> {
    if code == 0 { Ok(()) } else { Err(failure) }
}

fn code(result: Result<i32, Failure>) -> i32 {
    result.unwrap_or_else(|failure| failure as i32)
}

/// "RFD1"
const MARK: u32 = 0x5246_4431;
