//! Ports that a program which is started later can listen on.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::{TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// Ports of this machine at which nobody listens, this process's own until it ends.
///
/// The programs come to theirs much later, and may leave them for a while. Nobody gets them
/// meanwhile: not the kernel's connections, which have ports of a range of their own, and no other
/// test, whichever process it runs in, for each holds the UDP socket of the same number first.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static HELD: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let connections = of_connections();
    std::array::from_fn(|_| {
        loop {
            let port = LOWEST + (RandomState::new().hash_one(()) % COUNT) as u16;
            if connections.contains(&port) {
                continue;
            }
            let Ok(own) = UdpSocket::bind(("127.0.0.1", port)) else { continue };
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                HELD.lock().unwrap_or_else(PoisonError::into_inner).push(own);
                return port;
            }
        }
    })
}

/// What the kernel gives to connections (ip(7)), unless that is all there is.
fn of_connections() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().filter_map(|word| word.parse::<u16>().ok());
    let (Some(first), Some(last)) = (numbers.next(), numbers.next()) else {
        return 32_768..=60_999;
    };
    let left = first.saturating_sub(LOWEST) + (LOWEST + COUNT as u16).saturating_sub(last);
    if left < ENOUGH { 0..=0 } else { first..=last }
}

const LOWEST: u16 = 10_000;
const COUNT: u64 = 55_000;
/// Ports to choose among.
const ENOUGH: u16 = 2_000;
