//! The connections that are open: counted, bounded, closed when their holder loses access.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ringfort_gateway::ConnectionHandle;
use ringfort_messages::DeviceId;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) all: usize,
    pub(crate) per_address: usize,
}

/// The open connections of one listener.
pub(crate) struct Connections {
    caps: Caps,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    handles: HashMap<u64, (IpAddr, ConnectionHandle)>,
    per_address: HashMap<IpAddr, usize>,
}

/// One open connection; it is struck off when this is dropped.
pub(crate) struct OpenConnection {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) handle: ConnectionHandle,
}

impl Connections {
    pub(crate) fn new(caps: Caps) -> Arc<Connections> {
        Arc::new(Connections { caps, open: Mutex::default() })
    }

    /// Admits a connection, or none when there are too many, in all or from this address.
    pub(crate) fn admit(
        self: &Arc<Connections>,
        address: IpAddr,
        handle: ConnectionHandle,
    ) -> Option<OpenConnection> {
        let mut open = self.lock();
        let from_there = open.per_address.get(&address).copied().unwrap_or_default();
        if open.handles.len() >= self.caps.all || from_there >= self.caps.per_address {
            return None;
        }
        open.next += 1;
        let number = open.next;
        open.handles.insert(number, (address, handle.clone()));
        open.per_address.insert(address, from_there + 1);
        Some(OpenConnection { connections: self.clone(), number, handle })
    }

    /// Closes every connection with this device.
    pub(crate) fn close_device(&self, device: DeviceId) {
        let open = self.lock();
        let of_device = open.handles.values().filter(|(_, h)| h.device() == Some(device));
        of_device.for_each(|(_, handle)| handle.close());
    }

    /// Closes every connection with this operator's certificate.
    pub(crate) fn close_operator(&self, fingerprint: [u8; 32]) {
        let open = self.lock();
        let theirs = open.handles.values().filter(|(_, h)| h.operator() == Some(fingerprint));
        theirs.for_each(|(_, handle)| handle.close());
    }

    /// Closes every connection.
    pub(crate) fn close_all(&self) {
        self.lock().handles.values().for_each(|(_, handle)| handle.close());
    }

    /// How many are open that are not an operator's.
    pub(crate) fn of_devices(&self) -> usize {
        self.lock().handles.values().filter(|(_, handle)| handle.operator().is_none()).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        let Some((address, _)) = open.handles.remove(&self.number) else { return };
        if let Some(count) = open.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.per_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_are_not_admitted_and_one_that_ends_makes_room() {
        let connections = Connections::new(Caps { all: 3, per_address: 2 });
        let (here, there): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let admit = |address| connections.admit(address, ConnectionHandle::default());
        let first = admit(here).unwrap();
        let _second = admit(here).unwrap();
        assert!(admit(here).is_none(), "two of one address are enough");
        let _third = admit(there).unwrap();
        assert!(admit(there).is_none(), "three in all are enough");
        drop(first);
        assert!(admit(here).is_some());
        assert_eq!(connections.of_devices(), 2);
    }

    #[tokio::test]
    async fn only_the_connections_of_a_device_are_closed_with_it() {
        let connections = Connections::new(Caps { all: 3, per_address: 3 });
        let [a, b] = ["dev-a", "dev-b"].map(|id| DeviceId::new(id).unwrap());
        let open = |device| {
            let handle = ConnectionHandle::default();
            handle.is_with(device);
            connections.admit([127, 0, 0, 1].into(), handle).unwrap()
        };
        let (of_a, of_b) = (open(a), open(b));
        connections.close_device(a);
        of_a.handle.closed().await;
        assert!(!of_b.handle.is_closing());
    }
}
