//! What the runner and the application agree upon.

/// Operations of three words each: the operation and two arguments.
pub const SCRIPT: u32 = 0x2822_0000;
/// Packages, four words each: address and length of the manifest, address and length of the image.
pub const PACKAGES: u32 = 0x2824_0000;
/// Where their bytes lie, each at a multiple of 8.
pub const BYTES: u32 = 0x2824_1000;

/// The operations.
pub mod op {
    /// The end of the run: the exit code is 0x40 and the release number.
    pub const END: u32 = 0;
    /// Nothing but the query that follows every operation.
    pub const QUERY: u32 = 1;
    /// Starts with this package's manifest.
    pub const START: u32 = 2;
    /// Writes this package's image, so many bytes of it.
    pub const WRITE: u32 = 3;
    /// Finishes.
    pub const FINISH: u32 = 4;
    /// Cancels.
    pub const CANCEL: u32 = 5;
    /// Cleans.
    pub const CLEAN: u32 = 6;
    /// Installs.
    pub const INSTALL: u32 = 7;
    /// Asks for a reboot.
    pub const REBOOT: u32 = 8;
    /// Rejects, with this status.
    pub const REJECT: u32 = 9;
    /// Accepts.
    pub const ACCEPT: u32 = 10;
    /// Has a partition say that it is not well.
    pub const SICKEN: u32 = 11;
    /// Has a partition fail.
    pub const CRASH: u32 = 12;
    /// Asks for a nonce and shows it.
    pub const CHALLENGE: u32 = 13;
    /// Hands over this package's manifest as the next anchors.
    pub const ANCHORS: u32 = 14;
    /// Writes bytes of its own at this offset, so many.
    pub const WRITE_AT: u32 = 15;
    /// Never comes back.
    pub const HANG: u32 = 16;
    /// A message of this type with this many bytes where words belong.
    pub const RAW: u32 = 17;
    /// Asks for a component that is not there.
    pub const COMPONENT: u32 = 18;
    /// Calls a service with sixteen bytes and shows the answer.
    pub const CALL: u32 = 19;
    /// Reads the word at this address.
    pub const READ: u32 = 20;
}
