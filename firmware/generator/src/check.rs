//! Everything that can be wrong with a manifest before anything is compiled.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;

use crate::border;
use crate::manifest::{Board, Manifest, Mmio, Partition, Peripheral, Range};
use crate::refusal::Refusal;

/// A manifest without mistakes, partitions in the order of priority, the most urgent first.
#[derive(Clone, Debug)]
pub struct Product {
    /// The manifest.
    pub manifest: Manifest,
    /// The board.
    pub board: Board,
    /// Each partition with what its names stand for.
    pub partitions: Vec<Resolved>,
    /// Registers, first word and number of words of each memory protection controller.
    pub mpc: Vec<[u32; 3]>,
    pub(crate) file: String,
    pub(crate) text: String,
}

/// A partition and what its names stand for.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// As it is written.
    pub partition: Partition,
    /// Its registers and memory.
    pub regions: Vec<Region>,
    /// The signal of each service, then of each interrupt.
    pub signals: Vec<u32>,
}

/// Registers or memory of a partition.
#[derive(Clone, Debug)]
pub struct Region {
    /// Addresses.
    pub range: Range,
    /// Whether it may only be read.
    pub read_only: bool,
    /// Whether it is memory rather than registers.
    pub is_memory: bool,
    /// The peripheral, where it is one of the board's.
    pub peripheral: Option<Peripheral>,
    /// The prefix of its names in C.
    pub label: String,
}

/// Regions of every partition: code, RAM, gateway.
const OWN_REGIONS: usize = 3;
const MPU_REGIONS: usize = 8;
/// The first signal after those of the framework.
const FIRST_SIGNAL: u32 = 4;

impl Product {
    /// Reads and judges the manifest at `path` and the board file that it names.
    ///
    /// # Errors
    /// A [`Refusal`] that names the line.
    pub fn read(path: &Path) -> Result<Product, Refusal> {
        let file = path.display().to_string();
        let text = read(path, &file)?;
        let board = board_of(&file, &text)?;
        let board_path = path.parent().unwrap_or(Path::new("")).join(board);
        let board_file = board_path.display().to_string();
        let board_text = read(&board_path, &board_file)?;
        Self::parse(&file, &text, &board_file, &board_text)
    }

    /// The same over texts.
    ///
    /// # Errors
    /// A [`Refusal`] that names the line.
    pub fn parse(
        file: &str,
        text: &str,
        board_file: &str,
        board_text: &str,
    ) -> Result<Product, Refusal> {
        let manifest: Manifest = parse(file, text)?;
        let board: Board = parse(board_file, board_text)?;
        let mpc = border::words(&board, board_file, board_text)?;
        let check = Check { file, text, board: &board, manifest: &manifest };
        let mut partitions = check.all()?;
        // A stable order: priority, then the place in the file.
        partitions.sort_by_key(|p| std::cmp::Reverse(*p.partition.priority.get_ref()));
        let (file, text) = (file.to_owned(), text.to_owned());
        Ok(Product { partitions, mpc, file, text, manifest, board })
    }

    /// The refusal of something that was written at a place in the manifest.
    pub fn refuse<T>(&self, at: &Spanned<T>, reason: String) -> Refusal {
        Refusal::at(&self.file, &self.text, at.span(), reason)
    }

    /// Position, partition and service of the service with this name.
    pub fn service(&self, name: &str) -> Option<(usize, &Resolved, usize)> {
        self.partitions.iter().enumerate().find_map(|(index, p)| {
            let at = p.partition.service.iter().position(|s| s.get_ref().name.get_ref() == name)?;
            Some((index, p, at))
        })
    }
}

struct Check<'m> {
    file: &'m str,
    text: &'m str,
    manifest: &'m Manifest,
    board: &'m Board,
}

type Done = Result<(), Refusal>;

