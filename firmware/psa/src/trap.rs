//! The way of a partition: SVC, the number in r12.

#![allow(unsafe_code)]

use core::arch::asm;

use crate::client::Vectors;

/// Calls the manager.
pub fn svc(number: u32, a: u32, b: u32, c: u32, d: u32) -> u32 {
    let result;
    // SAFETY: the manager changes r0 only, and memory that the arguments name: the callers here
    // pass what they own.
    unsafe {
        asm!(
            "svc #0",
            inout("r0") a => result,
            in("r1") b,
            in("r2") c,
            in("r3") d,
            in("r12") number,
        );
    }
    result
}

pub fn framework_version() -> u32 {
    0x0101
}

pub fn version(sid: u32) -> u32 {
    svc(1, sid, 0, 0, 0)
}

pub fn connect(sid: u32, version: u32) -> i32 {
    svc(2, sid, version, 0, 0) as i32
}

pub fn call(handle: i32, kind: i32, vectors: &Vectors) -> i32 {
    svc(3, handle as u32, kind as u32, core::ptr::from_ref(vectors) as u32, 0) as i32
}

pub fn close(handle: i32) {
    svc(4, handle as u32, 0, 0, 0);
}

pub fn failure(record: &mut [u32; 4]) -> i32 {
    svc(5, record.as_mut_ptr() as u32, 16, 0, 0) as i32
}
