//! Unpacking a tar payload without trusting it.
//!
//! Taken are files, directories, and symbolic links that stay inside. Refused are absolute paths,
//! `..`, links that lead out, hard links, devices, and anything written through a link. Owners are
//! not taken over, of the mode only read, write and execute.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use ringfort_cose::{Reason, Sha256Digest};
use tar::{Archive, Entry, EntryType};

use super::slots::{finish, hash_file};
use crate::AgentError;
use crate::disk::{Disk, storage};

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// Unpacks an archive into a new directory, durably.
pub(super) fn unpack(
    disk: &Disk,
    archive: &Path,
    into: &Path,
    bounds: &Bounds,
) -> Result<(), AgentError> {
    disk.create_dir(into)?;
    let file = File::open(archive).map_err(storage(archive))?;
    let mut archive = Archive::new(io::BufReader::new(file));
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    for entry in archive.entries().map_err(|error| bad(&error.to_string()))? {
        let mut entry = entry.map_err(|error| bad(&error.to_string()))?;
        entries += 1;
        bytes = bytes.saturating_add(entry.size());
        if entries > bounds.entries || bytes > bounds.bytes {
            return Err(AgentError::answer(
                Reason::TooLarge,
                "the archive holds more than update.max_entries or update.max_unpacked_bytes allow",
            ));
        }
        unpack_entry(&mut entry, into)?;
    }
    sync_tree(disk, into)
}

fn unpack_entry(entry: &mut Entry<'_, impl Read>, into: &Path) -> Result<(), AgentError> {
    let name = entry.path().map_err(|error| bad(&error.to_string()))?.into_owned();
    let name = relative(&name)?;
    let kind = entry.header().entry_type();
    if name.as_os_str().is_empty() {
        // `./` itself
        return if kind == EntryType::Directory {
            Ok(())
        } else {
            Err(bad("an entry without a name"))
        };
    }
    let path = into.join(&name);
    make_parents(into, &name)?;
    let mode = entry.header().mode().map_err(|error| bad(&error.to_string()))? & 0o777;
    match kind {
        EntryType::Regular | EntryType::Continuous => {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(|error| exists_or(&path, error))?;
            io::copy(entry, &mut file).map_err(storage(&path))?;
            file.set_permissions(fs::Permissions::from_mode(mode | 0o600)).map_err(storage(&path))
        }
        EntryType::Directory => match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(bad("a directory in place of another entry")),
            Err(_) => DirBuilder::new().mode(mode | 0o700).create(&path).map_err(storage(&path)),
        },
        EntryType::Symlink => {
            let target = entry
                .link_name()
                .map_err(|error| bad(&error.to_string()))?
                .ok_or_else(|| bad("a link without a target"))?;
            check_link(&name, &target)?;
            symlink(&target, &path).map_err(|error| exists_or(&path, error))
        }
        _ => Err(bad("an entry that is no file, directory or symbolic link")),
    }
}

/// The path without `.`; refused with `..`, a root, or beyond its bound.
fn relative(name: &Path) -> Result<PathBuf, AgentError> {
    if name.as_os_str().len() > MAX_PATH_BYTES {
        return Err(bad("a path that is too long"));
    }
    let mut clean = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            _ => return Err(bad("a path that leads out")),
        }
    }
    Ok(clean)
}

/// Makes the directories above an entry; none of them may be a link.
fn make_parents(into: &Path, name: &Path) -> Result<(), AgentError> {
    let mut path = into.to_owned();
    let parents = name.parent().unwrap_or(Path::new(""));
    for part in parents.components() {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(bad("an entry below something that is no directory")),
            Err(_) => DirBuilder::new().mode(0o755).create(&path).map_err(storage(&path))?,
        }
    }
    Ok(())
}

