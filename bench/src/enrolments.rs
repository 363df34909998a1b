//! EST enrolments: first enrolments of devices in stock, each with a new key, each durable.

use anyhow::Result;
use futures_util::stream::{StreamExt, iter};

use crate::load::{Connection, enrolment};
use crate::raw::Limits;
use crate::seed::Site;
use crate::table::{Bar, Figure, Table, Unit};

/// Measures both.
pub async fn measure(site: &mut Site, raw: &Limits, table: &mut Table) -> Result<()> {
    let (mut kept, mut fresh) = (f64::INFINITY, (f64::INFINITY, 0.0));
    for _ in 0..ROUNDS {
        kept = kept.min(kept_alive(site).await?);
        let again = new_connections(site).await?;
        fresh = if again.0 < fresh.0 { again } else { fresh };
    }
    let floor = raw.sign + raw.verify;
    table.add(
        Figure::new("EST enrolment, kept alive", kept, Unit::Cpu)
            .beside(floor, "(sign + verify)")
            .bar(Bar::OfRaw(0.4))
            .note(format!(
                "best of {ROUNDS} rounds of {KEPT}, {IN_FLIGHT} at once, the handshake not counted"
            )),
    );
    table.add(
        Figure::new("EST enrolment, new connection each", fresh.0, Unit::Cpu)
            .beside(raw.handshake + floor, "(handshake + sign + verify)")
            .bar(Bar::OfRaw(0.6))
            .note(format!(
                "best of {ROUNDS} rounds of {FRESH}, {IN_FLIGHT} at once; {:.3} ms of it in the \
                 kernel",
                fresh.1 * 1e3
            )),
    );
    Ok(())
}

async fn kept_alive(site: &mut Site) -> Result<f64> {
    let devices = site.new_devices(KEPT).await?;
    let hub = site.hub()?;
    let mut open = Vec::new();
    for device in &devices {
        open.push((Connection::open(&hub.target, device).await?, enrolment()?));
    }
    let before = hub.cpu()?;
    let mut done = iter(open)
        .map(|(mut connection, body)| async move {
            connection.enrol(&body).await?;
            anyhow::Ok(connection)
        })
        .buffer_unordered(IN_FLIGHT);
    let mut connections = Vec::new();
    while let Some(connection) = done.next().await {
        connections.push(connection?);
    }
    Ok((hub.cpu()? - before) / KEPT as f64)
}

/// CPU seconds of one, and the part of them in the kernel.
async fn new_connections(site: &mut Site) -> Result<(f64, f64)> {
    let devices = site.new_devices(FRESH).await?;
    let hub = site.hub()?;
    let bodies = devices.iter().map(|_| enrolment()).collect::<Result<Vec<_>>>()?;
    let target = &hub.target;
    let before = (hub.cpu()?, hub.kernel_cpu()?);
    let mut done =
        iter(devices.iter().zip(bodies))
            .map(|(device, body)| async move {
                Connection::open(target, device).await?.enrol(&body).await
            })
            .buffer_unordered(IN_FLIGHT);
    while let Some(result) = done.next().await {
        result?;
    }
    let used = (hub.cpu()? - before.0, hub.kernel_cpu()? - before.1);
    Ok((used.0 / FRESH as f64, used.1 / FRESH as f64))
}

const ROUNDS: usize = 3;
const KEPT: usize = 2_000;
const FRESH: usize = 1_500;
const IN_FLIGHT: usize = 64;
