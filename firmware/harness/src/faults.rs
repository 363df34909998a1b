//! Fault injection: one instruction of the loader is left out, everywhere it is executed, and a
//! bad image must not run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use harness::elf;

use crate::device::{Bench, otp};
use crate::scene::{self, Scene};
use crate::verdict::{self, End, Files};

/// What to try.
pub struct Wish<'w> {
    /// So many faults only, chosen alike each time.
    pub sample: Option<usize>,
    /// Those on this scene only.
    pub scene: Option<&'w str>,
    /// Print how each run ended.
    pub list: bool,
}

/// Faults to try, and what they did.
struct Campaign<'b> {
    bench: &'b Bench,
    /// The loader, its reset vector at the stub.
    boot: Vec<u8>,
    stub: PathBuf,
    scenes: Vec<Scene>,
    symbols: Vec<(u32, String)>,
    list: bool,
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

/// The faults that are wished for; then, unless it was about one scene, the same loader without its
/// second judgement, which must fail.
pub fn run(bench: &Bench, wish: &Wish<'_>) -> bool {
    let Some(campaign) = Campaign::new(bench, &bench.boot, wish.list) else { return false };
    let Some(mut sites) = campaign.sites() else { return false };
    if !campaign.ends_what_hangs() {
        return false;
    }
    sites.retain(|site| wish.scene.is_none_or(|only| campaign.scenes[site.scene].name == only));
    if let Some(count) = wish.sample {
        sites = pick(sites, count);
    }
    let tried = sites.len();
    println!("{tried} faults on {} scenes", campaign.scenes.len() - 1);
    let ends = campaign.inject(&sites, usize::MAX);
    let of = |end| ends.get(&end).copied().unwrap_or_default();
    let (bad, stuck) = (of(End::Booted), of(End::Stuck));

    let found = if wish.scene.is_some() { None } else { Some(planted(bench, wish)) };
    if stuck > 0 {
        println!("FAILED  {stuck} runs did not come to an end of their own");
    }
    println!("faults: {tried}, boots of a bad image: {bad}");
    tried > 0 && bad == 0 && stuck == 0 && found.is_none_or(|found| found > 0)
}

/// How many bad images the loader boots whose second judgement is left out; no more are sought than
/// show that the campaign finds them.
fn planted(bench: &Bench, wish: &Wish<'_>) -> usize {
    let planted = bench.boot.with_file_name("boot-planted");
    let Some(planted) = Campaign::new(bench, &planted, false) else { return 0 };
    let Some(mut sites) = planted.sites() else { return 0 };
    sites.retain(|site| !is_crypto(planted.symbol(site.address)));
    let enough = if wish.sample.is_some() { 1 } else { 3 };
    let count = sites.len();
    let mut sites = pick(sites, count);
    // What decides is looked at first, all of it, to have an answer soon.
    sites.sort_by_key(|site| !decides(planted.symbol(site.address)));
    sites.truncate(PLANTED);
    let ends = planted.inject(&sites, enough);
    let found = ends.get(&End::Booted).copied().unwrap_or_default();
    let tried: usize = ends.values().sum();
    println!(
        "without the second judgement, faults that boot a bad image: {found} of {tried} tried"
    );
    found
}