/// A link may point anywhere below the payload's own directory, judged by its words.
fn check_link(name: &Path, target: &Path) -> Result<(), AgentError> {
    let mut depth = name.components().count() as i64 - 1;
    let mut descended = false;
    for component in target.components() {
        match component {
            Component::Normal(_) => {
                descended = true;
                depth += 1;
            }
            Component::CurDir => {}
            // After a name, which may itself be a link, `..` could lead anywhere.
            Component::ParentDir if !descended => depth -= 1,
            _ => return Err(bad("a link that leads out")),
        }
        if depth < 0 {
            return Err(bad("a link that leads out"));
        }
    }
    Ok(())
}

/// SHA-256 over paths, kinds, modes and contents, in the order of the paths.
pub(super) fn tree_digest(root: &Path) -> Result<Sha256Digest, AgentError> {
    let mut paths = Vec::new();
    walk(root, &mut |path| {
        paths.push(path.to_owned());
        Ok(())
    })?;
    paths.sort();
    let mut context = Context::new(&SHA256);
    for path in paths {
        let metadata = fs::symlink_metadata(&path).map_err(storage(&path))?;
        let name = path.strip_prefix(root).unwrap_or(&path).as_os_str().as_bytes();
        let (kind, content) = if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(storage(&path))?;
            (b'l', target.as_os_str().as_bytes().to_vec())
        } else if metadata.is_dir() {
            (b'd', Vec::new())
        } else {
            (b'f', hash_file(&path)?.0.0.to_vec())
        };
        for part in [name, &[kind], &metadata.permissions().mode().to_be_bytes(), &content] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    Ok(finish(context))
}

fn sync_tree(disk: &Disk, root: &Path) -> Result<(), AgentError> {
    disk.step(root)?;
    walk(root, &mut |path| {
        let metadata = fs::symlink_metadata(path).map_err(storage(path))?;
        if metadata.is_symlink() {
            return Ok(());
        }
        File::open(path).and_then(|file| file.sync_all()).map_err(storage(path))
    })?;
    File::open(root).and_then(|dir| dir.sync_all()).map_err(storage(root))?;
    disk.step(root)
}

/// Every entry below a directory; no link is followed.
fn walk(
    dir: &Path,
    visit: &mut dyn FnMut(&Path) -> Result<(), AgentError>,
) -> Result<(), AgentError> {
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).map_err(storage(&dir))? {
            let entry = entry.map_err(storage(&dir))?;
            visit(&entry.path())?;
            if entry.file_type().map_err(storage(&dir))?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

fn exists_or(path: &Path, error: io::Error) -> AgentError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => bad("one path twice"),
        _ => storage(path)(error),
    }
}

fn bad(detail: &str) -> AgentError {
    AgentError::answer(Reason::PayloadUnsafe, detail)
}

