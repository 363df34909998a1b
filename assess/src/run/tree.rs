//! Reading a directory: which files, in which order.

use std::path::{Path, PathBuf};

use super::{InputReport, Options, Progress, display, state::State, take};
use crate::{
    blob::Blob,
    model::OwnerKind,
    walk::{Place, Walker},
};

/// Reads every file below `root`, history last.
pub(super) fn walk(
    root: &Path,
    place: &Place,
    options: &Options,
    state: &mut State<'_>,
    progress: &mut dyn Progress,
    report: &mut InputReport,
) {
    let is_repository = root.join(".git").exists();
    let (mut files, links) = list(root, !options.ignored, is_repository && options.history);
    // History last, so that it need not repeat what the working tree has.
    files.sort_by_key(|path| (in_git(root, path), path.clone()));
    report.links = links;
    let mut walker = Walker::new(state, options.limits.clone(), u64::MAX);
    for path in files {
        let relative = path.strip_prefix(root).unwrap_or(&path);
        let shown = if place.path == "." { display(relative) } else { display(&path) };
        let size = std::fs::metadata(&path).map_or(0, |m| m.len());
        report.bytes += size;
        progress.file(&shown);
        let file = Place { owner: place.owner, file: shown.clone(), path: shown };
        if is_repository
            && !in_git(root, &path)
            && size < SEEN_LIMIT
            && let Ok(blob) = Blob::open(&path)
        {
            walker.seen.insert(crate::unpack::blob_id(&blob));
        }
        let mode = if report.kind == OwnerKind::Image { mode(&path) } else { None };
        report.coverage.add(walker.file(&path, &file, mode));
    }
    take(walker, report);
    report.links += links;
}

fn in_git(root: &Path, path: &Path) -> bool {
    path.strip_prefix(root).is_ok_and(|p| p.components().any(|c| c.as_os_str() == ".git"))
}

fn list(root: &Path, honour_ignores: bool, history: bool) -> (Vec<PathBuf>, u64) {
    let mut files = Vec::new();
    let mut links = 0;
    let walk = ignore::WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(honour_ignores)
        .git_exclude(honour_ignores)
        .parents(honour_ignores)
        .hidden(false)
        .follow_links(false)
        .filter_entry(move |entry| history || entry.file_name() != ".git")
        .build();
    for entry in walk.flatten() {
        match entry.file_type() {
            Some(kind) if kind.is_file() => files.push(entry.into_path()),
            Some(kind) if kind.is_symlink() => links += 1,
            _ => {}
        }
    }
    (files, links)
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
