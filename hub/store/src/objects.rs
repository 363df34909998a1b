//! Payloads in a directory, by SHA-256.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
};

use crate::{Hash, StoreError};

/// The directory of objects. Every object is named by its digest, is complete and was flushed to
/// disk before it has that name.
#[derive(Clone)]
pub struct Objects {
    files: Arc<LocalFileSystem>,
}

/// The bytes of an object, or of a range of it.
pub struct ObjectStream {
    /// The size of the whole object in bytes.
    pub size_bytes: u64,
    /// The range that follows.
    pub range: Range<u64>,
    /// The bytes.
    pub bytes: BoxStream<'static, Result<Bytes, StoreError>>,
}

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored now. The value is its size in bytes.
    Stored(u64),
    /// It was there before; nothing was read. The value is its size in bytes.
    Present(u64),
}

impl Put {
    /// The size of the object in bytes.
    pub fn size_bytes(self) -> u64 {
        match self {
            Put::Stored(size) | Put::Present(size) => size,
        }
    }
}

/// Why an upload was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// More bytes came than allowed; reading stopped there.
    #[error("the object is larger than the {allowed} bytes allowed")]
    TooLarge {
        /// The bound, in bytes.
        allowed: u64,
    },
    /// The bytes do not have the digest that names them.
    #[error("the object does not have the digest that names it")]
    Digest,
    /// The sender broke off.
    #[error("the upload broke off: {0}")]
    Source(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Objects {
    /// Opens the directory, makes it if need be, and removes what uploads that broke off left.
    pub(crate) fn open(directory: &Path) -> Result<Objects, StoreError> {
        std::fs::create_dir_all(directory)?;
        remove_broken_uploads(directory)?;
        let files = LocalFileSystem::new_with_prefix(directory).map_err(from_object_store)?;
        Ok(Objects { files: Arc::new(files.with_fsync(true)) })
    }

    /// Stores the stream under `digest` if it has that digest and at most `limit_bytes` bytes.
    /// When this returns `Ok` the object is on disk.
    ///
    /// # Errors
    /// [`PutError`]; then nothing is kept.
    pub async fn put<S, E>(
        &self,
        digest: &Hash,
        limit_bytes: u64,
        stream: S,
    ) -> Result<Put, PutError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: fmt::Display,
    {
        if let Some(size) = self.size(digest).await? {
            return Ok(Put::Present(size));
        }
        let location = location(digest);
        let mut upload = self.files.put_multipart(&location).await.map_err(from_object_store)?;
        let result = receive(&mut *upload, digest, limit_bytes, stream).await;
        if result.is_err()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(%error, "the rest of an upload could not be removed");
        }
        result.map(Put::Stored)
    }

    /// The size of an object in bytes, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn size(&self, digest: &Hash) -> Result<Option<u64>, StoreError> {
        match self.files.head(&location(digest)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(from_object_store(error)),
        }
    }

    /// Reads an object, or the part of it that lies in `range` (bytes; an end past the object's
    /// end is cut). Nothing when the object is not there. No database is touched.
    ///
    /// # Errors
    /// [`StoreError::Range`] for a range that begins behind the end, [`StoreError::Io`].
    pub async fn get(
        &self,
        digest: &Hash,
        range: Option<Range<u64>>,
    ) -> Result<Option<ObjectStream>, StoreError> {
        let size = self.size(digest).await?;
        match (size, &range) {
            (None, _) => return Ok(None),
            (Some(size_bytes), Some(range)) if range.start >= size_bytes => {
                return Err(StoreError::Range { size_bytes });
            }
            _ => {}
        }
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        match self.files.get_opts(&location(digest), options).await {
            Ok(result) => Ok(Some(ObjectStream {
                size_bytes: result.meta.size,
                range: result.range.clone(),
                bytes: result.into_stream().map(|part| part.map_err(from_object_store)).boxed(),
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(from_object_store(error)),
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.files)
    }
}

impl fmt::Debug for ObjectStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectStream({:?} of {})", self.range, self.size_bytes)
    }
}

async fn receive<S, E>(
    upload: &mut dyn MultipartUpload,
    digest: &Hash,
    limit_bytes: u64,
    stream: S,
) -> Result<u64, PutError>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: fmt::Display,
{
    let mut stream = std::pin::pin!(stream);
    let mut hash = Context::new(&SHA256);
    let mut size = 0_u64;
    let mut part = BytesMut::new();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|error| PutError::Source(error.to_string()))?;
        size = size.saturating_add(bytes.len() as u64);
        if size > limit_bytes {
            return Err(PutError::TooLarge { allowed: limit_bytes });
        }
        hash.update(&bytes);
        part.extend_from_slice(&bytes);
        if part.len() >= PART_BYTES {
            put_part(upload, part.split().freeze()).await?;
        }
    }
    if hash.finish().as_ref() != digest {
        return Err(PutError::Digest);
    }
    put_part(upload, part.freeze()).await?;
    upload.complete().await.map_err(from_object_store)?;
    Ok(size)
}

async fn put_part(upload: &mut dyn MultipartUpload, part: Bytes) -> Result<(), StoreError> {
    upload.put_part(PutPayload::from_bytes(part)).await.map_err(from_object_store)
}

/// Two hexadecimal digits, then all of them: no directory grows beyond reason.
fn location(digest: &Hash) -> object_store::path::Path {
    let name = hex::encode(digest);
    object_store::path::Path::from_iter([&name[..2], &name[..]])
}

/// An upload under way is a file with `#` in its name; at start none is under way.
fn remove_broken_uploads(directory: &Path) -> Result<(), StoreError> {
    for shelf in std::fs::read_dir(directory)? {
        let shelf = shelf?;
        if !shelf.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(shelf.path())? {
            let file = file?;
            if file.file_name().as_encoded_bytes().contains(&b'#') {
                std::fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

/// A full disk hides at the end of a chain of sources.
fn from_object_store(error: object_store::Error) -> StoreError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            let io = StoreError::from(io::Error::from(io.kind()));
            if io == StoreError::Full {
                return io;
            }
        }
        source = cause.source();
    }
    StoreError::Io(error.to_string())
}

/// Bytes gathered before they are written.
const PART_BYTES: usize = 256 * 1024;
