//! One run: inputs in, an [`Assessment`] out.

mod compare;
mod examine;
mod history;
mod leaf;
mod pipeline;
mod result;
mod state;
mod tree;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use compare::{Comparison, Region};
use examine::Wanted;
pub use result::{Assessment, History, InputReport, Seen, Shared};
use state::State;

use crate::{
    blob::Blob,
    keys::{FingerprintKey, Index},
    model::{Coverage, OwnerKind, Severity, Unread},
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
    /// Threads that examine files, 1 or more. The report is the same with any number.
    pub threads: usize,
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
            threads: threads(),
        }
    }
}

/// As many threads as there are cores, up to a bound that keeps memory small.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MAX_THREADS)
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
        history: History::None,
        escaping_names: 0,
        error: None,
    };
    let wanted = Wanted { image: kind == OwnerKind::Image, digest: state.compares() };
    let through = |state: &mut State<'_>, size: u64, walk: &mut dyn FnMut(&mut Walker<'_>)| {
        pipeline::through(state, options.threads, wanted, |consumer| {
            let mut walker = Walker::new(consumer, options.limits.clone(), size);
            walk(&mut walker);
            Walked::from(walker)
        })
    };
    match input {
        Input::Bytes(_, bytes) => {
            let blob = Blob::from_vec(bytes.clone());
            report.bytes = blob.len();
            state.image(owner, &name, Some(&blob));
            let walked = through(state, blob.len(), &mut |walker| {
                report.coverage = walker.blob(&blob, &place, None, 0);
            });
            walked.into(&mut report);
        }
        Input::Path(path) if path.is_dir() => {
            if kind == OwnerKind::Image {
                state.image(owner, &name, None);
            }
            let walked = through(state, u64::MAX, &mut |walker| {
                tree::walk(path, &place, options, walker, progress, &mut report);
            });
            walked.into(&mut report);
        }
        Input::Path(path) => match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                report.bytes = metadata.len();
                progress.file(&place.path);
                if let Ok(blob) = Blob::open(path) {
                    state.image(owner, &name, Some(&blob));
                }
                let walked = through(state, metadata.len(), &mut |walker| {
                    report.coverage = walker.file(path, &place, None);
                });
                walked.into(&mut report);
            }
            Ok(_) => report.error = Some("neither a file nor a directory".into()),
            Err(error) => report.error = Some(error.to_string()),
        },
    }
    if report.bytes == 0 && report.error.is_none() {
        report.error = Some("there is nothing in it".into());
    }
    report.unread.sort();
    report
}

/// What a walk leaves behind.
struct Walked {
    unread: Vec<Unread>,
    skipped: [u64; 3],
    opened: BTreeMap<&'static str, u64>,
    leaves: u64,
}

impl From<Walker<'_>> for Walked {
    fn from(walker: Walker<'_>) -> Self {
        let Walker { unread, skipped, opened, leaves, .. } = walker;
        Self { unread, skipped, opened, leaves }
    }
}

impl Walked {
    fn into(self, report: &mut InputReport) {
        report.files = self.leaves;
        report.links += self.skipped[0];
        report.devices += self.skipped[1];
        report.escaping_names = self.skipped[2];
        report.opened = self.opened;
        report.unread = self.unread;
    }
}

fn display(path: &Path) -> String {
    crate::unpack::clean(&path.to_string_lossy().replace('\\', "/"))
}

const MAX_THREADS: usize = 4;
