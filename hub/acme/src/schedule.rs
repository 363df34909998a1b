//! When to renew, and when to try again.

use std::time::Duration;

/// How long is waited after a failure: doubled each time, from the first to the most, with a
/// quarter more or less.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// After the first failure.
    pub first: Duration,
    /// However often it failed.
    pub most: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { first: Duration::from_secs(60), most: Duration::from_secs(6 * 3600) }
    }
}

impl Patience {
    /// How long to wait after so many failures in a row. `chance` is between 0 and 1.
    pub(crate) fn after(&self, failures: u32, chance: f64) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(20));
        let wait = self.first.saturating_mul(doubled).min(self.most);
        wait.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

/// When to renew a certificate without advice: after two thirds of its life, and up to a thirtieth
/// later, so that not all come at once. Unix seconds; `chance` is between 0 and 1.
pub(crate) fn due(not_before: u64, not_after: u64, chance: f64) -> u64 {
    let life = not_after.saturating_sub(not_before);
    let spread = (life as f64 / 30.0 * chance.clamp(0.0, 1.0)) as u64;
    not_before.saturating_add(life / 3 * 2).saturating_add(spread)
}

/// When to renew by the authority's advice (RFC 9773, section 4.2): a moment in its window, but
/// never after the end of the certificate's first five sixths, whatever the advice.
pub(crate) fn advised(window: (u64, u64), not_before: u64, not_after: u64, chance: f64) -> u64 {
    let (start, end) = window;
    let width = end.saturating_sub(start) as f64;
    let moment = start.saturating_add((width * chance.clamp(0.0, 1.0)) as u64);
    let life = not_after.saturating_sub(not_before);
    moment.min(not_before.saturating_add(life / 6 * 5))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn renewal_begins_after_two_thirds_and_within_a_thirtieth_more() {
        assert_eq!(due(0, 90 * DAY, 0.0), 60 * DAY);
        assert_eq!(due(0, 90 * DAY, 1.0), 63 * DAY);
        // One of six days, as some authorities give.
        assert_eq!(due(100, 100 + 6 * DAY, 0.0), 100 + 4 * DAY);
        // A clock that stands before the certificate, or one without a life: at once.
        assert_eq!(due(5, 5, 0.5), 5);
    }

    #[test]
    fn advice_is_followed_within_reason() {
        let at = |start, end, chance| advised((start * DAY, end * DAY), 0, 90 * DAY, chance) / DAY;
        assert_eq!((at(50, 52, 0.0), at(50, 52, 1.0)), (50, 52));
        // Revoked: the window is in the past, so it is due.
        assert_eq!(at(1, 2, 0.5), 1);
        // Bad advice would let it end.
        assert_eq!(at(89, 120, 1.0), 75);
    }

    #[test]
    fn failures_are_followed_by_ever_longer_waits_up_to_a_bound() {
        let patience = Patience::default();
        let seconds = |failures, chance| patience.after(failures, chance).as_secs();
        assert_eq!((seconds(1, 0.5), seconds(2, 0.5), seconds(3, 0.5)), (60, 120, 240));
        assert_eq!((seconds(1, 0.0), seconds(1, 1.0)), (45, 75));
        assert_eq!(seconds(50, 0.5), 6 * 3600);
        assert_eq!(seconds(u32::MAX, 1.0), 27_000);
    }
}
