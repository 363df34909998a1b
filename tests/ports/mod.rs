//! Ports that a program which is started later can listen on.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

/// Ports of this machine at which nobody listens, below those that the kernel gives to connections:
/// one of those could be taken before the program comes to it.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let mut sockets = Vec::new();
    while sockets.len() < N {
        let port = LOWEST + (RandomState::new().hash_one(()) % COUNT) as u16;
        sockets.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    std::array::from_fn(|at| sockets[at].local_addr().unwrap().port())
}

const LOWEST: u16 = 10_000;
/// Up to 31,999; Linux gives connections 32,768 and above.
const COUNT: u64 = 22_000;
