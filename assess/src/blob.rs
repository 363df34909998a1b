//! Bytes to look at: a file, a spooled stream or a slice of either, read by position.
//!
//! Nothing larger than [`SPOOL_IN_MEMORY`] is held in memory; larger streams live in
//! unnamed temporary files.

use std::{
    fs::File,
    io::{self, BufRead, Read, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use crate::unpack::UnpackError;

/// A run of bytes that can be read at any position and sliced without copying.
#[derive(Clone, Debug)]
pub struct Blob {
    backing: Arc<Backing>,
    start: u64,
    len: u64,
}

impl Blob {
    /// Opens a file on disk for reading.
    ///
    /// # Errors
    /// The operating system's own when the file cannot be opened or measured.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        if len <= SMALL_FILE {
            let mut bytes = Vec::new();
            file.take(SMALL_FILE).read_to_end(&mut bytes)?;
            return Ok(Self::from_vec(bytes));
        }
        Ok(Self { backing: Arc::new(Backing::File(Mutex::new(file))), start: 0, len })
    }

    /// Wraps bytes that are already in memory.
    #[must_use]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self { backing: Arc::new(Backing::Memory(bytes)), start: 0, len }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The part from `from`, at most `len` bytes long; clipped to what exists.
    #[must_use]
    pub fn slice(&self, from: u64, len: u64) -> Self {
        let from = from.min(self.len);
        let len = len.min(self.len - from);
        Self { backing: Arc::clone(&self.backing), start: self.start + from, len }
    }

    /// Everything from `from` on.
    #[must_use]
    pub fn tail(&self, from: u64) -> Self {
        self.slice(from, u64::MAX)
    }

    /// Reads up to `out.len()` bytes at `at`; returns how many there were.
    pub fn read_at(&self, at: u64, out: &mut [u8]) -> usize {
        if at >= self.len {
            return 0;
        }
        let want = usize::try_from(self.len - at).unwrap_or(usize::MAX).min(out.len());
        let at = self.start + at;
        match &*self.backing {
            Backing::Memory(bytes) => {
                let Ok(at) = usize::try_from(at) else { return 0 };
                let Some(rest) = bytes.get(at..) else { return 0 };
                let want = want.min(rest.len());
                out[..want].copy_from_slice(&rest[..want]);
                want
            }
            Backing::File(file) => read_file(file, at, &mut out[..want]),
        }
    }

    /// Up to `len` bytes from `at`; shorter at the end.
    #[must_use]
    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let there = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut out = vec![0; len.min(there)];
        let got = self.read_at(at, &mut out);
        out.truncate(got);
        out
    }

    /// Exactly `len` bytes from `at`.
    ///
    /// # Errors
    /// [`UnpackError::Truncated`] when there are fewer.
    pub fn exact(&self, at: u64, len: usize) -> Result<Vec<u8>, UnpackError> {
        if at.checked_add(len as u64).is_none_or(|end| end > self.len) {
            return Err(UnpackError::Truncated { at });
        }
        let out = self.bytes(at, len);
        if out.len() == len { Ok(out) } else { Err(UnpackError::Truncated { at }) }
    }

    /// A buffered reader from `at` that knows how many bytes were consumed.
    #[must_use]
    pub fn reader(&self, at: u64) -> BlobReader {
        BlobReader { blob: self.clone(), next: at, buffer: Vec::new(), used: 0 }
    }
}

/// Buffered sequential reading of a [`Blob`].
#[derive(Debug)]
pub struct BlobReader {
    blob: Blob,
    next: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl BlobReader {
    /// Position of the next byte that a caller will see.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next - (self.buffer.len() - self.used) as u64
    }
}

impl BufRead for BlobReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.buffer.len() {
            self.buffer.resize(READ_BUFFER, 0);
            let got = self.blob.read_at(self.next, &mut self.buffer);
            self.buffer.truncate(got);
            self.next += got as u64;
            self.used = 0;
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used = (self.used + amount).min(self.buffer.len());
    }
}

impl Read for BlobReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let have = self.fill_buf()?;
        let count = have.len().min(out.len());
        out[..count].copy_from_slice(&have[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Collects a stream: in memory while small, in an unnamed temporary file after that.
#[derive(Debug, Default)]
pub struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
}

impl Spool {
    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `count` zero bytes.
    ///
    /// # Errors
    /// The operating system's own when the temporary file cannot grow.
    pub fn zeros(&mut self, mut count: u64) -> io::Result<()> {
        let zeros = [0u8; 4096];
        while count > 0 {
            let now = count.min(4096);
            self.write_all(&zeros[..now as usize])?;
            count -= now;
        }
        Ok(())
    }

    /// Ends writing.
    #[must_use]
    pub fn finish(self) -> Blob {
        match self.file {
            None => Blob::from_vec(self.memory),
            Some(file) => {
                Blob { backing: Arc::new(Backing::File(Mutex::new(file))), start: 0, len: self.len }
            }
        }
    }
}

impl Write for Spool {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + data.len() > SPOOL_IN_MEMORY {
            let mut file = tempfile::tempfile()?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(data)?,
            None => self.memory.extend_from_slice(data),
        }
        self.len += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
enum Backing {
    Memory(Vec<u8>),
    File(Mutex<File>),
}

#[cfg(unix)]
fn read_file(file: &Mutex<File>, at: u64, out: &mut [u8]) -> usize {
    use std::os::unix::fs::FileExt;
    let Ok(file) = file.lock() else { return 0 };
    let mut done = 0;
    while done < out.len() {
        match file.read_at(&mut out[done..], at + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    done
}

#[cfg(not(unix))]
fn read_file(file: &Mutex<File>, at: u64, out: &mut [u8]) -> usize {
    use std::io::{Seek, SeekFrom};
    let Ok(mut file) = file.lock() else { return 0 };
    if file.seek(SeekFrom::Start(at)).is_err() {
        return 0;
    }
    let mut done = 0;
    while done < out.len() {
        match file.read(&mut out[done..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => done += count,
        }
    }
    done
}

/// Streams up to this size stay in memory.
pub const SPOOL_IN_MEMORY: usize = 4 << 20;
const SMALL_FILE: u64 = 1 << 20;
const READ_BUFFER: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_never_leaves_its_parent() {
        let blob = Blob::from_vec((0..100).collect());
        assert_eq!(blob.slice(90, 50).bytes(0, 100), (90..100).collect::<Vec<u8>>());
        assert_eq!(blob.slice(10, 5).bytes(3, 100), vec![13, 14]);
        assert!(blob.slice(200, 5).is_empty());
        assert!(blob.exact(98, 3).is_err());
        assert!(blob.exact(u64::MAX, 3).is_err());
    }

    #[test]
    fn a_large_spool_reads_back_the_same() {
        let mut spool = Spool::default();
        let block: Vec<u8> = (0..=255).collect();
        for _ in 0..(SPOOL_IN_MEMORY / 256 + 10) {
            spool.write_all(&block).unwrap();
        }
        let blob = spool.finish();
        assert_eq!(blob.len(), (SPOOL_IN_MEMORY + 2560) as u64);
        assert_eq!(blob.bytes(SPOOL_IN_MEMORY as u64 + 5, 3), vec![5, 6, 7]);
    }

    #[test]
    fn the_reader_knows_where_it_stands() {
        let blob = Blob::from_vec(vec![7; 100]);
        let mut reader = blob.reader(10);
        let mut out = [0; 25];
        reader.read_exact(&mut out).unwrap();
        assert_eq!(reader.position(), 35);
    }
}