impl<'b> Campaign<'b> {
    /// `None` where there is no loader.
    fn new(bench: &'b Bench, boot: &Path, list: bool) -> Option<Campaign<'b>> {
        fs::create_dir_all(&bench.folder).expect("a folder");
        let fleet = scene::fleet();
        let scenes = scene::all(&fleet);
        for scene in &scenes {
            fs::write(bench.folder.join(scene.name), &scene.flash).expect("a flash file");
        }
        fs::write(bench.folder.join("otp.bin"), otp(&fleet, 0x3000)).expect("the fuses");
        let mut boot = fs::read(boot).ok()?;
        let symbols = elf::symbols(&boot);
        let stub = bench.folder.join("stub.bin");
        fs::write(&stub, verdict::stub(&mut boot)?).expect("the stub");
        Some(Campaign { bench, boot, stub, scenes, symbols, list })
    }

    /// Every instruction that each scene executes. `None` when a scene does not end as it should
    /// without a fault.
    fn sites(&self) -> Option<Vec<Site>> {
        let plain = self.elf("plain", &self.boot);
        let executed = std::thread::scope(|scope| {
            let plain = &plain;
            let runs: Vec<_> = self
                .scenes
                .iter()
                .map(|scene| scope.spawn(move || self.executed(scene, plain)))
                .collect();
            runs.into_iter().map(|run| run.join().expect("a run")).collect::<Vec<_>>()
        });
        let mut sites = Vec::new();
        for (index, (scene, executed)) in self.scenes.iter().zip(executed).enumerate() {
            let wanted = |address: &u32| scene.crypto || !is_crypto(self.symbol(*address));
            let executed = executed?.into_iter().filter(wanted);
            if !scene.good {
                sites.extend(executed.map(|address| Site { scene: index, address }));
            }
        }
        Some(sites)
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
                self.qemu(&self.scenes[0], &self.elf("hangs", &boot), &[])
            });
            let sound = matches!(end, Some(End::Exception | End::Reset));
            if !sound {
                println!("FAILED  a loader that {what}: {end:?}");
            }
            sound
        })
    }

    /// The loader's instructions that run in a scene, by address.
    fn executed(&self, scene: &Scene, boot: &Path) -> Option<Vec<u32>> {
        let log = self.bench.folder.join(format!("{}.trace", scene.name));
        let mut arguments = ["-singlestep", "-d", "in_asm", "-D"].map(str::to_owned).to_vec();
        arguments.push(log.display().to_string());
        let end = self.qemu(scene, boot, &arguments);
        let sound = match end {
            End::Booted => scene.good,
            End::Stopped | End::Recovery | End::Exception => !scene.good,
            _ => false,
        };
        if !sound {
            println!("FAILED  {}: {} without a fault", scene.name, end.text());
            return None;
        }
        let text = fs::read_to_string(&log).expect("a trace");
        let _ = fs::remove_file(&log);
        let mut executed: Vec<u32> = text
            .lines()
            .filter_map(|line| u32::from_str_radix(line.strip_prefix("0x")?.get(..8)?, 16).ok())
            .filter(|address| elf::offset_of(&self.boot, *address).is_some())
            .collect();
        executed.sort_unstable();
        executed.dedup();
        Some(executed)
    }

    /// Injects each fault, until `enough` have booted a bad image; how the runs ended.
    fn inject(&self, sites: &[Site], enough: usize) -> BTreeMap<End, usize> {
        let mut scenes = vec![[0; 3]; self.scenes.len()];
        for site in sites {
            scenes[site.scene][0] += 1;
        }
        let tally = Mutex::new(Tally { ends: BTreeMap::new(), scenes });
        let next = AtomicUsize::new(0);
        let bad = AtomicUsize::new(0);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for worker in 0..2 * std::thread::available_parallelism().map_or(1, usize::from) {
                let (next, bad, tally) = (&next, &bad, &tally);
                scope.spawn(move || {
                    while bad.load(Ordering::Relaxed) < enough {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(site) = sites.get(index) else { return };
                        let mut boot = self.boot.clone();
                        leave_out(&mut boot, site.address);
                        let elf = self.elf(&format!("worker-{worker}"), &boot);
                        let end = self.qemu(&self.scenes[site.scene], &elf, &[]);
                        bad.fetch_add(usize::from(end == End::Booted), Ordering::Relaxed);
                        tally.lock().expect("no worker panics").note(self, *site, end);
                        if index % 500 == 499 {
                            let seconds = start.elapsed().as_secs();
                            eprintln!("{} of {}, {seconds} s", index + 1, sites.len());
                        }
                    }
                });
            }
        });
        let ends = tally.into_inner().expect("no worker panics").ends;
        for (end, count) in &ends {
            println!("{count:6} {}", end.text());
        }
        ends
    }

    fn elf(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.bench.folder.join(name);
        fs::write(&path, bytes).expect("an image");
        path
    }

    fn qemu(&self, scene: &Scene, boot: &Path, more: &[String]) -> End {
        let folder = &self.bench.folder;
        let (flash, otp) = (folder.join(scene.name), folder.join("otp.bin"));
        verdict::run(&Files { boot, stub: &self.stub, flash: &flash, otp: &otp }, more)
    }

    fn symbol(&self, address: u32) -> &str {
        let index = self.symbols.partition_point(|(at, _)| *at <= address);
        index.checked_sub(1).map_or("", |index| &self.symbols[index].1)
    }
}

impl Tally {
    /// Counts a run, and says what is worth a line: a bad image that booted, a run without an end
    /// of its own, and each scene as it comes to its end.
    fn note(&mut self, campaign: &Campaign<'_>, site: Site, end: End) {
        let (name, symbol) = (campaign.scenes[site.scene].name, campaign.symbol(site.address));
        let line = format!("{name}: {:#010x} {symbol}", site.address);
        match end {
            End::Booted => println!("BOOTED  {line}"),
            End::Stuck => println!("STUCK   {line}"),
            _ if campaign.list => println!("{}: {line}", end.text()),
            _ => {}
        }
        *self.ends.entry(end).or_default() += 1;
        let [left, tried, booted] = &mut self.scenes[site.scene];
        *left -= 1;
        *tried += 1;
        *booted += usize::from(end == End::Booted);
        if *left == 0 {
            println!("{name}: {tried} faults, boots of a bad image: {booted}");
        }
    }
}

/// SHA-256, field and curve.
fn is_crypto(symbol: &str) -> bool {
    ["p256_product", "p256_verify", "4sha2", "6sha256"].iter().any(|name| symbol.contains(name))
}

/// Where a missing instruction is most likely to change a decision.
fn decides(symbol: &str) -> bool {
    ["6verify", "6revert", "4boot3run"].iter().any(|name| symbol.contains(name))
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
const PLANTED: usize = 3000;
