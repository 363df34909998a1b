//! Orders that came on a medium: a technician at a device that reaches no hub.
//!
//! The device judges the same as ever. The order is for it alone and has a number above every
//! finished one; it carries no nonce, so it sets no clock: its time only raises the floor
//! (docs/formats.md, order and signed time). The hub hears of it at the next check-in.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use ringfort_cose::{AwsLc, Reason, Sha256Digest};
use ringfort_device::Record;
use ringfort_messages::{CheckIn, DeviceId, Report};
use ringfort_trust::ids::{AnchorsVersion, OrderNumber};
use ringfort_trust::{Content, Document, Token};
use tracing::info;

use crate::disk::{Disk, storage};
use crate::hub::{BodyError, Hub, ObjectBody};
use crate::runner::{LocalRunner, Runner};
use crate::session::Session;
use crate::update::{Driver, manifest_of, mark_end};
use crate::{AgentConfig, AgentError};

/// What lies on the medium.
#[derive(Clone, Debug, Default)]
pub struct Medium {
    /// The order, a token of the hub.
    pub order: Vec<u8>,
    /// The command that the order names, if it names one.
    pub command: Option<Vec<u8>>,
    /// The directory of the release that it names: `release.suit`, and payloads in `objects/`, each
    /// named by its SHA-256.
    pub release: Option<PathBuf>,
    /// A directory with anchors, `N.cbor`, to be taken first.
    pub anchors: Option<PathBuf>,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The device's name.
    pub device: DeviceId,
    /// The order's number.
    pub order: OrderNumber,
    /// `install`, `wipe-operational`, `debug-unlock`, `decommission`.
    pub action: &'static str,
    /// How far it is: `confirmed`, `reverted`, `failed`; `offered` or `downloading` where the
    /// release is not on the medium; `trial` where a restart of the machine goes on with it.
    pub state: &'static str,
    /// Why it is in that state.
    pub reason: Option<Reason>,
    /// More about the reason; may be empty.
    pub detail: String,
}

/// Carries out an order that came on a medium, while no agent runs. Programs are run by this
/// process itself.
///
/// # Errors
/// [`AgentError::NoIdentity`], [`AgentError::Busy`], [`AgentError::Decommissioned`];
/// [`AgentError::Order`] when the order, or what it names, is refused: nothing was done;
/// [`AgentError::State`] while another command is being carried out.
pub async fn apply(config: &AgentConfig, medium: &Medium) -> Result<Applied, AgentError> {
    apply_with(config, Disk::default(), medium, &mut LocalRunner { config: config.clone() }).await
}

pub(crate) async fn apply_with<R: Runner>(
    config: &AgentConfig,
    disk: Disk,
    medium: &Medium,
    runner: &mut R,
) -> Result<Applied, AgentError> {
    let mut session = Session::open(config, disk)?;
    if session.is_decommissioned() {
        mark_end(&session)?;
        return Err(AgentError::Decommissioned);
    }
    if session.device.record().command.is_some() {
        return Err(AgentError::State("a command is being carried out: start the agent".into()));
    }
    let under_way = session.device.record().update.map(|update| update.order);
    let mut files = Files { release: medium.release.clone(), anchors: medium.anchors.clone() };
    let mut driver = Driver::new(&mut session, &mut files, runner);
    let driven = driver.apply(&medium.order, medium.command.as_deref()).await;
    let refused = driver.refused();
    match driven {
        // It was put out of use by this very order.
        Err(AgentError::Decommissioned) => {}
        other => other?,
    }
    let token = session.with_anchors(|anchors| Token::verify(&medium.order, anchors, &AwsLc))?;
    let claims = *token.map_err(AgentError::Order)?.claims();
    let Content::Order(order) = claims.content else {
        return Err(AgentError::Order(refused.unwrap_or(Reason::NonceMismatch)));
    };
    match refused {
        // It had waited for what is on the medium now, and was done before it was handed over again.
        Some(Reason::OrderReplayed) if under_way == Some(order.number) => {}
        Some(reason) => return Err(AgentError::Order(reason)),
        None => {}
    }
    let Some((state, reason, detail)) = outcome(session.device.record(), order.number) else {
        // Neither refused nor taken: what is on trial ends first.
        return Err(AgentError::Order(Reason::TrialNotConfirmed));
    };
    info!(order = %order.number, action = order.task.name(), state, "the order from the medium");
    Ok(Applied {
        device: session.installed.device,
        order: order.number,
        action: order.task.name(),
        state,
        reason,
        detail,
    })
}

