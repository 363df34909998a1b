//! What the generator makes of a manifest.

use crate::core::Span;

/// Most MPU regions of a partition; the hardware may have more.
pub const MPU_REGIONS: usize = 8;

/// What happens to a partition that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFault {
    /// It starts anew, with its initial data and a new generation.
    Restart,
    /// The device resets.
    Reset,
}

/// What happens to a caller that breaks a rule of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It gets a status.
    Error,
    /// The device resets.
    Reset,
}

/// A partition, in the order of priority: the first is the most urgent.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    /// Its name in the manifest.
    pub name: &'static str,
    /// Its id, positive.
    pub id: i32,
    /// Where it starts.
    pub entry: u32,
    /// Code and constants.
    pub code: Span,
    /// Stack, then data.
    pub ram: Span,
    /// Bytes of stack, at the start of `ram`.
    pub stack: u32,
    /// Where its initialised data lies in `ram`.
    pub data: Span,
    /// Where the initial values lie in the image.
    pub data_from: u32,
    /// RBAR and RLAR of each region.
    pub mpu: [[u32; 2]; MPU_REGIONS],
    /// What happens when it fails.
    pub on_fault: OnFault,
    /// What happens when it breaks a rule as a caller.
    pub on_error: OnError,
    /// Milliseconds for a message, and for a stretch without `psa_wait`.
    pub deadline_ms: u32,
    /// How often it may be restarted until the next reset.
    pub restarts: u16,
    /// Whether it may reset the device.
    pub may_reset: bool,
    /// All signals that it can get, doorbell included.
    pub signals: u32,
}

/// A service.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its id.
    pub sid: u32,
    /// Its version.
    pub version: u32,
    /// Whether only this very version may be asked for.
    pub strict: bool,
    /// Whether it is called without a connection.
    pub stateless: bool,
    /// Whether the non-secure side may call.
    pub nonsecure: bool,
    /// Position of its partition.
    pub owner: u8,
    /// The signal of its messages.
    pub signal: u32,
    /// The partitions that may call, one bit each.
    pub callers: u32,
}

/// A secure interrupt.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt {
    /// Its number, 0 for the first external one.
    pub number: u16,
    /// Position of its partition.
    pub owner: u8,
    /// The signal that it becomes.
    pub signal: u32,
    /// Whether it is enabled from the start.
    pub enabled: bool,
}

/// Rules for the non-secure side.
#[derive(Clone, Copy, Debug)]
pub struct Nonsecure {
    /// What happens when it fails.
    pub on_fault: OnFault,
    /// What happens when it breaks a rule as a caller.
    pub on_error: OnError,
    /// Most message slots that it may hold at a time: the rest is the partitions'.
    pub slots: u8,
}

/// Everything that the manager knows of a product.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// By priority.
    pub partitions: &'static [Partition],
    /// In no order.
    pub services: &'static [Service],
    /// In no order.
    pub interrupts: &'static [Interrupt],
    /// The other side.
    pub nonsecure: Nonsecure,
}
