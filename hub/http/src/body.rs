use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ringfort_cose::Reason;
use tokio::time::{Instant, timeout, timeout_at};

use crate::Refused;

/// How long and how slow a body may be.
#[derive(Clone, Copy, Debug)]
pub struct BodyBounds {
    /// Bytes at most.
    pub size_bytes: usize,
    /// From the first byte of the request to the last.
    pub time: Duration,
}

/// How slow a stream may be: it is refused once it is behind the rate by more than the grace.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long one piece may take.
    pub idle: Duration,
    /// Bytes per second over the whole transfer.
    pub min_bytes_per_s: u64,
    /// How long the rate is not looked at.
    pub grace: Duration,
}

/// Reads a whole body within its bounds.
///
/// # Errors
/// `too-large`, `slow-transfer`, or `transfer-failed` when the peer went away.
pub async fn read_body(body: Body, bounds: BodyBounds) -> Result<Bytes, Reason> {
    let collected = timeout(bounds.time, Limited::new(body, bounds.size_bytes).collect()).await;
    match collected {
        Err(_) => Err(Reason::SlowTransfer),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Reason::TooLarge),
        Ok(Err(_)) => Err(Reason::TransferFailed),
    }
}

/// A body as a stream that fails when its peer is too slow.
///
/// # Errors
/// Items: `slow-transfer`, or `transfer-failed` when the peer went away. Nothing follows an error.
pub fn paced(body: Body, pace: Pace) -> impl Stream<Item = Result<Bytes, Reason>> + Send {
    let state = (body.into_data_stream(), Instant::now(), 0u64, false);
    stream::unfold(state, move |(mut data, begun, mut received, ended)| async move {
        if ended {
            return None;
        }
        let patience = pace.grace + Duration::from_secs(received / pace.min_bytes_per_s.max(1));
        let deadline = (begun + patience).min(Instant::now() + pace.idle);
        let item = match timeout_at(deadline, data.next()).await {
            Err(_) => Err(Reason::SlowTransfer),
            Ok(None) => return None,
            Ok(Some(Ok(bytes))) => Ok(bytes),
            Ok(Some(Err(_))) => Err(Reason::TransferFailed),
        };
        received += item.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let ended = item.is_err();
        Some((item, (data, begun, received, ended)))
    })
}

/// Middleware: takes in what a refused request still has to say, within its state's bounds, while
/// the refusal is on its way. Clients that are cut off while they send may never read it.
pub async fn hear_out(State(bounds): State<BodyBounds>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let lent = Arc::new(Mutex::new(Some(body.into_data_stream())));
    let borrowed = Body::from_stream(Borrowed(lent.clone()));
    let response = next.run(Request::from_parts(parts, borrowed)).await;
    // Who was too slow already is not waited for again.
    let refused = response.extensions().get::<Refused>();
    if refused.is_some_and(|refused| refused.reason != Reason::SlowTransfer) {
        let rest = lent.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(rest) = rest {
            tokio::spawn(timeout(bounds.time, discard(rest, bounds.size_bytes)));
        }
    }
    response
}

/// A body that its owner takes back.
struct Borrowed(Arc<Mutex<Option<BodyDataStream>>>);

impl Stream for Borrowed {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lent.as_mut() {
            Some(stream) => Pin::new(stream).poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

async fn discard(mut rest: BodyDataStream, size_bytes: usize) {
    let mut heard = 0;
    while let Some(Ok(piece)) = rest.next().await {
        heard += piece.len();
        if heard > size_bytes {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: BodyBounds = BodyBounds { size_bytes: 4, time: Duration::from_secs(60) };

    fn pieces(pieces: &'static [&'static [u8]], then_silence: bool) -> Body {
        let given = stream::iter(pieces.iter().map(|piece| Ok::<_, std::io::Error>(*piece)));
        match then_silence {
            true => Body::from_stream(given.chain(stream::pending())),
            false => Body::from_stream(given),
        }
    }

    #[tokio::test]
    async fn a_body_of_just_the_bound_is_read_and_one_byte_more_refused() {
        assert_eq!(read_body(pieces(&[b"ab", b"cd"], false), BOUNDS).await.unwrap(), "abcd");
        let long = read_body(pieces(&[b"ab", b"cd", b"e"], false), BOUNDS).await;
        assert_eq!(long, Err(Reason::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let slow = read_body(pieces(&[b"ab"], true), BOUNDS).await;
        assert_eq!(slow, Err(Reason::SlowTransfer));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_falls_behind_is_refused_and_a_steady_one_is_not() {
        let pace = Pace {
            idle: Duration::from_secs(10),
            min_bytes_per_s: 2,
            grace: Duration::from_secs(5),
        };
        let every = |seconds| {
            Body::from_stream(stream::unfold(0, move |sent| async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                (sent < 20).then(|| (Ok::<_, std::io::Error>("ab"), sent + 1))
            }))
        };
        let steady: Vec<_> = paced(every(1), pace).collect().await;
        assert_eq!(steady, vec![Ok(Bytes::from("ab")); 20]);
        let behind: Vec<_> = paced(every(3), pace).collect().await;
        assert_eq!(behind.last(), Some(&Err(Reason::SlowTransfer)));
        assert!(behind.len() < 20);
    }
}
