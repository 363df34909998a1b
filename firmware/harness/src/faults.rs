//! Fault injection: one instruction of the loader is left out, everywhere it is executed, and a
//! bad image must not run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::elf;

use crate::device::{Bench, otp};
use crate::patience::Patience;
use crate::scene::{self, BAD, Scene};

/// Faults to try, and what they did.
struct Campaign<'b> {
    bench: &'b Bench,
    boot: Vec<u8>,
    scenes: Vec<Scene>,
    symbols: Vec<(u32, String)>,
}

/// A scene and the address of an instruction that is left out.
#[derive(Clone, Copy)]
struct Site {
    scene: usize,
    address: u32,
}

/// All faults, or a sample of so many, or those on one scene only; then the same loader without its second judgement, which
/// must fail.
pub fn run(bench: &Bench, sample: Option<usize>, only: Option<&str>) -> bool {
    let campaign = Campaign::new(bench, &bench.boot);
    let Some(mut sites) = campaign.sites() else { return false };
    sites.retain(|site| only.is_none_or(|only| campaign.scenes[site.scene].name == only));
    let sites = match sample {
        Some(count) => pick(sites, count),
        None => sites,
    };
    let tried = sites.len();
    println!("{tried} faults on {} scenes", campaign.scenes.len() - 1);
    let bad = campaign.inject(&sites, usize::MAX);

    let planted = Campaign::new(bench, &bench.boot.with_file_name("boot-planted"));
    let Some(mut sites) = planted.sites() else { return false };
    sites.retain(|site| !is_crypto(planted.symbol(site.address)));
    let enough = if sample.is_some() { 1 } else { 3 };
    let found = planted.inject(&pick(sites, 3000), enough);
    println!(
        "without the second judgement, faults that boot a bad image: {found} (and no more sought)"
    );
    println!("faults: {tried}, boots of a bad image: {bad}");
    bad == 0 && found > 0
}

impl<'b> Campaign<'b> {
    fn new(bench: &'b Bench, boot: &Path) -> Campaign<'b> {
        fs::create_dir_all(&bench.folder).expect("a folder");
        let fleet = scene::fleet();
        let scenes = scene::all(&fleet);
        for scene in &scenes {
            fs::write(bench.folder.join(scene.name), &scene.flash).expect("a flash file");
        }
        fs::write(bench.folder.join("otp.bin"), otp(&fleet, 0x3000)).expect("the fuses");
        let boot = fs::read(boot).expect("the boot loader");
        let symbols = elf::symbols(&boot);
        Campaign { bench, boot, scenes, symbols }
    }

    /// Every instruction that each scene executes. `None` when a scene does not end as it should
    /// without a fault.
    fn sites(&self) -> Option<Vec<Site>> {
        let mut sites = Vec::new();
        for (index, scene) in self.scenes.iter().enumerate() {
            let log = self.bench.folder.join("trace.log");
            let trace = ["-singlestep", "-d", "in_asm", "-D"].map(str::to_owned);
            let mut arguments = trace.to_vec();
            arguments.push(log.display().to_string());
            let code = self.qemu(scene, &self.elf("plain", &self.boot), &arguments);
            let sound =
                if scene.good { code == Some(BAD) } else { code != Some(BAD) && code.is_some() };
            if !sound {
                println!("FAILED  {}: exit code {code:?} without a fault", scene.name);
                return None;
            }
            let text = fs::read_to_string(&log).expect("a trace");
            let mut executed: Vec<u32> = text
                .lines()
                .filter_map(|line| u32::from_str_radix(line.strip_prefix("0x")?.get(..8)?, 16).ok())
                .filter(|address| elf::offset_of(&self.boot, *address).is_some())
                .collect();
            executed.sort_unstable();
            executed.dedup();
            let wanted = |address: &&u32| scene.crypto || !is_crypto(self.symbol(**address));
            if !scene.good {
                sites.extend(
                    executed.iter().filter(wanted).map(|a| Site { scene: index, address: *a }),
                );
            }
        }
        Some(sites)
    }

    /// Injects each fault; how many booted a bad image. Stops after `enough` of them.
    fn inject(&self, sites: &[Site], enough: usize) -> usize {
        let next = AtomicUsize::new(0);
        let bad = AtomicUsize::new(0);
        let ends = Mutex::new(BTreeMap::<String, usize>::new());
        let start = Instant::now();
        std::thread::scope(|scope| {
            for worker in 0..std::thread::available_parallelism().map_or(2, usize::from) {
                let (next, bad, ends) = (&next, &bad, &ends);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(site) = sites.get(index) else { return };
                        if bad.load(Ordering::Relaxed) >= enough {
                            return;
                        }
                        let mut boot = self.boot.clone();
                        leave_out(&mut boot, site.address);
                        let elf = self.elf(&format!("worker-{worker}"), &boot);
                        let scene = &self.scenes[site.scene];
                        let code = self.qemu(scene, &elf, &[]);
                        let end = match code {
                            Some(BAD) => {
                                bad.fetch_add(1, Ordering::Relaxed);
                                let symbol = self.symbol(site.address);
                                println!("BOOTED  {}: {:#010x} {symbol}", scene.name, site.address);
                                "booted"
                            }
                            Some(0x30) => "stopped",
                            Some(0x31) => "recovery",
                            Some(0x3f) => "exception or watchdog",
                            Some(_) => "reset or another exit",
                            None => "hang",
                        };
                        if let Ok(mut ends) = ends.lock() {
                            *ends.entry(end.to_owned()).or_default() += 1;
                        }
                        if index % 500 == 499 {
                            eprintln!(
                                "{} of {}, {} s",
                                index + 1,
                                sites.len(),
                                start.elapsed().as_secs()
                            );
                        }
                    }
                });
            }
        });
        for (end, count) in ends.into_inner().unwrap_or_default() {
            println!("{count:6} {end}");
        }
        bad.into_inner()
    }

    fn elf(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.bench.folder.join(name);
        fs::write(&path, bytes).expect("an image");
        path
    }

    /// Virtual time runs ahead of the instructions, so that a loader that hangs meets its
    /// watchdog within a moment.
    fn qemu(&self, scene: &Scene, boot: &Path, more: &[String]) -> Option<i32> {
        let folder = &self.bench.folder;
        let mut child = Command::new("qemu-system-arm")
            .args(["-M", "mps2-an505,memory-backend=flash", "-object"])
            .arg(format!(
                "memory-backend-file,id=flash,size=16M,mem-path={},share=off",
                folder.join(scene.name).display()
            ))
            .args(["-display", "none", "-monitor", "none", "-serial", "null", "-no-reboot"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-icount", "shift=9,sleep=off", "-kernel"])
            .arg(boot)
            .arg("-device")
            .arg(format!(
                "loader,file={},addr=0x1000f000,force-raw=on",
                folder.join("otp.bin").display()
            ))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("qemu-system-arm starts");
        let mut patience = Patience::new(None);
        loop {
            if let Some(status) = child.try_wait().expect("a child to wait for") {
                return status.code();
            }
            if patience.is_over(&child) {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn symbol(&self, address: u32) -> &str {
        let index = self.symbols.partition_point(|(at, _)| *at <= address);
        index.checked_sub(1).map_or("", |index| &self.symbols[index].1)
    }
}

/// SHA-256, field and curve.
fn is_crypto(symbol: &str) -> bool {
    ["p256_product", "p256_verify", "4sha2", "6sha256", "memcpy"]
        .iter()
        .any(|name| symbol.contains(name))
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
