//! What a partition can do. A call that breaks a rule does not return: the partition has failed.

#![allow(unsafe_code)]

use core::mem::MaybeUninit;

use crate::client::Status;
use crate::trap::svc;

/// A client connects.
pub const CONNECT: i32 = -1;
/// A client is gone.
pub const DISCONNECT: i32 = -2;
/// The signal of [`notify`].
pub const DOORBELL: u32 = 8;
/// Every signal.
pub const ANY: u32 = u32::MAX;
/// The type of message that asks a service named under `health` whether all is well with it:
/// success says yes.
pub const HEALTH: i32 = 0x5246_4801;

/// A message.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Message {
    /// [`CONNECT`], [`DISCONNECT`], or what the client asks for.
    pub kind: i32,
    handle: i32,
    /// Who asks: a partition's id, or -1 for the non-secure side.
    pub client: i32,
    /// What [`Message::remember`] has kept for this connection.
    pub remembered: u32,
    /// Bytes of each input vector.
    pub in_size: [u32; 4],
    /// Room in each output vector.
    pub out_size: [u32; 4],
}

/// Waits for one of these signals.
pub fn wait(mask: u32) -> u32 {
    svc(16, mask, 0x8000_0000, 0, 0)
}

/// The signals among these that are there.
pub fn poll(mask: u32) -> u32 {
    svc(16, mask, 0, 0, 0)
}

/// Takes the next message of a signal.
///
/// # Errors
/// `DOES_NOT_EXIST` when its client went away meanwhile.
#[inline(always)]
pub fn get(signal: u32) -> Result<Message, Status> {
    let mut message = MaybeUninit::<Message>::uninit();
    let to = message.as_mut_ptr() as u32;
    match svc(17, signal, to, 0, 0) as i32 {
        // SAFETY: the manager has written all 48 bytes, and every pattern of bits is a message.
        0 => Ok(unsafe { message.assume_init() }),
        status => Err(Status(status)),
    }
}

impl Message {
    /// Reads on in an input vector; gives the number of bytes read.
    pub fn read(&self, vector: u32, into: &mut [u8]) -> usize {
        // Length and address of one slice travel together; the manager checks them.
        let [at, len] = [into.as_mut_ptr() as u32, into.len() as u32];
        self.transfer(19, vector, at, len) as usize
    }

    /// Leaves bytes of an input vector out; gives their number.
    pub fn skip(&self, vector: u32, len: u32) -> u32 {
        svc(20, self.handle as u32, vector, len, 0)
    }

    /// Writes on in an output vector.
    pub fn write(&self, vector: u32, bytes: &[u8]) {
        self.transfer(21, vector, bytes.as_ptr() as u32, bytes.len() as u32);
    }

    fn transfer(&self, number: u32, vector: u32, at: u32, len: u32) -> u32 {
        svc(number, self.handle as u32, vector, at, len)
    }

    /// Keeps a word with the connection.
    pub fn remember(&self, word: u32) {
        svc(18, self.handle as u32, word, 0, 0);
    }

    /// Ends the message.
    pub fn reply(self, status: Status) {
        svc(22, self.handle as u32, status.0 as u32, 0, 0);
    }
}

/// Rings a partition's doorbell.
pub fn notify(partition: i32) {
    svc(23, partition as u32, 0, 0, 0);
}

/// Takes the doorbell's signal away.
pub fn clear() {
    svc(24, 0, 0, 0, 0);
}

/// Ends an interrupt.
pub fn end_of_interrupt(signal: u32) {
    svc(25, signal, 0, 0, 0);
}

/// Enables an interrupt.
pub fn enable_interrupt(signal: u32) {
    svc(28, signal, 0, 0, 0);
}

/// Disables an interrupt.
pub fn disable_interrupt(signal: u32) {
    svc(29, signal, 0, 0, 0);
}

/// The PSA lifecycle of the device.
pub fn lifecycle() -> u32 {
    svc(27, 0, 0, 0, 0)
}

/// A line on the secure console, at most 128 bytes.
pub fn print(text: &str) {
    svc(30, text.as_ptr() as u32, text.len() as u32, 0, 0);
}

/// Resets the device, if the manifest lets this partition.
pub fn reset() -> ! {
    svc(31, 0, 0, 0, 0);
    panic()
}

/// The end of this partition's life.
pub fn panic() -> ! {
    loop {
        svc(26, 0, 0, 0, 0);
    }
}