const MAX_PATH_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 10_000, entries: 10 };

    fn archive(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        fill(&mut builder);
        builder.into_inner().unwrap()
    }

    /// An entry whose name is written as it is, which the crate's builder would refuse to.
    fn entry(kind: EntryType, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o4755);
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        archive(|builder| builder.append(&header, content).unwrap())
    }

    fn concat(entries: &[Vec<u8>]) -> Vec<u8> {
        let end = entries.iter().map(|entry| &entry[..entry.len() - 1024]);
        let mut all: Vec<u8> = end.flatten().copied().collect();
        all.extend([0; 1024]);
        all
    }

    fn unpacked(bytes: &[u8]) -> Result<tempfile::TempDir, AgentError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("payload.tar");
        fs::write(&file, bytes).unwrap();
        unpack(&Disk::default(), &file, &dir.path().join("tree"), &BOUNDS)?;
        Ok(dir)
    }

    fn reason(bytes: &[u8]) -> Reason {
        unpacked(bytes).map(|_| ()).unwrap_err().reason()
    }

    #[test]
    fn files_directories_and_inner_links_come_out_without_set_user_id() {
        let dir = unpacked(&concat(&[
            entry(EntryType::Directory, "bin/", "", b""),
            entry(EntryType::Regular, "./bin/app", "", b"run"),
            entry(EntryType::Regular, "made/above/file", "", b"x"),
            entry(EntryType::Symlink, "bin/link", "../bin/app", b""),
        ]))
        .unwrap();
        let tree = dir.path().join("tree");
        assert_eq!(fs::read(tree.join("bin/link")).unwrap(), b"run");
        assert_eq!(fs::read(tree.join("made/above/file")).unwrap(), b"x");
        let mode = fs::metadata(tree.join("bin/app")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }

    #[test]
    fn what_leads_out_is_refused() {
        for (kind, name, link) in [
            (EntryType::Regular, "/etc/passwd", ""),
            (EntryType::Regular, "../outside", ""),
            (EntryType::Regular, "a/../../outside", ""),
            (EntryType::Symlink, "a", "/etc"),
            (EntryType::Symlink, "a", ".."),
            (EntryType::Symlink, "d/a", "../../x"),
            (EntryType::Symlink, "a", "b/../../x"),
            (EntryType::Link, "a", "/etc/passwd"),
            (EntryType::Char, "a", ""),
            (EntryType::Block, "a", ""),
            (EntryType::Fifo, "a", ""),
        ] {
            assert_eq!(
                reason(&entry(kind, name, link, b"")),
                Reason::PayloadUnsafe,
                "{name} {link}"
            );
        }
    }

    #[test]
    fn nothing_is_written_through_a_link_or_twice() {
        let link = entry(EntryType::Symlink, "a", "b", b"");
        let directory = entry(EntryType::Directory, "b/", "", b"");
        let through = entry(EntryType::Regular, "a/file", "", b"x");
        assert_eq!(reason(&concat(&[directory, link.clone(), through])), Reason::PayloadUnsafe);
        let over = entry(EntryType::Regular, "a", "", b"x");
        assert_eq!(reason(&concat(&[link, over.clone()])), Reason::PayloadUnsafe);
        assert_eq!(reason(&concat(&[over.clone(), over])), Reason::PayloadUnsafe);
    }

    #[test]
    fn too_many_entries_and_too_many_bytes_are_refused() {
        let file =
            |index: u32, size| entry(EntryType::Regular, &format!("f{index}"), "", &vec![7; size]);
        let many: Vec<_> = (0..11).map(|index| file(index, 1)).collect();
        assert_eq!(reason(&concat(&many)), Reason::TooLarge);
        assert!(unpacked(&concat(&many[..10])).is_ok());
        assert_eq!(reason(&concat(&[file(0, 6000), file(1, 4001)])), Reason::TooLarge);
        assert!(unpacked(&concat(&[file(0, 6000), file(1, 4000)])).is_ok());
    }

    #[test]
    fn an_archive_cut_anywhere_never_panics() {
        let whole = concat(&[entry(EntryType::Regular, "a", "", &[7; 600])]);
        for len in (0..whole.len()).step_by(37) {
            let _ = unpacked(&whole[..len]);
        }
        assert!(
            unpacked(b"not an archive, and long enough to be one".repeat(20).as_slice()).is_err()
        );
    }

    #[test]
    fn the_tree_digest_sees_content_mode_name_and_link() {
        let dir = unpacked(&concat(&[
            entry(EntryType::Regular, "a", "", b"x"),
            entry(EntryType::Symlink, "l", "a", b""),
        ]))
        .unwrap();
        let tree = dir.path().join("tree");
        let before = tree_digest(&tree).unwrap();
        assert_eq!(tree_digest(&tree).unwrap(), before);
        fs::write(tree.join("a"), b"y").unwrap();
        assert_ne!(tree_digest(&tree).unwrap(), before);
        fs::write(tree.join("a"), b"x").unwrap();
        assert_eq!(tree_digest(&tree).unwrap(), before);
        fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_ne!(tree_digest(&tree).unwrap(), before);
    }
}
