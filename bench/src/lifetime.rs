//! What a hub costs while it does nothing, holds connections, and comes back after a cut.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::watch;

use crate::bare::{BARE, Memory};
use crate::check_ins::{machine_load, take};
use crate::database;
use crate::load::Connection;
use crate::raw::Limits;
use crate::seed::Site;
use crate::table::{Bar, Figure, Table, Unit};

/// Memory of a hub with its fleet that nobody talks to, CPU of the same, size of the executable.
pub async fn idle(site: &mut Site, bare: &Memory, table: &mut Table) -> Result<()> {
    site.stop()?;
    let devices = site.devices;
    let hub = site.hub()?;
    tokio::time::sleep(SETTLE).await;
    let before = hub.cpu()?;
    tokio::time::sleep(WATCH).await;
    let (cpu, resident) = ((hub.cpu()? - before) / WATCH.as_secs_f64(), hub.resident()?);
    let mebibyte = 1024.0 * 1024.0;
    table.add(
        Figure::new(
            format!("idle hub with {devices} devices: resident memory"),
            resident,
            Unit::Bytes,
        )
        .beside(bare.none, BARE)
        .bar(Bar::AtMost(64.0 * mebibyte)),
    );
    table.add(Figure::new("idle hub: CPU per second", cpu, Unit::Cpu));
    let size = std::fs::metadata(&site.ringfort)?.len() as f64;
    table.add(Figure::new("size of the executable", size, Unit::Bytes).bar(Bar::AtMost(40e6)));
    Ok(())
}

/// Connections that stay open, as agents that poll often keep them.
pub async fn connections(
    site: &mut Site,
    raw: &Limits,
    bare: &Memory,
    table: &mut Table,
) -> Result<()> {
    let class = site.class;
    // A hub of its own for this: what others left in memory is not counted.
    site.stop()?;
    site.hub()?;
    let devices = take(site, CONNECTIONS);
    let hub = site.hub()?;
    let before = hub.resident()?;
    let mut open = Vec::new();
    for mut device in devices {
        let mut connection = Connection::open(&hub.target, &device).await?;
        connection.check_in(&mut device, class).await?;
        open.push((connection, device));
    }
    let resident = hub.resident()?;
    let mut slowest = Duration::ZERO;
    for (connection, device) in &mut open {
        let begun = Instant::now();
        connection.check_in(device, class).await?;
        slowest = slowest.max(begun.elapsed());
    }
    site.load.extend(open.into_iter().map(|(_, device)| device));
    let what = format!("{CONNECTIONS} open connections of devices");
    table.add(
        Figure::new(format!("{what}: resident memory"), resident, Unit::Bytes)
            .beside(bare.many, BARE)
            .bar(Bar::AtMost(128.0 * 1024.0 * 1024.0))
            .note("all of them checked in twice, every one was answered"),
    );
    let each = |with: f64, without: f64| (with - without) / CONNECTIONS as f64;
    table.add(
        Figure::new(format!("{what}: memory of each"), each(resident, before), Unit::Bytes)
            .beside(each(bare.many, bare.none), BARE),
    );
    table.add(
        Figure::new(format!("{what}: slowest check-in"), slowest.as_secs_f64(), Unit::Seconds)
            .beside(raw.write.alone_p99, "(commit of one row, p99)")
            .note(format!("one after the other; {}", machine_load())),
    );
    Ok(())
}

/// From the start of the process after SIGKILL under load to the first answer, and that nothing
/// that was answered is lost: each device of the load goes on with the link of its last answer.
pub async fn restart(site: &mut Site, table: &mut Table) -> Result<()> {
    let class = site.class;
    site.hub()?;
    let devices = take(site, LOAD);
    let target = site.hub()?.target.clone();
    let (stop, stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    for mut device in devices {
        let (target, stopped) = (target.clone(), stopped.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&target, &device).await?;
            while !*stopped.borrow() {
                // The hub is killed in the middle of some: their answers are lost.
                if connection.check_in(&mut device, class).await.is_err() {
                    break;
                }
            }
            anyhow::Ok(device)
        }));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    site.kill()?;
    let raw = database::after_a_cut(&site.directory.join("hub")).await?;
    let begun = Instant::now();
    site.hub()?;
    let serving = begun.elapsed().as_secs_f64();
    stop.send(true).context("nobody listens")?;
    let mut devices = Vec::new();
    for task in tasks {
        devices.push(task.await??);
    }
    let mut first = None;
    for device in &mut devices {
        let mut connection = Connection::open(&target, device).await?;
        connection.check_in(device, class).await.context("after the cut")?;
        first.get_or_insert_with(|| begun.elapsed().as_secs_f64());
    }
    let used = site.hub()?.cpu()?;
    site.load.extend(devices);
    table.add(
        Figure::new(
            "start after kill -9 under load, to the first answer",
            first.context("no device")?,
            Unit::Seconds,
        )
        .beside(raw, "(log replayed, one commit)")
        .bar(Bar::AtMost(2.0))
        .note(format!(
            "serving after {serving:.2} s; {LOAD} devices went on with the links they held; the \
             hub's CPU time until then {used:.2} s; {}",
            machine_load()
        )),
    );
    Ok(())
}

const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(10);
/// Connections of agents.
pub const CONNECTIONS: usize = 2_000;
const LOAD: usize = 64;
