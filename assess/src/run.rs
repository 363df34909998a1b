//! One run: inputs in, an [`Assessment`] out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    content::{self, Finds, Hit},
    elf,
    keys::{self, About, FingerprintKey, Index, Kind, Record, extract::Found},
    model::{Coverage, Finding, Location, OwnerKind, Severity, Unread},
    rules::{
        self,
        requirements::{Grounds, Judged, judge},
        suppress::{Stale, Suppressions},
        valid,
    },
    unpack::{Fact, Limits},
    walk::{Consumer, Leaf, LeafKind, Place, Walker},
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

/// One input after the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputReport {
    /// Its name as given.
    pub name: String,
    /// Source tree or image.
    pub kind: OwnerKind,
    /// Size in bytes.
    pub bytes: u64,
    /// Files read in it, also inside archives.
    pub files: u64,
    /// What became of the bytes.
    pub coverage: Coverage,
    /// What was not read, and why.
    pub unread: Vec<Unread>,
    /// Containers opened, by format.
    pub opened: BTreeMap<&'static str, u64>,
    /// Symbolic links not followed.
    pub links: u64,
    /// Device nodes, sockets and pipes not opened.
    pub devices: u64,
    /// Member names that climb out of their archive.
    pub escaping_names: u64,
    /// Why it could not be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A component seen by its version string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Seen {
    /// Name.
    pub name: &'static str,
    /// Version, may be empty.
    pub version: String,
    /// Where, sorted.
    pub locations: Vec<Location>,
}

/// The answer to the first question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shared {
    /// Shared, with counts of what.
    Yes {
        /// Private keys.
        private_keys: usize,
        /// Password hashes.
        password_hashes: usize,
        /// Other credentials.
        credentials: usize,
    },
    /// Across what was given nothing is shared.
    NotFound {
        /// How many images were compared.
        images: usize,
    },
    /// One image cannot tell.
    NotTested,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// Inputs in the order given.
    pub inputs: Vec<InputReport>,
    /// The first question.
    pub shared: Shared,
    /// Findings, worst first.
    pub findings: Vec<Finding>,
    /// Suppressions that do nothing any more.
    pub stale_suppressions: Vec<Stale>,
    /// Requirements with verdicts.
    pub requirements: Vec<Judged>,
    /// Components.
    pub components: Vec<Seen>,
    /// Kinds in the key index: kind, sightings, different ones.
    pub index: Vec<(Kind, usize, usize)>,
    /// Exit code: 0 none, 1 findings, 3 not tested.
    pub exit: u8,
    /// Severity that counts for the exit code.
    pub fail_on: Severity,
    /// Least share of bytes asked for.
    pub min_coverage_percent: u32,
    /// Rules in force.
    pub rules: usize,
    /// Known public keys in force, and the day of the list.
    pub known_keys: (usize, &'static str),
    /// Version of the requirement table.
    pub requirement_table: &'static str,
    /// Day by which dates were judged.
    pub today: String,
}

/// Reports progress.
pub trait Progress {
    /// A file is about to be read.
    fn file(&mut self, _path: &str) {}
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
    let mut state = State {
        key: &options.key,
        index: Index::default(),
        raw: BTreeMap::new(),
        components: BTreeMap::new(),
        owner_kind: OwnerKind::Image,
        signed: 0,
        unsigned: 0,
        tried_hashes: 0,
    };
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
    let (name, kind) = match input {
        Input::Path(path) if path.is_dir() => (display(path), OwnerKind::Source),
        Input::Path(path) => (display(path), OwnerKind::Image),
        Input::Bytes(name, _) => (name.clone(), OwnerKind::Image),
    };
    state.owner_kind = kind;
    let owner = state.index.owner(&name, kind);
    let place = Place { owner, file: name.clone(), path: name.clone() };
    let mut report = InputReport {
        name,
        kind,
        bytes: 0,
        files: 0,
        coverage: Coverage::default(),
        unread: Vec::new(),
        opened: BTreeMap::new(),
        links: 0,
        devices: 0,
        escaping_names: 0,
        error: None,
    };
    match input {
        Input::Bytes(_, bytes) => {
            let blob = crate::blob::Blob::from_vec(bytes.clone());
            report.bytes = blob.len();
            let mut walker = Walker::new(state, options.limits.clone(), blob.len());
            report.coverage = walker.blob(&blob, &place, None, 0);
            take(walker, &mut report);
        }
        Input::Path(path) if path.is_dir() => {
            tree(path, &place, options, state, progress, &mut report)
        }
        Input::Path(path) => match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                report.bytes = metadata.len();
                progress.file(&place.path);
                let mut walker = Walker::new(state, options.limits.clone(), metadata.len());
                report.coverage = walker.file(path, &place);
                take(walker, &mut report);
            }
            Ok(_) => report.error = Some("neither a file nor a directory".into()),
            Err(error) => report.error = Some(error.to_string()),
        },
    }
    report.unread.sort();
    report
}

