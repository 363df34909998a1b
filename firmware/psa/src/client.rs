//! What a client of services can do.

use core::marker::PhantomData;

/// A status: 0 or more is success, less is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// Success.
    pub const SUCCESS: Self = Self(0);
    /// Success, once the device has booted.
    pub const SUCCESS_REBOOT: Self = Self(1);
    /// A rule of the interface was broken.
    pub const PROGRAMMER_ERROR: Self = Self(-129);
    /// The connection is refused.
    pub const CONNECTION_REFUSED: Self = Self(-130);
    /// The connection cannot be made now, or another call is under way.
    pub const CONNECTION_BUSY: Self = Self(-131);
    /// Nothing more is known.
    pub const GENERIC_ERROR: Self = Self(-132);
    /// This caller may not.
    pub const NOT_PERMITTED: Self = Self(-133);
    /// This is not there.
    pub const NOT_SUPPORTED: Self = Self(-134);
    /// An argument makes no sense.
    pub const INVALID_ARGUMENT: Self = Self(-135);
    /// Not in this state.
    pub const BAD_STATE: Self = Self(-137);
    /// The output does not fit.
    pub const BUFFER_TOO_SMALL: Self = Self(-138);
    /// There is none.
    pub const DOES_NOT_EXIST: Self = Self(-140);
    /// There is no room.
    pub const INSUFFICIENT_STORAGE: Self = Self(-142);
    /// The service failed while it handled the call.
    pub const COMMUNICATION_FAILURE: Self = Self(-145);
    /// The storage failed.
    pub const STORAGE_FAILURE: Self = Self(-146);
    /// What was presented is not authentic.
    pub const INVALID_SIGNATURE: Self = Self(-149);
}

/// A connection, or a stateless service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Handle(pub i32);

/// Bytes for the service.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct InVec<'b> {
    base: *const u8,
    len: usize,
    bytes: PhantomData<&'b [u8]>,
}

/// Room for bytes of the service.
#[derive(Debug)]
#[repr(C)]
pub struct OutVec<'b> {
    base: *mut u8,
    len: usize,
    bytes: PhantomData<&'b mut [u8]>,
}

impl<'b> InVec<'b> {
    /// These bytes.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { base: bytes.as_ptr(), len: bytes.len(), bytes: PhantomData }
    }

    /// Whatever lies there: for tests of what must be refused.
    pub fn raw(base: usize, len: usize) -> Self {
        Self { base: base as *const u8, len, bytes: PhantomData }
    }
}

impl<'b> OutVec<'b> {
    /// This room. The service's bytes are there when the call has returned.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { base: bytes.as_mut_ptr(), len: bytes.len(), bytes: PhantomData }
    }

    /// Whatever lies there: for tests of what must be refused.
    pub fn raw(base: usize, len: usize) -> Self {
        Self { base: base as *mut u8, len, bytes: PhantomData }
    }

    /// Bytes that the service has written.
    pub fn written(&self) -> usize {
        self.len
    }
}

/// The vectors of a call, as the manager reads them.
#[repr(C)]
pub struct Vectors {
    /// Address of the array of input vectors.
    pub ins: *const InVec<'static>,
    /// How many.
    pub in_len: usize,
    /// Address of the array of output vectors.
    pub outs: *mut OutVec<'static>,
    /// How many.
    pub out_len: usize,
}

#[cfg(all(target_os = "none", any(feature = "nonsecure", feature = "partition")))]
mod calls {
    #[cfg(feature = "nonsecure")]
    use crate::gateway as way;
    #[cfg(all(feature = "partition", not(feature = "nonsecure")))]
    use crate::trap as way;

    use super::{Handle, InVec, OutVec, Status, Vectors};

    /// The version of the framework: 0x0101.
    pub fn framework_version() -> u32 {
        way::framework_version()
    }

    /// The version of a service; 0 when there is none for this caller.
    pub fn version(sid: u32) -> u32 {
        way::version(sid)
    }

    /// Connects.
    ///
    /// # Errors
    /// `CONNECTION_REFUSED`, `CONNECTION_BUSY`.
    pub fn connect(sid: u32, version: u32) -> Result<Handle, Status> {
        let value = way::connect(sid, version);
        if value > 0 { Ok(Handle(value)) } else { Err(Status(value)) }
    }

    /// Calls a service and waits for its reply.
    pub fn call(handle: Handle, kind: i32, ins: &[InVec<'_>], outs: &mut [OutVec<'_>]) -> Status {
        let vectors = Vectors {
            ins: ins.as_ptr().cast(),
            in_len: ins.len(),
            outs: outs.as_mut_ptr().cast(),
            out_len: outs.len(),
        };
        Status(way::call(handle.0, kind, &vectors))
    }

    /// Closes a connection.
    pub fn close(handle: Handle) {
        way::close(handle.0);
    }

    /// Who failed last: partition id, cause, generation, number of failures.
    pub fn last_failure() -> [u32; 4] {
        let mut record = [0; 4];
        way::failure(&mut record);
        record
    }
}

#[cfg(all(target_os = "none", any(feature = "nonsecure", feature = "partition")))]
pub use calls::{call, close, connect, framework_version, last_failure, version};
