//! Figures: source per CPU-second, a 64 MB image, batch GCD, the join over a fleet.
//!
//! `cargo run --release -p ringfort-assess --example figures -- [SOURCE_TREE] [IMAGE]`
//! prints one line each. CPU seconds are user and system time of this process.

use std::{path::PathBuf, time::Instant};

use dashu_int::UBig;
use ringfort_assess::{
    Input, Options,
    keys::{About, Fingerprint, Index, Kind, Record, math},
    model::{Location, OwnerKind},
    run,
};

fn main() {
    for (what, path) in ["source", "image"].iter().zip(std::env::args().skip(1)) {
        let all = Options::default();
        let counts = if all.threads > 1 { vec![1, all.threads] } else { vec![1] };
        for threads in counts {
            read(what, &path, &Options { threads, ..all.clone() });
        }
    }
    batch();
    fleet();
}

fn read(what: &str, path: &str, options: &Options) {
    // Writing 5 makes the peak start anew.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    let found = run(&[Input::Path(PathBuf::from(path))], options, &mut ());
    let spent = cpu_seconds() - cpu;
    let mb = found.inputs.iter().map(|i| i.bytes).sum::<u64>() as f64 / 1e6;
    println!(
        "{what} {path}, {} threads: {mb:.1} MB in {spent:.2} CPU-s = {:.1} MB per CPU-s, {:.1} s wall, peak RSS {} kB",
        options.threads,
        mb / spent.max(0.01),
        wall.elapsed().as_secs_f64(),
        peak_rss_kb()
    );
}

/// 10,000 numbers of 2048 bits, of which one pair shares a factor of 1024 bits.
fn batch() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
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
    let mut moduli: Vec<UBig> = (0..9_998).map(|_| number(16) * number(16)).collect();
    let shared = number(16);
    moduli.push(&shared * number(16));
    moduli.push(&shared * number(16));
    let cpu = cpu_seconds();
    let found = math::batch_gcd(&moduli);
    let large = found.iter().flatten().filter(|f| **f >= shared).count();
    println!(
        "batch GCD of {} moduli of 2048 bits: {:.1} CPU-s, {large} with a common factor of 1024 bits, peak RSS {} kB",
        moduli.len(),
        cpu_seconds() - cpu,
        peak_rss_kb()
    );
}

/// 10,000 devices with a certificate each and four images; ten devices share keys.
fn fleet() {
    let mut index = Index::default();
    for device in 0..10_000u32 {
        let owner = index.owner(&format!("device-{device}"), OwnerKind::Device);
        for (slot, kind) in
            [Kind::Certificate, Kind::PublicKey, Kind::PasswordHash].iter().enumerate()
        {
            let id = if device < 10 { 0 } else { device };
            let mut print = [slot as u8; 32];
            print[..4].copy_from_slice(&id.to_be_bytes());
            index.insert(Record {
                owner,
                kind: *kind,
                fingerprint: Fingerprint(print),
                location: Location {
                    owner,
                    file: format!("device-{device}"),
                    path: format!("device-{device}"),
                    offset: 0,
                    line: None,
                },
                about: About::default(),
            });
        }
    }
    let cpu = cpu_seconds();
    let joins = index.joins("20261122");
    println!(
        "join over 10,000 devices, 30,000 records: {:.3} CPU-s, {} answers",
        cpu_seconds() - cpu,
        joins.len()
    );
}

#[cfg(target_os = "linux")]
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum();
    ticks / 100.0
}

#[cfg(not(target_os = "linux"))]
fn cpu_seconds() -> f64 {
    0.0
}

fn peak_rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|l| l.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(0)
}
