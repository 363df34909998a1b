//! Assessment: source per CPU-second, an image with nested file systems, the joins over a fleet.
//!
//! Source and image are read by the executable, as a user has them read; the joins, which no
//! command does alone, run in this process.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use dashu_int::UBig;
use ringfort_assess::keys::{About, Fingerprint, Index, Kind, Record, math};
use ringfort_assess::model::{Location, OwnerKind};
use serde_json::Value;

use crate::arguments::Arguments;
use crate::check_ins::machine_load;
use crate::cpu;
use crate::table::{Bar, Figure, Table, Unit};

/// Takes every figure.
pub fn measure(arguments: &Arguments, table: &mut Table) -> Result<()> {
    let temporary = tempfile::Builder::new().prefix("ringfort-bench").tempdir()?;
    let sources = arguments.sources.clone().map_or_else(sources_of_crates, Ok)?;
    source(&arguments.ringfort, &sources, temporary.path(), table)?;
    match image_of(&arguments.ringfort, temporary.path()) {
        Ok(file) => image(&arguments.ringfort, &file, temporary.path(), table)?,
        Err(error) => eprintln!("  NOT MEASURED: an image with nested file systems: {error:#}"),
    }
    shared_factors(table)?;
    join(table)
}

/// One run of `ringfort assess`.
struct Assessed {
    report: Vec<u8>,
    cpu: f64,
    clock: Duration,
    resident: f64,
}

fn source(ringfort: &Path, tree: &Path, scratch: &Path, table: &mut Table) -> Result<()> {
    let assessed = assess(ringfort, tree, scratch)?;
    let bytes = assessed.bytes()?;
    table.add(
        Figure::new("assess: source per CPU-second", bytes / assessed.cpu, Unit::BytesPerCpu)
            .beside(hashed(tree)?, "(each file read and hashed)")
            .bar(Bar::AtLeast(15e6))
            .note(format!(
                "{:.0} MB under {} in {:.1} CPU-seconds, {:.1} s; {}",
                bytes / 1e6,
                tree.display(),
                assessed.cpu,
                assessed.clock.as_secs_f64(),
                machine_load()
            )),
    );
    table.add(
        Figure::new("assess: resident memory at source", assessed.resident, Unit::Bytes)
            .bar(Bar::AtMost(RESIDENT)),
    );
    Ok(())
}

fn image(ringfort: &Path, image: &Path, scratch: &Path, table: &mut Table) -> Result<()> {
    let [first, again] = [assess(ringfort, image, scratch)?, assess(ringfort, image, scratch)?];
    ensure!(first.report == again.report, "two runs on one image do not report the same bytes");
    let best = if again.clock < first.clock { again } else { first };
    let begun = Instant::now();
    for (name, _) in WRAPPINGS {
        let (squashfs, to) = (scratch.join("outer").join(name), scratch.join(name));
        let quiet = ["-quiet", "-no-progress", "-dest"];
        run(Command::new("unsquashfs").args(quiet).args([&to, &squashfs]))?;
    }
    let unpacked = begun.elapsed().as_secs_f64();
    table.add(
        Figure::new(
            "assess: image of 64 MiB, nested file systems",
            best.clock.as_secs_f64(),
            Unit::Seconds,
        )
        .beside(unpacked, "(unsquashfs of both)")
        .bar(Bar::AtMost(60.0))
        .note(format!(
            "ext4, and in it squashfs (xz) and squashfs (gzip), each with an executable and a \
                 tar of it; {:.1} CPU-seconds; both runs wrote the same {} bytes; {}",
            best.cpu,
            best.report.len(),
            machine_load()
        )),
    );
    table.add(
        Figure::new("assess: resident memory at the image", best.resident, Unit::Bytes)
            .bar(Bar::AtMost(RESIDENT)),
    );
    Ok(())
}

fn assess(ringfort: &Path, input: &Path, scratch: &Path) -> Result<Assessed> {
    let file = scratch.join("report.json");
    let (begun, before) = (Instant::now(), cpu::of_children()?);
    let mut process = Command::new(ringfort)
        .arg("assess")
        .arg(input)
        .args(["--json", "--no-history"])
        .stdin(Stdio::null())
        .stdout(File::create(&file)?)
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", ringfort.display()))?;
    let mut resident = 0.0_f64;
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        // The kernel keeps the peak; it is gone with the process.
        resident = resident.max(cpu::peak_resident(process.id()).unwrap_or(0.0));
        std::thread::sleep(Duration::from_millis(10));
    };
    let clock = begun.elapsed();
    // Findings are no failure of the measurement, nor is what could not be read.
    ensure!(matches!(status.code(), Some(0 | 1 | 3)), "ringfort assess ended with {status}");
    let cpu = cpu::of_children()? - before;
    Ok(Assessed { report: fs::read(&file)?, cpu, clock, resident })
}

impl Assessed {
    /// How many bytes it was given.
    fn bytes(&self) -> Result<f64> {
        let report: Value = serde_json::from_slice(&self.report)?;
        report["inputs"][0]["bytes"].as_f64().context("a report without its inputs")
    }
}

/// Bytes per CPU-second of reading every file of a tree and hashing it.
fn hashed(tree: &Path) -> Result<f64> {
    let before = cpu::of_this_process()?;
    let (mut waiting, mut bytes) = (vec![tree.to_owned()], 0);
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() {
                let file = fs::read(entry.path())?;
                std::hint::black_box(digest(&SHA256, &file));
                bytes += file.len();
            }
        }
    }
    Ok(bytes as f64 / (cpu::of_this_process()? - before))
}

