//! Fault injection: one instruction of the loader is left out, everywhere it is executed, and a
//! bad image must not run.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use harness::elf;

use crate::device::{Bench, otp};
use crate::lane::{By, Lane, Rig};
use crate::scene::{self, Scene};
use crate::verdict::{self, End};

/// What to try.
pub struct Wish<'w> {
    /// So many faults only, chosen alike each time.
    pub sample: Option<usize>,
    /// Those on scenes whose name begins like this only.
    pub scene: Option<&'w str>,
    /// Those in functions only whose symbol contains one of these, between commas.
    pub code: Option<&'w str>,
    /// Print how each run ended.
    pub list: bool,
    /// Emulators at a time.
    pub jobs: usize,
    /// The board.
    pub machine: &'static str,
}

/// Faults to try, and what they did.
struct Campaign {
    rig: Rig,
    /// The loader, its reset vector at the stub.
    boot: Vec<u8>,
    scenes: Vec<Scene>,
    symbols: Vec<(u32, String)>,
    list: bool,
    jobs: usize,
}

/// A scene and the address of an instruction that is left out.
#[derive(Clone, Copy)]
struct Site {
    scene: usize,
    address: u32,
}

/// What has been seen so far.
struct Tally {
    ends: BTreeMap<End, usize>,
    /// Of each scene: faults still to be tried, tried, and bad images booted.
    scenes: Vec<[usize; 3]>,
}

/// A loader with a part left out that the campaign must find missing, the scenes that show it, and
/// the functions that are looked at first.
struct Planted {
    image: &'static str,
    what: &'static str,
    shows: fn(&Scene) -> bool,
    decides: &'static [&'static str],
}

const PLANTED: [Planted; 2] = [
    Planted {
        image: "boot-planted",
        what: "without the second judgement",
        shows: |scene| scene.line.is_none(),
        decides: &["6verify", "6revert", "4boot3run"],
    },
    Planted {
        image: "boot-trusting",
        what: "without the second judgement and the verification of what recovery wrote",
        shows: |scene| scene.line.is_some(),
        decides: &["6verify", "6admits"],
    },
];

/// The faults that are wished for; then, unless it was about a part of them, the same loader without
/// what is there twice, which must fail.
pub fn run(bench: &Bench, wish: &Wish<'_>) -> bool {
    let Some(campaign) = Campaign::new(bench, &bench.boot, wish, wish.list) else { return false };
    let wanted = |name: &str| wish.scene.is_none_or(|only| name.starts_with(only));
    let Some(mut sites) = campaign.sites(|scene| scene.good || wanted(scene.name)) else {
        return false;
    };
    if !campaign.ends_what_hangs() {
        return false;
    }
    let meant = |symbol: &str| {
        wish.code.is_none_or(|names| names.split(',').any(|name| symbol.contains(name)))
    };
    sites.retain(|site| {
        wanted(campaign.scenes[site.scene].name) && meant(campaign.symbol(site.address))
    });
    if let Some(count) = wish.sample {
        sites = pick(sites, count);
    }
    let tried = sites.len();
    if wish.list {
        for (index, scene) in campaign.scenes.iter().enumerate() {
            let count = sites.iter().filter(|site| site.scene == index).count();
            println!("{}: {count} sites", scene.name);
        }
    }
    let bad = campaign.scenes.iter().filter(|scene| !scene.good && wanted(scene.name)).count();
    println!("{}: {tried} faults on {bad} scenes", wish.machine);
    let ends = campaign.inject(&sites, usize::MAX);
    let of = |end| ends.get(&end).copied().unwrap_or_default();
    let (bad, stuck) = (of(End::Booted) + of(End::BootedLater), of(End::Stuck));

    let is_part = wish.scene.is_some() || wish.code.is_some();
    let found = is_part || PLANTED.iter().all(|what| planted(bench, wish, what) > 0);
    if stuck > 0 {
        println!("FAILED  {stuck} runs did not come to an end of their own");
    }
    println!("faults: {tried}, boots of a bad image: {bad}");
    tried > 0 && bad == 0 && stuck == 0 && found
}

/// How many bad images a loader boots of which a part is left out; no more are sought than show that
/// the campaign finds them.
fn planted(bench: &Bench, wish: &Wish<'_>, what: &Planted) -> usize {
    let image = bench.boot.with_file_name(what.image);
    let Some(planted) = Campaign::new(bench, &image, wish, false) else { return 0 };
    let Some(mut sites) = planted.sites(what.shows) else { return 0 };
    sites.retain(|site| !is_crypto(planted.symbol(site.address)));
    let enough = if wish.sample.is_some() { 1 } else { 3 };
    let count = sites.len();
    let mut sites = pick(sites, count);
    // What decides is looked at first, all of it, to have an answer soon.
    sites.sort_by_key(|site| {
        let symbol = planted.symbol(site.address);
        !what.decides.iter().any(|name| symbol.contains(name))
    });
    sites.truncate(MOST_PLANTED);
    let ends = planted.inject(&sites, enough);
    let of = |end| ends.get(&end).copied().unwrap_or_default();
    let found = of(End::Booted) + of(End::BootedLater);
    let tried: usize = ends.values().sum();
    println!("{}, faults that boot a bad image: {found} of {tried} tried", what.what);
    found
}

