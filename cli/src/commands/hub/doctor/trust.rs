//! Certificates, revocation lists and anchors: do they fit the hub, and how long do they last?

use std::path::Path;

use ringfort_cose::AwsLc;
use ringfort_keystore::SealedKey;
use ringfort_pki::{CRL, CertificateInfo, from_pem};
use ringfort_trust::{Anchors, Role};
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

use super::super::acme;
use super::super::archive;
use super::super::config::HubConfig;
use super::super::earlier::Earlier;
use super::fault::{Fault, Finding};
use super::shown;
use crate::address::Address;
use crate::anchors::Chain;
use crate::commands::pki::authorities::{DEVICE_CA, OPERATOR_CA, read_certificate};
use crate::commands::pki::record::Record;
use crate::{clock, files, keys};

/// Looks at every certificate and revocation list, and at the newest anchors.
pub fn examine(
    directory: &Path,
    record: &Record,
    config: Option<&HubConfig>,
    findings: &mut Vec<Finding>,
) {
    for name in CERTIFICATES {
        let path = format!("certs/{name}.pem");
        if !directory.join(&path).exists() {
            findings.push(Finding::new(Fault::CertificateUnreadable, path, "no such file"));
        }
    }
    let mut replaced = Earlier::of(directory, DEVICE_CA).stems();
    replaced.extend(Earlier::of(directory, OPERATOR_CA).stems());
    for path in archive::names(directory, "certs", &[".pem"]) {
        // It keeps its number for ever. Another has its place, and nothing of it outlives it.
        if replaced.iter().any(|name| path == format!("certs/{name}.pem")) {
            continue;
        }
        let info = read_certificate(&directory.join(&path))
            .map_err(|failure| failure.summary())
            .and_then(|der| CertificateInfo::parse(&der).map_err(|error| error.to_string()));
        match info {
            Err(why) => findings.push(Finding::new(Fault::CertificateUnreadable, path, why)),
            Ok(info) => findings.extend(
                end_of_certificate(info.not_after, clock::now(), record.valid_days)
                    .map(|fault| Finding::new(fault, path, ends(info.not_after))),
            ),
        }
    }
    for path in archive::names(directory, "certs", &[".crl"]) {
        findings.extend(revocation_list(directory, path));
    }
    if config.is_some_and(|config| config.operators.acme.is_some()) {
        public_certificate(directory, findings);
    }
    match Chain::read(&directory.join("anchors")) {
        Err(failure) => {
            findings.push(Finding::new(Fault::AnchorsBroken, "anchors", failure.summary()));
        }
        Ok(chain) => match chain.newest() {
            Err(failure) => {
                findings.push(Finding::new(Fault::AnchorsBroken, "anchors", failure.summary()));
            }
            Ok(anchors) => newest_anchors(directory, record, config, &anchors, findings),
        },
    }
}

/// The operators' certificate, where an authority issues it.
fn public_certificate(directory: &Path, findings: &mut Vec<Finding>) {
    if let Some(state) = acme::state(directory).filter(|state| state.failures > 0) {
        let since = state.failing_since.map(clock::text).unwrap_or_default();
        let seen = format!(
            "in vain {}x since {since}: {}. {}",
            state.failures,
            state.why.unwrap_or_default(),
            state.next_step.unwrap_or_default(),
        );
        findings.push(Finding::new(Fault::PublicCertificateNotRenewed, state.directory, seen));
    }
    let file = acme::certificate(directory);
    if !file.exists() {
        return;
    }
    let path = shown(directory, &file);
    let info = read_certificate(&file)
        .map_err(|failure| failure.summary())
        .and_then(|der| CertificateInfo::parse(&der).map_err(|error| error.to_string()));
    match info {
        Err(why) => findings.push(Finding::new(Fault::CertificateUnreadable, path, why)),
        Ok(info) if info.not_after <= clock::now() => {
            findings.push(Finding::new(Fault::CertificateEnded, path, ends(info.not_after)));
        }
        Ok(_) => {}
    }
}

