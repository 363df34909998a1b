//! What a run knows while it reads, and the conclusion that it draws.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    Options,
    compare::Inventory,
    examine::{self, Examined},
    leaf::LeafFinds,
    result::{Assessment, History, InputReport, Seen, Shared},
};
use crate::{
    blob::Blob,
    elf::{CortexM, Hardening},
    keys::{self, FingerprintKey, Index},
    model::{Finding, Location, OwnerKind},
    rules::{
        self,
        matter::Matter,
        requirements::{Grounds, judge},
        unit_tests::UnitTests,
    },
    unpack::Fact,
    walk::{Leaf, LeafKind, Place},
};

/// A finding before its places are complete: rule and content.
type RawKey = (&'static str, keys::Fingerprint);

struct Raw {
    detail: String,
    locations: BTreeSet<Location>,
}

pub(super) struct State<'a> {
    pub(super) key: &'a FingerprintKey,
    pub(super) index: Index,
    raw: BTreeMap<RawKey, Raw>,
    pub(super) components: BTreeMap<(&'static str, String), BTreeSet<Location>>,
    pub(super) owner_kind: OwnerKind,
    signed: u32,
    unsigned: u32,
    pub(super) tried_hashes: u32,
    /// What is left for trying passwords on stores and keys.
    pub(super) hash_rounds: u64,
    /// Kept when there are several images.
    inventory: Option<Inventory>,
    unit_tests: UnitTests,
    matter: Matter,
}

impl<'a> State<'a> {
    pub(super) fn new(key: &'a FingerprintKey, several_images: bool) -> Self {
        Self {
            key,
            index: Index::default(),
            raw: BTreeMap::new(),
            components: BTreeMap::new(),
            owner_kind: OwnerKind::Image,
            signed: 0,
            unsigned: 0,
            tried_hashes: 0,
            hash_rounds: HASH_ROUNDS,
            inventory: several_images.then(Inventory::default),
            unit_tests: UnitTests::default(),
            matter: Matter::default(),
        }
    }

    /// Whether there are several images to hold side by side.
    pub(super) fn compares(&self) -> bool {
        self.inventory.is_some()
    }

    /// An image is about to be read.
    pub(super) fn image(&mut self, owner: u32, name: &str, blob: Option<&Blob>) {
        if let Some(inventory) = &mut self.inventory {
            inventory.image(owner, name, blob);
        }
    }
}

impl State<'_> {
    pub(super) fn add(
        &mut self,
        rule: &'static str,
        content: &[u8],
        detail: String,
        location: Location,
    ) {
        let print = self.key.of(rule, content);
        let raw = self
            .raw
            .entry((rule, print))
            .or_insert_with(|| Raw { detail, locations: BTreeSet::new() });
        if raw.locations.len() < MAX_LOCATIONS {
            raw.locations.insert(location);
        }
    }

    /// Takes places from the broad rules where a narrower rule or a key says the same.
    fn leave_to_the_narrower(&mut self) {
        let spot = |l: &Location| (l.path.clone(), l.offset);
        let mut narrow: HashSet<(String, u64)> = HashSet::new();
        for ((rule, _), raw) in &self.raw {
            if rule.starts_with(['S', 'P']) && !BROAD.contains(rule) {
                narrow.extend(raw.locations.iter().map(spot));
            }
        }
        // Among the broad ones the first in this order keeps the place.
        for broad in BROAD {
            for ((rule, _), raw) in self.raw.iter_mut().filter(|((rule, _), _)| rule == broad) {
                debug_assert_eq!(rule, broad);
                raw.locations.retain(|l| narrow.insert(spot(l)));
            }
        }
        self.raw.retain(|_, raw| !raw.locations.is_empty());
    }

    pub(super) fn conclude(&mut self, inputs: Vec<InputReport>, options: &Options) -> Assessment {
        let day = options.today.replace('-', "");
        for join in self.index.joins(&day) {
            let print = self.key.of(join.rule, &join.fingerprint.0);
            let records = self.index.records();
            let locations = join.records.iter().map(|at| records[*at].location.clone()).collect();
            self.raw.insert((join.rule, print), Raw { detail: join.detail, locations });
        }
        let inventory = self.inventory.take().unwrap_or_default();
        for same in inventory.shared() {
            let print = self.key.of("K-032", &same.digest);
            let raw = Raw { detail: same.what.to_owned(), locations: same.locations };
            self.raw.insert(("K-032", print), raw);
        }
        self.leave_to_the_narrower();
        let mut findings: Vec<Finding> = std::mem::take(&mut self.raw)
            .into_iter()
            .filter_map(|((id, print), raw)| {
                let rule = rules::find(id)?;
                let locations: Vec<Location> = raw.locations.into_iter().collect();
                let (severity, lowered) =
                    rules::context::lowered(id, rule.severity, &locations, &self.unit_tests)
                        .unzip();
                Some(Finding {
                    rule: id,
                    severity: severity.unwrap_or(rule.severity),
                    title: rule.title.to_owned(),
                    detail: raw.detail,
                    fingerprint: print.short(),
                    requirements: rule.requirements.to_vec(),
                    locations,
                    lowered,
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
        let stale_suppressions =
            options.suppressions.apply(&mut findings, &options.today, history_was_read(&inputs));
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
        self.matter.index(&self.index);
        let requirements = judge(&findings, grounds, &self.matter, &not_applicable);
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
            comparisons: inventory.comparisons(),
            findings,
            stale_suppressions,
            requirements,
            components,
            index: self.index.counts(),
            fail_on: options.fail_on,
            min_coverage_percent: options.min_coverage_percent,
            rules: rules::all().count(),
            known_keys: (keys::known::count(), keys::known::made_on()),
            debian_weak_keys: keys::debian::list()
                .map_or((0, "unknown"), |l| (l.count(), l.made_on)),
            requirement_table: rules::requirements::VERSION,
            today: options.today.clone(),
        }
    }
}

/// Every repository given was read with all of its history.
fn history_was_read(inputs: &[InputReport]) -> bool {
    inputs.iter().any(|i| i.history == History::Read)
        && inputs.iter().all(|i| matches!(i.history, History::Read | History::None))
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
    let keys = count(&["K-001", "K-030"]).max(count(&["K-005"])) + count(&["K-003"]);
    let (hashes, credentials) = (count(&["K-007"]), count(&["K-008", "K-032"]));
    if keys + hashes + credentials > 0 {
        Shared::Yes { private_keys: keys, password_hashes: hashes, credentials }
    } else if images > 1 {
        Shared::NotFound { images }
    } else {
        Shared::NotTested
    }
}

impl State<'_> {
    /// A leaf in its turn.
    pub(super) fn take(&mut self, leaf: &Leaf<'_>, examined: Examined) {
        if let Some((inventory, digest)) = self.inventory.as_mut().zip(examined.digest) {
            inventory.leaf(leaf, digest, examined.says_something);
        }
        self.matter.see(leaf, examined.hardening.is_some(), examined.cortex_m.is_some());
        if !examined.events.is_empty() {
            self.unit_tests.note(leaf);
        }
        let mut finds = LeafFinds { state: self, leaf };
        for event in examined.events {
            finds.take(event);
        }
        if leaf.kind == LeafKind::Elf {
            self.elf(leaf, examined.hardening);
        }
        if let Some((found, digest)) = examined.cortex_m.zip(examined.digest) {
            self.cortex_m(leaf, found, digest);
        }
    }

    /// A fact about a container and the bytes that are its own.
    pub(super) fn fact(&mut self, place: &Place, content: &Blob, fact: Fact) {
        let at = Location {
            owner: place.owner,
            file: place.file.clone(),
            path: place.path.clone(),
            offset: 0,
            line: None,
        };
        let digest = || examine::digest(content);
        let signed = match &fact {
            Fact::Mcuboot(trailer) => {
                if trailer.security_counter.is_none() {
                    let detail = format!("MCUboot image {}", trailer.version);
                    self.add("U-010", &digest(), detail, at.clone());
                }
                if let Some(source) = trailer
                    .key_hash
                    .as_deref()
                    .and_then(|h| <[u8; 32]>::try_from(h).ok())
                    .and_then(|h| keys::known::source(&h))
                {
                    self.add("U-011", &digest(), format!("known from {source}"), at.clone());
                }
                trailer.signature.is_some()
            }
            Fact::EspImage { signed, .. } => *signed,
            Fact::Fit { signed, .. } | Fact::Suit { signed } => *signed,
            Fact::UImage => {
                self.unsigned += 1;
                self.add("U-009", &digest(), "uImage".into(), at);
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
            self.add("U-008", &digest(), kind.into(), at);
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

    fn elf(&mut self, leaf: &Leaf<'_>, hardening: Option<Hardening>) {
        let at = self.whole(leaf);
        let owner = leaf.place.owner.to_be_bytes();
        if self.owner_kind == OwnerKind::Image && leaf.mode.is_some_and(|m| m & 0o4000 != 0) {
            let name = leaf.place.name().to_owned();
            self.add("E-007", name.as_bytes(), name.clone(), at.clone());
        }
        let Some(found) = hardening else { return };
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

    fn cortex_m(&mut self, leaf: &Leaf<'_>, found: CortexM, content: [u8; 32]) {
        let at = self.whole(leaf);
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

/// Rules that go by a name alone.
const BROAD: &[&str] =
    &["P-010", "P-012", "P-015", "P-011", "P-024", "P-025", "S-044", "S-038", "S-039", "S-045"];
const MAX_LOCATIONS: usize = 100_000;
/// About ten seconds of hashing in all.
const HASH_ROUNDS: u64 = 12_000_000;
