//! Revocation at 1,000 and at 100,000 revoked certificates.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::stream::{StreamExt, iter};
use ringfort_api::model::Outcome;
use ringfort_cose::{Sign, SoftSigner};
use ringfort_fleet::{Operator, State};
use ringfort_messages::DeviceId;

use crate::check_ins::machine_load;
use crate::cpu;
use crate::database;
use crate::load::Connection;
use crate::raw::Limits;
use crate::seed::Site;
use crate::table::{Bar, Figure, Table, Unit};

/// Measures at both and compares.
pub async fn measure(site: &mut Site, raw: &Limits, table: &mut Table) -> Result<()> {
    let (few, many) = (FEW.min(site.devices / 10), site.devices - LEFT.min(site.devices / 2));
    suspend_until(site, 0, few).await?;
    let at_few = revoke(site, raw, few, table).await?;
    suspend_until(site, few + SAMPLE, many).await?;
    let at_many = revoke(site, raw, many, table).await?;
    table.add(
        Figure::new("one suspension, CRL and all: at many / at few", at_many / at_few, Unit::Times)
            .beside(1.0, "(flat)")
            .bar(Bar::AtMost(1.2)),
    );
    Ok(())
}

/// Suspends some more devices through the operators' interface, one after the other, and waits
/// until the CRLs say so. Returns the hub's CPU seconds for each.
async fn revoke(site: &mut Site, raw: &Limits, revoked: usize, table: &mut Table) -> Result<f64> {
    // The hub comes up with every CRL signed; from then on only what changes is its work.
    site.stop()?;
    let names: Vec<DeviceId> = (revoked..revoked + SAMPLE).map(name).collect::<Result<_>>()?;
    let asking = site.load.last().context("no device")?.clone();
    let hub = site.hub()?;
    let client = hub.operator()?;
    client.healthy().await?;
    // What it counts of the fleet at its start is no part of a suspension.
    tokio::time::sleep(BETWEEN).await;
    let (before, mut times) = (hub.cpu()?, Vec::new());
    for id in &names {
        let begun = Instant::now();
        match client.move_device(id.as_str(), "suspended", "measured").await? {
            Outcome::Done { .. } => times.push(begun.elapsed()),
            Outcome::Waiting { .. } => bail!("a suspension waits"),
        }
        // Each has its CRLs signed before the next comes.
        tokio::time::sleep(BETWEEN).await;
    }
    let each = (hub.cpu()? - before) / SAMPLE as f64;
    times.sort_unstable();
    let slowest = times.last().context("no sample")?.as_secs_f64();
    let largest = largest_shard(hub, &asking).await?;
    let (fleet, store) = site.fleet().await?;
    let (before, begun) = (cpu::of_this_process()?, Instant::now());
    let mut whole = Vec::new();
    for _ in 0..TIMES {
        whole = fleet.crls().await?;
    }
    let times = f64::from(TIMES);
    let signed = (cpu::of_this_process()? - before) / times;
    let took = begun.elapsed().as_secs_f64() / times;
    let entries: usize = whole.iter().map(|crl| crl.der.len()).sum();
    store.close().await;
    let read = database::read_revoked(&site.directory.join("hub")).await?;
    let signer = SoftSigner::generate_p256()?;
    let all = cpu::of_one(|| {
        whole.iter().try_for_each(|crl| signer.sign(&[&crl.der]).map(drop))?;
        Ok(())
    })?;
    let shards = whole.len() as f64;
    table.add(
        Figure::new(format!("suspension with {revoked} revoked, its CRL signed"), each, Unit::Cpu)
            .beside(raw.write.alone + all / shards, "(one row flushed, its CRL's bytes signed)")
            .note(format!("{SAMPLE} of them, {BETWEEN:?} apart")),
    );
    table.add(
        Figure::new(
            format!("suspension with {revoked} revoked: slowest answer"),
            slowest,
            Unit::Seconds,
        )
        .beside(raw.write.alone_p99, "(commit of one row, p99)")
        .bar(Bar::AtMost(0.05))
        .note(machine_load()),
    );
    table.add(
        Figure::new(format!("every CRL signed anew with {revoked} revoked"), signed, Unit::Cpu)
            .beside(read + all, "(the rows read, the bytes signed)")
            .bar(Bar::AtMost(1.0))
            .note(format!("{} shards, {entries} bytes, {took:.2} s", whole.len())),
    );
    table.add(
        Figure::new(format!("largest CRL shard with {revoked} revoked"), largest, Unit::Bytes)
            .beside(revoked as f64 / shards * ENTRY, "(serial numbers and dates)")
            .bar(Bar::AtMost(65_535.0))
            .note("as the hub serves them"),
    );
    Ok(each)
}

async fn largest_shard(hub: &crate::hub::Hub, device: &crate::device::Device) -> Result<f64> {
    let mut connection = Connection::open(&hub.target, device).await?;
    let mut largest = 0;
    for shard in 0.. {
        match connection.get(&format!("/crl/{shard}.crl")).await {
            Ok(crl) => largest = largest.max(crl.len()),
            Err(_) if shard > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(largest as f64)
}

/// Suspends devices by the fleet's rules, in this process, up to so many.
async fn suspend_until(site: &mut Site, from: usize, until: usize) -> Result<()> {
    let (fleet, store) = site.fleet().await?;
    let who = Operator::at_the_host("bench");
    let mut done = iter(from..until)
        .map(|number| {
            let (fleet, who) = (fleet.clone(), who.clone());
            async move {
                let id = name(number)?;
                fleet.move_device(&who, &id, State::Suspended, "measured").await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(256);
    while let Some(result) = done.next().await {
        result?;
    }
    drop(done);
    store.close().await;
    Ok(())
}

fn name(number: usize) -> Result<DeviceId> {
    DeviceId::new(&format!("gateway-{number:07}")).map_err(|reason| anyhow::anyhow!("{reason:?}"))
}

const FEW: usize = 1_000;
/// Devices that stay in service.
const LEFT: usize = 1_000;
const SAMPLE: usize = 5;
/// How often every CRL is signed, for the steps of 10 ms in which CPU time is counted.
const TIMES: u32 = 10;
/// Bytes of an entry that no encoding leaves out: the serial number and the date (RFC 5280).
const ENTRY: f64 = 18.0 + 13.0;
/// CRLs are signed two seconds after a change.
const BETWEEN: Duration = Duration::from_secs(3);
