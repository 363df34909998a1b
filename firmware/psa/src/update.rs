//! PSA Firmware Update 1.0, for Rust: the calls of [`Updater`], and what client and service agree
//! upon.

/// The one component: a release, with its secure and its non-secure image.
pub const RELEASE: u8 = 0;
/// Bytes of a block at most.
pub const MAX_WRITE_SIZE: usize = 4096;
/// Blocks start at multiples of 8.
pub const LOG2_WRITE_ALIGN: u32 = 3;

/// States of a component.
pub mod state {
    /// An update can start.
    pub const READY: u8 = 0;
    /// An image is being written.
    pub const WRITING: u8 = 1;
    /// A whole image waits for its installation.
    pub const CANDIDATE: u8 = 2;
    /// It is tried at the next boot.
    pub const STAGED: u8 = 3;
    /// It was given up.
    pub const FAILED: u8 = 4;
    /// It runs, and is not confirmed.
    pub const TRIAL: u8 = 5;
    /// It runs, and the next boot goes back.
    pub const REJECTED: u8 = 6;
    /// It runs and is confirmed.
    pub const UPDATED: u8 = 7;
}

/// Types of the service's messages.
pub mod kind {
    /// In: component. Out: [`super::Info`].
    pub const QUERY: i32 = 1;
    /// In: component; length of the order in four bytes, order, SUIT envelope.
    pub const START: i32 = 2;
    /// In: component and offset; block.
    pub const WRITE: i32 = 3;
    /// In: component.
    pub const FINISH: i32 = 4;
    /// In: component.
    pub const CANCEL: i32 = 5;
    /// In: component.
    pub const CLEAN: i32 = 6;
    /// No argument.
    pub const INSTALL: i32 = 7;
    /// No argument.
    pub const REBOOT: i32 = 8;
    /// In: a status of the caller's.
    pub const REJECT: i32 = 9;
    /// No argument.
    pub const ACCEPT: i32 = 10;
    /// Out: 16 bytes for the next order to echo.
    pub const CHALLENGE: i32 = 64;
    /// In: nothing; the next anchors document.
    pub const ANCHORS: i32 = 65;
}

/// The version of the running image: the low half of its sequence number as `build`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// 0.
    pub major: u8,
    /// 0.
    pub minor: u8,
    /// 0.
    pub patch: u16,
    /// The manifest's sequence number, as far as it fits: Unix seconds until 2106.
    pub build: u32,
}

/// What [`kind::QUERY`] answers: `psa_fwu_component_info_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// One of [`state`].
    pub state: u8,
    /// Why the update is `FAILED` or `REJECTED`.
    pub error: i32,
    /// Of the running image.
    pub version: Version,
    /// Bytes of an image at most.
    pub max_size: u32,
    /// None is set: a candidate outlives a reset, and images are not encrypted.
    pub flags: u32,
    /// The slot that runs: 0 or 1.
    pub location: u32,
    /// Boots that the running image has spent on trial.
    pub attempts: u32,
    /// Bytes of the image written so far.
    pub written: u32,
    /// The reason code of the last refusal or failure, filled up with zeros.
    pub reason: [u8; 32],
}

impl Info {
    /// Bytes of it.
    pub const BYTES: usize = 68;

    /// As C lays it out.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let Version { major, minor, patch, build } = self.version;
        let head = [
            u32::from(self.state),
            self.error.cast_unsigned(),
            u32::from(major) | u32::from(minor) << 8 | u32::from(patch) << 16,
            build,
            self.max_size,
            self.flags,
            self.location,
            self.attempts,
            self.written,
        ];
        let all = head.into_iter().flat_map(u32::to_le_bytes).chain(self.reason);
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = from;
        }
        bytes
    }

    /// Reads what [`Info::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |index: usize| words.get(index).map_or(0, |word| u32::from_le_bytes(*word));
        let [major, minor, ..] = word(2).to_le_bytes();
        let mut info = Self {
            state: word(0) as u8,
            error: word(1).cast_signed(),
            version: Version { major, minor, patch: (word(2) >> 16) as u16, build: word(3) },
            max_size: word(4),
            flags: word(5),
            location: word(6),
            attempts: word(7),
            written: word(8),
            reason: [0; 32],
        };
        for (to, from) in info.reason.iter_mut().zip(bytes.iter().skip(36)) {
            *to = *from;
        }
        info
    }

    /// The reason code; empty for none.
    pub fn reason(&self) -> &str {
        let len = self.reason.iter().position(|byte| *byte == 0).unwrap_or(self.reason.len());
        let code = self.reason.get(..len).unwrap_or_default();
        core::str::from_utf8(code).unwrap_or_default()
    }
}

#[cfg(all(target_os = "none", any(feature = "nonsecure", feature = "partition")))]
mod calls {
    use super::{Info, RELEASE, kind};
    use crate::client::{Handle, InVec, OutVec, Status, call};

    /// The update service of this product, by the handle that the generator gave it.
    #[derive(Clone, Copy, Debug)]
    pub struct Updater(pub Handle);

    impl Updater {
        /// Where the update stands.
        ///
        /// # Errors
        /// `DOES_NOT_EXIST` when the image was started without the boot loader.
        pub fn query(self) -> Result<Info, Status> {
            let mut bytes = [0; Info::BYTES];
            let component = u32::from(RELEASE).to_le_bytes();
            let ins = [InVec::new(&component)];
            let status = call(self.0, kind::QUERY, &ins, &mut [OutVec::new(&mut bytes)]);
            result(status).map(|_| Info::from_bytes(&bytes))
        }

