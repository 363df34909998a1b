//! Reading a directory: which files, in which order.

use std::path::{Path, PathBuf};

use super::{
    InputReport, Options, Progress, display,
    history::{self, Store},
};
use crate::{
    blob::Blob,
    model::OwnerKind,
    walk::{Place, Walker},
};

/// Reads every file below `root`, history last, so that it need not repeat what the working
/// tree has.
pub(super) fn walk(
    root: &Path,
    place: &Place,
    options: &Options,
    walker: &mut Walker<'_>,
    progress: &mut dyn Progress,
    report: &mut InputReport,
) {
    // What a repository around an unpacked image ignores is on the device all the same.
    let found = list(root, !options.ignored && report.kind == OwnerKind::Source);
    report.links = found.links;
    for (path, why) in &found.problems {
        walker.not_read(&place_of(root, path, place), 0, 0, why);
    }
    walker.skipped[1] += found.special;
    if found.problems.iter().any(|(path, _)| path == root) {
        report.error = found.problems.first().map(|(_, why)| why.clone());
    }
    let stores: Vec<Store> =
        found.repositories.iter().filter_map(|at| history::of(at, options.history)).collect();
    report.history = stores.iter().map(|s| s.state).max().unwrap_or_default();
    let remember = stores.iter().any(|s| !s.files.is_empty());
    for path in &found.files {
        one(root, path, place, walker, progress, report, remember);
    }
    for store in &stores {
        let at = place_of(root, &store.directory, place);
        for problem in &store.problems {
            walker.not_read(&at, 0, 0, problem);
        }
        for blob in store.files.iter().filter_map(|path| Blob::open(path).ok()) {
            walker.names.loose(&blob);
        }
        for path in &store.files {
            one(root, path, place, walker, progress, report, false);
        }
    }
}

fn one(
    root: &Path,
    path: &Path,
    place: &Place,
    walker: &mut Walker<'_>,
    progress: &mut dyn Progress,
    report: &mut InputReport,
    remember: bool,
) {
    let file = place_of(root, path, place);
    progress.file(&file.path);
    let mode = if report.kind == OwnerKind::Image { mode(path) } else { None };
    let Ok(blob) = Blob::open(path) else {
        report.bytes += std::fs::metadata(path).map_or(0, |m| m.len());
        report.coverage.add(walker.file(path, &file, mode));
        return;
    };
    report.bytes += blob.len();
    if remember && blob.len() < SEEN_LIMIT {
        walker.seen.insert(crate::unpack::blob_id(&blob));
    }
    report.coverage.add(walker.blob(&blob, &file, mode, 0));
}

fn place_of(root: &Path, path: &Path, place: &Place) -> Place {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let shown = if place.path == "." { display(relative) } else { display(path) };
    Place { owner: place.owner, file: shown.clone(), path: shown }
}

/// What a directory holds, without the stores of repositories.
#[derive(Default)]
struct Listed {
    files: Vec<PathBuf>,
    links: u64,
    /// Device nodes, sockets and pipes.
    special: u64,
    /// What could not be listed, and why.
    problems: Vec<(PathBuf, String)>,
    /// Directories with a `.git` in them.
    repositories: Vec<PathBuf>,
}

fn list(root: &Path, honour_ignores: bool) -> Listed {
    let mut found = Listed::default();
    let walk = ignore::WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(honour_ignores)
        .git_exclude(honour_ignores)
        .parents(honour_ignores)
        .hidden(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = path_of(&error).unwrap_or(root).to_owned();
                let why =
                    error.io_error().map_or_else(|| error.to_string(), |io| io.kind().to_string());
                found.problems.push((path, format!("cannot be listed: {why}")));
                continue;
            }
        };
        match entry.file_type() {
            Some(kind) if kind.is_file() => found.files.push(entry.into_path()),
            Some(kind) if kind.is_symlink() => found.links += 1,
            Some(kind) if kind.is_dir() && entry.path().join(".git").symlink_metadata().is_ok() => {
                found.repositories.push(entry.into_path());
            }
            Some(kind) if !kind.is_dir() => found.special += 1,
            _ => {}
        }
    }
    found.problems.sort();
    found.files.sort();
    found.repositories.sort();
    found
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        _ => None,
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).ok().map(|m| m.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

const SEEN_LIMIT: u64 = 64 << 20;