fn tree(
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
            && let Ok(blob) = crate::blob::Blob::open(&path)
        {
            walker.seen.insert(crate::unpack::blob_id(&blob));
        }
        report.coverage.add(walker.file(&path, &file));
    }
    take(walker, report);
    report.links += links;
}

fn in_git(root: &Path, path: &Path) -> bool {
    path.strip_prefix(root).is_ok_and(|p| p.components().any(|c| c.as_os_str() == ".git"))
}

fn take(walker: Walker<'_>, report: &mut InputReport) {
    report.files = walker.leaves;
    report.links += walker.skipped[0];
    report.devices = walker.skipped[1];
    report.escaping_names = walker.skipped[2];
    report.opened = walker.opened;
    report.unread = walker.unread;
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

fn display(path: &Path) -> String {
    crate::unpack::clean(&path.to_string_lossy().replace('\\', "/"))
}

/// A finding before its places are complete: rule and content.
type RawKey = (&'static str, keys::Fingerprint);

struct Raw {
    detail: String,
    locations: BTreeSet<Location>,
}

struct State<'a> {
    key: &'a FingerprintKey,
    index: Index,
    raw: BTreeMap<RawKey, Raw>,
    components: BTreeMap<(&'static str, String), BTreeSet<Location>>,
    owner_kind: OwnerKind,
    signed: u32,
    unsigned: u32,
    tried_hashes: u32,
}

impl State<'_> {
    fn add(&mut self, rule: &'static str, content: &[u8], detail: String, location: Location) {
        let print = self.key.of(rule, content);
        let raw = self
            .raw
            .entry((rule, print))
            .or_insert_with(|| Raw { detail, locations: BTreeSet::new() });
        if raw.locations.len() < MAX_LOCATIONS {
            raw.locations.insert(location);
        }
    }

    fn conclude(&mut self, inputs: Vec<InputReport>, options: &Options) -> Assessment {
        let day = options.today.replace('-', "");
        for join in self.index.joins(&day) {
            let print = self.key.of(join.rule, &join.fingerprint.0);
            let records = self.index.records();
            let locations = join.records.iter().map(|at| records[*at].location.clone()).collect();
            self.raw.insert((join.rule, print), Raw { detail: join.detail, locations });
        }
        let mut findings: Vec<Finding> = std::mem::take(&mut self.raw)
            .into_iter()
            .filter_map(|((id, print), raw)| {
                let rule = rules::find(id)?;
                Some(Finding {
                    rule: id,
                    severity: rule.severity,
                    title: rule.title.to_owned(),
                    detail: raw.detail,
                    fingerprint: print.short(),
                    requirements: rule.requirements.to_vec(),
                    locations: raw.locations.into_iter().collect(),
                    suppressed: None,
                })
            })
            .collect();
        findings.sort_by(|a, b| {
            (b.severity, a.rule, &a.locations, &a.fingerprint).cmp(&(
                a.severity,
                b.rule,
                &b.locations,
                &b.fingerprint,
            ))
        });
        let stale_suppressions = options.suppressions.apply(&mut findings, &options.today);
        let covered = inputs.iter().all(|i| {
            i.error.is_none() && i.coverage.read_permille() >= options.min_coverage_percent * 10
        }) && !inputs.is_empty();
        let images =
            inputs.iter().filter(|i| i.kind == OwnerKind::Image && i.error.is_none()).count();
        let grounds = Grounds {
            images,
            inputs: inputs.len(),
            covered,
            signed: self.signed > 0 && self.unsigned == 0,
        };
        let not_applicable: Vec<(String, String)> = options
            .suppressions
            .not_applicable
            .iter()
            .map(|n| (n.requirement.clone(), n.reason.clone()))
            .collect();
        let requirements = judge(&findings, grounds, &not_applicable);
        let failing =
            findings.iter().any(|f| f.suppressed.is_none() && f.severity >= options.fail_on);
        let components = std::mem::take(&mut self.components)
            .into_iter()
            .map(|((name, version), places)| Seen {
                name,
                version,
                locations: places.into_iter().collect(),
            })
            .collect();
        Assessment {
            shared: shared(&findings, images),
            exit: if failing {
                1
            } else if covered {
                0
            } else {
                3
            },
            inputs,
            findings,
            stale_suppressions,
            requirements,
            components,
            index: self.index.counts(),
            fail_on: options.fail_on,
            min_coverage_percent: options.min_coverage_percent,
            rules: rules::all().count(),
            known_keys: (keys::known::count(), keys::known::made_on()),
            requirement_table: rules::requirements::VERSION,
            today: options.today.clone(),
        }
    }
}

fn shared(findings: &[Finding], images: usize) -> Shared {
    let count = |rules: &[&str]| {
        findings
            .iter()
            .filter(|f| f.suppressed.is_none() && rules.contains(&f.rule))
            .map(|f| f.fingerprint.as_str())
            .collect::<BTreeSet<_>>()
            .len()
    };
    let keys = count(&["K-001"]).max(count(&["K-005"])) + count(&["K-003"]);
    let (hashes, credentials) = (count(&["K-007"]), count(&["K-008"]));
    if keys + hashes + credentials > 0 {
        Shared::Yes { private_keys: keys, password_hashes: hashes, credentials }
    } else if images > 1 {
        Shared::NotFound { images }
    } else {
        Shared::NotTested
    }
}

impl Consumer for State<'_> {
    fn leaf(&mut self, leaf: &Leaf<'_>) {
        let mut finds = LeafFinds { state: self, leaf };
        content::scan(leaf, &mut finds);
        if leaf.kind == LeafKind::Elf {
            self.elf(leaf);
        } else if leaf.kind == LeafKind::Binary && self.owner_kind == OwnerKind::Image {
            self.cortex_m(leaf);
        }
    }

    fn fact(&mut self, place: &Place, fact: Fact) {
        let at = Location {
            owner: place.owner,
            file: place.file.clone(),
            path: place.path.clone(),
            offset: 0,
            line: None,
        };
        let content = at.path.clone();
        let signed = match &fact {
            Fact::Mcuboot(trailer) => {
                if trailer.security_counter.is_none() {
                    let detail = format!("MCUboot image {}", trailer.version);
                    self.add("U-010", content.as_bytes(), detail, at.clone());
                }
                if let Some(source) = trailer
                    .key_hash
                    .as_deref()
                    .and_then(|h| <[u8; 32]>::try_from(h).ok())
                    .and_then(|h| keys::known::source(&h))
                {
                    self.add(
                        "U-011",
                        content.as_bytes(),
                        format!("known from {source}"),
                        at.clone(),
                    );
                }
                trailer.signature.is_some()
            }
            Fact::EspImage { signed, .. } => *signed,
            Fact::Fit { signed, .. } | Fact::Suit { signed } => *signed,
            Fact::UImage => {
                self.unsigned += 1;
                self.add("U-009", content.as_bytes(), "uImage".into(), at);
                return;
            }
        };
        if signed {
            self.signed += 1;
        } else {
            self.unsigned += 1;
            let kind = match fact {
                Fact::Mcuboot(_) => "MCUboot image",
                Fact::EspImage { .. } => "ESP-IDF image",
                Fact::Fit { .. } => "FIT image",
                _ => "SUIT envelope",
            };
            self.add("U-008", content.as_bytes(), kind.into(), at);
        }
    }
}

