//! The time that is proven to have passed.

use ringfort_cose::Reason;

use crate::ids::UnixTime;

/// The latest time that any object may name: the end of the year 9999.
pub const MAX_UNIX_TIME: UnixTime = UnixTime(253_402_300_799);

/// A time that has certainly passed: the largest of the build time of the device's software, the
/// floor in its anchors, and the last time that a present order key signed.
///
/// A floor proves that something has expired. It never proves "not yet valid", and no clock that
/// nobody signed for moves it. The parts are kept apart because anchors that drop a stolen order
/// key also drop the time that it signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeFloor {
    /// When the running software was built.
    pub build: UnixTime,
    /// The floor in the current anchors ([`crate::Document::time_floor`]).
    pub anchors: UnixTime,
    /// The last time signed by an order key of the current anchors
    /// ([`crate::OrderLedgers::latest_time`]).
    pub orders: UnixTime,
}

impl TimeFloor {
    /// The floor.
    pub fn value(&self) -> UnixTime {
        self.build.max(self.anchors).max(self.orders)
    }

    /// Is something that ends at `end` proven to have ended?
    pub fn proves_expired(&self, end: UnixTime) -> bool {
        end <= self.value()
    }

    /// Time as a fresh signature gives it: it overrides the clock both ways, down to the floor.
    pub fn signed_time(&self, issued: UnixTime) -> UnixTime {
        issued.max(self.value())
    }

    /// The time at which a device without trusted time validates a TLS certificate chain, in order
    /// to fetch signed time and nothing else: the later of the floor and the latest notBefore in
    /// the chain.
    pub fn tls_validation_time(&self, latest_not_before: UnixTime) -> UnixTime {
        latest_not_before.max(self.value())
    }
}

/// Reads a time within its bound.
pub(crate) fn read_time(reader: &mut ringfort_cose::cbor::Reader<'_>) -> Result<UnixTime, Reason> {
    let time = UnixTime(reader.u64()?);
    if time > MAX_UNIX_TIME { Err(Reason::TooLarge) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_largest_part_and_proves_expiry_only() {
        let floor = TimeFloor { build: UnixTime(10), anchors: UnixTime(30), orders: UnixTime(20) };
        assert_eq!(floor.value(), UnixTime(30));
        assert!(floor.proves_expired(UnixTime(30)));
        assert!(!floor.proves_expired(UnixTime(31)));
        assert_eq!(floor.signed_time(UnixTime(5)), UnixTime(30));
        assert_eq!(floor.signed_time(UnixTime(500)), UnixTime(500));
        assert_eq!(floor.tls_validation_time(UnixTime(5)), UnixTime(30));
        assert_eq!(floor.tls_validation_time(UnixTime(50)), UnixTime(50));
    }

    #[test]
    fn dropping_a_stolen_order_key_drops_its_time() {
        let mut floor =
            TimeFloor { build: UnixTime(10), anchors: UnixTime(30), orders: MAX_UNIX_TIME };
        assert!(floor.proves_expired(UnixTime(1_000)));
        floor.orders = UnixTime(0);
        assert!(!floor.proves_expired(UnixTime(1_000)));
    }
}
