use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use ringfort_cose::Reason;
use tokio::time::Instant;

use crate::Refused;

/// How much one sender may ask for: so many at once, and as many a second in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second.
    pub per_second: u32,
    /// Requests at once after a time of silence.
    pub burst: u32,
}

/// Who sent a request, as far as shares go. Put into its extensions by whoever ended TLS.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// Where from.
    pub address: IpAddr,
    /// SHA-256 of the certificate.
    pub certificate: Option<[u8; 32]>,
}

/// The shares of a listener's senders: by certificate and by address.
///
/// Memory is bounded whoever comes: a sender is two cells of a fixed table, chosen by a hash under
/// a random key, and is refused only when both say that its share is used up. Another sender may
/// share one cell with it, hardly ever both, and nobody can choose whose.
pub struct Shares {
    by_certificate: Table,
    by_address: Table,
}

impl Shares {
    /// Shares of these sizes.
    pub fn new(by_certificate: Rate, by_address: Rate) -> Arc<Shares> {
        let (by_certificate, by_address) = (Table::new(by_certificate), Table::new(by_address));
        Arc::new(Shares { by_certificate, by_address })
    }

    /// Takes one request out of its sender's shares.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(&self, sender: &Sender) -> Result<(), Duration> {
        if let Some(certificate) = &sender.certificate {
            self.by_certificate.take(certificate, 1)?;
        }
        self.by_address.take(&network(sender.address), 1)
    }

    /// Takes a handshake out of an address's share: it costs the hub as much as many requests.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take_handshake(&self, address: IpAddr) -> Result<(), Duration> {
        self.by_address.take(&network(address), HANDSHAKE)
    }
}

/// Middleware: refuses who asks for more than its share.
pub async fn fair_share(
    State(shares): State<Arc<Shares>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(sender) = request.extensions().get::<Sender>() else {
        return Refused::new(Reason::Internal, "no sender in the request").into_response();
    };
    let Err(wait) = shares.take(sender) else { return next.run(request).await };
    // Whole seconds, and never nought (RFC 9110, section 10.2.3).
    let seconds = wait.as_secs() + 1;
    let detail = format!("try again in {seconds} s");
    let mut response = Refused::new(Reason::TooManyRequests, detail).into_response();
    if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

/// Leaky buckets in two rows. A cell holds the time, in nanoseconds since the table was made, at
/// which its bucket will have run empty.
struct Table {
    rows: [Row; 2],
    interval_ns: u64,
    depth_ns: u64,
    begun: Instant,
}

struct Row {
    hasher: std::hash::RandomState,
    cells: Box<[AtomicU64]>,
}

impl Table {
    fn new(rate: Rate) -> Table {
        let interval_ns = SECOND_NS / u64::from(rate.per_second.max(1));
        let row = || Row {
            hasher: std::hash::RandomState::new(),
            cells: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
        };
        Table {
            rows: [row(), row()],
            interval_ns,
            depth_ns: interval_ns.saturating_mul(u64::from(rate.burst.max(1))),
            begun: Instant::now(),
        }
    }

    fn take(&self, sender: &[u8], cost: u64) -> Result<(), Duration> {
        let now = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let full = now.saturating_add(self.depth_ns);
        let cells = self.rows.each_ref().map(|row| row.cell(sender));
        let soonest = cells.map(|cell| cell.load(Ordering::Relaxed)).into_iter().min();
        let empty_at = soonest.unwrap_or_default().max(now);
        let filled = empty_at.saturating_add(self.interval_ns.saturating_mul(cost));
        if filled > full {
            return Err(Duration::from_nanos(filled - full));
        }
        for cell in cells {
            // Two at once may both read the same; each of them is counted.
            let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |empty_at| {
                let filled = empty_at.max(now).saturating_add(self.interval_ns * cost);
                // A cell that others fill too does not lead further than it has to.
                Some(filled.min(full))
            });
        }
        Ok(())
    }
}

impl Row {
    fn cell(&self, sender: &[u8]) -> &AtomicU64 {
        // The remainder is below the number of cells.
        &self.cells[self.hasher.hash_one(sender) as usize % CELLS]
    }
}

/// What counts as one address: for IPv6 the network of one site (RFC 6177).
fn network(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            octets
        }
    }
}

const SECOND_NS: u64 = 1_000_000_000;
/// Of each row: 512 KiB.
const CELLS: usize = 65_536;
/// What a handshake costs, in requests.
const HANDSHAKE: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 5 };

    fn sender(address: &str, certificate: u8) -> Sender {
        Sender { address: address.parse().unwrap(), certificate: Some([certificate; 32]) }
    }

    fn plenty() -> Rate {
        Rate { per_second: 1_000_000, burst: 1_000_000 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_then_as_many_as_the_rate_says() {
        let shares = Shares::new(RATE, plenty());
        let who = sender("192.0.2.1", 1);
        let taken = |times: usize| (0..times).filter(|_| shares.take(&who).is_ok()).count();
        assert_eq!(taken(20), 5);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(taken(20), 1);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(taken(20), 5, "silence earns no more than a burst");
        assert!(shares.take(&who).unwrap_err() <= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn one_sender_does_not_use_up_the_share_of_another() {
        let shares = Shares::new(RATE, plenty());
        while shares.take(&sender("192.0.2.1", 1)).is_ok() {}
        assert!(shares.take(&sender("192.0.2.1", 2)).is_ok());
        let shares = Shares::new(plenty(), RATE);
        while shares.take(&sender("192.0.2.1", 1)).is_ok() {}
        assert!(shares.take(&sender("192.0.2.1", 2)).is_err(), "an address with many certificates");
        assert!(shares.take(&sender("192.0.2.2", 1)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn handshakes_without_a_certificate_are_counted_by_address() {
        let shares = Shares::new(plenty(), Rate { per_second: 10, burst: 25 });
        let address = "192.0.2.1".parse().unwrap();
        assert!(shares.take_handshake(address).is_ok());
        assert!(shares.take_handshake(address).is_ok());
        assert!(shares.take_handshake(address).is_err());
        assert!(shares.take_handshake("192.0.2.2".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_site_is_one_sender_whatever_addresses_it_takes() {
        let network = |text: &str| super::network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_thousand_senders_do_not_get_into_each_others_way() {
        let shares = Shares::new(RATE, plenty());
        let refused = (0_u32..100_000)
            .filter(|number| {
                let mut certificate = [0; 32];
                certificate[..4].copy_from_slice(&number.to_be_bytes());
                let who = Sender { address: [127, 0, 0, 1].into(), certificate: Some(certificate) };
                shares.take(&who).is_err()
            })
            .count();
        // Each asks once, all within one moment: with five at once almost nobody is refused.
        assert!(refused < 100, "{refused} were refused for what others did");
    }
}
