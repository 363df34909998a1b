//! One run: inputs in, an [`Assessment`] out.

mod compare;
mod leaf;
mod result;
mod state;
mod tree;

use std::path::{Path, PathBuf};

pub use compare::{Comparison, Region};
pub use result::{Assessment, InputReport, Seen, Shared};
use state::State;

use crate::{
    blob::Blob,
    keys::{FingerprintKey, Index},
    model::{Coverage, OwnerKind, Severity},
    rules::suppress::Suppressions,
    unpack::Limits,
    walk::{Place, Walker},
};

/// What to assess and how.
#[derive(Clone)]
pub struct Options {
    /// Least severity that makes the exit code 1.
    pub fail_on: Severity,
    /// Least share of bytes that must be read, in percent; below it the exit code is 3.
    pub min_coverage_percent: u32,
    /// Read git history.
    pub history: bool,
    /// Read files that git ignores.
    pub ignored: bool,
    /// Accepted findings.
    pub suppressions: Suppressions,
    /// Key for the fingerprints of secrets.
    pub key: FingerprintKey,
    /// Bounds for unpacking.
    pub limits: Limits,
    /// Day to judge dates by, `YYYY-MM-DD`.
    pub today: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fail_on: Severity::High,
            min_coverage_percent: 50,
            history: true,
            ignored: false,
            suppressions: Suppressions::default(),
            key: FingerprintKey::default(),
            limits: Limits::default(),
            today: today(),
        }
    }
}

/// The day now, in UTC.
#[must_use]
pub fn today() -> String {
    let now = time::OffsetDateTime::now_utc().date();
    format!("{:04}-{:02}-{:02}", now.year(), u8::from(now.month()), now.day())
}

/// Something to read.
#[derive(Clone, Debug)]
pub enum Input {
    /// A file or a directory.
    Path(PathBuf),
    /// Bytes with a name.
    Bytes(String, Vec<u8>),
}

impl Input {
    /// A directory is a source tree, unless it is an unpacked root file system; everything
    /// else is an image.
    #[must_use]
    pub fn kind(&self) -> OwnerKind {
        match self {
            Self::Path(path) if path.is_dir() && !is_root_file_system(path) => OwnerKind::Source,
            _ => OwnerKind::Image,
        }
    }
}

fn is_root_file_system(path: &Path) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| path.join(name).symlink_metadata().is_ok());
    has(&["etc/passwd", "etc/inittab", "etc/os-release", "etc/init.d"])
        && has(&["bin", "sbin", "usr/bin", "lib"])
        && !has(&[".git"])
}

/// Reports progress.
pub trait Progress {
    /// A file is about to be read.
    fn file(&mut self, _path: &str) {}
    /// Everything was read; the reports follow.
    fn done(&mut self) {}
}

impl Progress for () {}

/// Assesses the inputs.
pub fn run(inputs: &[Input], options: &Options, progress: &mut dyn Progress) -> Assessment {
    let (assessment, _) = run_with_index(inputs, options, progress);
    assessment
}

/// Assesses the inputs and hands back the key index too, for further joins.
pub fn run_with_index(
    inputs: &[Input],
    options: &Options,
    progress: &mut dyn Progress,
) -> (Assessment, Index) {
    let images = inputs.iter().filter(|i| i.kind() == OwnerKind::Image).count();
    let mut state = State::new(&options.key, images > 1);
    let reports: Vec<InputReport> =
        inputs.iter().map(|input| one(input, options, &mut state, progress)).collect();
    let assessment = state.conclude(reports, options);
    (assessment, state.index)
}

fn one(
    input: &Input,
    options: &Options,
    state: &mut State<'_>,
    progress: &mut dyn Progress,
) -> InputReport {
    let kind = input.kind();
    let name = match input {
        Input::Path(path) => display(path),
        Input::Bytes(name, _) => name.clone(),
    };
    state.owner_kind = kind;
    let owner = state.index.owner(&name, kind);
    let place = Place { owner, file: name.clone(), path: name.clone() };
    let mut report = InputReport {
        name: name.clone(),
        kind,
        bytes: 0,
        files: 0,
        coverage: Coverage::default(),
        unread: Vec::new(),
        opened: Default::default(),
        links: 0,
        devices: 0,
        escaping_names: 0,
        error: None,
    };
    match input {
        Input::Bytes(_, bytes) => {
            let blob = Blob::from_vec(bytes.clone());
            report.bytes = blob.len();
            state.image(owner, &name, Some(&blob));
            let mut walker = Walker::new(state, options.limits.clone(), blob.len());
            report.coverage = walker.blob(&blob, &place, None, 0);
            take(walker, &mut report);
        }
        Input::Path(path) if path.is_dir() => {
            if kind == OwnerKind::Image {
                state.image(owner, &name, None);
            }
            tree::walk(path, &place, options, state, progress, &mut report)
        }
        Input::Path(path) => match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                report.bytes = metadata.len();
                progress.file(&place.path);
                if let Ok(blob) = Blob::open(path) {
                    state.image(owner, &name, Some(&blob));
                }
                let mut walker = Walker::new(state, options.limits.clone(), metadata.len());
                report.coverage = walker.file(path, &place, None);
                take(walker, &mut report);
            }
            Ok(_) => report.error = Some("neither a file nor a directory".into()),
            Err(error) => report.error = Some(error.to_string()),
        },
    }
    report.unread.sort();
    report
}

fn take(walker: Walker<'_>, report: &mut InputReport) {
    report.files = walker.leaves;
    report.links += walker.skipped[0];
    report.devices = walker.skipped[1];
    report.escaping_names = walker.skipped[2];
    report.opened = walker.opened;
    report.unread = walker.unread;
}

fn display(path: &Path) -> String {
    crate::unpack::clean(&path.to_string_lossy().replace('\\', "/"))
}
