//! What only the running hub knows.

use std::path::Path;

use ringfort_pki::CertificateInfo;

use super::super::archive;
use super::fault::{Fault, Finding};
use crate::clock;
use crate::commands::pki::authorities::read_certificate;
use crate::operator::Operator;

/// Asks the hub as this operator.
pub fn examine(directory: &Path, folder: &Path, findings: &mut Vec<Finding>) {
    let operator = match Operator::open(Some(folder)) {
        Ok(operator) => operator,
        Err(failure) => {
            let at = folder.display().to_string();
            findings.push(Finding::new(Fault::HubDoesNotAnswer, at, failure.summary()));
            return;
        }
    };
    findings.extend(own_certificate(&operator.folder().join(&operator.settings().certificate)));
    let status = match operator.wait(operator.client().status()) {
        Ok(status) => status,
        Err(failure) => {
            let at = folder.display().to_string();
            findings.push(Finding::new(Fault::HubDoesNotAnswer, at, failure.summary()));
            return;
        }
    };
    if let Some(alarm) = operator.follow_log() {
        let at = folder.display().to_string();
        findings.push(Finding::new(Fault::AuditNotAsSeen, at, alarm.to_string()));
    }
    let held = archive::names(directory, "anchors", &[".cbor"]).len() as u64;
    if held > status.anchors_version {
        let seen = format!("{held} versions here, {} at the hub", status.anchors_version);
        findings.push(Finding::new(Fault::AnchorsNotPublished, "anchors", seen));
    }
    if status.shared_keys > 0 {
        let seen = format!("{} keys", status.shared_keys);
        findings.push(Finding::new(Fault::KeysShared, "registry", seen));
    }
    if status.alarmed > 0 {
        let seen = format!("{} devices", status.alarmed);
        findings.push(Finding::new(Fault::DevicesAlarmed, "registry", seen));
    }
}

fn own_certificate(path: &Path) -> Option<Finding> {
    let info = CertificateInfo::parse(&read_certificate(path).ok()?).ok()?;
    let left = info.not_after.saturating_sub(clock::now());
    (left < 30 * clock::DAY_S).then(|| {
        let seen = format!("ends {}", clock::text(info.not_after));
        Finding::new(Fault::OperatorCertificateEnds, path.display().to_string(), seen)
    })
}
