//! One hub on a directory: the process that serves it holds a lock on the directory itself, which
//! ends with the process, however it ends.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::failure::{Failure, Outcome};
use crate::files;

/// Holds the directory for as long as it lives.
pub struct Lock {
    _directory: File,
}

/// Takes the lock.
pub fn take(directory: &Path) -> Outcome<Lock> {
    let cannot = |why: String| {
        Failure::failed(
            format!("the hub in {} cannot be served", directory.display()),
            why,
            "Stop the other process, or name another directory.",
        )
    };
    let held = File::open(directory).map_err(|error| cannot(files::sentence(&error)))?;
    match flock(&held, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock { _directory: held }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(cannot("Another process serves it.".into())),
        Err(error) => Err(cannot(files::sentence(&error.into()))),
    }
}

/// Does a process serve this directory?
pub fn is_held(directory: &Path) -> bool {
    let Ok(file) = File::open(directory) else { return false };
    let tried = flock(&file, FlockOperation::NonBlockingLockShared);
    matches!(tried, Err(rustix::io::Errno::WOULDBLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_has_gone() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_held(directory.path()));
        let first = take(directory.path()).ok().unwrap();
        assert!(is_held(directory.path()));
        assert!(take(directory.path()).is_err());
        drop(first);
        assert!(!is_held(directory.path()));
        assert!(take(directory.path()).is_ok());
    }
}
