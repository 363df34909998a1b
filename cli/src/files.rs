//! Reading and writing files: bounded reads, no overwriting by accident, durable writes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// For everybody to read.
pub const PUBLIC: u32 = 0o644;

/// The whole file, which may hold at most `limit` bytes.
pub fn read(path: &Path, limit: usize) -> Outcome<Vec<u8>> {
    let what = || format!("cannot read {}", path.display());
    let file = File::open(path).map_err(|e| {
        Failure::failed(what(), sentence(&e), "Check the name and who may read it.")
    })?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::failed(what(), sentence(&e), "Check that it is a plain file."))?;
    if bytes.len() > limit {
        return Err(Failure::refused(ringfort_cose::Reason::TooLarge, what()).why(format!(
            "It is larger than {limit} bytes, the most this kind of file may have."
        )));
    }
    Ok(bytes)
}

/// The whole file as text.
pub fn read_text(path: &Path, limit: usize) -> Outcome<String> {
    String::from_utf8(read(path, limit)?).map_err(|_| {
        Failure::refused(
            ringfort_cose::Reason::Malformed,
            format!("cannot read {}", path.display()),
        )
        .why("It is not text.")
        .next("Check that the right file was named.")
    })
}

/// Writes a file that does not exist yet, durably.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Outcome<()> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| sync_parent(path));
    written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => cannot_write(path, &e),
    })
}

/// Puts new contents in the place of a file by one atomic rename, durably.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Outcome<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_parent(path));
    written.map_err(|e| {
        // Nothing more can be done about a temporary file that cannot be removed.
        let _ = fs::remove_file(&temporary);
        cannot_write(path, &e)
    })
}

/// Makes a directory for the owner alone; an existing one must be empty.
pub fn new_directory(path: &Path) -> Outcome<()> {
    if must_be_absent_or_empty(path)? {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| cannot_write(path, &e))
}

/// Whether an empty directory is there (`true`) or nothing at all (`false`).
pub fn must_be_absent_or_empty(path: &Path) -> Outcome<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(true),
            Some(_) => Err(exists(path).why("The directory is not empty.")),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) if e.kind() == ErrorKind::NotADirectory => Err(exists(path)),
        Err(e) => Err(cannot_write(path, &e)),
    }
}

/// Refuses a name that is taken.
pub fn must_be_absent(path: &Path) -> Outcome<()> {
    if fs::symlink_metadata(path).is_ok() { Err(exists(path)) } else { Ok(()) }
}

/// Whether two paths are the same place, or one lies inside the other. Neither has to exist.
pub fn same_or_nested(a: &Path, b: &Path) -> bool {
    let (a, b) = (resolve(a), resolve(b));
    a.starts_with(&b) || b.starts_with(&a)
}

/// The path without links and dots, as far as it exists.
fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut existing = absolute.clone();
    let mut missing = Vec::new();
    loop {
        if let Ok(found) = existing.canonicalize() {
            existing = found;
            break;
        }
        match existing.components().next_back() {
            Some(Component::Normal(name)) => {
                missing.push(Component::Normal(name).as_os_str().to_owned())
            }
            Some(other) => missing.push(other.as_os_str().to_owned()),
            None => break,
        }
        if !existing.pop() {
            break;
        }
    }
    for part in missing.into_iter().rev() {
        if part == ".." {
            existing.pop();
        } else {
            existing.push(part);
        }
    }
    existing
}

fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn exists(path: &Path) -> Failure {
    Failure::refused(
        ringfort_cose::Reason::AlreadyExists,
        format!("{} exists already", path.display()),
    )
    .why("Nothing is ever overwritten.")
    .next("Choose another name, or move it away yourself.")
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(
        format!("cannot write {}", path.display()),
        sentence(error),
        "Check the name, who may write there, and free space.",
    )
}

/// An operating-system error without its number.
pub fn sentence(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => format!("{words}."),
        None => format!("{text}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_and_nested_places_are_found_through_dots_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&a).unwrap();
        std::os::unix::fs::symlink(&a, dir.path().join("link")).unwrap();
        assert!(same_or_nested(&a, &a));
        assert!(same_or_nested(&a, &a.join("not/yet/there")));
        assert!(same_or_nested(&a, &dir.path().join("link/inner")));
        assert!(same_or_nested(&a, &dir.path().join("b/../a")));
        assert!(!same_or_nested(&a, &b));
        assert!(!same_or_nested(&a, &dir.path().join("a2")));
    }

    #[test]
    fn write_new_refuses_a_name_that_is_taken_and_replace_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_new(&path, b"one", PUBLIC).unwrap();
        let refused = write_new(&path, b"two", PUBLIC).unwrap_err();
        assert_eq!(refused.reason(), Some(ringfort_cose::Reason::AlreadyExists));
        assert_eq!(read(&path, 10).unwrap(), b"one");
        replace(&path, b"two", PUBLIC).unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"two");
    }

    #[test]
    fn read_refuses_a_file_above_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_new(&path, b"four", PUBLIC).unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        assert_eq!(read(&path, 3).unwrap_err().reason(), Some(ringfort_cose::Reason::TooLarge));
    }
}
