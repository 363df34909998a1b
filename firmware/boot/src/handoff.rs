//! What the boot loader leaves for the secure component, in memory that only Secure code reads.

use crate::image::Identity;

/// Marks a hand-off that is there.
pub const HANDOFF_MAGIC: u32 = 0x4f48_4652;

/// The hand-off, at a fixed address. The secure component takes the keys out of it first thing.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Handoff {
    /// [`HANDOFF_MAGIC`].
    pub magic: u32,
    /// 0 for slot A, 1 for slot B.
    pub slot: u32,
    /// 1 if the image still has to be confirmed.
    pub trial: u32,
    /// Boots of the trial spent, this one included.
    pub attempts: u32,
    /// Why the other slot was given up; 0 for no reason, else its number.
    pub reason: u32,
    /// PSA security lifecycle.
    pub lifecycle: u32,
    /// Number of this boot.
    pub boots: u32,
    /// Most bytes of stack that boot used.
    pub stack: u32,
    /// The manifest's sequence number.
    pub sequence: u64,
    /// The manifest's digest.
    pub manifest: [u8; 32],
    /// Measurements of the secure and the non-secure component.
    pub measured: [[u8; 32]; 2],
    /// Measurement of the boot loader.
    pub boot: [u8; 32],
    /// Digest of the anchors that the image was accepted under.
    pub anchors: [u8; 32],
    /// The fleet.
    pub fleet: [u8; 16],
    /// What the device is.
    pub identity: Identity,
    /// Authenticates the records.
    pub record_key: [u8; 32],
    /// Seeds the attestation key; zero without the feature `dice`.
    pub cdi_id: [u8; 32],
    /// Seeds sealing; zero without the feature `dice`.
    pub cdi_seal: [u8; 32],
    /// 1 if the current anchors list this release as revoked and nothing better waits: an alarm.
    pub revoked: u32,
}