impl Campaign {
    /// `None` where there is no loader.
    fn new(bench: &Bench, boot: &Path, wish: &Wish<'_>, list: bool) -> Option<Campaign> {
        fs::create_dir_all(&bench.folder).expect("a folder");
        let fleet = scene::fleet();
        let mut boot = fs::read(boot).ok()?;
        let symbols = elf::symbols(&boot);
        let file = |name: &str, bytes: &[u8]| {
            let path = bench.folder.join(name);
            fs::write(&path, bytes).expect("a file");
            path
        };
        let rig = Rig {
            folder: bench.folder.clone(),
            machine: wish.machine,
            stub: file("stub.bin", &verdict::stub(&mut boot)?),
            otp: file("otp.bin", &otp(&fleet, 0x3000)),
            plain: file("plain", &boot),
            later: Mutex::new(HashMap::new()),
        };
        Some(Campaign { rig, boot, scenes: scene::all(&fleet), symbols, list, jobs: wish.jobs })
    }

    /// Every instruction that each of these scenes executes. `None` when one does not end as it should
    /// without a fault.
    fn sites(&self, wanted: impl Fn(&Scene) -> bool + Sync) -> Option<Vec<Site>> {
        let found = Mutex::new(vec![Some(Vec::new()); self.scenes.len()]);
        self.each(self.scenes.len(), |lane, index| {
            let scene = &self.scenes[index];
            if !wanted(scene) {
                return true;
            }
            let executed = self.executed(lane, scene);
            found.lock().expect("no lane panics")[index] = executed;
            true
        });
        let mut sites = Vec::new();
        let found = found.into_inner().expect("no lane panics");
        for (index, (scene, executed)) in self.scenes.iter().zip(found).enumerate() {
            let wanted = |address: &u32| scene.crypto || !is_crypto(self.symbol(*address));
            let executed = executed?.into_iter().filter(wanted);
            if !scene.good {
                sites.extend(executed.map(|address| Site { scene: index, address }));
            }
        }
        Some(sites)
    }

    /// Does this with every number below `count`, on so many devices at a time, until it says no.
    fn each(&self, count: usize, work: impl Fn(&mut Lane<'_>, usize) -> bool + Sync) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for number in 0..self.jobs.min(count) {
                let (next, work) = (&next, &work);
                scope.spawn(move || {
                    let mut lane = Lane::new(&self.rig, number);
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count || !work(&mut lane, index) {
                            return;
                        }
                    }
                });
            }
        });
    }

    /// Whether a loader that goes round for ever, and one that sleeps, meet the deadline. Neither
    /// has come to its own watchdog.
    fn ends_what_hangs(&self) -> bool {
        HANGS.iter().all(|(what, code)| {
            let mut boot = self.boot.clone();
            let reset = self.symbols.iter().find(|(_, name)| name == "reset");
            let place = reset.and_then(|(address, _)| elf::offset_of(&boot, *address));
            let end = place.map(|at| {
                boot[at..at + code.len()].copy_from_slice(code);
                Lane::new(&self.rig, 0).inject(&boot, &self.scenes[0], By::Memory)
            });
            let sound = matches!(end, Some(End::Watchdog | End::Reset));
            if !sound {
                println!("FAILED  a loader that {what}: {end:?}");
            }
            sound
        })
    }

    /// The loader's instructions that run in a scene, by address, whichever way its release comes.
    fn executed(&self, lane: &mut Lane<'_>, scene: &Scene) -> Option<Vec<u32>> {
        let mut all = self.trace(lane, scene, By::Memory)?;
        if scene.line.is_some() {
            all.extend(self.trace(lane, scene, By::Console)?);
        }
        all.sort_unstable();
        all.dedup();
        Some(all)
    }

    fn trace(&self, lane: &mut Lane<'_>, scene: &Scene, by: By) -> Option<Vec<u32>> {
        let log = self.rig.folder.join(format!("{}.trace", scene.name));
        let mut arguments = ["-singlestep", "-d", "in_asm", "-D"].map(str::to_owned).to_vec();
        arguments.push(log.display().to_string());
        let ran = lane.run(&self.rig.plain, scene, by, &arguments);
        let later = lane.follow(scene);
        let sound = match (&scene.line, ran.end) {
            (None, End::Booted) => scene.good,
            (None, End::Stopped | End::Recovery | End::Exception) => !scene.good && later.is_none(),
            // What was taken runs at the next start; what was refused was for the right reason.
            (Some((_, None)), End::Reset) => later == Some(End::BootedLater),
            (Some((_, Some(reason))), End::Recovery) => {
                let refused = format!("boot: recovery, {:08x}", reason.number());
                ran.said.lines().last().is_some_and(|line| line.ends_with(&refused))
                    && later.is_none()
            }
            _ => false,
        };
        if !sound {
            let (end, said) = (ran.end.text(), ran.said);
            println!(
                "FAILED  {} by {by:?}: {end}, then {later:?}, without a fault: {said}",
                scene.name
            );
            return None;
        }
        let text = fs::read_to_string(&log).expect("a trace");
        let _ = fs::remove_file(&log);
        let addresses = text
            .lines()
            .filter_map(|line| u32::from_str_radix(line.strip_prefix("0x")?.get(..8)?, 16).ok())
            .filter(|address| elf::offset_of(&self.boot, *address).is_some());
        Some(addresses.collect())
    }

    /// Injects each fault, until `enough` have booted a bad image; how the runs ended.
    fn inject(&self, sites: &[Site], enough: usize) -> BTreeMap<End, usize> {
        let mut scenes = vec![[0; 3]; self.scenes.len()];
        for site in sites {
            scenes[site.scene][0] += 1;
        }
        let tally = Mutex::new(Tally { ends: BTreeMap::new(), scenes });
        let bad = AtomicUsize::new(0);
        let start = Instant::now();
        self.each(sites.len(), |lane, index| {
            let site = sites[index];
            let mut boot = self.boot.clone();
            leave_out(&mut boot, site.address);
            let by = if is_console(self.symbol(site.address)) { By::Console } else { By::Memory };
            let end = lane.inject(&boot, &self.scenes[site.scene], by);
            let booted = usize::from(is_bad(end));
            tally.lock().expect("no lane panics").note(self, site, end);
            if index % 500 == 499 {
                eprintln!("{} of {}, {} s", index + 1, sites.len(), start.elapsed().as_secs());
            }
            bad.fetch_add(booted, Ordering::Relaxed) + booted < enough
        });
        let ends = tally.into_inner().expect("no lane panics").ends;
        for (end, count) in &ends {
            println!("{count:6} {}", end.text());
        }
        ends
    }

    fn symbol(&self, address: u32) -> &str {
        let index = self.symbols.partition_point(|(at, _)| *at <= address);
        index.checked_sub(1).map_or("", |index| &self.symbols[index].1)
    }
}

