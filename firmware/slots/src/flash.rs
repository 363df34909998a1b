//! What the slots need of the hardware.

use ringfort_cose::Reason;

/// NOR flash: erasing a sector sets every bit, programming only clears bits, and a write unit is
/// programmed at most once between two erasures of its sector.
pub trait Flash {
    /// Fills `into` from address `at`, which needs no alignment.
    ///
    /// # Errors
    /// When the address is outside the flash.
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError>;

    /// Programs whole, erased write units from `at` on.
    ///
    /// # Errors
    /// When address or length is not a multiple of the write unit, or a unit is not erased.
    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError>;

    /// Erases the sector that starts at `at`.
    ///
    /// # Errors
    /// When no sector starts there.
    fn erase(&mut self, at: u32) -> Result<(), FlashError>;
}

/// The flash did not do what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashError;

impl From<FlashError> for Reason {
    fn from(_: FlashError) -> Self {
        Reason::StorageFailed
    }
}

/// Flash, counter and record key of one device.
pub trait Hardware: Flash {
    /// Where everything is.
    fn layout(&self) -> &Layout;

    /// The value of the counter that only goes up.
    fn counter(&mut self) -> u32;

    /// Moves the counter to `value`; a no-op when it is there already.
    ///
    /// # Errors
    /// When the counter cannot move so far.
    fn advance(&mut self, value: u32) -> Result<(), FlashError>;

    /// A tag over `bytes` under a key that only this device has.
    fn tag(&self, bytes: &[u8]) -> [u8; crate::TAG_BYTES];
}

impl<F: Flash + ?Sized> Flash for &mut F {
    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        (**self).read(at, into)
    }

    fn program(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        (**self).program(at, bytes)
    }

    fn erase(&mut self, at: u32) -> Result<(), FlashError> {
        (**self).erase(at)
    }
}

impl<H: Hardware + ?Sized> Hardware for &mut H {
    fn layout(&self) -> &Layout {
        (**self).layout()
    }

    fn counter(&mut self) -> u32 {
        (**self).counter()
    }

    fn advance(&mut self, value: u32) -> Result<(), FlashError> {
        (**self).advance(value)
    }

    fn tag(&self, bytes: &[u8]) -> [u8; crate::TAG_BYTES] {
        (**self).tag(bytes)
    }
}

/// A range of flash addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The first address.
    pub at: u32,
    /// The length in bytes.
    pub len: u32,
}

/// Where records, anchors and slots are, and how the flash is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Sector size in bytes.
    pub sector: u32,
    /// Write unit in bytes.
    pub unit: u32,
    /// The two sectors of the record log, by address.
    pub metadata: [u32; 2],
    /// The two areas of the current anchors document and the next.
    pub anchors: [Area; 2],
    /// The two slots.
    pub slots: [Area; 2],
    /// Bytes at the start of a slot that are kept for the envelope.
    pub envelope_max: u32,
    /// How many boots an unconfirmed image gets.
    pub budget: u32,
    /// The highest value of the counter that a confirmation or new anchors may ask for.
    pub counter_max: u32,
}

impl Layout {
    /// `len` rounded up to whole write units.
    pub fn whole_units(&self, len: u32) -> u32 {
        len.div_ceil(self.unit.max(1)) * self.unit
    }
}