impl Check<'_> {
    fn all(&self) -> Result<Vec<Resolved>, Refusal> {
        self.budgets()?;
        let partitions: Vec<&Partition> =
            self.manifest.partition.iter().map(Spanned::get_ref).collect();
        if let Some(spare) = self.manifest.partition.get(28) {
            return Err(self.refuse(spare, "more than 28 partitions".into()));
        }
        self.unique(partitions.iter().map(|p| &p.name), "partition", |n| is_word(n, false))?;
        self.unique(partitions.iter().map(|p| &p.id), "partition id", |id| *id > 0)?;
        let headers = partitions.iter().map(|p| p.header.as_ref().unwrap_or(&p.name));
        self.unique(headers, "header", |n| is_word(n, false) && n != "sid" && n != "pid")?;
        let services = || partitions.iter().flat_map(|p| &p.service).map(Spanned::get_ref);
        self.unique(services().map(|s| &s.name), "service", |n| is_word(n, true))?;
        self.unique(services().map(|s| &s.sid), "SID", |sid| *sid != 0)?;
        for service in services() {
            self.require(&service.version, |v| *v > 0, "a version is 1 or more")?;
        }
        let lines = partitions.iter().flat_map(|p| &p.irq).map(|i| &i.get_ref().line);
        self.unique(lines, "interrupt line", |line| *line < 128)?;
        let mut resolved = Vec::new();
        for (spanned, partition) in self.manifest.partition.iter().zip(&partitions) {
            resolved.push(self.partition(spanned, partition)?);
        }
        self.owners(&resolved)?;
        self.dependencies(&partitions)?;
        self.health(&partitions)?;
        Ok(resolved)
    }

    fn budgets(&self) -> Done {
        let manager = &self.manifest.manager;
        for bytes in [&manager.code_bytes, &manager.ram_bytes] {
            self.require(bytes, |b| b % 32 == 0, "not a multiple of 32 bytes")?;
        }
        let stack = &manager.stack_bytes;
        self.require(stack, |b| *b >= 512 && b % 8 == 0, "a stack is 512 bytes or more, by 8")?;
        self.require(&manager.slots, |n| (1..=64).contains(n), "1 to 64 slots")?;
        let total = *manager.slots.get_ref();
        let theirs = &self.manifest.nonsecure.slots;
        self.require(theirs, |n| *n >= 1 && *n <= total, "at least 1 and at most all of them")
    }

    fn partition(&self, at: &Spanned<Partition>, p: &Partition) -> Result<Resolved, Refusal> {
        if p.package.is_none() && p.sources.is_empty() && p.objects.is_empty() {
            let reason = "neither package nor sources nor objects: nothing to run".to_owned();
            return Err(self.refuse(&p.name, reason));
        }
        let is_stack = |b: &u32| *b >= 256 && b.is_multiple_of(8);
        self.require(&p.stack_bytes, is_stack, "a stack is 256 bytes or more, by 8")?;
        let is_deadline = |ms: &u32| (10..=3_600_000).contains(ms);
        self.require(&p.deadline_ms, is_deadline, "a deadline is 10 ms to an hour")?;
        let count = p.service.len() + p.irq.len();
        if count > 28 {
            return Err(self.refuse(at, format!("{count} signals; a partition has 28")));
        }
        let mut regions: Vec<Region> = Vec::new();
        for (index, mmio) in p.mmio.iter().enumerate() {
            let used = OWN_REGIONS + index + 1;
            if used > MPU_REGIONS {
                let reason = format!(
                    "partition {} needs {} MPU regions (code, RAM, gateway and {} more); there are \
                     {MPU_REGIONS}",
                    p.name.get_ref(),
                    OWN_REGIONS + p.mmio.len(),
                    p.mmio.len(),
                );
                return Err(self.refuse(mmio, reason));
            }
            let region = self.region(mmio, mmio.get_ref())?;
            if let Some(other) = regions.iter().find(|r| r.range.overlaps(region.range)) {
                let reason = format!(
                    "overlaps {} at {:#x}: overlapping MPU regions fault on Armv8-M",
                    other.label, other.range.base
                );
                return Err(self.refuse_region(mmio, reason));
            }
            regions.push(region);
        }
        for irq in &p.irq {
            let name = &irq.get_ref().signal;
            self.require(name, |n| is_word(n, true), "not an upper-case word")?;
        }
        let signals = (0..count as u32).map(|n| 1 << (FIRST_SIGNAL + n)).collect();
        Ok(Resolved { partition: p.clone(), regions, signals })
    }

    fn region(&self, at: &Spanned<Mmio>, mmio: &Mmio) -> Result<Region, Refusal> {
        let label = mmio.label.clone();
        let region = match (&mmio.name, &mmio.base, &mmio.size) {
            (Some(name), None, None) => {
                let wanted = name.get_ref();
                let known = self.board.peripheral.iter().find(|p| p.name == *wanted);
                let area = self.board.area.iter().find(|a| a.name == *wanted);
                let (base, size, is_memory) = match (known, area) {
                    (Some(p), _) => (p.base, p.size, false),
                    (None, Some(area)) => (area.base, area.size, true),
                    (None, None) => {
                        return Err(self.refuse(name, format!("the board has no '{wanted}'")));
                    }
                };
                if known.is_some_and(|p| p.manager) {
                    return Err(self.refuse(name, format!("the manager owns {wanted}")));
                }
                Region {
                    range: Range { base, size },
                    read_only: mmio.read_only,
                    is_memory,
                    peripheral: known.cloned(),
                    label: label.unwrap_or_else(|| wanted.replace('-', "_").to_uppercase()),
                }
            }
            (None, Some(base), Some(size)) => {
                let by_32 = |n: &u32| n.is_multiple_of(32);
                self.require(base, by_32, "not 32-byte aligned: the MPU cannot draw that")?;
                let is_size = |n: &u32| *n > 0 && n.is_multiple_of(32);
                self.require(
                    size,
                    is_size,
                    "not a multiple of 32 bytes: the MPU cannot draw that",
                )?;
                let (base_at, size_at) = (*base.get_ref(), *size.get_ref());
                let end = base_at.checked_add(size_at - 1);
                self.require(size, |_| end.is_some(), "reaches past the end of memory")?;
                Region {
                    range: Range { base: base_at, size: size_at },
                    read_only: mmio.read_only,
                    is_memory: false,
                    peripheral: None,
                    label: label.unwrap_or_else(|| format!("MMIO_{base_at:X}")),
                }
            }
            _ => {
                let reason = "either a name of the board, or base and size".to_owned();
                return Err(self.refuse(at, reason));
            }
        };
        let map = &self.board.memory;
        let own = [
            ("secure code", map.secure_code),
            ("secure RAM", map.secure_ram),
            ("non-secure code", map.nonsecure_code),
            ("non-secure RAM", map.nonsecure_ram),
            ("the record of failures", map.retained),
            ("the system control space", Range { base: 0xe000_0000, size: 0x0010_0000 }),
        ];
        for (what, range) in own {
            if range.overlaps(region.range) {
                let reason = format!("overlaps {what} at {:#x}", range.base);
                return Err(self.refuse_region(at, reason));
            }
        }
        let managers = self.board.peripheral.iter().filter(|p| p.manager);
        for other in managers {
            if (Range { base: other.base, size: other.size }).overlaps(region.range) {
                let reason = format!("overlaps {}, the manager's", other.name);
                return Err(self.refuse_region(at, reason));
            }
        }
        Ok(region)
    }

    /// Nothing has two owners: not a region, not an interrupt.
    fn owners(&self, partitions: &[Resolved]) -> Done {
        let mut taken: Vec<(Range, String)> = Vec::new();
        let mut lines: BTreeMap<u16, String> = BTreeMap::new();
        for name in &self.manifest.nonsecure.peripherals {
            let wanted = name.get_ref();
            let known = self.board.peripheral.iter().find(|p| p.name == *wanted);
            let Some(peripheral) = known else {
                return Err(self.refuse(name, format!("the board has no '{wanted}'")));
            };
            if peripheral.manager || peripheral.gate.is_none() {
                return Err(self.refuse(name, format!("{wanted} cannot be non-secure")));
            }
            taken.push((
                Range { base: peripheral.base, size: peripheral.size },
                "the non-secure side".to_owned(),
            ));
            for line in &peripheral.lines {
                lines.insert(*line, "the non-secure side".to_owned());
            }
        }
        for p in partitions {
            let name = p.partition.name.get_ref();
            for (mmio, region) in p.partition.mmio.iter().zip(&p.regions) {
                if let Some((_, owner)) = taken.iter().find(|(r, _)| r.overlaps(region.range)) {
                    let reason = format!("{} belongs to {owner} already", region.label);
                    return Err(self.refuse_region(mmio, reason));
                }
            }
            taken.extend(p.regions.iter().map(|r| (r.range, format!("partition {name}"))));
            for irq in &p.partition.irq {
                let line = irq.get_ref().line.get_ref();
                if let Some(owner) = lines.get(line) {
                    let reason = format!("interrupt {line} belongs to {owner} already");
                    return Err(self.refuse(&irq.get_ref().line, reason));
                }
            }
        }
        Ok(())
    }

    /// Every service exists, and no partition can wait for itself through others.
    fn dependencies(&self, partitions: &[&Partition]) -> Done {
        let owner = |name: &str| {
            partitions.iter().position(|p| {
                p.service.iter().any(|service| service.get_ref().name.get_ref() == name)
            })
        };
        let mut edges: Vec<Vec<(usize, &Spanned<String>)>> = Vec::new();
        for p in partitions {
            let mut to = Vec::new();
            for name in &p.depends {
                let Some(server) = owner(name.get_ref()) else {
                    let reason = format!("no partition has a service '{}'", name.get_ref());
                    return Err(self.refuse(name, reason));
                };
                let theirs = partitions.get(server).map_or(0, |s| *s.deadline_ms.get_ref());
                if *p.deadline_ms.get_ref() <= theirs {
                    let reason = format!(
                        "the deadline of {} ms must be longer than the {theirs} ms of the partition \
                         that it waits for",
                        p.deadline_ms.get_ref(),
                    );
                    // A cycle makes this unavoidable, and is what has to be said then.
                    if !reaches(&edges_of(partitions, &owner), server, index_of(partitions, p)) {
                        return Err(self.refuse(&p.deadline_ms, reason));
                    }
                }
                to.push((server, name));
            }
            edges.push(to);
        }
        for (start, to) in edges.iter().enumerate() {
            for (next, name) in to {
                let plain: Vec<Vec<usize>> =
                    edges.iter().map(|e| e.iter().map(|(to, _)| *to).collect()).collect();
                if *next == start || reaches(&plain, *next, start) {
                    let reason = format!(
                        "{} waits for '{}', whose partition waits for {} in turn: a deadlock",
                        partitions.get(start).map_or("", |p| p.name.get_ref()),
                        name.get_ref(),
                        partitions.get(start).map_or("", |p| p.name.get_ref()),
                    );
                    return Err(self.refuse(name, reason));
                }
            }
        }
        Ok(())
    }

    /// A health check is a call that the partition may make, and that needs no connection.
    fn health(&self, partitions: &[&Partition]) -> Done {
        for p in partitions {
            for name in &p.health {
                let depends = |d: &Spanned<String>| d.get_ref() == name.get_ref();
                if !p.depends.iter().any(depends) {
                    let reason = format!("'{}' is not under `depends`", name.get_ref());
                    return Err(self.refuse(name, reason));
                }
                let services = partitions.iter().flat_map(|p| &p.service).map(Spanned::get_ref);
                let found = services.filter(|s| s.name.get_ref() == name.get_ref());
                if found.map(|s| s.stateless).any(|stateless| !stateless) {
                    let reason = format!("'{}' is not stateless", name.get_ref());
                    return Err(self.refuse(name, reason));
                }
            }
            if let Some(trial) = &p.trial_ms {
                let fits = |ms: &u32| (1_000..=200_000).contains(ms);
                self.require(trial, fits, "a trial is 1 to 200 seconds")?;
            }
        }
        Ok(())
    }

    fn unique<'v, T: Ord + std::fmt::Display + 'v>(
        &self,
        values: impl Iterator<Item = &'v Spanned<T>>,
        what: &str,
        is_good: impl Fn(&T) -> bool,
    ) -> Done {
        let mut seen: BTreeMap<&T, usize> = BTreeMap::new();
        for value in values {
            let here = self.refuse(value, String::new()).line;
            if !is_good(value.get_ref()) {
                return Err(self.refuse(value, format!("'{}' is no {what}", value.get_ref())));
            }
            if let Some(line) = seen.insert(value.get_ref(), here) {
                let reason = format!("{what} '{}' stands on line {line} already", value.get_ref());
                return Err(self.refuse(value, reason));
            }
        }
        Ok(())
    }

    fn require<T>(&self, at: &Spanned<T>, holds: impl Fn(&T) -> bool, reason: &str) -> Done {
        if holds(at.get_ref()) { Ok(()) } else { Err(self.refuse(at, reason.to_owned())) }
    }

    fn refuse<T>(&self, at: &Spanned<T>, reason: String) -> Refusal {
        Refusal::at(self.file, self.text, at.span(), reason)
    }

    /// On the line that says where the region is.
    fn refuse_region(&self, at: &Spanned<Mmio>, reason: String) -> Refusal {
        let mmio = at.get_ref();
        match (&mmio.name, &mmio.base) {
            (Some(name), _) => self.refuse(name, reason),
            (None, Some(base)) => self.refuse(base, reason),
            (None, None) => self.refuse(at, reason),
        }
    }
}

