//! Database, objects, disk and clock.

use std::path::Path;

use ringfort_fleet::Restored;
use ringfort_pki::{CrlPolicy, SerialNumber};
use ringfort_store::{Outside, StoreError, object_file};

use super::super::archive;
use super::super::backup::{DATABASE, now_ms};
use super::super::config::HubConfig;
use super::super::earlier::Earlier;
use super::fault::{Fault, Finding};
use crate::commands::pki::authorities::DEVICE_CA;
use crate::failure::Outcome;
use crate::{clock, runtime};

/// Looks at what the hub has stored.
pub fn examine(
    directory: &Path,
    config: Option<&HubConfig>,
    findings: &mut Vec<Finding>,
) -> Outcome<()> {
    if let Ok(disk) = rustix::fs::statvfs(directory) {
        let (free, total) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
        if nearly_full(free, total) {
            let seen = format!("{} MiB of {} MiB are free", free >> 20, total >> 20);
            let at = directory.display().to_string();
            findings.push(Finding::new(Fault::DiskNearlyFull, at, seen));
        }
    }
    if !directory.join(DATABASE).exists() {
        findings.push(Finding::new(Fault::DatabaseMissing, DATABASE, "no such file"));
        return Ok(());
    }
    if let Err(error) = runtime::new()?.block_on(database(directory, config, findings)) {
        findings.push(Finding::new(Fault::DatabaseDamaged, DATABASE, error.to_string()));
    }
    Ok(())
}

async fn database(
    directory: &Path,
    config: Option<&HubConfig>,
    findings: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    let mut database = Outside::open(&directory.join(DATABASE)).await?;
    let schema = database.schema().await?;
    if schema.held > schema.known {
        let seen = format!("version {}; this program knows {}", schema.held, schema.known);
        findings.push(Finding::new(Fault::DatabaseNewer, DATABASE, seen));
    }
    for line in database.damage().await? {
        findings.push(Finding::new(Fault::DatabaseDamaged, DATABASE, line));
    }
    let newest = database.newest_ms().await?;
    if newest > now_ms().saturating_add(CLOCK_SLACK_MS) {
        let text = |ms: i64| clock::text(ms.unsigned_abs() / 1000);
        let seen =
            format!("it is {} here; the newest record is of {}", text(now_ms()), text(newest));
        findings.push(Finding::new(Fault::ClockBehind, DATABASE, seen));
    }
    let (now, ever) = database.people_who_may_approve().await?;
    if config.is_some_and(|config| config.approvals > 1) && now < 2 {
        // Who was alone from the start is enough alone, until a second one comes.
        let fault = if ever < 2 { Fault::SingleApproval } else { Fault::TooFewPeople };
        let seen = format!("{now} of operators and administrators");
        findings.push(Finding::new(fault, "operators", seen));
    }
    for (class, devices) in database.developer_products("retired").await? {
        let class = <[u8; 16]>::try_from(class).map_or_else(
            |_| "a class that cannot be read".to_owned(),
            |class| format!("class {}", ringfort_trust::ids::ClassId(class)),
        );
        let seen = format!("{devices} of at most 25 devices");
        findings.push(Finding::new(Fault::DeveloperProduct, class, seen));
    }
    let restored = database.meta(Restored::META).await?.and_then(|b| Restored::from_bytes(&b));
    if restored.is_some_and(|restored| restored.acknowledged_ms.is_none()) {
        findings.push(Finding::new(Fault::NotAcknowledged, DATABASE, "restored"));
    }
    for (number, name) in Earlier::of(directory, DEVICE_CA).with_keys() {
        let Some(first) = CrlPolicy::first_of(number) else { continue };
        let (from, until) = SerialNumber::range_of_issuer(first);
        let serials = &from[..]..&until[..];
        let last = database.last_end_between("ldevid", serials).await?;
        if last.is_some_and(|last| last > now_ms()) {
            // Its CRLs are needed yet.
            continue;
        }
        let seen = last.map_or_else(
            || "it issued none".to_owned(),
            |last| format!("the last ended {}", clock::text(last.unsigned_abs() / 1000)),
        );
        let at = format!("keys/{name}.sealed");
        findings.push(Finding::new(Fault::EarlierDeviceCaDone, at, seen));
    }
    let objects = database.objects().await?;
    database.close().await?;
    for (digest, size) in &objects {
        findings.extend(object(directory, digest, *size));
    }
    Ok(())
}

fn object(directory: &Path, digest: &[u8; 32], size: u64) -> Option<Finding> {
    let path = object_file(Path::new("objects"), digest).display().to_string();
    let entry = match archive::entry(directory, &path) {
        Ok(entry) => entry,
        Err(error) => {
            return Some(Finding::new(Fault::ObjectMissing, path, crate::files::sentence(&error)));
        }
    };
    let damaged = entry.size != size || entry.sha256 != hex::encode(digest);
    let seen = format!("{} bytes with SHA-256 {}…", entry.size, &entry.sha256[..16]);
    damaged.then(|| Finding::new(Fault::ObjectDamaged, path, seen))
}

/// Less than a twentieth and less than 2 GiB: a small disk fills by steps, a large one has time.
fn nearly_full(free_bytes: u64, total_bytes: u64) -> bool {
    total_bytes > 0 && free_bytes < total_bytes / 20 && free_bytes < 2 << 30
}

/// Clocks are set by steps of less than this.
const CLOCK_SLACK_MS: i64 = 5 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_nearly_full_when_little_is_left_both_ways() {
        const GIB: u64 = 1 << 30;
        assert!(nearly_full(GIB / 4, 10 * GIB));
        assert!(nearly_full(0, GIB));
        assert!(!nearly_full(GIB, 10 * GIB));
        assert!(!nearly_full(3 * GIB, 1000 * GIB));
    }
}