impl State<'_> {
    fn whole(&self, leaf: &Leaf<'_>) -> Location {
        Location {
            owner: leaf.place.owner,
            file: leaf.place.file.clone(),
            path: leaf.place.path.clone(),
            offset: leaf.base,
            line: None,
        }
    }

    fn elf(&mut self, leaf: &Leaf<'_>) {
        let at = self.whole(leaf);
        let owner = leaf.place.owner.to_be_bytes();
        if self.owner_kind == OwnerKind::Image && leaf.mode.is_some_and(|m| m & 0o4000 != 0) {
            let name = leaf.place.name().to_owned();
            self.add("E-007", name.as_bytes(), name.clone(), at.clone());
        }
        let Some(found) = elf::hardening(leaf.blob) else { return };
        if self.owner_kind != OwnerKind::Image {
            return;
        }
        if let Some(path) = found.rpath.filter(|p| weak_path(p)) {
            self.add("E-006", path.as_bytes(), path.clone(), at.clone());
        }
        // One finding per image and weakness, with every program as a place.
        let weak = [
            ("E-001", !found.nx),
            ("E-002", found.program && !found.pie),
            ("E-003", found.dynamic && !(found.relro && found.now)),
            ("E-004", found.dynamic && found.program && !found.canary),
            ("E-005", found.dynamic && found.program && found.checkable && !found.fortify),
            ("E-008", found.debug),
            ("E-009", found.rwx),
        ];
        for (rule, _) in weak.into_iter().filter(|w| w.1) {
            self.add(rule, &owner, String::new(), at.clone());
        }
    }

    fn cortex_m(&mut self, leaf: &Leaf<'_>) {
        let Some(found) = elf::cortex_m(leaf.blob) else { return };
        let at = self.whole(leaf);
        let content = at.path.clone().into_bytes();
        let weak = [
            ("M-001", !found.mpu),
            ("M-002", found.gateway && !found.sau),
            ("M-003", found.one_fault_handler),
        ];
        for (rule, _) in weak.into_iter().filter(|w| w.1) {
            self.add(rule, &content, "Cortex-M vector table".into(), at.clone());
        }
    }
}