fn newest_anchors(
    directory: &Path,
    record: &Record,
    config: Option<&HubConfig>,
    anchors: &Anchors<'_>,
    findings: &mut Vec<Finding>,
) {
    let at = format!("anchors/{}.cbor", anchors.version().0);
    let mut found = |fault, seen: String| findings.push(Finding::new(fault, at.clone(), seen));
    if record.fleet_id().is_ok_and(|fleet| fleet != anchors.fleet()) {
        found(Fault::AnchorsOfAnotherFleet, format!("fleet {}", anchors.fleet()));
    }
    if let Ok(order) = SealedKey::read(&directory.join("keys/order.sealed")) {
        let name = keys::thumbprint(&order.public_key());
        if anchors.order_key(&name, &AwsLc).is_err() {
            found(Fault::AnchorsNameAnotherOrderKey, format!("the hub has {}", keys::short(&name)));
        }
    }
    if let Ok(server_ca) = read_certificate(&directory.join("certs/server-ca.pem"))
        && !anchors.server_cas().any(|der| der == server_ca)
    {
        found(Fault::AnchorsNameAnotherServerCa, "certs/server-ca.pem is not in them".into());
    }
    let own = config.and_then(|config| config.devices.address().ok());
    if let (Some(own), Ok(named)) = (own, Address::parse(anchors.hub()))
        && own != named
    {
        found(Fault::AnchorsNameAnotherAddress, format!("{}, not {}", named.url(), own.url()));
    }
    let keys = anchors.keys_of(Role::Anchor).count();
    if anchors.anchor_threshold() == keys && keys > 1 {
        found(Fault::EveryAnchorKeyNeeded, format!("{keys} of {keys}"));
    }
    for product in anchors.products().filter(|product| product.threshold < 2) {
        found(Fault::OneSignerSuffices, format!("{}/{}", product.vendor_name, product.class_name));
    }
    if anchors.spare().is_none() && !record.is_quickstart() {
        found(Fault::NoSpareAddress, String::new());
    }
}

/// How urgent the end of a certificate is. A PKI that was made to end soon is not blamed for it.
fn end_of_certificate(not_after: u64, now: u64, valid_days: Option<u32>) -> Option<Fault> {
    let left = not_after.saturating_sub(now);
    let days = left / clock::DAY_S;
    let short_lived = valid_days.is_some();
    match days {
        _ if not_after <= now => Some(Fault::CertificateEnded),
        _ if short_lived => None,
        0..30 => Some(Fault::CertificateEnds30),
        30..90 => Some(Fault::CertificateEnds90),
        90..365 => Some(Fault::CertificateEnds365),
        _ => None,
    }
}

fn revocation_list(directory: &Path, path: String) -> Option<Finding> {
    let text = files::read_text(&directory.join(&path), MAX_CRL).ok()?;
    let der = from_pem(CRL, &text).ok();
    let list: Option<CertificateList> =
        der.as_deref().and_then(|der| CertificateList::from_der(der).ok());
    let Some(list) = list else {
        return Some(Finding::new(Fault::CertificateUnreadable, path, "not a revocation list"));
    };
    let end = list.tbs_cert_list.next_update?.to_unix_duration().as_secs();
    let left = end.saturating_sub(clock::now());
    (left < 30 * clock::DAY_S).then(|| Finding::new(Fault::CrlEnds, path, ends(end)))
}

fn ends(at: u64) -> String {
    format!("ends {}", clock::text(at))
}

const CERTIFICATES: [&str; 5] = ["root", "backup-root", DEVICE_CA, "server-ca", OPERATOR_CA];
const MAX_CRL: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_the_end_the_more_urgent() {
        const NOW: u64 = 1_795_000_000;
        let fault = |days: u64| end_of_certificate(NOW + days * clock::DAY_S, NOW, None);
        assert_eq!(end_of_certificate(NOW, NOW, None), Some(Fault::CertificateEnded));
        assert_eq!(fault(0), Some(Fault::CertificateEnded));
        assert_eq!(fault(1), Some(Fault::CertificateEnds30));
        assert_eq!(fault(29), Some(Fault::CertificateEnds30));
        assert_eq!(fault(30), Some(Fault::CertificateEnds90));
        assert_eq!(fault(89), Some(Fault::CertificateEnds90));
        assert_eq!(fault(90), Some(Fault::CertificateEnds365));
        assert_eq!(fault(364), Some(Fault::CertificateEnds365));
        assert_eq!(fault(365), None);
    }

    #[test]
    fn a_pki_that_was_made_to_end_soon_is_blamed_only_once_it_has_ended() {
        const NOW: u64 = 1_795_000_000;
        assert_eq!(end_of_certificate(NOW + 1, NOW, Some(7)), None);
        assert_eq!(end_of_certificate(NOW, NOW, Some(7)), Some(Fault::CertificateEnded));
    }
}