impl Tally {
    /// Counts a run, and says what is worth a line: a bad image that booted, a run without an end
    /// of its own, and each scene as it comes to its end.
    fn note(&mut self, campaign: &Campaign, site: Site, end: End) {
        let (name, symbol) = (campaign.scenes[site.scene].name, campaign.symbol(site.address));
        let line = format!("{name}: {:#010x} {symbol}", site.address);
        match end {
            End::Booted => println!("BOOTED  {line}"),
            End::BootedLater => println!("BOOTED  {line}, at a later start"),
            End::Stuck => println!("STUCK   {line}"),
            _ if campaign.list => println!("{}: {line}", end.text()),
            _ => {}
        }
        *self.ends.entry(end).or_default() += 1;
        let [left, tried, booted] = &mut self.scenes[site.scene];
        *left -= 1;
        *tried += 1;
        *booted += usize::from(is_bad(end));
        if *left == 0 {
            println!("{name}: {tried} faults, boots of a bad image: {booted}");
        }
    }
}

/// SHA-256, field and curve.
fn is_crypto(symbol: &str) -> bool {
    ["p256_product", "p256_verify", "4sha2", "6sha256"].iter().any(|name| symbol.contains(name))
}

/// The code that takes bytes: nothing else knows where they come from.
fn is_console(symbol: &str) -> bool {
    ["7console", "8recovery"].iter().any(|name| symbol.contains(name))
}

/// Whether a bad image ran.
fn is_bad(end: End) -> bool {
    matches!(end, End::Booted | End::BootedLater)
}

/// NOPs of the instruction's own length.
fn leave_out(elf: &mut [u8], address: u32) {
    let Some(at) = elf::offset_of(elf, address) else { return };
    let wide = elf[at + 1] >> 3 >= 0b11101;
    for half in 0..=usize::from(wide) {
        elf[at + half * 2..at + half * 2 + 2].copy_from_slice(&[0x00, 0xbf]);
    }
}

/// A repeatable choice.
fn pick(mut sites: Vec<Site>, count: usize) -> Vec<Site> {
    let mut dice = 0x2545_f491_4f6c_dd1du64;
    for index in (1..sites.len()).rev() {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        sites.swap(index, (dice % (index as u64 + 1)) as usize);
    }
    sites.truncate(count);
    sites
}

/// `b .`, and `wfi` in a loop.
const HANGS: [(&str, [u8; 4]); 2] =
    [("goes round", [0xfe, 0xe7, 0xfe, 0xe7]), ("sleeps", [0x30, 0xbf, 0xfd, 0xe7])];
/// Faults that are tried on the planted loader at most.
const MOST_PLANTED: usize = 3000;