fn edges_of(partitions: &[&Partition], owner: &dyn Fn(&str) -> Option<usize>) -> Vec<Vec<usize>> {
    let all = partitions.iter();
    all.map(|p| p.depends.iter().filter_map(|name| owner(name.get_ref())).collect()).collect()
}

fn index_of(partitions: &[&Partition], one: &Partition) -> usize {
    partitions.iter().position(|p| std::ptr::eq(*p, one)).unwrap_or(usize::MAX)
}

fn reaches(edges: &[Vec<usize>], from: usize, to: usize) -> bool {
    let mut seen = vec![false; edges.len()];
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        if node == to {
            return true;
        }
        let Some(mark) = seen.get_mut(node) else { continue };
        if !std::mem::replace(mark, true) {
            open.extend(edges.get(node).into_iter().flatten());
        }
    }
    false
}

fn is_word(name: &str, upper: bool) -> bool {
    let letter = |c: char| if upper { c.is_ascii_uppercase() } else { c.is_ascii_lowercase() };
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit() || c == '_')
}

fn read(path: &Path, file: &str) -> Result<String, Refusal> {
    std::fs::read_to_string(path).map_err(|error| Refusal {
        file: file.to_owned(),
        line: 1,
        reason: format!("cannot be read: {error}"),
    })
}

fn parse<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, Refusal> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        Refusal::at(file, text, span, error.message().to_owned())
    })
}

fn board_of(file: &str, text: &str) -> Result<String, Refusal> {
    parse::<Manifest>(file, text).map(|manifest| manifest.board.into_inner())
}
