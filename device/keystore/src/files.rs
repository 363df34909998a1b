//! Files that only their owner may touch, written so that a cut leaves the old or the new.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::Error;

/// Makes a directory with mode 0700, or checks that the one which is there has no wider mode and
/// belongs to this user.
///
/// # Errors
/// [`Error::ModeTooWide`], [`Error::WrongOwner`], [`Error::WrongKind`], [`Error::Io`].
pub fn create_private_dir(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => parent_of(path).map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let metadata = fs::metadata(path).map_err(|error| Error::io(path, error))?;
            if !metadata.is_dir() {
                return Err(Error::WrongKind { path: path.to_owned(), expected: "a directory" });
            }
            check_access(path, &metadata, 0o700)
        }
        Err(error) => Err(Error::io(path, error)),
    }
}

/// Reads a file of at most `limit` bytes that only its owner may touch (0600 or narrower).
///
/// # Errors
/// [`Error::ModeTooWide`], [`Error::WrongOwner`], [`Error::WrongKind`], [`Error::TooLarge`],
/// [`Error::Io`].
pub fn read_private(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    // The mode of the opened file, not of whatever the path names a moment later.
    let metadata = file.metadata().map_err(|error| Error::io(path, error))?;
    if !metadata.is_file() {
        return Err(Error::WrongKind { path: path.to_owned(), expected: "a file" });
    }
    check_access(path, &metadata, 0o600)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit.min(metadata.size() as usize) + 1));
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| Error::io(path, error))?;
    if bytes.len() > limit {
        return Err(Error::TooLarge { what: "the file", limit });
    }
    Ok(bytes)
}

/// [`read_private`], with nothing for a file that is not there.
pub(crate) fn read_private_if_there(
    path: &Path,
    limit: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    match read_private(path, limit) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Writes a new file with mode 0600, durably; what exists is never replaced.
///
/// # Errors
/// [`Error::FileExists`], [`Error::Io`].
pub fn write_private_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let draft = write_draft(path, bytes)?;
    let linked = fs::hard_link(&draft, path);
    let _ = fs::remove_file(&draft);
    linked.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::FileExists { path: path.to_owned() },
        _ => Error::io(path, error),
    })?;
    parent_of(path).map_or(Ok(()), sync_dir)
}

/// Writes a file with mode 0600, durably, in place of the one that may be there: after a cut
/// either the old or the new is there, whole.
///
/// # Errors
/// [`Error::Io`].
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let draft = write_draft(path, bytes)?;
    fs::rename(&draft, path).map_err(|error| {
        let _ = fs::remove_file(&draft);
        Error::io(path, error)
    })?;
    parent_of(path).map_or(Ok(()), sync_dir)
}

/// Removes a file durably; one that is not there is as good as removed.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => parent_of(path).map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(path, error)),
    }
}

fn write_draft(path: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    let mut random = [0; 8];
    rand::fill(&mut random)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.draft", u64::from_be_bytes(random)));
    let draft = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&draft);
        Error::io(path, error)
    })?;
    Ok(draft)
}

fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|error| Error::io(path, error))
}

fn parent_of(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

fn check_access(path: &Path, metadata: &fs::Metadata, allowed: u32) -> Result<(), Error> {
    let mode = metadata.mode() & 0o7777;
    // systemd's credentials are root's and read-only; it names the service's user in an access
    // list (acl(5)), whose mask shows as the group's bit. The group is root's own.
    let credential = mode == 0o440 && metadata.uid() == 0 && metadata.gid() == 0;
    if mode & 0o077 != 0 && !credential {
        return Err(Error::ModeTooWide { path: path.to_owned(), mode, allowed });
    }
    let owner = metadata.uid();
    // root's files are accepted: a service manager hands credentials over like that.
    if owner != rustix::process::geteuid().as_raw() && owner != 0 {
        return Err(Error::WrongOwner { path: path.to_owned(), owner });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_widened_file_is_refused_and_a_narrow_one_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_private_new(&path, b"hidden").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(*read_private(&path, 6).unwrap(), b"hidden");
        for mode in [0o640, 0o604, 0o610, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_private(&path, 6).unwrap_err();
            assert!(matches!(refused, Error::ModeTooWide { allowed: 0o600, .. }), "{refused}");
            assert!(refused.to_string().contains("chmod 0600"), "{refused}");
        }
    }

    #[test]
    fn a_credential_of_the_service_manager_is_read_and_the_same_mode_for_others_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credential");
        write_private_new(&path, b"hidden").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
            assert_eq!(*read_private(&path, 6).unwrap(), b"hidden");
            std::os::unix::fs::chown(&path, Some(0), Some(1)).unwrap();
        }
        assert!(matches!(read_private(&path, 6), Err(Error::ModeTooWide { mode: 0o440, .. })));
    }

    #[test]
    fn a_widened_directory_is_refused_and_a_narrow_one_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        create_private_dir(&path).unwrap();
        create_private_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(create_private_dir(&path), Err(Error::ModeTooWide { .. })));
    }

    #[test]
    fn an_existing_file_is_not_overwritten_unless_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_private_new(&path, b"first").unwrap();
        assert!(matches!(write_private_new(&path, b"second"), Err(Error::FileExists { .. })));
        assert_eq!(*read_private(&path, 64).unwrap(), b"first");
        replace_private(&path, b"third").unwrap();
        assert_eq!(*read_private(&path, 64).unwrap(), b"third");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn a_file_longer_than_its_bound_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        write_private_new(&path, &[7; 65]).unwrap();
        assert!(matches!(read_private(&path, 64), Err(Error::TooLarge { limit: 64, .. })));
        assert!(read_private(&path, 65).is_ok());
    }
}
