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
    let found = list(root, !options.ignored);
    report.links = found.links;
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
    for entry in walk.flatten() {
        match entry.file_type() {
            Some(kind) if kind.is_file() => found.files.push(entry.into_path()),
            Some(kind) if kind.is_symlink() => found.links += 1,
            Some(kind) if kind.is_dir() && entry.path().join(".git").symlink_metadata().is_ok() => {
                found.repositories.push(entry.into_path());
            }
            _ => {}
        }
    }
    found.files.sort();
    found.repositories.sort();
    found
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
