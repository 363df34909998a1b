//! Transfers that crawl or are another's: a body that is fed by hand, and then stalls.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use ringfort_cose::{AwsLc, Reason, Sha256Digest, Verify};
use ringfort_messages::{CheckIn, Report};
use ringfort_trust::ids::AnchorsVersion;

use super::{Limits, download};
use crate::AgentError;
use crate::disk::Disk;
use crate::hub::{Hub, ObjectBody};

/// A hub whose object is one body.
struct OneBody(Option<ObjectBody>);

impl Hub for OneBody {
    async fn check_in(&mut self, _: &CheckIn) -> Result<Vec<u8>, AgentError> {
        Err(AgentError::answer(Reason::NotFound, ""))
    }
    async fn manifest(&mut self, _: &Sha256Digest) -> Result<Vec<u8>, AgentError> {
        Err(AgentError::answer(Reason::NotFound, ""))
    }
    async fn object(&mut self, _: &Sha256Digest, _: u64) -> Result<ObjectBody, AgentError> {
        self.0.take().ok_or_else(|| AgentError::answer(Reason::NotFound, ""))
    }
    async fn anchors(&mut self, _: AnchorsVersion) -> Result<Option<Vec<u8>>, AgentError> {
        Ok(None)
    }
    async fn report(&mut self, _: &Report) -> Result<(), AgentError> {
        Ok(())
    }
}

/// Gives its pieces, and then nothing for ever.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.pop_front().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
    }
}

const PAYLOAD: &[u8] = b"a payload of forty bytes, not one more..";

async fn fetch(pieces: &[&'static [u8]], limits: &Limits) -> Result<(), AgentError> {
    let dir = tempfile::tempdir().unwrap();
    let body = Pieces(pieces.iter().map(|piece| Bytes::from_static(piece)).collect());
    let body = body.map_err(Into::into).boxed_unsync();
    let mut hub = OneBody(Some(ObjectBody { from: 0, body }));
    let digest = AwsLc.sha256(&[PAYLOAD]);
    let part = dir.path().join("part");
    let size = PAYLOAD.len() as u64;
    download(&mut hub, &Disk::default(), &part, &digest, size, limits).await
}

fn limits(bytes_per_window: u64) -> Limits {
    Limits { max_bytes: 1000, window: Duration::from_millis(50), bytes_per_window }
}

#[tokio::test]
async fn a_transfer_that_stalls_is_given_up_and_a_steady_one_is_not() {
    let stalled = fetch(&[&PAYLOAD[..10]], &limits(1)).await.unwrap_err();
    assert_eq!(stalled.reason(), Reason::SlowTransfer, "{stalled}");
    let crawling = fetch(&[&PAYLOAD[..10]], &limits(1000)).await.unwrap_err();
    assert_eq!(crawling.reason(), Reason::SlowTransfer, "{crawling}");
    fetch(&[&PAYLOAD[..10], &PAYLOAD[10..]], &limits(1)).await.unwrap();
}

#[tokio::test]
async fn one_byte_more_than_announced_is_refused() {
    let longer = fetch(&[PAYLOAD, b"+"], &limits(1)).await.unwrap_err();
    assert_eq!(longer.reason(), Reason::ImageSize, "{longer}");
    fetch(&[PAYLOAD], &limits(1)).await.unwrap();
}

#[tokio::test]
async fn another_payload_of_the_same_size_is_refused() {
    let other = fetch(&[b"a payload of forty bytes, but another..."], &limits(1)).await;
    assert_eq!(other.unwrap_err().reason(), Reason::ImageDigest);
}

#[tokio::test]
async fn a_payload_beyond_the_configured_size_is_not_asked_for() {
    let small = Limits { max_bytes: 39, ..limits(1) };
    assert_eq!(fetch(&[PAYLOAD], &small).await.unwrap_err().reason(), Reason::TooLarge);
}

/// So many bytes, one an hour.
struct Crawling(Pin<Box<tokio::time::Sleep>>, usize);

impl Body for Crawling {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        std::task::ready!(std::future::Future::poll(self.0.as_mut(), cx));
        let Some(left) = self.1.checked_sub(1) else { return Poll::Ready(None) };
        self.1 = left;
        self.0 = Box::pin(tokio::time::sleep(Duration::from_secs(3600)));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_keeps_its_rate_for_ever_is_given_up_after_a_day() {
    let slow =
        Limits { max_bytes: 1000, window: Duration::from_secs(2 * 3600), bytes_per_window: 1 };
    let fetch = async |payload: &'static [u8]| {
        let dir = tempfile::tempdir().unwrap();
        let body = Crawling(Box::pin(tokio::time::sleep(Duration::ZERO)), payload.len());
        let mut hub =
            OneBody(Some(ObjectBody { from: 0, body: body.map_err(Into::into).boxed_unsync() }));
        let digest = AwsLc.sha256(&[payload]);
        let part = dir.path().join("part");
        let size = payload.len() as u64;
        let begun = tokio::time::Instant::now();
        let fetched = download(&mut hub, &Disk::default(), &part, &digest, size, &slow).await;
        (fetched, begun.elapsed().as_secs() / 3600)
    };
    let (refused, hours) = fetch(&[b'.'; 100]).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::SlowTransfer);
    assert!(hours <= 25, "{hours} hours");
    let (fetched, _) = fetch(&[b'.'; 20]).await;
    fetched.unwrap();
}