        /// Starts an update: `manifest` is the length of the order in four bytes, little-endian,
        /// the order, and the SUIT envelope.
        ///
        /// # Errors
        /// `NOT_PERMITTED`, `INVALID_SIGNATURE`, `INVALID_ARGUMENT`, `BAD_STATE`: the reason code
        /// is in [`Updater::query`].
        pub fn start(self, manifest: &[u8]) -> Result<(), Status> {
            let component = u32::from(RELEASE).to_le_bytes();
            let ins = [InVec::new(&component), InVec::new(manifest)];
            result(call(self.0, kind::START, &ins, &mut [])).map(drop)
        }

        /// Writes a block of at most [`super::MAX_WRITE_SIZE`] bytes.
        ///
        /// # Errors
        /// `INVALID_ARGUMENT` out of line or beyond the image; `BAD_STATE`; `STORAGE_FAILURE`.
        pub fn write(self, offset: u32, block: &[u8]) -> Result<(), Status> {
            let [a, b, c, d] = offset.to_le_bytes();
            let place = [RELEASE, 0, 0, 0, a, b, c, d];
            let ins = [InVec::new(&place), InVec::new(block)];
            result(call(self.0, kind::WRITE, &ins, &mut [])).map(drop)
        }

        /// Ends the writing: the image is read back and judged.
        ///
        /// # Errors
        /// `INVALID_SIGNATURE`, `INVALID_ARGUMENT`, `BAD_STATE`.
        pub fn finish(self) -> Result<(), Status> {
            self.plain(kind::FINISH, &u32::from(RELEASE).to_le_bytes()).map(drop)
        }

        /// Gives up what is not installed yet.
        ///
        /// # Errors
        /// `BAD_STATE`.
        pub fn cancel(self) -> Result<(), Status> {
            self.plain(kind::CANCEL, &u32::from(RELEASE).to_le_bytes()).map(drop)
        }

        /// Erases what was given up or superseded.
        ///
        /// # Errors
        /// `BAD_STATE`.
        pub fn clean(self) -> Result<(), Status> {
            self.plain(kind::CLEAN, &u32::from(RELEASE).to_le_bytes()).map(drop)
        }

        /// Arms the candidate: success asks for a reboot.
        ///
        /// # Errors
        /// `BAD_STATE`, `NOT_PERMITTED`.
        pub fn install(self) -> Result<Status, Status> {
            self.plain(kind::INSTALL, &[])
        }

        /// Reboots, when that has a purpose; then it does not return.
        ///
        /// # Errors
        /// `NOT_PERMITTED`.
        pub fn request_reboot(self) -> Result<(), Status> {
            self.plain(kind::REBOOT, &[]).map(drop)
        }

        /// Gives up what is armed or on trial.
        ///
        /// # Errors
        /// `BAD_STATE`.
        pub fn reject(self, error: i32) -> Result<Status, Status> {
            self.plain(kind::REJECT, &error.to_le_bytes())
        }

        /// Confirms the running image, if every declared health check holds.
        ///
        /// # Errors
        /// `BAD_STATE`; `NOT_PERMITTED` when one did not: the image is given up.
        pub fn accept(self) -> Result<(), Status> {
            self.plain(kind::ACCEPT, &[]).map(drop)
        }

        /// A nonce for the hub: an order that answers it echoes it.
        ///
        /// # Errors
        /// `DOES_NOT_EXIST`.
        pub fn challenge(self) -> Result<[u8; 16], Status> {
            let mut nonce = [0; 16];
            let status = call(self.0, kind::CHALLENGE, &[], &mut [OutVec::new(&mut nonce)]);
            result(status).map(|_| nonce)
        }

        /// Takes the next anchors document.
        ///
        /// # Errors
        /// `INVALID_SIGNATURE`, `NOT_PERMITTED`, `INVALID_ARGUMENT`.
        pub fn turn_anchors(self, document: &[u8]) -> Result<(), Status> {
            let ins = [InVec::new(&[]), InVec::new(document)];
            result(call(self.0, kind::ANCHORS, &ins, &mut [])).map(drop)
        }

        fn plain(self, kind: i32, argument: &[u8]) -> Result<Status, Status> {
            result(call(self.0, kind, &[InVec::new(argument)], &mut []))
        }
    }

    /// The status as a result: `Ok` holds what more than success there is to say.
    fn result(status: Status) -> Result<Status, Status> {
        if status.0 >= 0 { Ok(status) } else { Err(status) }
    }
}

#[cfg(all(target_os = "none", any(feature = "nonsecure", feature = "partition")))]
pub use calls::Updater;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_as_it_was_written() {
        let mut info = Info {
            state: state::FAILED,
            error: -133,
            version: Version { major: 1, minor: 2, patch: 3, build: 4 },
            max_size: 5,
            flags: 6,
            location: 1,
            attempts: 7,
            written: 8,
            reason: [0; 32],
        };
        info.reason[..5].copy_from_slice(b"a-b-c");
        assert_eq!(Info::from_bytes(&info.to_bytes()), info);
        assert_eq!(info.reason(), "a-b-c");
        assert_eq!(Info::default().reason(), "");
    }
}