/// The sources of the crates that everything here was built from.
fn sources_of_crates() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = home.context("no home directory")?.join("registry/src");
    ensure!(sources.is_dir(), "no {}; name a source tree with --sources", sources.display());
    Ok(sources)
}

/// An image that holds the executable in several wrappings.
fn image_of(ringfort: &Path, scratch: &Path) -> Result<PathBuf> {
    let (inner, outer) = (scratch.join("inner"), scratch.join("outer"));
    for directory in [inner.join("usr/bin"), inner.join("etc"), outer.clone()] {
        fs::create_dir_all(directory)?;
    }
    fs::copy(ringfort, inner.join("usr/bin/ringfort"))?;
    fs::write(inner.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    run(Command::new("tar").current_dir(&inner).args(["-cf", "usr/app.tar", "usr/bin", "etc"]))?;
    for (name, compression) in WRAPPINGS {
        let squashfs = outer.join(name);
        let quiet = ["-quiet", "-no-progress", "-comp", compression];
        run(Command::new("mksquashfs").args([&inner, &squashfs]).args(quiet))?;
    }
    let image = scratch.join("image.ext4");
    let ext4 = ["-q", "-t", "ext4", "-d"];
    run(Command::new("mke2fs").args(ext4).args([&outer, &image]).arg("64M"))?;
    Ok(image)
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("no {name}"))?;
    let error = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{name}: {}: {}", done.status, error.trim());
    Ok(())
}

/// 10,000 numbers of 2048 bits, of which one pair shares a factor of 1024 bits.
fn shared_factors(table: &mut Table) -> Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut number = |words: usize| {
        let bytes: Vec<u8> = (0..words)
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_be_bytes()
            })
            .collect();
        UBig::from_be_bytes(&bytes) | UBig::ONE | UBig::ONE << (words * 64 - 1)
    };
    let mut moduli: Vec<UBig> = (0..MODULI - 2).map(|_| number(16) * number(16)).collect();
    let shared = number(16);
    moduli.push(&shared * number(16));
    moduli.push(&shared * number(16));
    let before = cpu::of_this_process()?;
    let found = math::batch_gcd(&moduli);
    let used = cpu::of_this_process()? - before;
    let before = cpu::of_this_process()?;
    let all = product(&moduli);
    let multiplied = cpu::of_this_process()? - before;
    ensure!(all > UBig::ONE, "a product of nothing");
    let large = found.iter().flatten().filter(|factor| **factor >= shared).count();
    ensure!(large == 2, "{large} numbers were found to share the factor that 2 share");
    table.add(
        Figure::new(format!("assess: shared factors of {MODULI} moduli"), used, Unit::CpuSeconds)
            .beside(multiplied, "(their product)")
            .bar(Bar::AtMost(30.0))
            .note("2048 bits each; the one pair that shares a prime was found"),
    );
    Ok(())
}

fn product(numbers: &[UBig]) -> UBig {
    match numbers {
        [] => UBig::ONE,
        [one] => one.clone(),
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            product(left) * product(right)
        }
    }
}

/// 10,000 devices with three records each; ten of them share all three.
fn join(table: &mut Table) -> Result<()> {
    let mut index = Index::default();
    let mut prints = Vec::new();
    for device in 0..JOINED {
        let name = format!("device-{device}");
        let owner = index.owner(&name, OwnerKind::Device);
        let kinds = [Kind::Certificate, Kind::PublicKey, Kind::PasswordHash];
        for (slot, kind) in (0_u8..).zip(kinds) {
            let mut print = [slot; 32];
            let holder = if device < 10 { 0 } else { device };
            print[..4].copy_from_slice(&holder.to_be_bytes());
            prints.push(print);
            index.insert(Record {
                owner,
                kind,
                fingerprint: Fingerprint(print),
                location: Location {
                    owner,
                    file: name.clone(),
                    path: name.clone(),
                    offset: 0,
                    line: None,
                },
                about: About::default(),
            });
        }
    }
    let before = cpu::of_this_process()?;
    let joins = index.joins("20261122");
    let used = cpu::of_this_process()? - before;
    let found = cpu::of_one(|| {
        let mut holders: HashMap<[u8; 32], u32> = HashMap::new();
        prints.iter().for_each(|print| *holders.entry(*print).or_default() += 1);
        ensure!(holders.values().any(|holders| *holders > 1), "none is shared");
        Ok(())
    })?;
    ensure!(!joins.is_empty(), "ten devices share their keys and none was found");
    table.add(
        Figure::new(format!("assess: join over {JOINED} devices"), used, Unit::CpuSeconds)
            .beside(found, "(each fingerprint looked up)")
            .bar(Bar::AtMost(5.0))
            .note(format!("{} records, {} answers", 3 * JOINED, joins.len())),
    );
    Ok(())
}

const RESIDENT: f64 = 150e6;
/// The file systems within the image, and how each is compressed.
const WRAPPINGS: [(&str, &str); 2] = [("rootfs.squashfs", "xz"), ("recovery.squashfs", "gzip")];
const MODULI: usize = 10_000;
const JOINED: u32 = 10_000;
