//! Fetching a payload: resumed where it was cut, bounded by its size, given up when it crawls.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use http_body_util::BodyExt;
use ringfort_cose::{Reason, Sha256Digest};
use tokio::time::{Instant, timeout_at};

use super::is_of_the_hub;
use super::slots::finish;
use crate::AgentError;
use crate::disk::{Disk, storage};
use crate::hub::Hub;

/// What a transfer may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The largest payload.
    pub(super) max_bytes: u64,
    /// The time over which the rate is taken.
    pub(super) window: Duration,
    /// Bytes that have to come in each.
    pub(super) bytes_per_window: u64,
}

/// Fetches an object into a file: not a byte beyond `size_bytes`, and nothing whose digest differs.
pub(super) async fn download<H: Hub>(
    hub: &mut H,
    disk: &Disk,
    part: &Path,
    digest: &Sha256Digest,
    size_bytes: u64,
    limits: &Limits,
) -> Result<(), AgentError> {
    if size_bytes > limits.max_bytes {
        return Err(AgentError::answer(
            Reason::TooLarge,
            format!("{size_bytes} bytes; update.max_payload_bytes allows {}", limits.max_bytes),
        ));
    }
    let mut partial = Partial::open(part, size_bytes)?;
    let resumed = partial.len;
    if partial.len < size_bytes {
        let mut object = hub.object(digest, partial.len).await.map_err(not_now)?;
        if object.from != partial.len {
            partial.restart(part)?;
        }
        transfer(&mut object.body, &mut partial, part, size_bytes, limits).await?;
    } else if size_bytes > 0 && partial.len > size_bytes {
        partial.restart(part)?;
    }
    disk.sync(&partial.file, part)?;
    if partial.len == size_bytes && finish(partial.hash) == *digest {
        return Ok(());
    }
    disk.remove(part)?;
    match resumed {
        0 => Err(AgentError::answer(Reason::ImageDigest, "the payload is another one")),
        // What was there before a cut may be what is wrong.
        _ => Err(AgentError::answer(Reason::TransferFailed, "the resumed payload is damaged")),
    }
}

/// Whoever does not hand a payload out now may do so after the next check-in: a hub that is busy,
/// or was restored and waits for its people; something between that has an answer of its own. What
/// is to become of the order the check-in says.
fn not_now(error: AgentError) -> AgentError {
    match is_of_the_hub(&error) {
        true => AgentError::answer(Reason::TransferFailed, error.to_string()),
        false => error,
    }
}

async fn transfer<B>(
    body: &mut B,
    partial: &mut Partial,
    part: &Path,
    size_bytes: u64,
    limits: &Limits,
) -> Result<(), AgentError>
where
    B: hyper::body::Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let failed = |reason, detail: String| Err(AgentError::answer(reason, detail));
    let ends = Instant::now() + LONGEST;
    let mut window_ends = Instant::now() + limits.window;
    let mut came = 0;
    while partial.len < size_bytes {
        if Instant::now() >= ends {
            partial.file.sync_data().map_err(storage(part))?;
            return failed(Reason::SlowTransfer, format!("{} bytes in a day", partial.len));
        }
        let data = match timeout_at(window_ends, body.frame()).await {
            Err(_) if came >= limits.bytes_per_window && came > 0 => {
                window_ends = Instant::now() + limits.window;
                came = 0;
                continue;
            }
            Err(_) => {
                partial.file.sync_data().map_err(storage(part))?;
                return failed(
                    Reason::SlowTransfer,
                    format!("{came} bytes in {} ms", limits.window.as_millis()),
                );
            }
            Ok(None) => {
                partial.file.sync_data().map_err(storage(part))?;
                return failed(Reason::TransferFailed, format!("it ended after {}", partial.len));
            }
            Ok(Some(Err(error))) => {
                partial.file.sync_data().map_err(storage(part))?;
                return failed(Reason::TransferFailed, error.to_string());
            }
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        if data.len() as u64 > size_bytes - partial.len {
            return oversize(partial, part);
        }
        partial.append(&data, part)?;
        came += data.len() as u64;
        if Instant::now() >= window_ends {
            if came < limits.bytes_per_window {
                return failed(
                    Reason::SlowTransfer,
                    format!("{came} bytes in {} ms", limits.window.as_millis()),
                );
            }
            window_ends = Instant::now() + limits.window;
            came = 0;
        }
    }
    // Not one byte more.
    match timeout_at(Instant::now() + limits.window, body.frame()).await {
        Ok(Some(Ok(frame))) if frame.data_ref().is_some_and(|data| !data.is_empty()) => {
            oversize(partial, part)
        }
        _ => Ok(()),
    }
}

/// What is not here by then is resumed after the next check-in, and after the spare address was
/// asked: no hub keeps a device from it by a transfer that crawls.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn oversize(partial: &mut Partial, part: &Path) -> Result<(), AgentError> {
    partial.restart(part)?;
    Err(AgentError::answer(Reason::ImageSize, "the payload is longer than its manifest says"))
}

/// A file that grows, with the hash of what it holds.
struct Partial {
    file: File,
    hash: Context,
    len: u64,
}

impl Partial {
    /// Opens what an earlier try left, or a new file. What is too long is not of this payload.
    fn open(path: &Path, size_bytes: u64) -> Result<Partial, AgentError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(storage(path))?;
        let (mut hash, mut len) = (Context::new(&SHA256), 0);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = file.read(&mut buffer).map_err(storage(path))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            len += read as u64;
        }
        let mut partial = Partial { file, hash, len };
        if partial.len > size_bytes {
            partial.restart(path)?;
        }
        Ok(partial)
    }

    fn restart(&mut self, path: &Path) -> Result<(), AgentError> {
        self.file.set_len(0).map_err(storage(path))?;
        std::io::Seek::rewind(&mut self.file).map_err(storage(path))?;
        (self.hash, self.len) = (Context::new(&SHA256), 0);
        Ok(())
    }

    fn append(&mut self, data: &[u8], path: &Path) -> Result<(), AgentError> {
        self.file.write_all(data).map_err(storage(path))?;
        self.hash.update(data);
        self.len += data.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
