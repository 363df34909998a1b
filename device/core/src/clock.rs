//! The rules of time.

use ringfort_trust::TimeFloor;
use ringfort_trust::ids::UnixTime;

/// Seconds since the host started, from a counter that nobody can set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(pub u64);

/// The device's time: what an order key signed in answer to a fresh nonce, and what has passed
/// since by the host's own counter. The clock on the wall is not asked and never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    signed: Option<(UnixTime, Uptime)>,
}

impl Clock {
    /// A clock that has not been set.
    pub const fn new() -> Clock {
        Clock { signed: None }
    }

    /// Has signed time been received since the host started?
    pub fn is_trusted(&self) -> bool {
        self.signed.is_some()
    }

    /// Sets the time, in either direction. `time` is already raised to the floor.
    pub fn set(&mut self, time: UnixTime, at: Uptime) {
        self.signed = Some((time, at));
    }

    /// The best time there is; the floor where no time was signed yet.
    pub fn now(&self, floor: &TimeFloor, at: Uptime) -> UnixTime {
        match self.signed {
            Some((time, since)) => {
                let passed = at.0.saturating_sub(since.0);
                floor.signed_time(UnixTime(time.0.saturating_add(passed)))
            }
            None => floor.value(),
        }
    }

    /// The time at which to validate a TLS certificate chain. Without trusted time it is the later
    /// of the floor and the latest notBefore in the chain; then nothing but signed time may be
    /// fetched over the connection, and the chain is validated again after it.
    pub fn tls_time(&self, floor: &TimeFloor, latest_not_before: UnixTime, at: Uptime) -> UnixTime {
        match self.signed {
            Some(_) => self.now(floor, at),
            None => floor.tls_validation_time(latest_not_before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(value: u64) -> TimeFloor {
        TimeFloor { build: UnixTime(value), ..TimeFloor::default() }
    }

    #[test]
    fn without_signed_time_there_is_no_dead_end_and_no_trust() {
        let clock = Clock::new();
        assert!(!clock.is_trusted());
        assert_eq!(clock.now(&floor(100), Uptime(7)), UnixTime(100));
        // Off for two years: the certificate's notBefore is far above the floor.
        assert_eq!(clock.tls_time(&floor(100), UnixTime(900), Uptime(7)), UnixTime(900));
        assert_eq!(clock.tls_time(&floor(100), UnixTime(50), Uptime(7)), UnixTime(100));
    }

    #[test]
    fn signed_time_runs_with_the_counter_and_overrides_both_ways_down_to_the_floor() {
        let mut clock = Clock::new();
        clock.set(UnixTime(1000), Uptime(10));
        assert_eq!(clock.now(&floor(100), Uptime(15)), UnixTime(1005));
        assert_eq!(clock.tls_time(&floor(100), UnixTime(5000), Uptime(15)), UnixTime(1005));
        clock.set(UnixTime(500), Uptime(20));
        assert_eq!(clock.now(&floor(100), Uptime(20)), UnixTime(500));
        assert_eq!(clock.now(&floor(700), Uptime(20)), UnixTime(700));
        assert_eq!(clock.now(&floor(100), Uptime(3)), UnixTime(500), "a counter never runs back");
    }
}
