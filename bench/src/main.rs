//! Figures of a real hub under load: one table, each figure beside its raw limit measured in the
//! same run and its bar.
//!
//! The hub is the `ringfort` executable that is given, started as a process of its own on a
//! directory that its own commands made. This process is the load, on loopback. What a figure
//! costs is CPU time of the hub's process (user and system, from `/proc/PID/stat`) unless it says
//! otherwise, so that what else runs on the machine spoils ratios little; raw limits are CPU time
//! of this process or of one thread of it.
#![forbid(unsafe_code)]

mod arguments;
mod assess;
mod bare;
mod ceremony;
mod check_ins;
mod cpu;
mod database;
mod device;
mod enrolments;
mod hub;
mod lifetime;
mod load;
mod raw;
mod releases;
mod revocation;
mod seed;
mod table;
mod tls;

use std::time::Instant;

use anyhow::{Context, Result};

use crate::arguments::Arguments;
use crate::bare::Memory;
use crate::seed::Site;
use crate::table::Table;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    if words.next().is_some_and(|word| word == bare::COMMAND) {
        return bare::serve(words.next().context("no directory")?.as_ref());
    }
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let begun = Instant::now();
    let mut table = Table::default();
    if arguments.wants("assess") {
        assess::measure(&arguments, &mut table)?;
    }
    if arguments.needs_limits() {
        runtime.block_on(measure(&arguments, &mut table))?;
    }
    table.print(arguments.json, begun.elapsed());
    Ok(())
}

/// Takes every figure of a hub that was asked for, in the order in which one leaves the fleet for the next:
/// revocation is last, for it leaves hardly a device in service.
async fn measure(arguments: &Arguments, table: &mut Table) -> Result<()> {
    let raw = raw::Limits::measure().await?;
    raw.show(table);
    if arguments.wants("verify") {
        releases::verification(&raw, table)?;
    }
    if !arguments.needs_a_hub() {
        return Ok(());
    }
    let mut site = Site::prepare(arguments).await?;
    let bare = Memory::measure(&site, check_ins::CONNECTIONS, lifetime::CONNECTIONS).await?;
    if arguments.wants("idle") {
        lifetime::idle(&mut site, &bare, table).await?;
    }
    if arguments.wants("est") {
        enrolments::measure(&mut site, &raw, table).await?;
    }
    if arguments.wants("check-in") {
        check_ins::measure(&mut site, &raw, table).await?;
    }
    if arguments.wants("offered") {
        check_ins::offered(&mut site, &raw, &bare, table).await?;
    }
    if arguments.wants("connections") {
        lifetime::connections(&mut site, &raw, &bare, table).await?;
    }
    if arguments.wants("restart") {
        lifetime::restart(&mut site, table).await?;
    }
    if arguments.wants("deploy") {
        releases::deployment(&mut site, table).await?;
    }
    if arguments.wants("revocation") {
        revocation::measure(&mut site, &raw, table).await?;
    }
    site.keep()
}
