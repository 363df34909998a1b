//! What a host's platform supplies.

use ringfort_device::Slot;

/// A part of flash that is Ringfort's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Area {
    /// The record: two halves, each of whole erase blocks and at least 4 KiB.
    State = 0,
    /// The anchors document: two halves, each of whole erase blocks and at least 9 KiB.
    Anchors = 1,
    /// The image of slot A.
    SlotA = 2,
    /// The image of slot B.
    SlotB = 3,
}

impl Area {
    /// Where a slot's image lies.
    pub fn of(slot: Slot) -> Area {
        match slot {
            Slot::A => Area::SlotA,
            Slot::B => Area::SlotB,
        }
    }
}

/// How an area of flash is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Geometry {
    /// Its size, a multiple of the next.
    pub size_bytes: u32,
    /// What is erased at once.
    pub erase_bytes: u32,
    /// What is programmed at once, at most 64: a power of two.
    pub program_bytes: u32,
}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Method {
    /// GET.
    Get = 0,
    /// POST.
    Post = 1,
}

/// One request to the hub, for the platform's own HTTPS.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// GET or POST.
    pub method: Method,
    /// The hub's address as the anchors have it, `https://hub.example.com`.
    pub hub: &'r str,
    /// The path, `/v1/check-in`.
    pub path: &'r str,
    /// The body of a POST, `application/cbor`.
    pub body: &'r [u8],
    /// The first and the last byte of a Range header; none for all.
    pub range: Option<(u32, u32)>,
}

/// What came back: the body lies in the buffer that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Bytes of the body. More than the buffer holds is an error of the platform.
    pub length: u32,
}

/// Something that people may want to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Severity {
    /// As it should be.
    Information = 0,
    /// Refused, or to be tried again.
    Warning = 1,
    /// Look at it.
    Alarm = 2,
}

/// What a command of people destroys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Destroy {
    /// The operational key and certificate, and the data of whoever operates the device.
    Operational = 0,
    /// The factory identity, the attestation key and all data; the operational key stays, for the
    /// last word.
    Identity = 1,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Failure {
    /// An argument makes no sense, or the call comes at the wrong time.
    Argument = -1,
    /// Flash could not be read, erased or programmed.
    Flash = -2,
    /// Flash holds no device that was provisioned, or a damaged one.
    State = -3,
    /// The hub could not be reached, refused, or answered nonsense: try again later.
    Hub = -4,
    /// There are no random numbers.
    Random = -5,
    /// Something does not fit.
    TooLarge = -6,
    /// The boot loader did not do what it was asked.
    BootLoader = -7,
    /// The key did not sign.
    Sign = -8,
    /// Keys or data were not destroyed.
    Platform = -9,
}

/// The platform.
pub trait Port {
    /// How an area of flash is made.
    fn geometry(&self, area: Area) -> Geometry;

    /// Reads.
    fn flash_read(&mut self, area: Area, offset: u32, bytes: &mut [u8]) -> Result<(), Failure>;

    /// Erases whole blocks.
    fn flash_erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), Failure>;

    /// Programs whole units that were erased. On the medium when it returns.
    fn flash_program(&mut self, area: Area, offset: u32, bytes: &[u8]) -> Result<(), Failure>;

    /// Fills with random bytes.
    fn random(&mut self, bytes: &mut [u8]) -> Result<(), Failure>;

    /// Makes a request to the hub over TLS with the device's operational certificate.
    fn exchange(&mut self, request: &Request<'_>, body: &mut [u8]) -> Result<Answer, Failure>;

    /// Lets the next boot run this slot, on trial; none for the factory's image where no slot
    /// holds it.
    fn activate(&mut self, slot: Option<Slot>) -> Result<(), Failure>;

    /// The slot that runs is to stay.
    fn confirm(&mut self, slot: Slot) -> Result<(), Failure>;

    /// The slot that the machine runs from, by its boot loader's word.
    fn current(&mut self) -> Result<Slot, Failure>;

    /// Destroys keys and data; what is gone already is no error.
    fn destroy(&mut self, what: Destroy) -> Result<(), Failure>;

    /// Restarts the machine, now or soon. It may return.
    fn reboot(&mut self);

    /// Seconds since the start, from a counter that nobody sets.
    fn uptime_seconds(&mut self) -> u64;

    /// Notes something for people.
    fn log(&mut self, severity: Severity, text: &str);
}
