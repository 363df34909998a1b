//! Check-ins among 100,000 registered devices: nonce answered by a signed token, link stored.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::stream::{StreamExt, iter};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::bare::{BARE, Memory};
use crate::device::Device;
use crate::load::Connection;
use crate::raw::Limits;
use crate::seed::Site;
use crate::table::{Bar, Figure, Table, Unit};

/// Measures both, kept alive and with a new connection each.
pub async fn measure(site: &mut Site, raw: &Limits, table: &mut Table) -> Result<()> {
    let (mut kept, mut fresh) = (f64::INFINITY, (f64::INFINITY, 0.0));
    for round in 0..ROUNDS {
        kept = kept.min(kept_alive(site, round).await?);
        let again = new_connections(site, round).await?;
        fresh = if again.0 < fresh.0 { again } else { fresh };
    }
    let all = site.devices;
    table.add(
        Figure::new(format!("check-in, {all} devices, kept alive"), kept, Unit::Cpu)
            .beside(raw.sign + raw.write.grouped, "(sign + grouped write)")
            .bar(Bar::OfRaw(0.25))
            .note(format!(
                "best of {ROUNDS} rounds of {} on {CONNECTIONS} connections, {IN_FLIGHT} at once",
                CONNECTIONS * TURNS
            )),
    );
    table.add(
        Figure::new(format!("check-in, {all} devices, new connection each"), fresh.0, Unit::Cpu)
            .beside(
                raw.handshake + raw.sign + raw.write.grouped,
                "(handshake + sign + grouped write)",
            )
            .bar(Bar::OfRaw(0.6))
            .note(format!(
                "best of {ROUNDS} rounds of {}, no device twice, {IN_FLIGHT} at once; {:.3} ms of \
                 it in the kernel",
                fresh_count(site)?,
                fresh.1 * 1e3
            )),
    );
    Ok(())
}

/// Check-ins that arrive at their own pace, whether the hub keeps up or not: how long each took
/// from when it was due.
pub async fn offered(
    site: &mut Site,
    raw: &Limits,
    bare: &Memory,
    table: &mut Table,
) -> Result<()> {
    let class = site.class;
    site.hub()?;
    let devices = take(site, CONNECTIONS);
    let hub = site.hub()?;
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut queues = Vec::new();
    let mut tasks = Vec::new();
    for mut device in devices {
        let mut connection = Connection::open(&hub.target, &device).await?;
        let (queue, mut due) = mpsc::unbounded_channel::<Instant>();
        queues.push(queue);
        let answers = answers.clone();
        tasks.push(tokio::spawn(async move {
            while let Some(due) = due.recv().await {
                connection.check_in(&mut device, class).await?;
                let _ = answers.send(due.elapsed());
            }
            anyhow::Ok(device)
        }));
    }
    drop(answers);
    let (begun, before) = (Instant::now(), hub.cpu()?);
    let every = Duration::from_secs(1) / RATE;
    for number in 0..RATE * SECONDS {
        let due = begun + every * number;
        sleep_until(due).await;
        let queue = &queues[number as usize % queues.len()];
        queue.send(due).ok().context("a device of the load gave up")?;
    }
    drop(queues);
    let mut times = Vec::new();
    while let Some(time) = answered.recv().await {
        times.push(time);
    }
    let (used, resident) = (hub.cpu()? - before, hub.resident()?);
    for task in tasks {
        site.load.push(task.await??);
    }
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64();
    let how = format!(
        "{SECONDS} s on {CONNECTIONS} kept connections; hub used {:.0} % of one core; median {:.1} \
         ms; {}",
        used / f64::from(SECONDS) * 100.0,
        at(0.5) * 1e3,
        machine_load()
    );
    table.add(
        Figure::new(format!("{RATE} check-ins/s offered: p99"), at(0.99), Unit::Seconds)
            .beside(raw.write.few_p99, "(commit of as many rows, p99)")
            .bar(Bar::AtMost(0.05))
            .note(how),
    );
    table.add(
        Figure::new(format!("{RATE} check-ins/s offered: resident memory"), resident, Unit::Bytes)
            .beside(bare.some, BARE)
            .bar(Bar::AtMost(128.0 * 1024.0 * 1024.0)),
    );
    Ok(())
}

/// What else the machine had to do, for those who read a time on the clock.
pub fn machine_load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split_whitespace().next().unwrap_or("unknown").to_owned();
    format!("load average {load}")
}

async fn kept_alive(site: &mut Site, round: usize) -> Result<f64> {
    let class = site.class;
    site.hub()?;
    let at = (round * CONNECTIONS) % (site.load.len() - CONNECTIONS);
    let Site { load, .. } = site;
    let mut devices: Vec<Device> = load[at..at + CONNECTIONS].to_vec();
    let hub = site.hub()?;
    let mut open = Vec::new();
    for device in &mut devices {
        open.push((Connection::open(&hub.target, device).await?, device));
    }
    let before = hub.cpu()?;
    for _ in 0..TURNS {
        let mut done = iter(open.iter_mut())
            .map(|(connection, device)| connection.check_in(device, class))
            .buffer_unordered(IN_FLIGHT);
        while let Some(result) = done.next().await {
            result?;
        }
    }
    let used = hub.cpu()? - before;
    drop(open);
    site.load[at..at + CONNECTIONS].clone_from_slice(&devices);
    Ok(used / (CONNECTIONS * TURNS) as f64)
}

/// CPU seconds of one, and the part of them in the kernel.
async fn new_connections(site: &mut Site, round: usize) -> Result<(f64, f64)> {
    let class = site.class;
    site.hub()?;
    let count = fresh_count(site)?;
    let at = CONNECTIONS * ROUNDS + round * count;
    let mut devices: Vec<Device> = site.load[at..at + count].to_vec();
    let hub = site.hub()?;
    let target = &hub.target;
    let before = (hub.cpu()?, hub.kernel_cpu()?);
    let mut done = iter(devices.iter_mut())
        .map(|device| async move {
            Connection::open(target, device).await?.check_in(device, class).await
        })
        .buffer_unordered(IN_FLIGHT);
    while let Some(result) = done.next().await {
        result?;
    }
    drop(done);
    let used = (hub.cpu()? - before.0, hub.kernel_cpu()? - before.1);
    site.load[at..at + count].clone_from_slice(&devices);
    Ok((used.0 / count as f64, used.1 / count as f64))
}

/// How many devices of each round connect anew, none of them in two rounds.
fn fresh_count(site: &Site) -> Result<usize> {
    let left = site.load.len().checked_sub(CONNECTIONS * ROUNDS);
    let count = left.map(|left| FRESH.min(left / ROUNDS)).filter(|count| *count > 0);
    count.context("too few devices for check-ins: --devices 10000 at least")
}

/// Takes devices out of the load; they come back at its end.
pub fn take(site: &mut Site, count: usize) -> Vec<Device> {
    site.load.drain(..count.min(site.load.len())).collect()
}

const ROUNDS: usize = 3;
/// Connections that are kept.
pub const CONNECTIONS: usize = 512;
const TURNS: usize = 10;
const FRESH: usize = 2_000;
const IN_FLIGHT: usize = 64;
const RATE: u32 = 1_000;
const SECONDS: u32 = 15;
