//! The way of the non-secure side: veneers at fixed addresses.

#![allow(unsafe_code)]

use core::mem::transmute;

use crate::client::Vectors;

/// The first veneer. They are 8 bytes apart, in an order that never changes.
const BASE: usize = match usize::from_str_radix(env!("RINGFORT_GATEWAY"), 16) {
    Ok(base) => base,
    Err(_) => panic!("RINGFORT_GATEWAY is a hexadecimal address"),
};

const fn veneer(number: usize) -> usize {
    BASE + number * 8 + 1
}

pub fn framework_version() -> u32 {
    // SAFETY: the veneer at this address follows the C calling convention, as do all below.
    unsafe { transmute::<usize, extern "C" fn() -> u32>(veneer(0))() }
}

pub fn version(sid: u32) -> u32 {
    // SAFETY: as above.
    unsafe { transmute::<usize, extern "C" fn(u32) -> u32>(veneer(1))(sid) }
}

pub fn connect(sid: u32, version: u32) -> i32 {
    // SAFETY: as above.
    unsafe { transmute::<usize, extern "C" fn(u32, u32) -> i32>(veneer(2))(sid, version) }
}

pub fn call(handle: i32, kind: i32, vectors: &Vectors) -> i32 {
    // SAFETY: as above; the manager checks every address in it.
    unsafe {
        transmute::<usize, extern "C" fn(i32, i32, &Vectors) -> i32>(veneer(3))(
            handle, kind, vectors,
        )
    }
}

pub fn close(handle: i32) {
    // SAFETY: as above.
    unsafe { transmute::<usize, extern "C" fn(i32) -> i32>(veneer(4))(handle) };
}

pub fn failure(record: &mut [u32; 4]) -> i32 {
    // SAFETY: as above; the manager writes 16 bytes there.
    unsafe { transmute::<usize, extern "C" fn(&mut [u32; 4], usize) -> i32>(veneer(5))(record, 16) }
}