/// A library path that is relative or that others can write.
fn weak_path(path: &str) -> bool {
    path.split(':').any(|p| {
        !(p.starts_with('/') || p.starts_with("$ORIGIN") || p.starts_with("${ORIGIN}"))
            || ["/tmp", "/var/tmp", "/home", "/root", "/mnt", "/media"]
                .iter()
                .any(|w| p.starts_with(w))
    })
}

struct LeafFinds<'s, 'k, 'l> {
    state: &'s mut State<'k>,
    leaf: &'l Leaf<'l>,
}

impl LeafFinds<'_, '_, '_> {
    fn location(&self, offset: u64, line: Option<u32>) -> Location {
        let place = self.leaf.place;
        // A line counts from the start of the file only when the leaf does too.
        let line = line.filter(|_| self.leaf.base == 0);
        Location {
            owner: place.owner,
            file: place.file.clone(),
            path: place.path.clone(),
            offset,
            line,
        }
    }
}

impl Finds for LeafFinds<'_, '_, '_> {
    fn hit(&mut self, hit: &Hit<'_>) {
        let location = self.location(hit.at, hit.line);
        let detail = match hit.rule.kind {
            None => crate::unpack::clean(&String::from_utf8_lossy(
                &hit.whole[..hit.whole.len().min(100)],
            ))
            .trim()
            .to_owned(),
            Some(_) => hint(hit.secret),
        };
        if let Some(kind) = hit.rule.kind {
            let default_password =
                if kind == Kind::PasswordHash && self.state.tried_hashes < MAX_TRIED {
                    self.state.tried_hashes += 1;
                    std::str::from_utf8(hit.secret).ok().and_then(keys::crypt::default_password)
                } else {
                    None
                };
            let shape =
                (kind == Kind::Password).then(|| shape(self.state.key, hit.secret)).flatten();
            let about = About {
                label: hit.rule.title.to_owned(),
                shape,
                default_password,
                mode: self.leaf.mode,
                ..About::default()
            };
            self.state.index.insert(Record {
                owner: location.owner,
                kind,
                fingerprint: self.state.key.of("secret", hit.secret),
                location: location.clone(),
                about,
            });
        }
        self.state.add(hit.rule.id, hit.secret, detail, location);
    }

    fn key(&mut self, found: Found, at: u64, line: Option<u32>) {
        let location = self.location(at, line);
        let mut about = found.about;
        about.mode = self.leaf.mode;
        about.in_program = self.leaf.kind == LeafKind::Elf;
        // Private parts without a public half are indexed under the key, not in the open.
        let fingerprint = match found.kind {
            Kind::Symmetric | Kind::EncryptedKey | Kind::KeyStore => {
                self.state.key.of("secret", &found.fingerprint.0)
            }
            _ => found.fingerprint,
        };
        self.state.index.insert(Record {
            owner: location.owner,
            kind: found.kind,
            fingerprint,
            location,
            about,
        });
    }

    fn component(&mut self, name: &'static str, version: &str, at: u64) {
        let location = self.location(at, None);
        let places = self.state.components.entry((name, version.to_owned())).or_default();
        if places.len() < 64 {
            places.insert(location);
        }
    }
}

/// Four characters of a long secret, nothing but the length of a short one.
fn hint(secret: &[u8]) -> String {
    if secret.len() >= 16 {
        let head = crate::unpack::clean(&String::from_utf8_lossy(&secret[..4]));
        format!("{head}… ({} characters)", secret.len())
    } else {
        format!("{} characters", secret.len())
    }
}

/// The pattern of a password that differs from its siblings in a few digits only.
fn shape(key: &FingerprintKey, secret: &[u8]) -> Option<keys::Fingerprint> {
    let digits = secret.iter().filter(|b| b.is_ascii_digit()).count();
    let rest = secret.len() - digits;
    if !(2..=6).contains(&digits) || rest < 4 || valid::placeholder(secret) {
        return None;
    }
    let pattern: Vec<u8> =
        secret.iter().map(|b| if b.is_ascii_digit() { b'9' } else { *b }).collect();
    Some(key.of("shape", &pattern))
}

const MAX_LOCATIONS: usize = 100_000;
const MAX_TRIED: u32 = 64;
const SEEN_LIMIT: u64 = 64 << 20;
