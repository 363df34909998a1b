//! The manifest and the board file as they are written. docs/porting.md describes every field.

use serde::Deserialize;
use toml::Spanned;

/// A product's manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The board file, relative to the manifest.
    pub board: Spanned<String>,
    /// The manager.
    pub manager: Manager,
    /// The other side.
    pub nonsecure: Nonsecure,
    /// The partitions.
    #[serde(default)]
    pub partition: Vec<Spanned<Partition>>,
}

/// Budgets of the manager.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manager {
    /// Bytes for its code and tables.
    pub code_bytes: Spanned<u32>,
    /// Bytes for its state and stacks.
    pub ram_bytes: Spanned<u32>,
    /// Bytes for its stack.
    pub stack_bytes: Spanned<u32>,
    /// Message slots, one for each connection and each stateless call under way.
    pub slots: Spanned<u8>,
}

/// Rules for the non-secure side.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nonsecure {
    /// What happens when it fails.
    pub on_fault: OnFault,
    /// What happens when it breaks a rule as a caller.
    pub on_error: OnError,
    /// Most slots that it may hold.
    pub slots: Spanned<u8>,
    /// Peripherals that it owns, by the board's names.
    #[serde(default)]
    pub peripherals: Vec<Spanned<String>>,
}

/// What happens to whoever fails.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// It starts anew.
    Restart,
    /// The device resets.
    Reset,
}

/// What happens to whoever breaks a rule as a caller.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It gets a status.
    Error,
    /// The device resets.
    Reset,
}

/// A partition.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Its name, lower case.
    pub name: Spanned<String>,
    /// The name of its C header below `psa_manifest/`, where that is not its own.
    pub header: Option<Spanned<String>>,
    /// Its id, positive.
    pub id: Spanned<i32>,
    /// The Rust package whose library is its code.
    pub package: Option<Spanned<String>>,
    /// Features of that package.
    #[serde(default)]
    pub features: Vec<String>,
    /// C sources, relative to the manifest.
    #[serde(default)]
    pub sources: Vec<Spanned<String>>,
    /// More folders for C headers, relative to the manifest.
    #[serde(default)]
    pub include: Vec<String>,
    /// Preprocessor definitions for the C sources.
    #[serde(default)]
    pub define: Vec<String>,
    /// Object files and archives, relative to the manifest.
    #[serde(default)]
    pub objects: Vec<Spanned<String>>,
    /// Whether newlib's C library is linked.
    #[serde(default)]
    pub newlib: bool,
    /// The symbol at which it starts.
    #[serde(default = "entry")]
    pub entry: String,
    /// The more, the more urgent.
    pub priority: Spanned<u8>,
    /// Bytes of stack.
    pub stack_bytes: Spanned<u32>,
    /// Bytes that code and initial data may take.
    pub code_bytes: Spanned<u32>,
    /// Bytes that data may take, stack apart.
    pub data_bytes: Spanned<u32>,
    /// Of these, bytes for `malloc` in C.
    #[serde(default)]
    pub heap_bytes: u32,
    /// What happens when it fails.
    pub on_fault: OnFault,
    /// What happens when it breaks a rule as a caller.
    pub on_error: OnError,
    /// Milliseconds for a message, and for a stretch without `psa_wait`.
    pub deadline_ms: Spanned<u32>,
    /// Restarts until the next reset.
    #[serde(default = "restarts")]
    pub restarts: u16,
    /// Whether it may reset the device.
    #[serde(default)]
    pub may_reset: bool,
    /// Services that it offers.
    #[serde(default)]
    pub service: Vec<Spanned<Service>>,
    /// Services that it calls, by name.
    #[serde(default)]
    pub depends: Vec<Spanned<String>>,
    /// Of these, the stateless ones that it asks whether all is well.
    #[serde(default)]
    pub health: Vec<Spanned<String>>,
    /// Milliseconds that a release on trial has until it is confirmed.
    pub trial_ms: Option<Spanned<u32>>,
    /// Registers and memory that it owns.
    #[serde(default)]
    pub mmio: Vec<Spanned<Mmio>>,
    /// Interrupts that it owns.
    #[serde(default)]
    pub irq: Vec<Spanned<Irq>>,
}

