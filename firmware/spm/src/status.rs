//! Numbers of the Firmware Framework for M 1.1: status codes, message types, signals, and the
//! numbers under which the manager is called.

/// Success.
pub const SUCCESS: i32 = 0;
/// The caller broke a rule of the interface.
pub const PROGRAMMER_ERROR: i32 = -129;
/// The connection is refused.
pub const CONNECTION_REFUSED: i32 = -130;
/// The connection cannot be made now.
pub const CONNECTION_BUSY: i32 = -131;
/// There is no message of that kind.
pub const DOES_NOT_EXIST: i32 = -140;
/// The service failed while it handled the call.
pub const COMMUNICATION_FAILURE: i32 = -145;

/// A client connects.
pub const CONNECT: i32 = -1;
/// A client has closed its connection, or is gone.
pub const DISCONNECT: i32 = -2;

/// The signal of `psa_notify`.
pub const DOORBELL: u32 = 8;
/// Set in the timeout of `psa_wait`: wait until a signal comes.
pub const BLOCK: u32 = 0x8000_0000;

/// The version of the framework.
pub const FRAMEWORK_VERSION: u32 = 0x0101;
/// Most vectors of a call, input and output together.
pub const MAX_IOVEC: u32 = 4;
/// Marks a handle of a stateless service; the rest is its position in the table + 1.
pub const STATELESS: u32 = 0x4000_0000;
/// Marks the handle of a message.
pub const MESSAGE: u32 = 0x2000_0000;
/// The client id of the non-secure side.
pub const NONSECURE_CLIENT: i32 = -1;

/// Calls, by the number in r12.
pub mod call {
    /// `psa_version(sid)`
    pub const VERSION: u32 = 1;
    /// `psa_connect(sid, version)`
    pub const CONNECT: u32 = 2;
    /// `psa_call(handle, type, {in_vec, in_len, out_vec, out_len}*)`
    pub const CALL: u32 = 3;
    /// `psa_close(handle)`
    pub const CLOSE: u32 = 4;
    /// `ringfort_failure(record*, size)`: who failed last, and why.
    pub const FAILURE: u32 = 5;
    /// `psa_wait(mask, timeout)`
    pub const WAIT: u32 = 16;
    /// `psa_get(signal, message*)`
    pub const GET: u32 = 17;
    /// `psa_set_rhandle(message, value)`
    pub const SET_RHANDLE: u32 = 18;
    /// `psa_read(message, index, buffer, len)`
    pub const READ: u32 = 19;
    /// `psa_skip(message, index, len)`
    pub const SKIP: u32 = 20;
    /// `psa_write(message, index, buffer, len)`
    pub const WRITE: u32 = 21;
    /// `psa_reply(message, status)`
    pub const REPLY: u32 = 22;
    /// `psa_notify(partition id)`
    pub const NOTIFY: u32 = 23;
    /// `psa_clear()`
    pub const CLEAR: u32 = 24;
    /// `psa_eoi(signal)`
    pub const EOI: u32 = 25;
    /// `psa_panic()`
    pub const PANIC: u32 = 26;
    /// `psa_rot_lifecycle_state()`
    pub const LIFECYCLE: u32 = 27;
    /// `psa_irq_enable(signal)`
    pub const IRQ_ENABLE: u32 = 28;
    /// `psa_irq_disable(signal)`
    pub const IRQ_DISABLE: u32 = 29;
    /// `ringfort_print(text, len)`: a line on the secure console.
    pub const PRINT: u32 = 30;
    /// `ringfort_reset()`: resets the device, if the manifest lets this partition.
    pub const RESET: u32 = 31;
}
