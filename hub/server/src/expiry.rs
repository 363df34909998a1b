//! Warnings in the log before certificates end: at 365, 90 and 30 days, like metrics and doctor.

use std::time::Duration;

use ringfort_fleet::{Fleet, Operator};
use ringfort_pki::{CertificateInfo, validity};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::tls::unix_now;
use crate::{PublicIdentity, gauges};

/// A certificate and its time. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

/// How urgent an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// What it vouched for is refused.
    Ended,
    /// It ends within so many days.
    Within(u64),
}

/// What is looked at every day while the server runs.
pub(crate) struct Watch {
    pub(crate) fleet: Fleet,
    pub(crate) authorities: Vec<Ending>,
    pub(crate) public: Option<watch::Receiver<Option<PublicIdentity>>>,
}

impl Watch {
    /// Warns at the start and then every day until the server stops.
    pub(crate) async fn run(self, stopping: CancellationToken) {
        let mut days = interval(Duration::from_secs(DAY_S));
        days.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = days.tick() => {}
            }
            let now = unix_now();
            for ending in self.endings().await {
                if let Some(urgency) = urgency(&ending, now) {
                    warn(&ending, urgency, now);
                }
            }
        }
    }

    async fn endings(&self) -> Vec<Ending> {
        let mut endings = self.authorities.clone();
        let sites = self.fleet.sites(&Operator::at_the_host("expiry")).await.unwrap_or_default();
        for site in sites.into_iter().filter(|site| site.revoked_ms.is_none()) {
            if let Ok(info) = CertificateInfo::parse(&site.factory_ca) {
                endings.push(Ending {
                    kind: "factory-ca",
                    name: site.id.to_string(),
                    not_before: info.not_before,
                    not_after: info.not_after,
                });
            }
        }
        let public = self.public.as_ref().and_then(|public| public.borrow().clone());
        if let Some(public) = public {
            gauges::public_certificate(public.not_after());
            let leaf = public.certified.cert.first();
            if let Some(Ok((not_before, not_after))) = leaf.map(|leaf| validity(leaf)) {
                let (kind, name) = ("operator-listener", String::new());
                endings.push(Ending { kind, name, not_before, not_after });
            }
        }
        endings
    }
}

/// How urgent the end of a certificate is. One that was made for a shorter time than a warning is
/// early is not warned about that early.
fn urgency(ending: &Ending, now: u64) -> Option<Urgency> {
    let left = ending.not_after.saturating_sub(now);
    let life = ending.not_after.saturating_sub(ending.not_before);
    if left == 0 {
        return Some(Urgency::Ended);
    }
    let nearest = WARN_DAYS.into_iter().find(|days| left < days * DAY_S && life > 2 * days * DAY_S);
    nearest.map(Urgency::Within)
}

fn warn(ending: &Ending, urgency: Urgency, now: u64) {
    let Ending { kind, name, not_after, .. } = ending;
    let days_left = not_after.saturating_sub(now) / DAY_S;
    match urgency {
        Urgency::Ended => {
            tracing::error!(certificate = kind, name, not_after, "a certificate has ended");
        }
        Urgency::Within(days) => {
            tracing::warn!(
                certificate = kind,
                name,
                not_after,
                days_left,
                "a certificate ends within {days} days"
            );
        }
    }
}

const DAY_S: u64 = 24 * 3600;
/// The nearest first.
const WARN_DAYS: [u64; 3] = [30, 90, 365];

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_000_000;

    fn ending(life_days: u64, left_days: u64) -> Ending {
        let not_after = NOW + left_days * DAY_S;
        let not_before = not_after - life_days * DAY_S;
        Ending { kind: "device-ca", name: String::new(), not_before, not_after }
    }

    #[test]
    fn the_nearest_of_three_warnings_is_given() {
        for (left, expected) in [
            (0, Some(Urgency::Ended)),
            (1, Some(Urgency::Within(30))),
            (29, Some(Urgency::Within(30))),
            (30, Some(Urgency::Within(90))),
            (89, Some(Urgency::Within(90))),
            (90, Some(Urgency::Within(365))),
            (364, Some(Urgency::Within(365))),
            (365, None),
        ] {
            assert_eq!(urgency(&ending(1825, left), NOW), expected, "{left} days left");
        }
    }

    #[test]
    fn a_certificate_that_was_made_to_end_soon_is_not_warned_about_from_the_start() {
        assert_eq!(urgency(&ending(30, 20), NOW), None);
        assert_eq!(urgency(&ending(90, 60), NOW), None);
        assert_eq!(urgency(&ending(90, 20), NOW), Some(Urgency::Within(30)));
        assert_eq!(urgency(&ending(30, 0), NOW), Some(Urgency::Ended));
    }
}
