//! A backup as it lies on a disk: plain files, and `backup.json`, written last, which names each of
//! them with its size and SHA-256. The digests find damage, not forgery: whoever may write to a
//! backup may write a new `backup.json` too.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use ringfort_cose::Reason;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
use crate::files;

/// What stands in `backup.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// 1.
    pub format: u32,
    /// The hub's name.
    pub name: String,
    /// The fleet.
    pub fleet: String,
    /// When the copy of the database was made, Unix milliseconds.
    pub made_ms: i64,
    /// The version of the program that made it.
    pub program: String,
    /// The version of the database's schema.
    pub schema: i64,
    /// Every other file.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its place, relative to the backup and to the hub's directory alike.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
}

impl Contents {
    /// Reads what a backup says it holds.
    pub fn read(backup: &Path) -> Outcome<Contents> {
        let path = backup.join(FILE);
        let text = files::read_text(&path, MAX_BYTES).map_err(|failure| {
            failure.next("Name a directory that `ringfort hub backup` finished.")
        })?;
        let refused = |reason, why: String| {
            Failure::refused(reason, format!("the backup {} is refused", backup.display())).why(why)
        };
        let contents: Contents = serde_json::from_str(&text)
            .map_err(|error| refused(Reason::Malformed, format!("backup.json: {error}.")))?;
        if contents.format != FORMAT {
            return Err(refused(
                Reason::Unsupported,
                format!("It has format {}; this program knows format {FORMAT}.", contents.format),
            ));
        }
        match contents.files.iter().find(|entry| !entry.is_inside()) {
            None => Ok(contents),
            Some(entry) => Err(refused(
                Reason::Malformed,
                format!("It names a file outside of itself: {}", entry.path.escape_debug()),
            )),
        }
    }

    /// Finishes a backup.
    pub fn write(&self, backup: &Path) -> Outcome<()> {
        // Numbers and text always serialise.
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        files::write_new(&backup.join(FILE), text.as_bytes(), PRIVATE)
    }
}

impl Entry {
    /// Does the place lie below the backup, whatever it is called?
    fn is_inside(&self) -> bool {
        let path = Path::new(&self.path);
        !self.path.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)))
    }

    /// Copies this file out of a backup, and refuses one that is not what it was.
    pub fn copy(&self, backup: &Path, to: &Path) -> Outcome<()> {
        let copied = copy(backup, &self.path, to)?;
        if copied == *self {
            return Ok(());
        }
        Err(Failure::refused(Reason::ImageDigest, format!("{} is damaged", self.path))
            .why("It is not what was backed up: its size or SHA-256 is another.")
            .next("Take another backup; nothing was restored from this one."))
    }
}

/// Copies a file to the same place in another directory, durably, for its owner alone.
pub fn copy(from: &Path, path: &str, to: &Path) -> Outcome<Entry> {
    let (source, target) = (from.join(path), to.join(path));
    if let Some(parent) = target.parent()
        && !parent.exists()
    {
        files::new_directory(parent)?;
    }
    let failed = |what: &Path, error: &std::io::Error| {
        Failure::failed(
            format!("cannot copy {}", what.display()),
            files::sentence(error),
            "Check who may read it, and free space where it goes.",
        )
    };
    let mut reader = File::open(&source).map_err(|error| failed(&source, &error))?;
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(PRIVATE);
    let mut writer = options.open(&target).map_err(|error| failed(&target, &error))?;
    let (mut digest, mut size) = (Context::new(&SHA256), 0);
    let mut part = vec![0; 64 * 1024];
    loop {
        let read = reader.read(&mut part).map_err(|error| failed(&source, &error))?;
        if read == 0 {
            break;
        }
        digest.update(&part[..read]);
        writer.write_all(&part[..read]).map_err(|error| failed(&target, &error))?;
        size += read as u64;
    }
    writer.sync_all().map_err(|error| failed(&target, &error))?;
    Ok(Entry { path: path.to_owned(), size, sha256: hex::encode(digest.finish()) })
}

/// The size and SHA-256 of a file that is there already.
pub fn entry(directory: &Path, path: &str) -> std::io::Result<Entry> {
    let mut reader = File::open(directory.join(path))?;
    let (mut digest, mut size) = (Context::new(&SHA256), 0);
    let mut part = vec![0; 64 * 1024];
    loop {
        let read = reader.read(&mut part)?;
        if read == 0 {
            break;
        }
        digest.update(&part[..read]);
        size += read as u64;
    }
    Ok(Entry { path: path.to_owned(), size, sha256: hex::encode(digest.finish()) })
}

/// The plain files of one of the hub's directories whose names end like this, by name.
pub fn names(directory: &Path, folder: &str, endings: &[&str]) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory.join(folder)) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| endings.iter().any(|ending| name.ends_with(ending)))
        .map(|name| PathBuf::from(folder).join(name).display().to_string())
        .collect();
    names.sort_unstable();
    names
}

/// Its presence says that the backup is whole.
pub const FILE: &str = "backup.json";
/// The format that is written.
pub const FORMAT: u32 = 1;
const PRIVATE: u32 = 0o600;
/// About a hundred bytes for each of a million objects.
const MAX_BYTES: usize = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_names_no_file_outside_of_itself() {
        let entry = |path: &str| Entry { path: path.into(), size: 0, sha256: String::new() };
        for bad in ["", "/etc/passwd", "../x", "keys/../../x", "./x", "keys/./x/.."] {
            let normal = Path::new(bad).components().all(|c| matches!(c, Component::Normal(_)));
            assert_eq!(entry(bad).is_inside(), normal && !bad.is_empty(), "{bad}");
        }
        for bad in ["", "/etc/passwd", "../x", "keys/../../x", "./x"] {
            assert!(!entry(bad).is_inside(), "{bad}");
        }
        for good in ["hub.db", "keys/order.sealed", "objects/ab/abcd"] {
            assert!(entry(good).is_inside(), "{good}");
        }
    }
}