/// How far the record is with this order.
fn outcome(record: &Record, order: OrderNumber) -> Option<(&'static str, Option<Reason>, String)> {
    let update = record.update.filter(|update| update.order == order);
    if let Some(update) = update {
        return Some((update.phase.state().name(), None, String::new()));
    }
    if record.command.is_some_and(|command| command.order == order) {
        return Some(("written", None, String::new()));
    }
    let last = record.last.filter(|last| last.order == order)?;
    Some((last.state.name(), last.reason, last.detail.to_string()))
}

/// The medium in the place of the hub.
struct Files {
    release: Option<PathBuf>,
    anchors: Option<PathBuf>,
}

impl Hub for Files {
    fn is_there(&self) -> bool {
        false
    }

    async fn check_in(&mut self, _: &CheckIn) -> Result<Vec<u8>, AgentError> {
        Err(away())
    }

    async fn manifest(&mut self, manifest: &Sha256Digest) -> Result<Vec<u8>, AgentError> {
        let release = self.release.as_deref().ok_or_else(away)?;
        let path = release.join("release.suit");
        let mut envelope = Vec::new();
        let file = open(&path)?;
        file.take(MAX_ENVELOPE).read_to_end(&mut envelope).map_err(storage(&path))?;
        match manifest_of(&envelope).as_ref() == Some(manifest) {
            true => Ok(envelope),
            false => Err(AgentError::answer(
                Reason::ManifestDigest,
                format!("{} is another release than the order names", path.display()),
            )),
        }
    }

    async fn object(&mut self, digest: &Sha256Digest, from: u64) -> Result<ObjectBody, AgentError> {
        let release = self.release.as_deref().ok_or_else(away)?;
        let path = release.join("objects").join(digest.to_string());
        if fs::symlink_metadata(&path).is_err() {
            // Another medium may hold it.
            return Err(away());
        }
        let mut file = open(&path)?;
        file.seek(SeekFrom::Start(from)).map_err(storage(&path))?;
        Ok(ObjectBody { from, body: Reading { file }.boxed_unsync() })
    }

    async fn anchors(&mut self, version: AnchorsVersion) -> Result<Option<Vec<u8>>, AgentError> {
        let Some(directory) = &self.anchors else { return Ok(None) };
        let path = directory.join(format!("{version}.cbor"));
        if !path.exists() {
            return Ok(None);
        }
        let mut document = Vec::new();
        let most = Document::MAX_LEN as u64 + 1;
        open(&path)?.take(most).read_to_end(&mut document).map_err(storage(&path))?;
        Ok(Some(document))
    }

    async fn report(&mut self, _: &Report) -> Result<(), AgentError> {
        Err(away())
    }
}

/// Opens a regular file, and nothing that a medium may have in its place: a link out of it, a pipe
/// that never ends.
fn open(path: &Path) -> Result<File, AgentError> {
    let found = fs::symlink_metadata(path).map_err(storage(path))?;
    if !found.is_file() {
        return Err(storage(path)(io::Error::other("it is not a regular file")));
    }
    File::open(path).map_err(storage(path))
}

fn away() -> AgentError {
    AgentError::Unreachable {
        address: "the hub".to_owned(),
        problem: "only what is on the medium is there".to_owned(),
    }
}

/// A file, piece by piece.
struct Reading {
    file: File,
}

impl Body for Reading {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut piece = vec![0; PIECE_BYTES];
        Poll::Ready(match self.file.read(&mut piece) {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(error.into())),
        })
    }
}

/// Bytes of an envelope that are read: more than any has.
const MAX_ENVELOPE: u64 = 64 * 1024 + 1;
const PIECE_BYTES: usize = 64 * 1024;

#[cfg(test)]
#[path = "offline_tests.rs"]
mod tests;