fn entry() -> String {
    "partition_main".to_owned()
}

fn restarts() -> u16 {
    4
}

/// A service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name, upper case.
    pub name: Spanned<String>,
    /// Its id.
    pub sid: Spanned<u32>,
    /// Its version.
    pub version: Spanned<u32>,
    /// Whether only this very version may be asked for.
    #[serde(default = "yes")]
    pub strict: bool,
    /// Whether it is called without a connection.
    #[serde(default)]
    pub stateless: bool,
    /// Whether the non-secure side may call.
    #[serde(default)]
    pub nonsecure: bool,
}

fn yes() -> bool {
    true
}

/// Registers or memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mmio {
    /// A peripheral or a memory area of the board, by name.
    pub name: Option<Spanned<String>>,
    /// First address, where the board names none.
    pub base: Option<Spanned<u32>>,
    /// Bytes.
    pub size: Option<Spanned<u32>>,
    /// Whether it may only be read.
    #[serde(default)]
    pub read_only: bool,
    /// The prefix of its names in the C header.
    pub label: Option<String>,
}

/// An interrupt.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Irq {
    /// The signal's name, upper case.
    pub signal: Spanned<String>,
    /// Its number, 0 for the first external one.
    pub line: Spanned<u16>,
    /// Whether it is enabled from the start.
    #[serde(default)]
    pub enabled: bool,
}

/// The board file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The memory map.
    pub memory: Memory,
    /// Memory that a partition may own by name.
    #[serde(default)]
    pub area: Vec<Area>,
    /// Memory protection controllers.
    #[serde(default)]
    pub mpc: Vec<Spanned<Mpc>>,
    /// Peripherals.
    #[serde(default)]
    pub peripheral: Vec<Peripheral>,
}

/// The memory map.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Where the secure image runs.
    pub secure_code: Range,
    /// RAM of the secure image.
    pub secure_ram: Range,
    /// Where the non-secure image runs.
    pub nonsecure_code: Range,
    /// RAM of the non-secure image.
    pub nonsecure_ram: Range,
    /// What boot leaves.
    pub handoff: Range,
    /// What a warm reset keeps.
    pub retained: Range,
}

/// Addresses.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// First address.
    pub base: u32,
    /// Bytes.
    pub size: u32,
}

/// Memory with a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Its name.
    pub name: String,
    /// First address.
    pub base: u32,
    /// Bytes.
    pub size: u32,
}

/// A memory protection controller.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mpc {
    /// Its registers.
    pub registers: u32,
    /// The memory that it guards, by its non-secure address.
    pub memory: Range,
    /// Bytes that one bit of its table stands for.
    pub block: u32,
}

/// A peripheral.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peripheral {
    /// Its name.
    pub name: String,
    /// First address, Secure alias.
    pub base: u32,
    /// Bytes.
    pub size: u32,
    /// Its gate, if it has one.
    pub gate: Option<Gate>,
    /// Its interrupts.
    #[serde(default)]
    pub lines: Vec<u16>,
    /// Whether the manager owns it.
    #[serde(default)]
    pub manager: bool,
}

/// Where a peripheral protection controller is told about a peripheral.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Register for non-secure access.
    pub nonsecure: u32,
    /// Register for unprivileged Secure access.
    pub unprivileged: u32,
    /// Register for unprivileged non-secure access.
    pub nonsecure_unprivileged: u32,
    /// The bit in each.
    pub bit: u32,
}

impl Range {
    /// Whether two ranges share an address.
    pub fn overlaps(self, other: Range) -> bool {
        let (a, b) = (u64::from(self.base), u64::from(other.base));
        a < b + u64::from(other.size) && b < a + u64::from(self.size)
    }
}
